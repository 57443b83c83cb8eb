// End-to-end tests of many commands at the same time, and of commands that are killed.
package e2e

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// atOnce runs commands at the same time.
func (e *e2e) atOnce(lines ...string) []e2eResult {
	results := make([]e2eResult, len(lines))
	var wait sync.WaitGroup
	for i, line := range lines {
		wait.Add(1)
		go func() {
			defer wait.Done()
			results[i] = e.run(append([]string{filepath.Join(e.bin, "runtimescope")}, strings.Fields(line)...)...)
		}()
	}
	wait.Wait()
	return results
}

func repeat(n int, lines ...string) (all []string) {
	for range n {
		all = append(all, lines...)
	}
	return all
}

// temporary is in the name of a file that the program has not finished.
const temporary = ".runtimescope.tmp"

// tidy checks that beside the unit and its link no file is left.
func (e *e2e) tidy() {
	e.t.Helper()
	for _, line := range strings.Split(e.tree(), "\n") {
		if strings.HasPrefix(line, strings.TrimPrefix(e.config, e.home)+"/") && (strings.Contains(line, temporary) || strings.Contains(line, ".bak")) {
			e.t.Errorf("stray file: %s", line)
		}
	}
}

func TestE2ETwentyDashboardsStartOneCollector(t *testing.T) {
	e := newE2E(t)
	for _, r := range e.atOnce(repeat(20, "dashboard --no-open")...) {
		same(t, r, r.code, 0)
		r.says(e.url())
	}
	e.serves()
	e.agrees("running")
	e.tidy()
	starts := 0
	for _, call := range e.changes() {
		if strings.Contains(call, "restart") || strings.Contains(call, "enable") {
			starts++
		}
	}
	if starts != 1 || e.show("NRestarts") != "0" {
		t.Errorf("started %d times by us, %s times by systemd", starts, e.show("NRestarts"))
	}
	if logs := e.exits(0, "service logs"); e.journal() && strings.Count(logs.out, "collector... "+e.collector) != 1 {
		t.Errorf("not one collector: %v", logs)
	}
}

func TestE2ETenRestartsAtOnceAllSucceed(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	for _, r := range e.atOnce(repeat(10, "service restart")...) {
		same(t, r, r.code, 0)
	}
	e.serves()
	e.agrees("running")
	for range 7 { // also one after the other, faster than systemd's limit of five in ten seconds
		e.exits(0, "service restart")
	}
	e.serves()
}

func TestE2EInstallsAndUninstallsAtOnceEndInOneOfTheirResults(t *testing.T) {
	e := newE2E(t)
	for range 2 {
		for _, r := range e.atOnce(repeat(3, "service install", "service uninstall", "service stop", "dashboard --no-open")...) {
			if r.code != 0 && (r.args[1] != "stop" || !strings.Contains(r.err, "Service not installed")) && !strings.Contains(r.err, "✗ Another command ") && !strings.Contains(r.err, "stopped answering") {
				t.Errorf("failed only because another was at work: %v", r)
			}
		}
		e.tidy()
		if e.show("LoadState") == "not-found" {
			e.gone()
			e.agrees("not-installed")
			continue
		}
		e.read(e.unit)
		e.read(e.wants)
		if e.show("ActiveState") == "active" {
			e.serves()
			e.agrees("running")
		} else {
			e.stopped()
			e.agrees("stopped")
		}
	}
}

func TestE2EKilledInstallsLeaveNothingThatTheNextCannotMend(t *testing.T) {
	e := newE2E(t)
	for i := range 10 {
		moment := rand.N(400 * time.Millisecond)
		t.Logf("killed after %s", moment)
		cmd := exec.Command(filepath.Join(e.bin, "runtimescope"), "service", []string{"install", "install", "uninstall"}[i%3])
		cmd.Env = e.environ()
		e.ok(cmd.Start())
		time.Sleep(moment)
		cmd.Process.Kill()
		cmd.Wait()
	}
	e.exits(0, "service install")
	e.serves()
	e.agrees("running")
	e.exits(0, "service uninstall")
	e.gone()
}

