// Stories of dashboard: it makes sure that a collector serves, and opens the page or says where it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestMCPHandsOverToTheServer(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		var argv, env []string
		code := 0
		b.handOver = func(a, e []string) (int, error) {
			argv, env = a, e
			return code, nil
		}
		server := filepath.Join(filepath.Dir(b.executables()[0]), programFile(mcpName))
		b.environ = []string{"A=b"}
		b.want(0, "mcp --http --help -n")
		if !slices.Equal(argv, []string{server, "--http", "--help", "-n"}) || !slices.Equal(env, b.environ) || b.stdout.Len() > 0 {
			t.Errorf("it runs %q in %q, and says %s", argv, env, b.stdout.String())
		}
		b.installed()
		b.want(0, "mcp") // the shell sets the HTTP port
		same(t, "it gets", env, b.environ)
		port := b.env[httpPortEnv]
		delete(b.env, httpPortEnv)
		b.want(0, "mcp")
		same(t, "it gets", env, append(b.environ, httpPortEnv+"="+port))
		code = 7
		if got := b.report(b.dispatch(t.Context(), []string{"mcp"})); got != 7 || b.stderr.Len() > 0 {
			t.Errorf("exit %d, %s", got, b.stderr.String())
		}
		b.handOver = func([]string, []string) (int, error) { return 0, errors.New("no such file or directory") }
		b.write(server, "#!/nowhere/sh\n", 0o755)
		b.want(1, "mcp", "✗ no such file or directory: its interpreter /nowhere/sh is missing\n")
		os.Remove(server)
		b.want(1, "mcp --help", "✗ Could not locate the `mcp-server` binary")
		if b.stdout.Len() > 0 || strings.Count(b.stderr.String(), "\n") != 1 {
			t.Errorf("it says %q, %q", b.stdout.String(), b.stderr.String())
		}
		b.want(0, "help mcp", "Run the MCP server")
		if got := b.checked(0)["mcp"]; got.Status != "warn" {
			t.Errorf("doctor says %+v", got)
		}
	})
}

// page is where the dashboard of a bench is.
func (b *bench) page() string { return collectorURL(b.httpPort()) }

func TestDashboardInstallsTheServiceFirst(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.env["DISPLAY"] = ":0"
		b.want(0, "dashboard", "No collector is running — installing + starting the background service…", "✓ Wrote "+b.manager.names().path,
			"✓ Collector is healthy and serving on "+b.page(), "Opening "+b.page(),
			"Tip: `runtimescope service stop` / `uninstall` to manage or remove it.")
		if calls := b.calls(); calls[len(calls)-1] != b.on("xdg-open", "open")+" "+b.page()+dashboardPath {
			t.Errorf("it called %q", calls)
		}
		b.want(0, "dashboard", "Opening "+b.page())
		b.wantCalls(b.on("xdg-open", "open") + " " + b.page() + dashboardPath)
		b.silentOn("installing")
		b.want(0, "dashboard --no-open", b.page())
		b.wantCalls()
	})
}

func TestDashboardSaysThatACollectorHasNoPage(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.env["DISPLAY"] = ":0"
		b.noPage = true
		b.installed()
		b.want(1, "dashboard", "✗ the collector (version 0.10.7) has no dashboard (404)")
		b.want(0, "dashboard --no-open", "⚠ the collector (version 0.10.7) has no dashboard (404)", b.page()+dashboardPath)
		b.wantCalls()
	})
}

func TestDashboardOpensNothingThatAnotherUserAnswers(t *testing.T) {
	b := onSystemd(t).installed()
	b.env["DISPLAY"] = ":0"
	port := b.httpPort()
	for says, held := range map[string]portFacts{
		"✗ " + b.page() + " is answered by a process of user eve: that is not yours, so it is not opened": {holders: []holder{{uid: b.uid + 1, user: "eve"}}},
		"✗ " + b.page() + " answers, but could not check whose process that is: ":                         {err: errors.New("no /proc")},
		"no process found on port": {},
	} {
		s := b.dashboardSnapshot(t.Context())
		s.ports[port] = held
		if err := b.mayOpen(t.Context(), s, false); err == nil || !strings.Contains("✗ "+err.Error(), says) {
			t.Errorf("it says %v, not %s", err, says)
		}
	}
	b.processes = heldTable{b.processes, holder{pid: 7, uid: b.uid + 1, command: "x"}}
	b.want(1, "dashboard --no-open", "that is not yours")
	b.uid, b.processes = 0, heldTable{b.processes, holder{pid: 7, uid: -1, command: "x"}} // root may look into everybody's
	b.want(1, "dashboard --no-open", "that is not yours")
	b.env["SUDO_USER"] = "ada"
	b.want(1, "dashboard", "✗ this is a per-user service: run it without sudo")
	b.wantCalls()
}

