// The invariants of the diagnosis over many made-up snapshots, and what each kind of problem blocks.
package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// eachSnapshot calls f with every pair of options, on nothing and on a running service of each manager.
func eachSnapshot(t *testing.T, f func(t *testing.T, what string, m serviceManager, s snapshot)) {
	t.Helper()
	options, n := allOptions(), 0
	for _, manager := range []string{"systemd", "launchd"} {
		m := snapManager(manager)
		for _, start := range [][]option{nil, {installed(), runningAs(4242)}} {
			for i, one := range options {
				for _, two := range options[i:] {
					if manager == "launchd" && (one.systemdOnly() || two.systemdOnly()) {
						continue
					}
					if manager == "systemd" && strings.Contains(one.name+two.name, "launchd: ") {
						continue
					}
					all := append(slices.Clone(start), one, two)
					f(t, fmt.Sprintf("%s, %d before, %s, %s", manager, len(start), one.name, two.name), m, snapshotOf(manager, all...))
					if n++; t.Failed() && n > 1 {
						t.FailNow()
					}
				}
			}
		}
	}
	if n < 4000 {
		t.Errorf("only %d snapshots", n)
	}
}

// systemdOnly tells whether an option is a fact that launchd never states.
func (o option) systemdOnly() bool {
	return slices.Contains([]string{"masked", "masked until the next boot", "a mask as a file", "another home", "a link left over", "broken by a drop-in",
		"a drop-in that runs another", "cannot be enabled", "transient", "an alias", "an unreadable drop-in", "an unmet condition", "no start by hand",
		"no stop by hand", "requires what is not there", "triggered", "enabled for all", "other mounts", "another unit before it",
		"another network namespace", "too long an answer", "no linger", "nobody knows of linger", "the manager has a port"}, o.name)
}

var changingVerbs = []verb{install, update, restart, stop, uninstall, ensure}

// ourCommand is a fix that is a command of ours: an assignment of ports, perhaps, and the verb.
var ourCommand = regexp.MustCompile(`^((?:RUNTIMESCOPE_[A-Z_]+=\d+ )*)runtimescope service (\w+)$`)

// requestOf is the request that a fix makes of a snapshot; ok is false for what is no changing command of ours.
func requestOf(fix string, s snapshot) (snapshot, request, bool) {
	match := ourCommand.FindStringSubmatch(fix)
	if match == nil {
		return s, request{}, false
	}
	var p ports
	p.read(strings.Fields(match[1]))
	s.shell.ports = p.or(s.shell.ports)
	v := verb(match[2])
	if v == "start" {
		v = restart
	}
	return s, request{verb: v}, slices.Contains(changingVerbs, v)
}

func TestNoAdviceIsRefused(t *testing.T) {
	t.Parallel()
	eachSnapshot(t, func(t *testing.T, what string, m serviceManager, s snapshot) {
		for _, p := range diagnose(s, m.judgements()) {
			then, r, ok := requestOf(p.fix, s)
			if !ok {
				continue
			}
			if d := decide(m, then, r); d.refused != nil {
				t.Errorf("%s: %s advises %q, which is refused: %s: %s", what, p.id, p.fix, d.refused.id, d.refused.summary)
			}
		}
	})
}

func TestAnInstallIsAdvisedOnlyWhereItMayHelp(t *testing.T) {
	t.Parallel()
	eachSnapshot(t, func(t *testing.T, what string, m serviceManager, s snapshot) {
		problems := diagnose(s, m.judgements())
		for _, p := range problems {
			if blocker := blockerOf(problems, writes, p.id); p.install != "" && blocker != nil && blocker.install != p.install {
				t.Errorf("%s: %s advises %q, which %s refuses", what, p.id, p.install, blocker.id)
			}
			if strings.Contains(p.advice, "runtimescope service") {
				t.Errorf("%s: %s has a command among its words: %q", what, p.id, p.advice)
			}
		}
	})
}

