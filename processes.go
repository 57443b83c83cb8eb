// Processes and their sockets: what is asked of them, and the answers of /proc on Linux; those of macOS are in lsof.go.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A processTable tells about processes and their sockets.
type processTable interface {
	// holders lists the sockets that listen on port where 127.0.0.1 is answered, else those elsewhere; who finds their processes, and
	// tries first before all.
	holders(ctx context.Context, port int) (who func(first int) []holder, err error)
	// belongs tells whether a process is the service's: its main process, one in its control group, or a descendant.
	// While the manager knows no main process, any of the control group is.
	belongs(ctx context.Context, pid int, s state) bool
	// describe adds to a holder of port that is in the way what helps against it.
	describe(ctx context.Context, run Runner, port int, h holder) holder
	// facts tells how long a process has been running at least, and how much memory it uses, in bytes; 0: unknown.
	facts(ctx context.Context, pid int) (age time.Duration, memory int64, err error)
	// environ lists the K=V words that a process was started with; nil where that cannot be told.
	environ(pid int) []string
	// replaced tells whether the program file at path is another than the one the process runs; since knows the times after its start.
	replaced(ctx context.Context, pid int, path string, since func(time.Time) bool) bool
}

// A procfs is the process table of Linux, read below root, which is "/proc" (proc(5)).
type procfs struct {
	root string
	diag func() ([]listener, error) // lists the listening TCP sockets faster than root does; nil: there is no such way
	boot func() time.Duration       // the time since the boot: lxcfs has its own in /proc/uptime, but not in /proc/PID/stat
}

// A listener is a listening TCP socket.
type listener struct {
	addr  netip.Addr
	port  int
	uid   int
	inode string
}

// parseProcTCP reads /proc/net/tcp or tcp6 and returns the sockets in state LISTEN (0A). The kernel lists them before
// all others (Documentation/networking/proc_net_tcp.rst), so reading ends there: the rest may take it milliseconds.
// Addresses are groups of four bytes, each group printed as one number of this machine.
func parseProcTCP(r io.Reader) []listener {
	var found []listener
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[0] == "sl" {
			continue
		}
		if f[3] != "0A" {
			break
		}
		addr, port, _ := strings.Cut(f[1], ":")
		raw, err := hex.DecodeString(addr)
		n, err2 := strconv.ParseUint(port, 16, 16)
		uid, err3 := strconv.ParseUint(f[7], 10, 32)
		if err != nil || err2 != nil || err3 != nil || len(raw) != 4 && len(raw) != 16 {
			continue
		}
		for i := 0; i < len(raw); i += 4 {
			binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
		}
		ip, _ := netip.AddrFromSlice(raw)
		found = append(found, listener{ip.Unmap(), int(n), int(uid), f[9]})
	}
	return found
}

// loopbackRank tells which listeners a connection to 127.0.0.1 comes to: those on that address, else those on all; on others, none.
func loopbackRank(addr netip.Addr) int {
	switch {
	case addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}):
		return 3
	case addr.IsUnspecified():
		return 2
	}
	return 1
}

// listeners lists the listening TCP sockets of this network namespace.
func (p procfs) listeners() ([]listener, error) {
	if p.diag != nil {
		if all, err := p.diag(); err == nil {
			return all, nil // else the kernel lacks it, or a sandbox forbids it
		}
	}
	var all []listener
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		table, err := os.Open(filepath.Join(p.root, name))
		if err != nil && name == "net/tcp" {
			return nil, err
		}
		if err == nil { // else IPv6 is switched off
			all = append(all, parseProcTCP(table)...)
			table.Close()
		}
	}
	return all, nil
}

func (p procfs) holders(_ context.Context, port int) (func(int) []holder, error) {
	inodes := map[string]listener{} // by the link of the socket
	wildcard6, best := false, 0
	listeners, err := p.listeners()
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		rank := loopbackRank(l.addr)
		if l.port != port || rank < best {
			continue
		}
		if rank > best {
			clear(inodes)
		}
		best = rank
		wildcard6 = l.addr == netip.IPv6Unspecified()
		inodes["socket:["+l.inode+"]"] = l
	}
	return func(first int) []holder {
		left := maps.Clone(inodes)
		var found []holder
		for _, pid := range p.owners(left, first) {
			found = append(found, p.holder(pid))
		}
		for _, l := range left { // those that no process we may look into has
			found = append(found, holder{uid: l.uid})
		}
		for i := range found {
			found[i].wildcard6, found[i].elsewhere = wildcard6, best == 1
		}
		return found
	}, nil
}

