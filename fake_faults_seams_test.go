// The two seams of the fault test, Runner and disk: they count what goes through them, and fail or kill the program
// where they are told to.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

// A point is one thing that went through a seam: a command, or an operation on a file.
type point struct {
	argv     []string
	op, path string
}

func (p point) String() string {
	if p.argv != nil {
		return quoteArgv(p.argv)
	}
	return p.op + " " + filepath.Base(p.path)
}

var allFaults = flag.Bool("faults", false, "try every kind of fault at every point, not one of those that are alike in turn")

// modes are the ways in which it can fail. "done" means that it was carried out all the same. The kinds of one row
// differ in their words only; turn picks one of them, so that each row is met everywhere, and each kind somewhere.
func (p point) modes(turn int) (modes []string) {
	rows := [][]string{{"refused", "out of reach", "not found", "killed", "deadline"}, {"garbage"}}
	switch {
	case p.argv == nil && p.op == "write":
		rows = [][]string{{"EACCES", "ENOSPC", "EROFS"}, {"short write"}, {"SIGKILL half-way"}, {"SIGKILL after"}}
	case p.argv == nil:
		rows = [][]string{{"EACCES", "ENOSPC", "EROFS"}, {"SIGKILL after"}}
	case !readsOnly(p.argv):
		rows = append(rows, []string{"killed, done", "deadline, done"}, []string{"SIGKILL after"})
	}
	for _, row := range rows {
		if *allFaults {
			modes = append(modes, row...)
		} else {
			modes = append(modes, row[turn%len(row)])
		}
	}
	return modes
}

// raced tells whether this test binary was built with -race, where everything takes several times as long.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// A fault is what happens at one point of a run, counted from 1; 0: never.
type fault struct {
	at   int
	mode string
}

// A faultRun is one run of the program and what it met.
type faultRun struct {
	code        int
	out, err    string
	points      []point
	met, killed bool
}

func (r faultRun) said() string { return fmt.Sprintf("exit %d\n%s%s", r.code, r.out, r.err) }

// killedHere is what a killed program panics with.
type killedHere struct{}

// runs runs the program once, with a fault.
func (bed *faultBed) runs(args string, f fault) (run faultRun) {
	bed.t.Helper()
	one := bed.another()
	seams := &faultSeams{fault: f, run: &run, inner: inProcess{bed.fake}}
	one.app.run, one.disk = seams, seams
	if _, ok := one.processes.(lsofTable); ok {
		one.processes = lsofTable{run: seams}
	}
	defer func() {
		run.out, run.err = one.stdout.String(), one.stderr.String()
		if p := recover(); p != nil {
			if _, ok := p.(killedHere); !ok {
				panic(p)
			}
			run.killed = true
		}
	}()
	run.code = one.report(one.dispatch(context.Background(), strings.Fields(args)))
	return run
}

// faultSeams stands between the program and its machine.
type faultSeams struct {
	fault fault
	run   *faultRun
	inner inProcess
}

// meets notes a point and tells whether it is the one that fails.
func (s *faultSeams) meets(p point) (mode string) {
	s.run.points = append(s.run.points, p)
	if len(s.run.points) == s.fault.at {
		s.run.met = true
		return s.fault.mode
	}
	return ""
}

func (s *faultSeams) Run(ctx context.Context, argv ...string) (string, error) {
	mode := s.meets(point{argv: slices.Clone(argv)})
	if mode == "" {
		return s.inner.Run(ctx, argv...)
	}
	failed := &commandError{argv: argv, code: -1}
	if strings.HasSuffix(mode, ", done") || mode == "SIGKILL after" || mode == "garbage" && !readsOnly(argv) {
		s.inner.Run(ctx, argv...)
	}
	switch strings.TrimSuffix(mode, ", done") {
	case "refused":
		failed.code, failed.stderr = refusal(argv)
	case "out of reach":
		failed.code, failed.stderr = 1, "Failed to connect to bus: Connection refused"
		if argv[0] == "launchctl" {
			failed.code, failed.stderr = 125, "125: Domain does not support specified action"
		}
	case "not found":
		failed.cause = exec.ErrNotFound
	case "killed":
		failed.cause = errors.New("signal: killed")
	case "deadline":
		failed.cause = fmt.Errorf("no answer within 10s: %w", context.DeadlineExceeded)
	case "garbage":
		if len(argv) > 1 && argv[1] == "print" && argv[0] == "launchctl" { // its exit status counts, not its text
			if _, err := s.inner.Run(ctx, argv...); err != nil {
				return "", err
			}
		}
		return "\x00\xff= {\n\n=\nMainPID=x\n\"PID\" = ;\npbad\nn:\n", nil
	case "SIGKILL after":
		panic(killedHere{})
	}
	return "", failed
}

// refusal is what a command says when it cannot do what it was asked: the words of the real ones.
func refusal(argv []string) (code int, stderr string) {
	switch argv[0] {
	case "systemctl":
		return 1, "Failed to " + argv[2] + " unit: Connection timed out"
	case "launchctl":
		switch argv[1] {
		case "bootstrap":
			return 5, "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors."
		case "bootout":
			return 5, "Boot-out failed: 5: Input/output error\nTry re-running the command as root for richer errors."
		}
		return 1, "Could not " + argv[1] + " service: 1: Operation not permitted"
	}
	return 1, argv[0] + ": Operation not permitted"
}

func (s *faultSeams) Start(_, _ io.Writer, _ []string, argv ...string) (process, error) {
	_, err := s.Run(context.Background(), argv...)
	if exitCode(err) < 0 {
		return nil, err
	}
	return endedProcess{exitStatus{code: exitCode(err)}}, nil
}

// do leaves fsync out: what it is for cannot be seen here, and it would take most of the time.
func (s *faultSeams) do(op, path string, change func() error) error {
	if op == "sync" {
		change = func() error { return nil }
	}
	mode := s.meets(point{op: op, path: path})
	errno := map[string]error{"EACCES": syscall.EACCES, "ENOSPC": syscall.ENOSPC, "EROFS": syscall.EROFS}[mode]
	switch {
	case mode == "":
		return change()
	case errno != nil:
		return &os.PathError{Op: op, Path: path, Err: errno}
	}
	err := change()
	if mode == "short write" || mode == "SIGKILL half-way" {
		if info, statErr := os.Stat(path); statErr == nil {
			os.Truncate(path, info.Size()/2)
		}
		err = &os.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
	}
	if strings.HasPrefix(mode, "SIGKILL") {
		panic(killedHere{})
	}
	return err
}
