// Stories of what is refused before anything changes: nothing is written then, and nothing is run that changes the
// state of the machine.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// refused runs a command that must fail and leave everything as it was.
func (b *bench) refused(args string, texts ...string) {
	b.t.Helper()
	b.calls()
	before, state := strings.Join(b.files(), "\n"), b.fakeState()
	b.want(1, args, texts...)
	if !strings.HasPrefix(b.stderr.String(), "  ✗ ") {
		b.t.Errorf("%s: the ✗ line does not come first:\n%s", args, b.stderr.String())
	}
	b.wantCalls()
	same(b.t, fmt.Sprintf("%s changed the files from", args), strings.Join(b.files(), "\n"), before)
	if now := b.fakeState(); now.PID != state.PID || now.LoadedText != state.LoadedText {
		b.t.Errorf("%s changed the service", args)
	}
}

var startingVerbs = []string{"install", "update", "restart", "start"}

func TestAnInstallWithoutACollectorSaysWhereItLooked(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		os.Remove(b.collector())
		folder := b.fake.path("onpath")
		b.write(filepath.Join(folder, programFile(collectorName)), "data", 0o644)
		b.path = []string{"relative", folder, b.fake.path("empty")}
		if runtime.GOOS == "windows" {
			b.path = []string{"relative", b.fake.path("empty")}
		}
		b.refused("service install", "Could not locate the `collector-server` binary", b.collector()+": missing",
			`"relative" on PATH: skipped (not an absolute path)`, filepath.Join(b.fake.path("empty"), collectorName)+": missing")
		if runtime.GOOS != "windows" {
			b.refused("service install", filepath.Join(folder, collectorName)+": not executable")
		}
		b.refused("service run", "Could not locate the `collector-server` binary")
		b.refused("service unit", "Could not locate the `collector-server` binary")
	})
}

func TestTheCollectorBesideTheProgramComesBeforeThatOnPath(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		other := b.fake.path("onpath/" + programFile(collectorName))
		b.write(other, "#!/bin/sh\n", 0o755)
		b.path = []string{filepath.Dir(other)}
		b.want(0, "service install", "Collector: "+b.collector())
		b.want(0, "service uninstall")
		os.Remove(b.collector())
		b.want(0, "service install", "Collector: "+other)
	})
}

func TestABadCollectorIsRefused(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		plain := b.fake.path("plain")
		b.write(plain, "data", 0o644)
		for _, verb := range []string{"install", "run"} {
			b.refused("service "+verb+" --collector "+b.home, "✗ cannot use the collector "+b.home+": a directory")
			b.refused("service "+verb+" --collector "+b.fake.path("nowhere"), "nowhere: missing")
			if runtime.GOOS != "windows" {
				b.refused("service "+verb+" --collector "+plain, "plain: not executable")
			}
		}
	})
}

func TestACollectorThatVanishedIsRefusedBeforeARestart(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		os.Remove(b.collector())
		b.refused("service restart", "✗ cannot use the collector of the service, "+b.collector()+": missing", "Fix: runtimescope service install")
		b.refused("service start", b.collector()+": missing")
	})
}

func TestAPathThatADefinitionCannotCarryIsRefused(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no such file names on Windows")
	for _, c := range []struct{ folder, manager, says string }{
		{"quo\"te", "systemd", `the character '"' is not allowed`},
		{"apo'strophe", "systemd", `the character '\'' is not allowed`},
		{"back\\slash", "systemd", `the character '\\' is not allowed`},
		{"new\nline", "systemd", `the character '\n' is not allowed`},
		{"bad\xffbyte", "systemd", "not UTF-8"},
		{"bad\xffbyte", "launchd", "not UTF-8"},
		{"bell\a", "launchd", `XML does not allow the character '\a'`},
	} {
		b := newBench(t, c.manager).quick()
		path := filepath.Join(b.fake.dir, c.folder, collectorName)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			continue // a file system that has no such names
		}
		b.write(path, "#!/bin/sh\n", 0o755)
		before := len(b.files())
		if code := b.runs("service", "install", "--collector", path); code != 1 || !strings.Contains(b.stderr.String(), c.says) {
			t.Errorf("%q on %s: exit %d, %s", c.folder, c.manager, code, b.stderr.String())
		}
		b.wantCalls()
		if len(b.files()) != before {
			t.Errorf("%q: it wrote %q", c.folder, b.files())
		}
	}
}

