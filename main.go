// Command runtimescope runs the RuntimeScope collector as a background service of your account.
//
// This file is the edge of the process: it builds the app from the operating system. It alone touches os.Args, os.Stdout,
// os.Getenv and os.Exit.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A app is all that one invocation sees of the machine. Only main builds one from the real process.
type app struct {
	out         printer
	getenv      func(string) string
	environ     []string // of this shell: what the collector that "run" starts gets; doctor shows names only
	home        string
	uid         int
	platform    string          // as the error for an unsupported system names it
	path        []string        // the folders of PATH
	executables func() []string // the names of this program
	commandLine string          // the command as it was given, for messages
	manager     serviceManager
	processes   processTable
	run         Runner
	disk        disk
	timings     timings
	alive       func(pid int) bool
	unbound     func(port int) error                     // why a port cannot be bound; nil where that cannot be tried
	signals     func(also ...os.Signal) <-chan os.Signal // catches those that end a program, and these, from now on
	// adopt makes orphans ours, where there is such a thing; see service_linux.go.
	adopt   func() (died <-chan os.Signal, strays func(keep, group int) []int)
	seen    *snapshot // by a command that prints it; nil in words
	planned *[]string // by a dry run with --json
	// locate is the manager with the folder that it reads definitions from, where this shell leaves that open; nil: it is known.
	locate func(context.Context, Runner) serviceManager
	// handOver becomes another program, or where that cannot be, runs it.
	handOver func(argv, env []string) (code int, err error)
	// lock keeps other invocations by this user from changing the service. Before it waits for one it calls first.
	lock func(ctx context.Context, first func()) (unlock func(), err error)
}

// timings are all durations that a test shortens.
type timings struct {
	answer      time.Duration // to a probe: the collector answers in a millisecond or not at all
	probe, slow time.Duration // between two probes, at first and after fast
	fast        time.Duration
	headStart   time.Duration // of the manager's command before status looks at all the rest
	look        time.Duration // between two questions to the manager while nothing happens
	grace       time.Duration // for what may be a passing state
	patience    time.Duration // with a command that starts the service, before the manager is asked how far it is
	journal     time.Duration // for journalctl to show its last lines
	follow      time.Duration // between two looks at a followed file
	restart     time.Duration // before run starts a failed collector again, like our unit's RestartSec
	late        time.Duration // before run says that the collector does not answer
	unread      time.Duration // that the output of run waits for who reads it, before it is dropped
	throttle    time.Duration // from one start to the next, as launchd has it, and some more
	kill        time.Duration // that run gives a collector to end after a signal, like our unit's TimeoutStopSec
}

// version is that of the newest entry of CHANGELOG.md; -ldflags "-X main.version=…" sets another.
var version = "1.0.0"

// A watchedWriter remembers the first error of its writer.
type watchedWriter struct {
	io.Writer
	err error
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

func main() {
	stdout := &watchedWriter{Writer: os.Stdout}
	path := filepath.SplitList(os.Getenv("PATH"))
	environ := commandEnv(os.Environ())
	w := &app{
		out:         newPrinter(stdout, os.Stderr, isTerminal(os.Stdout.Fd()), isTerminal(os.Stderr.Fd()), os.Getenv),
		getenv:      os.Getenv,
		environ:     os.Environ(),
		home:        os.Getenv("HOME"),
		uid:         os.Getuid(),
		platform:    runtime.GOOS,
		path:        path,
		executables: func() []string { return executables(os.Args[0], path) },
		commandLine: quoteArgv(append([]string{"runtimescope"}, withoutValues(os.Args[1:])...)),
		disk:        osDisk{},
		timings: timings{answer: 500 * time.Millisecond, headStart: 3 * time.Millisecond, probe: 5 * time.Millisecond,
			slow: 40 * time.Millisecond,
			fast: 2 * time.Second, look: 400 * time.Millisecond, grace: time.Second, patience: time.Second,
			journal: 10 * time.Second, follow: 200 * time.Millisecond,
			restart: 5 * time.Second, late: 10 * time.Second, kill: 10 * time.Second, throttle: 12 * time.Second, unread: time.Second},
		alive:    alive,
		signals:  catchSignals,
		handOver: handOver,
	}
	w.out.columns = func() int { return columns(os.Stdout.Fd()) }
	environ = append(environ, w.choose()...)
	w.run = osRunner{
		path:    commandPath(runtime.GOOS, path),
		env:     environ,
		timeout: 10 * time.Second,
		drain:   2 * time.Second,
	}
	if t, ok := w.processes.(lsofTable); ok {
		t.run = w.run
		w.processes = t
	}
	code := w.report(w.dispatch(context.Background(), os.Args[1:]))
	if stdout.err != nil && code == 0 {
		w.out.fail("cannot write to standard output: %v", stdout.err)
		code = 1
	}
	os.Exit(code)
}

// commandPath is where the commands of the system are looked for, also with a bare PATH. On macOS its own come first: the ps of
// nixpkgs, for one, lacks the entitlement to tell a process's memory.
func commandPath(platform string, path []string) []string {
	system := []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"}
	if platform == "darwin" {
		return append(system, path...)
	}
	return append(path, system...)
}

// withoutValues are arguments with … for each value after --env.
func withoutValues(args []string) (shown []string) {
	for i, arg := range args {
		flag, word, attached := strings.Cut(arg, "=")
		if attached && (flag == "--env" || flag == "-env") {
			name, _, _ := strings.Cut(word, "=")
			arg = flag + "=" + name + "=…"
		} else if i > 0 && attached && (args[i-1] == "--env" || args[i-1] == "-env") {
			arg = flag + "=…"
		}
		shown = append(shown, arg)
	}
	return shown
}

// rendererFor is the manager whose definition "unit" prints, on any system.
func rendererFor(plist bool, home string) serviceManager {
	if plist {
		return launchd{home: home}
	}
	return systemd{home: home}
}

func catchSignals(also ...os.Signal) <-chan os.Signal {
	signals := make(chan os.Signal, 4)
	for _, sig := range append(also, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) {
		if !signal.Ignored(sig) { // as SIGHUP is under nohup, and SIGINT in the background of a script
			signal.Notify(signals, sig)
		}
	}
	return signals
}

// untilSignal returns a context that ends at the first signal. The second one then ends the program.
func (a *app) untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	go cancelAt(a.signals(), ctx, cancel)
	return ctx, cancel
}

func cancelAt(signals <-chan os.Signal, ctx context.Context, cancel func()) {
	select {
	case <-signals:
		signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		cancel()
	case <-ctx.Done():
	}
}
