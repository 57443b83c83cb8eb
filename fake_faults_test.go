// The machine of the fault test: one folder and one fake manager in memory, put back to its starting state before every
// case. The seams through which the program reaches it are below.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var faultManagers = []string{"systemd", "launchd"}

// A faultStart is a state of the machine that a verb may meet.
type faultStart struct {
	name string
	make func(*faultBed)
}

func faultStarts(manager string) []faultStart {
	edit := func(bed *faultBed) {
		path := bed.manager.names().path
		text := strings.Replace(bed.read(path), "256M", "1G", 1)   // the unit
		text = strings.Replace(text, "268435456", "1073741824", 1) // the plist
		bed.write(path, text, 0o644)
	}
	installed := func(more ...func(*faultBed)) func(*faultBed) {
		return func(bed *faultBed) {
			bed.must("service install")
			for _, f := range more {
				f(bed)
			}
		}
	}
	run := func(args ...string) func(*faultBed) { return func(bed *faultBed) { bed.must(strings.Join(args, " ")) } }
	starts := []faultStart{
		{"nothing installed", func(*faultBed) {}},
		{"running", installed()},
		{"stopped", installed(run("service stop"))},
		{"crash-looping", installed(func(bed *faultBed) { bed.crashed("crash 3") })},
		{"file gone but running", installed(func(bed *faultBed) { os.Remove(bed.manager.names().path) })},
		{"file there but never loaded", func(bed *faultBed) {
			bed.must("service install")
			text := bed.read(bed.manager.names().path)
			bed.must("service uninstall")
			bed.write(bed.manager.names().path, text, 0o644)
		}},
		{"edited by hand and loaded", installed(edit, run("service restart"))},
		{"edited by hand, not loaded", installed(edit, func(bed *faultBed) { bed.edited = true })},
		{"edited by hand and stopped", installed(edit, run("service stop"))},
		{"edited by hand with an older copy", installed(edit, run("service restart"), func(bed *faultBed) {
			bed.write(bed.manager.names().path+".bak", "older\n", 0o644)
		})},
		{"other port", installed(func(bed *faultBed) { bed.env[httpPortEnv], bed.edited = strconv.Itoa(bed.serve()), true })},
		{"binary replaced", installed(func(bed *faultBed) { bed.replaced = true })},
	}
	ends := map[string][]string{"systemd": {"gave up 3"}, "launchd": {"held CODESIGNING", "reason TCC", "pended inefficient"}}
	for _, how := range ends[manager] {
		starts = append(starts, faultStart{how, installed(func(bed *faultBed) { bed.crashed(how) })})
	}
	if manager == "launchd" { // which ends the next start for its signature
		starts = append(starts, faultStart{"binary replaced, and its identity noted", installed(func(bed *faultBed) {
			bed.replaced = true
			bed.set(func(l *fakeLaunchd) { l.LWCR, l.Identity, l.Respawn = true, "another", 3 })
		})})
	}
	return starts
}

// A faultBed is a bench whose machine can be put back to how it was.
type faultBed struct {
	*bench
	start    savedMachine
	replaced bool // the binary, since the start of the process
	edited   bool // the definition may have been, since then, as far as the time tells
}

// A savedMachine is the state of the fake manager and the files below HOME.
type savedMachine struct {
	state   fakeState
	files   []savedFile
	journal string
}

type savedFile struct {
	name, text, link string
	mode             os.FileMode
}

func newFaultBed(t *testing.T, manager string, start faultStart) *faultBed {
	b := newBenchIn(t, manager, memoryFolder(t))
	b.fake.mem = &fakeMemory{state: b.fake.load(), noProc: true}
	b.env["DISPLAY"] = ":0"
	b.timings.probe, b.timings.slow, b.timings.look, b.timings.grace = time.Millisecond/5, time.Millisecond/2, time.Millisecond, 4*time.Millisecond
	bed := &faultBed{bench: b}
	b.env[httpPortEnv] = strconv.Itoa(bed.serve())
	bed.app.run = inProcess{b.fake}
	bed.processes = fakeTable{bed}
	if manager == "launchd" {
		bed.processes = lsofTable{run: bed.app.run, answers: bed.heldByAny}
	}
	start.make(bed)
	bed.start = bed.save()
	if bed.replaced {
		bed.write(bed.fake.path("running"), fmt.Sprintf("%d\ni1\nn%s", bed.start.state.PID, bed.collector()), 0o600)
	}
	return bed
}

