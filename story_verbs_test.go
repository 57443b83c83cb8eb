// Stories through the whole program: what each verb does and says in each state of the service.
package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestInstallStartsTheServiceAndSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd")
	b.want(0, "service install", "✓ Wrote "+b.manager.names().path, "Collector: "+b.fake.path("app"),
		"Waiting for collector to come up…", "✓ Collector is healthy and serving on http://127.0.0.1:"+b.env[httpPortEnv],
		"Optional always-on (keep running when logged out): sudo loginctl enable-linger $USER")
	b.wantCalls("systemctl --user daemon-reload", "systemctl --user enable --now runtimescope.service")
	if _, err := os.Stat(b.manager.names().path); err != nil {
		t.Error(err)
	}
	b.want(0, "service status", "Service is active — PID 4243")
	b.want(0, "service restart", "Service restarted")
	b.want(0, "service stop", "Service stopped (unit preserved — run `service restart` to start again)")
	b.want(0, "service stop", "Service was not running.")
	b.want(0, "service uninstall", "✓ Service uninstalled")
	b.want(0, "service uninstall", "Service is not installed.")
}

// eachQuick runs a story on both managers, whose commands are functions of this process.
func eachQuick(t *testing.T, story func(t *testing.T, b *bench)) {
	t.Helper()
	eachManager(t, func(t *testing.T, b *bench) {
		story(t, b.quick())
	})
}

// on returns the word of the manager at hand.
func (b *bench) on(systemd, launchd string) string {
	if b.manager.names().name == "systemd" {
		return systemd
	}
	return launchd
}

// crashed lets the running collector end. how is a behaviour of the fake machine; the next start is healthy.
func (b *bench) crashed(how string) {
	b.fake.change(func(s *fakeState) {
		s.Behave = how
		if b.manager.names().name == "systemd" {
			b.fake.end(s)
		} else {
			l := s.mac()
			for _, j := range l.Jobs {
				fakeCall{b.fake, s, l, io.Discard, io.Discard}.end(j)
			}
			s.keep(l)
		}
		s.Behave = ""
	})
}

