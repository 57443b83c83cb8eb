// End-to-end tests of a service that does as it is told: from install to uninstall, its ports, its log.
package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// e2eUnit is the unit of the first version of the tool, byte for byte, but for the ports that are not the default.
func e2eUnit(program, environment string) string {
	return `[Unit]
Description=RuntimeScope Collector
Documentation=https://github.com/edwinlov3tt/runtimescope
After=network.target

[Service]
Type=simple
ExecStart="` + program + `"
` + environment + `Restart=on-failure
RestartSec=5
TimeoutStopSec=10

# Resource ceiling
MemoryMax=256M
CPUQuota=50%

# Logs to journal — tail with: journalctl --user -u runtimescope -f
StandardOutput=journal
StandardError=journal
SyslogIdentifier=runtimescope

[Install]
WantedBy=default.target
`
}

func TestE2ELifecycle(t *testing.T) {
	e := newE2E(t)
	unit := e2eUnit(e.collector, fmt.Sprintf("Environment=RUNTIMESCOPE_HTTP_PORT=%d\nEnvironment=RUNTIMESCOPE_PORT=%d\n", e.http, e.ws))
	installed := func() {
		t.Helper()
		same(t, "the unit", e.read(e.unit), unit)
		if info, err := os.Stat(e.unit); err != nil || info.Mode() != 0o644 {
			t.Errorf("the unit has mode %v, %v", info.Mode(), err)
		}
		if target, err := os.Readlink(e.wants); target != e.unit {
			t.Errorf("the wants link points to %q, %v", target, err)
		}
		if e.show("UnitFileState") != "enabled" || e.show("NeedDaemonReload") != "no" {
			t.Errorf("UnitFileState %s, NeedDaemonReload %s", e.show("UnitFileState"), e.show("NeedDaemonReload"))
		}
	}
	called := func(want string) {
		t.Helper()
		if calls := e.changes(); !slices.Contains(calls, want) || slices.Contains(calls, "--user daemon-reload") {
			t.Errorf("systemctl was called with %q", calls)
		}
	}
	e.agrees("not-installed")
	e.exits(0, "service status").says("Service not installed. Run: runtimescope service install")
	e.exits(4, "service status --exit-code")
	e.refused("service stop", "Service not installed.")
	e.refused("service restart", "Service not installed.")
	e.exits(0, "service uninstall").says("Service is not installed.")
	e.exits(0, "service install --dry-run").says(e.unit, "systemctl --user daemon-reload", "systemctl --user enable --now runtimescope.service")
	e.noFiles()
	e.wantChanges()

	e.exits(0, "service install").says("✓ Wrote "+e.unit, "Collector: "+e.collector, "Waiting for collector to come up…",
		"✓ Collector is healthy and serving on "+e.url()).saysNot("unverified")
	e.wantChanges("--user daemon-reload", "--user enable --now runtimescope.service")
	installed()
	first := e.serves()
	e.agrees("running")
	e.exits(0, "service status --exit-code").says("✓ Service is active", fmt.Sprintf("PID %d", first), "✓ Collector is healthy", "version 0.0.0-standin")
	e.exits(0, "service doctor")

	e.exits(0, "service restart").says("✓ Service restarted", "✓ Collector is healthy and serving on "+e.url())
	called("--user restart runtimescope.service")
	installed()
	second := e.serves()
	if second == first {
		t.Errorf("restart kept PID %d", first)
	}
	e.agrees("running")

	e.exits(0, "service stop").says("✓ Service stopped (unit preserved — run `service restart` to start again)")
	called("--user stop runtimescope.service")
	e.stopped()
	installed()
	e.agrees("stopped")
	e.exits(0, "service status").says("Service state: inactive")
	e.exits(3, "service status --exit-code")
	e.exits(0, "service stop").says("Service was not running.")
	e.wantChanges()

	e.exits(0, "service start").says("✓ Collector is healthy")
	called("--user restart runtimescope.service")
	installed()
	if third := e.serves(); third == second {
		t.Errorf("start kept PID %d", second)
	}

	e.exits(0, "service uninstall").says("✓ Service uninstalled")
	e.gone()
	e.agrees("not-installed")
	e.exits(0, "service uninstall").says("Service is not installed.")
}

