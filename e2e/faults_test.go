// End-to-end tests of what goes wrong: collectors that fail, ports that are taken, no manager, interrupts.
package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestE2ECrashAtStartIsReportedAtOnceWithItsOwnLog(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_EXIT=4")
	e.exits(1, "service install").says("✗ The collector exited with status 4")
	e.standin("STANDIN_EXIT=3")
	r := e.exits(1, "service restart").says("✗ The collector exited with status 3", "systemd restarts it after 5s", "The service stays installed")
	if r.took > 5*time.Second {
		t.Errorf("not at once: %v", r)
	}
	got := e.agrees("crash-looping")
	if exit, _ := got["last_exit"].(map[string]any); exit["code"] != 3.0 || len(exit) != 1 || got["verified"] != nil {
		t.Errorf("status: %v", got)
	}
	e.exits(0, "service status").says("crash-looping", "status 3")
	e.exits(3, "service status --exit-code")
	e.exits(0, "service stop").says("✓ Service stopped")
	e.agrees("stopped")
	if e.journal() {
		r.says("Fatal error: told to exit with 3").saysNot("told to exit with 4")
	}
}

func TestE2ECrashWithoutAnotherTryIsFailed(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_EXIT=3")
	e.write(e.unit+".d/never.conf", "[Service]\nRestart=no\n", 0o644)
	e.exits(1, "service install").says("✗ The collector exited with status 3", "systemd does not restart it")
	if got := e.agrees("failed"); fmt.Sprint(got["last_exit"]) != "map[code:3]" {
		t.Errorf("status: %v", got)
	}
	e.exits(0, "service status").says("Service state: failed")
	e.standin()
	e.exits(0, "service install")
	e.kill(e.serves())
	e.until("systemd knows", func() bool { return e.show("ActiveState") == "failed" })
	if got := e.agrees("failed"); fmt.Sprint(got["last_exit"]) != "map[signal:SIGKILL]" {
		t.Errorf("status: %v", got)
	}
	e.exits(0, "service uninstall")
	e.stopped()
}

func TestE2ECleanEndAtStartIsReportedAtOnce(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_EXIT=0")
	r := e.exits(1, "service install").says("✗ The collector", "systemd does not restart it")
	if r.took > 5*time.Second {
		t.Errorf("not at once: %v", r)
	}
	e.agrees("stopped")
	if e.journal() {
		r.says("told to exit with 0")
	}
}

// A daemon that forks twice is over with its first process, to systemd, though the last one answers for a moment.
func TestE2ECollectorThatEndsAsItsOrphanListensIsNotHealthy(t *testing.T) {
	e := newE2E(t)
	wrapper := filepath.Join(e.home, "daemon")
	listens := fmt.Sprintf("grep -q ' 0100007F:%04X 00000000:0000 0A ' /proc/net/tcp", e.http)
	e.write(wrapper, "#!/bin/sh\n("+e.collector+" &)\nuntil "+listens+"; do sleep 0.01; done\nsleep 0.1\n", 0o755)
	e.exits(1, "service install --collector "+wrapper).says("✗ The collector exited ", "systemd does not restart it after a clean exit").saysNot("✓ Collector is healthy")
	e.write(wrapper, "#!/bin/sh\n("+e.collector+" &)\nsleep 1000\n", 0o755) // which stays
	e.exits(0, "service restart").says("✓ Collector is healthy")
}

