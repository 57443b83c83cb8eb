// End-to-end tests of what people do to a unit and around it: drop-ins, wrappers, links, other homes, half-finished
// changes. Each of these once led to a sentence that was not true, or to advice that did not help.
package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dropIn writes a drop-in of the unit.
func (e *e2e) dropIn(text string) { e.write(e.unit+".d/x.conf", text, 0o644) }

// runs checks which program the service runs.
func (e *e2e) runs(path string) {
	e.t.Helper()
	if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", e.pid())); target != path {
		e.t.Errorf("%q runs, not %q", target, path)
	}
}

// answers tells whether something accepts connections on the HTTP port.
func (e *e2e) answers() bool {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.http))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// another is a copy of the collector under another path.
func (e *e2e) another(path ...string) string {
	full := filepath.Join(append([]string{e.home}, path...)...)
	e.mkdir(filepath.Dir(full))
	e.copyProgram(e.collector, full)
	return full
}

func TestE2EWhatADropInRunsInsteadIsSaid(t *testing.T) {
	e := newE2E(t)
	other := e.another("other", "collector-server")
	e.dropIn("[Service]\nExecStart=\nExecStart=" + other + "\n")
	e.exits(0, "service install").says("✓ Collector is healthy", "⚠ The service runs "+other)
	e.runs(other)
	e.exits(0, "service install").says("Collector: "+other, "✓ Collector is healthy")
	e.runs(other)
	if got := e.agrees("running"); got["collector"] != other || got["restart_needed"] != false {
		t.Errorf("status: %v", got)
	}
}

func TestE2EAPortFromAFileOfVariablesIsFollowed(t *testing.T) {
	e := newE2E(t)
	port := strconv.Itoa(e.freePort())
	e.write(filepath.Join(e.home, "rs.env"), "RUNTIMESCOPE_HTTP_PORT="+port+"\n", 0o644)
	e.dropIn("[Service]\nEnvironmentFile=%h/rs.env\n")
	e.exits(1, "service install").says("✗ the service uses ports " + port)
	delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
	for _, args := range []string{"service restart", "service install", "service status"} {
		e.exits(0, args).says("✓ Collector is healthy and serving on http://127.0.0.1:" + port)
	}
	e.http, _ = strconv.Atoi(port)
	same(t, "status", e.agrees("running")["restart_needed"], false)
	e.exits(0, "service doctor").says("✓ ports")
}

func TestE2EAPortFromTheManagersEnvironmentIsFollowed(t *testing.T) {
	e := newE2E(t)
	delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
	delete(e.env, "RUNTIMESCOPE_PORT")
	e.write(e.unit, e2eUnit(e.collector, fmt.Sprintf("Environment=RUNTIMESCOPE_PORT=%d\n", e.ws)), 0o644)
	e.systemctl("set-environment", fmt.Sprintf("RUNTIMESCOPE_HTTP_PORT=%d", e.http))
	e.systemctl("daemon-reload")
	e.systemctl("enable", "runtimescope.service")
	e.exits(0, "service restart").says("✓ Collector is healthy and serving on " + e.url())
	e.agrees("running")
}

func TestE2EAPortThatIsNotTheUnitsIsNoChange(t *testing.T) {
	for _, c := range []struct {
		what string
		make func(e *e2e, port int)
	}{
		{"a wrapper's", func(e *e2e, port int) {
			e.write(e.collector, fmt.Sprintf("#!/bin/sh\nexport RUNTIMESCOPE_HTTP_PORT=%d\nexec %s\n", port, e.another("libexec", "collector-server")), 0o755)
		}},
		{"of all services", func(e *e2e, port int) {
			e.write(filepath.Join(filepath.Dir(e.unit), "service.d/p.conf"), fmt.Sprintf("[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=%d\n", port), 0o644)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			e := newE2E(t)
			other := e.freePort()
			c.make(e, other)
			r := e.exits(1, "service install").says(fmt.Sprintf("✗ the service uses ports %d and %d, not %d", other, e.ws, e.http))
			if c.what == "a wrapper's" {
				r.says("although they are not set by its unit").saysNot("drop-in")
			}
			delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
			e.http = other
			e.exits(0, "service status").says("✓ Collector is healthy and serving on " + e.url()).saysNot("Restart needed")
			e.exits(0, "service update").says("Already up to date")
			same(t, "status", e.agrees("running")["restart_needed"], false)
		})
	}
}

