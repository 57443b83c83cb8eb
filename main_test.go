// Tests of the command line: what each word means, the help, misuse, and how an error becomes words and an exit status.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mainApp is an app that can do nothing but speak.
func mainApp() (w *app, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return &app{out: printer{stdout: stdout, stderr: stderr}, getenv: func(string) string { return "" },
		signals: func(...os.Signal) <-chan os.Signal { return nil }, platform: "plan9"}, stdout, stderr
}

// mainRun runs the whole program in that app.
func mainRun(args ...string) (code int, stdout, stderr string) {
	w, out, err := mainApp()
	code = w.report(w.dispatch(context.Background(), args))
	return code, out.String(), err.String()
}

func TestRequestedHelpGoesToStdout(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "help", "--help", "-h"} {
		code, stdout, stderr := mainRun(strings.Fields(args)...)
		if code != 0 || stderr != "" {
			t.Errorf("%q: exit %d, %q", args, code, stderr)
		}
		golden(t, "help.txt", stdout)
		code, stdout, stderr = mainRun(append([]string{"service"}, strings.Fields(args)...)...)
		if code != 0 || stderr != "" {
			t.Errorf("service %q: exit %d, %q", args, code, stderr)
		}
		golden(t, "help-service.txt", stdout)
	}
}

func TestTheUsageOfEveryCommandIsThis(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, table := range []struct {
		prefix []string
		of     []subcommand
	}{{nil, commands()}, {[]string{"service"}, serviceCommands()}} {
		for _, c := range table.of {
			for _, flag := range []string{"--help", "-h", "-help"} {
				if c.name == "service" {
					continue // it has a table of its own
				}
				args := append(table.prefix, c.name, flag)
				if c.name == mcpCommand { // which hands --help on
					args = []string{"help", c.name}
				}
				code, stdout, stderr := mainRun(args...)
				if code != 0 || stderr != "" || !strings.Contains(stdout, c.short) {
					t.Errorf("%s %s: exit %d, %q, %q", c.name, flag, code, stdout, stderr)
				}
				if flag == "--help" {
					all.WriteString(stdout + "\n")
				}
			}
		}
	}
	golden(t, "usage.txt", all.String())
}

