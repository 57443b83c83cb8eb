// What doctor finds in each state: every check runs, each bad one has a fix, and no value of a variable is shown.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// checked runs doctor and returns the status of each check by its id.
func (b *bench) checked(code int) map[string]check {
	b.t.Helper()
	b.want(code, "service doctor --json")
	var report struct {
		Checks []check
		OK     *bool
	}
	decoder := json.NewDecoder(strings.NewReader(b.stdout.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || report.OK == nil {
		b.t.Fatalf("%v\n%s", err, b.stdout.String())
	}
	all := map[string]check{}
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
			"ports": "ok free for the service", "manager": "ok"}},
		{"stopped", func(b *bench) { b.installed().want(0, "service stop") }, 0, map[string]string{"process": "warn stopped", "ready": "unknown", "ports": "ok free"}},
		{"crash-looping", func(b *bench) { b.installed().crashed("crash 3") }, 1, map[string]string{"process": "fail crash-looping, last exit status 3", "ready": "unknown"}},
		{"not ready", func(b *bench) { b.installed(); b.behaves("silent") }, 1, map[string]string{"process": "ok", "ready": "fail /readyz"}},
		{"foreign answer", func(b *bench) { b.installed(); b.behaves("silent"); b.foreign(b.httpPort(), "python3") }, 1,
			map[string]string{"ready": "fail answered by PID 666 (python3), not by the service", "ports": "fail is held by PID 666"}},
		{"collector gone", func(b *bench) { b.installed(); os.Remove(b.collector()) }, 1, map[string]string{"collector": "fail not there"}},
		{"no collector at all", func(b *bench) { os.Remove(b.collector()) }, 1, map[string]string{"collector": "fail Could not locate"}},
		{"replaced", func(b *bench) { b.installed().replaceCollector() }, 0, map[string]string{"collector": "warn "}},
		{"file gone", func(b *bench) { b.installed(); os.Remove(b.manager.path()) }, 1, map[string]string{"definition": "fail "}},
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
				for id, want := range c.want {
					status, text, _ := strings.Cut(want, " ")
					if got := all[id]; got.Status != status && !(c.name == "well" && got.Status == "warn") || !strings.Contains(got.Summary, text) {
						t.Errorf("%s is %+v, want %s", id, got, want)
					}
				}
				b.want(c.code, "service doctor")
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
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	b.fake.change(func(s *fakeState) { s.Busless = "Failed to connect to bus: No medium found" })
	all := b.checked(1)
	for id, want := range map[string]string{"manager": "fail", "definition": "unknown", "process": "unknown", "enabled": "unknown", "collector": "warn"} {
		if all[id].Status != want {
			t.Errorf("%s is %+v, want %s", id, all[id], want)
		}
	}
	if all["manager"].Fix == "" || !strings.Contains(all["manager"].Summary, "No medium found") {
		t.Errorf("manager is %+v", all["manager"])
	}
}

func TestDoctorTellsSystemdsStatesApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(b *bench)
		code int
		id   string
		want string
	}{
		"gave up": {func(b *bench) { b.installed().crashed("gave up 3") }, 1, "process", "fail"},
		"203":     {func(b *bench) { b.installed().crashed("crash 203") }, 1, "process", "fail"},
		"stale": {func(b *bench) {
			b.installed()
			b.write(b.manager.path(), strings.Replace(b.read(b.manager.path()), "256M", "1G", 1), 0o644)
		}, 0, "definition", "warn"},
		"disabled": {func(b *bench) {
			b.installed()
			os.Remove(filepath.Join(filepath.Dir(b.manager.path()), "default.target.wants", unitName))
		}, 0, "enabled", "warn"},
		"restarted": {func(b *bench) { b.installed(); b.fake.change(func(s *fakeState) { s.Restarts = 3 }) }, 0, "process", "warn"},
		"no linger": {func(b *bench) { b.installed() }, 0, "linger", "warn"},
		"linger":    {func(b *bench) { b.installed(); b.write(b.fake.path("root/var/lib/systemd/linger/ada"), "", 0o644) }, 0, "linger", "ok"},
		"same ports": {func(b *bench) {
			b.env[wsPortEnv] = "7001"
			b.installed()
			text := strings.Replace(b.read(b.manager.path()), wsPortEnv+"=7001", wsPortEnv+"="+b.env[httpPortEnv], 1)
			b.write(b.manager.path(), text, 0o644)
		}, 1, "ports", "fail"},
	} {
		b := newBench(t, "systemd").quick()
		c.set(b)
		if got := b.checked(c.code)[c.id]; got.Status != c.want {
			t.Errorf("%s: %s is %+v, want %s", name, c.id, got, c.want)
		}
	}
}

