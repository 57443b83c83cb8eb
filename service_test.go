// The harness: TestMain turns the test binary into systemctl, launchctl, journalctl, lsof, ps and xdg-open when it is
// started by one of those names; a bench is an app whose every command is such a fake, with the state of its machine
// in a folder. The stories themselves are in the files named after what they tell.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fakeFolderEnv names the folder in which the fakes keep the state of their machine.
const fakeFolderEnv = "RUNTIMESCOPE_TEST_FAKE"

var fakeNames = []string{"systemctl", "launchctl", "journalctl", "lsof", "ps", "xdg-open", "open"}

func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	if folder := os.Getenv(fakeFolderEnv); folder != "" && slices.Contains(fakeNames, name) {
		code := fakeMachine{dir: folder}.main(append([]string{name}, os.Args[1:]...), os.Stdout, os.Stderr)
		for _, err := os.Stat(folder); code == hangs && err == nil; _, err = os.Stat(folder) {
			time.Sleep(20 * time.Millisecond)
		}
		os.Exit(code)
	}
	if os.Getenv(fakeFolderEnv) != "" && name == "runtimescope" {
		main()
		os.Exit(0)
	}
	if name == collectorName {
		os.Exit(standIn())
	}
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked && runtime.GOMAXPROCS(0) < 8 {
		flag.Set("test.parallel", "8") // most tests wait, rather than compute
	}
	debug.SetGCPercent(800) // a tenth of the time, for memory that is there
	if err := lacking(); err != nil {
		fmt.Fprintf(os.Stderr, "The tests cannot run here: %v.\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// lacking is what this machine lacks that nearly every test needs.
func lacking() error {
	if _, err := os.Executable(); err != nil {
		return fmt.Errorf("they start themselves again, and cannot tell by which path: %w", err)
	}
	dir, err := os.MkdirTemp("", "runtimescope")
	if err != nil {
		return fmt.Errorf("no folder can be made in %s, so set TMPDIR to another: %w", os.TempDir(), err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	if err := cmp.Or(os.WriteFile(program, nil, 0o700), executable(program)); err != nil {
		return fmt.Errorf("no program can be run from %s, so set TMPDIR to another folder: %w", os.TempDir(), err)
	}
	for range 256 {
		file, err := os.Open(program)
		if err != nil {
			return fmt.Errorf("they need 256 open files, so raise ulimit -n: %w", err)
		}
		defer file.Close()
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("they need the loopback network: %w", err)
	}
	defer listener.Close()
	conn, err := net.DialTimeout("tcp4", listener.Addr().String(), time.Minute)
	if err != nil {
		return fmt.Errorf("they need the loopback network, so bring lo up: %w", err)
	}
	return conn.Close()
}

// A fakeMachine is a machine whose state is a folder: home/, proc/, state.json, calls, plants.
type fakeMachine struct {
	dir string
	mem *fakeMemory // instead of state.json, calls and plants, where all calls are made in this process
}

type fakeMemory struct {
	sync.Mutex
	state  fakeState
	calls  [][]string
	plants []plant
	noProc bool
}

// A fakeState is what the fake managers remember. The fields are systemd's properties where systemd has them.
type fakeState struct {
	Home     string
	Uid      int
	Behave   string // what the collector does once started: "", "crash N", "signal N", "exit 0", "silent", "crash later N"
	Busless  string // what systemctl says instead of answering
	HTTPPort int    // of the test's own /readyz server
	NextPID  int

	LoadedText string // the unit that the manager has loaded; "" for none
	Inherited  string // K=V words that the manager hands on
	Overrides  string // K=V words of a drop-in, seen by the collector alone
	Vendor     string // a unit that a package brought
	Extra      string // properties that systemctl show prints before, and so instead of, its own
	Active     string
	Sub        string
	Result     string
	PID        int
	ExecCode   int
	ExecStatus int
	Restarts   int
	Invocation int
	Starts     int // since the limit was last reset
	Shows      int // since the start

	Launchd json.RawMessage // what the fake launchctl keeps
}

// A plant is a failure that waits for a call.
type plant struct {
	Call   string // the call starts with these words
	Nth    int    // of the calls that match, counted from 1
	Code   int
	Stdout string
	Stderr string
	Hang   bool // for as long as the machine is there
	Also   bool // the call is carried out all the same
}

func (m fakeMachine) path(name string) string { return filepath.Join(m.dir, name) }

// locked runs f with the machine to itself.
func (m fakeMachine) locked(f func()) {
	if m.mem != nil {
		m.mem.Lock()
		defer m.mem.Unlock()
		f()
		return
	}
	lock := m.path("lock")
	file, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL, 0o600) // a folder would take longer
	for ; errors.Is(err, os.ErrExist) || runtime.GOOS == "windows" && err != nil; file, err = os.OpenFile(lock, os.O_CREATE|os.O_EXCL, 0o600) {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		panic(err)
	}
	file.Close()
	defer os.Remove(lock)
	f()
}

func (m fakeMachine) load() (s fakeState) {
	if m.mem != nil {
		return m.mem.state
	}
	text, err := os.ReadFile(m.path("state.json"))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		panic(err)
	}
	return s
}

func (m fakeMachine) store(s fakeState) {
	if m.mem != nil {
		m.mem.state = s
		return
	}
	text, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(m.path("state.json"), text, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// change changes the state from a test.
func (m fakeMachine) change(f func(*fakeState)) {
	m.locked(func() {
		s := m.load()
		f(&s)
		m.store(s)
	})
}

// hangs stands for the exit status of a command that does not end.
const hangs = 199

// main is one call of one fake command.
func (m fakeMachine) main(argv []string, stdout, stderr io.Writer) (code int) {
	hang := false
	m.locked(func() {
		m.record(argv)
		p, hit := m.planted(argv)
		if hit && !p.Also {
			io.WriteString(stdout, p.Stdout)
			io.WriteString(stderr, p.Stderr)
			hang, code = p.Hang, p.Code
			return
		}
		s := m.load()
		switch argv[0] {
		case "systemctl":
			code = m.systemctl(&s, argv[1:], stdout, stderr)
		case "launchctl":
			code = m.launchctl(&s, argv[1:], stdout, stderr)
		case "journalctl":
			code = m.journalctl(&s, argv[1:], stdout, stderr)
		case "lsof":
			code = m.lsof(&s, argv[1:], stdout, stderr)
		case "ps":
			code = m.ps(&s, argv[1:], stdout, stderr)
		case "xdg-open", "open":
		default:
			code = 64
		}
		m.store(s)
		if hit {
			io.WriteString(stderr, p.Stderr)
			hang, code = p.Hang, p.Code
		}
	})
	if hang {
		return hangs
	}
	return code
}

// record remembers a call.
func (m fakeMachine) record(argv []string) {
	if m.mem != nil {
		m.mem.calls = append(m.mem.calls, argv)
		return
	}
	line, err := json.Marshal(argv)
	if err != nil {
		panic(err)
	}
	if err := appendTo(m.path("calls"), string(line)+"\n"); err != nil {
		panic(err)
	}
}

// planted takes the plant that this call hits.
func (m fakeMachine) planted(argv []string) (plant, bool) {
	plants := m.plants()
	call := strings.Join(argv, " ")
	for i := range plants {
		if p := &plants[i]; strings.HasPrefix(call, p.Call) && p.Nth > 0 {
			p.Nth--
			m.plant(plants)
			if p.Nth == 0 {
				return *p, true
			}
		}
	}
	return plant{}, false
}

func (m fakeMachine) plants() (all []plant) {
	if m.mem != nil {
		return m.mem.plants
	}
	if text, err := os.ReadFile(m.path("plants")); err == nil {
		if err := json.Unmarshal(text, &all); err != nil {
			panic(err)
		}
	}
	return all
}

func (m fakeMachine) plant(all []plant) {
	if m.mem != nil {
		m.mem.plants = all
		return
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(m.path("plants"), text, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// called takes the calls since the last look.
func (m fakeMachine) called() (all [][]string) {
	if m.mem != nil {
		m.locked(func() { all, m.mem.calls = m.mem.calls, nil })
		return all
	}
	text, _ := os.ReadFile(m.path("calls"))
	os.Remove(m.path("calls"))
	for _, line := range strings.Split(string(text), "\n") {
		var argv []string
		if json.Unmarshal([]byte(line), &argv) == nil {
			all = append(all, argv)
		}
	}
	return all
}

// A bench is an app on a fake machine, and what it said.
type bench struct {
	*app
	t              testing.TB
	fake           fakeMachine
	stdout, stderr bytes.Buffer
	env            map[string]string
	server         *httptest.Server
	probes         int
	noPage         bool // as of the collector that runs on Node
	unready        int  // how many probes are answered 503 first
	mu             sync.Mutex
}

// An inProcess runner calls the fakes as functions: for tests with thousands of calls.
type inProcess struct{ fake fakeMachine }

func (r inProcess) Run(ctx context.Context, argv ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	code := r.fake.main(argv, &stdout, &stderr)
	if err := ctx.Err(); err != nil {
		return stdout.String(), &commandError{argv: argv, code: -1, cause: err}
	}
	if code == hangs {
		return "", &commandError{argv: argv, code: -1, cause: fmt.Errorf("no answer within 10s: %w", context.DeadlineExceeded)}
	}
	if code != 0 {
		return stdout.String(), &commandError{argv: argv, code: code, stderr: strings.TrimSpace(stderr.String())}
	}
	return stdout.String(), nil
}

func (r inProcess) Start(_ bond, stdout, stderr io.Writer, _ []string, argv ...string) (process, error) {
	if stdout == nil && stderr == nil {
		stdout, stderr = io.Discard, io.Discard
	}
	return endedProcess{exitStatus{code: r.fake.main(argv, stdout, stderr)}}, nil
}

// A hooked runner does something around the commands that it runs.
type hooked struct {
	Runner
	around func(argv []string, run func() (string, error)) (string, error)
}

func (r hooked) Run(ctx context.Context, argv ...string) (string, error) {
	return r.around(argv, func() (string, error) { return r.Runner.Run(ctx, argv...) })
}

// before lets somebody do something right before the first command for which that holds.
func (b *bench) before(holds func(argv []string) bool, f func()) {
	b.app.run = hooked{b.app.run, func(argv []string, run func() (string, error)) (string, error) {
		if f != nil && holds(argv) {
			f()
			f = nil
		}
		return run()
	}}
}

// changesSomething tells whether a command is none that only reads.
func changesSomething(argv []string) bool { return !readsOnly(argv) }

// An endedProcess is a process that had ended when it was first looked at.
type endedProcess struct{ e exitStatus }

func (p endedProcess) Pid() int                  { return foreignPID }
func (p endedProcess) Signal(os.Signal) error    { return os.ErrProcessDone }
func (p endedProcess) Wait() (exitStatus, error) { return p.e, nil }

// newBench makes a machine with a healthy collector to install and nothing installed. manager is "systemd" or "launchd"; "": there is none.
func newBench(t testing.TB, manager string) *bench {
	t.Helper()
	return newBenchIn(t, manager, t.TempDir())
}

func newBenchIn(t testing.TB, manager, dir string) *bench {
	t.Helper()
	if manager != "" && !filepath.IsAbs("/") {
		t.Skip("no unit and no plist can carry a path such as", dir)
	}
	b := &bench{t: t, fake: fakeMachine{dir: dir}, env: map[string]string{}}
	home := filepath.Join(dir, "home")
	for _, folder := range []string{home, filepath.Join(dir, "bin"), filepath.Join(dir, "proc/net"), filepath.Join(dir, "app")} {
		must(t, os.MkdirAll(folder, 0o755))
	}
	b.server = httptest.NewServer(http.HandlerFunc(b.answer))
	_, port, _ := net.SplitHostPort(b.server.Listener.Addr().String())
	httpPort, _ := strconv.Atoi(port)
	b.fake.store(fakeState{Home: home, Uid: os.Getuid(), HTTPPort: httpPort, NextPID: 4242, Active: "inactive", Sub: "dead", Result: "success"})
	b.fake.writeProc(b.fake.load())
	b.env[httpPortEnv], b.env["HOME"], b.env["USER"] = port, home, "ada"
	collector := filepath.Join(dir, "app", programFile(collectorName))
	b.write(collector, "#!/bin/sh\n", 0o755)
	b.write(filepath.Join(dir, "app", programFile("runtimescope")), "#!/bin/sh\n", 0o755)
	b.write(filepath.Join(dir, "app", programFile(mcpName)), "#!/bin/sh\n", 0o755)

	b.app = &app{
		out:         printer{stdout: &b.stdout, stderr: &b.stderr},
		getenv:      func(key string) string { return b.env[key] },
		home:        home,
		uid:         os.Getuid(),
		platform:    map[string]string{"systemd": "linux", "launchd": "darwin", "": runtime.GOOS}[manager],
		executables: func() []string { return []string{filepath.Join(dir, "app", programFile("runtimescope"))} },
		commandLine: "runtimescope service x",
		run: osRunner{path: []string{filepath.Join(dir, "bin")}, timeout: time.Hour,
			env: []string{"LC_ALL=C", "GORACE=atexit_sleep_ms=0", fakeFolderEnv + "=" + dir, "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}},
		disk: osDisk{},
		timings: timings{answer: time.Hour, probe: 2 * time.Millisecond, slow: 5 * time.Millisecond, fast: time.Second, look: 30 * time.Millisecond,
			grace: 80 * time.Millisecond, patience: time.Hour, journal: time.Hour, follow: 5 * time.Millisecond, restart: 20 * time.Millisecond, late: time.Hour, kill: time.Hour,
			throttle: time.Hour, unread: time.Hour},
		alive:   func(int) bool { return true },
		signals: func(...os.Signal) <-chan os.Signal { return nil },
		lock:    folderLock(private(t, home)),
	}
	switch manager {
	case "systemd":
		b.manager = systemd{home: home, uid: b.uid, user: ada, root: filepath.Join(dir, "root"), getenv: b.app.getenv}
		b.processes = procfs{root: filepath.Join(dir, "proc"), boot: func() time.Duration { return 10000 * time.Second }}
	case "launchd":
		b.manager = launchd{home: home, uid: b.uid, user: "ada", returns: 50 * time.Millisecond}
	}
	if manager == "launchd" {
		b.processes = lsofTable{run: b.app.run, answers: b.heldByAny}
	}
	self := need(os.Executable())(t)
	for _, name := range fakeNames {
		link(t, self, filepath.Join(dir, "bin", programFile(name)))
	}
	t.Cleanup(func() {
		b.server.Close()
		for _, p := range b.fake.plants() {
			if p.Nth > 0 && !t.Failed() {
				t.Errorf("the planted failure of %q was never hit", p.Call)
			}
		}
	})
	return b
}

// portsGiven counts the ports that freePort has given.
var portsGiven atomic.Int64

// freePort returns a port for a program that a test starts. No system gives it away by itself: their own choices, for
// listeners on port 0 and for connections, begin at 32768. No other test gets it, of this run or of another one at the
// same time: the port of the same number for UDP is held until the test is over.
func freePort(t testing.TB) int {
	t.Helper()
	for range 12000 {
		port := 20000 + (int64(os.Getpid())*97+portsGiven.Add(1))%12000
		place := fmt.Sprintf("127.0.0.1:%d", port)
		mine, err := net.ListenPacket("udp4", place)
		if err != nil {
			continue
		}
		t.Cleanup(func() { mine.Close() })
		syscall.ForkLock.RLock() // a child that is to become another program would go on to listen until it is
		listener, err := net.Listen("tcp4", place)
		if err == nil {
			listener.Close()
		}
		syscall.ForkLock.RUnlock()
		if err == nil {
			return int(port)
		}
	}
	t.Fatal("no port is free")
	return 0
}

// silentPort returns a port on which nobody listens and nobody else can, until the test is over: a connection has it.
func silentPort(t testing.TB) int {
	t.Helper()
	listener := need(net.Listen("tcp4", "127.0.0.1:0"))(t)
	here := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} // bound to it: no other connection may begin at this port, or even be one with itself
	conn := need((&net.Dialer{LocalAddr: here}).Dial("tcp4", listener.Addr().String()))(t)
	t.Cleanup(func() { conn.Close(); listener.Close() })
	return conn.LocalAddr().(*net.TCPAddr).Port
}

// must ends a test that cannot go on after an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// private takes a folder away from others, so that it can be locked.
func private(t testing.TB, folder string) string {
	t.Helper()
	must(t, os.Chmod(folder, 0o700))
	return folder
}

// need is must for a function that returns a value, too: value := need(f())(t).
func need[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return value
	}
}

// same compares what is there with what should be.
func same[T any](t testing.TB, what any, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got\n%+v\nwant\n%+v", what, got, want)
	}
}

// notOnWindows skips what that system has not.
func notOnWindows(t testing.TB, why string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip(why)
	}
}

// linksWork tells whether links can be made, read and removed here: Windows asks for a privilege, and wine forgets what they are.
var linksWork = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "runtimescope")
	link := filepath.Join(dir, "link")
	if err == nil {
		err = os.Symlink("x", link)
	}
	target, _ := os.Readlink(link)
	info, _ := os.Lstat(link)
	return err == nil && target == "x" && info.Mode()&os.ModeSymlink != 0 && os.RemoveAll(dir) == nil
})

// needsLinks skips what cannot do without.
func needsLinks(t testing.TB) {
	t.Helper()
	if !linksWork() {
		t.Skip("there are no links here")
	}
}

// needsSignals skips what sends them.
func needsSignals(t testing.TB) {
	t.Helper()
	if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(syscall.Signal(0)) != nil {
		t.Skip("no signal can be sent here")
	}
}

// words splits a command line into words, of which those that name something in the temporary folder may have spaces.
func words(line string) []string {
	words := strings.Fields(strings.ReplaceAll(line, os.TempDir(), "\x00"))
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "\x00", os.TempDir())
	}
	return words
}

