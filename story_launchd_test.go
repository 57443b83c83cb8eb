// Stories of the launchd side, through the whole program against the fake launchctl, one sentence each.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// macStates are the states in which a verb may find launchd.
func macStates() map[string]func(b *bench) {
	has := func(change func(*fakeLaunchd)) func(b *bench) { return func(b *bench) { b.installed().set(change) } }
	disabled := func(code int) func(b *bench) { // by an older installer
		return func(b *bench) {
			b.installed().launchctl("unload", "-w", b.manager.names().path)
			b.set(func(l *fakeLaunchd) { l.DisabledCode, l.Legacy = code, nil })
		}
	}
	return map[string]func(b *bench){
		"none":          func(*bench) {},
		"running":       has(func(*fakeLaunchd) {}),
		"over ssh":      has(func(l *fakeLaunchd) { l.SSH = true }),
		"no print":      has(func(l *fakeLaunchd) { l.Print = "missing" }),
		"another print": has(func(l *fakeLaunchd) { l.Print = "changed" }),
		"left idle":     has(func(l *fakeLaunchd) { l.Idle = true }), // by bootstrap
		"put off":       has(func(l *fakeLaunchd) { l.Spawn = 8 }),
		"ending": func(b *bench) {
			b.installed().set(func(l *fakeLaunchd) { l.Drain = 6 })
			b.launchctl("bootout", b.target("gui"))
		},
		"stopped":               func(b *bench) { b.installed().want(0, "service stop") },
		"crash-looping":         func(b *bench) { b.installed().crashed("crash 3") },
		"replaced":              func(b *bench) { b.installed().replaceCollector() },
		"plist gone":            func(b *bench) { b.installed(); os.Remove(b.manager.names().path) },
		"for all":               func(b *bench) { b.installed(); os.Chmod(b.manager.names().path, 0o666) },
		"disabled":              disabled(5),
		"disabled, and said so": disabled(119),
		"in the user domain": func(b *bench) { // as an older tool loaded it over ssh
			b.installed().set(func(l *fakeLaunchd) {
				j := l.Jobs[b.target("gui")]
				delete(l.Jobs, b.target("gui"))
				j.Domain = strings.TrimSuffix(b.target("user"), "/"+label)
				l.Jobs[b.target("user")], l.SSH = j, true
			})
		},
	}
}

