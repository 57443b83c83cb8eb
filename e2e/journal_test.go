// End-to-end tests of how a failure is told: by systemd's own words, and by the log of that very start.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needsJournal ends a test that is about the journal where this user cannot read it.
func (e *e2e) needsJournal() {
	e.t.Helper()
	if !e.journal() {
		e.t.Skip("this user cannot read the journal: run as root by .ci/as-user, or join the group systemd-journal")
	}
}

func TestE2EWhyNothingWasStartedIsSaidInSystemdsWords(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.needsJournal()
	for dropIn, text := range map[string]string{
		"User=nobody":                   "Failed at step GROUP spawning " + e.collector + ": Operation not permitted",
		"NetworkNamespacePath=/nowhere": "Failed at step NETWORK spawning " + e.collector + ": No such file or directory",
		"WorkingDirectory=/nowhere":     "Failed at step CHDIR spawning " + e.collector + ": No such file or directory",
	} {
		e.dropIn("[Service]\n" + dropIn + "\n")
		e.exits(1, "service install").says("✗ The collector was not started: status ", text).saysNot("could not be run", "CPU architecture")
	}
	e.ok(os.Remove(e.unit + ".d/x.conf"))
	busy, err := os.OpenFile(e.collector, os.O_WRONLY, 0)
	e.ok(err)
	e.exits(1, "service install").says("✗ The collector could not be run: status 203/EXEC: Failed at step EXEC spawning " + e.collector + ": Text file busy").saysNot("CPU architecture")
	e.exits(1, "service doctor").saysNot("CPU architecture")
	e.ok(busy.Close())
	e.exits(0, "service install")
}

func TestE2EAStatusOfTheCollectorsOwnIsNotSystemds(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	for _, code := range []string{"203", "216"} {
		e.standin("STANDIN_EXIT=" + code)
		r := e.exits(1, "service install")
		if e.journal() {
			r.says("✗ The collector exited with status "+code+" before", "Fatal error: told to exit with "+code).saysNot("could not be run", "EXEC", "GROUP")
		}
	}
}

func TestE2EAFileThatOnlyThisNamespaceHasIsNotSeenBySystemd(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.needsJournal()
	if !e.mayUseNamespaces() {
		t.Skip("this system lets users make no mount namespaces")
	}
	e.mkdir(e.home + "/box")
	e.prefix = inNamespace(fmt.Sprintf("mount -t tmpfs none %s/box && cp %s %[1]s/box/", e.home, e.collector))
	program := e.home + "/box/collector-server"
	e.exits(1, "service install --collector "+program).says("systemd does not see this file: Failed at step EXEC spawning " + program + ": No such file").saysNot("CPU architecture")
}

func TestE2EAConditionThatFailsOnRestartIsNamedWithoutTheLogOfTheOldStart(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.exits(0, "service install")
	e.dropIn("[Unit]\nConditionPathExists=/nowhere\nConditionPathExists=/\n")
	r := e.exits(1, "service restart").says("a condition of its unit is not met").saysNot("exited with", "Collector stopped")
	if said, _ := e.tool("journalctl", "--no-pager", "--lines=50", "--output=cat", fmt.Sprint("_UID=", os.Getuid())); strings.Contains(said, " unmet condition check ") {
		r.says("✗ The collector was not started: a condition of its unit is not met: ConditionPathExists=/nowhere\n")
	} else if e.journal() { // 247 does not say which
		r.says("✗ The collector was not started: a condition of its unit is not met. See: systemctl --user status runtimescope.service\n")
	}
	e.agrees("stopped")
}

func TestE2ETheLogOfACrashIsWhole(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.needsJournal()
	for script, texts := range map[string][]string{
		"seq -f 'line %g of the burst' 5000":                     {"  the last word"},
		"head -c 5000 /dev/zero | tr '\\0' x; echo":              {"  xxxxxxxxxx"},
		"seq -f 'line %g' 40; echo Error: y; seq -f ' at %g' 19": {"  Error: y\n", "\n     at 19\n"},
	} {
		e.write(e.collector, "#!/bin/sh\n"+script+"\necho the last word, fatal\nexit 3\n", 0o755)
		e.exits(1, "service install").says(append(texts, "✗ The collector exited with status 3")...)
	}
}

