// Stories of run: the collector as a child in the foreground. The child is this test binary under the collector's name.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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

// foregroundOf starts a run whose collector behaves as told, after the last preparations.
func foregroundOf(t *testing.T, behave string, last ...func(*foregroundRun, *bench)) *foregroundRun {
	t.Helper()
	needsSignals(t)
	b := newBench(t, "") // as in a container
	b.standIn(behave)
	self := need(os.Executable())(t)
	os.Remove(b.collector())
	link(t, self, b.collector())
	r := &foregroundRun{t: t, out: &sharedBuffer{}, signals: make(chan os.Signal, 4), code: make(chan int, 1)}
	for _, key := range []string{wsPortEnv, httpPortEnv} {
		r.port = freePort(t)
		b.env[key] = fmt.Sprint(r.port)
	}
	b.processes = procfs{root: "/proc"}
	b.out, b.signals = printer{stdout: r.out, stderr: r.out}, func(...os.Signal) <-chan os.Signal { return r.signals }
	for _, prepare := range last {
		prepare(r, b)
	}
	go func() { r.code <- b.report(b.dispatch(context.Background(), []string{"service", "run"})) }()
	return r
}

// says waits until the run has said a text n times.
func (r *foregroundRun) says(n int, text string) {
	r.t.Helper()
	until(r.t, func() bool { return strings.Count(r.out.String(), text) >= n }, func() string {
		r.signals <- os.Kill
		return fmt.Sprintf("it does not say %q %d times:\n%s", text, n, r.out.String())
	})
}

// ends waits for the exit status.
func (r *foregroundRun) ends(want int) {
	r.t.Helper()
	until(r.t, func() bool { return len(r.code) > 0 }, func() string { return "it does not end:\n" + r.out.String() })
	code, said := <-r.code, r.out.String()
	if code != want {
		r.t.Errorf("exit %d, want %d\n%s", code, want, said)
	}
	if strings.Contains(said, "✗") != (want == 1) { // all other ends were asked for, or no failure
		r.t.Errorf("exit %d does not go with the words:\n%s", code, said)
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
	r.says(1, "⚠ the collector exited with status 3; restarting in ")
	r.says(1, "Collector is healthy and serving on")
	r.signals <- syscall.SIGTERM
	r.ends(0)
}

func TestRunBetweenTwoStartsEndsWithTheStatusOfTheLast(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "exit 7", func(_ *foregroundRun, b *bench) { b.timings.restart = time.Minute })
	r.says(1, "⚠ the collector exited with status 7; restarting in 1m 0s")
	r.signals <- syscall.SIGTERM
	r.ends(7)
}

func TestRunKillsACollectorThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "deaf", func(_ *foregroundRun, b *bench) { b.timings.kill = time.Millisecond })
	r.says(1, "Collector is healthy and serving on")
	r.signals <- syscall.SIGTERM
	r.says(1, "⚠ The collector did not exit within ")
	r.ends(137)
}

func TestRunTellsByWhichSignalTheCollectorEnded(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "")
	r.says(1, "Collector is healthy and serving on")
	r.says(1, " starting\n")
	_, said, _ := strings.Cut(r.out.String(), "stand-in ")
	pid, _ := strconv.Atoi(strings.Fields(said)[0])
	collector := need(os.FindProcess(pid))(t)
	collector.Kill()
	r.says(1, "⚠ the collector was killed by SIGKILL; restarting in ")
	r.says(2, "Collector is healthy and serving on")
	r.signals <- syscall.SIGTERM
	r.ends(0)
}

func TestRunSaysWhenTheCollectorIsLate(t *testing.T) {
	t.Parallel()
	ownByteOrder(t) // or its sockets seem to be elsewhere
	var orders string
	r := foregroundOf(t, "late", func(_ *foregroundRun, b *bench) {
		b.timings.late, orders = time.Millisecond, filepath.Join(filepath.Dir(b.collector()), "standin")
	})
	r.says(1, fmt.Sprintf("⚠ The collector is not ready on http://127.0.0.1:%d: connection refused", r.port))
	os.Remove(orders)
	r.says(1, "Collector is healthy and serving on")
	r.signals <- syscall.SIGTERM
	r.ends(0)
}

func TestRunSaysThatACollectorCannotBeAsked(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("whose socket it is can be told by /proc alone here")
	}
	ownByteOrder(t)
	for why, c := range map[string]struct {
		behave string
		late   time.Duration
		env    []string
	}{
		"it uses TLS (RUNTIMESCOPE_TLS_CERT)": {"", time.Hour, []string{certEnv + "=/c", keyEnv + "=/k"}},
		"it does not listen on 127.0.0.1":     {"elsewhere", time.Second, nil},
	} {
		r := foregroundOf(t, c.behave, func(_ *foregroundRun, b *bench) {
			b.timings.late, b.environ = c.late, append(os.Environ(), c.env...)
		})
		r.says(1, "⚠ Collector is running; readiness cannot be checked: "+why)
		r.signals <- syscall.SIGTERM
		r.ends(0)
	}
}