func TestMacEachVerbInEachState(t *testing.T) {
	t.Parallel()
	const start, again = "enable, bootstrap, kickstart", "bootout, enable, bootstrap, kickstart"
	for _, c := range []struct {
		state, verb string
		code        int
		calls, says string
	}{
		{"none", "install", 0, start, "✓ Wrote "},
		{"none", "restart", 1, "", "✗ Service not installed. Run: runtimescope service install"},
		{"none", "stop", 1, "", "✗ Service not installed."},
		{"none", "update", 1, "", "✗ Service not installed."},
		{"none", "uninstall", 0, "", "Service is not installed."},
		{"running", "install", 0, again, "✓ Collector is healthy"},
		{"running", "restart", 0, again, "✓ Service restarted"},
		{"running", "start", 0, again, "✓ Service restarted"},
		{"running", "stop", 0, "bootout", "✓ Service stopped (plist preserved — run `service restart` to start again)"},
		{"running", "uninstall", 0, "bootout", "✓ Service uninstalled"},
		{"running", "update", 0, "", "✓ Already up to date"},
		{"over ssh", "install", 0, again, "✓ Collector is healthy"},
		{"over ssh", "restart", 0, again, "✓ Service restarted"},
		{"over ssh", "stop", 0, "bootout", "✓ Service stopped"},
		{"over ssh", "uninstall", 0, "bootout", "✓ Service uninstalled"},
		{"no print", "install", 0, again, "✓ Collector is healthy"},
		{"no print", "restart", 0, again, "✓ Service restarted"},
		{"no print", "stop", 0, "bootout", "✓ Service stopped"},
		{"no print", "uninstall", 0, "bootout", "✓ Service uninstalled"},
		{"another print", "install", 0, again, "✓ Collector is healthy"},
		{"another print", "restart", 0, again, "✓ Service restarted"},
		{"another print", "stop", 0, "bootout", "✓ Service stopped"},
		{"another print", "uninstall", 0, "bootout", "✓ Service uninstalled"},
		{"left idle", "restart", 0, again, "✓ Service restarted"},
		{"put off", "install", 0, again, "✓ Collector is healthy"},
		{"ending", "install", 0, again, "✓ Collector is healthy"},
		{"ending", "stop", 0, "bootout", "✓ Service stopped"},
		{"stopped", "start", 0, start, "✓ Service restarted"},
		{"stopped", "stop", 0, "", "Service was not running."},
		{"stopped", "uninstall", 0, "", "✓ Service uninstalled"},
		{"crash-looping", "install", 0, again, "✓ Collector is healthy"},
		{"crash-looping", "stop", 0, "bootout", "✓ Service stopped"},
		{"replaced", "update", 0, again, "✓ Service restarted"},
		{"plist gone", "install", 0, again, "✓ Wrote "},
		{"plist gone", "uninstall", 0, "bootout", "✓ Service uninstalled"},
		{"for all", "restart", 1, "", " is writable by others (mode 0666)"},
		{"for all", "install", 0, again, "✓ Collector is healthy"},
		{"disabled", "install", 0, start, "✓ Collector is healthy"},
		{"disabled", "restart", 0, start, "✓ Service restarted"},
		{"disabled, and said so", "install", 0, start, "✓ Collector is healthy"},
		{"in the user domain", "install", 0, strings.Replace(again, "bootout", "bootout user", 1), "✓ Collector is healthy"},
		{"in the user domain", "stop", 0, "bootout user", "✓ Service stopped"},
	} {
		t.Run(c.state+"/"+c.verb, func(t *testing.T) {
			t.Parallel()
			if c.state == "for all" && runtime.GOOS == "windows" {
				t.Skip("no modes here")
			}
			b := mac(t)
			macStates()[c.state](b)
			b.calls()
			old := b.fakeState().PID
			b.set(func(l *fakeLaunchd) { l.Drain = max(l.Drain, 2) })
			b.want(c.code, "service "+c.verb, c.says)
			b.silentOn("linger", "unverified")
			calls := strings.NewReplacer("launchctl ", "", " "+b.target("gui"), "", " "+b.target("user"), " user", fmt.Sprintf(" gui/%d %s", b.uid, b.manager.names().path), "")
			same(t, "it called", calls.Replace(strings.Join(b.calls(), ", ")), c.calls)
			s := b.fakeState()
			l, j, plist := s.mac(), b.job(), b.read(b.manager.names().path)
			switch {
			case c.calls == "":
				same(t, "PID", s.PID, old)
			case c.verb == "stop" || c.verb == "uninstall":
				if len(l.Jobs) != 0 || (plist == "") != (c.verb == "uninstall") {
					t.Errorf("loaded are %v, the plist is %q", l.Jobs, plist)
				}
			case len(l.Jobs) != 1 || j == nil || j.PID == 0 || j.PID == old || j.Draining || j.Runs != 1 || l.Disabled[label] || plist == "":
				t.Errorf("loaded are %v, PID %d is %d, disabled %v, the plist is %q", l.Jobs, old, s.PID, l.Disabled, plist)
			}
			if c.code == 0 && plist != "" {
				b.wantMode(b.manager.names().path, 0o644)
			}
		})
	}
}

func TestMacACrashIsReportedHoweverLaunchdIsAsked(t *testing.T) {
	t.Parallel()
	for behave, words := range map[string][2]string{ // with print, and without
		"crash 3":  {"exited with status 3", "exited with status 3"},
		"signal 9": {"was killed by SIGKILL", "was killed by SIGKILL"},
		"exit 0":   {"exited with status 0", "exited cleanly"},
		"crash 78": {"could not be run: status 78/EX_CONFIG", "could not be run: status 78/EX_CONFIG"},
	} {
		for way, set := range map[string]func(l *fakeLaunchd){"over ssh": func(l *fakeLaunchd) { l.SSH = true }, "without print": func(l *fakeLaunchd) { l.Print = "missing" },
			"by another print": func(l *fakeLaunchd) { l.Print = "changed" }} {
			b := mac(t)
			b.set(set)
			b.behaves(behave)
			says := words[0]
			if way != "over ssh" {
				says = words[1]
			}
			if b.want(1, "service install --timeout 1h", "✗ The collector "+says); b.job() == nil || b.read(b.manager.names().path) == "" {
				t.Errorf("%s: the service is not installed any more", way)
			}
		}
	}
}