// owners finds the processes that hold the sockets, and takes those it found out of the map. All processes are gone through
// twice: a server's sockets are seldom among its first three files, and to look at those of all others takes most of the time.
func (p procfs) owners(inodes map[string]listener, first int) (pids []int) {
	take := func(pid int, links []string) {
		for _, link := range links {
			if _, ok := inodes[link]; ok {
				delete(inodes, link)
				if !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
		}
	}
	take(first, p.sockets(first, true, true)) // none has the PID 0
	if len(inodes) == 0 {
		return pids
	}
	all := p.pids()
	slices.Sort(all)
	slices.Reverse(all) // the youngest first: what took a port is seldom the oldest process
	for _, standard := range []bool{false, true} {
		var mu sync.Mutex
		var wait sync.WaitGroup
		workers := runtime.NumCPU()
		for i := range workers {
			wait.Add(1)
			go func() {
				defer wait.Done()
				for n := i; n < len(all); n += workers {
					links := p.sockets(all[n], standard, !standard)
					mu.Lock()
					take(all[n], links)
					left := len(inodes)
					mu.Unlock()
					if left == 0 {
						return
					}
				}
			}()
		}
		wait.Wait()
	}
	return pids
}

// pids lists the processes.
func (p procfs) pids() (all []int) {
	dir, err := os.Open(p.root)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// sockets lists the sockets a process has open, as "socket:[INODE]": its standard files, descriptors 0 to 2, and all others. No
// more than three files count as standard. None when it may not be looked into.
func (p procfs) sockets(pid int, standard, others bool) []string {
	path := filepath.Join(p.root, strconv.Itoa(pid), "fd")
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	few := info.Size() > 0 && info.Size() <= 3 // since Linux 6.2 that is the number of open files, before it was 0
	if few && !standard {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(-1)
	dir.Close()
	var links []string
	for _, name := range names {
		if is := few || name == "0" || name == "1" || name == "2"; is && !standard || !is && !others {
			continue
		}
		if link, _ := os.Readlink(path + "/" + name); strings.HasPrefix(link, "socket:") {
			links = append(links, link)
		}
	}
	return links
}

func (p procfs) environ(pid int) []string {
	text, _ := os.ReadFile(filepath.Join(p.root, strconv.Itoa(pid), "environ"))
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
}

// holder is a process that holds a port.
func (p procfs) holder(pid int) holder {
	h := holder{pid: pid, uid: -1}
	text, _ := os.ReadFile(filepath.Join(p.root, strconv.Itoa(pid), "cmdline"))
	exe, _ := os.Readlink(filepath.Join(p.root, strconv.Itoa(pid), "exe"))
	h.unit, h.system = p.unit(pid)
	if owner, err := p.owner(pid); err == nil {
		h.uid = owner
	}
	return h.runs(strings.FieldsFunc(string(text), func(r rune) bool { return r == 0 }), strings.TrimSuffix(exe, " (deleted)"))
}

// owner is the user ID of a process: the second of those in its status, the effective one.
func (p procfs) owner(pid int) (uid int, err error) {
	text, _ := os.ReadFile(filepath.Join(p.root, strconv.Itoa(pid), "status"))
	_, ids, _ := strings.Cut(string(text), "\nUid:")
	return strconv.Atoi(append(strings.Fields(ids), "", "")[1])
}

// unit is the service of systemd that a process is part of, and whether that is not a user's; "" when it is of none.
func (p procfs) unit(pid int) (name string, system bool) {
	text, _ := os.ReadFile(filepath.Join(p.root, strconv.Itoa(pid), "cgroup"))
	for _, line := range strings.Split(string(text), "\n") {
		names := strings.Split(line, "/")
		for i := len(names) - 1; i >= 0; i-- {
			// a name that would be taken for a file of the cgroup has a _ before it
			if name := strings.TrimPrefix(names[i], "_"); strings.HasSuffix(name, ".service") && !strings.HasPrefix(name, "user@") {
				return name, !slices.ContainsFunc(names[:i], func(name string) bool { return strings.HasPrefix(name, "user@") })
			}
		}
	}
	return "", false
}

func (p procfs) describe(ctx context.Context, run Runner, port int, h holder) holder {
	if h.pid == 0 {
		if h.user = userName(h.uid, ""); h.uid == 0 { // the first process, perhaps
			h.unit, h.stop = socketUnit(ctx, run, port, true)
		}
		return h
	}
	if h.is("systemd") {
		h.unit, h.stop = socketUnit(ctx, run, port, false)
		return h
	}
	h = h.above(func(pid int) holder { return p.holder(p.parent(pid)) })
	main := h
	if h.parent != 0 {
		main = p.holder(h.parent)
	}
	for range 8 { // up to what the unit started, which may be a script around it
		up := p.holder(p.parent(main.pid))
		if up.unit != main.unit || up.system != main.system || !up.shell() && !strings.Contains(up.command, "runtimescope") {
			break
		}
		main = up
	}
	if main.pid != h.pid && h.parent == 0 && p.shared(h) {
		main = h
	}
	if main.unit != "" && !h.editor {
		h.stop = stopUnit(ctx, run, main)
	}
	return h
}

// shared tells whether the unit of a process has others than it, its ancestors and its descendants.
func (p procfs) shared(h holder) bool {
	return slices.ContainsFunc(p.pids(), func(pid int) bool {
		unit, system := p.unit(pid)
		return unit == h.unit && system == h.system && pid != h.pid && !descends(pid, h.pid, p.parent) && !descends(h.pid, pid, p.parent)
	})
}

func (p procfs) belongs(_ context.Context, pid int, s state) bool {
	if pid == s.pid {
		return pid != 0
	}
	// between two starts what is left in the control group is of an earlier one
	known := s.pid != 0 || s.ending || s.phase == running || s.phase == starting
	if known && s.cgroup != "" && p.inCgroup(pid, s.cgroup) {
		return s.pid == 0 || !p.startedBefore(pid, s.pid)
	}
	return descends(pid, s.pid, p.parent)
}

// descends tells whether a process is a descendant of another; parent looks one up, 0 where there is none.
func descends(pid, of int, parent func(pid int) int) bool {
	for range 64 { // up to the first process; a loop there can only be a torn read
		if pid = parent(pid); pid == of || pid == 0 {
			break
		}
	}
	return pid == of && pid != 0
}

// parent is the parent of a process, 0 where there is none.
func (p procfs) parent(pid int) int {
	f, _ := p.stat(pid)
	return number(append(f, "", "")[1])
}

// inCgroup tells whether a process is in a control group, or in one below it.
func (p procfs) inCgroup(pid int, cgroup string) bool {
	text, _ := os.ReadFile(filepath.Join(p.root, strconv.Itoa(pid), "cgroup"))
	return slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
		f := strings.SplitN(line, ":", 3)
		return len(f) == 3 && (f[2] == cgroup || strings.HasPrefix(f[2], cgroup+"/"))
	})
}

// startedBefore tells whether a process was started before another: then it is left over from an earlier start of the service.
func (p procfs) startedBefore(pid, than int) bool {
	f, err := p.stat(pid)
	g, err2 := p.stat(than)
	return err == nil && err2 == nil && sinceBoot(f) < sinceBoot(g)
}

// userName finds a user's name in /etc/passwd, else takes the environment's. The C library would cost more than all the rest.
func userName(uid int, otherwise string) string {
	text, _ := os.ReadFile("/etc/passwd")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == userID(uid) {
			return f[0]
		}
	}
	return otherwise
}

