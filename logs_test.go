// Tests of the end of a log, of following files that are emptied and made again, and of what is asked of the journal.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func logsFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	put(t, path, text, 0o600)
	return path
}

func TestTheLastLinesOfALog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		from int64
		n    int
		want []string
	}{
		{"", 0, 5, nil},
		{"", 7, 5, nil},
		{"a\nb\nc\n", 0, 0, nil},
		{"a\nb\nc\n", 0, 1, []string{"c"}},
		{"a\nb\nc\n", 0, 2, []string{"b", "c"}},
		{"a\nb\nc\n", 0, 3, []string{"a", "b", "c"}},
		{"a\nb\nc\n", 0, 50, []string{"a", "b", "c"}},
		{"a\nb\nc", 0, 1, []string{"c"}},
		{"a\nb\nc", 0, 2, []string{"b", "c"}},
		{"a", 0, 5, []string{"a"}},
		{"\n", 0, 5, []string{""}},
		{"\n\na\n\n", 0, 2, []string{"a", ""}},
		{"a\r\nb\r\n", 0, 1, []string{"b\r"}},
		{"a\nb\nc\n", 2, 5, []string{"b", "c"}},
		{"a\nb\nc\n", 3, 5, []string{"", "c"}},
		{"a\nb\nc\n", 4, 5, []string{"c"}},
		{"a\nb\nc\n", 6, 5, nil},
		{"a\nb\nc\n", 7, 5, []string{"a", "b", "c"}}, // emptied since, and written again
		{"a\nb\nc\n", 2, 1, []string{"c"}},
	} {
		got, err := lastLines(logsFile(t, c.text), c.from, c.n)
		if !slices.Equal(got, c.want) || err != nil {
			t.Errorf("%q from %d, %d lines: got %q, %v; want %q", c.text, c.from, c.n, got, err, c.want)
		}
	}
	if got, err := lastLines(filepath.Join(t.TempDir(), "none"), 0, 5); !errors.Is(err, os.ErrNotExist) || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := lastLines(t.TempDir(), 0, 5); err == nil && runtime.GOOS != "windows" { // where a folder has the size of an empty file
		t.Error("a folder has lines")
	}
}

func TestTheLastLinesOfALogThatIsLongerThanABlock(t *testing.T) {
	t.Parallel()
	var all []string
	for n := range 30000 { // about 400 kB
		all = append(all, fmt.Sprintf("line %d of it", n))
	}
	text := strings.Join(all, "\n") + "\n"
	path := logsFile(t, text)
	inBlock := strings.Count(text[len(text)-64<<10:], "\n") // the first of these begins before the block
	for _, n := range []int{1, 50, inBlock, 5000, 20000, 30000, 40000} {
		got, err := lastLines(path, 0, n)
		if want := all[max(0, len(all)-n):]; !slices.Equal(got, want) || err != nil {
			t.Errorf("%d lines: got %d from %.20q on, %v", n, len(got), append(got, "")[0], err)
		}
	}
	from := int64(len(strings.Join(all[:25000], "\n")) + 1)
	same(t, "from an offset", need(lastLines(path, from, 40000))(t), all[25000:])
}

func TestOfAHugeLogOneMegabyteIsRead(t *testing.T) {
	t.Parallel()
	path := logsFile(t, "first\n")
	file := need(os.OpenFile(path, os.O_WRONLY, 0))(t)
	defer file.Close()
	const size = 1 << 31
	notOnWindows(t, "a file with a hole takes its whole size here")
	if err := file.Truncate(size); err != nil {
		t.Skip("no file with a hole here:", err)
	}
	got, err := lastLines(path, 0, 5)
	if err != nil || len(got) != 1 || len(got[0]) != 1<<20 {
		t.Fatalf("got %d lines, %v", len(got), err)
	}
	need(file.WriteAt([]byte("\nthe\nlast\n"), size-10))(t)
	if got, err := lastLines(path, 0, 2); !slices.Equal(got, []string{"the", "last"}) || err != nil {
		t.Errorf("got %.50q, %v", got, err)
	}
}

func TestACopiedLogIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	text := strings.Repeat("line\n", 50000)
	for path, text := range map[string]string{from: text, to: text + text} {
		put(t, path, text, 0o600)
	}
	must(t, copyFile(from, to))
	if got, err := os.ReadFile(to); string(got) != text || err != nil {
		t.Errorf("copied %d bytes of %d, %v", len(got), len(text), err)
	}
	os.Remove(to)
	must(t, copyFile(from, to))
	if info, err := os.Stat(to); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := copyFile(filepath.Join(dir, "none"), to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := copyFile(from, filepath.Join(dir, "none", "to")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := copyFile(dir, to); err == nil {
		t.Error("a folder was copied")
	}
}

func TestPartOfAFileIsCopied(t *testing.T) {
	t.Parallel()
	path := logsFile(t, "0123456789")
	var b bytes.Buffer
	if n, err := copyFrom(&b, path, 3, 7); n != 4 || b.String() != "3456" || err != nil {
		t.Errorf("got %d %q, %v", n, b.String(), err)
	}
	if n, err := copyFrom(&b, path, 8, 20); n != 2 || b.String() != "345689" || err != nil { // shorter by now
		t.Errorf("got %d %q, %v", n, b.String(), err)
	}
	if n, err := copyFrom(&b, path+"none", 0, 1); n != 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %d, %v", n, err)
	}
}

// A logsOutput is an output that may be looked at while it is written.
type logsOutput struct {
	sync.Mutex
	text strings.Builder
}

func (o *logsOutput) Write(p []byte) (int, error) {
	o.Lock()
	defer o.Unlock()
	return o.text.Write(p)
}

func (o *logsOutput) String() string {
	o.Lock()
	defer o.Unlock()
	return o.text.String()
}

func logsWorld(out io.Writer, run Runner) *app {
	return &app{out: printer{stdout: out, stderr: io.Discard}, signals: func(...os.Signal) <-chan os.Signal { return nil }, timings: timings{follow: time.Millisecond}, run: run, uid: 1000}
}

func TestBothLogsAreShownUnderTheirNames(t *testing.T) {
	t.Parallel()
	full, other, empty := logsFile(t, "a\nb\nc\n"), logsFile(t, "x\ny"), logsFile(t, "")
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		paths []string
		lines int
		want  string
	}{
		{[]string{full, other}, 2, "==> " + full + " <==\nb\nc\n==> " + other + " <==\nx\ny\n"},
		{[]string{none, other}, 50, "==> " + other + " <==\nx\ny\n"},
		{[]string{full, empty}, 1, "==> " + full + " <==\nc\n"},
		{[]string{full, other}, 0, ""},
		{[]string{none, none}, 50, "  ⚠ There is no log in " + filepath.Dir(none) + ": the service has not been started yet\n"},
		{[]string{none, empty}, 50, "  ⚠ The log is empty\n"},
		{[]string{none, none}, 0, ""},
	} {
		var out logsOutput
		if err := logsWorld(&out, nil).fileLogs(context.Background(), c.paths, options{lines: c.lines}); err != nil || out.String() != c.want {
			t.Errorf("got %q, %v; want %q", out.String(), err, c.want)
		}
	}
	if err := logsWorld(io.Discard, nil).fileLogs(context.Background(), []string{t.TempDir()}, options{lines: 5}); err == nil && runtime.GOOS != "windows" {
		t.Error("a folder is shown as a log")
	}
}