func TestMacStatusTellsWhatOnlyLaunchdHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		set   func(*bench)
		state phase
		code  int
		words []string
	}{
		{"running", func(*bench) {}, running, 0, []string{"✓ Service running — PID 4243, up ", "(version 0.10.7)", "Starts at login: yes", "Memory: 64.0 MB", "launchd ends it with the session"}},
		{"disabled", func(b *bench) { b.set(func(l *fakeLaunchd) { l.Disabled[label] = true }) }, running, 0, []string{"Starts at login: no"}},
		{"plist gone", func(b *bench) { os.Remove(b.manager.names().path) }, running, 3,
			[]string{"✓ Service running — PID ", "LaunchAgents/" + label + ".plist. Fix: runtimescope service install"}},
		{"could not be run", func(b *bench) { b.behaves("crash 78"); b.want(1, "service restart") }, crashLooping, 3, []string{"Last exit: status 78/EX_CONFIG"}},
		{"put off", func(b *bench) {
			b.set(func(l *fakeLaunchd) { l.Spawn = 1 << 30 })
			b.want(1, "service restart --timeout 50ms", "Collector did not respond on /readyz within 0.05s.", "stays installed")
		}, starting, 3, []string{"Service state: spawn scheduled"}},
		{"restarted by launchd", func(b *bench) {
			b.set(func(l *fakeLaunchd) {
				j := l.Jobs[b.target("gui")]
				j.Runs, j.Exited, j.Status = 4, true, 3<<8
			})
		}, running, 0, []string{"Service running", "Restarted 3 times after it failed", "Last exit: status 3"}},
		{"ending", func(b *bench) {
			b.set(func(l *fakeLaunchd) { l.Drain = 1 << 30 })
			b.launchctl("bootout", b.target("gui"))
		}, stopped, 3, []string{"SIGTERMed"}},
	} {
		b := mac(t).installed()
		c.set(b)
		b.want(0, "service status", c.words...)
		if code := b.runs("service", "status", "--exit-code"); code != c.code {
			t.Errorf("%s: exit %d, want %d", c.what, code, c.code)
		}
		if got := b.json(0, "service status --json")["state"]; got != string(c.state) {
			t.Errorf("%s: state %q, want %q", c.what, got, c.state)
		}
	}
}

func TestMacAPlistThatLaunchdWouldNotTakeIsRefusedBeforeTheServiceIsStopped(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(b *bench, path string) string{
		"half": func(b *bench, path string) string {
			b.write(path, "<plist version=\"1.0\"><dict>", 0o644)
			return "plist"
		},
		"empty":   func(b *bench, path string) string { b.write(path, "", 0o644); return "plist" },
		"garbage": func(b *bench, path string) string { b.write(path, "garbage", 0o644); return "plist" },
		"of another user": func(b *bench, path string) string {
			if os.Getuid() != 0 || os.Chown(path, 12345, -1) != nil { // only root can give a file away
				return ""
			}
			return "belongs to another user (uid 12345, not 0)"
		},
	} {
		b := mac(t).installed()
		if says := spoil(b, b.manager.names().path); says != "" {
			b.refused("service restart", says, "Fix: runtimescope service install")
			b.want(0, "service install", "healthy")
		} else if what != "of another user" {
			t.Error(what)
		}
	}
}

func TestMacFollowingTheLogsEndsWithASignal(t *testing.T) {
	b := onMac(t).installed()
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	b.signals = func(...os.Signal) <-chan os.Signal { return signals }
	b.want(0, "service logs -f")
}

func TestMacInstallMakesTheFoldersThatAreMissing(t *testing.T) {
	b := onMac(t).installed()
	b.wantMode(filepath.Join(b.home, "Library"), 0o755)
	b.wantMode(filepath.Join(b.home, "Library/LaunchAgents"), 0o755)
	b.wantMode(b.manager.names().path, 0o644)
	b.wantMode(filepath.Join(b.home, ".runtimescope/logs"), 0o700)
}

func TestMacWithoutAGUISessionNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, code := range []int{112, 125} {
		b := mac(t)
		b.set(func(l *fakeLaunchd) { l.NoGUI, l.SSH = code, true })
		b.want(1, "service install", "user ada is not logged in to the desktop", "launchd agents need a GUI session", "Fix: runtimescope service run")
		b.wantCalls()
		same(t, "files", b.files(), nil)
		b.want(0, "service status", "⚠ user ada is not logged in to the desktop", "Service not installed.")
		b.want(1, "service doctor", "✗ manager: user ada is not logged in to the desktop")
	}
}

func TestMacWithoutAGUISessionAnInstallationIsKept(t *testing.T) {
	b := onMac(t).installed()
	b.launchctl("bootout", b.target("gui"))
	b.set(func(l *fakeLaunchd) { l.NoGUI, l.SSH = 125, true })
	text := b.read(b.manager.names().path)
	b.calls()
	for _, verb := range []string{"install", "restart", "stop", "uninstall", "update"} {
		b.want(1, "service "+verb, "user ada is not logged in to the desktop")
	}
	b.want(1, "service status", "not logged in to the desktop")
	b.wantCalls()
	same(t, "the plist has changed", b.read(b.manager.names().path), text)
}

func TestMacARestartByLaunchdMeanwhileIsStillACrash(t *testing.T) {
	b := onMac(t)
	b.behaves("crash later 4")
	b.unready = 1 << 30
	b.set(func(l *fakeLaunchd) { l.Respawn = 1 })
	b.want(1, "service install", "exited with status 4 before it was ready")
}

func TestMacAProgramThatCannotBeRunIsExplained(t *testing.T) {
	b := onMac(t)
	collector := filepath.Join(b.fake.dir, "app", programFile(collectorName))
	b.write(collector, "\xcf\xfa\xed\xfe", 0o755)
	b.behaves("crash 78")
	b.want(1, "service install", "✗ The collector could not be run: status 78/EX_CONFIG", "macOS may have quarantined it")
	b.want(0, "service status", "crash-looping")
	b.write(collector, "#!/no/such/interpreter\n", 0o755)
	b.want(1, "service doctor", "its interpreter /no/such/interpreter is missing")
	b.want(1, "service restart", "cannot be run: its interpreter /no/such/interpreter is missing", "Fix: reinstall the collector")
}

func TestMacALogThatCannotBeOpenedIsNamed(t *testing.T) {
	b := onMac(t).installed()
	log := filepath.Join(b.manager.names().logs, "collector.err.log")
	fault := "launchd cannot open its log: " + log + " exists but is a directory"
	os.Remove(log)
	must(t, os.Mkdir(log, 0o755))
	for _, verb := range []string{"install", "restart"} {
		b.want(1, "service "+verb, fault, "Fix: move it away")
	}
	b.want(1, "service doctor", "✗ logs: "+fault, "process: running")
	b.wantCalls()
	b.launchctl("bootout", b.target("gui"))
	b.launchctl("bootstrap", "gui/"+strconv.Itoa(b.uid), b.manager.names().path)
	b.want(1, "service doctor", "last exit status 78/EX_CONFIG: "+fault)
	os.Remove(log)
	b.want(0, "service restart", "healthy")
}

func TestMacAFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	b := onMac(t).installed()
	b.want(0, "service uninstall")
	agents := filepath.Dir(b.manager.names().path)
	os.Remove(agents)
	b.write(agents, "a file", 0o644)
	b.calls()
	for _, command := range []string{"install", "doctor"} {
		b.want(1, "service "+command, agents+" exists but is not a directory", "move it away")
	}
	if os.Remove(agents); runtime.GOOS != "windows" { // and the folder above may not be written to
		os.Chmod(filepath.Dir(agents), 0o500)
		b.want(1, "service install", filepath.Dir(agents)+" is not writable (mode 0500)", "Fix: chmod u+wx ~/Library")
		os.Chmod(filepath.Dir(agents), 0o700)
	}
	b.wantCalls()
}

