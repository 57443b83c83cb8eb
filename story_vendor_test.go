// Stories of a unit that a package brought: used where it is, offered until somebody takes it, adopted after an upgrade.
package main

import (
	"strings"
	"testing"
)

// withVendor gives the machine a unit from a package, for the collector and port of the bench.
func withVendor(t *testing.T) *bench {
	b := newBench(t, "systemd").quick()
	text, err := b.manager.render(definition{b.collector(), ports{http: b.httpPort()}})
	if err != nil {
		t.Fatal(err)
	}
	b.fake.change(func(s *fakeState) { s.Vendor = text })
	return b
}

// wantNoCopy checks that the home has no unit of its own.
func (b *bench) wantNoCopy() {
	b.t.Helper()
	if b.read(b.manager.names().path) != "" || strings.Contains(b.stdout.String(), "Wrote") {
		b.t.Errorf("a unit was written to the home: %q\n%s", b.files(), b.stdout.String())
	}
}

func TestAPackagesUnitThatNobodyTookIsNotAnInstallation(t *testing.T) {
	t.Parallel()
	b := withVendor(t)
	b.want(4, "service status --exit-code", "Service not installed. Run: runtimescope service install")
	b.want(1, "service restart", "Service not installed.")
	b.want(1, "service doctor", "came with a package and is not enabled")
	b.want(0, "service uninstall", "Service is not installed.")
}

func TestDashboardStartsAPackagesUnit(t *testing.T) {
	t.Parallel()
	b := withVendor(t)
	b.want(0, "dashboard --no-open", "✓ Collector is healthy")
	b.wantNoCopy()
	b.want(0, "service stop", "Service stopped")
	b.want(0, "dashboard --no-open", "✓ Collector is healthy")
	b.wantNoCopy()
}

func TestUpdateAfterThePackageChangedItsUnitRestartsOnIt(t *testing.T) {
	t.Parallel()
	b := withVendor(t)
	b.want(0, "service install", "✓ Collector is healthy")
	before := b.fakeState().PID
	b.fake.change(func(s *fakeState) { s.Vendor += "# of the next version\n" })
	b.want(0, "service status", "Restart needed", "Collector: "+b.collector())
	b.want(0, "service update", "✓ Service restarted")
	b.wantNoCopy()
	if now := b.fakeState().PID; now == before || now == 0 {
		t.Errorf("PID %d after %d", now, before)
	}
	b.want(0, "service update", "Nothing to adopt")
}

func TestAnotherPortOverAPackagesUnitIsWrittenToTheHome(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	text, err := b.manager.render(definition{b.collector(), ports{http: 1}})
	if err != nil {
		t.Fatal(err)
	}
	b.fake.change(func(s *fakeState) { s.Vendor = text })
	b.want(0, "service install", "✓ Wrote "+b.manager.names().path, "✓ Collector is healthy")
	b.want(0, "service uninstall", "✓ Service uninstalled")
	b.want(4, "service status --exit-code", "Service not installed.")
}
