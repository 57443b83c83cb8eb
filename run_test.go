// Stories of run: the collector as a child in the foreground. The child is this test binary under the collector's name.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A sharedBuffer takes what the program and its child say at the same time.
type sharedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A foregroundRun is a run in the making.
type foregroundRun struct {
	t       *testing.T
	out     *sharedBuffer
	signals chan os.Signal
	code    chan int
	port    int
}

// foregroundOf starts a run whose collector behaves as told.
func foregroundOf(t *testing.T, behave string) *foregroundRun {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("signals")
	}
	b := newBench(t, "systemd")
	b.manager = nil // as in a container
	b.standIn(behave)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(b.collector())
	link(t, self, b.collector())
	r := &foregroundRun{t: t, out: &sharedBuffer{}, signals: make(chan os.Signal, 4), code: make(chan int, 1)}
	for _, key := range []string{wsPortEnv, httpPortEnv} {
		r.port = freePort(t)
		b.env[key] = fmt.Sprint(r.port)
	}
	b.processes = procfs{root: "/proc"}
	b.say, b.signals = voice{stdout: r.out, stderr: r.out}, func(...os.Signal) <-chan os.Signal { return r.signals }
	b.pace.late = 20 * time.Second
	go func() { r.code <- b.report(b.dispatch(context.Background(), []string{"service", "run"})) }()
	return r
}

// says waits until the run has said a text n times.
func (r *foregroundRun) says(n int, text string) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); strings.Count(r.out.String(), text) < n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.signals <- os.Kill
			r.t.Fatalf("it does not say %q %d times:\n%s", text, n, r.out.String())
		}
	}
}

// ends waits for the exit status.
func (r *foregroundRun) ends(want int) {
	r.t.Helper()
	select {
	case code := <-r.code:
		if code != want {
			r.t.Errorf("exit %d, want %d\n%s", code, want, r.out.String())
		}
		if said := r.out.String(); strings.Contains(said, "✗") != (want != 0) {
			r.t.Errorf("exit %d does not go with the words:\n%s", code, said)
		}
	case <-time.After(20 * time.Second):
		r.t.Fatalf("it does not end:\n%s", r.out.String())
	}
}

func TestRunSaysWhenTheCollectorIsHealthyAndPassesSignalsOn(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		r := foregroundOf(t, "")
		r.says(1, fmt.Sprintf("Collector is healthy and serving on http://127.0.0.1:%d", r.port))
		r.says(1, "stand-in") // its output is passed through
		r.signals <- signal
		if signal == os.Interrupt {
			r.ends(130)
		} else {
			r.ends(0)
			r.says(1, "stopped")
		}
	}
}

func TestRunEndsWhenTheCollectorEndsCleanly(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "exit 0")
	r.ends(0)
	if text := r.out.String(); strings.Contains(text, "started again") {
		t.Errorf("it started it again:\n%s", text)
	}
}

func TestRunStartsAFailedCollectorAgain(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "exit once 3")
	r.says(1, "⚠ the collector exited with status 3; it is started again in ")
	r.says(1, "Collector is healthy and serving on")
	r.signals <- syscall.SIGTERM
	r.ends(0)
}

func TestRunBetweenTwoStartsEndsWithTheStatusOfTheLast(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "exit 7")
	r.says(2, "⚠ the collector exited with status 7")
	r.signals <- syscall.SIGTERM
	r.ends(7)
}

func TestRunKillsACollectorThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "deaf")
	r.says(1, "Collector is healthy and serving on")
	r.signals <- syscall.SIGTERM
	r.says(1, "⚠ The collector has not ended within ")
	r.ends(137)
}

func TestRunRefusesAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		b.foreign(b.httpPort(), "python3 -m http.server")
		b.refused("service run", "✗ port "+fmt.Sprint(b.httpPort())+" is held by PID 666 (python3 -m http.server)")
	})
}