func TestMacTheJobOfNoPlistAtAllIsReplaced(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"(submitted by smd.89007)", "/Users/ada/gone.plist"} {
		for _, own := range []bool{true, false} {
			b := mac(t).installed()
			b.set(func(l *fakeLaunchd) {
				l.Jobs[b.target("gui")].Path, l.Jobs[b.target("gui")].Program = path, "/opt/other"
			})
			if !own {
				os.Remove(b.manager.names().path)
			}
			b.want(0, "service status", "Fix: runtimescope service ")
			b.want(0, "service install", "healthy")
			b.wantCalls(b.restarts()...)
			b.want(0, "service status --exit-code", "running")
			b.silentOn(path, "Restart needed")
		}
	}
}

func TestMacTheLastWordsOfTheOldCollectorAreNotShownAsTheNewOnes(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"restart", "install"} {
		b := mac(t).installed()
		b.set(func(l *fakeLaunchd) { l.Drain = 1 })
		b.behaves("crash 78")
		b.want(1, "service "+verb, "could not be run: status 78/EX_CONFIG")
		b.silentOn("stopping", "It logged")
	}
}

func TestMacALogThatHasGrownIsCopiedAndEmptiedInPlace(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"install", "restart"} {
		b := mac(t).installed()
		log := filepath.Join(b.manager.names().logs, "collector.err.log")
		other := b.read(filepath.Join(b.manager.names().logs, "collector.out.log"))
		b.write(log, "first line\n", 0o644)
		must(t, os.Truncate(log, logLimit+1))
		held := need(os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0))(t) // as launchd holds it
		b.want(0, "service doctor", "⚠ logs: "+log+" is 10.5 MB", "Fix: runtimescope service restart")
		b.behaves("crash 3")
		b.want(1, "service "+verb, "fatal: told to crash 3")
		b.silentOn("first line")
		fmt.Fprintln(held, "from the old descriptor")
		held.Close()
		if text := b.read(log); !strings.HasSuffix(text, "from the old descriptor\n") || len(text) > 1000 {
			t.Errorf("the log has %d bytes", len(text))
		}
		if kept := b.read(log + ".1"); len(kept) != logLimit+1 || !strings.HasPrefix(kept, "first line\n") {
			t.Errorf("the copy has %d bytes", len(kept))
		}
		b.wantMode(log+".1", 0o600)
		same(t, "the small log was changed", b.read(filepath.Join(b.manager.names().logs, "collector.out.log")), other)
		if _, err := os.Stat(filepath.Join(b.manager.names().logs, "collector.out.log.1")); err == nil {
			t.Error("the small log was copied")
		}
		b.behaves("")
		b.want(0, "service restart", "healthy")
		b.want(0, "service doctor", "✓ logs: ")
	}
}

func TestMacACollectorThatDoesNotEndIsNotTakenForGone(t *testing.T) {
	b := onMac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Drain, l.ExitTimeout = 1<<30, -9 }) // 10 s more than that are waited for
	b.want(1, "service uninstall", "timed out after 1s waiting until "+label+" is gone")
	b.silentOn("all is as it was before") // the old collector is about to end
	if b.read(b.manager.names().path) == "" {
		t.Error("the plist was removed")
	}
}

