// What a state says of itself: its ports, its file, and what helps; and the sentences that rest on that.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThePortsOfTheNextStartAndOfTheRunningProcess(t *testing.T) {
	t.Parallel()
	const http, ws = "RUNTIMESCOPE_HTTP_PORT=", "RUNTIMESCOPE_PORT="
	inFile := file{definition: definition{ports: ports{7000, 7001}}}
	for _, c := range []struct {
		what       string
		s          state
		next, live ports
		otherwise  bool
	}{
		{"nothing said", state{}, ports{6768, 6767}, ports{6768, 6767}, false},
		{"by the file", state{file: inFile}, ports{7000, 7001}, ports{7000, 7001}, false},
		{"by the file, which is not loaded", state{file: inFile, unitEnv: []string{http + "7100"}}, ports{7000, 7001}, ports{7000, 7001}, false},
		{"by what is loaded", state{file: inFile, loaded: "/u", unitEnv: []string{http + "7100"}}, ports{7100, 6767}, ports{7100, 6767}, false},
		{"by the file, which is newer than what is loaded", state{file: inFile, loaded: "/u", stale: true, unitEnv: []string{http + "7100"}}, ports{7000, 7001}, ports{7000, 7001}, false},
		{"to the process as well", state{loaded: "/u", unitEnv: []string{http + "7100"}, processEnv: []string{http + "7100", "A=1"}}, ports{7100, 6767}, ports{7100, 6767}, false},
		{"to the process otherwise", state{loaded: "/u", unitEnv: []string{http + "7100"}, processEnv: []string{http + "7200"}}, ports{7100, 6767}, ports{7200, 6767}, true},
		{"to the process not at all", state{loaded: "/u", unitEnv: []string{ws + "7100"}, processEnv: []string{}}, ports{6768, 7100}, ports{6768, 6767}, true},
		{"to the process alone, by its manager", state{loaded: "/u", unitEnv: []string{}, processEnv: []string{http + "7200"}}, ports{6768, 6767}, ports{7200, 6767}, false},
		{"to the process alone, by a file of variables", state{loaded: "/u", unitEnv: []string{}, envFiles: true, processEnv: []string{http + "7200"}}, ports{7200, 6767}, ports{7200, 6767}, false},
		{"by a file of variables as well", state{loaded: "/u", unitEnv: []string{http + "7100"}, envFiles: true, processEnv: []string{http + "7200"}}, ports{7200, 6767}, ports{7200, 6767}, false},
	} {
		if next, live := c.s.servicePorts(), c.s.livePorts(); next != c.next || live != c.live || c.s.runsOnOtherPorts() != c.otherwise {
			t.Errorf("%s: next %v, live %v, told otherwise: %t", c.what, next, live, c.s.runsOnOtherPorts())
		}
	}
}

func TestWhoseADefinitionIs(t *testing.T) {
	t.Parallel()
	const mine, other, packaged = "/home/ada/.config/systemd/user/runtimescope.service", "/home/bob/.config/systemd/user/runtimescope.service", "/usr/lib/systemd/user/runtimescope.service"
	for _, c := range []struct {
		what            string
		s               state
		path            string
		vendor, another bool
		unmask          string
	}{
		{"none", state{}, mine, false, false, "systemctl --user unmask runtimescope.service"},
		{"the user's", state{loaded: mine, file: file{exists: true}}, mine, false, false, "systemctl --user unmask runtimescope.service"},
		{"the user's, gone", state{loaded: mine}, mine, false, false, "systemctl --user unmask runtimescope.service"},
		{"the user's, by another name of the home", state{loaded: other, file: file{exists: true}}, mine, false, false, "systemctl --user unmask runtimescope.service"},
		{"a package's", state{loaded: packaged}, packaged, true, false, "systemctl --user unmask runtimescope.service"},
		{"another home's", state{loaded: other}, other, false, true, "systemctl --user unmask runtimescope.service"},
		{"a mask", state{loaded: mine, masked: true}, mine, false, false, "systemctl --user unmask runtimescope.service"},
		{"a mask, as systemd 247 says it", state{loaded: "/dev/null", masked: true}, mine, false, false, "systemctl --user unmask runtimescope.service"},
		{"a mask until the next boot", state{loaded: "/run/user/1/systemd/user/runtimescope.service", masked: true, untilBoot: true}, "/run/user/1/systemd/user/runtimescope.service", false, false,
			"systemctl --user unmask --runtime runtimescope.service"},
		{"a mask for all users", state{loaded: "/etc/systemd/user/runtimescope.service", masked: true}, "/etc/systemd/user/runtimescope.service", false, false,
			"sudo systemctl --global unmask runtimescope.service"},
	} {
		c.s.file.path = mine
		if path := c.s.definitionPath(); path != c.path || c.s.vendor() != c.vendor || c.s.ofAnotherHome() != c.another || c.s.unmask() != c.unmask {
			t.Errorf("%s: %s, vendor %t, of another home %t, %s", c.what, path, c.s.vendor(), c.s.ofAnotherHome(), c.s.unmask())
		}
	}
}