func TestWhatRefusesACommandIsShownByDoctorAndStatus(t *testing.T) {
	t.Parallel()
	eachSnapshot(t, func(t *testing.T, what string, m serviceManager, s snapshot) {
		var shown []string
		for _, c := range checkReports(s, m.judgements()) {
			for _, c := range append(c.more, c) {
				shown = append(shown, c.Summary)
			}
		}
		for _, v := range changingVerbs {
			d := decide(m, s, request{verb: v})
			if d.refused != nil && !slices.Contains(shown, d.refused.summary) {
				t.Errorf("%s: %s is refused by %s, and doctor does not say so", what, v, d.refused.id)
			}
			if strings.Contains(d.text, snapInterpreter) {
				t.Errorf("%s: %s writes a definition that runs an interpreter without its script", what, v)
			}
			there := s.state.there() || s.state.loaded != "" || s.state.leftover() != ""
			if d.refused == nil && d.verb != look && (there || v == install) && len(d.plan.steps) == 0 {
				t.Errorf("%s: %s does nothing", what, v)
			}
		}
	})
}

func TestEachProblemBelongsToOneCheckAndEachCheckSpeaks(t *testing.T) {
	t.Parallel()
	eachSnapshot(t, func(t *testing.T, what string, m serviceManager, s snapshot) {
		own := m.judgements()
		problems := diagnose(s, own)
		reports := checkReports(s, own)
		told := 0
		for _, c := range reports {
			told += len(c.more)
			if c.Status == "warn" || c.Status == "fail" {
				told++
			}
			if c.Summary == "" || !slices.Contains([]string{"ok", "warn", "fail", "unknown"}, c.Status) {
				t.Errorf("%s: the check %s says nothing: %+v", what, c.ID, c)
			}
		}
		if told != len(problems) || len(reports) != len(allChecks(own)) {
			t.Errorf("%s: %d problems, told %d", what, len(problems), told)
		}
		seen := map[string]bool{}
		for _, p := range problems {
			if seen[p.id] || p.summary == "" || p.severity != warning && p.severity != failing || p.blocks != 0 && p.severity != failing {
				t.Errorf("%s: %+v", what, p)
			}
			seen[p.id] = true
		}
		s.around.log = startLog{lines: strings.Split(strings.Repeat("fatal\n", 30), "\n")}
		var said strings.Builder
		(&app{out: printer{stdout: &said}}).sayStatus(s, problems)
		if facts := strings.Count(said.String(), "\n") - len(problems); facts > 24 || strings.Count(said.String(), "fatal") > 5 {
			t.Errorf("%s: status has %d lines of facts:\n%s", what, facts, said.String())
		}
	})
}

func TestNoValueIsToldAndAFixRunsAsItStands(t *testing.T) {
	t.Parallel()
	placeholder := regexp.MustCompile(`…|\bPATH\b|=PORT\b|\bFILE\b|<|, `)
	eachSnapshot(t, func(t *testing.T, what string, m serviceManager, s snapshot) {
		for _, p := range diagnose(s, m.judgements()) {
			if strings.Contains(p.summary+p.help()+strings.Join(p.details, ""), snapSecret) {
				t.Errorf("%s: %s tells a value: %s %s", what, p.id, p.summary, p.help())
			}
			if placeholder.MatchString(p.fix) {
				t.Errorf("%s: the fix of %s does not run as it stands: %q", what, p.id, p.fix)
			}
			if p.id == "port-held" && strings.Contains(p.summary, "editor") && p.fix != "" {
				t.Errorf("%s: it ends an editor: %q", what, p.fix)
			}
		}
	})
}