func TestE2EAPropertyThatWasSetNeedsNoRestart(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	time.Sleep(100 * time.Millisecond) // times of files and processes are compared
	e.systemctl("set-property", "runtimescope.service", "CPUWeight=50")
	same(t, "status", e.agrees("running")["restart_needed"], false)
	e.exits(0, "service update").says("Already up to date")
}

func TestE2EWhatSystemdEndsForATimeLimitIsToldByItsOwn(t *testing.T) {
	for setting, says := range map[string]string{"RuntimeMaxSec": "a time limit of the unit expired", "WatchdogSec": "it did not report within WatchdogSec"} {
		t.Run(setting, func(t *testing.T) {
			e := newE2E(t)
			e.dropIn("[Service]\nRestartSec=1000\n" + setting + "=1500ms\n")
			e.exits(0, "service install")
			e.until("it has been ended", func() bool { return e.show("ActiveState") == "activating" })
			e.exits(0, "service status").says("(systemd stopped it: " + says + ")").saysNot("TimeoutStartSec")
		})
	}
}

func TestE2EADefinitionThatWasLoadedButNotStartedOnNeedsARestart(t *testing.T) {
	for _, by := range []string{"the unit", "a drop-in"} {
		t.Run(by, func(t *testing.T) {
			e := newE2E(t)
			e.exits(0, "service install")
			old := e.http
			e.http = e.freePort()
			if by == "the unit" {
				e.write(e.unit, strings.ReplaceAll(e.read(e.unit), strconv.Itoa(old), strconv.Itoa(e.http)), 0o644)
			} else {
				e.dropIn(fmt.Sprintf("[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=%d\n", e.http))
			}
			delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
			e.systemctl("daemon-reload")
			e.exits(0, "service status").says(fmt.Sprintf("✓ Collector is healthy and serving on http://127.0.0.1:%d", old),
				"⚠ Restart needed: the definition has changed since the collector was started")
			e.exits(0, "service doctor").says("⚠ definition: Restart needed: the definition has changed")
			e.exits(0, "service update").says("✓ Collector is healthy and serving on " + e.url())
			e.exits(0, "service update").says("Already up to date")
			e.agrees("running")
		})
	}
}

func TestE2EAUnitWithSpecifiersIsReplaced(t *testing.T) {
	e := newE2E(t)
	e.write(e.unit, e2eUnit("%h/bin/collector-server", fmt.Sprintf("Environment=RUNTIMESCOPE_HTTP_PORT=%d RUNTIMESCOPE_PORT=%d\n", e.http, e.ws)), 0o644)
	e.exits(0, "service restart").says("✓ Collector is healthy")
	e.exits(0, "service status").saysNot("cannot be started")
	e.exits(0, "service install").says("Saved the previous version as " + e.unit + ".bak").saysNot("What runs is")
	e.runs(e.collector)
	if !strings.Contains(e.read(e.unit), `ExecStart="`+e.collector+`"`) {
		t.Errorf("the unit is\n%s", e.read(e.unit))
	}
}

func TestE2EAWrapperThatBecomesItsProgramIsNotTakenForReplaced(t *testing.T) {
	e := newE2E(t)
	program := e.another("libexec", "collector-server")
	e.write(e.collector, "#!/bin/sh\nexec "+program+"\n", 0o755)
	e.exits(0, "service install")
	e.runs(program)
	same(t, "status", e.agrees("running")["restart_needed"], false)
	e.exits(0, "service update").says("Already up to date")
	e.copyProgram(filepath.Join(e.home, "libexec/collector-server"), program)
	same(t, "status does not see the new program", e.agrees("running")["restart_needed"], true)
	e.exits(0, "service update").says("✓ Service restarted")
	e.runs(program)
}

func TestE2EALinkThatWasMovedToAnotherNameIsAdopted(t *testing.T) {
	e := newE2E(t)
	one, two := e.another("lib", "rs-1.0"), e.another("lib", "rs-2.0")
	alternatives := filepath.Join(e.home, "alternatives") // a link to a link, as of update-alternatives
	e.ok(os.Symlink(one, alternatives))
	e.ok(os.Remove(e.collector))
	e.ok(os.Symlink(alternatives, e.collector))
	e.exits(0, "service install")
	e.runs(one)
	time.Sleep(200 * time.Millisecond) // times of files and processes are compared
	e.ok(os.Remove(alternatives))
	e.ok(os.Symlink(two, alternatives))
	same(t, "status", e.agrees("running")["restart_needed"], true)
	e.exits(0, "service update").says("✓ Service restarted")
	e.runs(two)
	e.exits(0, "service update").says("Already up to date")
}

