//go:build linux || darwin

// What Linux and macOS share, and no other system this tool builds on needs.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// signalGroup sends a signal to the process group of a command that has one of its own.
func signalGroup(pid int, sig syscall.Signal) error { return syscall.Kill(-pid, sig) }

// jobSignals are those by which a terminal stops a job, and a shell lets it go on.
func jobSignals() (stop, goOn os.Signal) { return syscall.SIGTSTP, syscall.SIGCONT }

// suspend stops this process until SIGCONT.
func suspend() { syscall.Kill(os.Getpid(), syscall.SIGSTOP) }

// unbound says why a port cannot be bound in the way of the collector (socket(7): SO_REUSEADDR); nil where it can.
func unbound(port int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock() // until it is closed: a child would go on to hold it
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil // which says nothing of the port
	}
	defer syscall.Close(fd)
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	return syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
}

// fileOwner is the user ID that a file belongs to.
func fileOwner(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// mayAccess tells whether this user may run a file (1, X_OK of access(2)) or write to it (2, W_OK).
func mayAccess(path string, how uint32) bool { return syscall.Access(path, how) == nil }

// noExec tells whether a file is on a file system from which nothing may be run.
func noExec(path string) bool {
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Flags&noExecFlag != 0
}

// inode is a file's inode number in decimal.
func inode(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(uint64(stat.Ino), 10)
}

// alive tells whether a process exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || err == syscall.EPERM
}

func isTerminal(fd uintptr) bool {
	var termios syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, ioctlGetTermios, uintptr(unsafe.Pointer(&termios)))
	return errno == 0
}

// columns is the width of a terminal (tty_ioctl(4)), 0 where it is not known.
func columns(fd uintptr) int {
	var size struct{ rows, columns, x, y uint16 }
	syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	return int(size.columns)
}

// lockDeadline is longer than any command needs for its changes; its holder may have been stopped by a signal.
const lockDeadline = 3 * time.Minute

// folderLock locks, by flock(2), the first of these folders that is ours alone: who may open one could keep us waiting. The lock
// ends with the process. Where there is no folder, nothing is locked: then there is no manager either, as later checks say.
func folderLock(folders ...string) func(context.Context, func()) (func(), error) {
	return func(ctx context.Context, first func()) (func(), error) {
		at := slices.IndexFunc(folders, func(folder string) bool {
			info, err := os.Stat(folder)
			if err != nil {
				return false
			}
			owner, _ := fileOwner(info)
			return info.IsDir() && info.Mode().Perm()&0o077 == 0 && owner == os.Getuid()
		})
		if at < 0 {
			return func() {}, nil
		}
		dir, err := os.Open(folders[at])
		if err != nil {
			return func() {}, nil
		}
		give := time.After(lockDeadline)
		for waited := false; ; {
			err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			if err == nil {
				return func() {
					syscall.Flock(int(dir.Fd()), syscall.LOCK_UN) // a child that another thread is just forking holds it still after a Close
					dir.Close()
				}, nil
			}
			if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
				return func() { dir.Close() }, nil // a file system without locks: better unlocked than not at all
			}
			if !waited {
				first()
				waited = true
			}
			select {
			case <-ctx.Done():
				dir.Close()
				return nil, errInterrupted
			case <-give:
				dir.Close()
				return nil, fmt.Errorf("timed out after %s waiting for another runtimescope command to finish", duration(lockDeadline))
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}
