// Decisions: what a request asks the manager, which effects it has, and what the service runs afterwards.
package main

import (
	"errors"
	"strings"
	"testing"
)

func TestTheManagerIsAskedForItsSurroundingsWhenTheStateDoesNotSayAll(t *testing.T) {
	t.Parallel()
	well := []option{installed(), runningAs(4242)}
	for _, c := range []struct {
		what string
		r    request
		o    option
		want bool
	}{
		{"a healthy service", request{}, change("", func(*snapshot) {}), false},
		{"doctor", request{checks: true}, change("", func(*snapshot) {}), true},
		{"install", request{verb: install}, change("", func(*snapshot) {}), true},
		{"update", request{verb: update}, change("", func(*snapshot) {}), true},
		{"dashboard", request{verb: ensure}, change("", func(*snapshot) {}), true},
		{"restart", request{verb: restart}, change("", func(*snapshot) {}), false},
		{"stop", request{verb: stop}, change("", func(*snapshot) {}), false},
		{"no answer", request{checks: true}, change("", func(s *snapshot) { s.silent = errors.New("x") }), false},
		{"not known whether enabled", request{}, change("", func(s *snapshot) { s.state.enabled = nil }), true},
		{"stopped", request{}, inPhase(stopped, "inactive", nil), true},
		{"loaded from elsewhere", request{}, change("", func(s *snapshot) { s.state.loaded = "/usr/lib/x" }), true},
		{"a port of the process alone", request{}, change("", func(s *snapshot) { s.state.processEnv = []string{httpPortEnv + "=7000"} }), true},
	} {
		same(t, c.what, c.r.asks(snapshotOf("systemd", append(well[:2:2], c.o)...)), c.want)
	}
}

