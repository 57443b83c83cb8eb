// Stories of the launchd side, through the whole program against the fake launchctl, one sentence each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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

func TestMacUninstallUnloadsAJobWithoutItsPlist(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	if err := os.Remove(b.manager.names().path); err != nil {
		t.Fatal(err)
	}
	b.want(0, "service status", "Service running", "the plist of the service is gone: "+b.manager.names().path)
	b.want(0, "service uninstall", "✓ Service uninstalled")
	b.wantCalls("launchctl bootout " + b.target("gui"))
	if b.job() != nil {
		t.Error("the job is still there")
	}
}

func TestMacUninstallRemovesAPlistWithoutItsJob(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.launchctl("bootout", b.target("gui"))
	b.calls()
	b.want(0, "service uninstall", "✓ Service uninstalled")
	b.wantCalls()
	if _, err := os.Stat(b.manager.names().path); err == nil {
		t.Error("the plist is still there")
	}
}

func TestMacInstallRepairsAJobWithoutItsPlist(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	if err := os.Remove(b.manager.names().path); err != nil {
		t.Fatal(err)
	}
	b.want(0, "service install", "Wrote "+b.manager.names().path, "healthy")
	b.wantCalls(b.restarts()...)
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

func TestMacCrashAfterAWhileIsReportedWhileItWaits(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.behaves("crash later 4")
	b.unready = 1 << 30
	b.want(1, "service install", "exited with status 4 before it was ready", "fatal: told to crash later 4")
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
	b.write(filepath.Join(b.fake.dir, "app", programFile(collectorName)), "\xcf\xfa\xed\xfe\x0c\x00\x00\x01\x00\x00\x00\x00\x02\x00\x00\x00", 0o755)
	b.behaves("crash 78")
	b.want(1, "service install", "The collector could not be run: status 78/EX_CONFIG")
	b.silentOn("neither a program of this system")
}

func TestMacACollectorThatIsGoneIsRefusedBeforeTheOldOneIsStopped(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	if err := os.Remove(filepath.Join(b.fake.dir, "app", programFile(collectorName))); err != nil {
		t.Fatal(err)
	}
	b.want(1, "service restart", "cannot use the collector of the service", "not there")
	b.wantCalls()
	if b.job().PID == 0 {
		t.Error("it was stopped")
	}
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

func TestMacAnInstallThatFailsPutsTheOldPlistAndJobBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what string
		p    plant
		set  func(*fakeLaunchd)
	}{
		{"bootstrap refused", plant{Call: "launchctl bootstrap", Code: 5, Stderr: "Bootstrap failed: 5: Input/output error\n"}, nil},
		{"kickstart refused", plant{Call: "launchctl kickstart", Code: 1, Stderr: "Could not kickstart service: 1: Operation not permitted\n"}, nil},
		{"kickstart refused, slow to end", plant{Call: "launchctl kickstart", Code: 1, Stderr: "Could not kickstart service: 1: Operation not permitted\n"},
			func(l *fakeLaunchd) { l.Drain = 2 }},
		{"enable refused", plant{Call: "launchctl enable", Code: 1, Stderr: "Could not enable service: 1: Operation not permitted\n"}, nil},
		{"bootout refused", plant{Call: "launchctl bootout", Code: 1, Stderr: "Boot-out failed: 1: Operation not permitted\n"}, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := mac(t).installed()
			text, files := b.read(b.manager.names().path), b.files()
			b.env[wsPortEnv] = "7001"
			if c.set != nil {
				b.set(c.set)
			}
			b.plant(c.p)
			b.want(1, "service install", "Changes were rolled back.")
			if b.read(b.manager.names().path) != text || len(b.files()) != len(files) {
				t.Errorf("files: %v, plist:\n%s", b.files(), b.read(b.manager.names().path))
			}
			if j := b.job(); j == nil || j.PID == 0 || j.Draining || slices.Contains(j.Environ, wsPortEnv+"=7001") {
				t.Errorf("the job is %+v", j)
			}
		})
	}
}

func TestMacPortsInThePlistAreKept(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.env[wsPortEnv] = "7001"
	b.installed()
	port := b.env[httpPortEnv]
	delete(b.env, wsPortEnv)
	delete(b.env, httpPortEnv)
	for _, verb := range []string{"status --exit-code", "restart", "install"} {
		b.want(0, "service "+verb, "http://127.0.0.1:"+port)
	}
	want := []string{"HOME=" + b.home, "PATH=/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin", "RUNTIMESCOPE_HTTP_PORT=" + port, "RUNTIMESCOPE_PORT=7001"}
	if got := strings.Join(b.job().Environ, " "); got != strings.Join(want, " ") {
		t.Errorf("the job's environment is %s", got)
	}
}

