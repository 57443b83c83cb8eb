// Stories of a service that is not as the tool would have written it, by a drop-in, a package or another home: what each
// verb does then, and the sentences that are said of it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADropInIsNamedAsTheCauseBeforeTheUnitIs(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Extra = "LoadState=bad-setting\nLoadError=x\nDropInPaths=/x/y.conf\n" })
	b.refused("service install", "✗ systemd cannot load the unit (bad-setting): x", "Fix: edit or remove /x/y.conf")
	b.want(0, "service status", "⚠ systemd cannot load the unit (bad-setting): x. Fix: edit or remove /x/y.conf")
}

func TestAPortThatTheProcessWasToldOtherwiseIsFollowed(t *testing.T) {
	b := onSystemd(t)
	text := need(b.manager.render(definition{collector: b.collector()}))(t)
	b.write(b.manager.names().path, text, 0o644)
	asked := b.env[httpPortEnv]
	delete(b.env, httpPortEnv)
	b.fake.change(func(s *fakeState) { s.Inherited = httpPortEnv + "=" + asked })
	b.want(0, "service restart", "✓ Service restarted", "✓ Collector is healthy and serving on "+b.page())
	b.want(0, "service status", "✓ Collector is healthy and serving on "+b.page())
	b.want(0, "dashboard --no-open", b.page())
}

func TestAPortThatWasAskedForAndIsNotTheServicesIsAFailure(t *testing.T) {
	b := onSystemd(t).installed()
	port := silentPort(t)
	b.before(changesSomething, func() { b.fake.change(func(s *fakeState) { s.Overrides = fmt.Sprintf("%s=%d", httpPortEnv, port) }) }) // a wrapper
	b.want(1, "service install", fmt.Sprintf("✗ the service uses ports %d and %d, not %d and %d, although they are not set by its unit", port, defaultWSPort, b.httpPort(), defaultWSPort))
	b.silentOn("✓ Collector")
}

func TestInstallSaysThatTheServiceDoesNotStartAtLogin(t *testing.T) {
	b := onSystemd(t)
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=static\n" })
	b.want(0, "service install", "✓ Collector is healthy", "⚠ It does not start at login")
	b.want(0, "service status", "Starts at login: no, the unit has no [Install] section")
	if got := b.checked(0)["enabled"]; got.Status != "warn" || got.Fix != "" {
		t.Errorf("doctor: %+v", got)
	}
	b.fake.change(func(s *fakeState) { s.Extra = "" })
	b.want(0, "service install")
	b.silentOn("does not start at login")
}

func TestAnEnabledUnitThatNoTargetWantsDoesNotStartAtLogin(t *testing.T) {
	b := onSystemd(t).installed()
	wants := filepath.Join(filepath.Dir(b.manager.names().path), "default.target.wants", unitName)
	enabled := func() bool { return b.json(0, "service status --json")["enabled"] == true }
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=enabled\n" })
	if !enabled() {
		t.Error("the link is there")
	}
	must(t, os.Remove(wants))
	if enabled() {
		t.Error("neither the link nor a target is there")
	}
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=enabled\nWantedBy=graphical-session.target\n" })
	if !enabled() {
		t.Error("a target wants it")
	}
}

func TestWhatRunsInsteadOfTheCollectorIsSaid(t *testing.T) {
	b := onSystemd(t)
	b.fake.change(func(s *fakeState) { s.Extra = "ExecStart={ path=/x/y ; argv[]=/x/y ; }\n" })
	b.want(0, "service install", "Collector: "+b.collector(), "✓ Collector is healthy", "⚠ The service runs /x/y, set by a drop-in of the unit")
}

func TestAServiceThatWasNotStartedAnewIsNotCalledRestarted(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").installed()
	b.plant(plant{Call: "systemctl --user restart"})
	b.want(1, "service restart", "✗ systemd reported a restart, but the old process (PID ")
	b.silentOn("✓")
}