func TestRunSaysWhyTheCollectorCannotBeStarted(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "", func(_ *foregroundRun, b *bench) {
		os.Remove(b.collector())
		b.write(b.collector(), "#!/nowhere/sh\n", 0o755)
	})
	r.ends(1)
	r.says(1, ": its interpreter /nowhere/sh is missing")
}

func TestRunPassesOnEverySignalThatEnds(t *testing.T) {
	t.Parallel()
	caught, also := make(chan os.Signal), []os.Signal{}
	w := &app{signals: func(more ...os.Signal) <-chan os.Signal {
		also = append(also, more...)
		return caught
	}}
	stop, goOn := jobSignals()
	endings := w.endings()
	for _, signal := range []os.Signal{syscall.SIGPIPE, os.Interrupt, syscall.SIGHUP, syscall.SIGPIPE, stop, syscall.SIGQUIT, goOn, syscall.SIGTERM} {
		caught <- signal
	}
	for _, want := range []os.Signal{os.Interrupt, syscall.SIGTERM, stop, syscall.SIGTERM, goOn, syscall.SIGTERM} {
		same(t, "", <-endings, want)
	}
	same(t, "it catches", also, []os.Signal{syscall.SIGQUIT, syscall.SIGPIPE, stop, goOn})
}

// A brokenPipe is an output that nobody reads.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestRunEndsItsCollectorWhenNobodyReadsItsOutput(t *testing.T) {
	t.Parallel()
	r := foregroundOf(t, "", func(r *foregroundRun, b *bench) { b.out.stdout = brokenPipe{} })
	r.ends(0)
	r.says(1, "stopped")
}

func TestRunRefusesAPortThatIsTaken(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.foreign(b.httpPort(), "python3 -m http.server")
		b.refused("service run", "✗ port "+fmt.Sprint(b.httpPort())+" is held by PID 666 (python3 -m http.server)")
	})
}

func TestRunSaysThatTheServiceHasThePort(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.refused("service run", "✗ the service is already running (PID ", "and holds the ports", "Fix: runtimescope service stop")
		elsewhere := freePort(t)
		b.foreign(elsewhere, "python3 -m http.server")
		b.env[httpPortEnv] = fmt.Sprint(elsewhere)
		b.refused("service run", fmt.Sprintf("✗ port %d is held by PID 666", elsewhere))
		b.silentOn("the service is running")
	})
}

// unreadable are processes of which nothing is known, as without /proc, or on a system that is not asked.
type unreadable struct{ procfs }

func (unreadable) holders(context.Context, int) (func(int) []holder, error) { return nil, errPlanDisk }

// chosen is an app on this very system.
func chosen() *app {
	a := &app{getenv: func(string) string { return "" }}
	a.choose()
	return a
}

func TestRunRefusesAPortThatIsTakenByWhomeverAndGoesWithoutKnowingWhoHoldsIt(t *testing.T) {
	t.Parallel()
	for _, key := range []string{httpPortEnv, wsPortEnv} {
		listener := need(net.Listen("tcp4", "127.0.0.1:0"))(t)
		defer listener.Close()
		r := foregroundOf(t, "", func(_ *foregroundRun, b *bench) {
			b.processes, b.unbound = unreadable{}, chosen().unbound
			b.env[key] = fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
		})
		r.ends(1)
		r.says(1, fmt.Sprintf("✗ port %d cannot be bound: ", listener.Addr().(*net.TCPAddr).Port))
		r.says(1, "set "+key+" to another port")
	}
	r := foregroundOf(t, "", func(_ *foregroundRun, b *bench) { b.processes = unreadable{} })
	r.says(1, "Collector is healthy and serving on")
	r.signals <- syscall.SIGTERM
	r.ends(0)
}

func TestTheCollectorEndsWithTheRunThatStartedItHoweverThatEnds(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		t.Skip("no system but Linux and Windows binds a child to its parent")
	}
	dir, ports := t.TempDir(), []int{freePort(t), freePort(t)}
	self := need(os.Executable())(t)
	program := filepath.Join(dir, programFile("runtimescope"))
	link(t, self, program)
	link(t, self, filepath.Join(dir, programFile(collectorName)))
	cmd := exec.Command(program, "service", "run")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", fakeFolderEnv+"="+dir, fmt.Sprintf("%s=%d", httpPortEnv, ports[0]), fmt.Sprintf("%s=%d", wsPortEnv, ports[1]))
	out := &sharedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	answers := func() bool {
		conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", ports[1]))
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	until(t, func() bool { return strings.Contains(out.String(), "Collector is healthy") && answers() }, func() string { return "it is not healthy:\n" + out.String() })
	if text := out.String(); runtime.GOOS == "windows" && strings.Contains(text, "/proc") {
		t.Errorf("it speaks of what is not there:\n%s", text)
	}
	second := exec.Command(program, "service", "run")
	second.Env = cmd.Env
	if said, err := second.CombinedOutput(); err == nil || !strings.Contains(string(said), fmt.Sprintf("✗ port %d ", ports[0])) || strings.Contains(string(said), "starting") {
		t.Errorf("a second one: %v, %s", err, said)
	}
	must(t, cmd.Process.Kill())
	until(t, func() bool { return !answers() }, func() string { return "the collector lives on" })
	cmd.Wait()
}
