// What doctor finds in each state: every check runs, each bad one has a fix, and no value of a variable is shown.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// checked runs doctor and returns the status of each check by its id.
func (b *bench) checked(code int) map[string]checkReport {
	b.t.Helper()
	b.want(code, "service doctor --json")
	var report struct {
		Schema          int
		Command         string
		Checks          []checkReport
		OK              *bool
		Problems, Error any
	}
	decoder := json.NewDecoder(strings.NewReader(b.stdout.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || report.OK == nil {
		b.t.Fatalf("%v\n%s", err, b.stdout.String())
	}
	all := map[string]checkReport{}
	failed := 0
	for _, c := range report.Checks {
		if _, twice := all[c.ID]; twice {
			b.t.Errorf("%s is there twice", c.ID)
		}
		all[c.ID] = c
		if !slices.Contains([]string{"ok", "warn", "fail", "unknown"}, c.Status) || c.Summary == "" {
			b.t.Errorf("%+v", c)
		}
		if c.Status == "ok" && c.Fix != "" {
			b.t.Errorf("a fix for what is well: %+v", c)
		}
		if c.Status == "fail" {
			failed++
		}
	}
	for _, id := range []string{"collector", "definition", "manager", "enabled", "process", "ready", "ports", b.on("linger", "logs"), "environment"} {
		if _, ok := all[id]; !ok {
			b.t.Errorf("there is no check %q:\n%s", id, b.stdout.String())
		}
	}
	if *report.OK != (failed == 0) || (code == 0) != (failed == 0) {
		b.t.Errorf("ok is %v, exit %d, %d failed", *report.OK, code, failed)
	}
	return all
}

func TestDoctorInEveryState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  func(b *bench)
		code int
		want map[string]string // id: status and a part of the summary or fix
	}{
		{"well", func(b *bench) { b.installed() }, 0, map[string]string{"manager": "ok", "definition": "ok ", "process": "ok running (PID", "ready": "ok",
			"ports": "ok held by the service", "enabled": "ok starts at login", "environment": "ok"}},
		{"nothing installed", func(*bench) {}, 1, map[string]string{"definition": "fail not installed", "process": "fail not installed", "ready": "unknown",
			"ports": "ok no listener on", "manager": "ok"}},
		{"stopped", func(b *bench) { b.installed().want(0, "service stop") }, 0, map[string]string{"process": "warn stopped", "ready": "unknown", "ports": "ok no listener"}},
		{"crash-looping", func(b *bench) { b.installed().crashed("crash 3") }, 1, map[string]string{"process": "fail crash-looping, last exit status 3", "ready": "unknown"}},
		{"not ready", func(b *bench) { b.installed(); b.behaves("silent") }, 1, map[string]string{"process": "ok", "ready": "fail /readyz"}},
		{"foreign answer", func(b *bench) { b.installed(); b.behaves("silent"); b.foreign(b.httpPort(), "python3") }, 1,
			map[string]string{"ready": "fail answered by PID 666 (python3), not by the service", "ports": "fail is held by PID 666"}},
		{"collector gone", func(b *bench) { b.installed(); os.Remove(b.collector()) }, 1, map[string]string{"collector": "fail missing"}},
		{"no collector at all", func(b *bench) { os.Remove(b.collector()) }, 1, map[string]string{"collector": "fail Could not locate"}},
		{"replaced", func(b *bench) { b.installed().replaceCollector() }, 0, map[string]string{"collector": "warn "}},
		{"file gone", func(b *bench) { b.installed(); os.Remove(b.manager.names().path) }, 1, map[string]string{"definition": "fail "}},
		{"HOME relative", func(b *bench) { b.app.home = "here" }, 1, map[string]string{"environment": "fail HOME is"}},
		{"sudo", func(b *bench) { b.app.uid = 0; b.env["SUDO_USER"] = "ada" }, 1, map[string]string{"environment": "fail without sudo"}},
		{"no port", func(b *bench) { b.installed(); b.env[httpPortEnv] = "none" }, 1, map[string]string{"environment": "fail " + httpPortEnv}},
	} {
		for _, manager := range []string{"systemd", "launchd"} {
			t.Run(manager+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, manager).quick()
				c.set(b)
				b.calls()
				all := b.checked(c.code)
				b.wantCalls()
				about := map[string]string{}
				for id, want := range c.want {
					status, text, _ := strings.Cut(want, " ")
					if got := all[id]; got.Status != status && !(c.name == "well" && got.Status == "warn") {
						t.Errorf("%s is %+v, want %s", id, got, want)
					}
					about[id] = text
				}
				b.want(c.code, "service doctor")
				for id, text := range about {
					if !slices.ContainsFunc(strings.Split(b.stdout.String()+b.stderr.String(), "\n"), func(line string) bool {
						return strings.Contains(line, " "+id+": ") && strings.Contains(line, text)
					}) {
						t.Errorf("the words do not have %s: %s\n%s%s", id, text, b.stdout.String(), b.stderr.String())
					}
				}
				for _, got := range all {
					if !strings.Contains(b.stdout.String()+b.stderr.String(), got.ID+": ") {
						t.Errorf("the words do not have %s:\n%s", got.ID, b.stdout.String())
					}
					if got.Fix != "" && !strings.Contains(b.stdout.String(), "Fix: "+got.Fix) {
						t.Errorf("the words do not have the fix %q", got.Fix)
					}
				}
			})
		}
	}
}