// symlink makes a link, where links are to be had.
func symlink(t testing.TB, target, path string) {
	t.Helper()
	needsLinks(t)
	must(t, os.Symlink(target, path))
}

// put writes a file, and makes the folder that it is in.
func put(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), mode))
	must(t, os.Chmod(path, mode)) // whatever the umask says
}

// appendTo writes at the end of a file.
func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// until waits for a condition. It counts its looks, not the time: on a busy machine they take longer.
func until(t testing.TB, holds func() bool, why func() string) {
	t.Helper()
	for range 5000 {
		if holds() {
			return
		}
		time.Sleep(4 * time.Millisecond)
	}
	t.Fatal(why())
}

// link makes a link, or a copy where links are not to be had.
func link(t testing.TB, from, to string) {
	t.Helper()
	if linksWork() {
		must(t, os.Symlink(from, to))
		return
	}
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// quick makes the bench call its fakes in this process.
func (b *bench) quick() *bench {
	b.fake.mem = &fakeMemory{state: b.fake.load()}
	b.app.run = inProcess{b.fake}
	if _, ok := b.processes.(lsofTable); ok {
		b.processes = lsofTable{run: b.app.run, answers: b.heldByAny}
	}
	return b
}

// heldByAny tells whether a connection to a port would be accepted, by whomever.
func (b *bench) heldByAny(port int) (held bool) {
	b.fake.locked(func() { _, held = b.fake.held(b.fake.load())[port] })
	return held
}

// answer is the collector's HTTP side: it answers while the fake manager says that the collector runs.
func (b *bench) answer(w http.ResponseWriter, r *http.Request) {
	hangUp := func() {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			conn.Close()
		}
	}
	var s fakeState
	b.fake.locked(func() { s = b.fake.load() })
	_, foreign := os.Stat(b.fake.path("foreign"))
	if foreign != nil && (!s.serves()) {
		hangUp()
		return
	}
	b.mu.Lock()
	b.probes++
	late := b.probes <= b.unready
	b.mu.Unlock()
	switch {
	case late:
		http.Error(w, `{"status":"starting"}`, http.StatusServiceUnavailable)
	case r.URL.Path == "/readyz":
		fmt.Fprint(w, `{"status":"ready"}`)
	case r.URL.Path == "/api/health":
		fmt.Fprint(w, `{"status":"ok","version":"0.10.7"}`)
	case r.URL.Path == dashboardPath && !b.noPage:
		fmt.Fprint(w, "<!doctype html>")
	default:
		http.NotFound(w, r)
	}
}

