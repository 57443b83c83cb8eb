// Every fault: each changing verb, from each starting state, on both managers, with the Nth command or disk operation
// failing in each way it can, or the whole program killed there. The idea is SQLite's: fail the Nth, for every N, and
// look each time. The machine that this happens on is fake_faults_test.go.
package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// faultVerbs are the commands that change something.
var faultVerbs = []string{"service install", "service update", "service restart", "service start", "service stop", "service uninstall", "dashboard"}

func TestNoFaultMakesItLieOrLeaveAMess(t *testing.T) {
	if !filepath.IsAbs("/") {
		t.Skip("no unit and no plist can carry the paths of this system")
	}
	var cases atomic.Int64
	var wait sync.WaitGroup // not t.Parallel: what waits for a poll should not keep others from working
	for _, manager := range faultManagers {
		for _, start := range faultStarts(manager) {
			wait.Add(1)
			go func() {
				defer wait.Done()
				t.Run(manager+"/"+start.name, func(t *testing.T) {
					bed := newFaultBed(t, manager, start)
					for _, verb := range faultVerbs {
						if verb == "service start" && !*allFaults { // another name for restart
							continue
						}
						cases.Add(bed.everyFault(verb))
					}
				})
			}()
		}
	}
	wait.Wait()
	t.Logf("%d faults", cases.Load())
	if !t.Failed() && cases.Load() < 500 {
		t.Errorf("only %d faults were tried", cases.Load())
	}
}

// everyFault runs a verb without a fault, then once for every fault that could have met it, or some of them, and after each once more.
func (bed *faultBed) everyFault(verb string) (cases int64) {
	bed.restore()
	before := bed.fallout()
	clean := bed.runs(verb, fault{})
	after := bed.fallout()
	if text := differ(before, after); clean.code != 0 && text != "" {
		bed.t.Errorf("%s fails without a fault, and yet %s\n%s", verb, text, clean.said())
	}
	if text := bed.lies(clean, before, after, after); text != "" {
		bed.t.Errorf("%s without a fault: %s\n%s", verb, text, clean.said())
	}
	if again := bed.runs(verb, fault{}); again.code != clean.code && verb != "service uninstall" && verb != "service stop" {
		bed.t.Errorf("%s twice without a fault: exit %d, then %d\n%s", verb, clean.code, again.code, again.said())
	}
	unmet, step := int64(0), 2 // of everyday tests; .ci/run tries every fault
	if raced() {
		step = 4 // it looks for races there
	} else if *allFaults {
		step = 1
	}
	met := map[string]int{}
	for n, at := range clean.points {
		met[at.String()]++
		turn := len(bed.start.files) + len(verb) + n
		for i, mode := range at.modes(turn) {
			if (turn+i)%step != 0 {
				continue
			}
			cases++
			bed.restore()
			run := bed.runs(verb, fault{at: at.String(), nth: met[at.String()], mode: mode})
			blame := func(format string, a ...any) {
				bed.t.Helper()
				bed.t.Errorf("%s, %s at step %d, %s: %s\n%s", verb, mode, n+1, at, fmt.Sprintf(format, a...), run.said())
			}
			if !run.met { // on a busy machine the clean run may have taken one look more, and done nothing else
				if unmet++; !slices.Equal(run.way(), clean.way()) {
					blame("it was never met")
				}
				continue
			}
			now := bed.fallout()
			if text := bed.lies(run, before, now, after); text != "" {
				blame("%s", text)
			}
			if text := mess(run, before, now, after); text != "" {
				blame("%s", text)
			}
			second := bed.runs(verb, fault{})
			if text := bed.unhealed(verb, second, clean, after); text != "" {
				blame("and run again without the fault, %s\n%s", text, second.said())
			}
		}
	}
	return cases - unmet
}

