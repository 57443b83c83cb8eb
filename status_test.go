// What status says of each state of the service, in words and as JSON, on both managers.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// statusKeys are always there, the same on both platforms.
var statusKeys = []string{"collector", "command", "definition", "enabled", "error", "healthy", "http_port", "last_exit", "linger", "manager", "memory_bytes",
	"pid", "problems", "restart_needed", "restarts", "schema", "state", "uptime_seconds", "url", "verified", "version", "ws_port"}

// json runs a command and reads the one object that it prints.
func (b *bench) json(code int, args string) map[string]any {
	b.t.Helper()
	b.want(code, args)
	var object map[string]any
	if err := json.Unmarshal(b.stdout.Bytes(), &object); err != nil {
		b.t.Fatalf("%s printed no JSON: %v\n%s", args, err, b.stdout.String())
	}
	if strings.Count(b.stdout.String(), "\n") != 1 || strings.Contains(b.stdout.String(), "✓") {
		b.t.Errorf("%s printed more than one object:\n%s", args, b.stdout.String())
	}
	return object
}

// statusStates are the states, what each looks like in words and in JSON, and the exit status of --exit-code.
type statusState struct {
	name            string
	set             func(b *bench)
	state           string // of JSON; two words: systemd's and launchd's
	exit            int
	systemd, mac    string // in words; "" where there is no such state
	healthy, enable bool
	lastExit        string // in Go's %v
}

func statusStates() []statusState {
	stop := func(b *bench) { b.installed().want(0, "service stop") }
	return []statusState{
		{"not installed", func(*bench) {}, "not-installed", 4, "Service not installed. Run: runtimescope service install",
			"Service not installed. Run: runtimescope service install", false, false, "<nil>"},
		{"running", func(b *bench) { b.installed() }, "running", 0, "✓ Service is active — PID ", "✓ Service running — PID ", true, true, "<nil>"},
		{"stopped", stop, "stopped", 3, "⚠ Service state: inactive. Run: runtimescope service start",
			"⚠ Service installed but not currently running. Run: runtimescope service start", false, true, "<nil>"},
		{"crash-looping", func(b *bench) { b.installed().crashed("crash 3") }, "crash-looping", 3,
			"⚠ Service state: activating (auto-restart) — crash-looping: systemd restarts it after 5s. See: runtimescope service logs",
			"— crash-looping: launchd restarts it, at most once every 10 seconds", false, true, "map[code:3]"},
		{"killed", func(b *bench) { b.installed().crashed("signal 9") }, "crash-looping", 3, "Last exit: SIGKILL", "Last exit: SIGKILL", false, true, "map[signal:SIGKILL]"},
		{"gave up", func(b *bench) { b.installed().crashed("gave up 3") }, "failed", 3,
			"⚠ Service state: failed — systemd gave up after 5 restarts. See: runtimescope service logs", "", false, true, "map[code:3]"},
		{"ended cleanly", func(b *bench) { b.installed().crashed("exit 0") }, "stopped", 3, "⚠ Service state: inactive", "⚠ Service installed but not currently running", false, true, "?"},
		{"running, not ready", func(b *bench) { b.installed(); b.behaves("silent") }, "running", 3, "⚠ Collector is not ready on http://127.0.0.1:",
			"⚠ Collector is not ready on http://127.0.0.1:", false, true, "<nil>"},
		{"file gone", func(b *bench) { b.installed(); os.Remove(b.manager.names().path) }, "running", 0, "⚠ the unit of the service is gone: ", "", true, false, "<nil>"},
		{"file never loaded", func(b *bench) {
			b.installed()
			text := b.read(b.manager.names().path)
			b.want(0, "service uninstall")
			b.write(b.manager.names().path, text, 0o644)
		}, "stopped", 3, "⚠ Service state: inactive", "⚠ Service installed but not currently running", false, false, "<nil>"},
	}
}

