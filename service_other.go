//go:build !linux && !darwin

// Other systems have no service manager that this tool speaks to: they can run the collector in the foreground.
package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// signalGroup reaches the process alone.
func signalGroup(pid int, sig syscall.Signal) error {
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Signal(sig)
	}
	return err
}

func (b bond) attributes() *syscall.SysProcAttr { return nil }

func jobSignals() (stop, goOn os.Signal) { return nil, nil }

func suspend() {}

func fileOwner(fs.FileInfo) (uid int, ok bool) { return 0, false }

func mayAccess(string, uint32) bool { return true }

func noExec(string) bool { return false }

func inode(fs.FileInfo) string { return "" }

func changeTime(info fs.FileInfo) time.Time { return info.ModTime() }

func birth(string, fs.FileInfo) time.Time { return time.Time{} }

// dial connects to a port of 127.0.0.1.
func dial(port int, deadline time.Time) (connection, error) {
	conn, err := (&net.Dialer{Deadline: deadline, KeepAlive: -1}).Dial("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if errors.Is(err, syscall.Errno(10061)) { // WSAECONNREFUSED
		err = syscall.ECONNREFUSED
	}
	return conn, err
}

// unbound says why a port cannot be bound; nil where it can. On Windows it can also where somebody listens on all addresses.
func unbound(port int) error {
	if conn, err := dial(port, time.Now().Add(500*time.Millisecond)); err == nil {
		conn.Close()
		return errors.New("something answers there already")
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err == nil {
		listener.Close()
	}
	return err
}

// alive cannot tell here, so that the wait asks at its own pace.
func alive(int) bool { return true }

func isTerminal(uintptr) bool { return false }

func columns(uintptr) int { return 0 }

func folderLock(...string) func(context.Context, func()) (func(), error) {
	return func(context.Context, func()) (func(), error) { return func() {}, nil }
}

func (a *app) choose() (environ []string) {
	a.processes, a.unbound, a.lock = otherProcesses{}, unbound, folderLock()
	if windows, ok := any(a).(interface {
		ownJob() (died <-chan os.Signal, strays func(keep, group int) []int)
	}); ok {
		a.adopt = windows.ownJob
	}
	return nil
}

// otherProcesses are those of a system that is not asked for them.
type otherProcesses struct{ procfs }

func (otherProcesses) holders(context.Context, int) (func(int) []holder, error) {
	return nil, errors.New("this system is not asked")
}
