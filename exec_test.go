// Tests of the real runner, with /bin/sh and its built-in commands as the only child, and of what is pure in exec.go.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// execShell is a shell to start as a child.
func execShell(t *testing.T) string {
	t.Helper()
	if executable("/bin/sh") != nil || !filepath.IsAbs("/bin/sh") {
		t.Skip("there is no /bin/sh here to start as a child")
	}
	return "/bin/sh"
}

func execRunner() osRunner {
	return osRunner{path: []string{"/bin"}, env: []string{"LC_ALL=C", "A=1"}, timeout: time.Hour}
}

// execStops is shell text that never ends, costs nothing, and outlives SIGHUP and SIGCONT.
const execStops = `trap "" HUP; while :; do kill -STOP $$; done`

func TestRunPassesArgvIntactAndNothingOfItThroughAShell(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	args := []string{"", " two  words ", "$HOME", "`id`", "a\nb", "*", `back\slash`, `"quoted"`, "it's", "; exit 3", "é\xff"}
	out, err := execRunner().Run(context.Background(), append([]string{sh, "-c", `for a; do printf '<%s>' "$a"; done`, "sh"}, args...)...)
	if want := "<" + strings.Join(args, "><") + ">"; out != want || err != nil {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

func TestRunFindsACommandInItsFoldersAndKeepsItsName(t *testing.T) {
	t.Parallel()
	execShell(t)
	r := execRunner()
	r.path = []string{"bin", t.TempDir(), "/bin"}
	out, err := r.Run(context.Background(), "sh", "-c", `printf %s "$0"`)
	if out != "sh" || err != nil {
		t.Errorf("got %q, %v; want the name as given", out, err)
	}
}

func TestRunGivesItsOwnEnvironmentAndNoInput(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	out, err := execRunner().Run(context.Background(), sh, "-c", `echo "$LC_ALL $A [${HOME}] [${B}]"; if read x; then echo read; else echo end; fi`)
	if want := "C 1 [] []\nend\n"; out != want || err != nil {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

func TestRunReturnsExitStatusAndTrimmedStderr(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	out, err := execRunner().Run(context.Background(), sh, "-c", `echo out; printf '\n one\ntwo \n\n' >&2; exit 3`)
	var failed *commandError
	if !errors.As(err, &failed) {
		t.Fatalf("got %T %v", err, err)
	}
	if out != "out\n" || failed.code != 3 || failed.cause != nil || failed.stderr != "one\ntwo" || exitCode(err) != 3 {
		t.Errorf("got %q, %+v", out, *failed)
	}
	if want := `/bin/sh -c 'echo out; printf '\''\n one\ntwo \n\n'\'' >&2; exit 3': exit status 3: one` + "\n    two"; err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

// execHangs runs shell text that hangs once it has said something, with as much time as it takes here to say it.
func execHangs(t *testing.T, script string) (out string, err error) {
	t.Helper()
	sh, r := execShell(t), execRunner()
	for r.timeout = 50 * time.Millisecond; out == "" && r.timeout < time.Hour; r.timeout *= 2 {
		begin := time.Now()
		out, err = r.Run(context.Background(), sh, "-c", script)
		if took := time.Since(begin); took < r.timeout {
			t.Errorf("it took %s", took)
		}
	}
	return out, err
}

func TestRunKillsACommandThatHangsAndSaysSo(t *testing.T) {
	t.Parallel()
	out, err := execHangs(t, "echo why >&2; echo begun; "+execStops)
	if out != "begun\n" || exitCode(err) != -1 || errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %d, %v", out, exitCode(err), err)
	}
	if text := fmt.Sprint(err); !strings.Contains(text, "': no answer within ") || !strings.HasSuffix(text, "s: why") {
		t.Errorf("it says %q", text)
	}
}

func TestACommandThatHangsIsKilledWithWhatItStarted(t *testing.T) {
	t.Parallel()
	out, err := execHangs(t, `/bin/sh -c '`+execStops+`' & echo $!; `+execStops)
	pid, _ := strconv.Atoi(strings.TrimSpace(out))
	if pid == 0 || err == nil {
		t.Fatalf("got %q, %v", out, err)
	}
	gone := func() bool {
		stat, err := procfs{root: "/proc"}.stat(pid)
		return !alive(pid) || err == nil && stat[0] == "Z" // ended, and nobody has asked for its status
	}
	until(t, gone, func() string { return "a grandchild lives on" })
}

func TestRunHonoursTheDeadlineOfItsContextInsteadOfItsOwn(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	r := execRunner()
	r.timeout = time.Nanosecond
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	same(t, "", need(r.Run(ctx, sh, "-c", "echo done"))(t), "done\n")
}

func TestRunEndsWhenItsContextIsCancelled(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := execRunner().Run(ctx, sh, "-c", execStops)
	if !errors.Is(err, context.Canceled) || exitCode(err) != -1 || strings.Contains(err.Error(), "no answer") {
		t.Errorf("got %v", err)
	}
}

func TestRunTellsDeathByASignal(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	_, err := execRunner().Run(context.Background(), sh, "-c", "echo last words >&2; kill -9 $$")
	if exitCode(err) != -1 || !strings.HasSuffix(fmt.Sprint(err), ": signal: killed: last words") {
		t.Errorf("got %d, %v", exitCode(err), err)
	}
}

func TestRunKeepsFourMegabytesOfEachStreamAndReadsTheRest(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	script := `s=0123456789abcde; for i in 1 2 3 4 5 6; do s=$s$s; done; i=0; while [ $i -lt 5000 ]; do echo "$s"; echo "$s" >&2; i=$((i+1)); done; exit 7`
	out, err := execRunner().Run(context.Background(), sh, "-c", script)
	var failed *commandError
	if !errors.As(err, &failed) || failed.code != 7 {
		t.Fatalf("a command that says too much was not left to its end: %v", shorten(fmt.Sprint(err), 300))
	}
	if len(out) != outputLimit || len(failed.stderr) < outputLimit-2 || len(failed.stderr) > outputLimit {
		t.Errorf("kept %d and %d bytes", len(out), len(failed.stderr))
	}
	out, err = execRunner().Run(context.Background(), sh, "-c", strings.Replace(script, "exit 7", "exit 0", 1))
	if len(out) != outputLimit || !errors.Is(err, errCut) || !strings.HasSuffix(err.Error(), ": its output is longer than 4 MiB and was cut off") {
		t.Errorf("kept %d bytes of an answer that is too long: %v", len(out), shorten(fmt.Sprint(err), 300))
	}
}

func TestAGrandchildThatHoldsThePipeDoesNotHoldUs(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	r := execRunner()
	r.drain = 50 * time.Millisecond // or it never ends; as long as it takes here to read a line
	out, err := "", error(nil)
	for ; out == "" && err == nil && r.drain < time.Hour; r.drain *= 2 {
		out, err = r.Run(context.Background(), sh, "-c", `/bin/sh -c '`+execStops+`' & echo $!`)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(out))
	if pid > 0 {
		defer func() {
			if grandchild, err := os.FindProcess(pid); err == nil {
				grandchild.Kill()
			}
		}()
	}
	if err != nil || pid == 0 {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestACommandIsOutOfReachOfOurProcessGroup(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	// Were it in our group, this would kill the test.
	if _, err := execRunner().Run(context.Background(), sh, "-c", "kill -9 0"); !strings.HasSuffix(fmt.Sprint(err), "signal: killed") {
		t.Errorf("got %v", err)
	}
}

func TestACommandThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	r := osRunner{path: []string{t.TempDir(), ".", "bin"}, timeout: time.Second}
	_, err := r.Run(context.Background(), "systemctl", "--user", "show")
	if !notFound(err) || exitCode(err) != -1 || err.Error() != "systemctl: command not found" {
		t.Errorf("got %v", err)
	}
	_, err = r.Start(bond{}, nil, nil, nil, "open", "x")
	if !notFound(err) || err.Error() != "open: command not found" {
		t.Errorf("got %v", err)
	}
	if notFound(errors.New("x")) || notFound(nil) || notFound(&commandError{argv: []string{"x"}, code: 1}) {
		t.Error("other failures are not that one")
	}
}

func TestAFileThatIsNoProgramFailsWithItsCause(t *testing.T) {
	t.Parallel()
	execShell(t)
	path := filepath.Join(t.TempDir(), "prog")
	put(t, path, "\x00garbage\x00garbage", 0o755)
	r := execRunner()
	_, err := r.Run(context.Background(), path)
	if !errors.Is(err, syscall.ENOEXEC) || exitCode(err) != -1 || !strings.HasPrefix(err.Error(), shorten(quoteArgv([]string{path}), 100)+": fork/exec "+path+": ") {
		t.Errorf("got %v", err)
	}
	p, err := r.Start(bond{}, nil, nil, nil, path, "x")
	if p != nil || !errors.Is(err, syscall.ENOEXEC) || exitCode(err) != -1 {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestAStartedProcessPassesItsOutputAndTellsItsEnd(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	for script, want := range map[string]exitStatus{"exit 0": {}, "exit 5": {code: 5}, "kill -9 $$": {signal: 9}, "kill -TERM $$": {signal: 15}} {
		var stdout, stderr bytes.Buffer
		p := need(execRunner().Start(bond{}, &stdout, &stderr, []string{"A=2", "B=3"}, sh, "-c", `echo "$$ $A $B $LC_ALL"; echo err >&2; `+script))(t)
		got, err := p.Wait()
		if got != want || err != nil {
			t.Errorf("%s: got %+v, %v; want %+v", script, got, err, want)
		}
		if said := fmt.Sprintf("%d 2 3 C\n", p.Pid()); stdout.String() != said || stderr.String() != "err\n" {
			t.Errorf("it said %q and %q, want %q", stdout.String(), stderr.String(), said)
		}
	}
}

func TestAStartedProcessGetsSignals(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	r := execRunner()
	r.drain = time.Second
	p := need(r.Start(bond{}, nil, nil, nil, sh, "-c", execStops))(t)
	same(t, "a grandchild that holds the pipe holds us for", p.(started).cmd.WaitDelay, r.drain)
	must(t, p.Signal(os.Kill))
	same(t, "", need(p.Wait())(t), (exitStatus{signal: 9}))
	if got, err := p.Wait(); err == nil && got == (exitStatus{}) {
		t.Error("a second wait says that it ended cleanly")
	}
}

func TestQuoteArgv(t *testing.T) {
	t.Parallel()
	for want, argv := range map[string][]string{
		"":                               nil,
		"systemctl --user show -p A,B":   {"systemctl", "--user", "show", "-p", "A,B"},
		"azAZ09@%+=:,./_-":               {"azAZ09@%+=:,./_-"},
		"'' ' '":                         {"", " "},
		`'it'\''s' '$x' '~' 'é' '!' '#'`: {"it's", "$x", "~", "é", "!", "#"},
		"'a\nb' 'a;b' 'a&b'":             {"a\nb", "a;b", "a&b"},
	} {
		same(t, argv, quoteArgv(argv), want)
	}
}

func TestAShellReadsQuotedArgvBack(t *testing.T) {
	t.Parallel()
	sh := execShell(t)
	words := []string{"plain", "", "a b", "it's", "''", `\`, "$HOME", "`x`", `"`, "a\nb", "*", "é", "-n", "~", "#", "a=b", "!", "{a,b}"}
	out, err := execRunner().Run(context.Background(), sh, "-c", `for a in `+quoteArgv(words)+`; do printf '<%s>' "$a"; done`)
	if want := "<" + strings.Join(words, "><") + ">"; out != want || err != nil {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

func TestCommandErrorsSayWhatIsKnown(t *testing.T) {
	t.Parallel()
	argv := []string{"a", "b c"}
	for want, err := range map[string]*commandError{
		"a: command not found":                              {argv: argv, code: -1, cause: exec.ErrNotFound},
		"a 'b c': exit status 5":                            {argv: argv, code: 5},
		"a 'b c': exit status 5: x\n    y":                  {argv: argv, code: 5, stderr: "x\ny"},
		"a 'b c': file does not exist: said":                {argv: argv, code: -1, cause: os.ErrNotExist, stderr: "said"},
		strings.Repeat("a", 100) + "…: exit status 1: said": {argv: []string{strings.Repeat("a", 101), "b"}, code: 1, stderr: "said"},
	} {
		if err.Error() != want || err.Unwrap() != err.cause {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

func TestAStartedCommandThatEndsBadlySaysHow(t *testing.T) {
	t.Parallel()
	for e, want := range map[exitStatus]string{{code: 3}: "x: exit status 3: said", {signal: 9}: "x: killed by " + signalName(9, runtime.GOOS) + ": said"} {
		if err := endedBadly([]string{"x"}, e, "said"); err.Error() != want || exitCode(err) != map[int]int{0: 3, 9: -1}[e.signal] {
			t.Errorf("%+v: got %v", e, err)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	five := &commandError{argv: []string{"a"}, code: 5}
	for _, c := range []struct {
		err  error
		want int
	}{{nil, 0}, {five, 5}, {fmt.Errorf("so: %w", five), 5}, {hint(five, "x"), 5}, {errors.New("x"), -1}, {&commandError{argv: []string{"a"}, code: -1}, -1}} {
		same(t, c.err, exitCode(c.err), c.want)
	}
}

func TestExecutableSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, plain, link := filepath.Join(dir, "good"), filepath.Join(dir, "plain"), filepath.Join(dir, "link")
	for path, mode := range map[string]os.FileMode{good: 0o755, plain: 0o644, filepath.Join(dir, "group"): 0o610} {
		put(t, path, "", mode)
	}
	cases := map[string]string{good: "", dir: "a directory", filepath.Join(dir, "none"): "missing", filepath.Join(dir, "group"): ""}
	if runtime.GOOS != "windows" {
		cases[plain] = "not executable"
		if os.Getuid() != 0 { // root may run what anybody may, and the owner not what only the group may
			cases[filepath.Join(dir, "group")] = "not executable"
		}
		cases[os.DevNull] = "not a regular file"
		cases[filepath.Join(good, "x")] = "not a directory"
		cases["a\x00b"] = "invalid argument"
		must(t, os.Symlink(good, link))
		cases[link] = ""
		os.Symlink(filepath.Join(dir, "none"), link+"2")
		cases[link+"2"] = "missing"
	}
	for path, want := range cases {
		got := ""
		if err := executable(path); err != nil {
			got = err.Error()
		}
		same(t, path, got, want)
	}
}

func TestLookPathTakesTheFirstExecutableOfAbsoluteFolders(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"rel", "b", "c"} {
		put(t, filepath.Join(dir, name, programFile("prog")), "", 0o755)
	}
	must(t, os.MkdirAll(filepath.Join(dir, "a", programFile("prog")), 0o755)) // a folder of that name
	got := lookPath([]string{"", ".", "rel", filepath.Join(dir, "none"), filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}, "prog")
	same(t, "", got, filepath.Join(dir, "b", programFile("prog")))
	same(t, "a relative folder was used", lookPath([]string{"rel", "."}, "prog"), "")
	same(t, "", lookPath(nil, "prog"), "")
}

func TestLimitedBufferTakesAllAndKeepsTheBeginning(t *testing.T) {
	t.Parallel()
	var b limitedBuffer
	for _, n := range []int{outputLimit - 3, 5, 7} {
		same(t, "wrote", need(b.Write(bytes.Repeat([]byte("x"), n)))(t), n)
	}
	same(t, "kept", len(b.String()), outputLimit)
}
