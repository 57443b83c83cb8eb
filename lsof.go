// The process table of macOS: what lsof and ps print.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A lsofTable is the process table of macOS, through lsof and ps.
type lsofTable struct {
	run     Runner
	started func(pid int) (time.Time, error) // by the kernel; nil: ps alone tells
	answers func(port int) bool              // whether anything answers on a port of 127.0.0.1; nil: that is not asked
}

// holders asks lsof, which shows this user the user's own sockets. Where it sees nobody and something answers all the same, that is
// a process which may not be looked into; it is asked twice, since one of ours may have begun to listen meanwhile.
func (t lsofTable) holders(ctx context.Context, port int) (func(int) []holder, error) {
	var found []holder
	seen := func() bool { return slices.ContainsFunc(found, func(h holder) bool { return !h.elsewhere }) }
	for look := 0; look == 0 || look == 1 && !seen() && t.answers != nil && t.answers(port); look++ {
		out, err := t.run.Run(ctx, "lsof", "-nP", "-iTCP:"+strconv.Itoa(port), "-sTCP:LISTEN", "-Fpun")
		if err != nil && exitCode(err) != 1 { // 1: nobody, or not all could be looked into
			return nil, err
		}
		if found = parseLsof(out); look == 1 && !seen() {
			return func(int) []holder { return []holder{{uid: -1}} }, nil
		}
	}
	if seen() {
		found = slices.DeleteFunc(found, func(h holder) bool { return h.elsewhere })
	}
	for i, h := range found {
		if h.pid != 0 {
			command, _ := t.run.Run(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(h.pid))
			found[i] = h.runs(strings.Fields(command), "")
		}
	}
	return func(int) []holder { return found }, nil
}

// parseLsof reads "lsof -Fpun": a line a field, "p" PID, "u" user ID, "n" address:port, repeated for each file.
func parseLsof(out string) []holder {
	var found []holder
	current := holder{uid: -1}
	for _, line := range strings.Split(out, "\n") {
		value := line[min(1, len(line)):]
		n, err := strconv.Atoi(value)
		switch {
		case strings.HasPrefix(line, "p"):
			current = holder{pid: n, uid: -1}
		case strings.HasPrefix(line, "u") && err == nil:
			current.uid = n
		case strings.HasPrefix(line, "n"):
			host := value[:max(0, strings.LastIndexByte(value, ':'))]
			addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
			current.elsewhere = host != "*" && loopbackRank(addr.Unmap()) == 1
			if i := slices.IndexFunc(found, func(h holder) bool { return h.pid == current.pid }); i >= 0 {
				found[i].elsewhere = found[i].elsewhere && current.elsewhere
			} else if current.pid > 0 && (host == "*" || err == nil) {
				found = append(found, current)
			}
		}
	}
	return found
}

// parents looks up the parent of a process and its command.
func (t lsofTable) parents(ctx context.Context) func(pid int) holder {
	out, err := t.run.Run(ctx, "ps", "-axo", "pid=,ppid=,command=")
	words := map[string][]string{}
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); err == nil && len(f) > 1 {
			words[f[0]] = f
		}
	}
	return func(pid int) holder {
		parent := append(words[strconv.Itoa(pid)], "", "")[1]
		return holder{pid: number(parent)}.runs(words[parent][min(2, len(words[parent])):], "")
	}
}

func (t lsofTable) describe(ctx context.Context, _ Runner, _ int, h holder) holder {
	return h.above(t.parents(ctx))
}

func (t lsofTable) belongs(ctx context.Context, pid int, s state) bool {
	if s.pid == 0 || pid == s.pid {
		return s.pid != 0
	}
	up := t.parents(ctx)
	return descends(pid, s.pid, func(pid int) int { return up(pid).pid })
}

func (t lsofTable) environ(int) []string { return nil } // ps -E is for root only

// facts asks ps for age and memory apart: in a sandbox it may not tell the memory, and fails. Its age is of whole seconds of now
// and of the start (Apple's adv_cmds, ps/print.c), so that it may be one second too large: an older file would look younger.
func (t lsofTable) facts(ctx context.Context, pid int) (time.Duration, int64, error) {
	out, _ := t.run.Run(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(pid))
	kilobytes, _ := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if t.started != nil {
		if at, err := t.started(pid); err == nil {
			return max(0, time.Since(at)), kilobytes * 1024, nil
		}
	}
	out, err := t.run.Run(ctx, "ps", "-o", "etime=", "-p", strconv.Itoa(pid))
	if err != nil {
		return 0, kilobytes * 1024, err
	}
	age, err := parseElapsed(strings.TrimSpace(out))
	return max(0, age-time.Second), kilobytes * 1024, err
}

// <sys/sysctl.h>: struct kinfo_proc, 648 bytes on a 64-bit Mac, begins with struct extern_proc (<sys/proc.h>), and that with
// p_starttime: a struct timeval of 64 bits of seconds and 32 of microseconds (<sys/_types/_timeval.h>). p_pid is at 40.
const kinfoProcSize, kinfoProcPID = 648, 40

// CTL_KERN, KERN_PROC, KERN_PROC_PID (<sys/sysctl.h>)
func kernProcPID(pid int) []int32 { return []int32{1, 14, 1, int32(pid)} }

// parseKinfoProc reads when the process with that PID was started.
func parseKinfoProc(raw []byte, pid int) (time.Time, error) {
	if len(raw) != kinfoProcSize || binary.LittleEndian.Uint32(raw[kinfoProcPID:]) != uint32(pid) {
		return time.Time{}, fmt.Errorf("the kernel has no entry for process %d", pid)
	}
	return time.Unix(int64(binary.LittleEndian.Uint64(raw)), int64(binary.LittleEndian.Uint32(raw[8:]))*1000), nil
}

// parseElapsed reads the etime of ps(1): [[days-]hours:]minutes:seconds.
func parseElapsed(text string) (total time.Duration, err error) {
	parts := strings.Split(strings.Replace(text, "-", ":", 1), ":")
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || len(parts) > 4 {
			return 0, fmt.Errorf("ps: no elapsed time: %q", text)
		}
		unit := map[bool]time.Duration{true: 24, false: 60}[i == len(parts)-3]
		total = total*unit + time.Duration(n)
	}
	return total * time.Second, nil
}

func (t lsofTable) replaced(ctx context.Context, pid int, path string, since func(time.Time) bool) bool {
	onDisk, statErr := os.Stat(path)
	if statErr != nil {
		return false
	}
	out, err := t.run.Run(ctx, "lsof", "-a", "-p", strconv.Itoa(pid), "-d", "txt", "-Fin")
	if err != nil {
		return changed(path, since)
	}
	first := func(field string) string { // of the first text file, which is the program
		_, rest, _ := strings.Cut("\n"+out, "\n"+field)
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	if target, _ := filepath.EvalSymlinks(path); filepath.Base(first("n")) != filepath.Base(target) {
		return changed(path, since) // a script: what runs is its interpreter
	}
	return first("i") != "" && first("i") != inode(onDisk)
}
