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

// holders asks lsof, which lists only this user's sockets unless root runs it. Where it sees nobody and something answers all the same,
// that is a process which may not be looked into; it is asked twice, since one of ours may have begun to listen meanwhile.
func (t lsofTable) holders(ctx context.Context, port int) (func(int) []holder, error) {
	found, err := t.listed(ctx, port)
	if err == nil && len(found) == 0 && t.answers != nil && t.answers(port) {
		if found, err = t.listed(ctx, port); err == nil && len(found) == 0 {
			found = []holder{{uid: -1}}
		}
	}
	for i, h := range found {
		if h.pid != 0 {
			command, _ := t.run.Run(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(h.pid))
			found[i] = h.runs(strings.Fields(command), "")
		}
	}
	return func(int) []holder { return found }, err
}

func (t lsofTable) listed(ctx context.Context, port int) ([]holder, error) {
	out, err := t.run.Run(ctx, "lsof", "-nP", "-iTCP:"+strconv.Itoa(port), "-sTCP:LISTEN", "-Fpun")
	if err != nil && exitCode(err) != 1 { // 1: nobody, or not all could be looked into
		return nil, err
	}
	return parseLsof(out), nil
}

// parseLsof reads "lsof -Fpun": a line a field, "p" PID, "u" user ID, "n" address:port, repeated for each file.
func parseLsof(out string) []holder {
	var found []holder
	current := holder{uid: -1}
	for _, line := range strings.Split(out, "\n") {
		if line == "" {
			continue
		}
		value := line[1:]
		switch line[0] {
		case 'p':
			pid, _ := strconv.Atoi(value)
			current = holder{pid: pid, uid: -1}
		case 'u':
			if uid, err := strconv.Atoi(value); err == nil {
				current.uid = uid
			}
		case 'n':
			host := value[:max(0, strings.LastIndexByte(value, ':'))]
			addr, _ := netip.ParseAddr(strings.Trim(host, "[]"))
			if current.pid > 0 && (host == "*" || answersLoopback(addr.Unmap())) &&
				!slices.ContainsFunc(found, func(h holder) bool { return h.pid == current.pid }) {
				found = append(found, current)
			}
		}
	}
	return found
}

func (t lsofTable) describe(ctx context.Context, _ Runner, _ int, h holder) holder {
	out, _ := t.run.Run(ctx, "ps", "-axo", "pid=,ppid=,command=")
	words := map[int][]string{}
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); len(f) > 2 {
			pid, _ := strconv.Atoi(f[0])
			words[pid] = f
		}
	}
	return h.above(func(pid int) holder {
		if len(words[pid]) == 0 {
			return holder{}
		}
		parent, _ := strconv.Atoi(words[pid][1])
		return holder{pid: parent}.runs(words[parent][min(2, len(words[parent])):], "")
	})
}

func (t lsofTable) belongs(ctx context.Context, pid int, s state) bool {
	if s.pid == 0 || pid == s.pid {
		return s.pid != 0
	}
	out, err := t.run.Run(ctx, "ps", "-axo", "pid=,ppid=")
	if err != nil {
		return false
	}
	parent := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); len(f) == 2 {
			parent[f[0]] = f[1]
		}
	}
	at := strconv.Itoa(pid)
	for range 64 {
		if at = parent[at]; at == strconv.Itoa(s.pid) {
			return true
		}
	}
	return false
}

func (t lsofTable) environ(int) []string { return nil } // ps -E is for root only

// facts asks for the age and the memory apart: ps may not tell the memory in a sandbox, and fails then as a whole. Where the
// kernel does not tell the age, ps does: from whole seconds of now and of the start (Apple's adv_cmds, ps/print.c), so
// that it may be one second too large, which is taken off: a file that is older than the process must not look younger.
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

// How macOS tells of one process: <sys/sysctl.h> has CTL_KERN 1, KERN_PROC 14 and KERN_PROC_PID 1. Its answer, struct kinfo_proc, is 648
// bytes on every 64-bit Mac. It begins with struct extern_proc (<sys/proc.h>): p_starttime, a struct timeval of 64 bits
// of seconds and 32 of microseconds (<sys/_types/_timeval.h>), is its first field, and p_pid is at 40.
const kinfoProcSize, kinfoProcPID = 648, 40

// kernProcPID is the name of that question in sysctl(3).
func kernProcPID(pid int) []int32 { return []int32{1, 14, 1, int32(pid)} }

// parseKinfoProc reads when the process with that PID was started.
func parseKinfoProc(raw []byte, pid int) (time.Time, error) {
	if len(raw) != kinfoProcSize || binary.LittleEndian.Uint32(raw[kinfoProcPID:]) != uint32(pid) {
		return time.Time{}, fmt.Errorf("the kernel says nothing of process %d", pid)
	}
	return time.Unix(int64(binary.LittleEndian.Uint64(raw)), int64(binary.LittleEndian.Uint32(raw[8:]))*1000), nil
}

// parseElapsed reads the etime of ps(1): [[days-]hours:]minutes:seconds.
func parseElapsed(text string) (time.Duration, error) {
	days, clock, ok := strings.Cut(text, "-")
	if !ok {
		days, clock = "0", text
	}
	n, err := strconv.Atoi(days)
	var total time.Duration
	for _, part := range strings.Split("0:0:"+clock, ":")[strings.Count(clock, ":"):] {
		unit, partErr := strconv.Atoi(part)
		if partErr != nil {
			err = partErr
		}
		total = total*60 + time.Duration(unit)
	}
	total += time.Duration(n) * 24 * 60 * 60
	if err != nil {
		return 0, fmt.Errorf("ps: no elapsed time: %q", text)
	}
	return total * time.Second, nil
}

func (t lsofTable) replaced(ctx context.Context, pid int, path string) bool {
	onDisk, err := os.Stat(path)
	if err != nil {
		return false
	}
	out, err := t.run.Run(ctx, "lsof", "-a", "-p", strconv.Itoa(pid), "-d", "txt", "-Fin")
	if err != nil {
		return changedSince(ctx, t, pid, path)
	}
	var runs, name string // inode and name of the first text file: the program
	for _, line := range strings.Split(out, "\n") {
		if value, ok := strings.CutPrefix(line, "i"); ok && runs == "" {
			runs = value
		}
		if value, ok := strings.CutPrefix(line, "n"); ok && name == "" {
			name = value
		}
	}
	if target, _ := filepath.EvalSymlinks(path); filepath.Base(name) != filepath.Base(target) {
		return changedSince(ctx, t, pid, path) // a script: what runs is its interpreter
	}
	return runs != "" && runs != inode(onDisk)
}