func TestMacWhatMacOSDoesToACollectorIsToldWithItsCauseAndWhatHelps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		behave, install, state string
		help                   []string // also of doctor
	}{
		{"reason CODESIGNING", "was killed by SIGKILL (its code signature is not valid) before it was ready", "crash-looping",
			[]string{"its code signature is not valid", "codesign -f -s - COLLECTOR, or put the file back with mv, not cp"}},
		{"reason TCC", "was killed by SIGKILL (macOS denied it access to files (privacy)) before", "crash-looping", []string{"Privacy & Security › Files and Folders"}},
		{"reason DYLD", "was killed by SIGKILL (a library is missing, or it needs a newer macOS) before", "crash-looping", []string{"built for this macOS"}},
		{"reason GUARD", "was killed by SIGKILL (macOS says guard) before", "crash-looping", []string{"runtimescope service logs"}},
		{"held CODESIGNING", "launchd no longer tries to start it. The service stays installed.", "failed", []string{"codesign -f -s - COLLECTOR"}},
		{"pended inefficient", "exited with status 75 before it was ready", "crash-looping",
			[]string{"macOS has deferred the start (Low Power Mode or battery)", "runtimescope service start"}},
	} {
		b := mac(t)
		b.behaves(c.behave)
		for i := range c.help {
			c.help[i] = strings.ReplaceAll(c.help[i], "COLLECTOR", quoteArgv([]string{b.collector()}))
		}
		b.want(1, "service install", append(c.help, c.install)...)
		b.want(1, "service doctor", c.help...)
		b.want(0, "service status", c.help...)
		if !strings.HasPrefix(c.behave, "reason") {
			b.silentOn("at most once", "exited cleanly")
		}
		b.want(0, "service status --json", `"state":"`+c.state+`"`)
		b.behaves("")
		b.want(0, "service start", "healthy")
		b.want(0, "service status", "healthy")
		b.silentOn(c.help...)
	}
}

func TestMacAReplacedProgramThatMacOSEndsOnceIsStartedOnceMore(t *testing.T) {
	b := onMac(t)
	b.set(func(l *fakeLaunchd) { l.LWCR, l.Respawn = true, 3 })
	b.installed()
	b.replaceCollector()
	b.want(0, "service update", "✓ Collector is healthy")
	kick := "launchctl kickstart " + b.target("gui")
	b.wantCalls(append(b.restarts(), kick)...)
	b.timings.throttle = 20 * time.Millisecond
	b.behaves("reason CODESIGNING")
	b.want(1, "service restart", "its code signature is not valid")
	b.wantCalls(append(b.restarts(), kick)...)
}

func TestMacAnAgentThatLoginItemsSwitchOffIsNamed(t *testing.T) {
	b := onMac(t)
	b.set(func(l *fakeLaunchd) { l.LoginItems = true })
	b.want(1, "service install", "it may be switched off as a login item", loginItems)
	same(t, "files", b.files(), nil)
}

func TestMacTheJobOfAnotherPlistIsNamedAndReplaced(t *testing.T) {
	t.Parallel()
	const global = "/Library/LaunchAgents/" + label + ".plist"
	b := mac(t).installed()
	from := func(path, program string) {
		b.set(func(l *fakeLaunchd) {
			j := l.Jobs[b.target("gui")]
			j.Path, j.Program = path, program
		})
	}
	from(global, "/opt/other/collector-server")
	b.want(0, "service status", "launchd has the service from "+global+" (program /opt/other/collector-server), and loads it from there at each login. Fix: remove that file")
	b.want(0, "service install", "healthy")
	same(t, "the job", b.job().Path, b.manager.names().path)
	other := filepath.Join(b.home, "other.plist") // and nothing at our own path
	must(t, os.Rename(b.manager.names().path, other))
	from(other, b.collector())
	b.want(0, "service status", "launchd has the service from "+other, "Fix: runtimescope service install")
	b.want(0, "service restart", "healthy")
	same(t, "the job", b.job().Path, other)
	b.want(0, "service uninstall", "✓ Service uninstalled", other+" belongs to a package and stays.", "launchd has the service from "+other)
	if b.job() != nil || b.read(other) == "" {
		t.Error("the job is there, or its plist is gone")
	}
}

func TestMacABinaryPlistIsRecognised(t *testing.T) {
	b := onMac(t).installed()
	path := b.manager.names().path
	b.write(path, "bplist00\xd1\x01", 0o644)
	for _, verb := range []string{"install", "restart"} {
		b.want(1, "service "+verb, path+" is a binary plist", "plutil -convert xml1 "+quoteArgv([]string{path}))
	}
	b.want(1, "service doctor", "✗ definition: "+path+" is a binary plist")
	b.silentOn("well-formed")
	b.wantCalls()
	b.want(0, "service stop", "Service stopped")
}