// begins starts a command that goes on; ends waits for it and checks its exit status.
func (e *e2e) begins(args string) (ends func(code int) e2eResult) {
	e.t.Helper()
	cmd, r := e.command(append([]string{filepath.Join(e.bin, "runtimescope")}, strings.Fields(args)...)...)
	start := time.Now()
	e.ok(cmd.Start())
	return func(code int) e2eResult {
		e.t.Helper()
		got := e.result(cmd, r, start)
		if got.code != code {
			e.t.Fatalf("want exit %d: %v", code, got)
		}
		return got
	}
}

func TestE2EAStartHasTheTimeThatItsTimeoutGives(t *testing.T) {
	e := newE2E(t)
	e.dropIn("[Service]\nType=notify\n") // and the stand-in never notifies
	r := e.exits(1, "service install --timeout 2s").saysNot("rolled back", "did not respond").says("✗ The collector answers on "+e.url()+
		"/readyz, but systemd did not report the service as running within 2s", fmt.Sprintf("The service is activating (start) (PID %d)", e.pid()))
	if r.took < 2*time.Second || r.took > 9*time.Second || e.show("ActiveState") != "activating" {
		t.Errorf("%s after %s: %v", e.show("ActiveState"), r.took, r)
	}
	e.read(e.unit)
	e.exits(0, "service stop")

	e.dropIn("[Service]\nExecStartPre=/bin/sleep 3\n")
	if r := e.exits(0, "service start").says("✓ Service restarted"); r.took < 3*time.Second {
		t.Errorf("not waited for: %v", r)
	}
	e.dropIn("[Service]\nTimeoutStopSec=3\n") // to stop is no part of the start
	e.standin("STANDIN_DEAF=1")
	e.exits(0, "service restart")
	e.exits(0, "service restart --timeout 2500ms").says("✓ Service restarted")
}

func TestE2EWhoWaitsForHealthKeepsNobodyFromStopping(t *testing.T) {
	e := newE2E(t)
	e.systemctl("start", "default.target") // as at a login: what it refers to is not forgotten
	for _, c := range []struct{ dropIn, state string }{{"", "active"}, {"[Service]\nType=notify\n", "activating"}, {"[Service]\nExecStartPre=/bin/sleep 60\n", "activating"}} {
		e.dropIn(c.dropIn)
		e.standin("STANDIN_UNBOUND=1")
		for verb, did := range map[string]string{"stop": "stopped", "uninstall": "uninstalled"} {
			ends := e.begins("service install --timeout 35s")
			e.until("it is started", func() bool { return e.show("ActiveState") == c.state })
			if r := e.exits(0, "service "+verb); r.took > 20*time.Second {
				t.Errorf("it was kept waiting: %v", r)
			}
			ends(1).says("✗ Another command " + did + " the service before it was ready")
		}
	}
}

func TestE2EWhoWaitsForAStartTakesThatOfAnotherCommandForItsOwn(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_UNBOUND=1")
	first := e.begins("service install")
	e.until("it is started", func() bool { return e.show("ActiveState") == "active" })
	old := e.pid()
	second := e.begins("service restart")
	e.until("it is started again", func() bool { pid := e.pid(); return pid != 0 && pid != old })
	e.standin()
	e.systemctl("restart", "runtimescope.service")
	first(0).says("✓ Collector is healthy")
	second(0).says("✓ Service restarted")
	e.serves()
	e.kill(e.pid()) // but a crash is one
	e.standin("STANDIN_EXIT=3")
	e.exits(1, "service restart").says("exited with status 3")
}

func TestE2EAManagerThatExecutesItselfAnewIsAskedAgain(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	for range 20 {
		done := make(chan bool)
		go func() {
			defer close(done)
			e.tool("systemctl", "--user", "daemon-reexec")
		}()
		r := e.run(filepath.Join(e.bin, "runtimescope"), "service", "status", "--exit-code")
		<-done
		if r.code != 0 && !strings.Contains(r.err, "Failed to connect to bus: No such file") { // that of 247 has no socket for a moment
			t.Fatalf("the manager was not asked again: %v", r)
		}
		e.until("the manager is back", func() bool {
			out, _ := e.tool("systemctl", "--user", "is-system-running")
			return out == "running" || out == "degraded"
		})
	}
}