func TestEachVerbInEachStateOnSystemd(t *testing.T) {
	t.Parallel()
	const u = " runtimescope.service"
	states := map[string]func(b *bench){
		"none":          func(b *bench) {},
		"running":       func(b *bench) { b.installed() },
		"stopped":       func(b *bench) { b.installed().want(0, "service stop") },
		"crash-looping": func(b *bench) { b.installed().crashed("crash 3") },
		"gave up":       func(b *bench) { b.installed().crashed("gave up 3") },
		"ended cleanly": func(b *bench) { b.installed().crashed("exit 0") },
		"file gone":     func(b *bench) { b.installed(); os.Remove(b.manager.names().path) },
		"not loaded": func(b *bench) {
			b.installed().want(0, "service stop")
			b.fake.change(func(s *fakeState) { s.LoadedText = "" })
			os.Remove(filepath.Join(filepath.Dir(b.manager.names().path), "default.target.wants", unitName))
		},
		"edited": func(b *bench) {
			b.installed()
			b.write(b.manager.names().path, strings.Replace(b.read(b.manager.names().path), "256M", "1G", 1), 0o644)
		},
	}
	fresh := "daemon-reload, enable --now" + u
	again := "daemon-reload, enable" + u + ", reset-failed" + u + ", restart" + u
	reset := "reset-failed" + u + ", restart" + u
	for _, c := range []struct {
		state, verb string
		code        int
		calls, says string
	}{
		{"none", "install", 0, fresh, "✓ Wrote "},
		{"none", "restart", 1, "", "✗ Service not installed. Run: runtimescope service install"},
		{"none", "stop", 1, "", "✗ Service not installed."},
		{"none", "update", 1, "", "✗ Service not installed."},
		{"none", "uninstall", 0, "", "Service is not installed."},
		{"running", "install", 0, again, "✓ Collector is healthy"},
		{"running", "restart", 0, reset, "✓ Service restarted"},
		{"running", "start", 0, reset, "✓ Service restarted"},
		{"running", "stop", 0, "stop" + u + ", reset-failed" + u, "✓ Service stopped (unit preserved"},
		{"running", "update", 0, "", "✓ Already up to date"},
		{"running", "uninstall", 0, "stop" + u + ", disable --no-reload" + u + ", daemon-reload, reset-failed" + u, "✓ Service uninstalled"},
		{"stopped", "install", 0, fresh, "✓ Collector is healthy"},
		{"stopped", "restart", 0, "restart" + u, "✓ Service restarted"},
		{"stopped", "stop", 0, "", "Service was not running."},
		{"stopped", "update", 0, "", "It is stopped. Run: runtimescope service start"},
		{"stopped", "uninstall", 0, "disable --no-reload" + u + ", daemon-reload", "✓ Service uninstalled"},
		{"ended cleanly", "start", 0, "restart" + u, "✓ Service restarted"},
		{"ended cleanly", "stop", 0, "", "Service was not running."},
		{"crash-looping", "install", 0, again, "✓ Collector is healthy"},
		{"crash-looping", "restart", 0, reset, "✓ Service restarted"},
		{"crash-looping", "stop", 0, "stop" + u + ", reset-failed" + u, "✓ Service stopped"},
		{"crash-looping", "update", 0, reset, "✓ Service restarted"},
		{"crash-looping", "uninstall", 0, "stop" + u + ", disable --no-reload" + u + ", daemon-reload, reset-failed" + u, "✓ Service uninstalled"},
		{"gave up", "install", 0, "daemon-reload, reset-failed" + u + ", enable --now" + u, "✓ Collector is healthy"},
		{"gave up", "restart", 0, reset, "✓ Service restarted"},
		{"gave up", "stop", 0, "", "Service was not running."},
		{"gave up", "uninstall", 0, "disable --no-reload" + u + ", daemon-reload, reset-failed" + u, "✓ Service uninstalled"},
		{"file gone", "install", 0, again, "✓ Wrote "},
		{"file gone", "stop", 0, "stop" + u + ", reset-failed" + u, "✓ Service stopped"},
		{"file gone", "uninstall", 0, "stop" + u + ", daemon-reload, reset-failed" + u, "✓ Service uninstalled"},
		{"not loaded", "install", 0, fresh, "✓ Collector is healthy"},
		{"not loaded", "uninstall", 0, "disable --no-reload" + u + ", daemon-reload", "✓ Service uninstalled"},
		{"edited", "restart", 0, "daemon-reload, " + reset, "✓ Service restarted"},
		{"edited", "install", 0, again, "Saved the previous version as "},
		{"edited", "update", 0, "daemon-reload, " + reset, "✓ Service restarted"},
	} {
		t.Run(c.state+"/"+c.verb, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "systemd").quick()
			states[c.state](b)
			b.calls()
			b.want(c.code, "service "+c.verb, c.says)
			var calls []string
			for _, call := range b.calls() {
				calls = append(calls, strings.TrimPrefix(call, "systemctl --user "))
			}
			same(t, "it called", strings.Join(calls, ", "), c.calls)
			switch c.verb {
			case "uninstall":
				for _, name := range b.files() {
					t.Errorf("%s is left", name)
				}
			case "install", "restart", "start", "update":
				if s := b.fakeState(); c.code == 0 && ((s.PID == 0) != (c.state == "stopped" && c.verb == "update") || s.LoadedText != b.read(b.manager.names().path) && c.state != "file gone") {
					t.Errorf("PID %d runs not on what is on disk", s.PID)
				}
			}
		})
	}
}

func TestUpdateAdoptsAReplacedBinary(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.want(0, "service update", "Already up to date: the service uses the current binary and definition")
		b.wantCalls()
		b.replaceCollector()
		b.want(0, "service status", "⚠ Restart needed: the binary has been replaced since it was started. Fix: runtimescope service restart")
		before := b.fakeState().PID
		b.want(0, "service update", "✓ Service restarted", "✓ Collector is healthy")
		if now := b.fakeState().PID; now == before || now == 0 {
			t.Errorf("PID %d, then %d", before, now)
		}
		b.calls()
		b.want(0, "service update", "Already up to date")
		b.wantCalls()
	})
}

