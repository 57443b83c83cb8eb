// Stories of a step that fails: what was done before it is taken back, and the manager is told.
package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const takenBack = "Changes were rolled back."

func TestAnEnableThatFailsLeavesNothingOfAFreshInstall(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	b.plant(plant{Call: "systemctl --user enable", Code: 1, Stderr: "Failed to enable unit: Access denied\n"})
	b.want(1, "service install", "✗ systemctl --user enable --now runtimescope.service: exit status 1: Failed to enable unit: Access denied", takenBack)
	b.wantCalls("systemctl --user daemon-reload", "systemctl --user enable --now runtimescope.service",
		"systemctl --user disable --now runtimescope.service", "systemctl --user daemon-reload")
	if left := b.files(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
	if _, err := os.Stat(filepath.Join(b.home, ".config")); err == nil {
		t.Error("the folders that it made are left")
	}
	if strings.Contains(b.stdout.String(), "✓") {
		t.Errorf("a ✓ for what was taken back:\n%s", b.stdout.String())
	}
	b.want(0, "service install", "✓ Collector is healthy")
}

func TestADaemonReloadThatFailsIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	b.plant(plant{Call: "systemctl --user daemon-reload", Code: 1, Stderr: "Failed to reload daemon: Connection timed out\n"})
	b.want(1, "service install", "✗ systemctl --user daemon-reload: exit status 1: Failed to reload daemon: Connection timed out", takenBack)
	b.wantCalls("systemctl --user daemon-reload", "systemctl --user daemon-reload")
	if left := b.files(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestAWayBackThatFailsIsNotCalledDone(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	b.plant(plant{Call: "systemctl --user enable", Code: 1, Stderr: "no\n"},
		plant{Call: "systemctl --user disable", Code: 1, Stderr: "no way back\n"})
	b.want(1, "service install", "Some changes could not be rolled back: systemctl --user disable --now runtimescope.service: exit status 1: no way back")
	if strings.Contains(b.stderr.String(), takenBack) {
		t.Errorf("it says both:\n%s", b.stderr.String())
	}
}

func TestARestartThatFailsBringsTheOldDefinitionBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	edited := strings.Replace(b.read(b.manager.names().path), "256M", "1G", 1)
	b.write(b.manager.names().path, edited, 0o644)
	b.want(0, "service restart")
	b.calls()
	b.plant(plant{Call: "systemctl --user restart", Code: 1, Stderr: "Job for runtimescope.service failed because of unavailable resources or another system error.\n"})
	b.want(1, "service install", "unavailable resources", takenBack)
	if got := b.read(b.manager.names().path); got != edited {
		t.Errorf("the old unit is not back:\n%s", got)
	}
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

func TestABootstrapThatFailsBringsTheOldJobBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "launchd").quick().installed()
	edited := strings.Replace(b.read(b.manager.names().path), "268435456", "536870912", 1)
	b.write(b.manager.names().path, edited, 0o644)
	b.want(0, "service restart")
	b.plant(plant{Call: "launchctl bootstrap", Code: 5, Stderr: "Bootstrap failed: 5: Input/output error\n"})
	b.want(1, "service install", "Bootstrap failed: 5")
	if got := b.read(b.manager.names().path); got != edited {
		t.Errorf("the old plist is not back:\n%s", got)
	}
	if b.job() == nil || b.fakeState().PID == 0 {
		t.Errorf("the old job is not back: %+v", b.job())
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

func TestAStopThatIsRefusedIsAFailure(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.plant(plant{Call: b.on("systemctl --user stop", "launchctl bootout"), Code: 1, Stderr: "1: Operation not permitted\n"})
		b.want(1, "service stop", "1: Operation not permitted")
		if strings.Contains(b.stdout.String(), "✓") || b.fakeState().PID == 0 {
			t.Errorf("PID %d\n%s", b.fakeState().PID, b.stdout.String())
		}
	})
}

func TestAStopThatMayHaveHappenedIsNotCalledTakenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	b.plant(plant{Call: "systemctl --user stop", Code: 1, Stderr: "Failed to wait for response: Connection reset by peer\n", Also: true})
	b.want(1, "service stop", "Connection reset by peer")
	if strings.Contains(b.stderr.String(), "rolled back") {
		t.Errorf("it was running, is stopped, and yet:\n%s", b.stderr.String())
	}
}

func TestAFolderThatMayNotBeWrittenIsNamed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		// root writes everywhere; the fault test covers it
		b := newBench(t, "systemd").quick()
		b.write(filepath.Join(b.home, ".config"), "a file", 0o644)
		b.want(1, "service install", filepath.Join(b.home, ".config"))
		return
	}
	eachQuick(t, func(t *testing.T, b *bench) {
		dir := filepath.Dir(b.manager.names().path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		os.Chmod(dir, 0o555)
		defer os.Chmod(dir, 0o755)
		b.want(1, "service install", "permission denied", b.manager.names().path)
		if len(b.files()) != 0 {
			t.Errorf("left are %q", b.files())
		}
	})
}

func TestAPackagesUnitIsUsedAndNotCopied(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	text, err := b.manager.render(definition{b.collector(), ports{http: b.httpPort()}})
	if err != nil {
		t.Fatal(err)
	}
	b.fake.change(func(s *fakeState) { s.Vendor = text })
	b.want(0, "service status", "/usr/lib/systemd/user/runtimescope.service")
	b.want(0, "service install", "✓ Collector is healthy")
	if b.read(b.manager.names().path) != "" || strings.Contains(b.stdout.String(), "Wrote") {
		t.Errorf("it wrote a copy of the package's unit:\n%s", b.stdout.String())
	}
	b.want(0, "service uninstall", "/usr/lib/systemd/user/runtimescope.service came with a package and stays.")
	if s := b.fakeState(); s.PID != 0 || len(b.files()) != 0 {
		t.Errorf("PID %d, files %q", s.PID, b.files())
	}
}
