// End-to-end tests: the built programs under a real "systemd --user", a fresh one for each test, in a home of its own.
// They are opt-in: RUNTIMESCOPE_E2E=1 .ci/as-user COMPILED.test -test.run '^TestE2E', with both programs in the folder
// that RUNTIMESCOPE_E2E_BIN names. They know nothing of the program but what its user sees, so nothing of it is imported.
// This file gives each test its machine; the others hold what they look at, and the tests.
package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// An e2e is a user: a home, the programs, two free ports, and a running systemd user manager.
type e2e struct {
	t              *testing.T
	home, unit     string
	config         string // of the manager, and of this shell
	wants          string // the link that starts the service at login
	bin, collector string // the folder of the programs; one of them
	http, ws       int
	env            map[string]string
	prefix         []string // a command line that runs the tool's
	target         string   // that the manager reaches
	dedicated      bool     // the login, with its runtime folder, is the tests' own
	cgroups        []string
}

// newE2E starts a test, in a home folder of this name if one is given.
func newE2E(t *testing.T, name ...string) *e2e {
	t.Helper()
	if os.Getenv("RUNTIMESCOPE_E2E") != "1" {
		t.Skip("needs a real systemd --user: RUNTIMESCOPE_E2E=1 RUNTIMESCOPE_E2E_BIN=FOLDER .ci/as-user COMPILED.test -test.run '^TestE2E'")
	}
	if signal.Ignored(os.Interrupt) { // as in the background of a script: what we run would have it ignored, too
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	programs := os.Getenv("RUNTIMESCOPE_E2E_BIN")
	if programs == "" {
		t.Fatal("RUNTIMESCOPE_E2E_BIN names no folder with runtimescope and collector-server in it")
	}
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	home = filepath.Join(append([]string{home}, name...)...)
	variant := os.Getenv("RUNTIMESCOPE_E2E_VARIANT")
	e := &e2e{t: t, home: home, config: filepath.Join(home, ".config")}
	if variant == "xdg" {
		e.config = filepath.Join(home, "my config")
	}
	units := filepath.Join(e.config, "systemd/user")
	e.unit = filepath.Join(units, "runtimescope.service")
	e.wants, e.bin = filepath.Join(units, "default.target.wants/runtimescope.service"), filepath.Join(home, "bin")
	e.collector = filepath.Join(e.bin, "collector-server")
	e.http, e.ws = e.freePort(), e.freePort()
	e.mkdir(e.bin)
	for _, name := range []string{"runtimescope", "collector-server"} {
		e.copyProgram(filepath.Join(programs, name), filepath.Join(e.bin, name))
	}
	// A systemctl that keeps a record, and then is the real one.
	systemctl, err := exec.LookPath("systemctl")
	e.ok(err)
	e.write(filepath.Join(home, "record/systemctl"), `#!/bin/sh
printf '%s\n' "$*" >>"${0%/*}/calls"
exec `+systemctl+` "$@"
`, 0o755)
	e.write(filepath.Join(home, "record/calls"), "", 0o644)
	e.env = map[string]string{"HOME": home, "USER": os.Getenv("USER"), "PATH": home + "/record:/usr/local/bin:/usr/bin:/bin",
		"RUNTIMESCOPE_HTTP_PORT": strconv.Itoa(e.http), "RUNTIMESCOPE_PORT": strconv.Itoa(e.ws)}
	switch variant {
	case "xdg":
		e.env["XDG_CONFIG_HOME"] = e.config
	case "service.d": // as Fedora has it, for the services of all users
		e.write(filepath.Join(home, ".local/share/systemd/user/service.d/10-timeout-abort.conf"), "[Service]\nTimeoutStopFailureMode=abort\n", 0o644)
	case "login":
		e.target = "default.target"
	case "":
	default:
		t.Fatalf("RUNTIMESCOPE_E2E_VARIANT=%s: there are xdg, service.d and login", variant)
	}
	e.boot()
	return e
}

// boot starts the manager, and has it ended, with all it runs, at the end of the test.
func (e *e2e) boot() {
	e.t.Helper()
	own := "/run/user/" + strconv.Itoa(os.Getuid())
	e.dedicated = os.Getenv("RUNTIMESCOPE_E2E_CGROUP") != "" && os.Getenv("XDG_RUNTIME_DIR") == own
	e.env["XDG_RUNTIME_DIR"] = own
	if !e.dedicated { // the folder of the real login is not ours
		short, err := os.MkdirTemp("", "rs")
		e.ok(err)
		e.t.Cleanup(func() { os.RemoveAll(short) })
		e.ok(os.Chmod(short, 0o700))
		e.env["XDG_RUNTIME_DIR"] = short
	}
	e.cgroups = e.ownCgroups()
	program := "/usr/lib/systemd/systemd"
	if _, err := os.Stat(program); err != nil {
		program = "/lib/systemd/systemd"
	}
	log, err := os.Create(filepath.Join(e.home, "manager.log"))
	e.ok(err)
	defer log.Close()
	manager := exec.Command("setsid", append([]string{"sh", "-c",
		`for group; do echo $$ >"$group/cgroup.procs" || exit; done; exec ` + program + ` --user --unit=` + cmp.Or(e.target, "basic.target"), "sh"}, e.cgroups...)...)
	manager.Env = slices.DeleteFunc(e.environ(), func(word string) bool { return strings.HasPrefix(word, "RUNTIMESCOPE_") }) // services inherit it
	// Generators would run at every daemon-reload, and gpg's alone takes longer than all else.
	manager.Env = append(manager.Env, "SYSTEMD_GENERATOR_PATH=/nowhere", "SYSTEMD_LOG_TARGET="+cmp.Or(os.Getenv("SYSTEMD_LOG_TARGET"), "auto"),
		"SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nowhere")
	manager.Stdout, manager.Stderr = log, log
	e.ok(manager.Start())
	ended := make(chan error, 1)
	go func() { ended <- manager.Wait() }()
	e.t.Cleanup(func() { e.end(manager.Process, ended) })
	e.until("the manager is up", func() bool {
		out, _ := e.tool("systemctl", "--user", "is-system-running")
		return out == "running" || out == "degraded"
	})
}

// end ends the manager and checks that it has left no process.
func (e *e2e) end(manager *os.Process, ended chan error) {
	manager.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		e.t.Error("the manager did not end")
		manager.Kill()
	}
	for pid := range e.processes() {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if len(line) == 0 { // it has ended, and nobody has asked how
			continue
		}
		e.t.Errorf("left running: PID %d: %q", pid, line)
		e.kill(pid)
	}
	if e.t.Failed() {
		text, _ := os.ReadFile(filepath.Join(e.home, "manager.log"))
		e.t.Logf("manager: %s", text)
	}
	if e.dedicated { // what the next manager must not find
		entries, _ := os.ReadDir(e.env["XDG_RUNTIME_DIR"])
		for _, entry := range entries {
			os.RemoveAll(filepath.Join(e.env["XDG_RUNTIME_DIR"], entry.Name()))
		}
	}
}