func TestNoOutputHasTheValueOfAVariable(t *testing.T) {
	t.Parallel()
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
		if strings.Contains(b.stdout.String()+b.stderr.String(), secret) {
			t.Errorf("a value that is no port is shown:\n%s", b.stdout.String())
		}
	})
}

// TestDoctorJudgesWhatWasFound has the very words of each check for findings that no fake machine comes to by itself.
func TestDoctorJudgesWhatWasFound(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the collector of this test is /bin/sh: a program whose folder will last")
	}
	theirs := holder{pid: 666, uid: 1, command: "python3"}
	running := func() finding {
		return finding{ports: ports{7000, 7001}, own: ownership{verified: true}, age: 90 * time.Second, state: state{phase: running, pid: 42, enabled: ptr(true),
			loaded: "/unit", program: "/bin/sh", file: file{path: "/unit", exists: true}}}
	}
	unreached := errors.New("no answer")
	for name, c := range map[string]struct {
		change func(f *finding, b *bench)
		held   []holder // of both ports; nil: the service's process
		err    error    // of looking for them
		want   string   // those checks that are not as they are for a service that is well
	}{
		"well": {},
		"replaced": {change: func(f *finding, _ *bench) { f.why = binaryReplaced },
			want: "collector warn the binary has been replaced since it was started [runtimescope service restart]"},
		"replaced and stale": {change: func(f *finding, _ *bench) {
			f.why, f.state.stale, f.state.file.definition.collector = "x", true, "/bin/sh"
		},
			want: "definition warn /unit has changed since it was loaded [runtimescope service restart]"},
		"cannot be read": {change: func(f *finding, _ *bench) { f.state.file.err = errors.New("permission denied") },
			want: "definition fail permission denied"},
		"changed since the start": {change: func(f *finding, _ *bench) { f.why = "the definition has changed since the collector was started" },
			want: "definition warn the definition has changed since the collector was started [runtimescope service restart]"},
		"stopping": {change: func(f *finding, _ *bench) { f.state.phase, f.answer = stopped, unreached },
			want: `process warn stopping (PID 42)
ready unknown nothing runs that could answer on http://127.0.0.1:7000`},
		"started too often": {change: func(f *finding, _ *bench) {
			f.state.phase, f.state.pid, f.state.result, f.answer = failed, 0, "start-limit-hit", unreached
		}, held: []holder{}, want: `process fail failed: systemd has given up: it was started too often [runtimescope service start]
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"static": {change: func(f *finding, _ *bench) { f.state.enabled, f.state.static = ptr(false), true },
			want: "enabled warn does not start at login: the unit has no [Install] section"},
		"a link, and not enabled": {change: func(f *finding, _ *bench) { f.state.file.link, f.state.enabled = "/elsewhere", ptr(false) },
			want: `definition fail /unit is a symbolic link to /elsewhere: something else manages it, so change it there, or remove the link
enabled warn does not start at login`},
		"cannot be run": {change: func(f *finding, b *bench) {
			f.state.program = b.collector()
			b.write(b.collector(), "#!/nowhere/node\n", 0o755)
		}, want: "collector fail COLLECTOR cannot be run: its interpreter /nowhere/node is not there"},
		"both ports the same from the next start on": {change: func(f *finding, _ *bench) { f.state.unitEnv = []string{httpPortEnv + "=6767"} },
			want: "ports fail both ports are 6767 [RUNTIMESCOPE_HTTP_PORT=6768 RUNTIMESCOPE_PORT=6767 runtimescope service install]"},
		"one of two ports is held": {change: func(f *finding, _ *bench) { f.ports.ws = 1 }, held: []holder{},
			want: "ports warn the service does not hold both 7000 and 1 [runtimescope service restart]"},
		"not loaded": {change: func(f *finding, _ *bench) { f.state.loaded = "" },
			want: "definition warn /unit is not loaded [runtimescope service restart]"},
		"file gone": {change: func(f *finding, _ *bench) { f.state.file.exists = false },
			want: "definition fail /unit is gone, though the service is loaded [runtimescope service install]"},
		"a package's": {change: func(f *finding, _ *bench) { f.state.file.exists, f.state.loaded = false, "/usr/unit" },
			want: "definition ok /usr/unit is loaded"},
		"a package's that nobody took": {change: func(f *finding, _ *bench) {
			f.state.file.exists, f.state.loaded, f.state.phase, f.state.pid, f.state.enabled, f.answer = false, "/usr/unit", notInstalled, 0, ptr(false), unreached
		}, held: []holder{}, want: `definition fail not installed: /usr/unit came with a package and is not enabled [runtimescope service install]
enabled warn does not start at login [runtimescope service install]
process fail not installed, so not running [runtimescope service install]
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"a link": {change: func(f *finding, _ *bench) { f.state.file.link = "/elsewhere" },
			want: "definition fail /unit is a symbolic link to /elsewhere: something else manages it, so change it there, or remove the link"},
		"a link to nowhere": {change: func(f *finding, _ *bench) {
			f.state.file.link, f.state.file.exists, f.state.phase, f.state.pid, f.answer = "/elsewhere", false, notInstalled, 0, unreached
		}, held: []holder{}, want: `definition fail /unit is a symbolic link to /elsewhere: something else manages it, so change it there, or remove the link
process fail not installed, so not running
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"masked": {change: func(f *finding, _ *bench) { f.state.masked = true },
			want: "definition fail the service is masked, that is, forbidden to start (/unit) [systemctl --user unmask runtimescope.service]"},
		"broken": {change: func(f *finding, _ *bench) { f.state.loadError = "systemd cannot read it" },
			want: "definition fail systemd cannot read it [runtimescope service install]"},
		"starting": {change: func(f *finding, _ *bench) { f.state.phase, f.answer = starting, unreached },
			want: `process warn starting
ready fail http://127.0.0.1:7000/readyz: no answer [runtimescope service logs]`},
		"restarted": {change: func(f *finding, _ *bench) { f.state.restarts = ptr(2) },
			want: "process warn running (PID 42), restarted 2 times after it failed [runtimescope service logs]"},
		"gave up, a program that cannot be run": {change: func(f *finding, b *bench) {
			f.state.phase, f.state.pid, f.state.lastExit, f.answer = failed, 0, &exitStatus{code: 203}, unreached
			f.state.program = filepath.Join(filepath.Dir(b.collector()), "gone")
		}, held: []holder{}, want: `collector fail GONE: not there [runtimescope service install]
process fail failed, last exit status 203/EXEC: systemd does not start it again; GONE is not there [runtimescope service logs]
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"gave up after an exit": {change: func(f *finding, b *bench) {
			f.state.phase, f.state.pid, f.state.lastExit, f.answer = failed, 0, &exitStatus{code: 3}, unreached
			f.state.program = filepath.Join(filepath.Dir(b.collector()), "gone")
		}, held: []holder{}, want: `collector fail GONE: not there [runtimescope service install]
process fail failed, last exit status 3: systemd does not start it again [runtimescope service logs]
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"failed, nobody knows how": {change: func(f *finding, _ *bench) { f.state.phase, f.state.pid, f.answer = failed, 0, unreached },
			held: []holder{}, want: `process fail failed: systemd does not start it again [runtimescope service logs]
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"stopped": {change: func(f *finding, _ *bench) { f.state.phase, f.state.pid, f.answer = stopped, 0, unreached },
			held: []holder{}, want: `process warn stopped [runtimescope service start]
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"unverified": {change: func(f *finding, _ *bench) { f.own = ownership{doubt: "nobody knows"} },
			want: "ready warn http://127.0.0.1:7000/readyz answers — unverified: nobody knows"},
		"somebody else": {change: func(f *finding, _ *bench) { f.own = ownership{foreign: &theirs} }, held: []holder{theirs},
			want: `ready fail http://127.0.0.1:7000 is answered by PID 666 (python3), not by the service
ports fail port 7000 is held by PID 666 (python3), which is not ours [stop it, or choose another port: RUNTIMESCOPE_HTTP_PORT=… runtimescope service install]`},
		"no answer": {change: func(f *finding, _ *bench) { f.answer = unreached }, held: []holder{},
			want: `ready fail http://127.0.0.1:7000/readyz: no answer [runtimescope service logs]
ports warn the service does not hold both 7000 and 7001 [runtimescope service restart]`},
		"no manager": {change: func(f *finding, _ *bench) { f.err, f.answer = hint(unreached, "mend it"), unreached }, held: []holder{theirs},
			want: `manager fail no answer [mend it]
definition unknown /unit is there; whether it is loaded cannot be found out
enabled unknown whether the service starts at login cannot be found out
process unknown whether the service runs cannot be found out
ready fail http://127.0.0.1:7000/readyz: no answer [runtimescope service logs]
ports unknown port 7000 is held by PID 666 (python3); whether that is the service cannot be found out`},
		"no manager, no definition": {change: func(f *finding, _ *bench) {
			f.err, f.answer, f.state = unreached, unreached, state{phase: notInstalled, file: file{path: "/unit"}, program: "/bin/sh"}
		},
			held: []holder{}, want: `manager fail no answer
definition fail not installed: there is no /unit [runtimescope service install]
enabled unknown whether the service starts at login cannot be found out
process unknown whether the service runs cannot be found out
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports ok 7000 and 7001 are free for the service`},
		"no manager, somebody answers": {change: func(f *finding, _ *bench) { f.err, f.own = unreached, ownership{foreign: &theirs} }, held: []holder{theirs},
			want: `manager fail no answer
definition unknown /unit is there; whether it is loaded cannot be found out
enabled unknown whether the service starts at login cannot be found out
process unknown whether the service runs cannot be found out
ready unknown http://127.0.0.1:7000 is answered by PID 666 (python3); whether that is the service cannot be found out
ports unknown port 7000 is held by PID 666 (python3); whether that is the service cannot be found out`},
		"the manager looks elsewhere": {change: func(f *finding, b *bench) {
			b.plant(plant{Call: "systemctl --user show -p", Code: 1, Stderr: "Failed to connect to bus: x"})
		},
			want: "manager fail REACH"},
		"both ports the same": {change: func(f *finding, _ *bench) { f.ports.ws = 7000 },
			want: "ports fail both ports are 7000 [RUNTIMESCOPE_HTTP_PORT=6768 RUNTIMESCOPE_PORT=6767 runtimescope service install]"},
		"the holders are not known": {err: errors.New("no table"),
			want: "ports unknown who holds port 7000 cannot be found out: no table"},
		"a holder that may not be looked into": {held: []holder{{uid: os.Getuid()}},
			want: fmt.Sprintf("ports unknown port 7000 is held by a process that this user may not look into (uid %d); whether that is the service cannot be found out", os.Getuid())},
		"such a one of another user": {held: []holder{{uid: os.Getuid() + 1}},
			want: fmt.Sprintf("ports fail port 7000 is held by a process that this user may not look into (uid %d) [sudo lsof -nP -iTCP:7000 -sTCP:LISTEN, and stop it, or choose another port: RUNTIMESCOPE_HTTP_PORT=… runtimescope service install]", os.Getuid()+1)},
		"such a one, and the service is stopped": {held: []holder{{uid: os.Getuid()}}, change: func(f *finding, _ *bench) { f.state.phase, f.state.pid, f.answer = stopped, 0, unreached },
			want: fmt.Sprintf(`process warn stopped [runtimescope service start]
ready unknown nothing runs that could answer on http://127.0.0.1:7000
ports fail port 7000 is held by a process that this user may not look into (uid %d) [sudo lsof -nP -iTCP:7000 -sTCP:LISTEN, and stop it, or choose another port: RUNTIMESCOPE_HTTP_PORT=… runtimescope service install]`, os.Getuid())},
		"linger": {change: func(_ *finding, b *bench) { b.write(b.fake.path("root/var/lib/systemd/linger/ada"), "", 0o644) },
			want: "linger ok the service keeps running after logout"},
		"a linger that nobody knows": {change: func(_ *finding, b *bench) {
			m := b.manager.(systemd)
			m.user = func() string { return "a\x00b" }
			b.manager = m
		}, want: "linger unknown whether the service keeps running after logout cannot be found out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "systemd").quick()
			b.app.environ = nil
			delete(b.env, httpPortEnv)
			f := running()
			if c.change != nil {
				c.change(&f, b)
			}
			table := readyzTable{held: c.held, ours: []int{42}, err: c.err}
			if c.held == nil {
				table.held = []holder{{pid: 42}}
			}
			b.app.processes = table
			well := map[string]string{"environment": "ok no RUNTIMESCOPE_* variable of this shell differs from the service's", "manager": "ok systemd answers",
				"collector": "ok /bin/sh", "definition": "ok /unit is loaded", "enabled": "ok starts at login", "process": "ok running (PID 42) for 1 min 30 s",
				"ready": "ok http://127.0.0.1:7000/readyz answers", "ports": "ok 7000 and 7001 are held by the service",
				"linger": "warn the service ends when the user logs out [sudo loginctl enable-linger $USER]"}
			for _, line := range strings.Split(c.want, "\n") {
				if id, text, ok := strings.Cut(line, " "); ok {
					well[id] = strings.NewReplacer("GONE", filepath.Join(filepath.Dir(b.collector()), "gone"), "COLLECTOR", b.collector()).Replace(text)
				}
			}
			for _, got := range b.app.checks(t.Context(), f) {
				text := got.Status + " " + got.Summary
				if got.Fix != "" {
					text += " [" + got.Fix + "]"
				}
				if want := well[got.ID]; text != want && !(want == "fail REACH" && got.Status == "fail") {
					t.Errorf("%s: %s\nwant %s", got.ID, text, want)
				}
				delete(well, got.ID)
			}
			if len(well) > 0 {
				t.Errorf("it does not say %q", well)
			}
		})
	}
}

func TestDoctorComparesTheVariablesOfThisShell(t *testing.T) {
	t.Parallel()
	f := finding{ports: ports{7000, 7001}, state: state{unitEnv: []string{"RUNTIMESCOPE_HOST=::1", "RUNTIMESCOPE_X=1", "RUNTIMESCOPE_HTTP_PORT=7002", "RUNTIMESCOPE_PORT=7002"}}}
	for _, c := range []struct {
		environ []string
		want    string // the names that differ
	}{
		{nil, ""},
		{[]string{"PATH=/bin", "XRUNTIMESCOPE_HOST=1"}, ""},
		{[]string{"RUNTIMESCOPE_HOST=::1"}, ""},
		{[]string{"RUNTIMESCOPE_HOST=::2"}, "RUNTIMESCOPE_HOST"},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=7000", "RUNTIMESCOPE_PORT=7001"}, ""},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=", "RUNTIMESCOPE_PORT="}, ""},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=7002", "RUNTIMESCOPE_PORT=7001"}, "RUNTIMESCOPE_HTTP_PORT"},
		{[]string{"RUNTIMESCOPE_HTTP_PORT=7000", "RUNTIMESCOPE_PORT=7002"}, "RUNTIMESCOPE_PORT"},
		{[]string{"RUNTIMESCOPE_PORT=7002", "RUNTIMESCOPE_X=1", "RUNTIMESCOPE_Y=1"}, "RUNTIMESCOPE_PORT, RUNTIMESCOPE_Y"},
	} {
		getenv := func(name string) (value string) {
			for _, word := range c.environ {
				if v, ok := strings.CutPrefix(word, name+"="); ok {
					value = v
				}
			}
			return value
		}
		w := &app{environ: c.environ, getenv: getenv}
		w.checkEnvironment(f, func(id, status, fix, format string, a ...any) {
			text, names := fmt.Sprintf(format, a...), ""
			if _, differ, ok := strings.Cut(text, "but not so in the service: "); ok {
				names = differ
			}
			if id != "environment" || names != c.want || (status == "ok") != (c.want == "") || (status == "warn") != (fix != "") {
				t.Errorf("%q: %s %s: %s [%s], want %q", c.environ, id, status, text, fix, c.want)
			}
		})
	}
}

func TestDoctorWeighsTheLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	weigh := func(sizes ...int64) (said string) {
		for i, path := range []string{one, two}[:len(sizes)] {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, sizes[i]); err != nil {
				t.Fatal(err)
			}
		}
		checkLogs([]string{one, two, filepath.Join(dir, "missing")}, func(id, status, fix, format string, a ...any) {
			said += fmt.Sprintf("%s %s %s [%s]", id, status, fmt.Sprintf(format, a...), fix)
		})
		return said
	}
	for want, got := range map[string]string{
		"logs ok the log files are 3.0 kB []":                                       weigh(1000, 2000),
		"logs ok the log files are 10.5 MB []":                                      weigh(10<<20, 0),
		"logs warn " + two + " has grown to 10.5 MB [runtimescope service restart]": weigh(1000, 10<<20+1),
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