func TestE2EWhatCertainlyCannotRunIsRefusedBeforeTheServiceIsStopped(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	pid, program := e.serves(), e.read(e.collector)
	foreign := []byte(program)
	foreign[18], foreign[19] = 22, 0 // e_machine: S/390
	for _, c := range []struct{ text, why string }{
		{"", "the file is empty"},
		{"#!/no/such/interpreter\n", "its interpreter /no/such/interpreter is missing"},
		{program[:len(program)/2], "the file is truncated"},
		{program[:len(program)-1], "the file is truncated"},
		{string(foreign), "it was built for a different CPU architecture"},
	} {
		e.write(e.collector+".new", c.text, 0o755)
		e.ok(os.Rename(e.collector+".new", e.collector))
		e.changes()
		for _, verb := range []string{"update", "restart", "install"} {
			e.exits(1, "service "+verb).says("✗ "+e.collector+" cannot be run: "+c.why, "Fix: reinstall the collector")
		}
		e.exits(0, "service status").says("⚠ " + e.collector + " cannot be run: " + c.why)
		if e.wantChanges(); e.serves() != pid {
			t.Errorf("%s: the healthy service was not left alone", c.why)
		}
	}
	e.write(e.collector+".new", program, 0o755)
	e.ok(os.Rename(e.collector+".new", e.collector))
	e.exits(0, "service update").says("✓ Collector is healthy")
	if e.serves() == pid {
		t.Error("the good one was not adopted")
	}
}

func TestE2EAMissingInterpreterIsNamed(t *testing.T) {
	e := newE2E(t)
	e.ok(os.Remove(e.collector))
	e.write(e.collector, "#!nowhere\n", 0o755) // looked for in the service's folder, so that it is tried
	r := e.exits(1, "service install").says("203/EXEC", "its interpreter nowhere is missing")
	if r.took > 5*time.Second {
		t.Errorf("not at once: %v", r)
	}
	if got := e.agrees("crash-looping"); fmt.Sprint(got["last_exit"]) != "map[code:203]" {
		t.Errorf("status: %v", got)
	}
	e.exits(0, "service uninstall").says("✓ Service uninstalled")
	e.gone()
}

func TestE2EANoexecFileSystemIsNamed(t *testing.T) {
	e := newE2E(t)
	if !e.mayUseNamespaces() {
		t.Skip("no file system may be mounted here")
	}
	dir := filepath.Join(e.home, "noexec")
	e.mkdir(dir)
	e.prefix = inNamespace("mount -t tmpfs -o noexec none " + dir + " && cp " + e.collector + " " + dir)
	e.exits(1, "service install --collector "+dir+"/collector-server").says("collector-server: on a file system that is mounted noexec")
	e.wantChanges()
}

func TestE2EKilledCollectorComesBackAndIsCounted(t *testing.T) {
	e := newE2E(t)
	e.write(e.unit+".d/soon.conf", "[Service]\nRestartSec=100ms\n", 0o644)
	e.exits(0, "service install")
	old := e.serves()
	e.kill(old)
	e.until("it is back", func() bool { pid := e.pid(); return pid != 0 && pid != old && holdsPort(pid, e.http) })
	same(t, "status", e.agrees("running")["restarts"], 1.0)
	e.exits(0, "service status").says("⚠ Restarted 1 time")
}

func TestE2ECollectorThatDoesNotHeedSIGTERMIsStoppedAllTheSame(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.standin("STANDIN_DEAF=1")
	e.write(e.unit+".d/soon.conf", "[Service]\nTimeoutStopSec=500ms\n", 0o644)
	e.exits(0, "service install")
	old := e.serves()
	const killed = "⚠ The collector did not stop in time, and systemd killed it"
	restart := e.exits(0, "service restart")
	if e.serves() == old {
		t.Error("it was not restarted")
	}
	e.exits(0, "service stop").says("✓ Service stopped", killed)
	e.exits(0, "service stop").saysNot(killed)
	e.stopped()
	e.exits(0, "service start").saysNot(killed)
	install := e.exits(0, "service install")
	e.exits(0, "service uninstall").says("✓ Service uninstalled", killed)
	e.stopped()
	if e.journal() {
		restart.says(killed)
		install.says(killed)
	}
	same(t, "systemd remembers it as", e.show("ActiveState"), "inactive")
	e.write(e.unit+".d/soon.conf", "[Service]\nTimeoutStopSec=500ms\nTimeoutStopFailureMode=terminate\nSendSIGKILL=no\n", 0o644)
	e.exits(0, "service install")
	defer e.kill(e.pid())
	e.exits(0, "service stop").says("⚠ Still: port ").saysNot(killed)
}