func TestADropInIsNamedAsTheCauseBeforeTheUnitIs(t *testing.T) {
	t.Parallel()
	if got := (state{}).repair(); got != "runtimescope service install" {
		t.Error(got)
	}
	if got := (state{dropIns: []string{"/a", "/b"}}).repair(); got != "mend or remove /a, /b" {
		t.Error(got)
	}
	b := newBench(t, "systemd").quick().installed()
	b.fake.change(func(s *fakeState) { s.Extra = "LoadState=bad-setting\nLoadError=x\nDropInPaths=/x/y.conf\n" })
	b.refused("service install", "✗ systemd cannot load the unit (bad-setting): x", "Try: mend or remove /x/y.conf")
	b.want(0, "service status", "⚠ systemd cannot load the unit (bad-setting): x. To do: mend or remove /x/y.conf")
}

func TestTheEnvironmentOfAProcessCountsOnceItIsTheServices(t *testing.T) {
	t.Parallel()
	p := newPortsProc(t)
	p.put("5/environ", "A=1\x00INVOCATION_ID=abc\x00B=\x00")
	p.put("6/environ", "")
	w := &app{processes: p.procfs}
	for _, c := range []struct {
		s    state
		want int // words; -1: unknown
	}{
		{state{pid: 5, invocation: "abc"}, 3}, {state{pid: 5, invocation: "abd"}, -1}, {state{pid: 5}, -1}, {state{invocation: "abc"}, -1}, {state{pid: 6, invocation: "abc"}, -1}, {state{pid: 7, invocation: "abc"}, -1},
	} {
		if got := w.given(c.s); len(got) != max(0, c.want) || (got == nil) != (c.want < 0) {
			t.Errorf("PID %d, start %q: got %q", c.s.pid, c.s.invocation, got)
		}
	}
}

func TestAPortThatTheProcessWasToldOtherwiseIsFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	text, err := b.manager.render(definition{collector: b.collector()})
	if err != nil {
		t.Fatal(err)
	}
	b.write(b.manager.path(), text, 0o644)
	asked := b.env[httpPortEnv]
	delete(b.env, httpPortEnv)
	b.fake.change(func(s *fakeState) { s.Inherited = httpPortEnv + "=" + asked })
	b.want(0, "service restart", "✓ Service restarted", "✓ Collector is healthy and serving on "+b.page())
	b.want(0, "service status", "✓ Collector is healthy and serving on "+b.page())
	b.want(0, "dashboard --no-open", b.page())
}

func TestAPortThatWasAskedForAndIsNotTheServicesIsAFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	port := freePort(t)
	b.plantAfterPreflight(func() { b.fake.change(func(s *fakeState) { s.Overrides = fmt.Sprintf("%s=%d", httpPortEnv, port) }) }) // a drop-in
	b.want(1, "service install", fmt.Sprintf("✗ the service was given the ports %d and %d, not %d and %d: a drop-in of the unit says so", port, defaultWSPort, b.httpPort(), defaultWSPort))
	if strings.Contains(b.stdout.String(), "✓ Collector") {
		t.Errorf("a ✓ for another port:\n%s", b.stdout.String())
	}
}

func TestInstallSaysThatTheServiceDoesNotStartAtLogin(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=static\n" })
	b.want(0, "service install", "✓ Collector is healthy", "⚠ It does not start at login")
	b.want(0, "service status", "Starts at login: no, the unit has no [Install] section")
	if got := b.checked(0)["enabled"]; got.Status != "warn" || got.Fix != "" {
		t.Errorf("doctor: %+v", got)
	}
	b.fake.change(func(s *fakeState) { s.Extra = "" })
	b.want(0, "service install")
	if strings.Contains(b.stdout.String(), "does not start at login") {
		t.Errorf("it does:\n%s", b.stdout.String())
	}
}