func TestUpdateWritesTheDefinitionForAnotherCollector(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		other := b.fake.path("other/" + programFile(collectorName))
		b.write(other, "#!/bin/sh\n", 0o755)
		b.want(0, "service update --collector "+other, "✓ Wrote "+b.manager.names().path, "Collector: "+other, "✓ Collector is healthy")
		same(t, "the definition runs", b.manager.parse(b.read(b.manager.names().path)).collector, other)
		if _, err := os.Stat(b.manager.names().path + ".bak"); err == nil {
			t.Error("what this tool wrote itself is kept as if somebody had edited it")
		}
	})
}

func TestOnlyInstallMovesTheServiceToAnotherCollector(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		named := filepath.Join(b.fake.dir, "named", programFile(collectorName))
		b.write(named, "#!/bin/sh\n", 0o755)
		b.want(0, "service install --collector "+named)
		text := b.read(b.manager.names().path)
		b.want(0, "service update", "The service stays on "+named+". To move it to "+b.collector()+": runtimescope service install")
		b.want(0, "service stop")
		b.want(0, "dashboard --no-open", "✓ Collector is healthy") // there is another one beside the program
		same(t, "dashboard wrote", b.read(b.manager.names().path), text)
		must(t, os.Remove(b.collector()))
		b.want(0, "service update", "Already up to date")
		b.want(0, "dashboard --no-open")
		b.want(0, "service install", "Collector: "+named) // which stays
		b.want(1, "service update --collector "+b.collector(), "missing")
		same(t, "without another one it wrote", b.read(b.manager.names().path), text)
		b.write(b.collector(), "#!/bin/sh\n", 0o755)
		must(t, os.Remove(named))
		b.want(0, "service update", "The service moves from "+named+" to "+b.collector(), "✓ Collector is healthy")
		must(t, os.Remove(b.collector()))
		b.want(1, "service update", "✗ Could not locate the `collector-server` binary")
		b.want(0, "service stop")
		b.want(1, "dashboard --no-open", "collector-server")
	})
}

func TestInstallKeepsEveryDefinitionEditedByHand(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		path := b.manager.names().path
		ours := ""
		for i, edit := range []string{"<!-- one -->\n", "<!-- two -->\n", "<!-- three -->\n"} {
			b.want(0, "service install")
			if ours == "" {
				ours = b.read(path)
			}
			edit = b.on("# ", "") + edit
			b.write(path, ours+edit, 0o600)
			b.want(0, "service install", "✓ Wrote "+path, "Saved the previous version as "+path+".bak")
			if b.read(path) != ours || b.read(path+".bak") != ours+edit {
				t.Errorf("edit %d is not kept", i+1)
			}
		}
		if !strings.Contains(b.read(path+".bak.1"), "one") || !strings.Contains(b.read(path+".bak.2"), "two") {
			t.Errorf("older copies are gone: %q", b.files())
		}
		info, err := os.Stat(path)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		b.want(0, "service uninstall")
		if _, err := os.Stat(path + ".bak"); err != nil {
			t.Error("uninstall removed what the user wrote")
		}
	})
}

func TestInstallWarnsOfACollectorThatWillNotLast(t *testing.T) {
	b := onSystemd(t)
	path := b.fake.path("Cellar/runtimescope/0.10.7/bin/" + programFile(collectorName))
	b.write(path, "#!/bin/sh\n", 0o755)
	b.want(0, "service install --collector "+path, "Collector: "+path, "⚠ That path may not last: ", "--collector PATH")
	b.want(0, "service status", " may not last: ")
}

