// Stories of the launchd side, through the whole program against the fake launchctl, one sentence each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMacInstallLoadsTheAgentAndSaysWhereItLogs(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.want(0, "service install", "✓ Wrote "+b.manager.names().path, "Collector: "+filepath.Join(b.fake.dir, "app", programFile(collectorName)),
		"Logs:      "+b.manager.names().logs, "Waiting for collector to come up…", "✓ Collector is healthy and serving on http://127.0.0.1:"+b.env[httpPortEnv])
	b.silentOn("linger", "unverified")
	b.wantCalls(b.starts()...)
	if j := b.job(); j == nil || j.PID == 0 || j.Runs != 1 || j.Path != b.manager.names().path {
		t.Errorf("the job is %+v", j)
	}
	b.want(0, "service status --exit-code", "✓ Service running — PID 4243, up ")
	b.silentOn("Restart needed") // though ps says a second too many
}

func TestMacInstallMakesTheFoldersThatAreMissing(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.wantMode(filepath.Join(b.home, "Library"), 0o755)
	b.wantMode(filepath.Join(b.home, "Library/LaunchAgents"), 0o755)
	b.wantMode(b.manager.names().path, 0o644)
	b.wantMode(filepath.Join(b.home, ".runtimescope/logs"), 0o700)
}

func TestMacInstallRepairsThePlistThatOthersMayWrite(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	if err := os.Chmod(b.manager.names().path, 0o666); err != nil {
		t.Fatal(err)
	}
	b.want(0, "service install", "healthy")
	b.wantMode(b.manager.names().path, 0o644)
}

func TestMacReinstallWaitsForBootout(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Drain = 3 })
	old := b.job().PID
	b.want(0, "service install", "healthy")
	b.wantCalls(b.restarts()...)
	if j := b.job(); j == nil || j.PID == 0 || j.PID == old || j.Draining {
		t.Errorf("the job is %+v", j)
	}
}

func TestMacRestartWaitsForBootout(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"restart", "start"} {
		b := mac(t).installed()
		b.set(func(l *fakeLaunchd) { l.DrainFor = 60 * time.Millisecond })
		b.want(0, "service "+verb, "✓ Service restarted", "✓ Collector is healthy")
		b.wantCalls(b.restarts()...)
	}
}

func TestMacStopIsDoneWhenTheProcessIsGone(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Drain = 2 })
	b.want(0, "service stop", "✓ Service stopped (plist preserved — run `service restart` to start again)")
	b.wantCalls("launchctl bootout " + b.target("gui"))
	if b.job() != nil {
		t.Error("the job is still there")
	}
	b.want(0, "service stop", "Service was not running.")
	b.wantCalls()
	b.want(0, "service start", "Service restarted", "healthy")
	b.wantCalls(b.starts()...)
}

func TestMacUninstallStopsAndRemovesOnlyThePlist(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Drain = 2 })
	b.want(0, "service uninstall", "✓ Service uninstalled")
	b.wantCalls("launchctl bootout " + b.target("gui"))
	if files := b.files(); strings.Contains(strings.Join(files, " "), "plist") || len(files) != 2 {
		t.Errorf("files: %v", files)
	}
	if b.job() != nil {
		t.Error("the job is still there")
	}
	b.want(0, "service uninstall", "Service is not installed.")
	for _, verb := range []string{"stop", "restart", "start", "update"} {
		b.want(1, "service "+verb, "✗ Service not installed. Run: runtimescope service install")
	}
	b.wantCalls()
}

func TestMacALabelThatAnOlderInstallerDisabledIsEnabled(t *testing.T) {
	t.Parallel()
	for _, code := range []int{5, 119} {
		for _, verb := range []string{"install", "restart"} {
			b := mac(t).installed()
			b.launchctl("unload", "-w", b.manager.names().path)
			b.set(func(l *fakeLaunchd) { l.DisabledCode, l.Legacy = code, nil })
			b.calls()
			b.want(0, "service "+verb, "healthy")
			b.wantCalls(b.starts()...)
			s := b.fakeState()
			if s.mac().Disabled[label] {
				t.Error("it is still disabled")
			}
		}
	}
}