func TestDoctorRunsEveryCheckWithoutAManager(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Busless = "Failed to connect to bus: No medium found" })
	all := b.checked(1)
	for id, want := range map[string]string{"manager": "fail", "definition": "unknown", "process": "unknown", "enabled": "unknown", "collector": "warn"} {
		same(t, fmt.Sprintf("%s is %+v", id, all[id]), all[id].Status, want)
	}
	if all["manager"].Fix == "" || !strings.Contains(all["manager"].Summary, "No medium found") {
		t.Errorf("manager is %+v", all["manager"])
	}
}

func TestNoOutputHasTheValueOfAVariable(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		const secret = "hush-hush-7d1f"
		b.env["RUNTIMESCOPE_API_KEY"], b.env["RUNTIMESCOPE_TOKEN"] = secret, secret
		b.app.environ = []string{"RUNTIMESCOPE_API_KEY=" + secret, "RUNTIMESCOPE_TOKEN=" + secret, "OTHER=1", httpPortEnv + "=" + b.env[httpPortEnv]}
		b.want(0, "service install")
		said := ""
		for _, args := range []string{"service doctor", "service doctor --json", "service status", "service status --json", "service restart",
			"service install -n", "service unit", "service logs", "dashboard --no-open", "help", "service update"} {
			b.runs(strings.Fields(args)...)
			said += b.stdout.String() + b.stderr.String()
		}
		if strings.Contains(said, secret) {
			t.Errorf("a secret is shown:\n%s", said)
		}
		if got := b.checked(0)["environment"]; got.Status != "warn" || !strings.Contains(got.Summary, "RUNTIMESCOPE_API_KEY") || strings.Contains(got.Summary, httpPortEnv) || strings.Contains(got.Summary, "OTHER") {
			t.Errorf("environment is %+v", got)
		}
		b.env[httpPortEnv] = secret
		b.runs("service", "doctor")
		b.silentOn(secret)
	})
}