func TestLogsAreFollowedThroughEmptyingAndThroughBeingMadeAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	add := func(path, text string) {
		must(t, appendTo(path, text))
	}
	add(one, "long first line\nsecond\n")
	var out logsOutput
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- logsWorld(&out, nil).fileLogs(ctx, []string{one, two}, options{lines: 1, follow: true})
	}()
	want := ""
	shows := func(text string) {
		t.Helper()
		want += text
		until(t, func() bool { return out.String() == want }, func() string { return fmt.Sprintf("got\n%s\nwant\n%s", out.String(), want) })
	}
	shows("==> " + one + " <==\nsecond\n")
	add(one, "third\nhalf a")
	shows("third\nhalf a")
	add(one, " line\n")
	shows(" line\n")
	add(two, "other\n")
	shows("==> " + two + " <==\nother\n")
	must(t, os.Truncate(one, 0))
	add(one, "anew\n") // shorter than before
	shows("==> " + one + " <==\nanew\n")
	must(t, os.Remove(two))
	add(one, "more\n")
	shows("more\n")
	add(one, "again\n") // by now it has been seen that the other one is not there
	shows("again\n")
	add(two, "longer than it was\n")
	shows("==> " + two + " <==\nlonger than it was\n")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ending it is a failure: %v", err)
	}
}

// A logsRunner is a journalctl: it says something, and then it ends, or waits to be killed.
type logsRunner struct {
	planRunner
	stdout, stderr string
	end            *exitStatus
	err            error // it cannot be started
	ran            *[]string
	killed         chan os.Signal
	reaped         *atomic.Bool
}

func (r logsRunner) Start(_ bond, stdout, stderr io.Writer, _ []string, argv ...string) (process, error) {
	*r.ran = append(*r.ran, strings.Join(argv, " "))
	if r.err != nil {
		return nil, r.err
	}
	io.WriteString(stdout, r.stdout)
	io.WriteString(stderr, r.stderr)
	return r, nil
}

func (r logsRunner) Pid() int { return 5 }

func (r logsRunner) Signal(sig os.Signal) error {
	r.killed <- sig
	return nil
}

func (r logsRunner) Wait() (exitStatus, error) {
	if r.end == nil {
		<-r.killed
		time.Sleep(time.Millisecond) // ending takes its time
		r.reaped.Store(true)
		return exitStatus{signal: 9}, nil
	}
	return *r.end, nil
}

