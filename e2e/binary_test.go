// End-to-end tests of which program the service runs: under any path, behind a link or a script, and after an upgrade.
package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestE2EUpdateAdoptsAReplacedBinaryOnce(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	old := e.serves()
	e.copyProgram(e.collector, e.collector)
	same(t, "status does not see the new binary", e.agrees("running")["restart_needed"], true)
	e.exits(0, "service status").says("⚠ Restart needed: the binary has been replaced")
	e.exits(0, "service update").says("✓ Collector is healthy")
	adopted := e.serves()
	if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", adopted)); adopted == old || target != e.collector {
		t.Errorf("PID %d runs %s", adopted, target)
	}
	e.changes()
	e.exits(0, "service update").says("Already up to date")
	e.wantChanges()
	same(t, "the second update restarted: PID", e.serves(), adopted)
	same(t, "status wants a restart", e.agrees("running")["restart_needed"], false)
}

func TestE2EABinaryThatChangedNamesWithAnOlderOneIsSeen(t *testing.T) {
	e := newE2E(t)
	e.copyProgram(e.collector, e.collector+".old")
	e.exits(0, "service install")
	time.Sleep(100 * time.Millisecond) // times of files and processes are compared
	e.ok(os.Rename(e.collector, e.collector+".broken"))
	e.ok(os.Rename(e.collector+".old", e.collector))
	e.exits(0, "service status").says("⚠ Restart needed: the binary has been replaced")
}

func TestE2EUpdateFollowsAPackageManagersLink(t *testing.T) {
	e := newE2E(t)
	version := func(n string) string { return filepath.Join(e.home, "versions", n, "collector-server") }
	for _, n := range []string{"1", "2"} {
		e.mkdir(filepath.Dir(version(n)))
		e.copyProgram(e.collector, version(n))
	}
	link := func(n string) {
		e.ok(os.Remove(e.collector))
		e.ok(os.Symlink(version(n), e.collector))
	}
	runs := func(n string) {
		t.Helper()
		if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", e.serves())); target != version(n) {
			t.Errorf("%s runs, not version %s", target, n)
		}
		if got := e.agrees("running"); got["collector"] != e.collector || got["restart_needed"] != false {
			t.Errorf("status: %v", got)
		}
	}
	link("1")
	e.exits(0, "service install").says("Collector: " + e.collector)
	runs("1")
	time.Sleep(100 * time.Millisecond) // times of files and processes are compared
	link("2")
	same(t, "status does not see the new version", e.agrees("running")["restart_needed"], true)
	e.exits(0, "service update")
	runs("2")
}

func TestE2EServiceRunsExactlyTheNamedFileOrRefuses(t *testing.T) {
	e := newE2E(t)
	runs := func(path string) {
		t.Helper()
		if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", e.serves())); target != path {
			t.Errorf("the service runs %q, not %q", target, path)
		}
	}
	try := func(name string, mayRefuse bool) {
		t.Helper()
		path := filepath.Join(e.home, "hostile", name, "collector-server")
		program := filepath.Join(filepath.Dir(path), "runtimescope") // finds the collector beside itself
		e.mkdir(filepath.Dir(path))
		e.ok(os.Link(e.collector, path))
		e.ok(os.Link(filepath.Join(e.bin, "runtimescope"), program))
		before := e.tree()
		e.changes()
		r := e.run(program, "service", "install")
		if r.code != 0 {
			if !mayRefuse || e.tree() != before {
				t.Errorf("%q: refused, files before:\n%s\nafter:\n%s\n%v", name, before, e.tree(), r)
			}
			e.wantChanges()
			return
		}
		runs(path)
		if got := e.agrees("running"); got["collector"] != path || got["restart_needed"] != false {
			t.Errorf("%q: status says %v", name, got)
		}
		e.exits(0, "service restart")
		runs(path)
		e.exits(0, "service uninstall").says("✓ Service uninstalled")
		e.stopped()
	}
	for _, name := range []string{`quo"te`, "apo'strophe", `back\slash`, "new\nline", "tab\tbed", "not utf\xff8"} {
		try(name, true)
	}
	works := []string{"my dir", "100% real", "%h", "do$llar", "${HOME}", "a&b<c>d", "naïve 日本", "semi;colon", " lead and trail "}
	if try(filepath.Join(works...), false); t.Failed() { // all in one path; then which of them it is
		for _, name := range works {
			try(name, false)
		}
	}
	// and names that nobody thought of
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	alphabet := []rune("%%$$hntUiIjJ09az;#=:{}[]()&|<>*?!~^@,.-+` é日\u00a0\U0001f600\"'\\\t\n\x01\x7f")
	for n := range 12 {
		name := fmt.Sprint(n) // or two of them may be the same
		for range 1 + random.IntN(8) {
			name += string(alphabet[random.IntN(len(alphabet))])
		}
		try(name, strings.ContainsAny(name, "\"'\\\t\n\x01\x7f"))
	}
}

func TestE2EHomeMayHaveSpacesAndPercentSigns(t *testing.T) {
	e := newE2E(t, "my 100%h höme")
	e.exits(0, "service install")
	if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", e.serves())); target != e.collector {
		t.Errorf("the service runs %q", target)
	}
	e.agrees("running")
	e.exits(0, "service uninstall")
	e.gone()
}

func TestE2EWrapperScriptIsVerifiedByItsChild(t *testing.T) {
	e := newE2E(t)
	program := filepath.Join(e.bin, "real", "collector-server")
	e.mkdir(filepath.Dir(program))
	e.ok(os.Rename(e.collector, program))
	e.write(e.collector, "#!/bin/sh\ntrap 'kill $child; wait $child; exit 0' TERM\n"+program+" &\nchild=$!\nwait $child\n", 0o755)
	e.exits(0, "service install").saysNot("unverified")
	e.agrees("running")
	if holdsPort(e.pid(), e.http) {
		t.Error("the script itself holds the port: this test tests nothing")
	}
	e.exits(0, "service status").saysNot("unverified", "Restart needed")
	e.exits(0, "service uninstall")
	e.gone()
}