func TestMacADisabledAgentIsNamedWhenEnableDoesNotHelp(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		for _, code := range []int{5, 119} {
			b := mac(t)
			b.set(func(l *fakeLaunchd) {
				l.DisabledCode, l.Before13, l.Disabled[label] = code, old, true
			})
			b.plant(plant{Call: "launchctl enable"}) // says yes and does nothing, as for an item switched off in System Settings
			b.want(1, "service install", "the agent is switched off for this user, in System Settings under Login Items", "Try: launchctl enable "+b.target("gui"))
			if files := b.files(); len(files) != 0 {
				t.Errorf("files: %v", files)
			}
		}
	}
}

func TestMacStatusSaysThatADisabledAgentDoesNotStartAtLogin(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Disabled[label] = true }) // it goes on running, and is not loaded at the next login
	b.want(0, "service status", "Starts at login: no")
}

func TestMacWithoutAGUISessionNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, code := range []int{112, 125} {
		b := mac(t)
		b.set(func(l *fakeLaunchd) { l.NoGUI, l.SSH = code, true })
		b.want(1, "service install", "user ada has no GUI session", "log in at the screen of this Mac", "Try: runtimescope service run")
		b.wantCalls()
		if files := b.files(); len(files) != 0 {
			t.Errorf("files: %v", files)
		}
		b.want(0, "service status", "⚠ user ada has no GUI session", "Service not installed.")
		b.want(1, "service doctor", "✗ manager: user ada has no GUI session")
	}
}

func TestMacWithoutAGUISessionAnInstallationIsKept(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.launchctl("bootout", b.target("gui"))
	b.set(func(l *fakeLaunchd) { l.NoGUI, l.SSH = 125, true })
	text := b.read(b.manager.names().path)
	b.calls()
	for _, verb := range []string{"install", "restart", "stop", "uninstall", "update"} {
		b.want(1, "service "+verb, "user ada has no GUI session")
	}
	b.want(1, "service status", "no GUI session")
	b.wantCalls()
	if b.read(b.manager.names().path) != text {
		t.Error("the plist has changed")
	}
}

func TestMacThatShowsItHasNoGUISessionOnlyAtBootstrapIsPutBack(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.set(func(l *fakeLaunchd) { l.NoGUI, l.SSH, l.Blind = 125, true, true })
	b.want(1, "service install", "user ada has no GUI session", "Try: runtimescope service run")
	if files := b.files(); len(files) != 0 {
		t.Errorf("files: %v", files)
	}
}

func TestMacOverSSHTheJobOfTheScreenIsSeen(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.SSH = true })
	b.want(0, "service status --exit-code", "Service running — PID 4243")
	b.want(0, "service restart", "Service restarted")
	b.wantCalls(b.restarts()...)
	b.want(0, "service stop", "Service stopped")
	b.want(0, "service start", "Service restarted")
	b.want(0, "service uninstall", "Service uninstalled")
	if b.job() != nil {
		t.Error("the job is still there")
	}
}

func TestMacOverSSHACrashIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	for behave, words := range map[string]string{"crash 3": "exited with status 3", "signal 9": "was ended by SIGKILL", "exit 0": "exited with status 0"} {
		b := mac(t)
		b.set(func(l *fakeLaunchd) { l.SSH = true })
		b.behaves(behave)
		b.want(1, "service install --timeout 1h", words+" before it was ready")
	}
}

func TestMacAJobInTheUserDomainIsFoundAndMoved(t *testing.T) {
	t.Parallel()
	move := func(b *bench) { // as an older tool loaded it over ssh
		b.set(func(l *fakeLaunchd) {
			j := l.Jobs[b.target("gui")]
			delete(l.Jobs, b.target("gui"))
			j.Domain = strings.TrimSuffix(b.target("user"), "/"+label)
			l.Jobs[b.target("user")], l.SSH = j, true
		})
	}
	b := mac(t).installed()
	move(b)
	b.want(0, "service status", "Service running")
	b.want(0, "service install", "healthy")
	b.wantCalls(append([]string{"launchctl bootout " + b.target("user")}, b.starts()...)...)
	s := b.fakeState()
	if jobs := s.mac().Jobs; len(jobs) != 1 || b.job() == nil {
		t.Errorf("jobs: %v", jobs)
	}
	move(b)
	b.want(0, "service stop", "Service stopped")
	b.wantCalls("launchctl bootout " + b.target("user"))
	b.want(0, "service uninstall", "Service uninstalled")
}