func TestMacADifferentPlistIsKeptBesideAsBak(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	old := b.read(b.manager.names().path) + "<!-- mine -->\n"
	b.write(b.manager.names().path, old, 0o644)
	b.want(0, "service install", "The previous one differed and is kept: "+b.manager.names().path+".bak")
	if b.read(b.manager.names().path+".bak") != old {
		t.Error("the .bak is not the old plist")
	}
}

func TestMacOnlyTheLinesOfThisStartAreShown(t *testing.T) {
	t.Parallel()
	b := mac(t)
	err, out := filepath.Join(b.manager.names().logs, "collector.err.log"), filepath.Join(b.manager.names().logs, "collector.out.log")
	b.write(err, "an older line\n", 0o644)
	b.write(out, "an older word\n", 0o644)
	b.behaves("crash 3")
	b.want(1, "service install", "fatal: told to crash 3")
	b.silentOn("an older")
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

func TestMacDryRunShowsEveryStepAndDoesNone(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.want(0, "service install -n", "would make folder "+b.manager.names().logs+" (0700)", "would write "+b.manager.names().path, "<key>Label</key>",
		"would run "+b.starts()[0]+"\nwould run "+b.starts()[1]+"\nwould run "+b.starts()[2])
	b.wantCalls()
	if files := b.files(); len(files) != 0 {
		t.Errorf("files: %v", files)
	}
	b.installed()
	b.want(0, "service uninstall -n", "would run launchctl bootout "+b.target("gui")+"\nwould wait until "+label+" is gone, at most 15s\nwould remove "+b.manager.names().path)
	b.want(0, "service stop -n", "would run launchctl bootout "+b.target("gui"))
	b.wantCalls()
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

func TestMacDoctorOnAHealthyMachine(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	b.want(0, "service doctor", "✓ manager: launchd answers", "✓ definition: "+b.manager.names().path+" is loaded", "✓ enabled: ", "✓ process: running (PID 4243)", "✓ ready: ", "✓ ports: ", "✓ logs: ")
	b.want(0, "service doctor --json", `"ok":true`)
	b.wantCalls()
}

func TestMacLogsShowsBothFiles(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.want(0, "service logs", "There is no log in "+b.manager.names().logs)
	b.installed()
	out := filepath.Join(b.manager.names().logs, "collector.out.log")
	b.write(out, "one\ntwo\nthree\n", 0o644)
	b.want(0, "service logs -n 2", "==> "+out+" <==\ntwo\nthree\n", "starting")
	b.silentOn("one")
}

func TestMacLogsAreFollowedThroughTruncation(t *testing.T) {
	t.Parallel()
	b := mac(t).installed()
	log := filepath.Join(b.manager.names().logs, "collector.err.log")
	signals := make(chan os.Signal)
	said := &pipe{grown: make(chan string, 100)}
	b.app.signals, b.out.stdout = func(...os.Signal) <-chan os.Signal { return signals }, said
	ended := make(chan int)
	go func() {
		ended <- b.report(b.dispatch(context.Background(), []string{"service", "logs", "-f"}))
	}()
	wait := func(text string) {
		t.Helper()
		for end := time.After(5 * time.Second); !strings.Contains(said.text, text); {
			select {
			case more := <-said.grown:
				said.text += more
			case <-end:
				t.Fatalf("%q did not come:\n%s", text, said.text)
			}
		}
	}
	wait("starting\n")
	add := func(text string) {
		file, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = file.WriteString(text)
			file.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("a longer line that is added while it is followed\n")
	wait("followed\n")
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * b.timings.follow)
	add("after\n")
	wait("after\n")
	signals <- os.Interrupt
	if code := <-ended; code != 0 {
		t.Errorf("exit %d", code)
	}
}

// A pipe is a writer whose text another goroutine waits for.
type pipe struct {
	text  string
	grown chan string
}

func (p *pipe) Write(text []byte) (int, error) {
	p.grown <- string(text)
	return len(text), nil
}

func TestMacDashboardInstallsThenOpens(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.want(0, "dashboard --no-open", "installing + starting the background service", "healthy", "http://127.0.0.1:"+b.env[httpPortEnv])
	b.wantCalls(b.starts()...)
	b.want(0, "dashboard --no-open", "http://127.0.0.1:"+b.env[httpPortEnv])
	b.wantCalls()
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

func TestMacPortHeldByTheEditorsCollectorIsRefused(t *testing.T) {
	t.Parallel()
	b := mac(t)
	b.foreign(defaultWSPort, "node /x/mcp-server/dist/index.js")
	b.want(1, "service install", "port 6767 is held by PID 666", "the collector inside your editor's plugin", "quit the editor")
	b.wantCalls()
	if files := b.files(); len(files) != 0 {
		t.Errorf("files: %v", files)
	}
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