// stat returns the fields of /proc/PID/stat from the third, the state, on: the second, the name, may hold anything.
func (p procfs) stat(pid int) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(p.root, strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 22 {
		return nil, fmt.Errorf("cannot read the stat of process %d", pid)
	}
	return f, nil
}

func (p procfs) facts(_ context.Context, pid int) (time.Duration, int64, error) {
	f, err := p.stat(pid)
	if err != nil {
		return 0, 0, err
	}
	pages, _ := strconv.ParseInt(f[21], 10, 64) // field 24
	age := p.boot() - sinceBoot(f)
	if age < 0 {
		return 0, 0, fmt.Errorf("cannot tell how long process %d has been running", pid)
	}
	return age, pages * int64(os.Getpagesize()), nil
}

// sinceBoot is when a process was started, by its stat: field 22, in ticks. Linux shows 100 a second on every machine.
func sinceBoot(stat []string) time.Duration {
	ticks, _ := strconv.ParseInt(stat[19], 10, 64)
	return time.Duration(ticks) * 10 * time.Millisecond
}

func (p procfs) replaced(_ context.Context, pid int, path string, since func(time.Time) bool) bool {
	exe := filepath.Join(p.root, strconv.Itoa(pid), "exe")
	running, err := os.Stat(exe) // the very file that runs, even when it has no name any more
	if errors.Is(err, fs.ErrPermission) {
		return changed(path, since)
	}
	if err != nil {
		return false
	}
	onDisk, err := os.Stat(path)
	if err != nil || os.SameFile(running, onDisk) {
		return false
	}
	if link, _ := os.Readlink(exe); strings.HasSuffix(link, " (deleted)") {
		return true
	}
	// a script, which its interpreter or the program it became runs, or a link that was moved on
	if changed(path, since) {
		return true
	}
	// or it was started by this name, and both have been renamed
	return strings.HasPrefix(p.holder(pid).command+" ", path+" ") && since(changeTime(running)) && since(changeTime(onDisk))
}