func TestMacCrashIsReportedWithItsStatusAndItsLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ behave, words, next string }{
		{"crash 3", "✗ The collector exited with status 3 before it was ready", "launchd starts it again, ten seconds after the last start"},
		{"signal 9", "✗ The collector was ended by SIGKILL before it was ready", "launchd starts it again"},
		{"signal 11", "✗ The collector was ended by SIGSEGV before it was ready", "launchd starts it again"},
		{"exit 0", "✗ The collector exited with status 0 before it was ready", "launchd does not start it again after a clean end"},
	} {
		b := mac(t)
		b.behaves(c.behave)
		b.want(1, "service install", c.words, "It logged:", "fatal: told to "+c.behave, c.next, "The service stays installed.")
		if b.job() == nil || b.read(b.manager.names().path) == "" {
			t.Error("the service is not installed any more")
		}
	}
}

func TestMacARestartByLaunchdMeanwhileIsStillACrash(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.behaves("crash later 4")
	b.unready = 1 << 30
	b.set(func(l *fakeLaunchd) { l.Respawn = 1 })
	b.want(1, "service install", "exited with status 4 before it was ready")
}

func TestMacAThrottledStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.set(func(l *fakeLaunchd) { l.Spawn = 8 })
	b.want(0, "service install", "✓ Collector is healthy")
	if j := b.job(); j.Runs != 1 {
		t.Errorf("the job is %+v", j)
	}
}

func TestMacAThrottledStartThatNeverComesIsNoSuccess(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.set(func(l *fakeLaunchd) { l.Spawn = 1 << 30 })
	b.want(1, "service install --timeout 200ms", "Collector did not respond on /readyz within 0.2s.", "stays installed")
}

func TestMacKickstartStartsWhatBootstrapLeftIdle(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.set(func(l *fakeLaunchd) { l.Idle = true })
	b.want(0, "service install", "✓ Collector is healthy")
	b.wantCalls(b.starts()...)
}

func TestMacAProgramThatCannotBeRunIsExplained(t *testing.T) {
	t.Parallel()
	b := mac(t)
	collector := filepath.Join(b.fake.dir, "app", programFile(collectorName))
	b.write(collector, "\xcf\xfa\xed\xfe", 0o755)
	b.behaves("crash 78")
	b.want(1, "service install", "✗ The collector could not be run: status 78/EX_CONFIG", "macOS may have quarantined it")
	b.want(0, "service status", "crash-looping")
	b.write(collector, "#!/no/such/interpreter\n", 0o755)
	b.want(1, "service doctor", "its interpreter /no/such/interpreter is not there")
	b.want(1, "service restart", "cannot be run: its interpreter /no/such/interpreter is not there", "Try: reinstall the collector")
}

func TestMacALogThatCannotBeOpenedIsNamedForExit78(t *testing.T) {
	t.Parallel()
	b := mac(t)
	log := filepath.Join(b.manager.names().logs, "collector.err.log")
	if err := os.MkdirAll(log, 0o755); err != nil {
		t.Fatal(err)
	}
	b.want(1, "service install", "The collector could not be run: status 78/EX_CONFIG", log)
}

func TestMacAMachOProgramIsNotCalledForeign(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.write(filepath.Join(b.fake.dir, "app", programFile(collectorName)), "\xcf\xfa\xed\xfe\x01\x00\x00\x01\x00\x00\x00\x00\x02\x00\x00\x00", 0o755)
	b.behaves("crash 78")
	b.want(1, "service install", "The collector could not be run: status 78/EX_CONFIG")
	b.silentOn("neither a program of this system")
}