func TestE2ECollectorThatNeverBindsTimesOut(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_UNBOUND=1")
	r := e.exits(1, "service install --timeout 1500ms").says("✗ Collector did not respond on /readyz within 1.5s", "stays installed")
	if r.took < 1500*time.Millisecond || r.took > 5*time.Second {
		t.Errorf("not at the timeout: %v", r)
	}
	same(t, "it was stopped", e.show("ActiveState"), "active")
	e.exits(3, "service status --exit-code").says("⚠ Collector is not ready")
}

func TestE2EForeignPortHolderIsNamedAndNothingIsWritten(t *testing.T) {
	e := newE2E(t)
	hold := func(port int) net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		e.ok(err)
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ready"}`) }))
		return l
	}
	for _, port := range []int{e.http, e.ws} {
		l := hold(port)
		e.refused("service install", fmt.Sprintf("port %d is held by PID %d (", port, os.Getpid()))
		l.Close()
	}
	e.exits(0, "service install")
	e.exits(0, "service stop")
	l := hold(e.http)
	defer l.Close()
	e.refused("service restart", fmt.Sprintf("port %d is held by PID %d (", e.http, os.Getpid()))
	e.refused("service install", fmt.Sprintf("port %d is held by PID %d (", e.http, os.Getpid()))
	if r := e.exits(0, "service status --json"); !strings.Contains(r.out, `"healthy":false`) || !strings.Contains(r.out, `"version":null`) {
		t.Errorf("took the stranger for the service: %v", r)
	}
	e.exits(3, "service status --exit-code").says(fmt.Sprintf("PID %d", os.Getpid()))
}

// A port that somebody else takes is told in each state of the service, with advice that is not refused.
func TestE2EWhoTakesAPortIsNamedInEachStateOfTheService(t *testing.T) {
	e := newE2E(t)
	for _, c := range []struct{ state, restart, active string }{
		{"not-installed", "", "inactive"}, {"stopped", "on-failure", "inactive"}, {"crash-looping", "on-failure", "activating"}, {"failed", "no", "failed"}, {"running", "no", "active"},
	} {
		for _, port := range []int{e.http, e.ws} {
			if c.state == "running" && port == e.http { // of that the collector is not without
				continue
			}
			e.standin("STANDIN_MOVE=" + map[string]string{"running": "1"}[c.state])
			e.write(e.unit+".d/x.conf", "[Service]\nRestartSec=1h\nRestart="+c.restart+"\n", 0o644)
			if c.state != "not-installed" {
				e.exits(0, "service install")
				e.exits(0, "service stop")
			}
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
			e.ok(err)
			go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ready"}`) }))
			if c.active != "inactive" {
				e.systemctl("start", "runtimescope.service")
			}
			e.until("it is "+c.active, func() bool { return e.show("ActiveState") == c.active && (c.state != "running" || e.answers()) })
			held := fmt.Sprintf("port %d is held by PID %d (", port, os.Getpid())
			for _, args := range []string{"service status", "service doctor"} {
				r := e.run(append([]string{filepath.Join(e.bin, "runtimescope")}, strings.Fields(args)...)...)
				r.says(held, "Fix: stop PID ", ", or choose another port: ").saysNot("Run: runtimescope service start", "Fix: runtimescope service start")
				if port == e.http && (c.state == "not-installed" || args == "service doctor") {
					r.says(fmt.Sprintf("is answered by PID %d (", os.Getpid()))
				}
			}
			if r := e.exits(0, "service status --json"); !strings.Contains(r.out, `"id":"port-held"`) || !strings.Contains(r.out, held) {
				t.Errorf("not in %s", r.out)
			}
			e.agrees(c.state)
			e.refused("service start")
			e.refused("service install", held)
			l.Close()
			e.exits(0, "service uninstall")
		}
	}
}