func TestEveryFlagOfATableHasHelp(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range append(commands(), serviceCommands()...) {
		for _, key := range c.flags {
			seen[key] = true
			if row := flagRows()[key]; row.spelling == "" || row.meaning == "" || row.bind == nil || len(row.spelling) > 18 {
				t.Errorf("%s: %q %q", key, row.spelling, row.meaning)
			}
		}
		if len(c.name) > 11 {
			t.Errorf("%s does not fit the column", c.name)
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d flags are in use: %v", len(seen), seen)
	}
}

func TestTheVersion(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"version", "--version", "-v"} {
		code, stdout, stderr := mainRun(args)
		if want := "runtimescope " + version + "\n"; code != 0 || stdout != want || stderr != "" {
			t.Errorf("%s: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// mainProcess runs the program as a process of its own, with the fakes on its PATH.
func mainProcess(t *testing.T, b *bench, stdout io.Writer, env []string, args ...string) (code int, stderr string) {
	t.Helper()
	self := need(os.Executable())(t)
	program := filepath.Join(b.fake.dir, "bin", programFile("runtimescope"))
	link(t, self, program)
	env = append(append(os.Environ(), "HOME="+b.home, "PATH="+filepath.Dir(program), "XDG_RUNTIME_DIR="+b.fake.dir, "SUDO_USER=", "GORACE=atexit_sleep_ms=0",
		fakeFolderEnv+"="+b.fake.dir, httpPortEnv+"="+strconv.Itoa(freePort(t)), wsPortEnv+"="+strconv.Itoa(freePort(t))), env...)
	for range 5 {
		var said bytes.Buffer
		cmd := exec.Command(program, args...)
		cmd.Stdout, cmd.Stderr, cmd.Env = stdout, &said, env
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		code, stderr = cmd.ProcessState.ExitCode(), said.String()
		if !strings.Contains(stderr, "no answer within") { // as on a machine that starts the fakes too slowly for the real program
			break
		}
	}
	return code, stderr
}

func TestTheProcessOfTheProgramSaysItAllOnceAndEndsWithItsStatus(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the fakes behind a whole process are systemd's, on Linux")
	}
	const line = "Nov 22 20:13:08 host runtimescope[4242]: hello\n"
	for _, c := range []struct {
		args, journal  string
		code           int
		stdout, stderr string
	}{
		{"version", "", 0, "runtimescope " + version + "\n", ""},
		{"service logs -n x", "", 1, "", "  ✗ -n x: must be a number of lines\n"},
		{"service logs", "hello", 0, line, ""},
		{"service logs -f", "hello", 0, line, ""},
		{"service status --exit-code", "", 4, "not installed", "  ✗ the service is not installed\n"},
	} {
		b := newBench(t, "systemd")
		b.write(b.fake.path("journal"), `{"MESSAGE":"`+c.journal+`"}`, 0o600)
		if c.journal == "" {
			os.Remove(b.fake.path("journal"))
		}
		var stdout bytes.Buffer
		code, stderr := mainProcess(t, b, &stdout, nil, strings.Fields(c.args)...)
		exact := c.code != 4
		if code != c.code || exact && stdout.String() != c.stdout || !strings.Contains(stdout.String(), c.stdout) || !strings.HasPrefix(stderr, c.stderr) || strings.Count(stderr, "✗") != min(1, code) {
			t.Errorf("%s: exit %d, %q, %q", c.args, code, stdout.String(), stderr)
		}
	}
}

func TestAnOutputThatIsFullIsAFailureThatLeavesAnotherAsItIs(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("there is no /dev/full here")
	}
	defer full.Close()
	const says = "  ✗ cannot write to standard output: write /dev/stdout: no space left on device\n"
	for args, want := range map[string]int{"version": 1, "service status --exit-code": 4} {
		code, stderr := mainProcess(t, newBench(t, "systemd"), full, nil, strings.Fields(args)...)
		if code != want || (stderr == says) != (want == 1) {
			t.Errorf("%s: exit %d, %q", args, code, stderr)
		}
	}
}

func TestTheSignalsOfATerminalAreCaught(t *testing.T) { // not t.Parallel: another test lets go of the signals
	notOnWindows(t, "signals")
	signals := catchSignals(syscall.SIGQUIT)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(sig) {
			continue // under nohup
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(sig)
		}
		if err != nil {
			t.Fatal(err)
		}
		same(t, "", <-signals, sig)
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
}

func TestMisuseIsSaidInFourLinesAtMostWithWhatMayHaveBeenMeant(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		before := b.everything()
		for _, c := range []struct{ args, says string }{
			{"serve", "✗ Unknown command: serve. Did you mean: runtimescope service?\n  See: runtimescope help\n"},
			{"status", "✗ Unknown command: status. Did you mean: runtimescope service status?\n  See: runtimescope help\n"},
			{"service instal", "✗ Unknown subcommand: instal. Did you mean: runtimescope service install?\n  See: runtimescope service help\n"},
			{"service frob --help", "✗ Unknown subcommand: frob\n"},
			{"--nonsense", "✗ Unknown command: --nonsense\n"},
			{"version now", "✗ unexpected argument: now\n  See: runtimescope version --help\n"},
			{"stauts", "✗ Unknown command: stauts. Did you mean: runtimescope service status?\n"},
			{"servce", "✗ Unknown command: servce. Did you mean: runtimescope service?\n"},
			{"TOKEN=s3cret service install", "✗ Unknown command: TOKEN=…\n"},
			{"service stauts", "✗ Unknown subcommand: stauts. Did you mean: runtimescope service status?\n"},
			{"service dashbord", "✗ Unknown subcommand: dashbord. Did you mean: runtimescope dashboard?\n"},
			{"service install --time 90", "✗ --time: unknown flag. Did you mean: --timeout?\n"},
			{"service install --env A=x B=s3cret", "✗ unexpected argument: B=…\n"},
			{"service install --env A=my s3cret", "✗ unexpected argument after --env: quote a value that has spaces\n"},
			{"service stat", "✗ Unknown subcommand: stat. Did you mean: runtimescope service status?\n"},
			{"service STATUS", "✗ Unknown subcommand: STATUS. Did you mean: runtimescope service status?\n"},
			{"service show", "✗ Unknown subcommand: show\n"}, // which is not stop
			{"service install -y", "✗ -y: unknown flag\n"},   // which is not -n
			{"service install ---json", "✗ ---json: unknown flag. Did you mean: --json?\n"},
			{"service install --timeout=", "✗ --timeout: must be a time such as 90s or 2m\n"},
			{"help me", "✗ Unknown command: me\n"},
			{"help service frob", "✗ Unknown subcommand: frob"},
			{"dashboard 6768", "unexpected argument: 6768"},
			{"service install now", "unexpected argument: now"},
			{"service install --force", "✗ --force: unknown flag\n  See: runtimescope service install --help\n"},
			{"service status --jsn", "✗ --jsn: unknown flag. Did you mean: --json?\n"},
			{"service status -n", "✗ -n: unknown flag\n"},
			{"service install --timeout", "✗ --timeout: a value is missing"},
			{"service install --timeout 0s", "✗ --timeout 0s: must be greater than zero"},
			{"service install --timeout -3s", "✗ --timeout -3s: must be greater than zero"},
			{"service install --timeout soon", "✗ --timeout soon: must be a time such as 90s or 2m"},
			{"service install --collector", "✗ --collector: a value is missing"},
			{"service install --collector=", "a path is missing"},
			{"service install --dry-run=perhaps", "✗ --dry-run perhaps: must be true or false"},
			{"service restart --collector /bin/true", "✗ --collector: unknown flag"},
			{"service status it", "unexpected argument: it"},
			{"service logs -n", "✗ -n: a value is missing"},
			{"service logs -n x", "✗ -n x: must be a number of lines"},
			{"service logs -n 2147483648", "✗ -n 2147483648: must be at most 2147483647"},
			{"service logs -n 99999999999999999999", "✗ -n 99999999999999999999: must be at most 2147483647"},
			{"service logs --lines -1", "✗ --lines -1: must be a number of lines"},
			{"service logs -n5x", "unknown flag"},
			{"service unit --systemd --launchd", "✗ --systemd and --launchd cannot be used together"},
			{"service help install now", "unexpected argument: now"},
			{"service help me", "✗ Unknown subcommand: me"},
		} {
			b.want(1, c.args, c.says)
			if b.stdout.Len() > 0 || !strings.HasPrefix(b.stderr.String(), "  ✗ ") || strings.Count(b.stderr.String(), "\n") > 4 {
				t.Errorf("%s: stdout %q, stderr %q", c.args, b.stdout.String(), b.stderr.String())
			}
		}
		b.wantCalls()
		same(t, "misuse changed", b.everything(), before)
	})
}