// dryStates are the states in which each dry run is held against its golden file.
func dryStates() map[string]func(b *bench) {
	return map[string]func(b *bench){
		"none":    func(b *bench) {},
		"running": func(b *bench) { b.installed() },
		"stopped": func(b *bench) { b.installed().want(0, "service stop") },
		"crashed": func(b *bench) { b.installed().crashed("crash 3") },
		"edited": func(b *bench) {
			b.installed()
			text := strings.Replace(b.read(b.manager.names().path), "256M", "1G", 1)
			b.write(b.manager.names().path, strings.Replace(text, "268435456", "536870912", 1), 0o644)
			if b.manager.names().name == "launchd" { // which tells by the time
				b.set(func(l *fakeLaunchd) {
					for _, j := range l.Jobs {
						j.Began = time.Now().Add(-time.Hour)
					}
				})
			}
		},
		"gone": func(b *bench) { b.installed(); os.Remove(b.manager.names().path) },
	}
}

// unquoted takes away the quotes that paths have for the sake of the temporary folder.
func (b *bench) unquoted(text string) string {
	return regexp.MustCompile("'("+regexp.QuoteMeta(b.fake.dir)+"[^']*)'").ReplaceAllString(text, "$1")
}

// anonymous puts placeholders for what differs from run to run.
func (b *bench) anonymous(text string) string {
	text = b.unquoted(text)
	return strings.NewReplacer(b.home, "{HOME}", b.fake.dir, "{DIR}", strconv.Itoa(b.httpPort()), "{PORT}", "gui/"+strconv.Itoa(b.uid), "gui/{UID}",
		filepath.ToSlash(b.home), "{HOME}").Replace(text)
}

func TestADryRunPrintsWhatTheRealRunDoes(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{"systemd", "launchd"} {
		for state, set := range dryStates() {
			t.Run(manager+"-"+state, func(t *testing.T) {
				t.Parallel()
				var all strings.Builder
				for _, verb := range []string{"install", "update", "restart", "start", "stop", "uninstall"} {
					b := newBench(t, manager).quick()
					set(b)
					all.WriteString("$ runtimescope service " + verb + " --dry-run\n" + b.dryAndReal(verb) + "\n")
				}
				golden(t, "dryrun-"+manager+"-"+state+".txt", all.String())
			})
		}
	}
}

// dryAndReal makes a dry run, then does it, and holds one against the other. It returns what the dry run said.
func (b *bench) dryAndReal(verb string) string {
	b.t.Helper()
	before := b.everything()
	b.calls()
	code := b.runs("service", verb, "--dry-run")
	said, failed := b.stdout.String(), b.stderr.String()
	b.wantCalls()
	same(b.t, fmt.Sprintf("a dry run of %s changed", verb), b.everything(), before)
	if short := b.runs("service", verb, "-n"); short != code || b.stdout.String() != said {
		b.t.Errorf("-n and --dry-run differ for %s", verb)
	}
	if again := b.runs("service", verb); again != code {
		b.t.Errorf("%s: exit %d, its dry run %d\n%s", verb, again, code, b.stderr.String())
	}
	var promised []string
	for _, line := range strings.Split(said, "\n") {
		if call, ok := strings.CutPrefix(line, "would run "); ok {
			promised = append(promised, b.unquoted(call))
		}
	}
	same(b.t, fmt.Sprintf("%s promised\n  %s\nand did", verb, strings.Join(promised, "\n  ")), b.calls(), promised)
	if _, text, ok := strings.Cut(said, "would write "+b.manager.names().path+" (0644):\n"); ok {
		var lines []string
		for _, line := range strings.Split(text, "\n") {
			if !strings.HasPrefix(line, "    ") {
				break
			}
			lines = append(lines, line[4:])
		}
		same(b.t, fmt.Sprintf("%s wrote", verb), b.read(b.manager.names().path), strings.Join(lines, "\n")+"\n")
	}
	return b.anonymous(said + failed)
}

// everything is all that there is below HOME, with modes and times, and what the manager has.
func (b *bench) everything() string {
	b.t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(b.home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String() + "\n")
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	s := b.fakeState()
	return all.String() + s.LoadedText + s.Active + strconv.Itoa(s.PID)
}

func TestADryRunWaitsForNobody(t *testing.T) {
	b := onSystemd(t).installed()
	unlock := need(b.lock(t.Context(), func() {}))(t)
	defer unlock()
	b.want(0, "service restart -n", "would run systemctl --user restart runtimescope.service")
}

