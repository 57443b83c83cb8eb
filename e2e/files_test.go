// End-to-end tests of the unit file: changed, lost or guarded by hand, and a disk that takes no more.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestE2EChangedUnitIsReportedUntilRestart(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	text := strings.Replace(e.read(e.unit), "RestartSec=5", "RestartSec=7", 1)
	time.Sleep(10 * time.Millisecond) // systemd compares times of modification
	e.write(e.unit, text, 0o644)
	same(t, "restart_needed", e.agrees("running")["restart_needed"], true)
	e.exits(0, "service status").says("⚠ Restart needed: the definition has changed")
	e.exits(0, "service restart")
	if got := e.agrees("running"); got["restart_needed"] != false || e.show("RestartUSec") != "7s" || e.read(e.unit) != text {
		t.Errorf("restart did not load the unit: RestartUSec=%s, %v", e.show("RestartUSec"), got)
	}
}

func TestE2EAChangeOfModeOwnerOrNamesAloneIsNone(t *testing.T) {
	e := newE2E(t)
	program := filepath.Join(e.bin, "real")
	e.ok(os.Rename(e.collector, program))
	e.write(e.collector, "#!/bin/sh\nexec "+program+"\n", 0o755)
	e.exits(0, "service install")
	pid := e.serves()
	time.Sleep(100 * time.Millisecond) // times of files and processes are compared
	for _, path := range []string{e.unit, e.collector, program} {
		info, err := os.Stat(path)
		e.ok(err)
		e.ok(os.Chmod(path, info.Mode()^0o040))
		e.ok(os.Chown(path, os.Getuid(), os.Getgid()))
		e.ok(os.Link(path, filepath.Join(e.home, filepath.Base(path))))
	}
	ahead := time.Now().Add(24 * time.Hour)
	e.ok(os.Chtimes(e.collector, ahead, ahead)) // as by a file server whose clock is ahead
	same(t, "status wants a restart", e.agrees("running")["restart_needed"], false)
	e.exits(0, "service update").says("Already up to date")
	same(t, "update restarted", e.serves(), pid)
	e.ok(os.Rename(e.collector, e.collector+".old"))
	e.write(e.collector, "#!/bin/sh\nexec "+program+"\n# 2\n", 0o755)
	e.ok(os.Chtimes(e.collector, ahead.Add(-1000*time.Hour), ahead.Add(-1000*time.Hour))) // as dpkg and tar keep it
	e.exits(0, "service status").says("⚠ Restart needed: the binary has been replaced")
	e.exits(0, "service update").says("✓ Collector is healthy")
	e.exits(0, "service update").says("Already up to date")
}

func TestE2EEditedUnitIsKeptBesideTheNewOne(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	unit := e.read(e.unit)
	dropin := e.unit + ".d/mine.conf"
	e.write(dropin, "[Service]\nNice=5\n", 0o644)
	for _, kept := range []string{".bak", ".bak.1"} {
		edited := unit + "# " + kept + "\n"
		e.write(e.unit, edited, 0o644)
		e.exits(0, "service install").says(e.unit + ".bak")
		if e.read(e.unit) != unit || e.read(e.unit+".bak") != edited || e.read(dropin) != "[Service]\nNice=5\n" {
			t.Errorf("not kept as .bak: %s", e.tree())
		}
	}
	same(t, "the older .bak was lost", e.read(e.unit+".bak.1"), unit+"# .bak\n")
	e.exits(0, "service uninstall")
	if e.read(dropin) == "" {
		t.Error("uninstall touched the drop-in")
	}
}

func TestE2EOlderUnitThatIsPutBackIsSeenAndLoaded(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	old := e.http
	e.ok(os.Link(e.unit, e.unit+".old"))
	e.http = e.freePort()
	e.env["RUNTIMESCOPE_HTTP_PORT"] = strconv.Itoa(e.http)
	e.exits(0, "service install")
	e.serves()
	delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
	e.ok(os.Rename(e.unit+".old", e.unit)) // systemd takes only a file newer than the loaded one for changed
	if r := e.exits(0, "service status --json"); !strings.Contains(r.out, `"restart_needed":true`) {
		t.Errorf("not seen: %v", r)
	}
	e.http = old
	e.exits(0, "service restart").says(e.url())
	e.serves()
	e.agrees("running")
}

