// Linux: systemd, and the facts that only Linux can give.
package main

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const ioctlGetTermios = syscall.TCGETS

// changeTime is when a file was last written, renamed, or changed in its attributes.
func changeTime(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}

// choose gives the world systemd. It returns what the commands need in their environment besides our own:
// XDG_RUNTIME_DIR, where su, cron and sudo -i left it out.
func (w *world) choose() (environ []string) {
	m := systemd{home: w.home, uid: w.uid, user: userName(w.uid, w.getenv("USER")), getenv: w.getenv, runtimeDir: w.getenv("XDG_RUNTIME_DIR")}
	if own := "/run/user/" + strconv.Itoa(w.uid); m.runtimeDir == "" {
		if info, err := os.Stat(own); err == nil {
			if owner, ok := fileOwner(info); ok && owner == w.uid {
				m.runtimeDir = own
				environ = append(environ, "XDG_RUNTIME_DIR="+own)
			}
		}
	}
	w.manager, w.processes = m, procfs{"/proc"}
	folder := m.runtimeDir
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		folder = w.home
	}
	w.lock = folderLock(folder)
	return environ
}

// userName finds the name of a user in /etc/passwd, else takes the one from the environment, which su may have left
// as it was. Asking the C library would cost more than all the rest of a start.
func userName(uid int, otherwise string) string {
	text, _ := os.ReadFile("/etc/passwd")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == strconv.Itoa(uid) {
			return f[0]
		}
	}
	return otherwise
}