// otherNetwork tells whether a process is in another network namespace than this one: each has files of its own in
// /proc/PID/net, which may be looked at from another user namespace, too, as /proc/PID/ns may not.
func (p procfs) otherNetwork(pid int) bool {
	own, err := os.Stat(filepath.Join(p.root, "self/net/tcp"))
	its, err2 := os.Stat(filepath.Join(p.root, strconv.Itoa(pid), "net/tcp"))
	return err == nil && err2 == nil && !os.SameFile(own, its)
}

// otherMounts tells whether path is another file to the parent of a process, the manager, than to this shell.
func (p procfs) otherMounts(pid int, path string) bool {
	manager := strconv.Itoa(p.parent(pid))
	own, err := os.Readlink(filepath.Join(p.root, "self/ns/mnt"))
	its, err2 := os.Readlink(filepath.Join(p.root, manager, "ns/mnt"))
	if err == nil && err2 == nil && own == its { // else they may still see the same, or may not be looked into
		return false
	}
	for at := path; at != filepath.Dir(at); at = filepath.Dir(at) { // what is not there yet is made on the way
		if real, err := filepath.EvalSymlinks(at); err == nil {
			own, its := p.mountOf("self", real), p.mountOf(manager, real)
			return own != "" && its != "" && own != its
		}
	}
	return false
}

// mountOf is the device that a process sees a path on, and where in its file system that is; "" where it cannot be told.
// Later mounts cover earlier ones (proc_pid_mountinfo(5)).
func (p procfs) mountOf(process, path string) (where string) {
	text, _ := os.ReadFile(filepath.Join(p.root, process, "mountinfo"))
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`)
	name := func(field string) string {
		if strings.Contains(field, `\`) { // else it would cost more than all the rest
			field = unescape.Replace(field)
		}
		return strings.TrimSuffix(field, "/")
	}
	path = strings.TrimSuffix(path, "/") + "/"
	for line := range strings.SplitSeq(string(text), "\n") {
		f := strings.SplitN(line, " ", 6)
		if len(f) < 6 {
			continue
		}
		if rest, ok := strings.CutPrefix(path, name(f[4])+"/"); ok {
			where = f[2] + " " + strings.TrimSuffix(name(f[3])+"/"+rest, "/")
		}
	}
	return where
}

// startedAfter tells whether a time lies after the start of a process of that age. One later than now, by a wrong clock, proves nothing.
func startedAfter(age time.Duration, err error) func(time.Time) bool {
	now := time.Now()
	start := now.Add(-age).Add(30 * time.Millisecond) // ages are known to two ticks of 10 ms
	return func(at time.Time) bool { return err == nil && at.After(start) && !at.After(now) }
}

// changed tells whether the file at path, or a link on the way to it, was put in place at such a time.
func changed(path string, since func(time.Time) bool) bool {
	return slices.ContainsFunc(changes(path), since)
}

// changes are the times at which the file at path was made and written, and each link on the way to it was put in place.
// The time of a file's last change is that also of its mode, owner and names, so it counts only where the other is unknown.
func changes(path string) (times []time.Time) {
	if info, err := os.Stat(path); err == nil {
		made := birth(path, info)
		if made.IsZero() {
			made = changeTime(info)
		}
		times = append(times, made, info.ModTime())
	}
	for _, name := range wayTo(path) {
		if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeSymlink != 0 {
			times = append(times, changeTime(info))
		}
	}
	return times
}
