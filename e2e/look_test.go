// What the end-to-end tests do and look at: commands of the tool and their results, systemd's view, files, ports.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shown is what systemd says of the service.
func (e *e2e) shown() map[string]string {
	e.t.Helper()
	out, err := e.tool("systemctl", "--user", "show", "runtimescope.service",
		"-pLoadState,ActiveState,MainPID,NRestarts,UnitFileState,NeedDaemonReload,Environment,RestartUSec")
	if err != nil {
		e.t.Fatalf("systemctl show: %v: %s", err, out)
	}
	properties := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		key, value, _ := strings.Cut(line, "=")
		properties[key] = value
	}
	return properties
}

func (e *e2e) show(property string) string { e.t.Helper(); return e.shown()[property] }

func (e *e2e) pid() int {
	e.t.Helper()
	pid, _ := strconv.Atoi(e.show("MainPID"))
	return pid
}

// An e2eResult is what a command did.
type e2eResult struct {
	t        *testing.T
	args     []string
	code     int
	out, err string
	took     time.Duration
}

func (r e2eResult) String() string {
	return fmt.Sprintf("runtimescope %q: exit %d after %s\nstdout: %s\nstderr: %s", r.args, r.code, r.took.Round(time.Millisecond), r.out, r.err)
}

// says checks that a result has all these texts, on either stream.
func (r e2eResult) says(texts ...string) e2eResult {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			r.t.Errorf("does not say %q: %v", text, r)
		}
	}
	return r
}

func (r e2eResult) saysNot(texts ...string) e2eResult {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.out+r.err, text) {
			r.t.Errorf("says %q: %v", text, r)
		}
	}
	return r
}

// command is a runtimescope that is yet to be run, in a foreign working folder.
func (e *e2e) command(argv ...string) (*exec.Cmd, *e2eResult) {
	ctx, cancel := context.WithTimeout(e.t.Context(), 40*time.Second)
	e.t.Cleanup(cancel)
	full := slices.Concat(e.prefix, argv)
	cmd := exec.CommandContext(ctx, full[0], full[1:]...)
	cmd.Env, cmd.Dir = e.environ(), "/"
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	return cmd, &e2eResult{t: e.t, args: argv[1:]}
}

// result waits for a started command, and checks what is to be true of each.
func (e *e2e) result(cmd *exec.Cmd, r *e2eResult, start time.Time) e2eResult {
	cmd.Wait()
	r.code, r.took = cmd.ProcessState.ExitCode(), time.Since(start)
	r.out, r.err = fmt.Sprint(cmd.Stdout), fmt.Sprint(cmd.Stderr)
	if strings.Contains(r.out, "✗") && !slices.Contains(r.args, "doctor") || strings.Contains(r.err, "✗") != (r.code != 0) || strings.Contains(r.out+r.err, "\x1b") || strings.Contains(r.err, "goroutine ") {
		e.t.Errorf("a ✗ belongs on stderr, but for the report of doctor, and goes with a failure, and there are no colours here: %v", *r)
	}
	return *r
}

func (e *e2e) run(argv ...string) e2eResult {
	cmd, r := e.command(argv...)
	start := time.Now()
	if err := cmd.Start(); err != nil {
		e.t.Error(err)
		return *r
	}
	return e.result(cmd, r, start)
}

// exits runs "runtimescope ARGS" and checks its exit status.
func (e *e2e) exits(code int, args string) e2eResult {
	e.t.Helper()
	r := e.run(append([]string{filepath.Join(e.bin, "runtimescope")}, strings.Fields(args)...)...)
	if r.code != code {
		e.t.Fatalf("want exit %d: %v", code, r)
	}
	return r
}

// refused checks that a command is refused with these words, and neither writes nor does anything.
func (e *e2e) refused(args string, texts ...string) {
	e.t.Helper()
	before := e.tree()
	e.changes()
	e.exits(1, args).says(texts...)
	same(e.t, fmt.Sprintf("%s was refused, yet changed files", args), e.tree(), before)
	e.wantChanges()
}

// changes are the systemctl commands since the last call that do more than look.
func (e *e2e) changes() (calls []string) {
	path := filepath.Join(e.home, "record/calls")
	for _, call := range strings.Split(strings.TrimSpace(e.read(path)), "\n") {
		if call != "" && !strings.HasPrefix(call, "--user show ") {
			calls = append(calls, call)
		}
	}
	e.write(path, "", 0o644)
	return calls
}

func (e *e2e) wantChanges(want ...string) {
	e.t.Helper()
	same(e.t, "systemctl was called with", e.changes(), want)
}