func TestE2EABoundPortWithoutAListenerIsFoundBeforeAnythingIsWritten(t *testing.T) {
	e := newE2E(t)
	for _, args := range []string{"service install", "service start"} {
		for _, port := range []int{e.http, e.ws} {
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
			e.ok(err)
			e.ok(syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
			e.refused(args, fmt.Sprintf("✗ port %d cannot be bound, though nobody listens there: address already in use", port), "Fix: choose another port: RUNTIMESCOPE_")
			e.run(filepath.Join(e.bin, "runtimescope"), "service", "doctor").says(fmt.Sprintf("✓ ports: no listener on %d and %d", e.http, e.ws))
			e.ok(syscall.Close(fd))
		}
		e.write(e.unit, e2eUnit(e.collector, fmt.Sprintf("Environment=RUNTIMESCOPE_HTTP_PORT=%d RUNTIMESCOPE_PORT=%d\n", e.http, e.ws)), 0o644)
		e.systemctl("daemon-reload")
	}
	e.exits(0, "service start").says("✓ Collector is healthy")
}

func TestE2EWhoAnswersWithoutAServiceIsSaid(t *testing.T) {
	e := newE2E(t)
	cmd, r := e.command(filepath.Join(e.bin, "runtimescope"), "service", "run")
	e.ok(cmd.Start())
	e.until("it answers", e.answers)
	answered := "⚠ " + e.url() + " is answered by PID "
	kill := fmt.Sprintf("kill %d", cmd.Process.Pid)
	e.exits(0, "service status").says("Service not installed. Run: runtimescope service install", answered, ", not by the service. Fix: "+kill)
	e.exits(1, "service doctor").says("✗ ready: "+e.url()+" is answered by PID ", "Fix: "+kill)
	e.refused("service install", "that is the collector of `runtimescope service run`", "Fix: "+kill)
	if e.mayUseNamespaces() {
		e.prefix = inNamespace("mount -t tmpfs none /run") // as in a container
		e.exits(0, "service status").says("was not booted with systemd", "⚠ "+e.url()).saysNot("Fix: runtimescope service run")
		e.prefix = nil
	}
	if out, err := e.tool("sh", "-c", kill); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e.result(cmd, r, time.Now())
	e.exits(0, "service install").says("✓ Collector is healthy")
}

func TestE2EBadPortsAreRefusedByName(t *testing.T) {
	e := newE2E(t)
	for _, name := range []string{"RUNTIMESCOPE_HTTP_PORT", "RUNTIMESCOPE_PORT"} {
		good := e.env[name]
		for _, value := range []string{"abc", "0", "65536"} {
			e.env[name] = value
			e.refused("service install", name, "65535")
		}
		e.env[name] = good
	}
	e.env["RUNTIMESCOPE_PORT"] = e.env["RUNTIMESCOPE_HTTP_PORT"]
	e.refused("service install", "must differ")
}

func TestE2EWithoutAManagerNothingIsWritten(t *testing.T) {
	e := newE2E(t)
	runtime, empty := e.env["XDG_RUNTIME_DIR"], filepath.Join(e.home, "empty")
	e.mkdir(empty)
	own := fmt.Sprintf("/run/user/%d", os.Getuid())
	ways := []struct {
		name, runtime, says string
		prefix              []string
	}{
		{"no session", "", "there is no " + own, inNamespace("mount -t tmpfs none /run/user")},
		{"empty folder", empty, "XDG_RUNTIME_DIR is " + empty, nil},
		{"another user's folder", "/root", "XDG_RUNTIME_DIR is /root, which belongs to another user", nil},
	}
	each := func(check func()) {
		for _, way := range ways {
			if way.prefix != nil && !e.mayUseNamespaces() {
				t.Logf("%s: left out, since this system lets users make no namespace", way.name)
				continue
			}
			e.t.Logf("%s:", way.name)
			delete(e.env, "XDG_RUNTIME_DIR")
			if way.runtime != "" {
				e.env["XDG_RUNTIME_DIR"] = way.runtime
			}
			e.prefix = way.prefix
			e.refused("service install", "✗ cannot reach the systemd user manager", way.says)
			check()
			e.env["XDG_RUNTIME_DIR"], e.prefix = runtime, nil
		}
	}
	vendor := filepath.Join(e.home, ".local/share/systemd/user/runtimescope.service")
	e.write(vendor, "[Service]\nExecStart="+e.collector+"\n[Install]\nWantedBy=default.target\n", 0o644)
	each(func() {
		e.exits(1, "service status").says("its state is unknown", vendor)
		if got := e.exits(1, "service status --json"); !strings.Contains(got.out, `"state":"unknown"`) {
			t.Errorf("a package's unit: not unknown: %v", got)
		}
	})
	e.ok(os.Remove(vendor))
	each(func() {
		e.exits(0, "service status").says("⚠ cannot reach the systemd user manager", "Service not installed. Run: runtimescope service install")
		e.exits(4, "service status --exit-code")
		if r := e.exits(0, "service status --json"); !strings.Contains(r.out, `"state":"not-installed"`) {
			t.Errorf("not not-installed: %v", r)
		}
		e.refused("service stop")
		e.refused("service restart")
		e.exits(0, "service uninstall").says("Service is not installed.")
		e.noFiles()
		e.wantChanges()
	})

	e.exits(0, "service install")
	pid := e.serves()
	each(func() {
		e.exits(1, "service status").says("its state is unknown", e.unit)
		if r := e.exits(1, "service status --json"); !strings.Contains(r.out, `"state":"unknown"`) || !strings.Contains(r.out, `"healthy":null`) {
			t.Errorf("not unknown: %v", r)
		}
		e.refused("service stop", "cannot reach the systemd user manager")
		e.refused("service restart", "cannot reach the systemd user manager")
		e.refused("service uninstall", "cannot reach the systemd user manager", e.unit+" is kept")
		e.exits(1, "service doctor").says("✗ manager")
	})
	same(t, "PID", e.serves(), pid)
}

func TestE2EBareEnvironmentOfSuAndCronIsEnough(t *testing.T) {
	e := newE2E(t)
	if !e.dedicated {
		t.Skip("without XDG_RUNTIME_DIR the login's own leads to the manager of a real user: run as root by .ci/as-user")
	}
	full := maps.Clone(e.env)
	bare := func(args string) e2eResult {
		delete(e.env, "XDG_RUNTIME_DIR")
		delete(e.env, "USER")
		delete(e.env, "PATH")
		defer func() { e.env = maps.Clone(full) }()
		return e.exits(0, args)
	}
	bare("service install").says("✓ Collector is healthy").saysNot("unverified")
	pid := e.serves()
	bare("service restart").says("✓ Service restarted")
	if e.serves() == pid {
		t.Error("not restarted")
	}
	bare("service status --exit-code").says("✓ Service is active")
	bare("service uninstall").says("✓ Service uninstalled")
	e.gone()
}

func TestE2ERestartWorksAtOnceAfterTheStartLimitWasHit(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_EXIT=3")
	e.write(e.unit+".d/limit.conf", "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3\n[Service]\nRestartSec=100ms\n", 0o644)
	e.exits(1, "service install")
	e.until("systemd gave up", func() bool { return e.show("ActiveState") == "failed" })
	if got := e.agrees("failed"); got["restarts"].(float64) < 2 {
		t.Errorf("status: %v", got)
	}
	e.exits(0, "service status").says("systemd gave up")
	e.standin()
	if r := e.exits(0, "service restart"); r.took > 3*time.Second {
		t.Errorf("not at once: %v", r)
	}
	e.serves()
	e.agrees("running")
}

func TestE2EInterruptWhileWaitingLeavesTheService(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_READY=-1s") // never
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, r := e.command(filepath.Join(e.bin, "runtimescope"), "service", "install")
		start := time.Now()
		e.ok(cmd.Start())
		old := e.pid()
		e.until("the service has been started", func() bool { pid := e.pid(); return pid != 0 && pid != old })
		time.Sleep(200 * time.Millisecond) // until it waits
		signalled := time.Now()
		e.ok(cmd.Process.Signal(sig))
		got := e.result(cmd, r, start).says("Interrupted", "runtimescope service status")
		if got.code != 130 || time.Since(signalled) > time.Second {
			t.Errorf("%v: %s after the signal: %v", sig, time.Since(signalled), got)
		}
		if e.show("ActiveState") != "active" || e.show("UnitFileState") != "enabled" {
			t.Error("it did not leave the service as it was")
		}
	}
}