func TestE2ENewDropInIsReportedUntilRestart(t *testing.T) {
	e := newE2E(t, "my 100%h höme")
	e.exits(0, "service install")
	for i, name := range []string{"first.conf", "the 2nd.conf"} { // in a folder that was not there, systemd 247 and 252 do not miss one
		e.write(filepath.Join(e.unit+".d", name), fmt.Sprintf("[Service]\nRestartSec=%d\n", 7+i), 0o644)
		same(t, fmt.Sprintf("%s: restart_needed", name), e.agrees("running")["restart_needed"], true)
		e.exits(0, "service status").says("⚠ Restart needed: the definition has changed")
		e.exits(0, "service restart")
		if got, want := e.show("RestartUSec"), fmt.Sprintf("%ds", 7+i); got != want {
			t.Errorf("%s was not loaded: RestartUSec is %s, not %s", name, got, want)
		}
		same(t, fmt.Sprintf("%s: restart_needed", name), e.agrees("running")["restart_needed"], false)
	}
	e.ok(os.RemoveAll(e.unit + ".d"))
	e.exits(0, "service restart")
	same(t, "the drop-ins are still in force: RestartUSec", e.show("RestartUSec"), "5s")
}

func TestE2EUnitDeletedByHandIsReportedAndRestoredOrCleared(t *testing.T) {
	e := newE2E(t)
	for _, reload := range []bool{false, true} {
		lose := func() {
			e.ok(os.Remove(e.unit))
			if reload {
				e.systemctl("daemon-reload")
			}
			e.exits(0, "service status").says("✓ Service is active", "⚠ the unit of the service is gone: "+e.unit)
		}
		e.exits(0, "service install")
		before := e.serves()
		lose()
		e.exits(0, "service install").says("✓ Collector is healthy")
		if e.serves() == before {
			t.Error("install did not start it anew")
		}
		e.agrees("running")
		lose()
		e.exits(0, "service uninstall").says("✓ Service uninstalled")
		e.gone()
		e.agrees("not-installed")
	}
}

func TestE2EMaskedUnitIsLeftAlone(t *testing.T) {
	e := newE2E(t)
	e.systemctl("mask", "runtimescope.service")
	for _, args := range []string{"service install", "service restart", "dashboard --no-open"} {
		e.refused(args, "masked", "systemctl --user unmask runtimescope.service")
	}
	e.exits(0, "service uninstall").says("Service is not installed.", "⚠ the service is masked", "systemctl --user unmask runtimescope.service")
	e.exits(0, "service status").says("⚠ the service is masked", "systemctl --user unmask runtimescope.service").saysNot("service install", "service start")
	e.exits(3, "service status --exit-code")
	e.agrees("stopped")
	e.systemctl("unmask", "runtimescope.service")
	e.exits(0, "service install")
	e.serves()
}

func TestE2ESymlinkedUnitIsUsedAndNotWritten(t *testing.T) {
	e := newE2E(t)
	target := filepath.Join(e.home, "dotfiles/runtimescope.service")
	text := e2eUnit(e.collector, fmt.Sprintf("Environment=RUNTIMESCOPE_HTTP_PORT=%d\nEnvironment=RUNTIMESCOPE_PORT=%d\n", e.http, e.ws))
	e.write(target, text, 0o644)
	e.mkdir(filepath.Dir(e.unit))
	e.ok(os.Symlink(target, e.unit))
	e.systemctl("daemon-reload")
	e.systemctl("start", "runtimescope.service")
	e.until("it serves", func() bool { return holdsPort(e.pid(), e.http) })
	pid := e.serves()
	e.refused("service install", "symlink", target)
	if e.read(target) != text || e.serves() != pid {
		t.Errorf("it was changed: PID %d, then %d, %q", pid, e.pid(), e.read(target))
	}
	e.exits(0, "service update").says("Already up to date")
	e.exits(0, "service restart").says("✓ Service restarted")
	if e.read(target) != text || e.serves() == pid {
		t.Errorf("it is PID %d still, or was written: %q", pid, e.read(target))
	}
	if got := e.exits(0, "service status --json"); !strings.Contains(got.out, `"state":"running","healthy":true`) {
		t.Errorf("status: %v", got)
	}
	e.exits(0, "service stop").says("service restart")
	e.stopped()
	e.exits(0, "service restart")
	e.exits(0, "service uninstall").says("✓ Service uninstalled", target)
	e.stopped()
	if _, err := os.Lstat(e.unit); err == nil || e.read(target) != text {
		t.Errorf("the link is there still, or its target was written: %q", e.read(target))
	}
}