// ownCgroups are the folders whose processes the manager may divide up: those of the test login, or new ones below our own.
func (e *e2e) ownCgroups() (folders []string) {
	own := map[string]string{}
	text, _ := os.ReadFile("/proc/self/cgroup")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 {
			own[f[1]] = f[2]
		}
	}
	for _, root := range []struct{ path, kind string }{{"/sys/fs/cgroup/systemd", "name=systemd"}, {"/sys/fs/cgroup/unified", ""}, {"/sys/fs/cgroup", ""}} {
		if _, err := os.Stat(root.path + "/cgroup.procs"); err != nil {
			continue
		}
		if e.dedicated {
			folders = append(folders, root.path+os.Getenv("RUNTIMESCOPE_E2E_CGROUP"))
			continue
		}
		folder := filepath.Join(root.path, own[root.kind], "e2e")
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			e.t.Fatalf("no cgroup that may be written, start this by .ci/as-user: %v", err)
		}
		folders = append(folders, folder)
	}
	return folders
}

// processes are those in the manager's cgroups, each with the cgroup it is in.
func (e *e2e) processes() map[int]string {
	found := map[int]string{}
	for _, root := range e.cgroups {
		filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "cgroup.procs" {
				text, _ := os.ReadFile(path)
				for _, word := range strings.Fields(string(text)) {
					if pid, err := strconv.Atoi(word); err == nil && pid != 0 {
						found[pid] = filepath.Dir(path)
					}
				}
			}
			return nil
		})
	}
	return found
}