func TestMacAJobThatCouldNotBeLoadedAgainIsNotEnded(t *testing.T) {
	b := onMac(t).installed()
	b.set(func(l *fakeLaunchd) { // by an older tool over ssh, and nobody is at the screen
		l.Jobs[b.target("user")], l.SSH, l.NoGUI = l.Jobs[b.target("gui")], true, 125
		delete(l.Jobs, b.target("gui"))
	})
	for _, verb := range []string{"install", "restart"} {
		b.want(1, "service "+verb, "user ada is not logged in to the desktop")
	}
	b.want(0, "service status", "Service running", "user ada is not logged in to the desktop")
	b.wantCalls()
	b.want(0, "service stop", "Service stopped")
}

func TestMacAPortOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	for _, down := range []bool{true, false} {
		b := mac(t)
		port := defaultWSPort
		if !down { // theirs answers in place of ours, which crash-loops
			port = b.httpPort()
			b.installed()
			b.behaves("crash 3")
			b.want(1, "service restart")
			b.calls()
		}
		b.foreign(port, "")
		held := fmt.Sprintf("port %d is held by a process you cannot inspect", port)
		b.want(1, "service install", held, fmt.Sprintf("sudo lsof -nP -iTCP:%d -sTCP:LISTEN", port))
		b.wantCalls()
		b.want(1, "service doctor", "✗ ports: "+held)
		b.want(0, "service status", held)
	}
}

func TestMacARealCollectorIsInstalledAndHealthy(t *testing.T) {
	b := realMac(t)
	b.want(0, "service install", "✓ Collector is healthy and serving on http://127.0.0.1:"+b.env[httpPortEnv])
	first := b.job().PID
	if !alive(first) {
		t.Error("there is no such process")
	}
	b.want(0, "service status --exit-code", fmt.Sprintf("Service running — PID %d", first), "(version 0.0.0-standin)")
	b.want(0, "service restart", "Service restarted")
	if second := b.job().PID; second == first || alive(first) || !alive(second) {
		t.Errorf("PID %d, before %d", second, first)
	}
	out := filepath.Join(b.manager.names().logs, "collector.out.log")
	if got := lines(b.read(out), "HOME "+b.home); len(got) != 2 {
		t.Errorf("%s says:\n%s", out, b.read(out))
	}
}

func TestMacARealCrashIsReportedWithTheLinesOfThisStartOnly(t *testing.T) {
	b := realMac(t)
	b.want(0, "service install")
	old := fmt.Sprint("stand-in ", b.job().PID)
	b.standIn("exit 3")
	b.want(1, "service restart", "✗ The collector exited with status 3 before it was ready", "fatal: exits with 3", "launchd ") // "restarts it" or "has already": the throttle is short here
	b.silentOn(old)
	b.standIn("exit once 7")
	until(t, func() bool { return b.runs("service", "status", "--exit-code") == 0 }, func() string { // launchd starts it again until it stays
		return b.stdout.String() + b.stderr.String()
	})
	if j := b.job(); j.Runs < 3 {
		t.Errorf("the job is %+v", j)
	}
	b.want(0, "service status", "Last exit: status 7", "after it failed")
}

func TestMacStopEndsTheRealProcessAndFreesThePort(t *testing.T) {
	b := realMac(t)
	b.want(0, "service install")
	pid := b.job().PID
	b.want(0, "service stop", "Service stopped")
	if alive(pid) {
		t.Error("the process is still there")
	}
	if err := b.probe(context.Background(), parsePort(b.env[httpPortEnv])); err == nil {
		t.Error("the port is still answered")
	}
	if got := lines(b.read(filepath.Join(b.manager.names().logs, "collector.err.log")), fmt.Sprintf("stand-in %d stopped", pid)); len(got) != 1 {
		t.Error("it did not end by SIGTERM")
	}
}

func TestMacARealCollectorThatIgnoresSIGTERMIsWaitedFor(t *testing.T) {
	b := realMac(t)
	b.standIn("deaf")
	b.set(func(l *fakeLaunchd) { l.KillAfter = 300 * time.Millisecond })
	b.want(0, "service install")
	pid := b.job().PID
	b.standIn("")
	b.want(0, "service restart", "Service restarted") // launchd kills it after its exit timeout
	if alive(pid) || b.job().PID == 0 {
		t.Errorf("the job is %+v", b.job())
	}
}