func TestE2EReadOnlyUnitFolderChangesNothing(t *testing.T) {
	e := newE2E(t)
	units := filepath.Dir(e.unit)
	e.mkdir(units)
	lock := func() { e.ok(os.Chmod(units, 0o555)) }
	open := func() { os.Chmod(units, 0o755) }
	t.Cleanup(open)
	lock()
	before := e.tree()
	e.changes()
	e.exits(1, "service install").says("✗ write " + e.unit + ": permission denied").saysNot("rolled back")
	e.wantChanges()
	open()
	config := e.config
	e.ok(os.Rename(config, config+".away"))
	e.write(config, "", 0o644)
	e.exits(1, "service install").says("✗ " + config + " exists but is not a directory").saysNot("rolled back")
	e.ok(os.Remove(config))
	e.ok(os.Mkdir(config, 0o555))
	e.exits(1, "service install").says("✗ mkdir " + config + "/systemd: permission denied").saysNot("rolled back")
	e.wantChanges()
	e.ok(os.Remove(config))
	e.ok(os.Rename(config+".away", config))
	lock()
	if e.tree() != before || e.show("LoadState") != "not-found" {
		t.Errorf("something was left: %s", e.tree())
	}
	open()
	e.exits(0, "service install")
	pid := e.serves()
	e.write(e.unit, e.read(e.unit)+"# edited\n", 0o644)
	before = e.tree()
	lock()
	e.changes()
	e.exits(1, "service install").says("✗ write "+e.unit+".bak: permission denied").saysNot(temporary, "rolled back")
	e.wantChanges()
	open()
	if e.tree() != before || e.serves() != pid {
		t.Errorf("PID %d, then %d; files:\n%s\nbefore:\n%s", pid, e.pid(), e.tree(), before)
	}
	lock()
	e.exits(1, "service uninstall").says("permission denied")
	open()
	same(t, "files", e.tree(), before)
	// A step failed, so those before it, the stop among them, are undone.
	e.until("it serves again", func() bool { return holdsPort(e.pid(), e.http) })
	e.serves()
	e.exits(0, "service uninstall")
	e.gone()
}

func TestE2EFullDiskChangesNothing(t *testing.T) {
	e := newE2E(t)
	if !e.mayUseNamespaces() {
		t.Skip("this system lets users make no namespace, so no small file system can be mounted")
	}
	units := filepath.Dir(e.unit)
	e.mkdir(units)
	e.changes()
	e.prefix = []string{"unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c",
		`mount -t tmpfs -o size=4k none "$0" && head -c 4096 /dev/zero >"$0/full" && "$@"; code=$?; ls -A "$0"; exit $code`, units}
	r := e.exits(1, "service install").says("no space left on device")
	same(t, fmt.Sprintf("left behind: %v", r), r.out, "full\n")
	e.prefix = nil
	same(t, "systemd knows a unit", e.show("LoadState"), "not-found")
	e.noFiles()
	e.exits(0, "service install")
	e.serves()
}

func TestE2EFailedEnableIsTakenBack(t *testing.T) {
	e := newE2E(t)
	folder := filepath.Dir(e.wants)
	e.write(folder, "", 0o644) // where the link would go
	before := e.tree()
	e.exits(1, "service install").says("systemctl --user enable", "Changes were rolled back")
	if e.tree() != before || e.show("LoadState") != "not-found" {
		t.Errorf("not taken back, LoadState %s:\n%s", e.show("LoadState"), e.tree())
	}
	e.stopped()

	e.ok(os.Remove(folder))
	e.exits(0, "service install")
	e.ok(os.RemoveAll(folder))
	e.write(folder, "", 0o644)
	before = e.tree()
	loaded, http := e.show("Environment"), e.env["RUNTIMESCOPE_HTTP_PORT"]
	e.env["RUNTIMESCOPE_HTTP_PORT"] = strconv.Itoa(e.freePort())
	e.exits(1, "service install").says("systemctl --user enable", "Changes were rolled back")
	e.env["RUNTIMESCOPE_HTTP_PORT"] = http
	if systemd := e.shown(); e.tree() != before || systemd["Environment"] != loaded {
		t.Errorf("not taken back, systemd has %s, not %s, and the files are:\n%s\nbefore:\n%s", systemd["Environment"], loaded, e.tree(), before)
	}
	e.until("it serves on its old ports", func() bool { return holdsPort(e.pid(), e.http) })
	e.serves()
}