func TestStatusInEveryState(t *testing.T) {
	t.Parallel()
	for _, c := range statusStates() {
		for _, manager := range []string{"systemd", "launchd"} {
			words := c.systemd
			if manager == "launchd" {
				words = c.mac
			}
			if words == "" {
				continue
			}
			t.Run(manager+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, manager).quick()
				c.set(b)
				b.calls()
				b.want(0, "service status", words)
				if strings.Contains(b.stdout.String(), "✓ Collector is healthy") != c.healthy {
					t.Errorf("healthy is %v:\n%s", c.healthy, b.stdout.String())
				}
				b.wantCalls()
				b.want(c.exit, "service status --exit-code", words)
				got := b.json(0, "service status --json")
				same(t, "its keys", slices.Sorted(maps.Keys(got)), statusKeys)
				s := b.fakeState()
				want := map[string]any{"manager": manager, "state": c.state, "healthy": c.healthy, "url": collectorURL(b.httpPort()),
					"definition": b.manager.names().path}
				want["http_port"], want["ws_port"] = b.httpPort(), defaultWSPort
				if c.state != "not-installed" {
					want["collector"] = b.collector()
				}
				if c.lastExit != "?" {
					want["last_exit"] = c.lastExit
				}
				if c.state == "running" {
					want["pid"] = s.PID
				} else {
					want["pid"], want["uptime_seconds"], want["version"], want["verified"] = nil, nil, nil, nil
				}
				if c.healthy {
					want["version"], want["verified"] = "0.10.7", true
				}
				if manager == "systemd" {
					want["linger"] = false
					if c.state != "not-installed" && c.name != "file gone" {
						want["enabled"] = c.enable
					}
				} else {
					want["linger"] = nil
				}
				if c.name == "file gone" { // only the manager can tell now
					delete(want, "collector")
					delete(want, "http_port")
					delete(want, "url")
					delete(want, "healthy")
					delete(want, "verified")
					delete(want, "version")
				}
				for key, value := range want {
					if fmt.Sprint(got[key]) != fmt.Sprint(value) {
						t.Errorf("%s is %v, want %v", key, got[key], value)
					}
				}
				of := b.json(c.exit, "service status --json --exit-code")["error"]
				same(t, "there is an error", of != nil, c.exit != 0)
				if of != nil {
					same(t, "it has a name", of.(map[string]any)["id"] == "failed", c.name == "gave up") // whose kind has that name
				}
			})
		}
	}
}

func TestStatusTellsADefinitionThatIsNotLoaded(t *testing.T) {
	b := onSystemd(t).installed()
	b.write(b.manager.names().path, strings.Replace(b.read(b.manager.names().path), "256M", "1G", 1), 0o644)
	b.want(0, "service status", "⚠ Restart needed: the definition has changed since it was loaded. Fix: runtimescope service restart")
	same(t, "restart_needed", b.json(0, "service status --json")["restart_needed"], true)
	b.want(0, "service restart")
	same(t, "restart_needed", b.json(0, "service status --json")["restart_needed"], false)
	b.want(0, "service stop")
	b.write(b.manager.names().path, strings.Replace(b.read(b.manager.names().path), "1G", "2G", 1), 0o644)
	b.want(0, "service status", "⚠ Restart needed: the definition has changed since it was loaded. Fix: runtimescope service restart")
}

func TestStatusNamesWhoAnswersInsteadOfTheService(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.behaves("silent")
		b.foreign(b.httpPort(), "python3 -m http.server")
		b.want(0, "service status", " is answered by PID 666 (python3 -m http.server), not by the service")
		b.silentOn("✓ Collector")
		b.want(3, "service status --exit-code", "another process answers")
		got := b.json(0, "service status --json")
		if got["healthy"] != false || got["verified"] != false || got["version"] != nil {
			t.Errorf("healthy %v, verified %v, version %v", got["healthy"], got["verified"], got["version"])
		}
		b.want(0, "service stop")
		b.want(0, "service status", "⚠ port "+fmt.Sprint(b.httpPort())+" is held by PID 666 (python3 -m http.server)")
	})
}