// serves tells whether the collector runs and listens.
func (s fakeState) serves() bool { return s.PID != 0 && s.Behave != "silent" }

// runs the whole program once and returns its exit status; out and err hold what it said.
func (b *bench) runs(args ...string) int {
	b.t.Helper()
	b.stdout.Reset()
	b.stderr.Reset()
	code := b.report(b.dispatch(context.Background(), args))
	b.checkWords(code)
	return code
}

// checkWords holds every run to what is promised of its words: a ✗ goes with a non-zero exit, and the reverse; ✗ is
// on stderr alone, but for doctor's; no escape sequence leaves a program whose output is no terminal.
func (b *bench) checkWords(code int) {
	b.t.Helper()
	out, err := b.stdout.String(), b.stderr.String()
	if strings.Contains(out, "✗") && !strings.Contains(out, " environment: ") { // what doctor finds was asked for
		b.t.Errorf("a ✗ on stdout:\n%s", out)
	}
	if strings.Contains(err, "✗") != (code != 0) {
		b.t.Errorf("exit %d does not go with the words:\n%s%s", code, out, err)
	}
	if strings.Contains(out+err, "\x1b") {
		b.t.Errorf("an escape sequence:\n%q", out+err)
	}
}

// want runs the whole program and fails the test unless it exits with code and says every one of the texts.
func (b *bench) want(code int, args string, texts ...string) {
	b.t.Helper()
	got := b.runs(words(args)...)
	if got != code {
		b.t.Fatalf("%s: exit %d, want %d\n%s%s", args, got, code, b.stdout.String(), b.stderr.String())
	}
	said := b.stdout.String() + b.stderr.String()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			b.t.Errorf("%s does not say %q:\n%s", args, text, said)
		}
	}
}