func TestE2EProcessesLeftBehindAreNotTheService(t *testing.T) {
	e := newE2E(t)
	program := e.another("real", "collector-server")
	e.write(e.collector, "#!/bin/sh\n"+program+" &\nwait\n", 0o755)
	e.dropIn("[Service]\nKillMode=process\n")
	e.exits(0, "service install").says("✓ Collector is healthy")
	for _, args := range []string{"service stop", "service uninstall"} {
		e.exits(0, args).says("⚠ Still: port " + strconv.Itoa(e.http) + " is held by PID ")
	}
	e.refused("service install", "it is left over from an earlier start of the service", "Fix: kill ")
	for pid := range e.processes() {
		if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); target == program {
			e.kill(pid)
		}
	}
	e.until("the port is free", func() bool { return e.run(filepath.Join(e.bin, "runtimescope"), "service", "install").code == 0 })
	for pid := range e.processes() { // this manager would leave it behind, too
		if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); target == program {
			defer e.kill(pid)
		}
	}
}

func TestE2EAnInstallBehindARestartIsNotSwallowed(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.systemctl("disable", "runtimescope.service")
	e.write(e.unit, strings.Replace(e.read(e.unit), "RestartSec=5", "RestartSec=77", 1), 0o644)
	e.systemctl("daemon-reload")
	e.standin("STANDIN_READY=700ms")
	cmd, r := e.command(filepath.Join(e.bin, "runtimescope"), "service", "restart")
	start := time.Now()
	e.ok(cmd.Start())
	time.Sleep(100 * time.Millisecond)
	e.exits(0, "service install")
	e.result(cmd, r, start)
	if e.show("UnitFileState") != "enabled" || !strings.Contains(e.read(e.unit), "RestartSec=5\n") {
		t.Errorf("it is %s, with\n%s", e.show("UnitFileState"), e.read(e.unit))
	}
}

func TestE2EAServiceThatStaysActiveAfterItsEndHasEnded(t *testing.T) {
	e := newE2E(t)
	e.dropIn("[Service]\nRemainAfterExit=yes\n")
	e.standin("STANDIN_EXIT=0")
	if r := e.exits(1, "service install").says("✗ The collector exited with status 0 before it was ready"); r.took > 10*time.Second {
		t.Errorf("not at once: %v", r)
	}
	e.exits(0, "service status").says("⚠ Service state: active (exited)").saysNot("PID 0")
	e.exits(3, "service status --exit-code")
	e.exits(1, "service doctor").says("✗ process: active (exited): no process of it runs")
	e.standin()
	e.exits(0, "service update").says("✓ Service restarted")
	e.agrees("running")
}

func TestE2EAServiceWithoutAMainProcessIsTheServiceAllTheSame(t *testing.T) {
	for _, how := range []string{"Type=forking\nGuessMainPID=no\n", "Type=oneshot\nRestart=no\nRemainAfterExit=yes\n"} {
		t.Run(how, func(t *testing.T) {
			e := newE2E(t)
			program := e.another("real", "collector-server")
			e.write(e.collector, "#!/bin/sh\n"+program+" </dev/null >/dev/null 2>&1 &\n", 0o755)
			e.dropIn("[Service]\n" + how)
			e.exits(0, "service install").says("✓ Collector is healthy")
			e.exits(0, "service status").says("✓ Service is active — up ", "✓ Collector is healthy").saysNot("PID", "not by the service")
			if r := e.exits(0, "service status --json"); !strings.Contains(r.out, `"state":"running","healthy":true,"verified":true,"pid":null,"uptime_seconds":`) ||
				strings.Contains(r.out, `"uptime_seconds":null`) {
				t.Error(r)
			}
			e.exits(0, "service doctor").says("✓ process: running for ", "✓ ports").saysNot("PID 0")
			e.exits(0, "service update").says("Already up to date")
			e.copyProgram(program, e.collector)
			e.exits(0, "service status").says("⚠ Restart needed: the binary has been replaced")
			e.write(e.collector, "#!/bin/sh\n"+program+" </dev/null >/dev/null 2>&1 &\n", 0o755)
			e.exits(0, "service restart").says("✓ Collector is healthy")
			e.exits(0, "service stop").says("✓ Service stopped").saysNot("Still")
			e.stopped()
			e.exits(0, "service start")
			e.exits(0, "service uninstall").says("✓ Service uninstalled").saysNot("Still")
			e.stopped()
		})
	}
}