// causes are words that may stand in a summary only where a fact says so.
func TestACauseIsNamedOnlyWhereAFactSaysSo(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no path in here is an absolute one there")
	causes := []struct {
		word string
		fact func(snapshot) bool
	}{
		{"masked", func(s snapshot) bool { return s.state.masked || s.state.file.link == "/dev/null" }},
		{"symbolic link", func(s snapshot) bool { return s.state.file.link != "" }},
		{"drop-in", func(s snapshot) bool { return len(s.state.dropIns) > 0 || s.state.badDropIn != nil }},
		{"interpreter", func(s snapshot) bool { return s.installed.why != "" }},
		{"another collector", func(s snapshot) bool { return s.holds(snapHTTP, otherCollector) || s.holds(snapWS, unitsCollector) }},
		{"editor", func(s snapshot) bool { return s.holds(snapHTTP, editorPlugin) }},
		{"replaced", func(s snapshot) bool { return s.process.replaced }},
		{"package", func(s snapshot) bool { return s.state.vendor() }},
		{"HOME", func(s snapshot) bool { return s.state.otherHome != "" || s.shell.home == "" }},
		{"signature", func(s snapshot) bool { return s.state.cause == "codesigning" }},
		{"privacy", func(s snapshot) bool { return s.state.cause == "tcc" }},
		{"Low Power Mode", func(s snapshot) bool { return s.state.deferred == "inefficient" }},
		{"GUI session", func(s snapshot) bool { return s.state.noSession != nil }},
		{"its log", func(s snapshot) bool { return s.state.logFault != nil }},
		{"binary plist", func(s snapshot) bool { return strings.HasPrefix(s.state.file.text, "bplist") }},
		{"sudo", func(s snapshot) bool { return s.shell.sudo }},
	}
	eachSnapshot(t, func(t *testing.T, what string, m serviceManager, s snapshot) {
		for _, p := range diagnose(s, m.judgements()) {
			for _, c := range causes {
				if strings.Contains(p.summary, c.word) && !c.fact(s) {
					t.Errorf("%s: %s names a cause that nothing shows: %s", what, p.id, p.summary)
				}
			}
		}
	})
}

// holds tells whether a port has this holder.
func (s snapshot) holds(port int, h holder) bool { return slices.Contains(s.ports[port].holders, h) }