func (e *e2e) environ() (words []string) {
	for _, key := range slices.Sorted(maps.Keys(e.env)) {
		words = append(words, key+"="+e.env[key])
	}
	return words
}

// tool runs one of the machine's own programs as the user, not recorded.
func (e *e2e) tool(argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = e.environ()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// systemctl runs "systemctl --user" as somebody else than the tool would.
func (e *e2e) systemctl(args ...string) {
	e.t.Helper()
	if out, err := e.tool(append([]string{"systemctl", "--user"}, args...)...); err != nil {
		e.t.Fatalf("systemctl --user %q: %v: %s", args, err, out)
	}
}

// standin has the collector misbehave from its next start on; see testdata/fakebin/collector-server.
func (e *e2e) standin(lines ...string) {
	e.write(filepath.Join(e.bin, "standin"), strings.Join(lines, "\n")+"\n", 0o644)
}

// until waits for what must come true soon.
func (e *e2e) until(what string, holds func() bool) {
	e.t.Helper()
	for end := time.Now().Add(15 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			e.t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func (e *e2e) kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
	}
}

func (e *e2e) ok(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// same compares what is there with what should be.
func same[T any](t testing.TB, what any, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got\n%+v\nwant\n%+v", what, got, want)
	}
}

// portsGiven counts the ports that freePort has given.
var portsGiven atomic.Int64

// freePort returns a port for a program that a test starts. No other test of this run gets it, and no system gives it
// away by itself: their own choices, for listeners on port 0 and for connections, begin at 32768.
func (e *e2e) freePort() int {
	e.t.Helper()
	for range 1000 {
		port := 20000 + (int64(os.Getpid())*97+portsGiven.Add(1))%12000
		if listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			listener.Close()
			return int(port)
		}
	}
	e.t.Fatal("no port is free")
	return 0
}

func (e *e2e) mkdir(path string) { e.t.Helper(); e.ok(os.MkdirAll(path, 0o755)) }

func (e *e2e) write(path, text string, mode fs.FileMode) {
	e.t.Helper()
	e.mkdir(filepath.Dir(path))
	e.ok(os.WriteFile(path, []byte(text), mode))
}

func (e *e2e) read(path string) string {
	e.t.Helper()
	text, err := os.ReadFile(path)
	e.ok(err)
	return string(text)
}

// copyProgram puts a program in place by a rename, as package managers do, so that one that runs is not disturbed.
func (e *e2e) copyProgram(from, to string) {
	e.t.Helper()
	source, err := os.Open(from)
	e.ok(err)
	defer source.Close()
	target, err := os.OpenFile(to+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	e.ok(err)
	_, err = io.Copy(target, source)
	e.ok(errors.Join(err, target.Close()))
	e.ok(os.Rename(to+".new", to))
}

// journal tells whether this user may read the journal; without, what the log says is left out.
func (e *e2e) journal() bool {
	e.t.Helper()
	out, err := e.tool("journalctl", "--quiet", "--lines=1")
	if err != nil || out == "" {
		e.t.Logf("what the log says is left out: this user cannot read the journal: %v %s", err, out)
		return false
	}
	return true
}

// inNamespace is the start of a command line that runs the rest where a shell command, such as a mount, has been carried out.
func inNamespace(command string) []string {
	return []string{"unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c", command + ` && exec "$@"`, "sh"}
}

func (e *e2e) mayUseNamespaces() bool {
	_, err := e.tool(append(inNamespace("mount -t tmpfs none /run/user"), "true")...)
	return err == nil
}
