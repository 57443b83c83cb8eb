// "service run": the collector in the foreground, with real processes, signals and pipes.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A foreground is a "service run" under way. What it says is in a file, unless its output is another.
type foreground struct {
	*e2e
	cmd  *exec.Cmd
	said string
}

// foreground starts a run of this script, in which COLLECTOR and SLEEP are programs. output is nil for a file that says reads.
func (e *e2e) foreground(script string, output *os.File) *foreground {
	e.t.Helper()
	program := filepath.Join(e.home, "real/collector-server")
	if _, err := os.Stat(program); err != nil {
		e.another("real", "collector-server")
		sleep, err := exec.LookPath("sleep")
		e.ok(err)
		e.copyProgram(sleep, filepath.Join(e.home, "real/sleep"))
	}
	if script != "" {
		e.ok(os.Remove(e.collector))
		e.write(e.collector, "#!/bin/sh\n"+strings.NewReplacer("COLLECTOR", program, "SLEEP", filepath.Join(e.home, "real/sleep")+" 1234").Replace(script)+"\n", 0o755)
	}
	f := &foreground{e2e: e, said: filepath.Join(e.home, "said")}
	f.cmd, _ = e.command(filepath.Join(e.bin, "runtimescope"), "service", "run")
	if output == nil {
		file, err := os.Create(f.said)
		e.ok(err)
		defer file.Close()
		output = file
	}
	f.cmd.Stdout, f.cmd.Stderr = output, output
	e.ok(f.cmd.Start())
	e.t.Cleanup(func() { f.cmd.Process.Kill() })
	return f
}

// says waits until it has said a text n times.
func (f *foreground) says(n int, text string) *foreground {
	f.t.Helper()
	f.until(fmt.Sprintf("it says %q %d times", text, n), func() bool { return strings.Count(f.read(f.said), text) >= n })
	return f
}

// ends waits for its exit status, and checks that nothing is left of the collector, nor called a failure.
func (f *foreground) ends(code int) {
	f.t.Helper()
	f.cmd.Wait()
	said, _ := os.ReadFile(f.said)
	if got := f.cmd.ProcessState.ExitCode(); got != code || strings.Contains(string(said), "✗") {
		f.t.Errorf("exit %d, want %d, and no ✗:\n%s", got, code, said)
	}
	f.stopped()
	if out, _ := exec.Command("pgrep", "-f", filepath.Join(f.home, "real")).Output(); len(out) > 0 {
		f.t.Errorf("left running: %s", out)
	}
}

func (f *foreground) signal(sig os.Signal) { f.t.Helper(); f.ok(f.cmd.Process.Signal(sig)) }

// status is a line of /proc/PID/status.
func (f *foreground) status(pid int, key string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "\n"+key+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// child is the oldest child of the run.
func (f *foreground) child() int {
	f.t.Helper()
	out, err := exec.Command("pgrep", "-oP", strconv.Itoa(f.cmd.Process.Pid)).Output()
	f.ok(err)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	return pid
}

func TestE2ERunLeavesNothingOfItsCollectorBehind(t *testing.T) {
	for _, c := range []struct {
		what, script string
		signal       os.Signal
		code         int
	}{
		{"a wrapper that waits", "COLLECTOR & wait", syscall.SIGTERM, 143},
		{"a wrapper that waits, Ctrl-C", "COLLECTOR & wait", syscall.SIGINT, 130},
		{"a helper in a session of its own", "setsid SLEEP & exec COLLECTOR", syscall.SIGTERM, 0},
		{"the collector in a session of its own", "setsid COLLECTOR & wait", syscall.SIGTERM, 143},
		{"a helper that is deaf", "(trap '' TERM INT; exec setsid SLEEP) & exec COLLECTOR", syscall.SIGTERM, 0},
		{"no handler", "COLLECTOR & exec SLEEP", syscall.SIGINT, 130},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newE2E(t).foreground(c.script, nil).says(1, "✓ Collector is healthy")
			f.signal(c.signal)
			f.ends(c.code)
		})
	}
}

func TestE2ERunStartsAWrapperAgainWhenNothingIsLeftOfTheLastStart(t *testing.T) {
	f := newE2E(t).foreground("setsid SLEEP & COLLECTOR & wait", nil).says(1, "✓ Collector is healthy")
	f.kill(f.child())
	f.says(1, "Collector stopped").says(1, "⚠ the collector was killed by SIGKILL; restarting in 5s")
	f.stopped()
	f.says(2, "✓ Collector is healthy")
	f.signal(syscall.SIGTERM)
	f.ends(143)
}

