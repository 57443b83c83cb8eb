// What a state, in service.go, says of itself: its ports, its file, its collector, and what helps.
package main

import (
	"errors"
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
	notOnWindows(t, "no path in here is an absolute one there")
	const mine, other, packaged = "/home/ada/.config/systemd/user/runtimescope.service", "/home/bob/.config/systemd/user/runtimescope.service", "/usr/lib/systemd/user/runtimescope.service"
	for _, c := range []struct {
		what   string
		s      state
		path   string
		vendor bool
	}{
		{"none", state{}, mine, false},
		{"the user's", state{loaded: mine, file: file{exists: true}}, mine, false},
		{"the user's, gone", state{loaded: mine}, mine, false},
		{"the user's, by another name of the home", state{loaded: other, file: file{exists: true}}, mine, false},
		{"a package's", state{loaded: packaged}, packaged, true},
		{"another home's", state{loaded: other, otherHome: "/home/bob"}, other, false},
		{"a mask", state{loaded: mine, masked: true}, mine, false},
		{"a mask, as systemd 247 says it", state{loaded: "/dev/null", masked: true}, mine, false},
		{"a mask until the next boot", state{loaded: "/run/user/1/systemd/user/runtimescope.service", masked: true}, "/run/user/1/systemd/user/runtimescope.service", false},
		{"a mask for all users", state{loaded: "/etc/systemd/user/runtimescope.service", masked: true}, "/etc/systemd/user/runtimescope.service", false},
	} {
		c.s.file.path = mine
		if path := c.s.definitionPath(); path != c.path || c.s.vendor() != c.vendor {
			t.Errorf("%s: %s, vendor %t", c.what, path, c.s.vendor())
		}
	}
}

func TestTheEnvironmentOfAProcessCountsOnceItIsTheServices(t *testing.T) {
	p := parallelProc(t)
	p.put("5/environ", "A=1\x00INVOCATION_ID=abc\x00B=\x00")
	p.put("6/environ", "")
	w := &app{processes: p.procfs}
	for _, c := range []struct {
		s    state
		want int // words; -1: unknown
	}{
		{state{pid: 5, invocation: "abc"}, 3}, {state{pid: 5, invocation: "abd"}, -1}, {state{pid: 5}, -1}, {state{invocation: "abc"}, -1}, {state{pid: 6, invocation: "abc"}, -1}, {state{pid: 7, invocation: "abc"}, -1},
	} {
		if got := w.processEnv(c.s); len(got) != max(0, c.want) || (got == nil) != (c.want < 0) {
			t.Errorf("PID %d, start %q: got %q", c.s.pid, c.s.invocation, got)
		}
	}
}

func TestWhatTheFileAddsToWhatTheManagerSays(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no path in here is an absolute one there")
	m := systemd{home: t.TempDir()}
	const program = "/opt/collector-server"
	d := definition{collector: program, ports: ports{http: 7000}}
	text := need(m.render(d))(t)
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
			put(t, path, "[Service]\nExecStart=/new\n", 0o600)
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
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }, true, "", "exists but is not a regular file", ""},
		{"a mask", func(path string) error { return os.Symlink(os.DevNull, path) }, false, os.DevNull, "", ""},
		{"a link to nowhere", func(path string) error { return os.Symlink("/nowhere/x", path) }, false, "/nowhere/x", "", ""},
		{"a link to a unit", func(path string) error {
			return errors.Join(os.WriteFile(path+".real", []byte("[Service]\nExecStart=/y\n"), 0o600), os.Symlink(unitName+".real", path))
		}, false, unitName + ".real", "", "/y"},
		{"a link to itself", func(path string) error { return os.Symlink(unitName, path) }, true, unitName, "too many levels", ""},
	} {
		if c.link != "" && !linksWork() {
			continue
		}
		m := systemd{home: t.TempDir()}
		must(t, os.MkdirAll(filepath.Dir(m.path()), 0o755))
		must(t, c.make(m.path()))
		w := &app{manager: m}
		f := w.readFile()
		if f.exists != c.exists || f.link != c.link || (f.err != nil) != (c.err != "") || !strings.Contains(errText(f.err), c.err) || f.definition.collector != c.reads || f.path != m.path() {
			t.Errorf("%s: %+v", c.what, f)
		}
	}
	m := systemd{home: filepath.Join(t.TempDir(), "file")} // a file where a folder should be
	put(t, m.home, "", 0o600)
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