// tree lists every file, folder and link below the configuration folder, with modes and contents.
func (e *e2e) tree() string {
	var b strings.Builder
	filepath.WalkDir(e.config, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, _ := entry.Info()
		text, _ := os.ReadFile(path)
		target, _ := os.Readlink(path)
		fmt.Fprintf(&b, "%s %s %s%s\n", strings.TrimPrefix(path, e.home), info.Mode(), target, text)
		return nil
	})
	return b.String()
}

// noFiles checks that nothing but folders is left below the configuration folder.
func (e *e2e) noFiles() {
	e.t.Helper()
	filepath.WalkDir(e.config, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			e.t.Errorf("left behind: %s", path)
		}
		return nil
	})
}

func (e *e2e) url() string { return "http://127.0.0.1:" + strconv.Itoa(e.http) }

// agrees checks that "status --json" is in this state, has exactly the promised keys, and says what systemd says.
func (e *e2e) agrees(state string) map[string]any {
	e.t.Helper()
	r := e.exits(0, "service status --json")
	var got map[string]any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		e.t.Fatalf("%v: %v", err, r)
	}
	keys := strings.Fields("collector command definition enabled error healthy http_port last_exit linger manager memory_bytes pid problems restart_needed restarts schema state uptime_seconds url verified version ws_port")
	same(e.t, "keys", slices.Sorted(maps.Keys(got)), keys)
	systemd := e.shown()
	restarts, _ := strconv.Atoi(systemd["NRestarts"])
	want := map[string]any{"state": state, "manager": "systemd", "pid": nil, "restarts": float64(restarts), "healthy": state == "running",
		"enabled": systemd["UnitFileState"] == "enabled", "definition": e.unit}
	if pid, _ := strconv.Atoi(systemd["MainPID"]); pid != 0 {
		want["pid"] = float64(pid)
	}
	if systemd["LoadState"] == "loaded" {
		want["url"], want["http_port"], want["ws_port"] = e.url(), float64(e.http), float64(e.ws)
	}
	if state == "running" {
		want["verified"], want["version"], want["last_exit"] = true, "0.0.0-standin", nil
		memory, _ := got["memory_bytes"].(float64)
		if _, ok := got["uptime_seconds"].(float64); !ok || memory < 1e6 {
			e.t.Errorf("status does not know the age or the memory: %s", r.out)
		}
	}
	if word := map[string]string{"running": "active", "crash-looping": "activating", "failed": "failed"}[state]; word != "" && word != systemd["ActiveState"] ||
		word == "" && systemd["ActiveState"] != "inactive" {
		e.t.Errorf("systemd says %s, not %s", systemd["ActiveState"], state)
	}
	for key, value := range want {
		if got[key] != value {
			e.t.Errorf("status says %s: %v, want %v: %s", key, got[key], value, r.out)
		}
	}
	return got
}

// serves checks that the service is up and is this very process with both ports, and returns its PID.
func (e *e2e) serves() int {
	e.t.Helper()
	systemd := e.shown()
	pid, _ := strconv.Atoi(systemd["MainPID"])
	if systemd["ActiveState"] != "active" || pid == 0 {
		e.t.Fatalf("the service is %s, PID %d", systemd["ActiveState"], pid)
	}
	for _, port := range []int{e.http, e.ws} {
		if !holdsPort(pid, port) {
			e.t.Errorf("PID %d does not listen on %d", pid, port)
		}
	}
	return pid
}

// stopped checks that nothing runs and both ports are free.
func (e *e2e) stopped() {
	e.t.Helper()
	for pid, group := range e.processes() {
		if strings.HasSuffix(group, "/runtimescope.service") {
			e.t.Errorf("PID %d of the service still runs", pid)
		}
	}
	for _, port := range []int{e.http, e.ws} {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			e.t.Error(err)
		} else {
			l.Close()
		}
	}
}

// gone checks that the service is uninstalled without a trace.
func (e *e2e) gone() {
	e.t.Helper()
	e.stopped()
	e.noFiles()
	if systemd := e.shown(); systemd["LoadState"] != "not-found" || systemd["ActiveState"] != "inactive" {
		e.t.Errorf("systemd remembers the unit: %s, %s", systemd["LoadState"], systemd["ActiveState"])
	}
}

// holdsPort tells whether a process listens on 127.0.0.1 at a port.
func holdsPort(pid, port int) bool {
	text, _ := os.ReadFile("/proc/net/tcp")
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" || f[1] != fmt.Sprintf("0100007F:%04X", port) {
			continue
		}
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, link := range links {
			if target, _ := os.Readlink(link); target == "socket:["+f[9]+"]" {
				return true
			}
		}
	}
	return false
}