func TestE2EAServiceWhoseLastProcessIsEndingIsWaitedFor(t *testing.T) {
	for _, args := range []string{"service stop", "service uninstall"} {
		t.Run(args, func(t *testing.T) {
			e := newE2E(t)
			program := e.another("real", "collector-server")
			e.write(filepath.Join(filepath.Dir(program), "standin"), "STANDIN_DEAF=1\n", 0o644)
			e.write(e.collector, "#!/bin/sh\n"+program+" &\nwait\n", 0o755)
			e.dropIn("[Service]\nTimeoutStopSec=3\n")
			e.exits(0, "service install").says("✓ Collector is healthy")
			e.systemctl("stop", "--no-block", "runtimescope.service")
			e.until("only the child is left", func() bool { return e.show("ActiveState") == "deactivating" && e.pid() == 0 })
			e.exits(0, "service status").says("⚠ Service state: deactivating", "its processes are ending").saysNot("service start", "another collector", "kill")
			e.exits(0, args).saysNot("Still")
			e.stopped()
		})
	}
}

func TestE2ENoValueOfAPropertyIsTakenForAnother(t *testing.T) {
	e := newE2E(t)
	for i, text := range []string{"ActiveState=failed", "LoadState=not-found", "MainPID=1", "FragmentPath=/etc/x", "Bogus"} {
		e.write(fmt.Sprintf("%s.d/%d.conf", e.unit, i), fmt.Sprintf("[Service]\nEnvironment=\"V%d=a\\n%s\"\nExecStart=\nExecStart=%s \"a\\n%s\"\n", i, text, e.collector, text), 0o644)
		e.exits(0, "service install").says("✓ Collector is healthy")
		e.agrees("running")
	}
}

func TestE2ETooLongAnAnswerIsCalledCut(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	for i := range 100 {
		e.write(fmt.Sprintf("%s.d/%02d.conf", e.unit, i), fmt.Sprintf("[Service]\nEnvironment=V%d=%s\n", i, strings.Repeat("x", 50_000)), 0o644)
	}
	e.systemctl("daemon-reload")
	e.exits(0, "service status").says("✓ Service is active — PID ", "-p Environment: its output is longer than 4 MiB and was cut off")
	e.exits(0, "service stop").says("✓ Service stopped")
	e.stopped()
}

func TestE2EAConditionThatDoesNotHoldIsNamed(t *testing.T) {
	e := newE2E(t)
	e.dropIn("[Unit]\nConditionPathExists=/nowhere\n")
	e.exits(1, "service install").says("a condition of its unit is not met")
}

func TestE2ECrashOfAUnitThatChecksItsStartIsExplained(t *testing.T) {
	e := newE2E(t)
	e.dropIn("[Service]\nType=exec\n")
	e.write(e.collector, "#!nowhere\n", 0o755) // looked for in the service's folder, so that it is tried
	e.exits(1, "service install").says("✗ The service did not start: status 203/EXEC: its interpreter nowhere is missing", "Changes were rolled back")
	if _, err := os.Lstat(e.unit); err == nil || e.show("UnitFileState") == "enabled" {
		t.Error("the unit was left behind")
	}
}

func TestE2EABrokenDropInIsNamedBeforeAnythingIsWritten(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.dropIn("[Service]\nExecStart=/bin/true\n")
	e.systemctl("daemon-reload")
	fix := "edit or remove " + e.unit + ".d/x.conf"
	e.refused("service install", "bad unit file setting", fix)
	e.exits(1, "service restart").says("bad unit file setting", "Fix: "+fix)
	e.exits(1, "service doctor").says("✗ definition", "Fix: "+fix)
	e.ok(os.Remove(e.unit + ".d/x.conf"))
	e.exits(0, "service restart").says("✓ Service restarted")
}

func TestE2EAMaskUntilTheNextBootIsTakenAwayByTheAdvice(t *testing.T) {
	e := newE2E(t)
	e.systemctl("mask", "--runtime", "runtimescope.service")
	e.refused("service install", "masked", "systemctl --user unmask --runtime runtimescope.service")
	e.systemctl("unmask", "--runtime", "runtimescope.service")
	e.exits(0, "service install")
}

