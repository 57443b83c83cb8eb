// Stories of the wait for the collector: what counts as up, what does not, and how each other end is told.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestACrashIsToldAtOnceAndHow(t *testing.T) {
	for _, c := range []struct{ behave, systemd, launchd string }{
		{"crash 3", "✗ The collector exited with status 3 before it was ready", "✗ The collector exited with status 3 before it was ready"},
		{"signal 9", "✗ The collector was killed by SIGKILL before it was ready", "✗ The collector was killed by SIGKILL before it was ready"},
		{"signal 11", "✗ The collector was killed by SIGSEGV before it was ready", "✗ The collector was killed by SIGSEGV before it was ready"},
		{"exit 0", "✗ The collector exited with status 0 before it was ready", "✗ The collector exited with status 0 before it was ready"},
		{"gave up 3", "✗ The collector exited with status 3 before it was ready", ""},
		{"crash 203", "✗ The collector could not be run: status 203/EXEC", ""},
	} {
		t.Run(c.behave, func(t *testing.T) {
			eachQuick(t, func(t *testing.T, b *bench) {
				says := b.on(c.systemd, c.launchd)
				if says == "" {
					return
				}
				b.behaves(c.behave)
				b.want(1, "service install --timeout 1h", "✓ Wrote "+b.manager.names().path, says, map[bool]string{false: "It logged:", true: "It logged nothing"}[c.behave == "crash 203"],
					"The service stays installed.", "See: runtimescope service status")
				if b.read(b.manager.names().path) == "" {
					t.Error("the definition is gone")
				}
				b.want(1, "service restart", says)
				b.silentOn("✓")
			})
		})
	}
}

func TestWaitWaitsForTheServiceAsItIs(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.want(1, "service wait", "✗ Service not installed. Run: runtimescope service install")
		b.installed()
		b.want(0, "service wait", "✓ Collector is healthy and serving on "+collectorURL(b.httpPort()))
		b.unready = b.probes + 5
		b.want(0, "service wait --timeout 1h", "Waiting for collector to come up…", "✓ Collector is healthy")
		b.unready = 1 << 30
		b.want(1, "service wait --timeout 0.1", "✗ Collector did not respond on /readyz within 0.1s.")
		b.want(0, "service stop")
		before := b.everything()
		b.want(1, "service wait --timeout 1h", "✗ the service is not running: stopped", "Fix: runtimescope service start")
		if got := b.json(1, "service wait --json"); got["state"] != "stopped" || got["error"].(map[string]any)["id"] != "stopped" {
			t.Errorf("it says %v", got)
		}
		same(t, "wait changed", b.everything(), before)
		b.unready = 0
		b.behaves("crash 3")
		b.want(1, "service restart")
		b.want(1, "service wait --timeout 0.1", "✗ Collector did not respond on /readyz within 0.1s.")
		if b.on("systemd", "launchd") == "systemd" {
			b.behaves("gave up 3")
			b.want(1, "service restart")
			b.want(1, "service wait --timeout 1h", "✗ the service is not running: failed, last exit status 3")
		}
	})
}

func TestWhatTheManagerDoesNextIsTold(t *testing.T) {
	t.Parallel()
	for says, behave := range map[string]string{
		"systemd restarts it after 5s":                   "crash 3",
		"systemd does not restart it after a clean exit": "exit 0",
		"systemd gave up after 5 restarts":               "gave up 3",
		"launchd restarts it, at most once":              "crash 3",
		"launchd does not restart it after a clean exit": "exit 0",
	} {
		b := newBench(t, says[:len("systemd")]).quick()
		b.behaves(behave)
		b.want(1, "service install", says)
	}
}

func TestOnlyTheLinesOfThisStartAreShown(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.behaves("crash 1")
		b.want(1, "service install", "fatal: told to crash 1")
		b.behaves("crash 2")
		b.want(1, "service restart", "fatal: told to crash 2")
		b.silentOn("crash 1")
	})
}