func TestMacABrokenPlistIsRefusedBeforeTheServiceIsStopped(t *testing.T) {
	t.Parallel()
	for text, words := range map[string]string{"<plist version=\"1.0\"><dict>": "plist", "": "plist", "garbage": "plist"} {
		b := mac(t).installed()
		b.write(b.manager.names().path, text, 0o644)
		b.want(1, "service restart", words, "Try: runtimescope service install")
		b.wantCalls()
		if j := b.job(); j == nil || j.PID != 4243 {
			t.Errorf("%q: the job is %+v", text, j)
		}
		b.want(0, "service install", "healthy")
	}
}

func TestMacAPlistThatLaunchdRefusesIsRefusedBeforeTheServiceIsStopped(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	b := mac(t).installed()
	if err := os.Chmod(b.manager.names().path, 0o666); err != nil {
		t.Fatal(err)
	}
	b.want(1, "service restart", b.manager.names().path+" may be written by others (mode 0666)", "Try: runtimescope service install")
	if j := b.job(); j == nil || j.PID != 4243 {
		t.Errorf("the job is %+v", j)
	}
}

func TestMacAPlistOfAnotherUserIsNamed(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	b := mac(t).installed()
	b.want(0, "service stop")
	if err := os.Chown(b.manager.names().path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	b.want(1, "service restart", "belongs to another user (uid 12345, not 0)", "Try: runtimescope service install")
	b.want(0, "service install", "healthy")
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
		if err := os.Truncate(log, logLimit+1); err != nil {
			t.Fatal(err)
		}
		held, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0) // as launchd holds it
		if err != nil {
			t.Fatal(err)
		}
		b.want(0, "service doctor", "⚠ logs: "+log+" has grown to 10.5 MB", "Fix: runtimescope service restart")
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
		if b.read(filepath.Join(b.manager.names().logs, "collector.out.log")) != other {
			t.Error("the small log was changed")
		}
		if _, err := os.Stat(filepath.Join(b.manager.names().logs, "collector.out.log.1")); err == nil {
			t.Error("the small log was copied")
		}
		b.behaves("")
		b.want(0, "service restart", "healthy")
		b.want(0, "service doctor", "✓ logs: ")
	}
}

func TestMacStatusInEachState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		set   func(*bench)
		state phase
		code  int
		words []string
	}{
		{"not installed", func(b *bench) { b.want(0, "service uninstall") }, notInstalled, 4, []string{"Service not installed. Run: runtimescope service install"}},
		{"running", func(*bench) {}, running, 0, []string{"✓ Service running — PID 4243", "✓ Collector is healthy and serving on", "(version 0.10.7)", "Starts at login: yes", "Memory: 64.0 MB", "launchd ends it with the session"}},
		{"stopped", func(b *bench) { b.want(0, "service stop") }, stopped, 3, []string{"Service installed but not currently running"}},
		{"ended cleanly", func(b *bench) { b.behaves("exit 0"); b.want(1, "service restart") }, stopped, 3, []string{"Service installed but not currently running"}},
		{"crash-looping", func(b *bench) { b.behaves("crash 3"); b.want(1, "service restart") }, crashLooping, 3,
			[]string{"crash-looping: launchd starts it again", "Last exit: status 3", "runtimescope service logs"}},
		{"killed", func(b *bench) { b.behaves("signal 9"); b.want(1, "service restart") }, crashLooping, 3, []string{"Last exit: SIGKILL"}},
		{"could not be run", func(b *bench) { b.behaves("crash 78"); b.want(1, "service restart") }, crashLooping, 3, []string{"Last exit: status 78/EX_CONFIG"}},
		{"throttled", func(b *bench) {
			b.set(func(l *fakeLaunchd) { l.Spawn = 1 << 30 })
			b.want(1, "service restart --timeout 50ms")
		}, starting, 3, []string{"Service state: spawn scheduled"}},
		{"silent", func(b *bench) { b.behaves("silent") }, running, 3, []string{"Service running", "Collector does not answer"}},
		{"restarted by launchd", func(b *bench) {
			b.set(func(l *fakeLaunchd) {
				j := l.Jobs[b.target("gui")]
				j.Runs, j.Exited, j.Status = 4, true, 3<<8
			})
		}, running, 0, []string{"Service running", "Restarted 3 times after it failed", "Last exit: status 3"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			b := mac(t).installed()
			c.set(b)
			b.want(0, "service status", c.words...)
			if code := b.runs("service", "status", "--exit-code"); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			b.want(0, "service status --json")
			var got struct{ State phase }
			if err := json.Unmarshal(b.stdout.Bytes(), &got); err != nil || got.State != c.state {
				t.Errorf("state %q, want %q (%v)", got.State, c.state, err)
			}
		})
	}
}