// TestDoctorJudgesWhatWasFound has the very words of each check for snapshots that no fake machine comes to by itself.
func TestDoctorJudgesWhatWasFound(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "paths have another form here")
	const me = 1000
	ours, theirs := holder{pid: 42, ours: true}, holder{pid: 666, uid: 1, command: "python3"}
	unreached := errors.New("no answer")
	sh := func() programFacts { return programFacts{path: "/bin/sh"} }
	definition := definition{collector: "/bin/sh", ports: ports{7000, 7001}}
	says := []string{httpPortEnv + "=7000", wsPortEnv + "=7001"}
	running := func() snapshot {
		m := systemd{home: "/home/ada"}
		s := snapshot{
			shell: shell{home: m.home, uid: me, platform: "linux", supported: true}, names: m.names(), installed: sh(), candidate: sh(), sameProgram: true,
			ready: readyFacts{port: 7000}, process: processFacts{age: 90 * time.Second},
			state: state{phase: running, pid: 42, enabled: ptr(true), loaded: "/unit", program: "/bin/sh", unitEnv: says, linger: ptr(false),
				file: file{path: "/unit", exists: true, definition: definition}},
		}
		s.ports = map[int]portFacts{7000: {holders: []holder{ours}}, 7001: {holders: []holder{ours}}}
		return s
	}
	held := func(s *snapshot, by ...holder) {
		s.ports = map[int]portFacts{7000: {holders: by}, 7001: {holders: by}}
	}
	down := func(s *snapshot, p phase) {
		s.state.phase, s.state.pid, s.ready.err, s.process = p, 0, unreached, processFacts{}
		held(s)
	}
	silent := func(s *snapshot, err error) {
		s.silent, s.state = err, state{phase: unknown, linger: ptr(false), file: s.state.file}
	}
	const idle = "\nready unknown nothing is running that could answer on http://127.0.0.1:7000\nports ok no listener on 7000 and 7001"
	for name, c := range map[string]struct {
		change func(s *snapshot)
		want   string // those checks that are not as they are for a service that is well
	}{
		"well":             {func(*snapshot) {}, ""},
		"HOME is relative": {func(s *snapshot) { s.shell.home = "here" }, `environment fail HOME is "here": it must be set to an absolute path`},
		"sudo": {func(s *snapshot) { s.shell.sudo, s.shell.commandLine = true, "runtimescope service doctor" },
			"environment fail this is a per-user service: run it without sudo [runtimescope service doctor]"},
		"a port that is none": {func(s *snapshot) { s.shell.badPort = wsPortEnv },
			"environment fail RUNTIMESCOPE_PORT is not a valid port: it must be a number from 1 to 65535 [unset RUNTIMESCOPE_PORT]"},
		"other ports in this shell, and a variable": {func(s *snapshot) {
			s.shell.ports.http, s.shell.variables = 7002, []string{httpPortEnv + "=7002", "RUNTIMESCOPE_TOKEN=x"}
			s.ports[7002] = portFacts{}
		}, `environment warn RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT in this shell do not match the service's ports, 7000 and 7001 [runtimescope service install]
environment warn set in this shell but missing or different in the service: RUNTIMESCOPE_TOKEN [runtimescope service install --env RUNTIMESCOPE_TOKEN]`},
		"a variable that the manager gives the process": {func(s *snapshot) {
			s.shell.variables, s.state.processEnv = []string{"RUNTIMESCOPE_TOKEN=x"}, append([]string{"RUNTIMESCOPE_TOKEN=x"}, says...)
		}, ""},
		"no collector": {func(s *snapshot) {
			down(s, notInstalled)
			s.shell.ports, s.installed, s.candidate = ports{7000, 7001}, programFacts{}, programFacts{err: errors.New("Could not locate it")}
			s.state = state{phase: notInstalled, linger: ptr(false), file: file{path: "/unit"}}
		}, `collector fail Could not locate it [runtimescope service install --collector PATH]
definition fail not installed: there is no /unit [runtimescope service install --collector PATH]
enabled unknown could not check whether the service starts at login
process fail not installed, so not running [runtimescope service install --collector PATH]` + idle},
		"a collector that no unit can name": {func(s *snapshot) { s.candidate = programFacts{path: `/a"b`, cannotCarry: errors.New("cannot run it")} },
			"collector fail cannot run it"},
		"a collector that may not last": {func(s *snapshot) { s.installed.wontLast = "it is in a cache" },
			"collector warn /bin/sh may not last: it is in a cache [runtimescope service install --collector PATH]"},
		"another collector by a drop-in": {func(s *snapshot) { s.state.file.definition.collector, s.state.dropIns = "/other", []string{"/x.conf"} },
			"collector warn The service runs /bin/sh, set by a drop-in of the unit (systemctl --user cat runtimescope.service)"},
		"replaced": {func(s *snapshot) { s.process.replaced = true },
			"collector warn Restart needed: the binary has been replaced since it was started [runtimescope service restart]"},
		"replaced and stale": {func(s *snapshot) { s.process.replaced, s.state.stale = true, true },
			"definition warn Restart needed: the definition has changed since it was loaded [runtimescope service restart]"},
		"stale while it is stopped": {func(s *snapshot) { down(s, stopped); s.state.stale = true },
			`definition warn Restart needed: the definition has changed since it was loaded [runtimescope service restart]
process warn stopped [runtimescope service start]` + idle},
		"cannot be read": {func(s *snapshot) { s.state.file.err = errors.New("permission denied") },
			"definition fail permission denied"},
		"changed since the start": {func(s *snapshot) { s.process.definitionChanged = true },
			"definition warn Restart needed: the definition has changed since the collector was started [runtimescope service restart]"},
		"started with other ports than the unit says": {func(s *snapshot) { s.state.processEnv, s.state.unitEnv = says, []string{httpPortEnv + "=7005"} }, ""},
		"started before the unit said other ports": {func(s *snapshot) {
			s.process.definitionChanged, s.state.processEnv, s.state.unitEnv = true, says, []string{httpPortEnv + "=7005"}
		},
			"definition warn Restart needed: the definition has changed since the collector was started [runtimescope service restart]"},
		"stopping": {func(s *snapshot) { s.state.phase, s.ready.err = stopped, unreached },
			`process warn stopping (PID 42)
ready unknown nothing is running that could answer on http://127.0.0.1:7000`},
		"started too often": {func(s *snapshot) { down(s, failed); s.state.startLimit, s.state.next = true, "started too often" },
			"process fail failed: started too often [runtimescope service start]" + idle},
		"static": {func(s *snapshot) { s.state.enabled, s.state.static = ptr(false), true },
			"enabled warn does not start at login: the unit has no [Install] section"},
		"a link, and not enabled": {func(s *snapshot) { s.state.file.link, s.state.enabled = "/elsewhere", ptr(false) },
			`definition fail /unit is a symlink to /elsewhere, so something else manages it [change it there, or remove the link]
enabled warn does not start at login [change it there, or remove the link]`},
		"not enabled": {func(s *snapshot) { s.state.enabled = ptr(false) }, "enabled warn does not start at login [runtimescope service install]"},
		"cannot be run": {func(s *snapshot) { s.installed.why, s.installed.certain = "its interpreter is missing", true },
			"collector fail /bin/sh cannot be run: its interpreter is missing [runtimescope service install]"},
		"neither can the one beside": {func(s *snapshot) {
			s.candidate = programFacts{path: "/bin/x", why: "the file is empty", certain: true}
		}, "collector fail /bin/x cannot be run: the file is empty [reinstall the collector, or runtimescope service install --collector PATH]"},
		"may not be able to run": {func(s *snapshot) { s.installed.why = "it may have been built for another kind of processor" }, ""},
		"both ports the same from the next start on": {func(s *snapshot) {
			s.process.definitionChanged, s.state.processEnv, s.state.unitEnv = true, says, []string{httpPortEnv + "=6767"}
		},
			`definition warn Restart needed: the definition has changed since the collector was started [RUNTIMESCOPE_HTTP_PORT=6768 RUNTIMESCOPE_PORT=6767 runtimescope service install]
ports fail RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT are both 6767: they must differ [RUNTIMESCOPE_HTTP_PORT=6768 RUNTIMESCOPE_PORT=6767 runtimescope service install]`},
		"one of two ports is held": {func(s *snapshot) { s.ports[7001] = portFacts{} },
			"ports warn the service does not hold both 7000 and 7001 [runtimescope service restart]"},
		"not loaded": {func(s *snapshot) { s.state.loaded = "" },
			"definition warn /unit is not loaded [runtimescope service restart]"},
		"file gone": {func(s *snapshot) { s.state.file.exists = false },
			"definition fail the unit of the service is gone: /unit [runtimescope service install]"},
		"a package's": {func(s *snapshot) { s.state.file.exists, s.state.loaded = false, "/usr/unit" },
			"definition ok /usr/unit is loaded"},
		"a package's that nobody took": {func(s *snapshot) {
			down(s, notInstalled)
			s.shell.ports, s.state.file.exists, s.state.loaded, s.state.enabled = ports{7000, 7001}, false, "/usr/unit", ptr(false)
		}, `definition fail not installed: /usr/unit belongs to a package and is not enabled [runtimescope service install]
enabled warn does not start at login [runtimescope service install]
process fail not installed, so not running [runtimescope service install]` + idle},
		"a link": {func(s *snapshot) { s.state.file.link = "/elsewhere" },
			"definition fail /unit is a symlink to /elsewhere, so something else manages it [change it there, or remove the link]"},
		"masked": {func(s *snapshot) { s.state.masked, s.state.unmask = true, "systemctl unmask it" },
			"definition fail the service is masked, so systemd will not start it (/unit) [systemctl unmask it]"},
		"masked, and the command that unmasks": {func(s *snapshot) { s.state.masked, s.state.unmask = true, unmaskCommand("", false) },
			"definition fail the service is masked, so systemd will not start it (/unit) [systemctl --user unmask runtimescope.service]"},
		"masked since it was started, from a changed unit": {func(s *snapshot) {
			s.state.masked, s.state.unmask, s.process.definitionChanged = true, "systemctl unmask it", true
		},
			`definition fail the service is masked, so systemd will not start it (/unit) [systemctl unmask it]
definition warn Restart needed: the definition has changed since the collector was started [systemctl unmask it]`},
		"the unit of another home": {func(s *snapshot) { s.state.otherHome, s.state.loaded = "/home/e ve", "/home/e ve/unit" },
			"definition fail systemd loaded the unit from /home/e ve/unit, but HOME in this shell is a different directory [export HOME='/home/e ve']"},
		"broken": {func(s *snapshot) { s.state.loadError = "systemd cannot read it" },
			"definition fail systemd cannot read it [runtimescope service install]"},
		"broken beside a drop-in": {func(s *snapshot) {
			s.state.loadError, s.state.dropIns = "systemd cannot read it", []string{"/a.conf"}
		},
			"definition fail systemd cannot read it [runtimescope service install]"},
		"broken by a drop-in": {func(s *snapshot) {
			s.state.loadError, s.state.dropIns, s.state.file.ours = "systemd cannot read it", []string{"/a.conf", "/b.conf"}, true
		},
			"definition fail systemd cannot read it [edit or remove /a.conf, /b.conf]"},
		"starting": {func(s *snapshot) { s.state.phase, s.ready.err = starting, unreached },
			`process warn starting
ready fail http://127.0.0.1:7000/readyz: no answer [runtimescope service logs]`},
		"restarted": {func(s *snapshot) { s.state.restarts = ptr(2) },
			"process warn running (PID 42), restarted 2 times after it failed [runtimescope service logs]"},
		"gave up, a program that cannot be run": {func(s *snapshot) {
			down(s, failed)
			s.state.lastExit, s.state.lastName, s.state.notExecuted, s.state.next = &exitStatus{code: 203}, "status 203/EXEC", true, "it stays so"
			s.state.whyNotExecuted = "/gone is missing"
			s.installed = programFacts{path: "/gone", err: errors.New("missing"), why: "/gone is missing", certain: true}
		}, `collector fail cannot use the collector of the service, /gone: missing [runtimescope service install]
process fail failed, last exit status 203/EXEC: /gone is missing: it stays so [runtimescope service logs]` + idle},
		"gave up after an exit": {func(s *snapshot) {
			down(s, failed)
			s.state.lastExit, s.state.lastName, s.state.next = &exitStatus{code: 3}, "status 3", "it stays so"
			s.installed = programFacts{path: "/gone", err: errors.New("missing"), why: "/gone is missing", certain: true}
		}, `collector fail cannot use the collector of the service, /gone: missing [runtimescope service install]
process fail failed, last exit status 3: it stays so [runtimescope service logs]` + idle},
		"a program whose name is left to the manager": {func(s *snapshot) {
			s.installed = programFacts{path: "%h/x", err: errors.New("missing"), certain: true}
			s.state.program, s.state.file.definition.collector = "", "%h/x"
		},
			"collector ok %h/x"},
		"crash-looping": {func(s *snapshot) {
			down(s, crashLooping)
			s.state.lastExit, s.state.lastName, s.state.next = &exitStatus{signal: 9}, "SIGKILL", "it starts it again"
		}, "process fail crash-looping, last exit SIGKILL: it starts it again [runtimescope service logs]" + idle},
		"failed, nobody knows how": {func(s *snapshot) { down(s, failed); s.state.next = "it stays so" },
			"process fail failed: it stays so [runtimescope service logs]" + idle},
		"stopped": {func(s *snapshot) { down(s, stopped) }, "process warn stopped [runtimescope service start]" + idle},
		"unverified": {func(s *snapshot) {
			s.ports[7000] = portFacts{holders: []holder{ours, {pid: 666, command: "python3", wildcard6: true}}}
		}, "ready warn http://127.0.0.1:7000/readyz answers — unverified: port 7000 is also held by PID 666 (python3)"},
		"somebody else": {func(s *snapshot) { held(s, theirs) },
			`ready fail http://127.0.0.1:7000 is answered by PID 666 (python3), not by the service [stop PID 666, or choose another port: RUNTIMESCOPE_HTTP_PORT=PORT runtimescope service install]
ports fail port 7000 is held by PID 666 (python3), which is not a RuntimeScope collector [stop PID 666, or choose another port: RUNTIMESCOPE_HTTP_PORT=PORT runtimescope service install]`},
		"somebody else, on the other port": {func(s *snapshot) { s.ports[7001] = portFacts{holders: []holder{theirs}} },
			"ports fail port 7001 is held by PID 666 (python3), which is not a RuntimeScope collector [stop PID 666, or choose another port: RUNTIMESCOPE_PORT=PORT runtimescope service install]"},
		"no answer": {func(s *snapshot) { s.ready.err = unreached; held(s) },
			`ready fail http://127.0.0.1:7000/readyz: no answer [runtimescope service logs]
ports warn the service does not hold both 7000 and 7001 [runtimescope service restart]`},
		"no manager": {func(s *snapshot) { silent(s, hint(unreached, "mend it")); s.ready.err = unreached; held(s, theirs) },
			`manager fail no answer [mend it]
definition unknown could not check whether /unit is loaded
enabled unknown could not check whether the service starts at login
process unknown could not check whether the service is running
ready fail http://127.0.0.1:7000/readyz: no answer [runtimescope service logs]
ports unknown port 7000 is held by PID 666 (python3); could not check whether that is the service`},
		"no manager, no definition": {func(s *snapshot) {
			down(s, notInstalled)
			silent(s, hint(unreached, "mend it"))
			s.state.phase, s.state.file, s.shell.ports = notInstalled, file{path: "/unit"}, ports{7000, 7001}
		}, `manager fail no answer [mend it]
definition fail not installed: there is no /unit [mend it]
enabled unknown could not check whether the service starts at login
process unknown could not check whether the service is running` + idle},
		"no manager, somebody answers": {func(s *snapshot) { silent(s, unreached); held(s, theirs) },
			`manager fail no answer
definition unknown could not check whether /unit is loaded
enabled unknown could not check whether the service starts at login
process unknown could not check whether the service is running
ready unknown http://127.0.0.1:7000 is answered by PID 666 (python3); could not check whether that is the service
ports unknown port 7000 is held by PID 666 (python3); could not check whether that is the service`},
		"the manager looks elsewhere": {func(s *snapshot) { s.around.err = &hinted{error: unreached, advice: "look there"} }, "manager fail no answer [look there]"},
		"the manager hands on a port": {func(s *snapshot) {
			s.state.unitEnv, s.state.file.definition.ports, s.around.inherited = []string{httpPortEnv + "=7000"}, ports{7000, 0}, ports{0, 9000}
			s.ports[6767] = s.ports[7001]
		}, `manager fail the systemd user manager sets RUNTIMESCOPE_PORT=9000 in its environment, so the service would use that port instead of 6767 [systemctl --user unset-environment RUNTIMESCOPE_PORT]
ports ok 7000 and 6767 are held by the service`},
		"both ports the same": {func(s *snapshot) { s.state.unitEnv = []string{httpPortEnv + "=7000", wsPortEnv + "=7000"} },
			"ports fail RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT are both 7000: they must differ [RUNTIMESCOPE_HTTP_PORT=6768 RUNTIMESCOPE_PORT=6767 runtimescope service install]"},
		"the holders are not known": {func(s *snapshot) {
			s.ports = map[int]portFacts{7000: {err: errors.New("no table")}, 7001: {err: errors.New("no table")}}
		}, `ready warn http://127.0.0.1:7000/readyz answers — unverified: cannot find out which process holds port 7000: no table
ports unknown could not check who holds port 7000: no table`},
		"a holder that may not be looked into": {func(s *snapshot) { held(s, holder{uid: me}) },
			`ready warn http://127.0.0.1:7000/readyz answers — unverified: no permission to inspect the process on port 7000
ports unknown port 7000 is held by a process you cannot inspect (uid 1000); could not check whether that is the service`},
		"such a one of another user": {func(s *snapshot) { held(s, holder{uid: me + 1}) },
			`ready fail http://127.0.0.1:7000 is answered by a process you cannot inspect (uid 1001), not by the service [LSOF]
ports fail port 7000 is held by a process you cannot inspect (uid 1001) [LSOF]`},
		"such a one, and the service is stopped": {func(s *snapshot) { down(s, stopped); held(s, holder{uid: me}) },
			`process warn stopped [LSOF]
ready unknown nothing is running that could answer on http://127.0.0.1:7000
ports fail port 7000 is held by a process you cannot inspect (uid 1000) [LSOF]`},
		"linger":                     {func(s *snapshot) { s.state.linger = ptr(true) }, "linger ok the service keeps running after logout"},
		"a linger that nobody knows": {func(s *snapshot) { s.state.linger = nil }, "linger unknown could not check whether the service keeps running after logout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := running()
			c.change(&s)
			want := map[string]string{"environment": "ok no RUNTIMESCOPE_* variable in this shell differs from the service's", "manager": "ok systemd answers",
				"collector": "ok /bin/sh", "definition": "ok /unit is loaded", "enabled": "ok starts at login", "process": "ok running (PID 42) for 1m 30s",
				"ready": "ok http://127.0.0.1:7000/readyz answers", "ports": "ok 7000 and 7001 are held by the service",
				"linger": "warn the service stops when you log out [sudo loginctl enable-linger $USER]", "mcp": "unknown not looked for"}
			for id, text := range byCheck(strings.ReplaceAll(c.want, "LSOF",
				"find it with sudo lsof -nP -iTCP:7000 -sTCP:LISTEN and stop it, or choose another port: RUNTIMESCOPE_HTTP_PORT=PORT runtimescope service install")) {
				want[id] = text
			}
			var lines []string
			for _, report := range checkReports(s, systemd{}.judgements()) {
				for _, got := range append([]checkReport{report}, report.more...) {
					line := got.ID + " " + got.Status + " " + got.Summary
					if got.Fix != "" {
						line += " [" + got.Fix + "]"
					}
					lines = append(lines, line)
				}
			}
			got := byCheck(strings.Join(lines, "\n"))
			for id := range want {
				same(t, id, got[id], want[id])
				delete(got, id)
			}
			if len(got) > 0 {
				t.Errorf("it says also %q", got)
			}
		})
	}
}