func TestE2EAStartThatEndsBeforeTheCollectorSaysWhy(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.exits(0, "service install")
	e.systemctl("start", "default.target") // as after a login; a unit that nothing wants is forgotten once it has stopped
	e.write(filepath.Join(filepath.Dir(e.unit), "db.service"), "[Service]\nType=oneshot\nExecStart=/bin/false\n", 0o644)
	edit := "edit or remove " + e.unit + ".d/x.conf"
	for _, c := range []struct {
		dropIn, failure, more, status string
		advised                       bool
	}{
		{"[Service]\nExecStartPre=/bin/sh -c 'echo no database; exit 3'\n", "✗ The service did not start: ExecStartPre= failed: status 3 (", "no database", "no database", false},
		{"[Service]\nExecStartPre=/bin/sh -c 'kill -SEGV $$$$'\n", "ExecStartPre= failed: SIGSEGV", "", "ExecStartPre= failed: SIGSEGV", false},
		{"[Service]\nExecStartPost=/bin/sh -c 'exit 4'\n", "ExecStartPost= failed: status 4", "", "ExecStartPost= failed: status 4", false},
		{"[Service]\nExecCondition=/bin/sh -c 'exit 255'\n", "ExecCondition= failed: status 255", "", "ExecCondition= failed: status 255", false},
		{"[Service]\nExecCondition=/bin/false\n", "a condition of its unit is not met", "", "see its ExecCondition lines: systemctl --user cat", false},
		{"[Service]\nType=notify\nTimeoutStartSec=1\n", "(systemd stopped it: the start took longer than TimeoutStartSec)", "", "TimeoutStartSec", false},
		{"[Service]\nType=forking\nTimeoutStartSec=1\n", "systemd: the start took longer than TimeoutStartSec", "", "TimeoutStartSec", false},
		{"[Service]\nExecStartPre=/bin/sleep 9\nTimeoutStartSec=1\n", "ExecStartPre= failed: SIGTERM", "", "ExecStartPre=", false},
		{"[Service]\nEnvironmentFile=/no/such/file\n", "Failed to load environment files: No such file or directory", "", "Failed to load environment files", false},
		{"[Unit]\nAssertPathExists=/no/such/file\n", "a condition of its unit is not met (", "See its Assert lines: systemctl --user cat", "see its Assert lines", false},
		{"[Unit]\nRequires=nosuch.service\nAfter=nosuch.service\n", "✗ the unit requires nosuch.service, which systemd does not have", "Fix: " + edit, edit, false},
		{"[Unit]\nRequires=db.service\nAfter=db.service\n", "The service did not start: it requires db.service, which failed", "Fix: see systemctl --user status db.service", "inactive", true},
		{"[Unit]\nRefuseManualStart=yes\n", "RefuseManualStart=yes", "Fix: " + edit, edit, false},
	} {
		e.dropIn(c.dropIn)
		e.systemctl("daemon-reload")
		e.exits(1, "service restart").says(c.failure, c.more).saysNot("✓", "journalctl", "Created symlink")
		r := e.exits(0, "service status").says(c.status)
		if c.advised != strings.Contains(r.out, "Run: runtimescope service start") {
			t.Errorf("the start is advised, or is not: %v", r)
		}
		e.exits(0, "service stop") // also so that no start is one too many
		e.exits(1, "service wait").says("✗").saysNot("Interrupted")
	}
}

func TestE2EAUnitThatStartsTheServiceAgainIsNamed(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	e.write(filepath.Join(filepath.Dir(e.unit), "runtimescope.socket"), "[Socket]\nListenStream="+filepath.Join(e.home, "s")+"\n[Install]\nWantedBy=sockets.target\n", 0o644)
	e.systemctl("daemon-reload")
	e.exits(0, "service stop")
	e.systemctl("start", "runtimescope.socket")
	e.exits(0, "service restart")
	for _, verb := range []string{"stop", "uninstall"} {
		e.exits(1, "service "+verb).says("runtimescope.socket can start the service again", "Fix: systemctl --user disable --now runtimescope.socket")
	}
	e.serves()
	e.systemctl("disable", "--now", "runtimescope.socket")
	e.exits(0, "service stop")
}