func TestACrashAfterItWasSeenRunningIsTold(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.behaves("crash later 4")
		b.unready = 1 << 30
		b.want(1, "service install --timeout 1h", "✗ The collector exited with status 4 before it was ready", "told to crash later 4")
	})
}

func TestReadyAfterServiceUnavailable(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.unready = 7
		b.want(0, "service install", "✓ Collector is healthy")
		if b.probes < 8 {
			t.Errorf("it asked %d times", b.probes)
		}
	})
}

func TestTheManagerIsAskedWhenSomethingHasHappened(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.timings.look = time.Hour
		b.unready = 3
		b.want(0, "service install", "✓ Collector is healthy")
		dead := false
		b.alive = func(pid int) bool {
			if pid == 0 {
				t.Error("it looks whether no process is alive")
			}
			return !dead
		}
		count := 0
		b.app.run = hooked{b.app.run, func(_ []string, run func() (string, error)) (string, error) {
			count++
			return run()
		}}
		b.mu.Lock()
		b.unready = 1 << 30
		b.mu.Unlock()
		b.want(1, "service restart --timeout 150ms", "✗ Collector did not respond on /readyz within 0.15s.", "HTTP 503")
		if count > 15 {
			t.Errorf("%d commands were run though nothing happened", count)
		}
		dead = true
		b.behaves("crash later 4")
		b.want(1, "service restart --timeout 1h", "✗ The collector exited with status 4 before it was ready")
	})
}

func TestAManagerThatDoesNotAnswerForAMomentIsAskedAgain(t *testing.T) {
	b := onSystemd(t)
	b.installed()
	b.timings.look, b.timings.grace = time.Millisecond, time.Hour
	changed, deaf := false, 3 // to so many questions after the first change
	b.app.run = hooked{b.app.run, func(argv []string, run func() (string, error)) (string, error) {
		if changed = changed || changesSomething(argv); changed && readsOnly(argv) && deaf > 0 {
			deaf--
			return "", &commandError{argv: argv, code: 1, stderr: "the manager is busy"}
		}
		return run()
	}}
	b.want(0, "service restart", "✓ Collector is healthy")
	same(t, "", deaf, 0)
	b.timings.grace, changed, deaf = 10*time.Millisecond, false, 1<<30
	start := time.Now()
	b.want(1, "service restart --timeout 1h", "✗ "+b.page()+"/readyz answers, but could not check whether that is the service: ", "the manager is busy")
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

func TestNotReadyInTimeIsAFailure(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.unready = 1 << 30
		start := time.Now()
		b.want(1, "service install --timeout 300ms", "✗ Collector did not respond on /readyz within 0.3s.", "HTTP 503",
			"and stays installed", "See: runtimescope service status")
		if took := time.Since(start); took < 300*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		if strings.Contains(b.stdout.String(), "✓ Collector") || b.fakeState().PID == 0 {
			t.Errorf("PID %d\n%s", b.fakeState().PID, b.stdout.String())
		}
		b.behaves("silent")
		b.want(1, "service restart --timeout 200ms", "✗ Collector did not respond on /readyz within 0.2s.")
		b.silentOn("✓")
	})
}

func TestAnAnswerThatIsNotTwoHundredIsNotHealth(t *testing.T) {
	for _, code := range []int{301, 302, 404, 500} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			eachQuick(t, func(t *testing.T, b *bench) {
				b.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Location", "/healthz")
					if r.URL.Path == "/readyz" {
						w.WriteHeader(code)
					}
				})
				b.want(1, "service install --timeout 100ms", fmt.Sprintf("HTTP %d", code))
			})
		})
	}
}

func TestAnotherProcessThatAnswersIsNotTheService(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.behaves("silent") // it never binds, and then somebody else does
		b.unready = 0
		b.want(0, "service stop")
		b.before(changesSomething, func() { b.foreign(b.httpPort(), "python3 -m http.server") })
		b.want(1, "service restart --timeout 1h", "✗ port "+fmt.Sprint(b.httpPort())+" is held by PID 666 (python3 -m http.server)")
		b.silentOn("✓")
	})
}

