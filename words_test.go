// The very words of status for findings that no fake machine comes to by itself, and of a start that systemd refused.
package main

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestTheWordsOfStatus(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the collector of this test is /bin/sh: a program whose folder will last")
	}
	theirs := &holder{pid: 666, uid: 1, command: "python3"}
	unreached := errors.New("no answer")
	const headline, healthy, login, linger, upgrade = "✓ Service is active — PID 42, up 1 min 30 s\n", "✓ Collector is healthy and serving on http://127.0.0.1:7000 (version 1.2)\n",
		"Starts at login: yes\n", "Keeps running after logout: no. To change: sudo loginctl enable-linger $USER\n", "Survives the next upgrade: yes, its path has no version in it\n"
	const tail = login + linger + upgrade + "Collector: /bin/sh\nUnit file: /unit\nLogs: journalctl --user -u runtimescope -f\n"
	const stale = "⚠ The definition on disk has changed and is not loaded. Run: runtimescope service restart\n"
	const gone = "⚠ Its unit is gone: /unit. Run: runtimescope service install, or uninstall\n"
	for name, c := range map[string]struct {
		change func(f *finding, b *bench)
		want   string
	}{
		"well": {nil, headline + healthy + tail},
		"masked while it runs": {func(f *finding, _ *bench) { f.state.masked = true },
			headline + healthy + "⚠ It is masked, that is, forbidden to start again. Run: systemctl --user unmask runtimescope.service\n" + tail},
		"masked": {func(f *finding, _ *bench) { f.state.masked, f.state.phase, f.answer = true, stopped, unreached },
			"⚠ Service is masked, that is, forbidden to start. Run: systemctl --user unmask runtimescope.service\n" + tail},
		"masked, nothing else": {func(f *finding, _ *bench) {
			f.state, f.answer = state{masked: true, phase: notInstalled, file: file{path: "/unit"}}, unreached
		}, "⚠ Service is masked, that is, forbidden to start. Run: systemctl --user unmask runtimescope.service\n" + linger + "Unit file: /unit\nLogs: journalctl --user -u runtimescope -f\n"},
		"a link to nowhere": {func(f *finding, _ *bench) {
			f.state, f.answer = state{phase: stopped, rawState: "inactive", file: file{path: "/unit", link: "/x"}}, unreached
		}, "⚠ Service state: inactive. Run: runtimescope service start\n" + linger + "Unit file: /unit\nLogs: journalctl --user -u runtimescope -f\n"},
		"none": {func(f *finding, _ *bench) { f.state = state{phase: notInstalled} }, "Service not installed. Run: runtimescope service install\n"},
		"none, and no manager": {func(f *finding, _ *bench) { f.state, f.err = state{phase: notInstalled}, unreached },
			"⚠ no answer\nService not installed. Run: runtimescope service install\n"},
		"no manager": {func(f *finding, _ *bench) {
			f.err, f.own, f.state.phase = unreached, ownership{foreign: theirs}, unknown
		},
			"⚠ Service installed, but its state is unknown\n" + tail},
		"ending": {func(f *finding, _ *bench) {
			f.state.phase, f.state.rawState, f.answer = stopped, "deactivating (stop-sigterm)", unreached
		},
			"⚠ Service state: deactivating (stop-sigterm) — PID 42 is ending\n" + tail},
		"stopped": {func(f *finding, _ *bench) {
			f.state.phase, f.state.rawState, f.state.pid, f.answer = stopped, "inactive", 0, unreached
		},
			"⚠ Service state: inactive. Run: runtimescope service start\n" + tail},
		"stopped, its port held": {func(f *finding, _ *bench) {
			f.state.phase, f.state.rawState, f.state.pid, f.own = stopped, "inactive", 0, ownership{foreign: theirs}
		},
			"⚠ Service state: inactive. Run: runtimescope service start\n⚠ Port 7000 is held by PID 666 (python3)\n" + tail},
		"stopped, and answered": {func(f *finding, _ *bench) { f.state.phase, f.state.rawState, f.state.pid = stopped, "inactive", 0 },
			"⚠ Service state: inactive. Run: runtimescope service start\n" + tail},
		"starting": {func(f *finding, _ *bench) {
			f.state.phase, f.state.rawState, f.answer = starting, "activating (start)", unreached
		},
			"⚠ Service state: activating (start)\n" + tail},
		"starting, changed": {func(f *finding, _ *bench) {
			f.state.phase, f.state.rawState, f.answer, f.state.stale, f.state.file.definition.collector = starting, "activating (start)", unreached, true, "/bin/sh"
		},
			"⚠ Service state: activating (start)\n" + stale + tail},
		"somebody else answers": {func(f *finding, _ *bench) { f.own = ownership{foreign: theirs} },
			headline + "⚠ Not the service, but PID 666 (python3) answers on http://127.0.0.1:7000\n" + tail},
		"no answer": {func(f *finding, _ *bench) { f.answer = unreached }, headline + "⚠ Collector does not answer on http://127.0.0.1:7000: no answer\n" + tail},
		"broken":    {func(f *finding, _ *bench) { f.state.loadError = "bad" }, headline + healthy + "⚠ bad. To do: runtimescope service install\n" + tail},
		"broken, no program": {func(f *finding, _ *bench) {
			f.state.loadError, f.state.program, f.state.file.definition.collector = "bad", "", "/half"
		},
			headline + healthy + "⚠ bad. To do: runtimescope service install\n" + login + linger + "Collector: /half\nUnit file: /unit\nLogs: journalctl --user -u runtimescope -f\n"},
		"not a path": {func(f *finding, _ *bench) { f.state.program, f.state.file.definition.collector = "", "%h/x" },
			headline + healthy + login + linger + "Collector: %h/x\nUnit file: /unit\nLogs: journalctl --user -u runtimescope -f\n"},
		"cannot be started again": {func(f *finding, _ *bench) { f.state.program = "/nowhere/x" },
			headline + healthy + login + linger + "⚠ The collector cannot be started again: /nowhere/x: not there\nCollector: /nowhere/x\nUnit file: /unit\nLogs: journalctl --user -u runtimescope -f\n"},
		"cannot be read":       {func(f *finding, _ *bench) { f.state.file.err = errors.New("permission denied") }, headline + healthy + "⚠ permission denied\n" + tail},
		"gone":                 {func(f *finding, _ *bench) { f.state.file.exists = false }, headline + healthy + gone + tail},
		"gone, and not loaded": {func(f *finding, _ *bench) { f.state.file.exists, f.state.loaded, f.why = false, "", "x" }, headline + healthy + gone + tail},
		"a link":               {func(f *finding, _ *bench) { f.state.file.exists, f.state.file.link = false, "/x" }, headline + healthy + tail},
		"a package's": {func(f *finding, _ *bench) { f.state.file.exists, f.state.loaded, f.why = false, "/usr/unit", "x" },
			headline + healthy + "⚠ Restart needed: x. Run: runtimescope service restart\n" + strings.Replace(tail, "/unit", "/usr/unit", 1)},
		"restarted once":  {func(f *finding, _ *bench) { f.state.restarts = ptr(1) }, headline + healthy + "⚠ Restarted 1 time after it failed\n" + tail},
		"never restarted": {func(f *finding, _ *bench) { f.state.restarts = ptr(0) }, headline + healthy + tail},
		"all that is known": {func(f *finding, b *bench) {
			f.state.lastExit, f.memory, f.state.enabled = &exitStatus{code: 3}, ptr(int64(5000)), nil
			b.write(b.fake.path("root/var/lib/systemd/linger/ada"), "", 0o644)
		}, headline + healthy + "Last exit: status 3\nMemory: 5.0 kB\nKeeps running after logout: yes. To change: sudo loginctl disable-linger $USER\n" + strings.TrimPrefix(tail, login+linger)},
		"nobody knows of linger": {func(f *finding, b *bench) {
			m := b.manager.(systemd)
			m.user = func() string { return "" }
			b.manager = m
		}, headline + healthy + login + "Keeps running after logout: unknown\n" + strings.TrimPrefix(tail, login+linger)},
		"another port in this shell": {func(f *finding, b *bench) { b.env[httpPortEnv] = "7002" },
			headline + healthy + "⚠ RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT of this shell differ from the service's ports, 7000 and 7001. To change those: runtimescope service install\n" + tail},
	} {
		b := newBench(t, "systemd").quick()
		delete(b.env, httpPortEnv)
		f := finding{ports: ports{7000, 7001}, own: ownership{verified: true}, age: 90 * time.Second, version: "1.2", state: state{phase: running, rawState: "active", pid: 42,
			enabled: ptr(true), loaded: "/unit", program: "/bin/sh", file: file{path: "/unit", exists: true}}}
		if c.change != nil {
			c.change(&f, b)
		}
		b.sayStatus(f)
		if got := strings.ReplaceAll(strings.TrimPrefix(b.stdout.String(), "  "), "\n  ", "\n"); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, c.want)
		}
	}
}