func TestFlagsAreRead(t *testing.T) {
	t.Parallel()
	defaults := options{timeout: time.Minute, lines: 50}
	with := func(change func(*options)) options {
		o := defaults
		change(&o)
		return o
	}
	for _, c := range []struct {
		args string
		want options
	}{
		{"install", defaults},
		{"install -n", with(func(o *options) { o.dryRun = true })},
		{"install --dry-run", with(func(o *options) { o.dryRun = true })},
		{"install --dry-run=false", defaults},
		{"install -dry-run -timeout 2m", with(func(o *options) { o.dryRun, o.timeout = true, 2*time.Minute })},
		{"install --collector /a/b --timeout 90s", with(func(o *options) { o.collector, o.timeout = "/a/b", 90*time.Second })},
		{"install --collector=rel -n --timeout=2m", with(func(o *options) { o.collector, o.timeout, o.dryRun = "rel", 2*time.Minute, true })},
		{"update -n --timeout 1ms --collector x", with(func(o *options) { o.collector, o.timeout, o.dryRun = "x", time.Millisecond, true })},
		{"restart -n --timeout 5s", with(func(o *options) { o.dryRun, o.timeout = true, 5*time.Second })},
		{"start -n --timeout 5s", with(func(o *options) { o.dryRun, o.timeout = true, 5*time.Second })},
		{"stop -n", with(func(o *options) { o.dryRun = true })},
		{"uninstall --dry-run", with(func(o *options) { o.dryRun = true })},
		{"status --json --exit-code", with(func(o *options) { o.json, o.exitCode = true, true })},
		{"doctor --json", with(func(o *options) { o.json = true })},
		{"logs -n 5 -f", with(func(o *options) { o.lines, o.follow = 5, true })},
		{"logs -f -n=0", with(func(o *options) { o.lines, o.follow = 0, true })},
		{"run --collector x", with(func(o *options) { o.collector = "x" })},
		{"unit --launchd", with(func(o *options) { o.launchd = true })},
		{"unit --systemd --collector x", with(func(o *options) { o.systemd, o.collector = true, "x" })},
		{"dashboard --no-open", with(func(o *options) { o.noOpen = true })},
		{"version", defaults},
		{"help --", defaults},
	} {
		words := strings.Fields(c.args)
		for _, command := range append(serviceCommands(), commands()...) {
			if command.name == words[0] {
				same(t, c.args, need(command.parse(words[1:]))(t), c.want)
				break
			}
		}
	}
	for _, command := range append(serviceCommands(), commands()...) {
		same(t, fmt.Sprintf("%s without flags", command.name), need(command.parse(nil))(t), defaults)
	}
	if _, err := serviceCommands()[0].parse([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
}

func FuzzTheCommandLine(f *testing.F) {
	for _, text := range []string{"install -n", "logs\n-n5\n-f", "install\n--timeout\n90", "install\n--timeout=-1", "logs\n-n\n2147483648", "run\n--env\nA=b", "x", "--", "-\n--\n---", "logs\n-n=0x10"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		for _, c := range append(serviceCommands(), commands()...) {
			if o, err := c.parse(args[1:]); err == nil && (o.timeout <= 0 || o.lines < 0 || o.lines > math.MaxInt32) {
				t.Errorf("%s %q: %+v", c.name, args[1:], o)
			} else if err != nil && err.Error() == "" {
				t.Errorf("%s %q: an error without a word", c.name, args[1:])
			}
		}
		if c, _, _, wantsHelp, err := lookUp(args); err == nil && !wantsHelp && c.do == nil && c.name != "help" && c.name != "service" {
			t.Errorf("%q: %s does nothing", args, c.name)
		}
	})
}

func TestEveryCommandButHelpDoesSomething(t *testing.T) {
	t.Parallel()
	for _, c := range append(commands(), serviceCommands()...) {
		if (c.do == nil) != (c.name == "help" || c.name == "service") {
			t.Errorf("%s: %v", c.name, c.do == nil)
		}
	}
}

func TestAnErrorIsSaidOnceWithAllThatIsKnown(t *testing.T) {
	t.Parallel()
	plain := errors.New("no disk")
	list := &failure{"it ended", []string{"It logged:", "  fatal"}}
	for _, c := range []struct {
		what string
		err  error
		code int
		says string
	}{
		{"nothing", nil, 0, ""},
		{"an error", plain, 1, "  ✗ no disk\n"},
		{"a hint", hint(plain, "make room"), 1, "  ✗ no disk\n  Fix: make room\n"},
		{"a hint inside", fmt.Errorf("so: %w", hint(plain, "make room")), 1, "  ✗ so: no disk\n  Fix: make room\n"},
		{"an empty hint", hint(plain, ""), 1, "  ✗ no disk\n"},
		{"a failure", list, 1, "  ✗ it ended\n  It logged:\n    fatal\n"},
		{"a failure with a hint", hint(list, "look"), 1, "  ✗ it ended\n  It logged:\n    fatal\n  Fix: look\n"},
		{"a first step that failed", &applyError{err: plain}, 1, "  ✗ no disk\n"},
		{"undone", &applyError{err: plain, undone: true}, 1, "  ✗ no disk\n  Changes were rolled back.\n"},
		{"undone with a hint", &applyError{err: hint(plain, "make room"), undone: true}, 1, "  ✗ no disk\n  Fix: make room\n  Changes were rolled back.\n"},
		{"half undone", &applyError{err: plain, undone: true, left: errors.New("still there")}, 1, "  ✗ no disk\n  Some changes could not be rolled back: still there\n"},
		{"misuse", &misuse{errors.New("what?"), "x help"}, 1, "  ✗ what?\n  See: x help\n"},
		{"a status", &statusError{errors.New("stopped"), 3}, 3, "  ✗ stopped\n"},
		{"a status inside", fmt.Errorf("so: %w", &statusError{errors.New("stopped"), 42}), 42, "  ✗ so: stopped\n"},
		{"an interruption", errInterrupted, 130, "  ✗ Interrupted. The service is left as it is. See: runtimescope service status\n"},
		{"an interruption inside", fmt.Errorf("so: %w", errInterrupted), 130, "  ✗ Interrupted. The service is left as it is. See: runtimescope service status\n"},
		{"a cancelled command", &commandError{argv: []string{"x"}, code: -1, cause: context.Canceled}, 130, "  ✗ Interrupted. The service is left as it is. See: runtimescope service status\n"},
		{"a late command", &commandError{argv: []string{"x"}, code: -1, cause: context.DeadlineExceeded}, 1, "  ✗ x: context deadline exceeded\n"},
	} {
		w, stdout, stderr := mainApp()
		if code := w.report(c.err); code != c.code || stdout.String() != "" || stderr.String() != c.says {
			t.Errorf("%s: exit %d, %q, %q; want %d, %q", c.what, code, stdout, stderr, c.code, c.says)
		}
	}
}

func TestAnOutputThatCannotBeWrittenIsRemembered(t *testing.T) {
	t.Parallel()
	first, second := errors.New("first"), errors.New("second")
	target := &mainFailing{errs: []error{nil, first, second, nil}}
	w := &watchedWriter{Writer: target}
	for i, want := range []error{nil, first, second, nil} {
		if n, err := w.Write([]byte("abc")); err != want || n != 3-3*min(1, len(errText(err))) {
			t.Errorf("write %d: %d, %v", i, n, err)
		}
	}
	if w.err != first {
		t.Errorf("got %v", w.err)
	}
	same(t, "wrote", target.got.String(), "abcabc")
	must(t, (&watchedWriter{Writer: io.Discard}).err)
}

// A mainFailing writer fails as its list says.
type mainFailing struct {
	errs []error
	got  bytes.Buffer
}

func (w *mainFailing) Write(p []byte) (int, error) {
	err := w.errs[0]
	w.errs = w.errs[1:]
	if err != nil {
		return 0, err
	}
	return w.got.Write(p)
}

func TestASignalEndsTheContext(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	w := &app{signals: func(...os.Signal) <-chan os.Signal { return signals }}
	ctx, cancel := w.untilSignal(context.Background())
	defer cancel()
	if ctx.Err() != nil {
		t.Fatal("it has ended before")
	}
	signals <- os.Interrupt
	<-ctx.Done()
	same(t, "", ctx.Err(), context.Canceled)
	parent, stop := context.WithCancel(context.Background())
	ctx, cancel = w.untilSignal(parent)
	defer cancel()
	stop()
	<-ctx.Done()
}

func TestWhereTheCommandsOfTheSystemAreLookedFor(t *testing.T) {
	t.Parallel()
	for platform, want := range map[string]string{"darwin": "/usr/bin /bin /usr/sbin /sbin /nix/bin", "linux": "/nix/bin /usr/bin /bin /usr/sbin /sbin"} {
		same(t, platform, strings.Join(commandPath(platform, []string{"/nix/bin"}), " "), want)
	}
}