func TestTheJournalIsShown(t *testing.T) {
	t.Parallel()
	const empty = "  ⚠ No journal entries for runtimescope.service\n" +
		"  If you expected some: you need a persistent journal (sudo mkdir /var/log/journal) or membership in the systemd-journal group.\n"
	_, missing := osRunner{}.Start(bond{}, nil, nil, nil, "journalctl")
	clean, failed := &exitStatus{}, &exitStatus{code: 3}
	for _, c := range []struct {
		what             string
		o                options
		run              logsRunner
		says, fails, fix string
	}{
		{"lines", options{lines: 7}, logsRunner{stdout: "one\ntwo\n", end: clean}, "one\ntwo\n", "", ""},
		{"nothing", options{lines: 7}, logsRunner{end: clean}, empty, "", ""},
		{"nothing of one line", options{lines: 1}, logsRunner{end: clean}, empty, "", ""},
		{"no lines, as asked", options{}, logsRunner{end: clean}, "", "", ""},
		{"not allowed", options{lines: 7}, logsRunner{end: &exitStatus{code: 1},
			stderr: "Hint: You are currently not seeing messages from other users and the system.\nNo journal files were opened due to insufficient permissions.\n"}, "",
			"no permission to read the journal: without persistent storage, only members of systemd-journal, adm and wheel can read it",
			"sudo usermod -aG systemd-journal $USER, then log in again"},
		{"no journalctl", options{lines: 7}, logsRunner{err: missing}, "", "journalctl is not installed, so the log of the service cannot be read", ""},
		{"another failure", options{lines: 7}, logsRunner{stdout: "one\n", stderr: " no \n", end: failed}, "one\n", "journalctl --no-pager --quiet --lines=7 --all: exit status 3: no", ""},
		{"not to be started", options{lines: 7}, logsRunner{err: errPlanDisk}, "", errPlanDisk.Error(), ""},
		{"no answer", options{lines: 7}, logsRunner{stdout: "one\n"}, "one\n", "journalctl gave no answer within 20ms", ""},
		{"followed until it ends", options{lines: 7, follow: true}, logsRunner{stdout: "one\n", end: clean}, "one\n", "", ""},
		{"followed until nobody reads on", options{lines: 7, follow: true}, logsRunner{stdout: "one\n", end: &exitStatus{code: 1}}, "one\n", "", ""},
		{"followed until it fails with a word", options{lines: 7, follow: true}, logsRunner{stderr: "no", end: &exitStatus{code: 1}}, "", "journalctl --no-pager --quiet --lines=7 --follow: exit status 1: no", ""},
		{"what would steer a terminal", options{lines: 7}, logsRunner{stdout: "a\x1b[2Jb\u202ec\u2028d\rforged\tx\r\n\xff", end: clean}, "a\uFFFD[2Jb\uFFFDc\uFFFDd\uFFFDforged\tx\n\uFFFD", "", ""},
		{"killed", options{lines: 7}, logsRunner{end: &exitStatus{signal: 9}}, "", "journalctl --no-pager --quiet --lines=7 --all: killed by SIGKILL", ""},
		{"ended by what the terminal sends", options{lines: 7}, logsRunner{end: &exitStatus{signal: 2}}, "", "interrupted", ""},
		{"followed until the terminal goes", options{lines: 7, follow: true}, logsRunner{end: &exitStatus{signal: 1}}, "", "", ""},
		{"followed until it ends without a line", options{lines: 7, follow: true}, logsRunner{end: clean}, "", "", ""},
		{"followed until it fails", options{lines: 7, follow: true}, logsRunner{stdout: "one\n", end: failed}, "one\n", "journalctl --no-pager --quiet --lines=7 --follow: exit status 3", ""},
	} {
		var ran []string
		c.run.ran, c.run.killed, c.run.reaped = &ran, make(chan os.Signal, 1), new(atomic.Bool)
		var out logsOutput
		w := logsWorld(&out, c.run)
		w.timings.journal = 20 * time.Millisecond
		if c.run.end != nil {
			w.timings.journal = time.Hour
		}
		err := w.journal(context.Background(), []string{"A=1", "+", "B=2"}, c.o)
		if out.String() != c.says || errText(err) != c.fails || helpOf(err) != c.fix {
			t.Errorf("%s: got %q, %v, %q", c.what, out.String(), err, helpOf(err))
		}
		if len(c.run.killed) > 0 || c.run.reaped.Load() != (c.run.end == nil && c.run.err == nil) {
			t.Errorf("%s: journalctl lives on", c.what)
		}
		want := fmt.Sprintf("journalctl --no-pager --quiet --lines=%d", c.o.lines)
		want += map[bool]string{false: " --all", true: " --follow"}[c.o.follow]
		if want += " A=1 + B=2"; !slices.Equal(ran, []string{want}) {
			t.Errorf("%s: it ran %q, want %q", c.what, ran, want)
		}
	}
}

// A logsPipes runner sees to it that journalctl writes into a file: exec waits a second for who reads any other writer.
type logsPipes struct {
	Runner
	t *testing.T
}

func (r logsPipes) Start(b bond, stdout, stderr io.Writer, env []string, argv ...string) (process, error) {
	if _, ok := stdout.(*os.File); !ok {
		r.t.Errorf("%T loses what its reader has not taken in a second", stdout)
	}
	return r.Runner.Start(b, stdout, stderr, env, argv...)
}

