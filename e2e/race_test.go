// End-to-end tests of many commands at the same time, and of commands that are killed.
package e2e

import (
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
		if strings.HasPrefix(line, "/.config/") && (strings.Contains(line, temporary) || strings.Contains(line, ".bak")) {
			e.t.Errorf("stray file: %s", line)
		}
	}
}

func TestE2ETwentyDashboardsStartOneCollector(t *testing.T) {
	e := newE2E(t)
	for _, r := range e.atOnce(repeat(20, "dashboard --no-open")...) {
		if r.code != 0 {
			t.Errorf("%v", r)
		}
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
		if r.code != 0 {
			t.Errorf("%v", r)
		}
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
			if r.code != 0 && (r.args[1] != "stop" || !strings.Contains(r.err, "Service not installed")) {
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