func TestAPathWithOddCharactersIsRunAsItIs(t *testing.T) {
	for _, folder := range []string{"my dir", "100% real", "%h", "do$llar", "a&b", "naïve 日本", "a;b", "#hash"} {
		t.Run(folder, func(t *testing.T) {
			eachQuick(t, func(t *testing.T, b *bench) {
				path := filepath.Join(b.fake.dir, folder, programFile(collectorName))
				b.write(path, "#!/bin/sh\n", 0o755)
				if code := b.runs("service", "install", "--collector", path); code != 0 {
					t.Fatalf("%s: exit %d\n%s", folder, code, b.stderr.String())
				}
				s, runs := b.fakeState(), ""
				if b.manager.names().name == "systemd" {
					runs = fakeProgram(s.LoadedText)
				} else {
					runs = b.job().Program
				}
				same(t, "the manager runs", runs, path)
				b.want(0, "service status", "Collector: "+path)
				b.want(0, "service restart", "✓ Service restarted")
			})
		})
	}
}

func TestAHomeThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, home := range []string{"", "relative/home"} {
		for _, manager := range []string{"systemd", "launchd"} {
			b := newBench(t, manager).quick()
			b.app.home = home
			if manager == "systemd" {
				b.manager = systemd{home: home, uid: b.uid, getenv: b.getenv}
			} else {
				b.manager = launchd{home: home, uid: b.uid}
			}
			for _, verb := range []string{"install", "update", "restart", "start", "stop", "uninstall"} {
				b.want(1, "service "+verb, fmt.Sprintf("✗ HOME is %q: it must be set to an absolute path", home))
				b.wantCalls()
			}
		}
	}
}

func TestSudoIsRefusedWithTheCommandWithoutIt(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.app.uid = 0
		b.env["SUDO_USER"] = "ada"
		b.commandLine = "runtimescope service install --timeout 5s"
		for _, verb := range []string{"install", "restart", "stop", "uninstall"} {
			b.refused("service "+verb, "run it without sudo", "Fix: runtimescope service install --timeout 5s")
		}
	})
}

func TestAPortThatIsNoneIsRefusedByName(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		for _, name := range []string{httpPortEnv, wsPortEnv} {
			for _, value := range []string{"abc", "0", "65536", "-1", "6768x", " 6768", "1e3"} {
				old := b.env[name]
				b.env[name] = value
				says := " is not a valid port: it must be a number from 1 to 65535"
				for _, args := range []string{"service install", "service update", "service restart", "service run", "service unit", "dashboard --no-open"} {
					b.refused(args, "✗ "+name+says)
				}
				b.refused("service status", "✗ "+name+says)
				b.env[name] = old
			}
		}
	})
}

func TestTheSamePortTwiceIsRefused(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.env[wsPortEnv] = b.env[httpPortEnv]
		b.refused("service install", "are both "+b.env[httpPortEnv]+": they must differ")
		same(t, "doctor on ports", b.checked(1)["ports"].Status, "fail")
	})
}