func TestE2ERunEndsWithAWrapperThatEndsCleanly(t *testing.T) {
	newE2E(t).foreground("COLLECTOR & until sleep 0.1; do exit 0; done", nil).ends(0)
}

func TestE2ERunIsStoppedAndGoesOnAsAJob(t *testing.T) {
	f := newE2E(t).foreground("", nil).says(1, "✓ Collector is healthy")
	collector := f.child()
	for _, c := range []struct {
		signal syscall.Signal
		state  string
	}{{syscall.SIGTSTP, "T"}, {syscall.SIGCONT, "S"}, {syscall.SIGTSTP, "T"}, {syscall.SIGCONT, "S"}} {
		f.signal(c.signal)
		f.until("both are in state "+c.state, func() bool {
			return strings.HasPrefix(f.status(f.cmd.Process.Pid, "State"), c.state) && strings.HasPrefix(f.status(collector, "State"), c.state)
		})
	}
	f.signal(syscall.SIGTERM)
	f.ends(0)
}

func TestE2ERunServesWhateverBecomesOfItsOutput(t *testing.T) {
	e := newE2E(t)
	outputs := []*os.File{}
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		defer full.Close()
		outputs = append(outputs, full)
	} else {
		t.Logf("a full disk is left out: %v", err)
	}
	unread, stuck, err := os.Pipe()
	e.ok(err)
	defer unread.Close()
	defer stuck.Close()
	for _, output := range append(outputs, stuck) {
		f := e.foreground("i=0; while [ $i -lt 400 ]; do printf '%09999d\\n' 1; i=$((i+1)); done; exec COLLECTOR", output) // 4 MB
		e.until("it serves", e.answers)
		f.signal(syscall.SIGTERM)
		f.ends(0)
	}
}

func TestE2ERunLeavesIgnoredWhatWasIgnored(t *testing.T) {
	e := newE2E(t)
	e.prefix = []string{"sh", "-c", `trap '' INT HUP; exec "$@"`, "sh"}
	f := e.foreground("", nil).says(1, "✓ Collector is healthy")
	ignored, err := strconv.ParseUint(f.status(f.cmd.Process.Pid, "SigIgn"), 16, 64)
	if err != nil || ignored&3 != 3 { // signal 1 is the lowest bit
		t.Errorf("it ignores %#x, %v", ignored, err)
	}
	f.signal(syscall.SIGTERM)
	f.ends(0)
}

func TestE2EAnIdleRunSleeps(t *testing.T) {
	f := newE2E(t).foreground("", nil).says(1, "✓ Collector is healthy")
	switches := func() (sum int) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", f.cmd.Process.Pid))
		for _, thread := range threads {
			tid, _ := strconv.Atoi(filepath.Base(thread))
			n, _ := strconv.Atoi(f.status(tid, "voluntary_ctxt_switches"))
			sum += n
		}
		return sum
	}
	f.until("it has not been awake for two seconds", func() bool {
		before := switches()
		time.Sleep(2 * time.Second)
		return switches() == before
	})
	f.signal(syscall.SIGTERM)
	f.ends(0)
}

func TestE2EWhatStopsLogsStopsJournalctl(t *testing.T) {
	e := newE2E(t)
	if !e.journal() {
		t.Skip("this user may not read the journal")
	}
	e.exits(0, "service install")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} { // Ctrl-C, and kill -9
		cmd, _ := e.command(filepath.Join(e.bin, "runtimescope"), "service", "logs", "-f")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell starts a job
		shown, err := os.Create(filepath.Join(e.home, "shown"))
		e.ok(err)
		defer shown.Close()
		cmd.Stdout = shown
		e.ok(cmd.Start())
		e.until("the log is shown", func() bool { return strings.Contains(e.read(shown.Name()), "collector ready") })
		pid := cmd.Process.Pid
		f := &foreground{e2e: e, cmd: cmd}
		journalctl := f.child()
		e.ok(syscall.Kill(-pid, syscall.SIGTSTP))
		e.until("both are stopped", func() bool {
			return strings.HasPrefix(f.status(pid, "State"), "T") && strings.HasPrefix(f.status(journalctl, "State"), "T")
		})
		e.ok(syscall.Kill(-pid, syscall.SIGCONT))
		if sig == syscall.SIGINT {
			pid = -pid
		}
		e.ok(syscall.Kill(pid, sig))
		cmd.Wait()
		if state := cmd.ProcessState; sig == syscall.SIGINT && (state.ExitCode() != 0 || fmt.Sprint(cmd.Stderr) != "") {
			t.Errorf("to end it is no failure: %v, %s", state, cmd.Stderr)
		}
		e.until("journalctl has ended", func() bool { return f.status(journalctl, "State") == "" })
	}
}