func TestE2EDefaultPortsGiveTheOriginalUnit(t *testing.T) {
	e := newE2E(t)
	for _, port := range []int{6768, 6767} {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Skipf("port %d is taken on this machine: %v", port, err)
		}
		l.Close()
	}
	e.http, e.ws = 6768, 6767
	for _, set := range []bool{false, true} {
		delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
		delete(e.env, "RUNTIMESCOPE_PORT")
		if set {
			e.env["RUNTIMESCOPE_HTTP_PORT"], e.env["RUNTIMESCOPE_PORT"] = "6768", "6767"
		}
		e.exits(0, "service install")
		e.serves()
		if got, want := e.read(e.unit), e2eUnit(e.collector, ""); got != want {
			t.Errorf("the unit is\n%s\nwant\n%s", got, want)
		}
	}
}

func TestE2ECustomPortIsKeptInShellsWithoutTheVariable(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
	delete(e.env, "RUNTIMESCOPE_PORT")
	unit := e.read(e.unit)
	e.agrees("running")
	for _, args := range []string{"service restart", "service install", "service update", "dashboard --no-open"} {
		e.exits(0, args)
		e.serves()
		same(t, fmt.Sprintf("after %s the unit", args), e.read(e.unit), unit)
	}
	e.exits(0, "dashboard --no-open").says(e.url())

	e.http = e.freePort() // one of the two is changed, the other one is kept
	e.env["RUNTIMESCOPE_HTTP_PORT"] = strconv.Itoa(e.http)
	e.exits(0, "service install")
	e.serves()
	delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
	e.agrees("running")
}

func TestE2EStatusBeforeInstallNamesThePortsOfThisShell(t *testing.T) {
	e := newE2E(t)
	if got := e.agrees("not-installed"); got["http_port"] != float64(e.http) || got["ws_port"] != float64(e.ws) || got["url"] != e.url() {
		t.Errorf("want %d and %d, which install would use: %v", e.http, e.ws, got)
	}
}

func TestE2EReinstallOverARunningServiceStartsANewProcess(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	before := e.serves()
	e.exits(0, "service install")
	if after := e.serves(); after == before {
		t.Errorf("still PID %d", before)
	}
	if _, err := os.Lstat(e.unit + ".bak"); err == nil {
		t.Error("the same unit was kept as .bak")
	}
}

func TestE2ESlowStartIsWaitedFor(t *testing.T) {
	e := newE2E(t)
	e.standin("STANDIN_READY=1500ms") // 503 until then
	if r := e.exits(0, "service install"); r.took < 1400*time.Millisecond || r.took > 4*time.Second {
		t.Errorf("not when it was ready: %v", r)
	}
	e.serves()
}

