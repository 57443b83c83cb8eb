// End-to-end tests of promises that a fake could keep while the real systemd does not.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// newNamespaceE2E is newE2E where users may make namespaces.
func newNamespaceE2E(t *testing.T) *e2e {
	t.Helper()
	e := newE2E(t)
	if !e.mayUseNamespaces() {
		t.Skip("this system lets users make no namespace")
	}
	return e
}

func TestE2EAnOwnerThatCannotBeFoundOutIsUnverified(t *testing.T) {
	e := newNamespaceE2E(t)
	e.exits(0, "service install")
	e.prefix = []string{"unshare", "--user"} // in which this user is nobody to the processes outside
	e.exits(0, "service status").says("— unverified: ").saysNot("✓ Collector is healthy")
	if r := e.exits(0, "service status --json"); !strings.Contains(r.out, `"verified":null`) && !strings.Contains(r.out, `"verified":false`) {
		t.Errorf("it is called verified: %v", r)
	}
	e.prefix = nil
	e.exits(0, "service status").says("✓ Collector is healthy")
}

func TestE2EAStopThatSystemdRefusesIsAFailure(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	pid := e.serves()
	e.dropIn("[Unit]\nRefuseManualStop=yes\n")
	e.systemctl("daemon-reload")
	e.exits(0, "service status").says("the unit has RefuseManualStop=yes, so systemd refuses to stop or restart the service by hand. Fix: edit or remove " + e.unit + ".d/x.conf")
	for _, verb := range []string{"stop", "uninstall", "restart", "install"} {
		e.exits(1, "service "+verb).says("RefuseManualStop=yes", "Fix: edit or remove "+e.unit+".d/x.conf").saysNot("✓")
		if e.serves() != pid || e.show("UnitFileState") != "enabled" {
			t.Errorf("%s: it is not as it was", verb)
		}
	}
	e.ok(os.Remove(e.unit + ".d/x.conf"))
	e.write(e.unit+".d/limits.conf", "[Service]\nNice=5\n", 0o644)
	e.write(e.unit, strings.Replace(e.read(e.unit), "[Service]", "RefuseManualStop=yes\n[Service]", 1), 0o644)
	e.systemctl("daemon-reload")
	e.exits(1, "service restart").says("RefuseManualStop=yes", "Fix: runtimescope service install")
	e.exits(0, "service install").says("✓ Collector is healthy")
	if e.serves() == pid {
		t.Error("the old process runs")
	}
	e.exits(0, "service uninstall")
}

func TestE2EAManagerThatHangsIsAClearError(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	pid := e.serves()
	manager, err := strconv.Atoi(strings.Fields(e.read("/proc/" + strconv.Itoa(pid) + "/stat"))[3])
	e.ok(err)
	e.ok(syscall.Kill(manager, syscall.SIGSTOP))
	t.Cleanup(func() { syscall.Kill(manager, syscall.SIGCONT) })
	for _, args := range []string{"service status", "service restart", "service uninstall"} {
		e.exits(1, args).says("no answer within 10").saysNot("✓")
	}
	e.exits(1, "service status").says("could not check whether that is the service")
	e.ok(syscall.Kill(manager, syscall.SIGCONT))
	e.until("the manager is back", func() bool {
		out, _ := e.tool("systemctl", "--user", "is-system-running")
		return out == "running" || out == "degraded"
	})
	if e.serves() != pid {
		t.Error("the service is not as it was")
	}
	e.exits(0, "service status").says("✓ Collector is healthy")
}