func TestE2EAUnitForATargetThatIsNotThereDoesNotStartAtLogin(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.systemctl("disable", "runtimescope.service")
	e.write(e.unit, strings.Replace(e.read(e.unit), "default.target", "multi-user.target", 1), 0o644)
	e.systemctl("enable", "runtimescope.service")
	e.exits(0, "service status").says("Starts at login: no. Fix: runtimescope service install")
	e.exits(0, "service install")
	e.exits(0, "service status").says("Starts at login: yes")
}

func TestE2EAHomeThatIsALinkIsTheManagersHome(t *testing.T) {
	e := newE2E(t)
	link := e.home + "-link"
	e.ok(os.Symlink(e.home, link))
	t.Cleanup(func() { os.Remove(link) })
	e.env["HOME"] = link
	e.exits(0, "service install").says("✓ Collector is healthy")
	e.exits(0, "service uninstall")
	e.gone()
}

func TestE2EAnotherHomeDoesNotTouchTheService(t *testing.T) {
	if os.Getenv("RUNTIMESCOPE_E2E_VARIANT") == "xdg" {
		t.Skip("with XDG_CONFIG_HOME the unit is the same whatever HOME is")
	}
	e := newE2E(t)
	e.exits(0, "service install")
	pid, home := e.serves(), e.home
	e.env["HOME"] = filepath.Join(e.home, "another")
	e.mkdir(e.env["HOME"])
	for _, args := range []string{"service uninstall", "service install", "service update", "service restart", "service stop"} {
		e.refused(args, "systemd loaded the unit from "+e.unit, "Fix: export HOME="+home)
	}
	same(t, "PID", e.serves(), pid)
}

func TestE2EUninstallWhileSystemdIsStoppingTheServiceLeavesNothing(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_DEAF=1")
	e.dropIn("[Service]\nTimeoutStopSec=2\n")
	e.exits(0, "service install")
	e.systemctl("stop", "--no-block", "runtimescope.service")
	e.until("it is being stopped", func() bool { return e.show("ActiveState") == "deactivating" })
	e.exits(0, "service status").says("⚠ Service state: deactivating", "is ending").saysNot("service start")
	e.exits(0, "service doctor").says("⚠ process: stopping")
	e.exits(0, "service uninstall").says("✓ Service uninstalled")
	e.exits(4, "service status --exit-code")
}

func TestE2EStopSaysHowToStartAgain(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.ok(os.Remove(e.unit))
	e.systemctl("daemon-reload")
	e.exits(0, "service stop").says("✓ Service stopped (its unit is gone — run `service install` to start again)")
	e.exits(0, "service install")
}

func TestE2EACollectorOfAnotherUnitIsStoppedByItsUnit(t *testing.T) {
	e := newE2E(t)
	e.write(filepath.Join(filepath.Dir(e.unit), "other.service"), fmt.Sprintf("[Service]\nExecStart=%s\nRestart=always\nRestartSec=100ms\nEnvironment=RUNTIMESCOPE_HTTP_PORT=%d RUNTIMESCOPE_PORT=%d\n",
		e.collector, e.http, e.ws), 0o644)
	e.systemctl("start", "other.service")
	e.until("it serves", e.answers)
	e.exits(0, "dashboard --no-open").says(" is answered by PID ", "not by the service")
	e.refused("service install", "that is another collector", "Fix: systemctl --user stop other.service")
	e.systemctl("stop", "other.service")
	e.exits(0, "service install")
	e.exits(1, "service run").says("✗ the service is already running", "Fix: runtimescope service stop")
}

