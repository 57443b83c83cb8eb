// What doctor finds in each state: every check runs, each bad one has a fix, and no value of a variable is shown.
package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checked runs doctor and returns the status of each check by its id.
func (b *bench) checked(code int) map[string]check {
	b.t.Helper()
	b.want(code, "service doctor --json")
	var report struct {
		Checks []check
		OK     *bool
	}
	decoder := json.NewDecoder(strings.NewReader(b.out.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || report.OK == nil {
		b.t.Fatalf("%v\n%s", err, b.out.String())
	}
	all := map[string]check{}
	failed := 0
	for _, c := range report.Checks {
		if _, twice := all[c.ID]; twice {
			b.t.Errorf("%s is there twice", c.ID)
		}
		all[c.ID] = c
		if !slices.Contains([]string{"ok", "warn", "fail", "unknown"}, c.Status) || c.Summary == "" {
			b.t.Errorf("%+v", c)
		}
		if c.Status == "ok" && c.Fix != "" {
			b.t.Errorf("a fix for what is well: %+v", c)
		}
		if c.Status == "fail" {
			failed++
		}
	}
	for _, id := range []string{"collector", "definition", "manager", "enabled", "process", "ready", "ports", b.on("linger", "logs"), "environment"} {
		if _, ok := all[id]; !ok {
			b.t.Errorf("there is no check %q:\n%s", id, b.out.String())
		}
	}
	if *report.OK != (failed == 0) || (code == 0) != (failed == 0) {
		b.t.Errorf("ok is %v, exit %d, %d failed", *report.OK, code, failed)
	}
	return all
}

func TestDoctorInEveryState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  func(b *bench)
		code int
		want map[string]string // id: status and a part of the summary or fix
	}{
		{"well", func(b *bench) { b.installed() }, 0, map[string]string{"manager": "ok", "definition": "ok ", "process": "ok running (PID", "ready": "ok",
			"ports": "ok held by the service", "enabled": "ok starts at login", "environment": "ok"}},
		{"nothing installed", func(*bench) {}, 1, map[string]string{"definition": "fail not installed", "process": "fail not installed", "ready": "unknown",
			"ports": "ok free for the service", "manager": "ok"}},
		{"stopped", func(b *bench) { b.installed().want(0, "service stop") }, 0, map[string]string{"process": "warn stopped", "ready": "unknown", "ports": "ok free"}},
		{"crash-looping", func(b *bench) { b.installed().crashed("crash 3") }, 1, map[string]string{"process": "fail crash-looping, last exit status 3", "ready": "unknown"}},
		{"not ready", func(b *bench) { b.installed(); b.behaves("silent") }, 1, map[string]string{"process": "ok", "ready": "fail /readyz"}},
		{"foreign answer", func(b *bench) { b.installed(); b.behaves("silent"); b.foreign(b.httpPort(), "python3") }, 1,
			map[string]string{"ready": "fail answered by PID 666 (python3), not by the service", "ports": "fail is held by PID 666"}},
		{"collector gone", func(b *bench) { b.installed(); os.Remove(b.collector()) }, 1, map[string]string{"collector": "fail not there"}},
		{"no collector at all", func(b *bench) { os.Remove(b.collector()) }, 1, map[string]string{"collector": "fail Could not locate"}},
		{"replaced", func(b *bench) { b.installed().replaceCollector() }, 0, map[string]string{"collector": "warn "}},
		{"file gone", func(b *bench) { b.installed(); os.Remove(b.manager.path()) }, 1, map[string]string{"definition": "fail "}},
		{"HOME relative", func(b *bench) { b.world.home = "here" }, 1, map[string]string{"environment": "fail HOME is"}},
		{"sudo", func(b *bench) { b.world.uid = 0; b.env["SUDO_USER"] = "ada" }, 1, map[string]string{"environment": "fail without sudo"}},
		{"no port", func(b *bench) { b.installed(); b.env[httpPortEnv] = "none" }, 1, map[string]string{"environment": "fail " + httpPortEnv}},
	} {
		for _, manager := range []string{"systemd", "launchd"} {
			t.Run(manager+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, manager).quick()
				c.set(b)
				b.calls()
				all := b.checked(c.code)
				b.wantCalls()
				for id, want := range c.want {
					status, text, _ := strings.Cut(want, " ")
					if got := all[id]; got.Status != status && !(c.name == "well" && got.Status == "warn") || !strings.Contains(got.Summary, text) {
						t.Errorf("%s is %+v, want %s", id, got, want)
					}
				}
				b.want(c.code, "service doctor")
				for _, got := range all {
					if !strings.Contains(b.out.String()+b.err.String(), got.ID+": ") {
						t.Errorf("the words do not have %s:\n%s", got.ID, b.out.String())
					}
					if got.Fix != "" && !strings.Contains(b.out.String(), "Fix: "+got.Fix) {
						t.Errorf("the words do not have the fix %q", got.Fix)
					}
				}
			})
		}
	}
}