// plant plants a failure.
func (b *bench) plant(plants ...plant) {
	for i := range plants {
		plants[i].Nth = max(1, plants[i].Nth)
	}
	b.fake.locked(func() { b.fake.plant(plants) })
}

// calls returns the calls since the last look that start with one of the words, without what only reads.
func (b *bench) calls() (all []string) {
	for _, argv := range b.fake.called() {
		if !readsOnly(argv) {
			all = append(all, strings.Join(argv, " "))
		}
	}
	return all
}

// readsOnly tells whether a call changes nothing.
func readsOnly(argv []string) bool {
	switch argv[0] {
	case "systemctl":
		return slices.Contains(argv, "show")
	case "launchctl":
		return slices.Contains([]string{"list", "print", "print-disabled", "error", "managername"}, argv[1])
	case "xdg-open", "open":
		return false
	}
	return true
}

// wantCalls checks the calls that change something.
func (b *bench) wantCalls(want ...string) {
	b.t.Helper()
	if got := b.calls(); !slices.Equal(got, want) {
		b.t.Errorf("it called\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (b *bench) write(path, text string, mode os.FileMode) { b.t.Helper(); put(b.t, path, text, mode) }

// read returns a file's text, "" when it is not there.
func (b *bench) read(path string) string {
	b.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(text)
}

// state is what the fake manager remembers.
func (b *bench) fakeState() (s fakeState) {
	b.fake.locked(func() { s = b.fake.load() })
	return s
}

// files lists the files below HOME, without folders.
func (b *bench) files() []string {
	b.t.Helper()
	var all []string
	err := filepath.WalkDir(b.home, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(b.home, path)
			all = append(all, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// onSystemd is the bench of a story that runs beside others.
func onSystemd(t *testing.T) *bench {
	t.Parallel()
	return newBench(t, "systemd").quick()
}

// eachManager runs a story on both managers.
func eachManager(t *testing.T, story func(t *testing.T, b *bench)) {
	t.Parallel()
	for _, manager := range []string{"systemd", "launchd"} {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			story(t, newBench(t, manager))
		})
	}
}

// another is a second invocation on the same machine, with an output of its own.
func (b *bench) another() *bench {
	c := &bench{t: b.t, fake: b.fake, env: b.env, server: b.server}
	w := *b.app
	w.out = printer{stdout: &c.stdout, stderr: &c.stderr}
	c.app = &w
	return c
}

// collector is the path of the collector beside the program.
func (b *bench) collector() string {
	return filepath.Join(filepath.Dir(b.executables()[0]), programFile(collectorName))
}

// httpPort is where the test's collector answers.
func (b *bench) httpPort() int { return b.fakeState().HTTPPort }

// behaves sets what the collector does from its next start on.
func (b *bench) behaves(how string) { b.fake.change(func(s *fakeState) { s.Behave = how }) }

// replaceCollector puts another file in the place of the collector that runs, by a rename, as package managers do.
func (b *bench) replaceCollector() {
	b.t.Helper()
	path := b.collector()
	old := path + " (deleted)" // what Linux calls the file that runs
	must(b.t, os.Rename(path, old))
	b.write(path, "#!/bin/sh\n# newer\n", 0o755)
	pid := strconv.Itoa(b.fakeState().PID)
	exe := filepath.Join(b.fake.path("proc"), pid, "exe")
	os.Remove(exe)
	os.Symlink(old, exe)
	b.write(b.fake.path("running"), pid+"\ni1\nn"+path, 0o600)
}

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file under testdata/golden.
func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *updateGolden {
		put(t, path, got, 0o644)
	}
	want := need(os.ReadFile(path))(t)
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// foreign puts somebody else's process on a port.
func (b *bench) foreign(port int, command string) {
	b.t.Helper()
	b.write(b.fake.path("foreign"), fmt.Sprintf("%d %s", port, command), 0o600)
	b.fake.locked(func() { b.fake.writeProc(b.fake.load()) })
}