func TestE2EWhatHoldsAPortIsEndedByTheAdvice(t *testing.T) {
	try := func(r e2eResult) string {
		_, fix, _ := strings.Cut(r.err, "Fix: ")
		return strings.Split(strings.TrimSpace(fix), ", or ")[0]
	}
	for _, c := range []struct{ what, unit, text, says, fix string }{
		{"an enabled unit", `a\x20b.service`, "ExecStart=@COLLECTOR\nRestart=always", "that is another collector", `systemctl --user disable --now 'a\x20b.service'`},
		{"a unit's child", "emacs.service", "ExecStart=sh -c '@COLLECTOR & echo $$! >%h/child; sleep 1000; true'", "that is another collector", "kill CHILD"},
		{"a unit of Homebrew", "homebrew.rs.service", "ExecStart=@COLLECTOR", "that is another collector", "brew services stop rs"},
		{"behind a script", "rs.service", "ExecStart=/bin/sh -c 'true; @COLLECTOR; true'", "that is another collector", "systemctl --user disable --now rs.service"},
		{"run in a unit", "rs.service", "ExecStart=@BIN/runtimescope service run", "the collector of `runtimescope service run`", "systemctl --user disable --now rs.service"},
		{"a socket", "rs.socket", "ListenStream=127.0.0.1:@HTTP", "is held by systemd for rs.socket", "systemctl --user disable --now rs.socket"},
	} {
		t.Run(c.what, func(t *testing.T) {
			e := newE2E(t)
			section, target := "[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=@HTTP RUNTIMESCOPE_PORT=@WS", "default"
			if strings.HasSuffix(c.unit, ".socket") {
				section, target = "[Socket]", "sockets"
				e.write(filepath.Join(filepath.Dir(e.unit), "rs.service"), "[Service]\nExecStart=/bin/true\n", 0o644)
			}
			text := strings.NewReplacer("@COLLECTOR", e.collector, "@BIN", e.bin, "@HTTP", strconv.Itoa(e.http), "@WS", strconv.Itoa(e.ws)).Replace(
				section + "\n" + c.text + "\n[Install]\nWantedBy=" + target + ".target\n")
			e.write(filepath.Join(filepath.Dir(e.unit), c.unit), text, 0o644)
			e.systemctl("enable", "--now", c.unit)
			listens := func() bool {
				l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", e.http))
				if err == nil {
					l.Close()
				}
				return err != nil
			}
			e.until("it listens", listens)
			child, _ := os.ReadFile(filepath.Join(e.home, "child"))
			c.fix = strings.ReplaceAll(c.fix, "CHILD", strings.TrimSpace(string(child)))
			fix := try(e.exits(1, "service install").says(c.says))
			if fix != c.fix {
				t.Fatalf("it advises %q, not %q", fix, c.fix)
			}
			if strings.HasPrefix(fix, "brew") { // which is not here
				return
			}
			if out, err := e.tool("sh", "-c", fix); err != nil {
				t.Fatalf("%s: %v: %s", fix, err, out)
			}
			e.until("nobody listens", func() bool { return !listens() })
			e.exits(0, "service install").says("✓ Collector is healthy")
		})
	}
}

func TestE2EACollectorThatItsOwnerMayNotRunIsRefused(t *testing.T) {
	e := newE2E(t)
	if os.Getuid() == 0 {
		t.Skip("root may run it")
	}
	e.ok(os.Chmod(e.collector, 0o655))
	e.refused("service install", e.collector+": not executable")
	e.refused("service install --collector "+e.collector, "not executable")
}

func TestE2ERunEndsItsCollectorWhenNobodyReadsOn(t *testing.T) {
	e := newE2E(t)
	cmd, r := e.command(filepath.Join(e.bin, "runtimescope"), "service", "run")
	read, write, err := os.Pipe()
	e.ok(err)
	cmd.Stdout = write
	cmd.Stderr = write
	start := time.Now()
	e.ok(cmd.Start())
	write.Close()
	e.until("it serves", e.answers)
	read.Close()
	e.ok(cmd.Process.Signal(syscall.SIGQUIT)) // whose last words meet the closed pipe
	cmd.Wait()
	if cmd.ProcessState.ExitCode() == 2 || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %s: %v", cmd.ProcessState, time.Since(start), r)
	}
	e.stopped()
}

func TestE2EABrokenUnitIsWrittenAnewWithTheRightProgram(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.exits(0, "service stop")
	e.dropIn("[Service]\nMemoryMax=300M\n") // which breaks nothing
	e.write(e.unit, strings.Replace(e.read(e.unit), "Restart=", "ExecStart=/bin/true\nRestart=", 1), 0o644)
	e.systemctl("daemon-reload")
	e.exits(1, "service doctor").says("✗ definition: systemd cannot load the unit", "Fix: runtimescope service install").saysNot("x.conf")
	e.exits(1, "service restart").says("Fix: runtimescope service install")
	e.exits(0, "service install").says("Collector: "+e.collector, "✓ Collector is healthy")
	e.runs(e.collector)
}

