// The process table of macOS: what lsof and ps print.
package main

import (
	"context"
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
type lsofTable struct{ run Runner }

func (t lsofTable) holders(ctx context.Context, port int) (func(int) []holder, error) {
	out, err := t.run.Run(ctx, "lsof", "-nP", "-iTCP:"+strconv.Itoa(port), "-sTCP:LISTEN", "-Fpun")
	if err != nil && exitCode(err) != 1 { // 1: nobody, or not all could be looked into
		return nil, err
	}
	found := parseLsof(out)
	for i := range found {
		found[i].command, _ = t.run.Run(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(found[i].pid))
		found[i].command = strings.TrimSpace(found[i].command)
	}
	return func(int) []holder { return found }, nil
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

func (t lsofTable) facts(ctx context.Context, pid int) (time.Duration, int64, error) {
	out, err := t.run.Run(ctx, "ps", "-o", "etime=,rss=", "-p", strconv.Itoa(pid))
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(out)
	if len(f) != 2 {
		return 0, 0, fmt.Errorf("ps says nothing of process %d", pid)
	}
	age, err := parseElapsed(f[0])
	kilobytes, _ := strconv.ParseInt(f[1], 10, 64)
	return age, kilobytes * 1024, err
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