func TestE2EOneKillIsNoCrashLoop(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.exits(0, "service install")
	e.kill(e.serves())
	e.until("systemd knows", func() bool { return e.show("ActiveState") == "activating" })
	e.exits(0, "service status").says("failed once (SIGKILL), restarts in 5s").saysNot("crash-looping")
	e.agrees("crash-looping")
	e.until("it is back", func() bool { return e.show("ActiveState") == "active" && e.answers() })
	if e.journal() {
		e.exits(0, "service status").says("⚠ Restarted 1 time after it failed", "Last failure: SIGKILL, ", " ago")
	}
}

func TestE2EOutputThatGoesToAFileIsNamed(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.exits(0, "service install")
	e.exits(0, "service stop")
	log := e.home + "/a log"
	e.dropIn("[Service]\nStandardOutput=append:%h/a log\nStandardError=inherit\n")
	e.exits(0, "service start")
	e.exits(0, "service status").says("Output goes to: " + log)
	e.exits(0, "service logs").says("⚠ The unit sends output to " + log + ", not to the journal")
	e.standin("STANDIN_EXIT=3")
	e.exits(1, "service restart").says("✗ The collector exited with status 3", "It logs to "+log+".").saysNot("It logged:")
}

func TestE2EAStartOfWhichTheJournalHasNoLineIsCalledThat(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.needsJournal()
	e.exits(0, "service install")
	e.dropIn("[Service]\nStandardOutput=null\nStandardError=null\n")
	e.systemctl("daemon-reload")
	e.exits(0, "service restart")
	e.exits(0, "service logs").says("⚠ The unit sends output to /dev/null, not to the journal", "Collector stopped")
	e.standin("STANDIN_EXIT=3")
	e.exits(1, "service restart").says("It logs to /dev/null.")
}

func TestE2EWhatTheShellSetsForSystemdsToolsDoesNotReachThem(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	for _, word := range []string{"SYSTEMD_COLORS=1", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_PAGER=false", "PAGER=false", "LESS=x", "LD_PRELOAD=/nowhere.so"} {
		key, value, _ := strings.Cut(word, "=")
		e.env[key] = value
	}
	journalctl, err := exec.LookPath("journalctl")
	e.ok(err)
	e.write(filepath.Join(e.home, "record/journalctl"), "#!/bin/sh\nenv >\"${0%/*}/env\"\nexec "+journalctl+" \"$@\"\n", 0o755)
	e.standin("STANDIN_EXIT=3")
	r := e.exits(1, "service install").says("✗ The collector exited with status 3").saysNot("debug")
	if e.journal() {
		r.says("Fatal error: told to exit with 3")
	}
	text := e.read(filepath.Join(e.home, "record/env"))
	for _, name := range []string{"SYSTEMD_", "PAGER=", "LESS", "LD_"} {
		if strings.Contains("\n"+text, "\n"+name) {
			t.Errorf("journalctl got %s:\n%s", name, text)
		}
	}
	if !strings.Contains(text, "XDG_RUNTIME_DIR="+e.env["XDG_RUNTIME_DIR"]) {
		t.Errorf("it cannot find the manager:\n%s", text)
	}
	e.write(e.collector, "#!/bin/sh\necho \"<$LESS>\"\n", 0o755)
	e.exits(0, "service stop")
	delete(e.env, "LD_PRELOAD")
	e.exits(0, "service run").says("<x>")
}

func TestE2EOfManyDropInsTheBrokenOneIsNamed(t *testing.T) {
	t.Setenv("SYSTEMD_LOG_TARGET", "journal") // as in a login
	e := newE2E(t)
	e.needsJournal()
	e.exits(0, "service install")
	for i := range 30 {
		e.write(fmt.Sprintf("%s.d/%02d.conf", e.unit, i), "[Service]\nEnvironment=A=1\n", 0o644)
	}
	bad := e.unit + ".d/17.conf"
	e.write(bad, "[Service]\nExecStart=\nExecStart=not/absolute\n", 0o644)
	e.systemctl("daemon-reload")
	r := e.exits(1, "service install").says("systemd cannot load the unit", "Fix: edit or remove "+bad+"\n")
	if len(r.err) > 2000 {
		t.Errorf("%d bytes", len(r.err))
	}
	e.exits(0, "service status").says("Fix: edit or remove "+bad+"\n", "Starts at login: yes")
	e.ok(os.RemoveAll(e.unit + ".d"))
	e.write(e.unit, "\xff\xfe[\x00U\x00n\x00i\x00t\x00", 0o644)
	e.systemctl("daemon-reload")
	e.exits(0, "service status").says("systemd cannot load the unit", "Fix: runtimescope service install").saysNot("edit or remove", "Starts at login: no")
	e.exits(0, "service install").says("✓ Collector is healthy")
}