func TestAStartThatSystemdRefusedIsExplained(t *testing.T) {
	t.Parallel()
	const call, job = "systemctl --user show runtimescope.service -p ", "Job for runtimescope.service failed because the control process exited with error code."
	stopped := fakebinText(t, "systemctl-show-stopped.txt")
	refused := planFailed(1, job, "systemctl", "--user", "start")
	bad := planFailed(1, "Unit runtimescope.service has a bad unit file setting.", "systemctl", "--user", "start")
	for _, c := range []struct {
		what  string
		err   error
		shown string
		want  string
		fix   string
	}{
		{"not systemctl", planFailed(1, job, "other"), stopped, "other: exit status 1: " + job, ""},
		{"another reason", planFailed(1, "no", "systemctl"), stopped, "systemctl: exit status 1: no", ""},
		{"how it ended is not known", refused, stopped, refused.Error(), ""},
		{"no answer", refused, "", refused.Error(), ""},
		{"ended", refused, fakebinText(t, "systemctl-show-failed-gave-up.txt"), "The service did not start: status ", ""},
		{"not run", refused, fakebinText(t, "systemctl-show-auto-restart-203.txt"), "The service did not start: status 203/EXEC: /home/ada/app/nowhere is not there (", ""},
		{"bad", bad, fakebinText(t, "systemctl-show-bad-setting.txt"), bad.Error(), "runtimescope service install"},
		{"bad, and it ended once", bad, fakebinText(t, "systemctl-show-failed-gave-up.txt"), bad.Error(), ""},
	} {
		run := planRunner{outputs: map[string]string{call + unitProperties: c.shown}}
		got := systemd{}.explain(t.Context(), run, c.err)
		if !strings.HasPrefix(got.Error(), c.want) || fixOf(got) != c.fix {
			t.Errorf("%s: got %v [%s], want %s [%s]", c.what, got, fixOf(got), c.want, c.fix)
		}
	}
}