func TestStopSaysHowTheServiceCanStartAgain(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		set  func(b *bench)
		want string
	}{
		"there": {func(*bench) {}, "✓ Service stopped (unit preserved — run `service restart` to start again)"},
		"gone":  {func(b *bench) { os.Remove(b.manager.names().path) }, "✓ Service stopped (its unit is gone — run `service install` to start again)"},
		"a link": {func(b *bench) {
			real := b.manager.names().path + ".real"
			if os.Rename(b.manager.names().path, real) != nil || os.Symlink(real, b.manager.names().path) != nil {
				b.t.Skip("no links here")
			}
		}, "✓ Service stopped (unit preserved — run `service restart` to start again)"},
		"masked": {func(b *bench) { b.fake.change(func(s *fakeState) { s.Extra = "LoadState=masked\n" }) }, "✓ Service stopped (it is masked — run `systemctl --user unmask runtimescope.service` before it can start again)"},
	} {
		b := newBench(t, "systemd").quick().installed()
		c.set(b)
		if b.want(0, "service stop", c.want); strings.Contains(b.stdout.String(), "Still") {
			t.Errorf("%s: nothing runs any more:\n%s", how, b.stdout.String())
		}
	}
	b := withVendor(t)
	b.want(0, "service install")
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=disabled\n" })
	b.want(0, "service stop", "✓ Service stopped (unit preserved — run `service install` to start again)")
}

func TestWhatStillHoldsAPortAfterAStopIsSaid(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.before(changesSomething, func() { b.foreign(b.httpPort(), "perl x.pl") })
		b.want(0, "service stop", "✓ Service stopped", fmt.Sprintf("⚠ Still: port %d is held by PID 666 (perl x.pl)", b.httpPort()))
	})
}

func TestAPackagesUnitThatIsEnabledForAllIsNotCalledUninstalled(t *testing.T) {
	t.Parallel()
	b := withVendor(t)
	b.want(0, "service install")
	b.fake.change(func(s *fakeState) { s.Extra = "UnitFileState=enabled\nWantedBy=default.target\n" })
	b.want(0, "service uninstall", "✓ Service stopped", "⚠ A package enables it for all users, so it starts again at the next login. Fix: systemctl --user mask runtimescope.service")
	b.silentOn("uninstalled")
}

func TestTheServiceOfAnotherHomeIsLeftAlone(t *testing.T) {
	b := onSystemd(t).installed()
	b.fake.change(func(s *fakeState) { s.Extra = "FragmentPath=/home/b b/.config/systemd/user/runtimescope.service\n" })
	b.home = t.TempDir()
	m := b.manager.(systemd)
	m.home = b.home
	b.manager = m
	for _, args := range []string{"service install", "service uninstall", "service restart", "service update", "service stop"} {
		b.refused(args, "✗ systemd loaded the unit from /home/b b/.config/systemd/user/runtimescope.service, but HOME in this shell is a different directory", "Fix: export HOME='/home/b b'")
	}
}

func TestDashboardNamesWhoAnswersInsteadOfTheService(t *testing.T) {
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		b.want(0, "dashboard --no-open", b.page())
		b.silentOn("⚠")
		b.behaves("silent")
		b.foreign(b.httpPort(), "perl x.pl")
		b.want(0, "dashboard --no-open", "⚠ "+b.page()+" is answered by PID 666 (perl x.pl), not by the service", b.page())
	})
}

// withVendor gives the machine a unit from a package, for the collector and port of the bench.
func withVendor(t *testing.T) *bench {
	b := newBench(t, "systemd").quick()
	text := need(b.manager.render(definition{collector: b.collector(), ports: ports{http: b.httpPort()}}))(t)
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
	b.want(1, "service doctor", "belongs to a package and is not enabled")
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
	b.want(0, "service status", "/usr/lib/systemd/user/runtimescope.service")
	b.want(0, "service uninstall", "/usr/lib/systemd/user/runtimescope.service belongs to a package and stays.")
	if s := b.fakeState(); s.PID != 0 || len(b.files()) != 0 {
		t.Errorf("PID %d, files %q", s.PID, b.files())
	}
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
	b.want(0, "service update", "Already up to date")
}

func TestAnotherPortOverAPackagesUnitIsWrittenToTheHome(t *testing.T) {
	b := onSystemd(t)
	text := need(b.manager.render(definition{collector: b.collector(), ports: ports{http: 1}}))(t)
	b.fake.change(func(s *fakeState) { s.Vendor = text })
	b.want(0, "service install", "✓ Wrote "+b.manager.names().path, "✓ Collector is healthy")
	b.want(0, "service uninstall", "✓ Service uninstalled")
	b.want(4, "service status --exit-code", "Service not installed.")
}
