// Linux: systemd, and the facts that only Linux can give.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const ioctlGetTermios, noExecFlag = syscall.TCGETS, 8 // statfs(2): ST_NOEXEC

// changeTime is when a file was last written, renamed, or changed in its attributes.
func changeTime(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}

// birth is when a file was made (statx(2): STATX_BTIME), which no change of its mode, owner or names changes; zero: unknown.
func birth(path string, _ fs.FileInfo) time.Time {
	call := map[string]uintptr{"amd64": 332, "386": 383, "arm": 397, "arm64": 291, "riscv64": 291,
		"loong64": 291, "ppc64le": 383, "s390x": 379}[runtime.GOARCH]
	name, err := syscall.BytePtrFromString(path)
	if err != nil || call == 0 {
		return time.Time{}
	}
	var answer [256]byte // struct statx
	here := -100         // AT_FDCWD
	_, _, errno := syscall.Syscall6(call, uintptr(here), uintptr(unsafe.Pointer(name)), 0, 0x800, uintptr(unsafe.Pointer(&answer)), 0)
	if errno != 0 || binary.NativeEndian.Uint32(answer[:])&0x800 == 0 {
		return time.Time{}
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(answer[80:])), int64(binary.NativeEndian.Uint32(answer[88:])))
}

// The clocks of clock_gettime(2): that by which systemd tells times, and the time since the boot, sleep included.
func monotonic() time.Duration { return clock(1) }
func bootTime() time.Duration  { return clock(7) }

func clock(id uintptr) time.Duration {
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano())
}

// choose gives the app systemd. It returns XDG_RUNTIME_DIR for the commands, where su, cron and sudo -i left it out.
func (a *app) choose() (environ []string) {
	m := systemd{home: a.home, uid: a.uid, user: func() string { return userName(a.uid, a.getenv("USER")) }, getenv: a.getenv,
		runtimeDir: a.getenv("XDG_RUNTIME_DIR"), returns: 3 * time.Second, clock: monotonic}
	if own := "/run/user/" + userID(a.uid); m.runtimeDir == "" && ownerOf(own, -1) == a.uid {
		m.runtimeDir = own
		environ = append(environ, "XDG_RUNTIME_DIR="+own)
	}
	a.manager, a.processes, a.adopt = m, procfs{"/proc", sockDiag, bootTime}, adopt
	a.unbound, a.lock = unbound, folderLock(m.runtimeDir, a.home)
	if config := a.getenv("XDG_CONFIG_HOME"); filepath.IsAbs(config) && filepath.Clean(config) != filepath.Join(a.home, ".config") {
		a.locate = func(ctx context.Context, run Runner) serviceManager {
			other := m
			other.config = config
			_, err := os.Lstat(other.path()) // where nobody can be asked, this tells
			if seen := other.surroundings(ctx, run, state{}).err; seen == nil || err == nil {
				return other
			}
			return m
		}
	}
	return environ
}

func (b bond) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: b.ownGroup, Pdeathsig: b.death}
}

// adopt makes this process inherit the orphans among its descendants (prctl(2), PR_SET_CHILD_SUBREAPER), as the first
// process of a container does. died tells that a child has ended. strays collects those that have, but not keep, and
// returns the others that are not in this process group, and were not ours before.
func adopt() (died <-chan os.Signal, strays func(keep, group int) []int) {
	syscall.RawSyscall(syscall.SYS_PRCTL, 36, 1, 0)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	before := collect(0)
	return signals, func(keep, group int) []int {
		return slices.DeleteFunc(collect(keep), func(pid int) bool {
			its, _ := syscall.Getpgid(pid)
			return its == group || slices.Contains(before, pid)
		})
	}
}

// collect waits for the children that have ended, but for keep, which somebody else waits for, and returns those that have not.
func collect(keep int) (living []int) {
	for _, pid := range (procfs{root: "/proc"}).pids() {
		if pid == keep {
			continue
		}
		if ended, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err == nil && ended == 0 { // else it is no child
			living = append(living, pid)
		}
	}
	return living
}

// dial connects to a port of 127.0.0.1, on a socket of its own making: what imports net is linked against the C library
// wherever a C compiler is at hand, and then takes half as long again to start.
func dial(port int, deadline time.Time) (connection, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn := os.NewFile(uintptr(fd), "127.0.0.1:"+strconv.Itoa(port))
	conn.SetDeadline(deadline)
	raw, err := conn.SyscallConn()
	if err == nil {
		var refused error
		err = raw.Write(func(uintptr) (done bool) { // again whenever there is news; connect(2) then tells which
			refused = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
			return refused != syscall.EINPROGRESS && refused != syscall.EALREADY && refused != syscall.EINTR
		})
		if err == nil {
			err = refused
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// sockDiag asks the kernel for the listening TCP sockets by sock_diag(7). /proc/net/tcp also goes through the table of
// all connections, whose size grows with the memory of the machine, and takes milliseconds for that.
func sockDiag() ([]listener, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 4) // NETLINK_SOCK_DIAG
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	second := syscall.Timeval{Sec: 1}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &second); err != nil {
		return nil, err
	}
	var all []listener
	answer := make([]byte, 8<<10) // no message of the kernel is longer (<linux/netlink.h>: NLMSG_GOODSIZE)
	for _, family := range []byte{syscall.AF_INET, syscall.AF_INET6} {
		request := make([]byte, syscall.NLMSG_HDRLEN+56) // <linux/inet_diag.h>: struct inet_diag_req_v2
		binary.NativeEndian.PutUint32(request, uint32(len(request)))
		binary.NativeEndian.PutUint16(request[4:], 20) // SOCK_DIAG_BY_FAMILY
		binary.NativeEndian.PutUint16(request[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
		body := request[syscall.NLMSG_HDRLEN:]
		body[0], body[1] = family, syscall.IPPROTO_TCP
		binary.NativeEndian.PutUint32(body[4:], 1<<10) // TCP_LISTEN
		if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
			return nil, err
		}
		for done := false; !done; {
			n, _, err := syscall.Recvfrom(fd, answer, 0)
			if err != nil {
				return nil, err
			}
			messages, err := syscall.ParseNetlinkMessage(answer[:n])
			if err != nil {
				return nil, err
			}
			for _, m := range messages {
				switch {
				case m.Header.Type == syscall.NLMSG_DONE:
					done = true
				case m.Header.Type == syscall.NLMSG_ERROR || len(m.Data) < 72:
					return nil, errors.New("sock_diag is not available")
				default: // struct inet_diag_msg
					addr := netip.AddrFrom4([4]byte(m.Data[8:12]))
					if family == syscall.AF_INET6 {
						addr = netip.AddrFrom16([16]byte(m.Data[8:24])).Unmap()
					}
					all = append(all, listener{addr, int(binary.BigEndian.Uint16(m.Data[4:])),
						int(binary.NativeEndian.Uint32(m.Data[64:])), strconv.FormatUint(uint64(binary.NativeEndian.Uint32(m.Data[68:])), 10)})
				}
			}
		}
	}
	return all, nil
}