func TestMacWithoutPrintAllVerbsWorkFromListAlone(t *testing.T) {
	t.Parallel()
	for _, print := range []string{"missing", "changed"} {
		t.Run(print, func(t *testing.T) {
			t.Parallel()
			b := mac(t)
			b.set(func(l *fakeLaunchd) { l.Print, l.Drain = print, 2 })
			b.want(0, "service install", "healthy")
			b.want(0, "service status --exit-code", "Service running — PID 4243")
			b.want(0, "service restart", "healthy")
			b.want(0, "service install", "healthy")
			b.want(0, "service stop", "Service stopped")
			if b.job() != nil {
				t.Error("the job is still there")
			}
			b.behaves("crash 3")
			b.want(1, "service start", "exited with status 3")
			b.want(0, "service uninstall", "Service uninstalled")
			b.behaves("exit 0")
			b.want(1, "service install", "ended")
		})
	}
}

func TestMacStopAndStatusWhileAnOldCollectorIsEnding(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Drain = 6 })
	b.launchctl("bootout", b.target("gui"))
	b.want(0, "service status", "SIGTERMed")
	b.want(0, "service stop", "Service stopped")
	if b.job() != nil {
		t.Error("the job is still there")
	}
}

func TestMacInstallWhileAnOldCollectorIsEndingWaits(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Drain = 6 })
	b.launchctl("bootout", b.target("gui"))
	b.want(0, "service install", "healthy")
}

func TestMacACollectorThatDoesNotEndIsNotTakenForGone(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { l.Drain, l.ExitTimeout = 1<<30, -9 }) // 10 s more than that are waited for
	b.want(1, "service uninstall", "timed out after 1s waiting until "+label+" is gone")
	b.silentOn("all is as it was before") // the old collector is about to end
	if b.read(b.manager.names().path) == "" {
		t.Error("the plist was removed")
	}
}

func TestMacUpdateRestartsOnAReplacedBinary(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.want(0, "service update", "Nothing to adopt")
	b.wantCalls()
	b.replaceCollector()
	b.want(0, "service status", "Restart needed: the binary has been replaced since it was started")
	b.want(0, "service update", "Service restarted")
	b.wantCalls(b.restarts()...)
}

func TestMacAPlistThatIsALinkIsSomebodyElses(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.want(0, "service stop")
	if err := os.Rename(b.manager.names().path, b.home+"/elsewhere.plist"); err != nil {
		t.Fatal(err)
	}
	if os.Symlink(b.home+"/elsewhere.plist", b.manager.names().path) != nil {
		t.Skip("no links here")
	}
	b.calls()
	b.want(1, "service install", "is a symbolic link to "+b.home+"/elsewhere.plist: something else manages it")
	b.wantCalls()
	b.want(0, "service restart")
	b.want(0, "service uninstall", "✓ Service uninstalled", b.home+"/elsewhere.plist, which the plist linked to, stays.")
	if b.read(b.home+"/elsewhere.plist") == "" {
		t.Error("what it linked to is gone")
	}
}