func TestE2ELogsShowTheServicesOwnLines(t *testing.T) {
	e := newE2E(t)
	if !e.journal() {
		t.Skip("this user cannot read the journal: run as root by .ci/as-user, or join the group systemd-journal")
	}
	e.exits(0, "service install")
	other := fmt.Sprintf("somebody else: line %d", time.Now().UnixNano())
	e.write(filepath.Join(filepath.Dir(e.unit), "other.service"), "[Service]\nType=oneshot\nExecStart=/bin/echo "+other+"\n", 0o644)
	e.systemctl("daemon-reload")
	e.systemctl("start", "other.service")
	e.until("the line is in the log", func() bool {
		return strings.Contains(e.exits(0, "service logs").out, "[RuntimeScope] Standalone collector ready")
	})
	e.exits(0, "service logs").says("Starting standalone collector... " + e.collector).saysNot("somebody else")
	if r := e.exits(0, "service logs -n 1"); strings.Count(r.out, "\n") != 1 {
		t.Errorf("not one line: %v", r)
	}
	cmd, r := e.command(filepath.Join(e.bin, "runtimescope"), "service", "logs", "-f", "-n", "1")
	followed, err := os.Create(filepath.Join(e.home, "followed"))
	e.ok(err)
	cmd.Stdout = followed
	start := time.Now()
	e.ok(cmd.Start())
	has := func(n int) func() bool {
		return func() bool { return strings.Count(e.read(followed.Name()), "Standalone collector ready") == n }
	}
	e.until("the last line is shown", has(1))
	e.exits(0, "service restart")
	e.until("the next start is shown", has(2))
	e.ok(cmd.Process.Signal(syscall.SIGINT))
	if got := e.result(cmd, r, start); got.code != 0 || !strings.Contains(e.read(followed.Name()), "Collector stopped") {
		t.Errorf("followed %q: %v", e.read(followed.Name()), got)
	}
}

func TestE2ERunIsTheFirstProcessOfABareNamespace(t *testing.T) {
	e := newE2E(t)
	e.env["PATH"] += ":/usr/sbin:/sbin" // ip
	e.prefix = []string{"unshare", "--user", "--map-current-user", "--keep-caps", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"}
	if out, err := e.tool(append(slices.Clone(e.prefix), "true")...); err != nil {
		t.Skipf("this system lets users make no such namespace: %v: %s", err, out)
	}
	program := e.another("real", "collector-server") // whose wrapper leaves a process behind, as many do
	e.write(e.collector, "#!/bin/sh\necho \"LC_ALL is <$LC_ALL>\"\n(sleep 0.1 &)\nexec "+program+"\n", 0o755)
	cmd, r := e.command(filepath.Join(e.bin, "runtimescope"), "service", "run")
	said, err := os.Create(filepath.Join(e.home, "said"))
	e.ok(err)
	cmd.Stdout = said
	start := time.Now()
	e.ok(cmd.Start())
	e.until("run says that the collector is healthy", func() bool {
		return strings.Contains(e.read(said.Name()), "✓ Collector is healthy and serving on "+e.url())
	})
	children := e.read(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	first, err := strconv.Atoi(strings.TrimSpace(children))
	e.ok(err)
	if status := e.read(fmt.Sprintf("/proc/%d/status", first)); !strings.Contains(status, fmt.Sprintf("\nNSpid:\t%d\t1\n", first)) {
		t.Errorf("it is not the first process there: %s", status)
	}
	time.Sleep(300 * time.Millisecond) // until the process has ended
	e.until("what has ended is collected", func() bool {
		children := strings.Fields(e.read(fmt.Sprintf("/proc/%d/task/%[1]d/children", first)))
		return !slices.ContainsFunc(children, func(child string) bool {
			text, _ := os.ReadFile("/proc/" + child + "/stat")
			return strings.Contains(string(text), ") Z ")
		})
	})
	process, err := os.FindProcess(first)
	e.ok(err)
	e.ok(process.Signal(syscall.SIGTERM))
	same(t, "a clean end", e.result(cmd, r, start).says("Starting standalone collector... "+program, "Collector stopped").code, 0)
	if !strings.Contains(e.read(said.Name()), "LC_ALL is <>") {
		t.Errorf("the collector does not have the locale of its user: %s", e.read(said.Name()))
	}
}

func TestE2EWhyTheJournalCannotBeReadIsToldWithoutColours(t *testing.T) {
	e := newE2E(t)
	journalctl, err := exec.LookPath("journalctl")
	e.ok(err)
	e.write(filepath.Join(e.home, "record/journalctl"), "#!/bin/sh\nexec "+journalctl+" --since=never \"$@\"\n", 0o755)
	e.exits(1, "service logs").says("exit status 1: Failed to parse timestamp: never")
}