func TestStatusCountsRestarts(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Restarts = 7 })
	b.want(0, "service status", "⚠ Restarted 7 times after it failed")
	if got := b.json(0, "service status --json"); fmt.Sprint(got["restarts"]) != "7" {
		t.Errorf("restarts is %v", got["restarts"])
	}
}

func TestStatusTellsLinger(t *testing.T) {
	b := onSystemd(t).installed()
	b.want(0, "service status", "Keeps running after logout: no. Fix: sudo loginctl enable-linger $USER")
	b.write(b.fake.path("root/var/lib/systemd/linger/ada"), "", 0o644)
	b.want(0, "service status", "Keeps running after logout: yes\n")
	same(t, "linger", b.json(0, "service status --json")["linger"], true)
	b.want(0, "service install")
	b.silentOn("Optional always-on")
}

func TestAVariableIsGivenKeptTakenAwayAndNeverShown(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		const mark = "hush7d1f"
		value := " " + mark + "=\"$" + mark + "%h%%\\x41`'<&>]]>;#*€\t" + mark + " "
		path := b.manager.names().path
		b.env["RUNTIMESCOPE_AUTH_TOKEN"] = mark
		b.app.environ = []string{"RUNTIMESCOPE_AUTH_TOKEN=" + mark}
		said := ""
		run := func(code int, args ...string) {
			t.Helper()
			if got := b.runs(args...); got != code {
				t.Errorf("%q: exit %d\n%s%s", args, got, b.stdout.String(), b.stderr.String())
			}
			said += b.stdout.String() + b.stderr.String()
		}
		holds := func(want ...string) {
			t.Helper()
			if got := b.manager.parse(b.read(path)).variables(); !slices.Equal(got, want) {
				t.Errorf("it holds %q, not %q", got, want)
			}
		}
		run(0, "service", "install", "-n", "--env", "A="+value)
		run(0, "service", "install", "--env", "A="+value, "--env", "RUNTIMESCOPE_AUTH_TOKEN")
		holds("A="+value, "RUNTIMESCOPE_AUTH_TOKEN="+mark)
		for _, name := range []string{"1x", "PATH", "HOME", httpPortEnv, "A B"} {
			run(1, "service", "install", "--env", name+"="+mark)
		}
		for _, bad := range []string{"\n", "\r", "\x00", "\x1b", "\xff", "\ufffe"} {
			run(1, "service", "install", "--env", "A="+mark+bad, "--json")
		}
		for _, args := range []string{"install", "install -n --json", "update", "restart", "status --json", "doctor --json", "status", "doctor", "logs"} {
			run(0, append([]string{"service"}, strings.Fields(args)...)...)
		}
		holds("A="+value, "RUNTIMESCOPE_AUTH_TOKEN="+mark)
		run(0, "service", "install", "--env", "A=")
		holds("RUNTIMESCOPE_AUTH_TOKEN=" + mark)
		if kept := b.manager.parse(b.read(path + ".bak")).variables(); len(kept) != 2 || !strings.Contains(said, path+".bak") {
			t.Errorf("the copy holds %q", kept)
		}
		for _, file := range []string{path, path + ".bak"} {
			if info := need(os.Stat(file))(t); runtime.GOOS != "windows" && info.Mode() != 0o600 {
				t.Errorf("%s: %v", file, info.Mode())
			}
		}
		if said += fmt.Sprint(b.fake.called()); strings.Contains(said, mark) {
			t.Errorf("a value is shown:\n%s", said)
		}
	})
}