func TestAnEnabledUnitThatNoTargetWantsDoesNotStartAtLogin(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	wants := filepath.Join(filepath.Dir(b.manager.path()), "default.target.wants", unitName)
	enabled := func() bool { return b.json(0, "service status --json")["enabled"] == true }
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=enabled\n" })
	if !enabled() {
		t.Error("the link is there")
	}
	if err := os.Remove(wants); err != nil {
		t.Fatal(err)
	}
	if enabled() {
		t.Error("neither the link nor a target is there")
	}
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=enabled\nWantedBy=graphical-session.target\n" })
	if !enabled() {
		t.Error("a target wants it")
	}
}

func TestWhatRunsInsteadOfTheCollectorIsSaid(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	b.fake.change(func(s *fakeState) { s.Extra = "ExecStart={ path=/x/y ; argv[]=/x/y ; }\n" })
	b.want(0, "service install", "Collector: "+b.collector(), "✓ Collector is healthy", "⚠ What runs is /x/y: a drop-in of the unit says so")
}

func TestAServiceThatWasNotStartedAnewIsNotCalledRestarted(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").installed()
	b.plant(plant{Call: "systemctl --user restart"})
	b.want(1, "service restart", "✗ systemd says that it has started the service anew, but its process is the old one (PID ")
	if strings.Contains(b.stdout.String(), "✓") {
		t.Errorf("a ✓ for nothing:\n%s", b.stdout.String())
	}
}

func TestStopSaysHowTheServiceCanStartAgain(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		set  func(b *bench)
		want string
	}{
		"there": {func(*bench) {}, "✓ Service stopped (unit preserved — run `service restart` to start again)"},
		"gone":  {func(b *bench) { os.Remove(b.manager.path()) }, "✓ Service stopped (its unit is gone — run `service install` to start again)"},
		"a link": {func(b *bench) {
			real := b.manager.path() + ".real"
			if os.Rename(b.manager.path(), real) != nil || os.Symlink(real, b.manager.path()) != nil {
				b.t.Skip("no links here")
			}
		}, "✓ Service stopped (unit preserved — run `service restart` to start again)"},
		"masked": {func(b *bench) { b.fake.change(func(s *fakeState) { s.Extra = "LoadState=masked\n" }) }, "✓ Service stopped (it is masked — run `systemctl --user unmask runtimescope.service` before it can start again)"},
	} {
		b := newBench(t, "systemd").quick().installed()
		c.set(b)
		if b.want(0, "service stop", c.want); strings.Contains(b.stdout.String(), "Still") {
			t.Errorf("%s: nothing runs any more:\n%s", how, b.stdout.String())
		}
	}
	b := withVendor(t)
	b.want(0, "service install")
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=disabled\n" })
	b.want(0, "service stop", "✓ Service stopped (unit preserved — run `service install` to start again)")
}

func TestWhatStillHoldsAPortAfterAStopIsSaid(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.plantAfterPreflight(func() { b.foreign(b.httpPort(), "perl x.pl") })
		b.want(0, "service stop", "✓ Service stopped", fmt.Sprintf("⚠ Still: port %d is held by PID 666 (perl x.pl)", b.httpPort()))
	})
}

func TestAPackagesUnitThatIsEnabledForAllIsNotCalledUninstalled(t *testing.T) {
	t.Parallel()
	b := withVendor(t)
	b.want(0, "service install")
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=enabled\nWantedBy=default.target\n" })
	b.want(0, "service uninstall", "✓ Service stopped", "⚠ A package enables it for all users, so that it starts again at the next login. To change: systemctl --user mask runtimescope.service")
	if strings.Contains(b.stdout.String(), "uninstalled") {
		t.Errorf("it is not:\n%s", b.stdout.String())
	}
}

func TestTheServiceOfAnotherHomeIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	b.fake.change(func(s *fakeState) { s.Extra = "FragmentPath=/home/b b/.config/systemd/user/runtimescope.service\n" })
	b.home = t.TempDir()
	m := b.manager.(systemd)
	m.home = b.home
	b.manager = m
	for _, args := range []string{"service install", "service uninstall", "service restart", "service update"} {
		b.refused(args, "✗ the user manager of systemd has the unit from /home/b b/.config/systemd/user/runtimescope.service: the HOME of this shell is another", "Try: export HOME='/home/b b'")
	}
}