func TestNothingOfALongJournalIsLostHoweverSlowlyItIsRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd")
	const lines = 300 // which two pipes do not hold
	b.write(b.fake.path("journal"), strings.Repeat(`{"MESSAGE":"`+strings.Repeat("x", 700)+`"}`+"\n", lines), 0o600)
	b.app.run = logsPipes{b.app.run, t}
	b.want(0, "service logs -n 300")
	same(t, "", strings.Count(b.stdout.String(), "\n"), lines)
	b.out.stdout = &mainFailing{errs: []error{errPlanDisk, errPlanDisk, errPlanDisk}}
	if err := b.logs(context.Background(), options{lines: lines}); strings.Contains(errText(err), "no answer") {
		t.Errorf("journalctl writes on although nobody reads: %v", err)
	}
}

// A logsPager reads on only when twice the time for an answer is over.
type logsPager struct {
	logsOutput
	over chan time.Time
}

func (p *logsPager) Write(text []byte) (int, error) {
	if len(text) == 0 { // the end
		return 0, nil
	}
	p.over <- time.Time{}
	p.over <- time.Time{}
	return p.logsOutput.Write(text)
}

func TestAPagerMayTakeLongerThanJournalctl(t *testing.T) {
	t.Parallel()
	out := logsPager{over: make(chan time.Time)}
	w := logsWorld(&out, logsRunner{})
	reader, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(pipe, "one\n")
	pipe.Close()
	run := logsRunner{end: &exitStatus{}, killed: make(chan os.Signal, 1)}
	late := func() <-chan time.Time { return out.over }
	if e, err := w.passJournal(context.Background(), run, reader, &countingWriter{Writer: &out}, late); err != nil || e != (exitStatus{}) || out.String() != "one\n" {
		t.Errorf("got %q, %v, %v", out.String(), e, err)
	}
}

func TestAnInterruptedJournalEndsAndOnlyFollowingEndsWell(t *testing.T) {
	t.Parallel()
	for follow, want := range map[bool]error{false: errInterrupted, true: nil} {
		ctx, cancel := context.WithCancel(context.Background())
		var ran []string
		run := logsRunner{ran: &ran, killed: make(chan os.Signal, 1), reaped: new(atomic.Bool)}
		w := logsWorld(io.Discard, run)
		if w.timings.journal = time.Hour; follow {
			w.timings.journal = time.Millisecond // however long nothing is logged
		}
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := w.journal(ctx, nil, options{lines: 7, follow: follow}); err != want || !run.reaped.Load() {
			t.Errorf("follow %v: got %v; journalctl is gone: %v", follow, err, run.reaped.Load())
		}
		cancel()
	}
}

func TestEachManagerHasItsLogs(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	m := launchd{home: home}
	for _, path := range m.logFiles() {
		put(t, path, filepath.Base(path)+"\n", 0o600)
	}
	var out logsOutput
	w := logsWorld(&out, nil)
	w.getenv, w.home, w.manager = func(string) string { return "" }, home, m
	must(t, w.logs(context.Background(), options{lines: 5}))
	first, second := m.logFiles()[0], m.logFiles()[1]
	same(t, "", out.String(), "==> "+first+" <==\ncollector.err.log\n==> "+second+" <==\ncollector.out.log\n")
	var ran []string
	w = logsWorld(&out, logsRunner{stdout: "x\n", end: &exitStatus{}, ran: &ran})
	w.getenv, w.home, w.manager, w.timings.journal = func(string) string { return "" }, home, systemd{uid: 1000, user: ada}, time.Hour
	must(t, w.logs(context.Background(), options{lines: 5}))
	want := "journalctl --no-pager --quiet --lines=5 --all _SYSTEMD_USER_UNIT=runtimescope.service _UID=1000 + USER_UNIT=runtimescope.service _UID=1000 + " +
		"SYSLOG_IDENTIFIER=runtimescope _UID=1000"
	if !slices.Contains(ran, want) {
		t.Errorf("it ran %q", ran)
	}
	w.home = "relative"
	if err := w.logs(context.Background(), options{}); errText(err) != `HOME is "relative": it must be set to an absolute path` {
		t.Errorf("got %v", err)
	}
}