// In a heldTable a process holds every port.
type heldTable struct {
	processTable
	by holder
}

func (h heldTable) holders(context.Context, int) (func(int) []holder, error) {
	return func(int) []holder { return []holder{h.by} }, nil
}

func TestADryRunOfDashboardChangesAndOpensNothing(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.env["DISPLAY"] = ":0"
		b.want(0, "dashboard -n", "would write "+b.manager.names().path, "would open "+b.page()+dashboardPath)
		if len(b.files()) > 0 {
			t.Errorf("it wrote %q", b.files())
		}
		b.installed()
		b.want(0, "dashboard --dry-run --timeout 5", "would open "+b.page()+dashboardPath)
		b.wantCalls()
	})
}

func TestDashboardForOtherMachinesIsOnlySaid(t *testing.T) {
	b := onSystemd(t)
	switch code := b.runs("dashboard", "--network"); {
	case code == 0:
		if out := b.stdout.String(); !strings.Contains(out, "RUNTIMESCOPE_AUTH_TOKEN") || !strings.Contains(out, fmt.Sprintf(":%d/dashboard\n", b.httpPort())) {
			t.Errorf("it says\n%s", out)
		}
	case !strings.Contains(b.stderr.String(), "no network address"):
		t.Errorf("exit %d, %s", code, b.stderr.String())
	}
	b.wantCalls()
	var all []net.Addr
	for _, cidr := range []string{"127.0.0.1/8", "::1/128", "169.254.7.7/16", "2001:db8::1/64", "192.168.7.5/24", "10.0.0.1/8"} {
		ip, n, _ := net.ParseCIDR(cidr)
		all = append(all, &net.IPNet{IP: ip, Mask: n.Mask})
	}
	if got := lanAddress(all); got != "192.168.7.5" || lanAddress(all[:4]) != "" {
		t.Errorf("it takes %q", got)
	}
}

func TestDashboardWithoutADesktopPrintsThePage(t *testing.T) {
	b := onSystemd(t).installed()
	b.want(0, "dashboard", b.page(), "no graphical session")
	b.wantCalls()
	b.env["WAYLAND_DISPLAY"] = "wayland-0"
	b.want(0, "dashboard", "Opening "+b.page())
}

func TestDashboardPrintsThePageWhenItCannotBeOpened(t *testing.T) {
	eachManager(t, func(t *testing.T, b *bench) {
		b.env["DISPLAY"] = ":0"
		b.installed()
		opener, real := b.on("xdg-open", "open"), b.app.run
		b.quick().plant(plant{Call: opener, Code: 3})
		b.want(0, "dashboard", b.page(), "exit status 3")
		b.app.run = real
		b.silentOn("Opening")
		os.Remove(b.fake.path("bin/" + programFile(opener)))
		b.want(0, "dashboard", b.page(), opener+": command not found")
	})
}

func TestTheCommandsThatMayOpenAPageAreTriedInTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env     map[string]string
		failing string // commands that are not there
		calls   string // with U for the page
		says    string
	}{
		{map[string]string{"DISPLAY": ":0"}, "", "xdg-open U", "Opening"},
		{map[string]string{"DISPLAY": ":0"}, "xdg-open", "xdg-open U|wslview U", "Opening"},
		{map[string]string{"DISPLAY": ":0"}, "xdg-open wslview", "xdg-open U|wslview U", "Open this URL in a browser (xdg-open: command not found)"},
		{map[string]string{"WSL_DISTRO_NAME": "Debian"}, "xdg-open", "xdg-open U|wslview U", "Opening"},
		{map[string]string{"BROWSER": "open"}, "", "open U", "Opening"}, // an editor over ssh sets it
		{map[string]string{"BROWSER": "open"}, "open", "open U", "Open this URL in a browser (open: command not found)"},
		{map[string]string{"BROWSER": ":lynx -x %s:open --new", "DISPLAY": ":0"}, "lynx", "lynx -x U|open --new U", "Opening"},
		{map[string]string{"BROWSER": "lynx", "DISPLAY": ":0"}, "lynx", "lynx U|xdg-open U", "Opening"},
		{map[string]string{"BROWSER": ":"}, "", "", "no graphical session"},
	} {
		b := newBench(t, "systemd").quick().installed()
		maps.Copy(b.env, c.env)
		run := &opened{Runner: b.app.run, failing: strings.Fields(c.failing)}
		b.app.run = run
		b.want(0, "dashboard", c.says)
		if got := strings.ReplaceAll(strings.Join(run.calls, "|"), b.page()+dashboardPath, "U"); got != c.calls {
			t.Errorf("%v without %s: %s", c.env, c.failing, got)
		}
	}
}