func TestWhatIsDoneToTheServiceAndWhatItRunsAfterwards(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no path in here is an absolute one there")
	m := snapManager("systemd")
	const other, mine = "/opt/other/collector-server", snapProgram
	up, down := []option{installed(), runningAs(4242)}, []option{installed()}
	found := change("another is found", func(s *snapshot) { s.candidate.path, s.sameProgram = other, false })
	moved := change("other ports", func(s *snapshot) { s.shell.ports = ports{7000, 7001} })
	replaced := change("replaced", func(s *snapshot) { s.process.replaced = true })
	packaged := change("a package's", func(s *snapshot) {
		s.state.loaded, s.state.file.exists, s.state.program = "/usr/lib/systemd/user/runtimescope.service", false, "/bin/collector-server"
		s.installed.path, s.candidate.path, s.sameProgram = "/bin/collector-server", "/usr/bin/collector-server", true
	})
	dropIn := change("a drop-in that runs another", func(s *snapshot) {
		s.state.dropIns, s.state.program, s.installed.path = []string{"/x.conf"}, "/opt/dropped", "/opt/dropped"
	})
	versioned := change("its path has a version", func(s *snapshot) { s.installed.wontLast = "1.0 contains a version number" })
	gone := change("what is installed is gone", func(s *snapshot) { s.installed.err = errors.New("missing") })
	for _, c := range []struct {
		what      string
		on        []option
		v         verb
		effects   effects
		plan      verb
		collector string
		writes    bool
	}{
		{"a fresh install", nil, install, writes, install, mine, true},
		{"install over a healthy service", up, install, writes, install, mine, true},
		{"install of another", append(up[:2:2], found), install, writes, install, other, true},
		{"update with nothing new", up, update, 0, look, mine, false},
		{"update of a stopped service", down, update, 0, look, mine, false},
		{"update with another beside", append(up[:2:2], found), update, 0, look, mine, false},
		{"update with another beside, and replaced", append(up[:2:2], found, replaced), update, starts, restart, mine, false},
		{"update to another where the old one will not last", append(up[:2:2], found, versioned), update, writes, install, other, true},
		{"update to another where the old one is gone", append(up[:2:2], found, gone), update, writes, install, other, true},
		{"update to other ports", append(up[:2:2], moved), update, writes, install, mine, true},
		{"update of a replaced program", append(up[:2:2], replaced), update, starts, restart, mine, false},
		{"update of a failed service", append(up[:2:2], inPhase(failed, "failed", nil)), update, starts, restart, mine, false},
		{"restart", append(up[:2:2], found), restart, starts, restart, mine, false},
		{"stop", up, stop, stops, stop, mine, false},
		{"stop of a stopped service", down, stop, 0, look, mine, false},
		{"stop of a job that may start", append(down[:1:1], change("", func(s *snapshot) { s.state.loadedIdle = true })), stop, stops, stop, mine, false},
		{"stop while it is ending", append(up[:2:2], ending()), stop, stops, stop, mine, false},
		{"stop without a main process", append(up[:2:2], noMainProcess()), stop, stops, stop, mine, false},
		{"stop where none is left", append(up[:2:2], empty()), stop, stops, stop, mine, false},
		{"update where none is left", append(up[:2:2], empty()), update, starts, restart, mine, false},
		{"dashboard where none is left", append(up[:2:2], empty()), ensure, writes, install, mine, true},
		{"uninstall", down, uninstall, removes, uninstall, mine, false},
		{"uninstall of nothing", nil, uninstall, 0, look, "", false},
		{"uninstall of a link left over", []option{change("", func(s *snapshot) { s.state.loginLink = "/wants" })}, uninstall, removes, uninstall, "", false},
		{"uninstall of a mask", append(down[:1:1], masked()), uninstall, 0, look, mine, false},
		{"uninstall of a mask over a definition", append(down[:1:1], maskedRuntime()), uninstall, removes, uninstall, mine, false},
		{"dashboard with a healthy service", append(up[:2:2], found), ensure, 0, look, mine, false},
		{"dashboard with a replaced program", append(up[:2:2], replaced), ensure, writes, install, mine, true},
		{"dashboard with a stopped service does not move it", append(down[:1:1], found), ensure, writes, install, mine, true},
		{"dashboard where what is installed is gone", append(down[:1:1], found, gone), ensure, writes, install, other, true},
		{"dashboard with other ports", append(up[:2:2], moved), ensure, writes, install, mine, true},
		{"a package's definition is adopted", append(up[:2:2], packaged), install, writes, install, "/bin/collector-server", false},
		{"a package's definition with other ports", append(up[:2:2], packaged, moved), install, writes, install, "/bin/collector-server", true},
		{"a broken definition says nothing that stays", append(up[:2:2], dropIn, change("broken", func(s *snapshot) {
			s.state.loadError, s.state.program, s.state.file.definition.collector = "bad", snapProgram, "/bin/true"
		})), install, writes, install, mine, true},
		{"what a drop-in runs stays", append(up[:2:2], dropIn), install, writes, install, "/opt/dropped", true},
	} {
		s := snapshotOf("systemd", c.on...)
		d := decide(m, s, request{verb: c.v})
		if d.refused != nil {
			t.Errorf("%s is refused: %s", c.what, d.refused.summary)
			continue
		}
		if c.writes && !strings.Contains(c.what, "drop-in") && m.parse(d.text).collector != c.collector {
			t.Errorf("%s: it writes\n%s", c.what, d.text)
		}
		if got := effectsOf(s, request{verb: c.v}); got != c.effects || d.verb != c.plan || d.target.collector != c.collector || (d.text != "") != c.writes {
			t.Errorf("%s: effects %b, plan %q, runs %s, writes %q", c.what, got, d.verb, d.target.collector, d.text)
		}
		if (len(d.plan.steps) > 0) != (c.plan != look) {
			t.Errorf("%s: %d steps", c.what, len(d.plan.steps))
		}
	}
	odd := change("the file names another", func(s *snapshot) { s.state.file.definition.collector, s.candidate.path = `/opt/a"b`, `/opt/a"b` })
	if d := decide(m, snapshotOf("systemd", append(up[:2:2], dropIn, odd)...), request{verb: install}); d.refused == nil || d.refused.id != "collector-path" || d.refused.check != "collector" {
		t.Errorf("a file that cannot be written: %+v", d.refused)
	}
	s := snapshotOf("systemd", append(up[:2:2], dropIn)...)
	if d := decide(m, s, request{verb: install}); m.parse(d.text).collector != mine {
		t.Errorf("the file names what the drop-in runs:\n%s", d.text)
	}
	same(t, "one that is asked for, whatever the drop-in runs", targetOf(s, request{verb: install, collector: mine}).collector, mine)
	s = snapshotOf("systemd", append(down[:1:1], found, change("broken", func(s *snapshot) { s.state.loadError = "bad" }))...)
	same(t, "dashboard, where what is installed may not be known", targetOf(s, request{verb: ensure}).collector, other)
}

func TestAStartThatSomebodyElseMadeIsOurs(t *testing.T) {
	t.Parallel()
	up := snapshotOf("systemd", installed(), runningAs(4242))
	text := need(snapManager("systemd").render(definition{collector: snapProgram}))(t)
	up.state.file.text = text
	before := &state{invocation: "0"}
	for _, c := range []struct {
		what   string
		before *state
		change func(d *decision)
		want   bool
	}{
		{"while we waited", before, func(*decision) {}, true},
		{"nobody was at work", nil, func(*decision) {}, false},
		{"the same start", &state{invocation: "1"}, func(*decision) {}, false},
		{"not running", before, func(d *decision) { d.snapshot.state.phase = starting }, false},
		{"changed since", before, func(d *decision) { d.snapshot.state.stale = true }, false},
		{"another definition", before, func(d *decision) { d.target.collector = "/x" }, false},
		{"another text", before, func(d *decision) { d.text = "x" }, false},
		{"no text", before, func(d *decision) { d.text, d.snapshot.state.file.text = "", "y" }, true},
		{"not enabled", before, func(d *decision) { d.snapshot.state.enabled = ptr(false) }, false},
		{"not known whether enabled", before, func(d *decision) { d.snapshot.state.enabled = nil }, true},
	} {
		d := decision{snapshot: up, target: definition{collector: snapProgram, ports: ports{}.orDefault()}, text: text}
		c.change(&d)
		same(t, c.what, d.shared(c.before), c.want)
	}
}