// byCheck puts lines under the ids of the checks that they begin with.
func byCheck(text string) map[string]string {
	all := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if id, rest, ok := strings.Cut(line, " "); ok {
			all[id] = strings.TrimPrefix(all[id]+"\n"+rest, "\n")
		}
	}
	return all
}

func TestDoctorComparesTheVariablesOfThisShell(t *testing.T) {
	t.Parallel()
	serves := state{phase: running, pid: 42, processEnv: []string{"RUNTIMESCOPE_HTTP_PORT=7000", "RUNTIMESCOPE_PORT=7001"},
		unitEnv: []string{"RUNTIMESCOPE_HOST=::1", "RUNTIMESCOPE_X=1", "RUNTIMESCOPE_HTTP_PORT=7002", "RUNTIMESCOPE_PORT=7002"}}
	const portsDiffer = "RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT in this shell do not match the service's ports, 7000 and 7001"
	for _, c := range []struct {
		environ []string
		ports   bool   // those differ
		names   string // of the other variables that differ
	}{
		{nil, false, ""},
		{[]string{"PATH=/bin", "XRUNTIMESCOPE_HOST=1"}, false, ""},
		{[]string{"RUNTIMESCOPE_HOST=::1"}, false, ""},
		{[]string{"RUNTIMESCOPE_HOST=::2"}, false, "RUNTIMESCOPE_HOST"},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=7000", "RUNTIMESCOPE_PORT=7001"}, false, ""},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=", "RUNTIMESCOPE_PORT="}, false, ""},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=7002", "RUNTIMESCOPE_PORT=7001"}, true, ""},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=7000", "RUNTIMESCOPE_PORT=7002"}, true, ""},
		{[]string{"RUNTIMESCOPE_PORT=7002", "RUNTIMESCOPE_X=1", "RUNTIMESCOPE_Y=1"}, true, "RUNTIMESCOPE_Y"},
		{[]string{"RUNTIMESCOPE_X=2", "RUNTIMESCOPE_Y=1"}, false, "RUNTIMESCOPE_X, RUNTIMESCOPE_Y"},
	} {
		getenv := func(name string) (value string) {
			for _, word := range c.environ {
				if v, ok := strings.CutPrefix(word, name+"="); ok {
					value = v
				}
			}
			return value
		}
		s := snapshot{shell: (&app{environ: c.environ, getenv: getenv}).shell(), state: serves}
		p, found := findPortsDiffer(s)
		if found != c.ports || found && (p.summary != portsDiffer || p.severity != warning || p.fix != installCommand) {
			t.Errorf("%q: ports: %v, %+v", c.environ, found, p)
		}
		p, found = findVariablesDiffer(s)
		if _, names, _ := strings.Cut(p.summary, "different in the service: "); found != (c.names != "") || names != c.names || p.severity != warning || p.help() == "" && found {
			t.Errorf("%q: %v, %+v; want %q", c.environ, found, p, c.names)
		}
		s.state.phase = notInstalled
		if _, found := findPortsDiffer(s); found {
			t.Errorf("%q: its ports differ from those of no service", c.environ)
		}
	}
}

func TestDoctorWeighsTheLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	weigh := func(sizes ...int64) (said string) {
		for i, path := range []string{one, two}[:len(sizes)] {
			put(t, path, "", 0o600)
			must(t, os.Truncate(path, sizes[i]))
		}
		s := snapshot{shell: shell{home: dir, supported: true}, state: state{phase: running, pid: 42, loaded: "/x"}, names: managerNames{logFiles: []string{one, two, filepath.Join(dir, "missing")}}}
		new(app).logFacts(&s)
		for _, c := range checkReports(s, launchd{}.judgements()) {
			if c.ID == "logs" {
				said += fmt.Sprintf("%s %s [%s]", c.Status, c.Summary, c.Fix)
			}
		}
		return said
	}
	for _, c := range []struct{ got, want string }{
		{weigh(1000, 2000), "ok the log files are 3.0 kB []"},
		{weigh(10<<20, 0), "ok the log files are 10.5 MB []"},
		{weigh(1000, 10<<20+1), "warn " + two + " is 10.5 MB [runtimescope service restart]"},
	} {
		same(t, "", c.got, c.want)
	}
}
