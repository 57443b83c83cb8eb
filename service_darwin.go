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

// choose gives the world launchd. The commands need nothing in their environment besides our own.
func (w *world) choose() (environ []string) {
	w.manager = launchd{home: w.home, uid: w.uid, user: w.getenv("USER")}
	w.processes = lsofTable{}
	w.lock = folderLock(w.home)
	return nil
}