func TestACollectorThatFindsItsPortTakenIsHeardBeforeWhoHasIt(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.want(0, "service stop")
		b.behaves("crash later 3")
		b.timings.look, b.timings.grace = time.Millisecond, time.Hour
		b.before(changesSomething, func() { b.foreign(b.httpPort(), "python3 -m http.server") })
		b.want(1, "service restart --timeout 1h", "✗ The collector exited with status 3 before it was ready")
	})
}

func TestAnAnswerWhoseOwnerCannotBeFoundOutIsUnverified(t *testing.T) {
	b := onSystemd(t)
	b.processes = procfs{root: b.fake.path("nowhere")}
	b.want(0, "service install", "⚠ Collector is healthy and serving on "+collectorURL(b.httpPort())+" — unverified: ")
	b.silentOn("✓ Collector")
	b.want(0, "service status", "unverified: ")
}

func TestASignalWhileWaitingLeavesTheServiceAsItIs(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.unready = 1 << 30
		for _, args := range []string{"service install", "service restart"} {
			signals := make(chan os.Signal, 1)
			b.signals = func(...os.Signal) <-chan os.Signal { return signals }
			seen := make(chan bool)
			b.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case seen <- true:
				default:
				}
				b.answer(w, r)
			})
			go func() {
				<-seen
				signals <- os.Interrupt
			}()
			b.want(130, args, "✗ Interrupted. The service is left as it is. See: runtimescope service status")
			if b.fakeState().PID == 0 || b.read(b.manager.names().path) == "" {
				t.Errorf("%s: PID %d, definition %q", args, b.fakeState().PID, b.read(b.manager.names().path))
			}
		}
	})
}

// An interruptedRunner runs commands that a signal ends, which we get, too.
type interruptedRunner struct {
	Runner
	signals chan os.Signal
}

func (r interruptedRunner) Run(ctx context.Context, argv ...string) (string, error) {
	select {
	case r.signals <- os.Interrupt:
	default:
	}
	<-ctx.Done()
	return "", &commandError{argv: argv, code: -1, cause: ctx.Err()}
}

func TestASignalDuringTheFirstLookIsAnInterruption(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		before := b.everything()
		for _, verb := range []string{"install", "update", "restart", "stop", "uninstall", "status", "wait", "doctor"} {
			one := b.another()
			r := interruptedRunner{one.run, make(chan os.Signal, 1)}
			one.run, one.signals = r, func(...os.Signal) <-chan os.Signal { return r.signals }
			one.want(130, "service "+verb, "✗ Interrupted. The service is left as it is. See: runtimescope service status")
		}
		same(t, "it changed", b.everything(), before)
	})
}

func TestTheHealthOfAServiceOnItsOwnPortIsFoundFromAnotherShell(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		port := b.env[httpPortEnv]
		if !strings.Contains(b.read(b.manager.names().path), port) {
			t.Errorf("the definition does not have the port:\n%s", b.read(b.manager.names().path))
		}
		delete(b.env, httpPortEnv)
		healthy := "Collector is healthy and serving on http://127.0.0.1:" + port
		for _, args := range []string{"service status", "service restart", "service install", "service start"} {
			b.want(0, args, healthy)
		}
		b.want(0, "service update", "Already up to date")
		b.want(0, "dashboard --no-open", "http://127.0.0.1:"+port)
		if !strings.Contains(b.read(b.manager.names().path), port) {
			t.Errorf("the port was lost:\n%s", b.read(b.manager.names().path))
		}
	})
}

func TestNoOtherVariableGetsIntoTheDefinition(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.env["RUNTIMESCOPE_API_KEY"], b.env["PATH"], b.env[wsPortEnv] = "hush-hush", "/secret/path", "7001"
		b.want(0, "service install")
		text := b.read(b.manager.names().path)
		if strings.Contains(text, "hush-hush") || strings.Contains(text, "/secret/path") || !strings.Contains(text, "7001") {
			t.Errorf("the definition is\n%s", text)
		}
	})
}