func TestMacWhatMacOSDoesToACollectorIsToldWithItsCauseAndWhatHelps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		behave, install, state string
		help                   []string // also of doctor
	}{
		{"reason CODESIGNING", "was ended by SIGKILL (its code signature is not valid) before it was ready", "crash-looping",
			[]string{"its code signature is not valid", "codesign -f -s - COLLECTOR, or put the file in its place again with mv, not cp"}},
		{"reason TCC", "was ended by SIGKILL (macOS denied it access to files (privacy)) before", "crash-looping", []string{"Privacy & Security › Files and Folders"}},
		{"reason DYLD", "was ended by SIGKILL (a library that it needs is missing, or it needs a newer macOS) before", "crash-looping", []string{"built for this macOS"}},
		{"reason GUARD", "was ended by SIGKILL (macOS says guard) before", "crash-looping", []string{"runtimescope service logs"}},
		{"held CODESIGNING", "launchd has stopped trying to start it. The service stays installed.", "failed", []string{"codesign -f -s - COLLECTOR"}},
		{"pended inefficient", "exited with status 75 before it was ready", "crash-looping",
			[]string{"macOS has put the start off (Low Power Mode or battery)", "runtimescope service start"}},
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
			b.silentOn("ten seconds after", "ended cleanly")
		}
		b.want(0, "service status --json", `"state":"`+c.state+`"`)
		b.behaves("")
		b.want(0, "service start", "healthy")
		b.want(0, "service status", "healthy")
		b.silentOn(c.help...)
	}
}

func TestMacAReplacedProgramThatMacOSEndsOnceIsStartedOnceMore(t *testing.T) {
	t.Parallel()
	b := mac(t)
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
	t.Parallel()
	b := mac(t)
	b.set(func(l *fakeLaunchd) { l.LoginItems = true })
	b.want(1, "service install", "it may be switched off as a login item", loginItems)
	if files := b.files(); len(files) != 0 {
		t.Errorf("files: %v", files)
	}
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
	if j := b.job(); j.Path != b.manager.names().path {
		t.Errorf("the job is %+v", j)
	}
	other := filepath.Join(b.home, "other.plist") // and nothing at our own path
	if err := os.Rename(b.manager.names().path, other); err != nil {
		t.Fatal(err)
	}
	from(other, b.collector())
	b.want(0, "service status", "launchd has the service from "+other, "Fix: runtimescope service install")
	b.want(0, "service restart", "healthy")
	if j := b.job(); j.Path != other {
		t.Errorf("the job is %+v", j)
	}
	b.want(0, "service uninstall", "✓ Service uninstalled", other+" came with a package and stays.", "launchd has the service from "+other)
	if b.job() != nil || b.read(other) == "" {
		t.Error("the job is there, or its plist is gone")
	}
}

func TestMacABinaryPlistIsRecognised(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	path := b.manager.names().path
	b.write(path, "bplist00\xd1\x01", 0o644)
	for _, verb := range []string{"install", "restart"} {
		b.want(1, "service "+verb, path+" is a binary plist", "plutil -convert xml1 "+path)
	}
	b.want(1, "service doctor", "✗ definition: "+path+" is a binary plist")
	b.silentOn("well-formed")
	b.wantCalls()
	b.want(0, "service stop", "Service stopped")
}

func TestMacAJobThatCouldNotBeLoadedAgainIsNotEnded(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.set(func(l *fakeLaunchd) { // by an older tool over ssh, and nobody is at the screen
		l.Jobs[b.target("user")], l.SSH, l.NoGUI = l.Jobs[b.target("gui")], true, 125
		delete(l.Jobs, b.target("gui"))
	})
	for _, verb := range []string{"install", "restart"} {
		b.want(1, "service "+verb, "user ada has no GUI session")
	}
	b.want(0, "service status", "Service running", "user ada has no GUI session")
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
		held := fmt.Sprintf("port %d is held by a process that this user may not look into", port)
		b.want(1, "service install", held, fmt.Sprintf("sudo lsof -nP -iTCP:%d -sTCP:LISTEN", port))
		b.wantCalls()
		b.want(1, "service doctor", "✗ ports: "+held)
		b.want(0, "service status", held)
	}
}

func TestMacARealCollectorIsInstalledAndHealthy(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	b := realMac(t)
	b.want(0, "service install")
	old := fmt.Sprint("stand-in ", b.job().PID)
	b.standIn("exit 3")
	b.want(1, "service restart", "✗ The collector exited with status 3 before it was ready", "fatal: exits with 3", "it again") // "starts" or "has started": the throttle is short here
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
	t.Parallel()
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
	t.Parallel()
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
