// Stories of a step that fails: what was done before it is taken back, and the manager is told.
package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
