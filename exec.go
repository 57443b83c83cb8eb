// Every command this tool runs goes through a Runner, so that a test can stand in for all of them.
// This file alone imports os/exec.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Runner runs commands, argv only, never through a shell.
type Runner interface {
	// Run runs one command to completion and returns its standard output, at most outputLimit bytes of it.
	// A command that could not be run, did not end in time, exited non-zero or said more than that is a *commandError.
	Run(ctx context.Context, argv ...string) (stdout string, err error)
	// Start starts a command that lasts, its output going where the caller says (nil: nowhere), env added to its environment.
	Start(b bond, stdout, stderr io.Writer, env []string, argv ...string) (process, error)
}

// A bond is what a started command shares with us.
type bond struct {
	ownGroup bool           // a process group of its own, out of reach of what the terminal sends
	death    syscall.Signal // that it gets when we have ended, however we did; 0: none. Linux only
}

// A process is a started command.
type process interface {
	Pid() int
	Signal(os.Signal) error
	// Wait returns how the process ended; an error means that it could not be found out.
	Wait() (exitStatus, error)
}

// outputLimit bounds what is kept of a command's output, in bytes: more than the variables of a process may take in all.
const outputLimit = 4 << 20

// errCut is the cause of a command that said more than is kept.
var errCut = fmt.Errorf("its output is longer than %d MiB and was cut off", outputLimit>>20)

// A commandError is a command that did not do what it was asked.
type commandError struct {
	argv   []string
	code   int    // exit status; -1 when it was never started, did not end in time, or was killed
	stderr string // what it said, trimmed
	cause  error  // why there is no exit status
}

func (e *commandError) Error() string {
	line := shorten(quoteArgv(e.argv), 100)
	switch {
	case errors.Is(e.cause, exec.ErrNotFound):
		return e.argv[0] + ": command not found"
	case e.cause != nil:
		line += ": " + e.cause.Error()
	default:
		line += fmt.Sprintf(": exit status %d", e.code)
	}
	if e.stderr != "" {
		line += ": " + strings.ReplaceAll(e.stderr, "\n", "\n    ")
	}
	return line
}

func (e *commandError) Unwrap() error { return e.cause }

// endedBadly is the error of a started command that did not end with 0.
func endedBadly(argv []string, e exitStatus, stderr string) error {
	failed := &commandError{argv: argv, code: e.code, stderr: stderr}
	if e.signal != 0 {
		failed.code, failed.cause = -1, errors.New("killed by "+signalName(e.signal, runtime.GOOS))
	}
	return failed
}

// exitCode is the exit status of a failed command, 0 for no error, -1 when there is none.
func exitCode(err error) int {
	var failed *commandError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		return failed.code
	}
	return -1
}

// notFound tells whether a command failed because there is no such program on this machine.
func notFound(err error) bool { return errors.Is(err, exec.ErrNotFound) }