func TestDashboardNamesWhoAnswersInsteadOfTheService(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.want(0, "dashboard --no-open", b.page())
		if strings.Contains(b.stdout.String(), "⚠") {
			t.Errorf("it is the service:\n%s", b.stdout.String())
		}
		b.behaves("silent")
		b.foreign(b.httpPort(), "perl x.pl")
		b.want(0, "dashboard --no-open", "⚠ Not the service, but PID 666 (perl x.pl) answers on "+b.page(), b.page())
	})
}

func TestDashboardStartsTheCollectorThatWasInstalled(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		other := filepath.Join(t.TempDir(), programFile(collectorName))
		b.write(other, "#!/bin/sh\n", 0o755)
		b.want(0, "service install --collector "+other)
		b.want(0, "service stop")
		text := b.read(b.manager.path())
		b.want(0, "dashboard --no-open", "✓ Collector is healthy")
		if got := b.read(b.manager.path()); got != text {
			t.Errorf("it was moved:\n%s", got)
		}
		os.Remove(b.collector()) // nor does update fail where none is found
		b.want(0, "service update", "Nothing to adopt")
		os.Remove(other)
		b.want(1, "service update", "✗ Could not locate the `collector-server` binary")
	})
}

func TestWhatTheFileAddsToWhatTheManagerSays(t *testing.T) {
	t.Parallel()
	m := systemd{home: t.TempDir()}
	const program = "/opt/collector-server"
	d := definition{program, ports{http: 7000}}
	text, err := m.render(d)
	if err != nil {
		t.Fatal(err)
	}
	w := &app{manager: m, processes: waitTable{}}
	written := file{path: m.path(), text: text, exists: true, definition: d}
	loaded := state{phase: running, loaded: m.path(), program: program, unitEnv: []string{httpPortEnv + "=7000"}}
	for _, c := range []struct {
		what   string
		change func(s *state, f *file)
		phase  phase
		stale  bool
	}{
		{"as written", func(*state, *file) {}, running, false},
		{"another program is loaded", func(s *state, _ *file) { s.program = "/x" }, running, true},
		{"another port is loaded", func(s *state, _ *file) { s.unitEnv = nil }, running, true},
		{"no program is loaded", func(s *state, _ *file) { s.program = "" }, running, false},
		{"edited by hand", func(s *state, f *file) { s.program, f.text = "/x", text+"#\n" }, running, false},
		{"loaded from elsewhere", func(s *state, _ *file) { s.program, s.loaded = "/x", "/y" }, running, false},
		{"with a drop-in", func(s *state, _ *file) { s.program, s.dropIns = "/x", []string{"/y"} }, running, false},
		{"the manager says so", func(s *state, f *file) { s.stale, f.text = true, "" }, running, true},
		{"not one that can be written", func(s *state, f *file) { s.program, f.definition.collector = "/x", "\n" }, running, false},
		{"there, but not loaded", func(s *state, _ *file) { *s = state{phase: notInstalled} }, stopped, false},
		{"a link, not loaded", func(s *state, f *file) { *s, *f = state{phase: notInstalled}, file{path: f.path, link: "/x"} }, stopped, false},
		{"a mask, not loaded", func(s *state, f *file) { *s, *f = state{phase: notInstalled}, file{path: f.path, link: "/dev/null"} }, notInstalled, false},
		{"nothing", func(s *state, f *file) { *s, *f = state{phase: notInstalled}, file{path: f.path} }, notInstalled, false},
	} {
		s, f := loaded, written
		c.change(&s, &f)
		if got := w.withFile(s, f); got.phase != c.phase || got.stale != c.stale || got.file.path != f.path {
			t.Errorf("%s: %s, stale %t", c.what, got.phase, got.stale)
		}
	}
}

