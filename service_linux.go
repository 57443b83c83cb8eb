// Linux: systemd, and the facts that only Linux can give.
package main

import (
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
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
	m := systemd{home: w.home, uid: w.uid, user: w.getenv("USER"), runtimeDir: w.getenv("XDG_RUNTIME_DIR")}
	if u, err := user.LookupId(strconv.Itoa(w.uid)); err == nil {
		m.user = u.Username
	}
	if own := "/run/user/" + strconv.Itoa(w.uid); m.runtimeDir == "" {
		if info, err := os.Stat(own); err == nil {
			if owner, ok := fileOwner(info); ok && owner == w.uid {
				m.runtimeDir = own
				environ = append(environ, "XDG_RUNTIME_DIR="+own)
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.wsl = w.getenv("WSL_DISTRO_NAME") != "" || strings.Contains(strings.ToLower(string(kernel)), "microsoft")
	for _, sign := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(sign); err == nil {
			m.container = true
		}
	}
	m.container = m.container || w.getenv("container") != ""
	w.manager, w.processes = m, procfs{"/proc"}
	folder := m.runtimeDir
	if info, err := os.Stat(folder); folder == "" || err != nil || !info.IsDir() {
		folder = w.home
	}
	w.lock = folderLock(filepath.Clean(folder))
	return environ
}