func TestUnitPrintsWhatInstallWrites(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.want(0, "service unit")
		text := b.stdout.String()
		b.wantCalls()
		b.installed()
		same(t, "unit printed", b.read(b.manager.names().path), text)
	})
}

// A step that fails: what was done before it is taken back, and the manager is told.

const takenBack = "Changes were rolled back."

func TestAnEnableThatFailsLeavesNothingOfAFreshInstall(t *testing.T) {
	b := onSystemd(t)
	b.plant(plant{Call: "systemctl --user enable", Code: 1, Stderr: "Failed to enable unit: Access denied\n"})
	b.want(1, "service install", "✗ systemctl --user enable --now runtimescope.service: exit status 1: Failed to enable unit: Access denied", takenBack)
	b.wantCalls("systemctl --user daemon-reload", "systemctl --user enable --now runtimescope.service",
		"systemctl --user disable --now runtimescope.service", "systemctl --user daemon-reload")
	same(t, "left", b.files(), nil)
	if _, err := os.Stat(filepath.Join(b.home, ".config")); err == nil {
		t.Error("the folders that it made are left")
	}
	b.silentOn("✓")
	b.want(0, "service install", "✓ Collector is healthy")
}

func TestAWayBackThatFailsIsNotCalledDone(t *testing.T) {
	b := onSystemd(t)
	b.plant(plant{Call: "systemctl --user enable", Code: 1, Stderr: "no\n"},
		plant{Call: "systemctl --user disable", Code: 1, Stderr: "no way back\n"})
	b.want(1, "service install", "Some changes could not be rolled back: systemctl --user disable --now runtimescope.service: exit status 1: no way back")
	b.silentOn(takenBack)
}

func TestARestartThatFailsBringsTheOldDefinitionBack(t *testing.T) {
	b := onSystemd(t).installed()
	edited := strings.Replace(b.read(b.manager.names().path), "256M", "1G", 1)
	b.write(b.manager.names().path, edited, 0o644)
	b.want(0, "service restart")
	b.calls()
	b.plant(plant{Call: "systemctl --user restart", Code: 1, Stderr: "Job for runtimescope.service failed because of unavailable resources or another system error.\n"})
	b.want(1, "service install", "unavailable resources", takenBack)
	same(t, "the old unit is not back", b.read(b.manager.names().path), edited)
	if s := b.fakeState(); s.LoadedText != edited || s.PID == 0 {
		t.Errorf("PID %d runs on\n%s", s.PID, s.LoadedText)
	}
	if left := b.files(); len(left) != 2 {
		t.Errorf("left are %q", left)
	}
	calls := b.calls()
	if want := "systemctl --user daemon-reload, systemctl --user start runtimescope.service"; !strings.HasSuffix(strings.Join(calls, ", "), want) {
		t.Errorf("it called %q", calls)
	}
}

func TestAnUninstallThatIsRefusedKeepsTheDefinition(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"stop", "disable"} {
		b := newBench(t, "systemd").quick().installed()
		text := b.read(b.manager.names().path)
		b.plant(plant{Call: "systemctl --user " + call, Code: 1, Stderr: "Failed to " + call + ": Access denied\n"})
		b.want(1, "service uninstall", "Access denied")
		if strings.Contains(b.stdout.String(), "✓") || b.read(b.manager.names().path) != text || b.fakeState().PID == 0 {
			t.Errorf("%s refused: PID %d, definition kept %v\n%s", call, b.fakeState().PID, b.read(b.manager.names().path) == text, b.stdout.String())
		}
		b.want(0, "service uninstall", "✓ Service uninstalled")
	}
}

func TestAStopThatMayHaveHappenedIsNotCalledTakenBack(t *testing.T) {
	b := onSystemd(t).installed()
	b.plant(plant{Call: "systemctl --user stop", Code: 1, Stderr: "Failed to wait for response: Connection reset by peer\n", Also: true})
	b.want(1, "service stop", "Connection reset by peer")
	b.silentOn("rolled back")
}