func TestAForeignHolderOfAPortIsNamed(t *testing.T) {
	for _, c := range []struct{ command, says, try string }{
		{"node /x/runtimescope-mcp/dist/index.js", "that is the collector inside your editor's plugin", "quit the editor"},
		{"node /home/ada/.npm/mcp-server.js --stdio", "that is the collector inside your editor's plugin", "quit the editor"},
		{"/opt/rs/collector-server", "that is another collector", fmt.Sprintf("kill %d", foreignPID)},
		{"node /opt/runtimescope/collector/dist/standalone.js", "that is another collector", fmt.Sprintf("kill %d", foreignPID)},
		{"python3 -m http.server 6767", "which is not a RuntimeScope collector", "stop PID "},
	} {
		t.Run(c.command, func(t *testing.T) {
			eachQuick(t, func(t *testing.T, b *bench) {
				listener := need(net.Listen("tcp4", "127.0.0.1:0"))(t)
				defer listener.Close()
				wsPort := listener.Addr().(*net.TCPAddr).Port
				b.env[wsPortEnv] = fmt.Sprint(wsPort)
				for _, port := range []int{b.httpPort(), wsPort} {
					b.foreign(port, c.command)
					holder := fmt.Sprintf("✗ port %d is held by PID %d (%s)", port, foreignPID, c.command)
					for _, args := range []string{"service install", "service install --dry-run", "service run"} {
						b.refused(args, holder, c.says, "Fix: "+c.try)
					}
				}
				os.Remove(b.fake.path("foreign"))
				b.fake.locked(func() { b.fake.writeProc(b.fake.load()) })
				listener.Close()
				b.installed().want(0, "service stop")
				b.foreign(b.httpPort(), c.command)
				for _, verb := range startingVerbs[2:] {
					b.refused("service "+verb, "is held by PID 666", c.says)
				}
			})
		})
	}
}

func TestAMaskedUnitIsRefused(t *testing.T) {
	t.Parallel()
	needsLinks(t)
	b := newBench(t, "systemd").quick()
	must(t, os.MkdirAll(filepath.Dir(b.manager.names().path), 0o755))
	must(t, os.Symlink("/dev/null", b.manager.names().path))
	for _, verb := range startingVerbs {
		b.refused("service "+verb, "✗ the service is masked, so systemd will not start it", "Fix: systemctl --user unmask runtimescope.service")
	}
	b.want(0, "service uninstall", "Service is not installed.", "⚠ the service is masked") // a mask is not ours
	b.want(0, "service status", "⚠ the service is masked, so systemd will not start it", "Fix: systemctl --user unmask runtimescope.service")
	b.want(3, "service status --exit-code", "masked")
}

func TestADefinitionThatIsALinkIsLeftToWhoMadeIt(t *testing.T) {
	needsLinks(t)
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed().want(0, "service stop")
		target := b.fake.path("dotfiles/definition")
		b.write(target, b.read(b.manager.names().path), 0o644)
		os.Remove(b.manager.names().path)
		must(t, os.Symlink(target, b.manager.names().path))
		b.refused("service install", b.manager.names().path+" is a symlink to "+target)
		b.want(0, "service restart") // which writes nothing
		if text := b.read(target); text == "" {
			t.Error("the file of somebody else was emptied")
		}
		b.want(0, "service uninstall", "✓ Service uninstalled", target+", which the "+b.on("unit", "plist")+" linked to, stays.")
		if text := b.read(target); text == "" {
			t.Error("what it linked to is gone")
		}
	})
}

func TestAnUnreachableManagerIsSaidBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	for _, words := range []string{
		"Failed to connect to bus: No medium found",
		"Failed to connect to bus: No such file or directory",
		"Failed to connect to bus: Connection refused",
		"Failed to connect to bus: Operation not permitted",
		"Failed to connect to bus: $DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined (consider using --machine=<user>@.host --user to connect to bus of other user)",
		"Failed to connect to user scope bus via local transport: No such file or directory",
	} {
		b := newBench(t, "systemd").quick()
		b.fake.change(func(s *fakeState) { s.Busless = words })
		b.refused("service install", "✗ cannot reach the systemd user manager: ", words, "exit status 1", "Fix: ")
		b.refused("dashboard --no-open", "✗ cannot reach the systemd user manager: ")
		for _, verb := range startingVerbs[1:] {
			b.refused("service "+verb, words)
		}
		b.want(0, "service uninstall", "⚠ cannot reach the systemd user manager", "Service is not installed.")
		b.want(0, "service status", "⚠ cannot reach the systemd user manager", "Service not installed. Run: runtimescope service install")
		b.want(4, "service status --exit-code", "not installed")

		b.fake.change(func(s *fakeState) { s.Busless = "" })
		b.installed()
		b.fake.change(func(s *fakeState) { s.Busless = words })
		for _, verb := range append(startingVerbs, "stop") {
			b.refused("service "+verb, words)
		}
		b.refused("service uninstall", b.manager.names().path+" is kept")
		b.refused("service status", words)
	}
}