func TestE2ETheValueOfAVariableIsNeverPrinted(t *testing.T) {
	e := newE2E(t)
	values := map[string]string{"RUNTIMESCOPE_TOKEN_SECRET": `s3 cr%t "$' \ é` + "\tt"}
	for i, value := range []string{" s3 cr ", "\ts3 cr\t", "#s3 cr", ";s3 cr", `s3 cr\`, "%h%%%n s3 cr", "$HOME ${HOME} $$ s3 cr", `"s3 cr"`, "'s3 cr'", `\x41\s\101 s3 cr`, " ", "é\u2028日本🙂 s3 cr",
		"=s3 cr=", "-s3 cr", "~/s3 cr", "<&>]]>s3 cr`id`", "s3 cr" + strings.Repeat("x", 5000)} {
		values[fmt.Sprintf("RUNTIMESCOPE_V%d", i)] = value
	}
	install := []string{filepath.Join(e.bin, "runtimescope"), "service", "install"}
	for name, value := range values {
		if e.env[name] = value; len(install)%4 == 1 {
			install = append(install, "--env", name)
		} else {
			install = append(install, "--env", name+"="+value)
		}
	}
	said := ""
	for _, more := range []string{"--dry-run", "--timeout=60"} {
		r := e.run(append(slices.Clone(install), more)...)
		if said += r.out + r.err; r.code != 0 {
			t.Fatal(r)
		}
	}
	for _, args := range []string{"service status", "service status --json", "service update --dry-run", "service restart", "service logs", "service install",
		"service stop", "service start"} {
		r := e.exits(0, args)
		said += r.out + r.err
	}
	r := e.run(filepath.Join(e.bin, "runtimescope"), "service", "doctor")
	e.standin("STANDIN_EXIT=3")
	crash := e.exits(1, "service restart")
	for _, text := range []string{said, r.out, r.err, crash.out, crash.err, e.read(filepath.Join(e.home, "record/calls"))} {
		if strings.Contains(text, "s3 cr") || strings.Contains(text, "s3\\x20cr") {
			t.Errorf("the value is told: %s", text)
		}
	}
	info, err := os.Stat(e.unit)
	e.ok(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the unit: %v", info.Mode())
	}
	e.ok(os.Remove(filepath.Join(e.bin, "standin")))
	e.exits(0, "service restart")
	environ := e.read("/proc/" + strconv.Itoa(e.serves()) + "/environ")
	for name, value := range values {
		if !strings.Contains("\x00"+environ, "\x00"+name+"="+value+"\x00") {
			t.Errorf("the service was not given the very value %q", value)
		}
	}
}

func TestE2EAPackagesUnitInTheHomeIsUsedAsItIs(t *testing.T) {
	e := newE2E(t)
	vendor := filepath.Join(e.home, ".local/share/systemd/user/runtimescope.service")
	e.write(vendor, "[Service]\nExecStart="+e.collector+"\nEnvironment=RUNTIMESCOPE_HTTP_PORT="+strconv.Itoa(e.http)+" RUNTIMESCOPE_PORT="+strconv.Itoa(e.ws)+
		"\n[Install]\nWantedBy=default.target\n", 0o644)
	e.systemctl("daemon-reload")
	e.exits(0, "service status").says("Service not installed.", "A package provides the unit: "+vendor)
	e.exits(0, "service install").says("✓ Collector is healthy").saysNot("Wrote")
	if _, err := os.Lstat(e.unit); err == nil || e.show("UnitFileState") != "enabled" {
		t.Error("it is not the package's unit that is used")
	}
	e.exits(0, "service uninstall").says("✓ Service uninstalled")
	if _, err := os.Stat(vendor); err != nil || e.show("UnitFileState") != "disabled" {
		t.Errorf("the package's file: %v, %s", err, e.show("UnitFileState"))
	}
}

func TestE2EADryRunChangesNothing(t *testing.T) {
	e := newE2E(t)
	before := e.tree()
	e.exits(0, "service install --dry-run")
	if e.wantChanges(); e.tree() != before {
		t.Errorf("the dry run of install wrote: %s", e.tree())
	}
	e.exits(0, "service install")
	pid, before := e.serves(), e.tree()
	e.changes()
	for _, verb := range []string{"install", "update", "restart", "stop", "uninstall"} {
		e.exits(0, "service "+verb+" --dry-run")
	}
	if e.wantChanges(); e.tree() != before || e.serves() != pid {
		t.Error("a dry run changed something")
	}
}

func TestE2EStatusAsksTheManagerOnce(t *testing.T) {
	if os.Getenv("RUNTIMESCOPE_E2E_VARIANT") == "xdg" {
		t.Skip("with XDG_CONFIG_HOME it also asks whether the manager has the same")
	}
	e := newE2E(t)
	e.exits(0, "service install")
	calls := filepath.Join(e.home, "record/calls")
	e.write(calls, "", 0o644)
	e.exits(0, "service status")
	if got := strings.Count(e.read(calls), "\n"); got != 1 {
		t.Errorf("systemctl ran %d times:\n%s", got, e.read(calls))
	}
}

func TestE2EFromAnotherNamespaceAHealthyServiceIsLeftAlone(t *testing.T) {
	e := newNamespaceE2E(t)
	e.exits(0, "service install")
	pid := e.serves()
	e.prefix = []string{"unshare", "--user", "--map-current-user", "--net"}
	const why = "the collector is in another network namespace than this shell"
	for _, args := range []string{"service install", "service restart", "service start", "dashboard --no-open"} {
		e.exits(1, args).says("✗ running; readiness cannot be checked: "+why, "Fix: run this outside the sandbox or container")
	}
	e.exits(0, "service status").says("⚠ Collector is running; readiness cannot be checked: "+why).saysNot("does not hold", "Fix: runtimescope service restart")
	e.exits(1, "service doctor").says(why).saysNot("does not hold")
	e.prefix = nil
	if e.serves() != pid {
		t.Error("the healthy service was replaced")
	}
	e.prefix = []string{"unshare", "--user", "--map-current-user", "--pid", "--fork", "--mount-proc"}
	e.exits(1, "service status").says("this shell is in a different PID namespace").saysNot("systemctl start user@", "root has no")
	e.refused("service restart", "this shell is in a different PID namespace", "Fix: run this outside the container")
}

func TestE2EAHomeThatOnlyThisShellSeesIsNotWrittenTo(t *testing.T) {
	e := newNamespaceE2E(t)
	e.exits(0, "service install")
	pid := e.serves()
	e.prefix = []string{"unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c",
		fmt.Sprintf(`mount -t tmpfs none "%s" && exec "$@"`, e.config), "sh"}
	for _, verb := range []string{"install", "uninstall"} {
		e.refused("service "+verb, "other file systems are mounted here", "Fix: run this outside the sandbox or container")
	}
	e.exits(0, "service status").says("✓ Service is active", "other file systems are mounted here").saysNot("is gone", "Starts at login: no")
	e.prefix = nil
	if e.serves() != pid {
		t.Error("the healthy service was replaced")
	}
	e.exits(0, "service status").saysNot("mounted here")
}

func TestE2EAUnitBeforeTheUsersOwnIsNamed(t *testing.T) {
	e := newE2E(t)
	e.exits(0, "service install")
	before := filepath.Join(filepath.Dir(filepath.Dir(e.unit)), "user.control", "runtimescope.service")
	e.write(before, e.read(e.unit), 0o644)
	e.systemctl("daemon-reload")
	e.exits(0, "service status").says("another unit takes precedence over yours: " + before).saysNot("package")
	e.refused("service install", "another unit takes precedence", "Fix: remove it")
	e.ok(os.Remove(before))
	e.systemctl("daemon-reload")
	e.exits(0, "service install")
}

func TestE2EADropInThatCannotBeReadIsNamedAndTheServiceStaysEnabled(t *testing.T) {
	for _, c := range []struct {
		what string
		make func(e *e2e, path string)
	}{
		{"a link to nothing", func(e *e2e, path string) { e.ok(os.Symlink("/nowhere", path)) }},
		{"no permission", func(e *e2e, path string) { e.write(path, "[Service]\n", 0) }},
		{"a directory", func(e *e2e, path string) { e.mkdir(path) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			e := newE2E(t)
			e.exits(0, "service install")
			e.mkdir(e.unit + ".d")
			c.make(e, e.unit+".d/a.conf")
			e.exits(0, "service restart")
			pid := e.serves()
			e.changes()
			e.refused("service install", "✗ the drop-in "+e.unit+".d/a.conf cannot be read", "Fix: edit or remove it")
			e.exits(0, "service status").says("⚠ the drop-in " + e.unit + ".d/a.conf cannot be read").saysNot("Restart needed")
			e.exits(0, "service update").says("✓ Already up to date")
			if _, err := os.Lstat(e.wants); err != nil || e.serves() != pid {
				t.Errorf("it is not as it was: %v", err)
			}
			e.ok(os.Remove(e.unit + ".d/a.conf"))
			e.systemctl("daemon-reload")
			e.exits(0, "service status").says("Starts at login: yes")
		})
	}
}

func TestE2EADropInForAllServicesThatCannotBeReadIsNoChange(t *testing.T) {
	e := newE2E(t)
	path := filepath.Join(filepath.Dir(e.unit), "service.d/a.conf")
	e.write(path, "[Service]\n", 0)
	e.exits(0, "service install")
	e.exits(0, "service status").says("⚠ the drop-in " + path + " cannot be read: permission denied").saysNot("Restart needed")
	e.exits(0, "service update").says("✓ Already up to date")
}

func TestE2EADropInDirectoryThatCannotBeReadIsNamedBeforeTheServiceIsStopped(t *testing.T) {
	e := newE2E(t)
	e.mkdir(e.unit + ".d")
	e.ok(os.Chmod(e.unit+".d", 0))
	e.exits(0, "service install")
	fix := "chmod u+rwx " + e.unit + ".d"
	if strings.Contains(fix, "my config") {
		fix = "chmod u+rwx '" + e.unit + ".d'"
	}
	e.refused("service uninstall", "✗ the drop-in directory "+e.unit+".d cannot be read: permission denied", "Fix: "+fix)
	e.agrees("running")
	if out, err := e.tool("sh", "-c", fix); err != nil {
		t.Fatalf("%s: %v: %s", fix, err, out)
	}
	e.exits(0, "service uninstall")
}

func TestE2EAHomeWithOddCharactersIsTheManagersHome(t *testing.T) {
	for _, name := range []string{"do$lar", "a&b<c>", "100%", "a b é"} {
		t.Run(name, func(t *testing.T) {
			e := newE2E(t, name)
			e.exits(0, "service install").says("✓ Collector is healthy")
			e.exits(0, "service uninstall")
		})
	}
}

func TestE2EAReplacedProgramThatMayNotBeReadIsAdopted(t *testing.T) {
	e := newE2E(t)
	e.ok(os.Chmod(e.collector, 0o111))
	e.exits(0, "service install")
	pid := e.show("MainPID")
	e.copyProgram(filepath.Join(os.Getenv("RUNTIMESCOPE_E2E_BIN"), "collector-server"), e.collector+".new")
	e.ok(os.Rename(e.collector+".new", e.collector))
	e.exits(0, "service status").says("Restart needed")
	e.exits(0, "service update").says("✓ Collector is healthy")
	if e.show("MainPID") == pid {
		t.Error("the new program was not adopted")
	}
}