func TestDoctorRunsEveryCheckWithoutAManager(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	b.fake.change(func(s *fakeState) { s.Busless = "Failed to connect to bus: No medium found" })
	all := b.checked(1)
	for id, want := range map[string]string{"manager": "fail", "definition": "unknown", "process": "unknown", "enabled": "unknown", "collector": "warn"} {
		if all[id].Status != want {
			t.Errorf("%s is %+v, want %s", id, all[id], want)
		}
	}
	if all["manager"].Fix == "" || !strings.Contains(all["manager"].Summary, "No medium found") {
		t.Errorf("manager is %+v", all["manager"])
	}
}

func TestDoctorTellsSystemdsStatesApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(b *bench)
		code int
		id   string
		want string
	}{
		"gave up": {func(b *bench) { b.installed().crashed("gave up 3") }, 1, "process", "fail"},
		"203":     {func(b *bench) { b.installed().crashed("crash 203") }, 1, "process", "fail"},
		"stale": {func(b *bench) {
			b.installed()
			b.write(b.manager.path(), strings.Replace(b.read(b.manager.path()), "256M", "1G", 1), 0o644)
		}, 0, "definition", "warn"},
		"disabled": {func(b *bench) {
			b.installed()
			os.Remove(filepath.Join(filepath.Dir(b.manager.path()), "default.target.wants", unitName))
		}, 0, "enabled", "warn"},
		"restarted": {func(b *bench) { b.installed(); b.fake.change(func(s *fakeState) { s.Restarts = 3 }) }, 0, "process", "warn"},
		"no linger": {func(b *bench) { b.installed() }, 0, "linger", "warn"},
		"linger":    {func(b *bench) { b.installed(); b.write(b.fake.path("root/var/lib/systemd/linger/ada"), "", 0o644) }, 0, "linger", "ok"},
		"same ports": {func(b *bench) {
			b.env[wsPortEnv] = "7001"
			b.installed()
			text := strings.Replace(b.read(b.manager.path()), wsPortEnv+"=7001", wsPortEnv+"="+b.env[httpPortEnv], 1)
			b.write(b.manager.path(), text, 0o644)
		}, 1, "ports", "fail"},
	} {
		b := newBench(t, "systemd").quick()
		c.set(b)
		if got := b.checked(c.code)[c.id]; got.Status != c.want {
			t.Errorf("%s: %s is %+v, want %s", name, c.id, got, c.want)
		}
	}
}

func TestNoOutputHasTheValueOfAVariable(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		const secret = "hush-hush-7d1f"
		b.env["RUNTIMESCOPE_API_KEY"], b.env["RUNTIMESCOPE_TOKEN"] = secret, secret
		b.world.environ = []string{"RUNTIMESCOPE_API_KEY=" + secret, "RUNTIMESCOPE_TOKEN=" + secret, "OTHER=1", httpPortEnv + "=" + b.env[httpPortEnv]}
		b.want(0, "service install")
		said := ""
		for _, args := range []string{"service doctor", "service doctor --json", "service status", "service status --json", "service restart",
			"service install -n", "service unit", "service logs", "dashboard --no-open", "help", "service update"} {
			b.runs(strings.Fields(args)...)
			said += b.out.String() + b.err.String()
		}
		if strings.Contains(said, secret) {
			t.Errorf("a secret is shown:\n%s", said)
		}
		if got := b.checked(0)["environment"]; got.Status != "warn" || !strings.Contains(got.Summary, "RUNTIMESCOPE_API_KEY") || strings.Contains(got.Summary, httpPortEnv) || strings.Contains(got.Summary, "OTHER") {
			t.Errorf("environment is %+v", got)
		}
		b.env[httpPortEnv] = secret
		b.runs("service", "doctor")
		if strings.Contains(b.out.String()+b.err.String(), secret) {
			t.Errorf("a value that is no port is shown:\n%s", b.out.String())
		}
	})
}