// quoteArgv writes argv as one line that a POSIX shell would read back as the same words.
func quoteArgv(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = word
		if word == "" || strings.ContainsFunc(word, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-", r)
		}) {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// An osRunner runs commands on this machine.
type osRunner struct {
	path    []string      // where commands are looked for, in order
	env     []string      // the environment they get, LC_ALL=C among it
	timeout time.Duration // for a Run whose context has no deadline of its own
	drain   time.Duration // that output is read after a command's end where a grandchild holds the pipe; 0: to its end
}

// commandEnv is what commands get of an environment: nothing that changes what they print, or what code they load.
func commandEnv(environ []string) []string {
	return append(slices.DeleteFunc(slices.Clone(environ), func(word string) bool {
		return slices.ContainsFunc([]string{"SYSTEMD_", "LD_", "PAGER=", "LESS", "LC_ALL="}, func(start string) bool {
			return strings.HasPrefix(word, start)
		})
	}), "LC_ALL=C")
}

func (r osRunner) command(ctx context.Context, b bond, argv, env []string) (*exec.Cmd, error) {
	program := argv[0]
	if !filepath.IsAbs(program) {
		program = lookPath(r.path, program)
	}
	if program == "" {
		return nil, &commandError{argv: argv, code: -1, cause: exec.ErrNotFound}
	}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Env = append(append([]string{}, r.env...), env...)
	cmd.SysProcAttr = b.attributes()
	cmd.WaitDelay = r.drain
	return cmd, nil
}

func (r osRunner) Run(ctx context.Context, argv ...string) (string, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.timeout)
		defer cancel()
	}
	start := time.Now()
	cmd, err := r.command(ctx, bond{ownGroup: true}, argv, nil) // Ctrl-C is ours to handle: a half-done systemctl helps nobody
	if err != nil {
		return "", err
	}
	var stdout, stderr limitedBuffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, syscall.SIGKILL) } // with what it started
	err = cmd.Run()
	if (err == nil || errors.Is(err, exec.ErrWaitDelay)) && stdout.cut {
		return stdout.String(), &commandError{argv: argv, code: -1, cause: errCut}
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return stdout.String(), nil
	}
	failed := &commandError{argv: argv, code: -1, stderr: stderr.text(), cause: err}
	var ended *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		failed.cause = fmt.Errorf("no answer within %s", time.Since(start).Round(100*time.Millisecond))
	case ctx.Err() != nil:
		failed.cause = ctx.Err()
	case errors.As(err, &ended) && ended.Exited():
		failed.code, failed.cause = ended.ExitCode(), nil
	}
	return stdout.String(), failed
}

func (r osRunner) Start(b bond, stdout, stderr io.Writer, env []string, argv ...string) (process, error) {
	cmd, err := r.command(context.Background(), b, argv, env)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, &commandError{argv: argv, code: -1, cause: err}
	}
	return started{cmd}, nil
}

type started struct{ cmd *exec.Cmd }

func (s started) Pid() int                   { return s.cmd.Process.Pid }
func (s started) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

func (s started) Wait() (exitStatus, error) {
	err := s.cmd.Wait()
	state := s.cmd.ProcessState
	if state == nil {
		return exitStatus{}, err
	}
	if status, _ := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return exitStatus{signal: int(status.Signal())}, nil
	}
	return exitStatus{code: state.ExitCode()}, nil
}

// handOver becomes another program. Where there is no such thing it runs it, with our streams; what the console sends reaches both.
func handOver(argv, env []string) (code int, err error) {
	if err := syscall.Exec(argv[0], argv, env); !errors.Is(err, errors.ErrUnsupported) {
		return 0, fmt.Errorf("cannot run %s: %w", argv[0], err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	err = cmd.Run()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		return ended.ExitCode(), nil
	}
	return 0, err
}

// lookPath finds an executable file by name in absolute folders only: the current one decides nothing. "" when there is none.
func lookPath(dirs []string, name string) string {
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			continue
		}
		// not Join, which would take a ".." for more than it is
		path := strings.TrimSuffix(dir, string(filepath.Separator)) + string(filepath.Separator) + programFile(name)
		if executable(path) == nil {
			return path
		}
	}
	return ""
}

// programFile is the file name of a program on this system.
func programFile(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// executable says why path cannot be run: it is missing, not a regular file, or has no execute permission.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("missing")
	case err != nil:
		return err.(*os.PathError).Err
	case info.IsDir():
		return errors.New("a directory")
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case !mayAccess(path, 1) && info.Mode()&0o111 != 0 && noExec(path):
		return errors.New("on a file system that is mounted noexec")
	case !mayAccess(path, 1):
		return errors.New("not executable")
	}
	return nil
}

// limitedBuffer keeps the first outputLimit bytes and swallows the rest.
type limitedBuffer struct {
	kept []byte
	cut  bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	n := min(len(p), outputLimit-len(b.kept))
	b.kept, b.cut = append(b.kept, p[:n]...), b.cut || n < len(p)
	return len(p), nil
}

func (b *limitedBuffer) String() string { return string(b.kept) }
func (b *limitedBuffer) text() string   { return strings.TrimSpace(string(b.kept)) }