func TestAPackagesDefinitionIsReadAsItIsNow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), unitName)
	w := &app{manager: systemd{home: "/home/ada"}, processes: waitTable{}}
	for _, c := range []struct {
		what      string
		s         state
		there     bool
		phase     phase
		collector string
	}{
		{"running", state{phase: running, enabled: ptr(false)}, true, running, "/new"},
		{"stopped, enabled", state{phase: stopped, enabled: ptr(true)}, true, stopped, "/new"},
		{"stopped, nobody knows whether enabled", state{phase: stopped}, true, stopped, "/new"},
		{"stopped, not enabled", state{phase: stopped, enabled: ptr(false)}, true, notInstalled, "/new"},
		{"running, gone", state{phase: running}, false, running, ""},
		{"stopped, gone", state{phase: stopped, enabled: ptr(true)}, false, notInstalled, ""},
	} {
		os.Remove(path)
		if c.there {
			if err := os.WriteFile(path, []byte("[Service]\nExecStart=/new\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.s.loaded = path
		got := w.withFile(c.s, file{path: "/home/ada/x"})
		if got.phase != c.phase || got.file.definition.collector != c.collector || (got.loaded != "") != c.there {
			t.Errorf("%s: %s, %q, loaded from %q", c.what, got.phase, got.file.definition.collector, got.loaded)
		}
	}
}

func TestTheFileOfADefinition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		make   func(path string) error
		exists bool
		link   string
		err    string
		reads  string // the collector
	}{
		{"none", func(string) error { return nil }, false, "", "", ""},
		{"a unit", func(path string) error { return os.WriteFile(path, []byte("[Service]\nExecStart=/x\n"), 0o600) }, true, "", "", "/x"},
		{"an empty file", func(path string) error { return os.WriteFile(path, nil, 0o600) }, false, "", "", ""},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }, true, "", "is in the way: it is not a regular file", ""},
		{"a mask", func(path string) error { return os.Symlink(os.DevNull, path) }, false, os.DevNull, "", ""},
		{"a link to nowhere", func(path string) error { return os.Symlink("/nowhere/x", path) }, false, "/nowhere/x", "", ""},
		{"a link to a unit", func(path string) error {
			return errors.Join(os.WriteFile(path+".real", []byte("[Service]\nExecStart=/y\n"), 0o600), os.Symlink(unitName+".real", path))
		}, false, unitName + ".real", "", "/y"},
		{"a link to itself", func(path string) error { return os.Symlink(unitName, path) }, true, unitName, "too many levels", ""},
	} {
		m := systemd{home: t.TempDir()}
		if err := os.MkdirAll(filepath.Dir(m.path()), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := c.make(m.path()); err != nil {
			t.Skip("no links here:", err)
		}
		w := &app{manager: m}
		f := w.readFile()
		if f.exists != c.exists || f.link != c.link || (f.err != nil) != (c.err != "") || !strings.Contains(errText(f.err), c.err) || f.definition.collector != c.reads || f.path != m.path() {
			t.Errorf("%s: %+v", c.what, f)
		}
	}
	m := systemd{home: filepath.Join(t.TempDir(), "file")} // a file where a folder should be
	if err := os.WriteFile(m.home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := (&app{manager: m}).readFile(); f.exists || f.err != nil {
		t.Errorf("below a file: %+v", f)
	}
}

func TestWhichCollectorIsTheServices(t *testing.T) {
	t.Parallel()
	inFile := file{exists: true, definition: definition{collector: "/file"}}
	gone := file{definition: definition{collector: "/file"}}
	for _, c := range []struct {
		what       string
		s          state
		want       string
		overridden bool
	}{
		{"loaded", state{program: "/loaded", file: inFile}, "/loaded", false},
		{"loaded, a drop-in", state{program: "/loaded", file: inFile, dropIns: []string{"x"}}, "/loaded", true},
		{"loaded, a drop-in that says the same", state{program: "/file", file: inFile, dropIns: []string{"x"}}, "/file", false},
		{"loaded, a drop-in, changed since", state{program: "/loaded", file: inFile, dropIns: []string{"x"}, stale: true}, "/file", false},
		{"loaded, a drop-in, gone", state{program: "/loaded", file: gone, dropIns: []string{"x"}}, "/loaded", false},
		{"changed since", state{program: "/loaded", file: inFile, stale: true}, "/file", false},
		{"gone since", state{program: "/loaded", file: gone, stale: true}, "/loaded", false},
		{"not loaded, with drop-ins", state{file: inFile, dropIns: []string{"x"}}, "/file", false},
	} {
		if got := c.s.collector(); got != c.want || c.s.overridden() != c.overridden {
			t.Errorf("%s: %s, overridden %t", c.what, got, c.s.overridden())
		}
	}
}