func TestACollectorThatCannotBeAskedIsSaidToRun(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.unready, b.env["DISPLAY"] = 1<<30, ":0"
		if table, ok := b.processes.(lsofTable); ok { // which would take the server of this test for another user's
			table.answers = nil
			b.processes = table
		}
		for why, env := range map[string]string{
			"it uses TLS (RUNTIMESCOPE_TLS_CERT)":                 "--env RUNTIMESCOPE_TLS_CERT=/c --env RUNTIMESCOPE_TLS_KEY=/k",
			"it does not listen on 127.0.0.1 (RUNTIMESCOPE_HOST)": "--env RUNTIMESCOPE_HOST=" + fakeLAN,
		} {
			says := "⚠ Collector is running; readiness cannot be checked: " + why
			b.want(0, "service install --timeout 1h "+env, says)
			b.want(0, "service status --exit-code", says)
			if got := b.json(0, "service status --json"); got["healthy"] != nil || got["state"] != "running" {
				t.Errorf("it says %v", got)
			}
			b.want(0, "service wait --timeout 1h", says)
			b.want(0, "service doctor", "⚠ ready: running; readiness cannot be checked")
			b.want(1, "dashboard", "✗ the dashboard is not on "+b.page()+"/dashboard: "+why)
			b.want(0, "service uninstall")
		}
	})
}

func TestACollectorThatTheNetworkReachesIsSaid(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.want(0, "service install --env RUNTIMESCOPE_HOST=0.0.0.0")
		b.want(0, "service status", "⚠ the network reaches the collector (RUNTIMESCOPE_HOST), and no token (RUNTIMESCOPE_AUTH_TOKEN) is set. "+
			"Fix: runtimescope service install --env RUNTIMESCOPE_HOST=")
		b.want(0, "service install --env RUNTIMESCOPE_AUTH_TOKEN=x")
		b.want(0, "service doctor", "⚠ ports: the network reaches the collector (RUNTIMESCOPE_HOST), with a token")
		b.want(0, "service stop")
		b.want(0, "service status", "⚠ the network reaches the collector once it runs (RUNTIMESCOPE_HOST), with a token. ")
		b.want(0, "service install --env RUNTIMESCOPE_HOST=localhost")
		b.want(0, "service doctor", "✓ ports: ")
	})
}

func TestOneObjectIsPrintedWhateverHappens(t *testing.T) {
	t.Parallel()
	one := func(t *testing.T, b *bench, args string) {
		t.Helper()
		code := b.runs(strings.Fields(args)...)
		var got map[string]any
		if err := json.Unmarshal(b.stdout.Bytes(), &got); err != nil || strings.Count(b.stdout.String(), "\n") != 1 {
			t.Fatalf("%s: %v\n%s%s", args, err, b.stdout.String(), b.stderr.String())
		}
		want := slices.Clone(statusKeys)
		if got["command"] == "doctor" {
			want = []string{"checks", "command", "error", "ok", "problems", "schema"}
		}
		if strings.Contains(args, "-n ") && got["command"] != "frob" {
			want = append(want, "plan")
			slices.Sort(want)
		}
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
			t.Errorf("%s: its keys are\n%q, want\n%q", args, keys, want)
		}
		if (got["error"] == nil) != (code == 0) {
			t.Errorf("%s: exit %d, and the error is %v", args, code, got["error"])
		}
		if e, ok := got["error"].(map[string]any); ok && (e["id"] == "" || e["message"] == "" || len(e) != 3) {
			t.Errorf("%s: the error is %v", args, e)
		}
		for _, p := range got["problems"].([]any) {
			if p := p.(map[string]any); p["id"] == "" || p["summary"] == "" || len(p) != 5 || got["command"] == "frob" && strings.HasPrefix(fmt.Sprint(p["summary"]), "the ") {
				t.Errorf("%s: a problem is %v", args, p)
			}
		}
	}
	commands := []string{"install --timeout 0.3", "update --timeout 0.3", "restart --timeout 0.3", "status", "status --exit-code", "wait --timeout 0.1", "doctor",
		"install -n", "update -n", "restart -n", "stop -n", "uninstall -n", "stop", "start --timeout 0.3", "uninstall", "uninstall", "stop", "frob"}
	each := func(t *testing.T, b *bench) {
		for _, command := range commands {
			one(t, b, "service "+command+" --json")
			b.quick()
		}
	}
	for _, manager := range faultManagers {
		for _, start := range faultStarts(manager) {
			t.Run(manager+", "+start.name, func(t *testing.T) {
				bed := newFaultBed(t, manager, start)
				for _, command := range commands {
					bed.restore()
					one(t, bed.bench, "service "+command+" --json")
				}
			})
		}
	}
	for name, set := range map[string]func(*bench){
		"no home":     func(b *bench) { b.home = "here" },
		"not a port":  func(b *bench) { b.env[httpPortEnv] = "x" },
		"sudo":        func(b *bench) { b.uid, b.env["SUDO_USER"] = 0, "ada" },
		"no platform": func(b *bench) { b.manager = nil },
		"no collector": func(b *bench) {
			os.Remove(b.collector())
		},
		"no answer": func(b *bench) {
			b.installed()
			b.fake.change(func(s *fakeState) { s.Busless = "Failed to connect to bus: No medium found" })
		},
		"interrupted": func(b *bench) {
			b.app.signals = func(...os.Signal) <-chan os.Signal {
				c := make(chan os.Signal, 1)
				c <- os.Interrupt
				return c
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "systemd").quick()
			set(b)
			each(t, b)
		})
	}
	b := newBench(t, "launchd").quick()
	for _, args := range []string{"service install --jsn --json", "service status now --json", "service wait --timeout x --json", "service doctor -x --json",
		"service stop -x --json=true", "service status --json=maybe", "service install --collector --json", "service --json status"} {
		one(t, b, args)
	}
}

