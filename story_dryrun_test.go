// Dry runs: what they print is what the real run does, and they change nothing.
package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dryStates are the states in which each dry run is held against its golden file.
func dryStates() map[string]func(b *bench) {
	return map[string]func(b *bench){
		"none":    func(b *bench) {},
		"running": func(b *bench) { b.installed() },
		"stopped": func(b *bench) { b.installed().want(0, "service stop") },
		"crashed": func(b *bench) { b.installed().crashed("crash 3") },
		"edited": func(b *bench) {
			b.installed()
			text := strings.Replace(b.read(b.manager.names().path), "256M", "1G", 1)
			b.write(b.manager.names().path, strings.Replace(text, "268435456", "536870912", 1), 0o644)
			if b.manager.names().name == "launchd" { // which tells by the time
				b.set(func(l *fakeLaunchd) {
					for _, j := range l.Jobs {
						j.Began = time.Now().Add(-time.Hour)
					}
				})
			}
		},
		"gone": func(b *bench) { b.installed(); os.Remove(b.manager.names().path) },
	}
}

// anonymous puts placeholders for what differs from run to run.
func (b *bench) anonymous(text string) string {
	return strings.NewReplacer(b.home, "{HOME}", b.fake.dir, "{DIR}", strconv.Itoa(b.httpPort()), "{PORT}", "gui/"+strconv.Itoa(b.uid), "gui/{UID}",
		filepath.ToSlash(b.home), "{HOME}").Replace(text)
}

func TestADryRunPrintsWhatTheRealRunDoes(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{"systemd", "launchd"} {
		for state, set := range dryStates() {
			t.Run(manager+"-"+state, func(t *testing.T) {
				t.Parallel()
				var all strings.Builder
				for _, verb := range []string{"install", "update", "restart", "start", "stop", "uninstall"} {
					b := newBench(t, manager).quick()
					set(b)
					all.WriteString("$ runtimescope service " + verb + " --dry-run\n" + b.dryAndReal(verb) + "\n")
				}
				golden(t, "dryrun-"+manager+"-"+state+".txt", all.String())
			})
		}
	}
}

// dryAndReal makes a dry run, then does it, and holds one against the other. It returns what the dry run said.
func (b *bench) dryAndReal(verb string) string {
	b.t.Helper()
	before := b.everything()
	b.calls()
	code := b.runs("service", verb, "--dry-run")
	said, failed := b.stdout.String(), b.stderr.String()
	b.wantCalls()
	if after := b.everything(); after != before {
		b.t.Errorf("a dry run of %s changed\n%s\nto\n%s", verb, before, after)
	}
	if short := b.runs("service", verb, "-n"); short != code || b.stdout.String() != said {
		b.t.Errorf("-n and --dry-run differ for %s", verb)
	}
	if again := b.runs("service", verb); again != code {
		b.t.Errorf("%s: exit %d, its dry run %d\n%s", verb, again, code, b.stderr.String())
	}
	var promised []string
	for _, line := range strings.Split(said, "\n") {
		if call, ok := strings.CutPrefix(line, "would run "); ok {
			promised = append(promised, call)
		}
	}
	if did := b.calls(); !slices.Equal(did, promised) {
		b.t.Errorf("%s promised\n  %s\nand did\n  %s", verb, strings.Join(promised, "\n  "), strings.Join(did, "\n  "))
	}
	if _, text, ok := strings.Cut(said, "would write "+b.manager.names().path+" (0644):\n"); ok {
		var lines []string
		for _, line := range strings.Split(text, "\n") {
			if !strings.HasPrefix(line, "    ") {
				break
			}
			lines = append(lines, line[4:])
		}
		if got := b.read(b.manager.names().path); got != strings.Join(lines, "\n")+"\n" {
			b.t.Errorf("%s wrote\n%s\nnot what it promised", verb, got)
		}
	}
	return b.anonymous(said + failed)
}

// everything is all that there is below HOME, with modes and times, and what the manager has.
func (b *bench) everything() string {
	b.t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(b.home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String() + "\n")
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	s := b.fakeState()
	return all.String() + s.LoadedText + s.Active + strconv.Itoa(s.PID)
}

func TestADryRunWaitsForNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick().installed()
	unlock, err := b.lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	b.want(0, "service restart -n", "would run systemctl --user restart runtimescope.service")
}