func TestE2EAnInstallThatFailsLeavesAStoppedServiceStopped(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.exits(0, "service stop")
	e.dropIn("[Service]\nType=exec\nExecStart=\nExecStart=/bin/false-not-there\n")
	e.exits(1, "service install").says("Changes were rolled back")
	e.until("it is as it was", func() bool { state := e.show("ActiveState"); return state == "inactive" || state == "failed" })
}

func TestE2EALinkToNothingIsClearedInOneGo(t *testing.T) {
	e := newE2E(t)
	target := filepath.Join(e.home, "dotfiles/runtimescope.service")
	e.write(target, e2eUnit(e.collector, ""), 0o644)
	e.systemctl("enable", target)
	e.ok(os.Remove(target))
	e.systemctl("daemon-reload")
	e.refused("service install", "is a dangling symlink to "+target)
	e.exits(0, "service status").saysNot("Starts at login: yes")
	e.exits(0, "service uninstall").says("✓ Service uninstalled")
	for _, path := range []string{e.unit, e.wants} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	e.exits(4, "service status --exit-code")
}

func TestE2ETheConfigurationFolderIsTheOneThatTheManagerReads(t *testing.T) {
	if os.Getenv("RUNTIMESCOPE_E2E_VARIANT") != "" {
		t.Skip("the variant xdg is about that, in every test")
	}
	t.Run("which has it from the login", func(t *testing.T) {
		t.Setenv("RUNTIMESCOPE_E2E_VARIANT", "xdg")
		e := newE2E(t)
		e.exits(0, "service install").says("✓ Wrote " + e.home + "/my config/systemd/user/runtimescope.service")
		e.agrees("running")
		e.exits(0, "service uninstall")
		e.noFiles()
	})
	t.Run("which does not know of this shell's", func(t *testing.T) {
		e := newE2E(t)
		e.env["XDG_CONFIG_HOME"] = e.home + "/of this shell alone"
		e.exits(0, "service install").says("✓ Wrote " + e.unit)
		e.agrees("running")
	})
}

func TestE2EATransientUnitAndAnAliasAreNamed(t *testing.T) {
	t.Run("transient", func(t *testing.T) {
		e := newE2E(t)
		begin := func() {
			if out, err := e.tool("systemd-run", "--user", "--unit=runtimescope", "--setenv=RUNTIMESCOPE_HTTP_PORT="+strconv.Itoa(e.http),
				"--setenv=RUNTIMESCOPE_PORT="+strconv.Itoa(e.ws), e.collector); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			e.until("it answers", e.answers)
		}
		begin()
		e.exits(0, "service status").says("the service is a transient unit", "Fix: systemctl --user stop runtimescope.service")
		e.refused("service install", "the service is a transient unit", "Fix: systemctl --user stop runtimescope.service")
		e.exits(0, "service restart").says("✓ Service restarted")
		e.exits(0, "service stop").says("✓ Service stopped (its unit was transient, and is gone")
		begin()
		e.exits(0, "service uninstall").says("✓ Service uninstalled")
		e.exits(0, "service status").says("Service not installed.")
		begin()
		e.systemctl("stop", "runtimescope.service") // the advice
		e.exits(0, "service install").says("✓ Collector is healthy")
	})
	t.Run("alias", func(t *testing.T) {
		e := newE2E(t)
		other := filepath.Join(filepath.Dir(e.unit), "other.service")
		e.write(other, fmt.Sprintf("[Service]\nExecStart=%s\nEnvironment=RUNTIMESCOPE_HTTP_PORT=%d RUNTIMESCOPE_PORT=%d\n[Install]\nAlias=runtimescope.service\nWantedBy=default.target\n", e.collector, e.http, e.ws), 0o644)
		e.systemctl("enable", "--now", "other.service")
		e.until("it answers", e.answers)
		e.exits(0, "service status").says("✓ Service is active", "runtimescope.service is an alias of other.service", "Fix: systemctl --user disable --now other.service")
		e.refused("service install", "runtimescope.service is an alias of other.service")
		e.exits(0, "service restart")
		e.systemctl("disable", "--now", "other.service") // the advice
		e.exits(0, "service install").says("✓ Collector is healthy")
	})
}