func TestStatusAsksTheManagerOnce(t *testing.T) {
	b := onSystemd(t).installed()
	b.want(0, "service status")
	if calls := b.fake.called(); len(calls) != 1 || calls[0][0] != "systemctl" {
		t.Errorf("it called %q", calls)
	}
}

func TestStatusWithoutAnAnswerFromTheManager(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Busless = "Failed to connect to bus: No medium found" })
	b.want(1, "service status", "⚠ Service installed, but its state is unknown", "No medium found")
	got := b.json(1, "service status --json")
	if got["state"] != "unknown" || got["healthy"] != nil || got["restart_needed"] != nil || len(got) != len(statusKeys) {
		t.Errorf("it says %v", got)
	}
	os.Remove(b.manager.names().path)
	b.want(0, "service status", "⚠ cannot reach the systemd user manager", "Service not installed.")
	got = b.json(0, "service status --json")
	if got["state"] != "not-installed" || len(got) != len(statusKeys) {
		t.Errorf("it says %v", got)
	}
	b.want(4, "service status --exit-code", "✗ the service is not installed")
}

// The very words for findings that no fake machine comes to by itself.
func TestTheWordsOfStatus(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no path in here is an absolute one there")
	const headline, healthy, login, linger, upgrade = "✓ Service is active — PID 42, up 1m 30s\n", "✓ Collector is healthy and serving on http://127.0.0.1:6768 (version 0.11.2)\n",
		"Starts at login: yes\n", "Keeps running after logout: yes\n", "Survives upgrades: yes (the path has no version in it)\n"
	const places = "Collector: /opt/bin/collector-server\nUnit file: /home/ada/.config/systemd/user/runtimescope.service\nLogs: journalctl --user -u runtimescope -f\n"
	const tail, unit = login + linger + upgrade + places, "/home/ada/.config/systemd/user/runtimescope.service"
	const none = "Service not installed. Run: runtimescope service install\n"
	noAnswer := change("no answer", func(s *snapshot) { s.ready.err = errors.New("no answer") })
	down := inPhase(stopped, "inactive", nil)
	nothing := change("nothing", func(s *snapshot) { *s = snapshotOf("systemd") })
	for name, c := range map[string]struct {
		options []option
		want    string
	}{
		"well": {nil, headline + healthy + tail},
		"no main process": {[]option{change("", func(s *snapshot) { s.state.pid, s.state.activeFor = 0, ptr(61*time.Second) })},
			strings.Replace(headline, "PID 42, up 1m 30s", "up 1m 1s", 1) + healthy + tail},
		"no process at all": {[]option{noAnswer, change("", func(s *snapshot) { s.state.pid, s.state.empty, s.state.rawState = 0, true, "active (exited)" })},
			"⚠ Service state: active (exited) — no process of it runs. Run: runtimescope service restart\n⚠ Collector is not ready on http://127.0.0.1:6768: no answer\n" + tail},
		"ending without a main process": {[]option{ending(), change("", func(s *snapshot) { s.state.pid = 0 })},
			"⚠ Service state: deactivating (stop-sigterm) — its processes are ending\n" + tail},
		"masked while it runs": {[]option{maskedRuntime()},
			headline + healthy + tail + "⚠ the service is masked, so systemd will not start it (" + unit + "). Fix: systemctl --user unmask --runtime runtimescope.service\n"},
		"masked": {[]option{down, maskedRuntime()},
			"⚠ Service state: inactive\n" + tail + "⚠ the service is masked, so systemd will not start it (" + unit + "). Fix: systemctl --user unmask --runtime runtimescope.service\n"},
		"none":                   {[]option{nothing}, none},
		"none, and no manager":   {[]option{nothing, noManager()}, none + "⚠ cannot reach the manager. Fix: runtimescope service run\n"},
		"none, and no collector": {[]option{nothing, noCollector()}, none + "⚠ Could not locate the `collector-server` binary. Fix: runtimescope service install --collector PATH\n"},
		"none, nobody to ask, and a collector answers": {[]option{nothing, noManager(), portHeldBy(snapHTTP, otherCollector)},
			none + "⚠ cannot reach the manager\n⚠ http://127.0.0.1:6768 is answered by PID 77 (/usr/local/bin/collector-server), not by the service\n"},
		"none, and the port is held": {[]option{nothing, portHeldBy(snapHTTP, otherCollector)},
			none + "⚠ http://127.0.0.1:6768 is answered by PID 77 (/usr/local/bin/collector-server), not by the service. Fix: kill 77\n⚠ port 6768 is held by PID 77 (/usr/local/bin/collector-server): that is another collector. Fix: kill 77\n"},
		"no manager": {[]option{noManager()}, "⚠ Service installed, but its state is unknown\n⚠ could not check whether the service is what answers on http://127.0.0.1:6768/readyz\n" + strings.TrimPrefix(tail, login)},
		"ending":     {[]option{ending(), noAnswer}, "⚠ Service state: deactivating (stop-sigterm) — PID 4242 is ending\n" + tail},
		"stopped":    {[]option{down}, "⚠ Service state: inactive. Run: runtimescope service start\n" + tail},
		"stopped, its port held": {[]option{down, portHeldBy(snapHTTP, stranger)},
			"⚠ Service state: inactive\n" + tail + "⚠ port 6768 is held by PID 79 (python3 -m http.server), which is not a RuntimeScope collector. Fix: stop PID 79, or choose another port: RUNTIMESCOPE_HTTP_PORT=PORT runtimescope service install\n"},
		"starting": {[]option{inPhase(starting, "activating (start)", nil)}, "⚠ Service state: activating (start)\n" + tail},
		"crash loop": {[]option{inPhase(crashLooping, "activating (auto-restart)", &exitStatus{code: 3})},
			"⚠ Service state: activating (auto-restart) — crash-looping: what comes next. See: runtimescope service logs\nLast exit: status 3\n" + tail},
		"failed":    {[]option{inPhase(failed, "failed", &exitStatus{code: 3})}, "⚠ Service state: failed — what comes next. See: runtimescope service logs\nLast exit: status 3\n" + tail},
		"too often": {[]option{startLimited()}, "⚠ Service state: failed — what comes next. Run: runtimescope service start\nLast exit: status 0\n" + tail},
		"changed": {[]option{change("stale", func(s *snapshot) { s.state.stale = true })},
			headline + healthy + tail + "⚠ Restart needed: the definition has changed since it was loaded. Fix: runtimescope service restart\n"},
		"somebody else answers": {[]option{portHeldBy(snapHTTP, stranger)},
			headline + "⚠ http://127.0.0.1:6768 is answered by PID 79 (python3 -m http.server), not by the service\n" + tail +
				"⚠ port 6768 is held by PID 79 (python3 -m http.server), which is not a RuntimeScope collector. Fix: stop PID 79, or choose another port: RUNTIMESCOPE_HTTP_PORT=PORT runtimescope service install\n"},
		"no answer": {[]option{noAnswer}, headline + "⚠ Collector is not ready on http://127.0.0.1:6768: no answer\n" + tail},
		"not a path": {[]option{change("specifier", func(s *snapshot) {
			s.state.program, s.state.file.definition.collector, s.installed.path = "", "%h/x", "%h/x"
		})},
			headline + healthy + strings.Replace(strings.Replace(tail, upgrade, "", 1), "/opt/bin/collector-server", "%h/x", 1)},
		"cannot be started again": {[]option{change("gone", func(s *snapshot) { s.installed.err = errors.New("missing") })},
			headline + healthy + strings.Replace(tail, upgrade, "", 1) + "⚠ cannot use the collector of the service, /opt/bin/collector-server: missing. Fix: runtimescope service install\n"},
		"gone": {[]option{change("gone", func(s *snapshot) { s.state.file.exists = false })},
			headline + healthy + tail + "⚠ the unit of the service is gone: " + unit + ". Fix: runtimescope service install\n"},
		"a link":          {[]option{linked()}, headline + healthy + tail + "⚠ " + unit + " is a symlink to /nix/store/x/runtimescope.service, so something else manages it. Fix: change it there, or remove the link\n"},
		"restarted once":  {[]option{change("restarted", func(s *snapshot) { s.state.restarts = ptr(1) })}, headline + healthy + "⚠ Restarted 1 time after it failed\n" + tail},
		"never restarted": {[]option{change("restarted", func(s *snapshot) { s.state.restarts = ptr(0) })}, headline + healthy + tail},
		"memory, no linger, not enabled": {[]option{change("more", func(s *snapshot) {
			s.process.memory, s.state.linger, s.state.enabled = 5000, ptr(false), ptr(false)
		})}, headline + healthy + "Memory: 5.0 kB\nStarts at login: no. Fix: runtimescope service install\nKeeps running after logout: no. Fix: sudo loginctl enable-linger $USER\n" + upgrade + places},
		"nobody knows": {[]option{change("unknown", func(s *snapshot) { s.state.linger, s.state.enabled = nil, nil })},
			headline + healthy + "Keeps running after logout: unknown\n" + upgrade + places},
		"an interpreter, and limits": {[]option{interpreted(), change("", func(s *snapshot) { s.state.limits = "MemoryMax=256M, CPUQuota=50%" })},
			headline + healthy + "Limits: MemoryMax=256M, CPUQuota=50%\n" + login + linger + strings.Replace(places, snapProgram, snapInterpreter+" /opt/x.js --token=…", 1)},
		"another port in this shell": {[]option{change("port", func(s *snapshot) { s.shell.ports.http = 7002; s.ports[7002] = portFacts{} })},
			headline + healthy + tail + "⚠ RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT in this shell do not match the service's ports, 6768 and 6767. Fix: runtimescope service install\n"},
	} {
		s := snapshotOf("systemd", append([]option{installed(), runningAs(42), change("age", func(s *snapshot) {
			s.process = processFacts{age: 90 * time.Second}
		})}, c.options...)...)
		var stdout bytes.Buffer
		a := &app{out: printer{stdout: &stdout}}
		a.sayStatus(s, diagnose(s, systemd{}.judgements()))
		same(t, name, strings.ReplaceAll(strings.TrimPrefix(stdout.String(), "  "), "\n  ", "\n"), c.want)
	}
}