func TestWhatEachProblemRefuses(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no path in here is an absolute one there")
	const all = "install update restart stop uninstall ensure"
	run := []option{installed(), runningAs(4242)}
	down := []option{installed()}
	old := change("replaced", func(s *snapshot) { s.process.replaced = true })
	byDropIn := change("a drop-in", func(s *snapshot) { s.state.dropIns = []string{"/x/y.conf"} })
	find := func(name string) option {
		for _, o := range allOptions() {
			if o.name == name {
				return o
			}
		}
		t.Fatalf("no option %q", name)
		return option{}
	}
	for _, c := range []struct {
		on      []option
		what    string
		id      string
		refuses string
		help    string
	}{
		{run, "installed", "", "", ""},
		{nil, "a secret in the shell", "not-installed", "update restart stop", "runtimescope service install"},
		{run, "masked", "masked", "install restart", "systemctl --user unmask runtimescope.service"},
		{append(run, old), "masked until the next boot", "masked", "install update restart ensure", "systemctl --user unmask --runtime runtimescope.service"},
		{run, "linked", "linked", "install", "change it there, or remove the link"},
		{run, "another home", "other-home", "install update restart stop uninstall", "export HOME='/home/b b'"},
		{run, "sudo", "sudo", "install restart stop uninstall", "runtimescope service x"},
		{run, "no home", "home-invalid", "install restart stop uninstall", ""},
		{run, "no manager", "manager-silent", all, "runtimescope service run"},
		{run, "the manager does not look here", "definition-unseen", "install", ""},
		{run, "the manager has a port", "manager-port", "install", "systemctl --user unset-environment RUNTIMESCOPE_HTTP_PORT"},
		{down, "no collector", "collector-missing", "install update ensure", "runtimescope service install --collector PATH"},
		{run, "the path is odd", "collector-path", "install", ""},
		{down, "the collector is gone", "collector-unusable", "restart", "runtimescope service install"},
		{run, "unreadable", "definition-unreadable", "install restart uninstall", ""},
		{run, "gone", "definition-gone", "restart", "runtimescope service install"},
		{run, "broken", "definition-broken", "restart", "runtimescope service install"},
		{run, "broken by a drop-in", "definition-broken", "install", "edit or remove /x/y.conf"},
		{run, "not a port", "port-invalid", "install update restart", "unset RUNTIMESCOPE_HTTP_PORT"},
		{run, "the same ports in the shell", "ports-same", "install update ensure", "RUNTIMESCOPE_HTTP_PORT=6768 RUNTIMESCOPE_PORT=6767 runtimescope service install"},
		{down, "the same ports in the definition", "ports-same", "install restart ensure", "RUNTIMESCOPE_HTTP_PORT=6768 RUNTIMESCOPE_PORT=6767 runtimescope service install"},
		{down, portHeldBy(snapHTTP, otherCollector).name, "port-held", "install restart ensure", "kill 77"},
		{down, portHeldBy(snapHTTP, editorPlugin).name, "port-held", "install restart ensure", "quit the editor"},
		{down, portHeldBy(snapWS, unitsCollector).name, "port-held", "install restart ensure", "systemctl --user stop other.service"},
		{append(down[:1:1], change("", func(s *snapshot) { s.free = ports{6778, 6777} })), portHeldBy(snapWS, boundOnly).name, "port-held", "install restart ensure",
			"choose another port: RUNTIMESCOPE_PORT=6777 runtimescope service install"},
		{run, "other mounts", "other-mounts", "install uninstall", "run this outside the sandbox or container"},
		{run, "another unit before it", "shadowed", "install uninstall", "remove it, then run systemctl --user daemon-reload"},
		{run, "no start by hand", "manual-refused", "install restart", "see systemctl --user cat runtimescope.service"},
		{append(run[:2:2], byDropIn), "no start by hand", "manual-refused", "install restart", "edit or remove /x/y.conf"},
		{append(run[:2:2], change("two drop-ins", func(s *snapshot) { s.state.dropIns = []string{"/usr/lib/systemd/user/service.d/a.conf", "/x/y.conf"} })), "no start by hand",
			"manual-refused", "install restart", "edit or remove /x/y.conf"},
		{run, "no stop by hand", "manual-refused", "restart stop uninstall", "runtimescope service install"},
		{down, "no stop by hand", "manual-refused", "restart", "runtimescope service install"},
		{down, "requires what is not there", "requirement-missing", "restart", "runtimescope service install"},
		{run, "enabled for all", "enabled-for-all", "", "sudo systemctl --global disable runtimescope.service, or report it to the package's maintainer"},
		{run, "triggered", "triggered", "stop uninstall", "systemctl --user disable --now x.socket"},
		{run, "no linger", "no-linger", "", "sudo loginctl enable-linger $USER"},
		{run, "not enabled", "not-enabled", "", "runtimescope service install"},
		{run, "replaced", "collector-replaced", "", "runtimescope service restart"},
		{run, "changed on disk", "definition-changed", "", "runtimescope service restart"},
	} {
		m := snapManager("systemd")
		s := snapshotOf("systemd", append(slices.Clone(c.on), find(c.what))...)
		var refuses []string
		for _, v := range changingVerbs {
			if d := decide(m, s, request{verb: v}); d.refused != nil && (c.id == "collector-unusable" || d.refused.id != "collector-unusable") {
				refuses = append(refuses, string(v))
				same(t, fmt.Sprintf("%s: %s is refused by", c.what, v), d.refused.id, c.id)
			}
		}
		same(t, fmt.Sprintf("%s refuses", c.what), strings.Join(refuses, " "), c.refuses)
		for _, p := range diagnose(s, m.judgements()) {
			if p.id == c.id && p.help() != c.help {
				t.Errorf("%s: %q helps, not %q", c.what, p.help(), c.help)
			}
		}
	}
}
