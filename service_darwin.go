// macOS: launchd, and the facts that only macOS can give.
package main

import (
	"io/fs"
	"syscall"
	"time"
)

const ioctlGetTermios = syscall.TIOCGETA

// changeTime is when a file was last written, renamed, or changed in its attributes.
func changeTime(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctimespec.Unix())
	}
	return info.ModTime()
}

// noExec tells whether a file is on a file system from which nothing may be run (<sys/mount.h>: MNT_NOEXEC).
func noExec(path string) bool {
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Flags&4 != 0
}

// choose gives the app launchd. The commands need nothing in their environment besides our own.
func (a *app) choose() (environ []string) {
	a.manager = launchd{home: a.home, uid: a.uid, user: a.getenv("USER")}
	a.processes = lsofTable{}
	a.lock = folderLock(a.home)
	return nil
}