func TestAMissingSystemctlNamesTheForegroundRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd")
	os.Remove(b.fake.path("bin/" + programFile("systemctl")))
	b.refused("service install", "✗ systemctl is not installed: this system does not run systemd", "Fix: runtimescope service run")
}

func TestAHungManagerEndsInAClearError(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.plant(plant{Call: b.on("systemctl", "launchctl"), Hang: true})
		b.refused("service install", "no answer within 10s")
	})
}

func TestOtherSystemsAreNamed(t *testing.T) {
	b := onSystemd(t)
	b.manager, b.platform = nil, "plan9"
	for _, verb := range []string{"install", "update", "restart", "start", "stop", "uninstall", "status", "doctor", "logs"} {
		b.want(1, "service "+verb, "✗ Platform 'plan9' is not supported (macOS launchd / Linux systemd only).", "Fix: runtimescope service run")
	}
	b.fake.change(func(s *fakeState) { s.Behave = "silent" })
	b.want(1, "dashboard --no-open", "Platform 'plan9' is not supported")
}

func TestAPortInTheManagersOwnEnvironmentIsRefusedByName(t *testing.T) {
	b := onSystemd(t)
	b.fake.change(func(s *fakeState) { s.Inherited = "RUNTIMESCOPE_PORT=7777" })
	b.want(1, "service install", "the systemd user manager sets RUNTIMESCOPE_PORT=7777 in its environment", "Fix: systemctl --user unset-environment RUNTIMESCOPE_PORT")
	same(t, "it wrote", b.files(), nil)
	b.env[wsPortEnv] = "7778" // said in the unit, so the manager's does not matter
	b.want(0, "service install", "✓ Collector is healthy")
}

func TestInstallLeavesToADropInWhatTheDropInSays(t *testing.T) {
	b := onSystemd(t).installed()
	other := filepath.Join(t.TempDir(), "collector-server")
	b.write(other, "#!/bin/sh\n", 0o755)
	b.fake.change(func(s *fakeState) {
		s.Extra = "DropInPaths=/x/y.conf\nExecStart={ path=" + other + " ; argv[]=" + other + " ; }\n"
	})
	text := b.read(b.manager.names().path)
	b.want(0, "service install", "Collector: "+other, "✓ Collector is healthy")
	if b.read(b.manager.names().path) != text || slices.Contains(b.files(), b.manager.names().path+".bak") {
		t.Errorf("the unit became\n%s\n%q", b.read(b.manager.names().path), b.files())
	}
	third := filepath.Join(t.TempDir(), "collector-server")
	b.write(third, "#!/bin/sh\n", 0o755)
	b.want(0, "service install --collector "+third, "Collector: "+third, "⚠ The service runs "+other)
	if !strings.Contains(b.read(b.manager.names().path), third) {
		t.Errorf("the unit is\n%s", b.read(b.manager.names().path))
	}
}

func TestAPackagesUnitForTheSameFileUnderAnotherNameIsUsedAsItIs(t *testing.T) {
	b := onSystemd(t)
	name := filepath.Join(t.TempDir(), "collector-server") // as /bin is /usr/bin
	symlink(t, b.collector(), name)
	text := need(b.manager.render(definition{collector: name, ports: ports{http: b.httpPort()}}))(t)
	b.fake.change(func(s *fakeState) { s.Vendor = text })
	b.want(0, "service install", "Collector: "+name, "✓ Collector is healthy")
	b.wantNoCopy()
	b.want(0, "service restart", "✓ Service restarted")
	b.wantNoCopy()
	other := filepath.Join(t.TempDir(), "collector-server")
	b.write(other, "#!/bin/sh\n", 0o755)
	b.want(0, "service install --collector "+other, "✓ Wrote "+b.manager.names().path, "Collector: "+other)
}

func TestDashboardOnlyWaitsForAServiceThatIsStarting(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Extra = "ActiveState=activating\nSubState=start\n" })
	var probes atomic.Int64
	b.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if probes.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b.fake.change(func(s *fakeState) { s.Extra = "" })
	})
	b.calls()
	b.want(0, "dashboard --no-open", "✓ Collector is healthy", b.page())
	b.wantCalls()
}