// An opened runner starts nothing, and remembers what it was to start.
type opened struct {
	Runner
	failing, calls []string
}

func (o *opened) Start(_ bond, _, _ io.Writer, _ []string, argv ...string) (process, error) {
	if o.calls = append(o.calls, strings.Join(argv, " ")); slices.Contains(o.failing, argv[0]) {
		return nil, fmt.Errorf("%s: command not found", argv[0])
	}
	return endedProcess{}, nil
}

func TestABrowserThatStaysIsNoFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").installed()
	b.env["DISPLAY"] = ":0"
	b.plant(plant{Call: "xdg-open", Hang: true})
	b.want(0, "dashboard", "Opening "+b.page())
	until(t, func() (hit bool) { // it may take longer to start than it is waited for
		b.fake.locked(func() { hit = b.fake.plants()[0].Nth == 0 })
		return hit
	}, func() string { return "no browser was started" })
}

func TestDashboardTellsOfACollectorThatDoesNotStart(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.behaves("crash 3")
		b.want(1, "dashboard", "✗ The collector exited with status 3 before it was ready")
		for _, call := range b.calls() {
			if strings.HasPrefix(call, "open") || strings.HasPrefix(call, "xdg-open") {
				t.Errorf("it opened a page that nobody serves: %s", call)
			}
		}
	})
}

func TestDashboardDoesNotWaitForAPortThatTheRunningCollectorWasNeverTold(t *testing.T) {
	b := onSystemd(t).installed()
	old, port := b.env[httpPortEnv], ""
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if http, _ := b.fakeState().fakePorts(); strconv.Itoa(http) == port {
			b.answer(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer other.Close()
	port = other.URL[strings.LastIndexByte(other.URL, ':')+1:]
	b.write(b.manager.names().path, strings.ReplaceAll(b.read(b.manager.names().path), old, port), 0o644) // as an install that was killed leaves it
	b.env[httpPortEnv] = port
	b.want(0, "dashboard --no-open", "✓ Collector is healthy and serving on http://127.0.0.1:"+port)
}

func TestDashboardDoesNotSuspectTheServiceWhenTheManagerGivesNoAnswer(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Busless = "Failed to connect to bus: No medium found" })
	b.want(0, "dashboard --no-open", b.page())
	b.silentOn("not by the service")
}

func TestDashboardWithoutAHomeAsksNoManager(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.home = "here"
		b.calls()
		b.want(0, "dashboard --no-open", b.page())
		if calls := b.fake.called(); strings.Contains(fmt.Sprint(calls), "ctl") {
			t.Errorf("it called %s", calls)
		}
	})
}

func TestAPlistIsNotPrintedWithoutTheHomeThatItNames(t *testing.T) {
	b := onSystemd(t)
	b.home = ""
	b.want(1, "service unit --launchd --collector /usr/bin/collector-server", "HOME")
	b.want(0, "service unit --systemd --collector /usr/bin//collector-server", `ExecStart="/usr/bin/collector-server"`)
}

func TestUnitPrintsTheDefinitionOfThisSystemUnlessAskedForAnother(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		const unit, plist = "[Service]", "<plist"
		b.want(0, "service unit --collector /usr/bin/collector-server", b.on(unit, plist))
		b.want(0, "service unit --systemd --collector /usr/bin/collector-server", unit)
		b.want(0, "service unit --launchd --collector /usr/bin/collector-server", plist)
		b.want(1, "service unit --collector bin/collector-server", "✗ --collector bin/collector-server: a definition needs an absolute path")
	})
}
