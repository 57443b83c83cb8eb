// Many commands at the same time on one machine: each ends in a result of its own, none fails for the others' sake.
package main

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// together runs a command n times at once and returns what each said.
func (b *bench) together(n int, args ...string) (codes []int, said []string) {
	b.t.Helper()
	var wait sync.WaitGroup
	codes, said = make([]int, n), make([]string, n)
	for i := range n {
		one := b.another()
		one.app.run = hooked{b.app.run, func(_ []string, run func() (string, error)) (string, error) {
			time.Sleep(3 * time.Millisecond) // as real commands take their time, so that they do meet
			return run()
		}}
		wait.Add(1)
		go func() {
			defer wait.Done()
			codes[i] = one.runs(args...)
			said[i] = one.stdout.String() + one.stderr.String()
		}()
	}
	wait.Wait()
	return codes, said
}

func TestTwentyDashboardsAtOnceStartOneCollector(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		codes, said := b.together(20, "dashboard", "--no-open")
		for i, code := range codes {
			if code != 0 || !strings.Contains(said[i], collectorURL(b.httpPort())) {
				t.Errorf("number %d: exit %d\n%s", i, code, said[i])
			}
		}
		starts := 0
		for _, call := range b.calls() {
			if strings.Contains(call, "enable --now") || strings.Contains(call, "bootstrap") || strings.Contains(call, "restart") {
				starts++
			}
		}
		same(t, "the collector was started", starts, 1)
		if s := b.fakeState(); s.Restarts != 0 || s.PID == 0 {
			t.Errorf("PID %d, %d restarts", s.PID, s.Restarts)
		}
		for _, name := range b.files() {
			if strings.HasSuffix(name, temporary) || strings.Contains(name, ".bak") || strings.Contains(name, "lock") {
				t.Errorf("left is %s", name)
			}
		}
	})
}

func TestTenRestartsAtOnceAllSucceed(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		for verb, says := range map[string]string{"install": "✓ Collector is healthy", "restart": "✓ Service restarted"} {
			b.want(0, "service install")
			codes, said := b.together(10, "service", verb)
			for i, code := range codes {
				if code != 0 || !strings.Contains(said[i], says) {
					t.Errorf("number %d: exit %d\n%s", i, code, said[i])
				}
			}
			if s := b.fakeState(); s.PID == 0 || s.Active == "failed" {
				t.Errorf("it ended %s, PID %d", s.Active, s.PID)
			}
			for _, name := range b.files() {
				if strings.HasSuffix(name, temporary) || strings.Contains(name, ".bak") {
					t.Errorf("left is %s", name)
				}
			}
			b.want(0, "service uninstall")
		}
	})
}

func TestInstallsAndUninstallsAtOnceEndInOneOfTheirResults(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		var wait sync.WaitGroup
		for _, args := range []string{"install", "uninstall", "restart", "stop", "install", "uninstall", "status", "doctor"} {
			one := b.another()
			wait.Add(1)
			go func() {
				defer wait.Done()
				code := one.runs("service", args)
				told := strings.Contains(one.stderr.String(), notInstalledText) || strings.Contains(one.stderr.String(), "✗ Another command ")
				if code != 0 && !told && args != "doctor" {
					t.Errorf("%s: exit %d\n%s%s", args, code, one.stdout.String(), one.stderr.String())
				}
			}()
		}
		wait.Wait()
		_, err := os.Stat(b.manager.names().path)
		if s := b.fakeState(); err != nil && s.PID != 0 {
			t.Errorf("nothing installed, and PID %d runs", s.PID)
		}
		b.want(0, "service uninstall")
		b.want(0, "service uninstall", "Service is not installed.")
	})
}

func TestACommandThatWaitsForAnotherCanBeInterrupted(t *testing.T) {
	b := onSystemd(t).installed()
	unlock := need(b.lock(t.Context(), func() {}))(t)
	defer unlock()
	for _, verb := range []string{"restart", "stop", "uninstall"} {
		signals := make(chan os.Signal, 1)
		signals <- os.Interrupt
		b.signals = func(...os.Signal) <-chan os.Signal { return signals }
		b.want(130, "service "+verb, "✗ Interrupted.")
		b.wantCalls()
	}
}

func TestWhoWaitsSaysThatAnotherCommandStoppedTheService(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		for _, verb := range []string{"stop", "uninstall"} {
			b.behaves("silent")
			one, ended := b.another(), make(chan int)
			one.commandLine = "one"
			go func() { ended <- one.runs("service", "install") }()
			for b.fakeState().PID == 0 {
				time.Sleep(time.Millisecond)
			}
			b.want(0, "service "+verb)
			if code := <-ended; code != 1 || !strings.Contains(one.stderr.String(), "✗ Another command ") {
				t.Errorf("%s: exit %d\n%s", verb, code, one.stderr.String())
			}
		}
	})
}