func TestARestartIsTriedOnADefinitionThatWasMended(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Extra = "LoadState=bad-setting\nLoadError=x\n" })
	b.refused("service restart", "✗ systemd cannot load the unit (bad-setting): x", "Fix: runtimescope service install")
	b.fake.change(func(s *fakeState) { s.Extra += "NeedDaemonReload=yes\n" })
	b.calls()
	b.want(0, "service restart", "✓ Service restarted")
	if calls := b.calls(); !slices.Contains(calls, "systemctl --user daemon-reload") {
		t.Errorf("it called %q", calls)
	}
	b.want(0, "service install", "✓ Collector is healthy") // without a drop-in it is what cures
}

func TestWhoIsInTheWayOfTheService(t *testing.T) {
	t.Parallel()
	nobody, somebody := silentPort(t), readyzServer(t, func(http.ResponseWriter, *http.Request) {})
	up, down := state{phase: running, pid: 42}, state{phase: stopped}
	for _, c := range []struct {
		what string
		h    holder
		port int
		s    state
		want bool
	}{
		{"itself", holder{pid: 42}, somebody, up, false},
		{"another", holder{pid: 5}, somebody, up, true},
		{"a process that cannot be looked into", holder{uid: 1000}, somebody, up, false},
		{"such a one, while the service is stopped", holder{uid: 1000}, somebody, down, true},
		{"such a one of another user", holder{uid: 0}, somebody, up, true},
		{"one on IPv6 alone", holder{pid: 5, wildcard6: true}, nobody, up, false},
		{"one on IPv6 that takes in IPv4", holder{pid: 5, wildcard6: true}, somebody, up, true},
		{"one on IPv4 that has gone meanwhile", holder{pid: 5}, nobody, up, true},
	} {
		a := patient()
		a.processes = readyzTable{held: []holder{c.h}, ours: []int{42}}
		snap := snapshot{shell: shell{uid: 1000}, state: c.s, ports: map[int]portFacts{}}
		a.portFacts(t.Context(), snap, nil, c.port)
		if _, got := snap.portConflict(c.port); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	for port, elsewhere := range map[int]bool{nobody: true, somebody: false} { // the service on [::]
		a := patient()
		a.processes = readyzTable{held: []holder{{pid: 42, wildcard6: true}}, ours: []int{42}}
		own, _ := a.owner(t.Context(), port, up)
		same(t, "it listens elsewhere", own, ownership{verified: true, elsewhere: elsewhere})
	}
}

func TestAPortIsBoundOnlyBeforeAStartOfAServiceThatIsDown(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		tried := 0
		b.unbound = func(int) error {
			tried++
			return errors.New("address already in use")
		}
		quiet := func(commands ...string) {
			t.Helper()
			for _, args := range commands {
				if b.runs(strings.Fields(args)...); tried != 0 {
					t.Fatalf("%s binds a port", args)
				}
			}
		}
		quiet("service status", "service doctor", "service install --dry-run", "service stop", "service uninstall")
		b.refused("service install", fmt.Sprintf("✗ port %d cannot be bound, though nobody listens there: address already in use", b.httpPort()))
		b.unbound = nil
		b.want(0, "service install")
		b.unbound = func(int) error { tried++; return nil }
		tried = 0
		quiet("service restart", "service install", "service stop")
		if b.want(0, "service start"); tried == 0 {
			t.Error("no port was tried")
		}
	})
}

func TestOnlyRootIsSuspectedOfSudo(t *testing.T) {
	b := onSystemd(t)
	b.env["SUDO_USER"] = "ada"
	for uid, refused := range map[int]bool{0: true, 1000: false} {
		b.app.uid = uid
		if err := b.mayManage(); (err != nil) != refused {
			t.Errorf("uid %d: %v", uid, err)
		}
	}
	b.app.uid, b.env["SUDO_USER"] = 0, ""
	if err := b.mayManage(); err != nil {
		t.Errorf("root by itself: %v", err)
	}
}