// unhealed says what the run after a fault did not make good.
func (bed *faultBed) unhealed(verb string, second, clean faultRun, after fallout) string {
	now := bed.fallout()
	switch {
	case verb == "service stop" && strings.Contains(second.err, notInstalledText) && !now.up && !now.installed:
		return "" // what ran without a definition has been stopped, so that nothing of it is left
	case verb == "service update" && !now.installed && !now.up && strings.Contains(second.err, notInstalledText):
		return "" // a job without a plist, once booted out, cannot be brought back
	case second.code != clean.code:
		return fmt.Sprintf("it exits %d", second.code)
	case verb == "dashboard" && now.serves:
		return "" // it opens what serves, and is not there to install anything over it
	case verb == "service update" && strings.Contains(second.out, "It is stopped. Run: runtimescope service start"):
		// it was stopped, or its failed state reset, before the fault: nothing is left to tell that it should run
		after.up, after.serves, after.port = false, false, 0
		after.enabled = after.enabled && bed.manager.names().name == "systemd"
	}
	if text := differ(after, now); text != "" {
		return "it ends otherwise than it should: " + text
	}
	return ""
}

// lies says what a run claims that is not so.
func (bed *faultBed) lies(run faultRun, before, now, after fallout) string {
	if run.killed {
		return ""
	}
	if (run.code != 0) != strings.Contains(run.err, "✗") || strings.Contains(run.out, "✗") {
		return fmt.Sprintf("exit %d does not go with the words", run.code)
	}
	if strings.Contains(run.err, "Changes were rolled back.") && now.text != before.text {
		return "it claims that what had been done was taken back, but the definition is not the one from before"
	}
	for _, line := range strings.Split(run.out, "\n") {
		claim, ok := strings.CutPrefix(strings.TrimSpace(line), "✓ ")
		if !ok {
			continue
		}
		so := false
		switch {
		case strings.HasPrefix(claim, "Wrote "):
			so = now.installed && now.text == after.text
		case strings.HasPrefix(claim, "Collector is healthy"):
			so = now.serves && strings.HasSuffix(claim, fmt.Sprint(":", now.port))
		case strings.HasPrefix(claim, "Service restarted"):
			so = now.serves && bed.pid() != bed.start.state.PID
		case strings.HasPrefix(claim, "Service stopped"):
			so = !now.up
		case strings.HasPrefix(claim, "Service uninstalled"):
			so = !now.up && !now.installed && !now.enabled
		case strings.HasPrefix(claim, "Already up to date"):
			so = differ(before, now) == "" && !now.stale
		}
		if !so {
			return fmt.Sprintf("it claims %q", claim)
		}
	}
	if strings.Contains(run.out, "⚠ ") && strings.Contains(run.out, "Service is not installed.") && !now.installed && !now.enabledAtLogin() {
		return "" // nobody to ask and nothing on disk: it says both
	}
	if run.code == 0 {
		if text := differ(after, now); text != "" {
			return "it exits 0, but " + text
		}
	}
	return ""
}

// mess says what a run left behind that it should not have.
func mess(run faultRun, before, now, after fallout) string {
	if !(now.installed == before.installed && now.text == before.text) && !(now.installed == after.installed && now.text == after.text) {
		return fmt.Sprintf("the definition is neither the old one nor the new one (there: %v):\n%s", now.installed, now.text)
	}
	for _, name := range slices.Sorted(maps.Keys(now.files)) {
		_, a := before.files[name]
		_, b := after.files[name]
		if !a && !b && !(run.killed && strings.HasSuffix(name, temporary)) {
			return "it left " + name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.settled().files)) {
		if _, b := after.files[name]; b {
			if _, here := now.files[name]; !here && !(run.killed && strings.Contains(name, ".bak")) {
				return "it lost " + name
			}
		}
	}
	return ""
}

// differ says in what two outcomes differ, "" when they do not.
func differ(want, got fallout) string {
	var all []string
	note := func(format string, a ...any) { all = append(all, fmt.Sprintf(format, a...)) }
	for _, name := range slices.Sorted(maps.Keys(want.files)) {
		if text, ok := got.files[name]; !ok {
			note("%s is missing", name)
		} else if text != want.files[name] {
			note("%s has another text:\n%s", name, text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got.files)) {
		if _, ok := want.files[name]; !ok {
			note("%s is there", name)
		}
	}
	want.files, got.files, want.text, got.text = nil, nil, "", ""
	if a, b := fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got); a != b {
		note("the service is %s instead of %s", b, a)
	}
	return strings.Join(all, "; ")
}
