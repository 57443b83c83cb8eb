// What is looked at before anything changes, where the definition in use is not simply the file in the home.
package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestInstallLeavesToADropInWhatTheDropInSays(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
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
	b.want(0, "service install --collector "+third, "Collector: "+third, "⚠ What runs is "+other)
	if !strings.Contains(b.read(b.manager.names().path), third) {
		t.Errorf("the unit is\n%s", b.read(b.manager.names().path))
	}
}

func TestAPackagesUnitForTheSameFileUnderAnotherNameIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	name := filepath.Join(t.TempDir(), "collector-server") // as /bin is /usr/bin
	if err := os.Symlink(b.collector(), name); err != nil {
		t.Skip("no links here:", err)
	}
	text, err := b.manager.render(definition{name, ports{http: b.httpPort()}})
	if err != nil {
		t.Fatal(err)
	}
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
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
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
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	b.fake.change(func(s *fakeState) { s.Extra = "LoadState=bad-setting\nLoadError=x\n" })
	b.refused("service restart", "✗ systemd cannot load the unit (bad-setting): x", "Try: runtimescope service install")
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
	nobody, somebody := freePort(t), readyzServer(t, func(http.ResponseWriter, *http.Request) {})
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
		a := &app{processes: readyzTable{held: []holder{c.h}, ours: []int{42}}}
		snap := snapshot{shell: shell{uid: 1000}, state: c.s, ports: map[int]portFacts{}}
		a.portFacts(t.Context(), snap, nil, c.port)
		if _, got := snap.portConflict(c.port); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
}

func TestOnlyRootIsSuspectedOfSudo(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
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