// memoryFolder is a folder in memory where there is one: tens of thousands of small files are made in it.
func memoryFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "runtimescope-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// must runs a verb on the way to the starting state.
func (bed *faultBed) must(args string) {
	bed.t.Helper()
	if code := bed.bench.runs(strings.Fields(args)...); code != 0 {
		bed.t.Fatalf("%s: exit %d\n%s%s", args, code, bed.stdout.String(), bed.stderr.String())
	}
}

func (bed *faultBed) pid() int { return bed.fakeState().PID }

// definition is the name of the definition below HOME.
func (bed *faultBed) definition() string {
	name, _ := filepath.Rel(bed.home, bed.manager.names().path)
	return filepath.ToSlash(name)
}

func (bed *faultBed) save() savedMachine {
	bed.t.Helper()
	s := savedMachine{state: bed.fakeState(), journal: bed.read(bed.fake.path("journal"))}
	err := filepath.WalkDir(bed.home, func(path string, entry os.DirEntry, err error) error {
		if err != nil || path == bed.home {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(bed.home, path)
		f := savedFile{name: filepath.ToSlash(name), mode: info.Mode()}
		if f.link, err = os.Readlink(path); err != nil && info.Mode().IsRegular() {
			f.text = bed.read(path)
		}
		s.files = append(s.files, f)
		return nil
	})
	if err != nil {
		bed.t.Fatal(err)
	}
	return s
}

// restore puts the machine back to its starting state.
func (bed *faultBed) restore() {
	bed.t.Helper()
	entries, _ := os.ReadDir(bed.home)
	for _, entry := range entries {
		os.RemoveAll(filepath.Join(bed.home, entry.Name()))
	}
	bed.write(bed.fake.path("journal"), bed.start.journal, 0o600)
	for _, f := range bed.start.files {
		path := filepath.Join(bed.home, f.name)
		var err error
		switch {
		case f.mode.IsDir():
			err = os.Mkdir(path, f.mode.Perm())
		case f.link != "":
			err = os.Symlink(f.link, path)
		default:
			err = os.WriteFile(path, []byte(f.text), f.mode.Perm())
		}
		if err != nil {
			bed.t.Fatal(err)
		}
	}
	s := bed.start.state
	if bed.manager.names().name == "launchd" { // which tells what is newer by the time
		l := s.mac()
		for _, j := range l.Jobs {
			if j.Began = time.Now(); bed.edited {
				j.Began = time.Now().Add(-time.Hour)
			}
		}
		s.keep(l)
	}
	bed.fake.locked(func() { bed.fake.mem.state, bed.fake.mem.calls = s, nil })
}

// An fallout is all that counts of how the machine ended up.
type fallout struct {
	files map[string]string // below HOME: the text, or where a link points
	text  string            // of the definition
	// enabled is, for launchd, that the job is loaded
	installed, enabled, up, serves, stale bool
	port                                  int // where the collector listens, if it does
}

// settled leaves out what a way back need not restore: a process that had failed and now serves, whether systemd had
// noticed an edit, and a link that starts nothing.
func (o fallout) settled() fallout {
	o.serves, o.port, o.stale = false, 0, false
	if !o.installed {
		o.files = maps.Clone(o.files)
		maps.DeleteFunc(o.files, func(name, _ string) bool { return strings.HasSuffix(name, wantsLink) })
		o.enabled = false
	}
	return o
}

// enabledAtLogin tells whether something on disk still starts the service.
func (o fallout) enabledAtLogin() bool {
	for name := range o.files {
		if strings.HasSuffix(name, wantsLink) {
			return true
		}
	}
	return false
}

const wantsLink = ".wants/" + unitName

func (bed *faultBed) fallout() fallout {
	bed.t.Helper()
	now := bed.save()
	o := fallout{files: map[string]string{}, up: now.state.PID != 0 || now.state.Active == "activating", serves: now.state.serves()}
	loaded := bed.manager.parse(now.state.LoadedText)
	if bed.manager.names().name == "launchd" {
		for _, j := range now.state.mac().Jobs {
			o.enabled, o.up = true, o.up || j.Scheduled
			loaded.collector, loaded.ports = j.Program, ports{}
			loaded.ports.read(j.Environ)
		}
	}
	for _, f := range now.files {
		if !f.mode.IsDir() && !strings.HasSuffix(f.name, ".log") {
			o.files[f.name] = f.text + f.link
		}
		if strings.HasSuffix(f.name, wantsLink) {
			o.enabled = true
		}
	}
	o.text, o.installed = o.files[bed.definition()]
	if o.up && o.installed {
		o.stale = bed.manager.parse(o.text) != loaded || now.state.LoadedText != "" && o.text != now.state.LoadedText
	}
	if o.serves {
		o.port, _ = now.state.fakePorts()
	}
	return o
}

// serve answers probes on a port of its own while the collector of the fake machine listens there. Net/http would
// take more time than all the rest.
func (bed *faultBed) serve() (port int) {
	bed.t.Helper()
	listener := need(net.Listen("tcp4", "127.0.0.1:0"))(bed.t)
	bed.t.Cleanup(func() { listener.Close() })
	port = listener.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if s := bed.fakeState(); s.serves() {
				if http, _ := s.fakePorts(); http == port {
					conn.Read(make([]byte, 4096))
					io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n{}")
				}
			}
			conn.Close()
		}
	}()
	return port
}