func TestE2EAUnitUntilTheNextBootIsNoPackages(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.exits(0, "service stop")
	runtime := filepath.Join(e.env["XDG_RUNTIME_DIR"], "systemd/user/runtimescope.service")
	text := e.read(e.unit)
	e.write(runtime, text, 0o644)
	e.ok(os.Remove(e.unit))
	e.systemctl("daemon-reload")
	e.exits(0, "service status").says(runtime + " lasts only until the next boot").saysNot("package")
	e.systemctl("start", "runtimescope.service")
	e.until("it answers", e.answers)
	e.exits(0, "service status").says("✓ Service is active", "Starts at login: no. Fix: runtimescope service install")
	e.exits(0, "service install").says("✓ Wrote "+e.unit, "It overrides "+runtime)
	e.exits(0, "service status").says("Starts at login: yes")
	e.exits(0, "service uninstall")
	e.write(runtime, text, 0o644)
	e.systemctl("enable", "--now", "runtimescope.service")
	e.exits(0, "service uninstall").says(runtime + " lasts only until the next boot and stays").saysNot("package")
}

func TestE2EWhatComesFromOutsideForgesNoLine(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	forged := func(r e2eResult) {
		t.Helper()
		if text := r.out + r.err; strings.Contains(text, "\n  ✓ forged") || strings.ContainsAny(text, "\u202e\u2028\x1b\r") {
			t.Errorf("a line is forged: %q", text)
		}
	}
	e.standin("STANDIN_EXIT=3")
	e.dropIn("[Service]\n")
	e.write(e.unit+".d/y\n  ✓ forged\u202e.conf", "[Service]\nnonsense=\nExecStart=\n", 0o644)
	forged(e.exits(1, "service install"))
	forged(e.exits(0, "service status"))
	forged(e.exits(1, "service doctor"))
	e.ok(os.RemoveAll(e.unit + ".d"))
	e.write(e.collector, "#!/bin/sh\nprintf 'x\\n  ✓ forged\\n\\342\\200\\256 \\033[2J fatal\\r\\n'\nexit 3\n", 0o755)
	forged(e.exits(1, "service install").says("exited with status 3"))
	forged(e.exits(0, "service status"))
	forged(e.exits(0, "service logs"))
	e.exits(0, "service uninstall")
	odd := filepath.Join(e.bin, "x\n  ✓ forged\u202e")
	e.standin()
	e.copyProgram(filepath.Join(os.Getenv("RUNTIMESCOPE_E2E_BIN"), "collector-server"), odd)
	holder := exec.Command(odd)
	holder.Env = e.environ()
	e.ok(holder.Start())
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	e.until("it listens", e.answers)
	forged(e.exits(1, "service install").says("is held by PID"))
	forged(e.exits(0, "service status"))
	forged(e.exits(1, "service doctor"))
}

func TestE2EACollectorOnAnotherAddressCannotBeAsked(t *testing.T) {
	e := newE2E(t)
	const says = "⚠ Collector is running; readiness cannot be checked: it does not listen on 127.0.0.1 (RUNTIMESCOPE_HOST)"
	e.exits(0, "service install --env RUNTIMESCOPE_HOST=127.0.0.2").says(says)
	e.exits(0, "service status --exit-code").says(says, "Limits: MemoryMax=256M, CPUQuota=50%")
	e.exits(0, "service wait").says(says)
	e.exits(1, "dashboard --no-open").says("it does not listen on 127.0.0.1")
	e.exits(0, "service install --env RUNTIMESCOPE_HOST=").says("✓ Collector is healthy")
}

func TestE2ECollectorBehindAnInterpreterIsShownWholeAndKept(t *testing.T) {
	e := newE2E(t)
	script, program := filepath.Join(e.home, "x.sh"), filepath.Join(e.home, "real")
	e.ok(os.Rename(e.collector, program))
	e.write(script, "exec "+program+"\n", 0o644)
	unit := e2eUnit("/bin/sh\" "+script+" --token=hush \"A=hush", fmt.Sprintf("Environment=RUNTIMESCOPE_HTTP_PORT=%d RUNTIMESCOPE_PORT=%d\n", e.http, e.ws))
	e.write(e.unit, unit, 0o644)
	e.systemctl("daemon-reload")
	e.exits(0, "dashboard --no-open").says("✓ Collector is healthy")
	e.exits(0, "service status").says("Collector: /bin/sh "+script+" --token=… A=…").saysNot("hush", "Survives")
	e.exits(0, "service update").says("Already up to date")
	e.refused("service install", "Could not locate the `collector-server` binary")
	same(t, "the unit is", e.read(e.unit), unit)
}
