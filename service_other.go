//go:build !linux && !darwin

// Other systems have no service manager that this tool speaks to: they can run the collector in the foreground.
package main

import (
	"context"
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
	return (&net.Dialer{Deadline: deadline, KeepAlive: -1}).Dial("tcp4", "127.0.0.1:"+strconv.Itoa(port))
}

// alive cannot tell here, so that the wait asks at its own pace.
func alive(int) bool { return true }

func isTerminal(uintptr) bool { return false }

func columns(uintptr) int { return 0 }

func folderLock(...string) func(context.Context, func()) (func(), error) {
	return func(context.Context, func()) (func(), error) { return func() {}, nil }
}

func (a *app) choose() (environ []string) {
	a.processes = procfs{root: os.DevNull}
	a.lock = folderLock()
	return nil
}