// fakeTable is the process table of a fake machine on systemd, where the real one reads /proc and so cannot fail.
type fakeTable struct{ bed *faultBed }

func (t fakeTable) holders(_ context.Context, port int) (func(int) []holder, error) {
	var found []holder
	if pid, ok := t.bed.fake.held(t.bed.fakeState())[port]; ok {
		found = []holder{heldBy(pid, "/app/collector-server")}
	}
	return func(int) []holder { return found }, nil
}

func (t fakeTable) belongs(_ context.Context, pid int, s state) bool { return pid == s.pid }

func (t fakeTable) describe(_ context.Context, _ Runner, _ int, h holder) holder { return h }

func (t fakeTable) environ(int) []string { return nil }

func (t fakeTable) facts(context.Context, int) (time.Duration, int64, error) {
	return 0, 1 << 20, nil
}

func (t fakeTable) replaced(_ context.Context, pid int, _ string, _ func(time.Time) bool) bool {
	return t.bed.replaced && pid == t.bed.start.state.PID
}

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

var allFaults = flag.Bool("faults", false, "try every kind of fault at every point, not every second one, and of those that are alike one in turn")

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

// A fault is what happens at the nth meeting of a point in a run, counted from 1; 0: never.
type fault struct {
	at   string
	nth  int
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
		one.processes = lsofTable{run: seams, answers: bed.heldByAny}
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
	if p.String() == s.fault.at {
		if s.fault.nth--; s.fault.nth == 0 {
			s.run.met = true
			return s.fault.mode
		}
	}
	return ""
}

// way is what a run came by, however often it looked: between two changes each question once.
func (r faultRun) way() (way []string) {
	asked := map[string]bool{}
	for _, p := range append(r.points, point{op: "the end"}) {
		if p.argv != nil && readsOnly(p.argv) {
			asked[p.String()] = true
			continue
		}
		way = append(append(way, slices.Sorted(maps.Keys(asked))...), p.String())
		clear(asked)
	}
	return way
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

func (s *faultSeams) Start(_ bond, _, _ io.Writer, _ []string, argv ...string) (process, error) {
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
