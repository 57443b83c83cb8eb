// macOS: launchd, and the facts that only macOS can give.
package main

import (
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const ioctlGetTermios, noExecFlag = syscall.TIOCGETA, 4 // <sys/mount.h>: MNT_NOEXEC

// changeTime is when a file was last written, renamed, or changed in its attributes.
func changeTime(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctimespec.Unix())
	}
	return info.ModTime()
}

// birth is when a file was made; zero: unknown.
func birth(_ string, info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Birthtimespec.Unix())
	}
	return time.Time{}
}

// dial connects to a port of 127.0.0.1.
func dial(port int, deadline time.Time) (connection, error) {
	return (&net.Dialer{Deadline: deadline, KeepAlive: -1}).Dial("tcp4", "127.0.0.1:"+strconv.Itoa(port))
}

func (b bond) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: b.ownGroup} }

// choose gives the app launchd. The commands need nothing in their environment besides our own.
func (a *app) choose() (environ []string) {
	a.manager = launchd{home: a.home, uid: a.uid, user: a.getenv("USER"), returns: 5 * time.Second}
	a.processes = lsofTable{started: startTime, answers: a.answers}
	a.lock = folderLock(filepath.Join(a.home, "Library"), a.home)
	a.unbound = unbound
	return nil
}

// startTime asks the kernel when a process was started, to the microsecond (sysctl(3)).
func startTime(pid int) (time.Time, error) {
	name, raw, size := kernProcPID(pid), make([]byte, kinfoProcSize), uintptr(kinfoProcSize)
	_, _, errno := syscall.Syscall6(syscall.SYS___SYSCTL, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)),
		uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&size)), 0, 0)
	if errno != 0 {
		return time.Time{}, errno
	}
	return parseKinfoProc(raw[:size], pid)
}
