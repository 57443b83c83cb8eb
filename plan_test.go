// Tests of the steps: what each leaves on disk, whole or failed at any of its operations, and what its undo brings back.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var errPlanDisk = errors.New("no space left on device")

// A planDisk records the operations and spoils some of them.
type planDisk struct {
	t        testing.TB
	ops      []string // "write x.runtimescope.tmp"
	damage   diskDamage
	from, to int // of the operations, counted from 0, that it is done to
}

type diskDamage int

const (
	unharmed  diskDamage = iota
	refusedOp            // it fails and does nothing
	halfDone             // a write leaves half of the text; everything else is refused
	doneFails            // it does all and fails nevertheless
	crash                // the machine stops
)

func (d *planDisk) do(op, path string, change func() error) error {
	n := len(d.ops)
	d.ops = append(d.ops, op+" "+filepath.Base(path))
	damage := unharmed
	if n >= d.from && n < d.to {
		damage = d.damage
	}
	switch {
	case damage == crash:
		panic(errPlanDisk)
	case damage == halfDone && op == "write":
		if err := os.WriteFile(path, []byte("ha"), 0o600); err != nil {
			d.t.Error(err)
		}
	case damage == doneFails:
		change()
	case damage == unharmed:
		return change()
	}
	return errPlanDisk
}

func planMachine(d disk) machine {
	return machine{run: planRunner{}, disk: d, started: func(time.Time) {}, timeout: time.Minute, patience: time.Second, killed: func() {},
		explain: func(_ context.Context, err error) error { return err }}
}

// A planRunner answers commands from a map, by their argv in one line; what it does not know succeeds in silence.
type planRunner struct {
	calls   *[]string
	answers map[string]error
	outputs map[string]string
	check   func(context.Context)
}

func (r planRunner) Run(ctx context.Context, argv ...string) (string, error) {
	call := strings.Join(argv, " ")
	if r.calls != nil {
		*r.calls = append(*r.calls, call)
	}
	if r.check != nil {
		r.check(ctx)
	}
	return r.outputs[call], r.answers[call]
}

func (r planRunner) Start(bond, io.Writer, io.Writer, []string, ...string) (process, error) {
	return nil, errors.New("nothing is started here")
}

func planFailed(code int, stderr string, argv ...string) error {
	return &commandError{argv: argv, code: code, stderr: stderr}
}

// planTree is a folder with its files, "name: text", folders as "name/", links as "name -> target".
func planTree(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		name = filepath.ToSlash(name)
		switch {
		case entry.IsDir():
			all = append(all, name+"/")
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			all = append(all, name+" -> "+target)
			return err
		default:
			text, err := os.ReadFile(path)
			all = append(all, name+": "+string(text))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// planFill makes the files of a folder.
func planFill(t testing.TB, files map[string]string) (dir string) {
	t.Helper()
	dir = memoryFolder(t)
	for name, text := range files {
		put(t, filepath.Join(dir, name), text, 0o600)
	}
	return dir
}

func planUndo(t testing.TB, undo func(context.Context) error) {
	t.Helper()
	if undo != nil {
		if err := undo(context.Background()); err != nil {
			t.Errorf("undo: %v", err)
		}
	}
}

var planWrites = []struct {
	name   string
	before map[string]string
	after  string
}{
	{"fresh", map[string]string{}, "x: new"},
	{"with the rest of a killed run", map[string]string{"x.runtimescope.tmp": "rest"}, "x: new"},
	{"same", map[string]string{"x": "new", "x.bak": "older"}, "x: new\nx.bak: older"},
	{"different", map[string]string{"x": "old"}, "x: new\nx.bak: old"},
	{"different, kept already", map[string]string{"x": "old", "x.bak": "old"}, "x: new\nx.bak: old"},
	{"different, another kept", map[string]string{"x": "old", "x.bak": "older"}, "x: new\nx.bak: old\nx.bak.1: older"},
	{"different, more kept", map[string]string{"x": "old", "x.bak": "older", "x.bak.1": "1", "x.bak.2": "2", "x.bak.4": "4"},
		"x: new\nx.bak: old\nx.bak.1: 1\nx.bak.2: 2\nx.bak.3: older\nx.bak.4: 4"},
	{"empty", map[string]string{"x": ""}, "x: new\nx.bak: "},
}

func TestWritingKeepsWhatWasThereAndUndoBringsItBack(t *testing.T) {
	t.Parallel()
	for _, c := range planWrites {
		dir := planFill(t, c.before)
		kept := maps.Clone(c.before)
		delete(kept, "x.runtimescope.tmp")
		before := planTree(t, planFill(t, kept))
		undo, err := (writeFile{path: filepath.Join(dir, "x"), text: "new", mode: 0o644, keptMode: 0o777}).do(context.Background(), planMachine(osDisk{}))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		same(t, c.name, planTree(t, dir), c.after)
		if info, err := os.Stat(filepath.Join(dir, "x")); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o644 {
			t.Errorf("%s: mode %v, %v", c.name, info.Mode(), err)
		}
		planUndo(t, undo)
		if got := planTree(t, dir); c.name != "different, kept already" && got != before {
			t.Errorf("%s: after undo\n%s\nwant\n%s", c.name, got, before)
		} else if c.name == "different, kept already" && got != "x: old" { // the same text once instead of twice
			t.Errorf("%s: after undo\n%s", c.name, got)
		}
	}
}

func TestAWrittenTextThatCanBeWrittenAgainIsNotKept(t *testing.T) {
	t.Parallel()
	dir := planFill(t, map[string]string{"x": "ours", "x.bak": "older"})
	f := newWriteFile(systemd{}, file{path: filepath.Join(dir, "x"), text: "ours", ours: true}, "new")
	if text := f.String(); !strings.HasSuffix(text, "x (0644):\n    new") {
		t.Errorf("it says %s", text)
	}
	undo, err := f.do(context.Background(), planMachine(osDisk{}))
	if got := planTree(t, dir); got != "x: new\nx.bak: older" || err != nil {
		t.Errorf("got\n%s, %v", got, err)
	}
	planUndo(t, undo)
	same(t, "after undo", planTree(t, dir), "x: ours\nx.bak: older")
}

func TestWritingSaysWhatBecomesOfTheFilesThatAreThere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before map[string]string
		kept   string
	}{
		{map[string]string{}, ""},
		{map[string]string{"x": "new", "x.bak": "older"}, ""},
		{map[string]string{"x": "old"}, ", saving the current one as PATH.bak"},
		{map[string]string{"x": "old", "x.bak": "old"}, ", saving the current one as PATH.bak"},
		{map[string]string{"x": "old", "x.bak": "older", "x.bak.1": "1"}, ", saving the current one as PATH.bak and the one already there as PATH.bak.2"},
	} {
		path := filepath.Join(planFill(t, c.before), "x")
		f := file{path: path}
		if old, ok := c.before["x"]; ok {
			f.text, f.kept, f.keptOlder = old, path+".bak", backupName(path, old)
		}
		if got, want := newWriteFile(systemd{}, f, "new").String(), strings.ReplaceAll("write PATH (0644)"+c.kept+":\n    new", "PATH", path); got != want {
			t.Errorf("%v: got %q, want %q", c.before, got, want)
		}
	}
}

func TestWhatCannotBeReadIsNoCopyOfAnEmptyFile(t *testing.T) {
	t.Parallel()
	dir := planFill(t, map[string]string{"x": ""})
	must(t, os.Mkdir(filepath.Join(dir, "x.bak"), 0o755))
	if _, err := (writeFile{path: filepath.Join(dir, "x"), text: "new", mode: 0o600, keptMode: 0o777}).do(context.Background(), planMachine(osDisk{})); err != nil {
		t.Error(err)
	}
	same(t, "", planTree(t, dir), "x: new\nx.bak: \nx.bak.1/")
}

func TestWritingUsesItsOperationsInThisOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before map[string]string
		want   string
		undo   string
	}{
		{map[string]string{}, "create x.runtimescope.tmp, write x.runtimescope.tmp, chmod x.runtimescope.tmp, sync x.runtimescope.tmp, rename x", "remove x"},
		{map[string]string{"x": "new"}, "create x.runtimescope.tmp, write x.runtimescope.tmp, chmod x.runtimescope.tmp, sync x.runtimescope.tmp, rename x", ""},
		{map[string]string{"x": "old", "x.bak": "older"}, "rename x.bak.1, create x.bak.runtimescope.tmp, write x.bak.runtimescope.tmp, chmod x.bak.runtimescope.tmp, sync x.bak.runtimescope.tmp, rename x.bak, " +
			"create x.runtimescope.tmp, write x.runtimescope.tmp, chmod x.runtimescope.tmp, sync x.runtimescope.tmp, rename x", "rename x, rename x.bak"},
	} {
		d := &planDisk{t: t}
		undo, err := (writeFile{path: filepath.Join(planFill(t, c.before), "x"), text: "new", mode: 0o600, keptMode: 0o777}).do(context.Background(), planMachine(d))
		if got := strings.Join(d.ops, ", "); got != c.want || err != nil {
			t.Errorf("got\n%s, %v\nwant\n%s", got, err, c.want)
		}
		d.ops = nil
		planUndo(t, undo)
		same(t, "undo", strings.Join(d.ops, ", "), c.undo)
	}
}

func TestWritingThatFailsAtAnyOperationLeavesAllAsItWas(t *testing.T) {
	t.Parallel()
	for _, c := range planWrites {
		for _, damage := range []diskDamage{refusedOp, halfDone} {
			for at := 0; ; at++ {
				dir := planFill(t, c.before)
				before := planTree(t, dir)
				d := &planDisk{t: t, damage: damage, from: at, to: at + 1}
				undo, err := (writeFile{path: filepath.Join(dir, "x"), text: "new", mode: 0o600, keptMode: 0o777}).do(context.Background(), planMachine(d))
				if at >= len(d.ops) {
					if at < 5 || err != nil {
						t.Errorf("%s: only %d operations, %v", c.name, at, err)
					}
					break
				}
				if !errors.Is(err, errPlanDisk) {
					t.Errorf("%s: %s failed and the step did not: %v", c.name, d.ops[at], err)
				}
				planUndo(t, undo)
				got := planTree(t, dir)
				if strings.Contains(before, "x.runtimescope.tmp") { // may go, may stay
					before, got = strings.Replace(before, "\nx.runtimescope.tmp: rest", "", 1), strings.Replace(got, "\nx.runtimescope.tmp: rest", "", 1)
					before, got = strings.TrimPrefix(before, "x.runtimescope.tmp: rest"), strings.TrimPrefix(got, "x.runtimescope.tmp: rest")
				}
				// The copy that was kept already may have been taken for the one that this run made.
				if c.name == "different, kept already" {
					before, got = strings.Replace(before, "\nx.bak: old", "", 1), strings.Replace(got, "\nx.bak: old", "", 1)
				}
				same(t, fmt.Sprintf("%s: after a failed %s", c.name, d.ops[at]), got, before)
			}
		}
	}
}

func TestWritingToADiskThatFailsFromSomeMomentOnLosesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range planWrites {
		for _, damage := range []diskDamage{refusedOp, doneFails} {
			for at := range 14 {
				dir := planFill(t, c.before)
				d := &planDisk{t: t, damage: damage, from: at, to: 1 << 30}
				apply(context.Background(), planMachine(d), plan{steps: []step{writeFile{path: filepath.Join(dir, "x"), text: "new", mode: 0o600, keptMode: 0o777}}})
				planNothingLost(t, fmt.Sprintf("%s, failing from operation %d on", c.name, at), dir, c.before)
			}
		}
	}
}

func TestACrashAtAnyMomentLeavesTheOldFileOrTheNewOneAndTheNextRunRepairsIt(t *testing.T) {
	t.Parallel()
	for _, c := range planWrites {
		for at := 0; ; at++ {
			dir := planFill(t, c.before)
			path := filepath.Join(dir, "x")
			crashed := func() (crashed bool) {
				defer func() { crashed = recover() != nil }()
				d := &planDisk{t: t, damage: crash, from: at, to: at + 1}
				(writeFile{path: path, text: "new", mode: 0o600, keptMode: 0o777}).do(context.Background(), planMachine(d))
				return false
			}()
			what := fmt.Sprintf("%s, crashed at operation %d", c.name, at)
			planNothingLost(t, what, dir, c.before)
			if _, err := (writeFile{path: path, text: "new", mode: 0o600, keptMode: 0o777}).do(context.Background(), planMachine(osDisk{})); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			planNothingLost(t, what+", run again", dir, c.before)
			if text, err := os.ReadFile(path); string(text) != "new" || err != nil {
				t.Errorf("%s, run again: %q, %v", what, text, err)
			}
			if _, err := os.Stat(path + temporary); err == nil {
				t.Errorf("%s, run again: the temporary file stays", what)
			}
			if !crashed {
				break
			}
		}
	}
}

// planNothingLost checks that x is whole, old or new, and that every text that somebody may miss is still somewhere.
func planNothingLost(t *testing.T, what, dir string, before map[string]string) {
	t.Helper()
	old, was := before["x"]
	now, err := os.ReadFile(filepath.Join(dir, "x"))
	if missing := errors.Is(err, fs.ErrNotExist); !(missing && !was || !missing && (string(now) == "new" || was && string(now) == old)) {
		t.Errorf("%s: x is %q, %v", what, now, err)
	}
	names := need(filepath.Glob(filepath.Join(dir, "x*")))(t)
	var texts []string
	for _, name := range names {
		text := need(os.ReadFile(name))(t)
		if !strings.HasSuffix(name, temporary) {
			texts = append(texts, string(text))
		}
	}
	for name, text := range before {
		if name != "x.runtimescope.tmp" && !slices.Contains(texts, text) {
			t.Errorf("%s: %q is lost:\n%s", what, text, planTree(t, dir))
		}
	}
}

func TestWritingRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "x"), 0o755))
	d := &planDisk{t: t}
	undo, err := (writeFile{path: filepath.Join(dir, "x"), text: "new", mode: 0o600, keptMode: 0o777}).do(context.Background(), planMachine(d))
	if undo != nil || err == nil || len(d.ops) != 0 {
		t.Errorf("got %v after %q", err, d.ops)
	}
}

func TestRemovingAFileAndItsUndo(t *testing.T) {
	t.Parallel()
	for _, before := range []map[string]string{{"x": "text"}, {"x": "text", "x.runtimescope.tmp": "rest"}, {"x.runtimescope.tmp": "rest"}, {}, {"x": ""}} {
		dir := planFill(t, before)
		delete(before, "x.runtimescope.tmp")
		want := planTree(t, planFill(t, before))
		undo, err := removeFile{filepath.Join(dir, "x")}.do(context.Background(), planMachine(osDisk{}))
		if got := planTree(t, dir); got != "" || err != nil {
			t.Errorf("%v: left %q, %v", before, got, err)
		}
		if _, was := before["x"]; was != (undo != nil) {
			t.Errorf("%v: undo: %v", before, undo != nil)
		}
		planUndo(t, undo)
		same(t, fmt.Sprintf("%v: undo made", before), planTree(t, dir), want)
	}
}

func TestRemovingThatFailsAtAnyOperationKeepsTheFile(t *testing.T) {
	t.Parallel()
	for at := range 2 {
		dir := planFill(t, map[string]string{"x": "text", "x" + temporary: "the rest of a killed run", "y": "other"})
		d := &planDisk{t: t, damage: refusedOp, from: at, to: at + 1}
		undo, err := removeFile{filepath.Join(dir, "x")}.do(context.Background(), planMachine(d))
		if undo != nil || !errors.Is(err, errPlanDisk) || !strings.HasPrefix(planTree(t, dir), "x: text\n") {
			t.Errorf("%q: %v\n%s", d.ops, err, planTree(t, dir))
		}
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "x", "y"), 0o755))
	if undo, err := (removeFile{filepath.Join(dir, "x")}).do(context.Background(), planMachine(osDisk{})); err == nil || undo != nil {
		t.Errorf("a folder was removed: %v", err)
	}
}

func TestRemovingALinkLeavesItsTargetAndUndoMakesItAgain(t *testing.T) {
	t.Parallel()
	dir := planFill(t, map[string]string{"target": "text"})
	for _, target := range []string{"target", "gone"} {
		link := filepath.Join(dir, "x")
		symlink(t, target, link)
		undo, err := removeFile{link}.do(context.Background(), planMachine(osDisk{}))
		if got := planTree(t, dir); got != "target: text" || err != nil || undo == nil {
			t.Fatalf("got %q, %v", got, err)
		}
		planUndo(t, undo)
		same(t, "undo made", planTree(t, dir), "target: text\nx -> "+target)
		os.Remove(link)
	}
}

func TestALinkThatCouldNotBeRemovedNeedsNoUndo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	symlink(t, "gone", filepath.Join(dir, "x"))
	d := &planDisk{t: t, damage: refusedOp, from: 0, to: 1}
	err := apply(context.Background(), planMachine(d), plan{steps: []step{removeFile{filepath.Join(dir, "x")}}})
	var failed *applyError
	if !errors.As(err, &failed) || !errors.Is(err, errPlanDisk) || failed.left != nil {
		t.Errorf("got %v, left %v", err, failed.left)
	}
}

func TestMakingFoldersAndTheirUndo(t *testing.T) {
	t.Parallel()
	dir := planFill(t, map[string]string{"file": ""})
	path := filepath.Join(dir, "a", "b", "c")
	undo, err := makeFolder{path, 0o700}.do(context.Background(), planMachine(osDisk{}))
	if got := planTree(t, dir); got != "a/\na/b/\na/b/c/\nfile: " || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	for name, want := range map[string]fs.FileMode{"a": 0o755, "a/b": 0o755, "a/b/c": 0o700} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	again, err := makeFolder{path, 0o755}.do(context.Background(), planMachine(osDisk{}))
	if err != nil {
		t.Error(err)
	}
	planUndo(t, again)
	same(t, "undo removed a folder that was there before", planTree(t, dir), "a/\na/b/\na/b/c/\nfile: ")
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("the mode of a folder that was there became %v", info.Mode())
	}
	planUndo(t, undo)
	same(t, "undo left", planTree(t, dir), "file: ")
}

func TestUndoKeepsAFolderThatIsInUseByNow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	undo := need(makeFolder{filepath.Join(dir, "a", "b"), 0o755}.do(context.Background(), planMachine(osDisk{})))(t)
	put(t, filepath.Join(dir, "a", "other"), "text", 0o600)
	planUndo(t, undo)
	same(t, "undo left", planTree(t, dir), "a/\na/other: text")
}

func TestMakingFoldersThatFailsIsTakenBack(t *testing.T) {
	t.Parallel()
	for at := range 6 {
		dir := t.TempDir()
		d := &planDisk{t: t, damage: refusedOp, from: at, to: at + 1}
		undo, err := makeFolder{filepath.Join(dir, "a", "b", "c"), 0o755}.do(context.Background(), planMachine(d))
		if !errors.Is(err, errPlanDisk) || (undo == nil) != (at == 0) { // then there is nothing to take back
			t.Errorf("%q: %v", d.ops, err)
		}
		same(t, "", d.ops, []string{"mkdir a", "chmod a", "mkdir b", "chmod b", "mkdir c", "chmod c"}[:at+1])
		if undo != nil {
			planUndo(t, undo)
		}
		same(t, fmt.Sprintf("failed at operation %d, left", at), planTree(t, dir), "")
	}
}

func TestAFolderThatSomebodyElseMakesFirstIsUsedAndNotTakenBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := planRaceDisk{}
	undo := need(makeFolder{filepath.Join(dir, "a", "b"), 0o755}.do(context.Background(), planMachine(d)))(t)
	planUndo(t, undo)
	same(t, "undo left", planTree(t, dir), "a/\na/b/")
}

// A planRaceDisk is one on which somebody else makes every folder a moment earlier.
type planRaceDisk struct{}

func (planRaceDisk) do(op, path string, change func() error) error {
	if op == "mkdir" {
		os.Mkdir(path, 0o755)
	}
	return change()
}

func TestMakingFoldersSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := planFill(t, map[string]string{"file": "text"})
	file := filepath.Join(dir, "file")
	same(t, "a dry run", (makeFolder{file, 0o755}).String(), "create directory "+file+" (0755)")
	_, err := makeFolder{file, 0o755}.do(context.Background(), planMachine(osDisk{}))
	if want := file + " exists but is not a directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	link := filepath.Join(dir, "link")
	symlink(t, "nowhere", link)
	_, err = makeFolder{filepath.Join(link, "a"), 0o755}.do(context.Background(), planMachine(osDisk{}))
	if want := link + " is a dangling symlink"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if runtime.GOOS != "windows" { // where a file in the way is said to be no folder at all
		if undo, err := (makeFolder{filepath.Join(file, "a"), 0o755}).do(context.Background(), planMachine(osDisk{})); err == nil || undo != nil {
			t.Errorf("got %v", err)
		}
	}
	same(t, "it left", planTree(t, dir), "file: text\nlink -> nowhere")
}

func TestTruncatingALogKeepsACopyAndTheFileItself(t *testing.T) {
	t.Parallel()
	dir := planFill(t, map[string]string{"x": "lines", "x.1": "older and longer"})
	path := filepath.Join(dir, "x")
	old := need(os.Stat(path))(t)
	undo, err := truncateLog{path}.do(context.Background(), planMachine(osDisk{}))
	if got := planTree(t, dir); got != "x: \nx.1: lines" || undo != nil || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(old, now) {
		t.Error("the log is another file now: launchd would go on writing to the old one")
	}
}

func TestTruncatingThatFailsKeepsTheLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at     int
		damage diskDamage
		want   string
	}{{0, refusedOp, "x: lines"}, {0, doneFails, "x: lines"}, {1, refusedOp, "x: lines\nx.1: lines"}} {
		want := c.want
		dir := planFill(t, map[string]string{"x": "lines"})
		d := &planDisk{t: t, damage: c.damage, from: c.at, to: c.at + 1}
		_, err := truncateLog{filepath.Join(dir, "x")}.do(context.Background(), planMachine(d))
		if got := planTree(t, dir); got != want || !errors.Is(err, errPlanDisk) {
			t.Errorf("%q: got %q, %v", d.ops, got, err)
		}
	}
}

func TestACommandStepForgivesTheStatusesThatCountAsDone(t *testing.T) {
	t.Parallel()
	var calls []string
	m := planMachine(osDisk{})
	m.run = planRunner{calls: &calls, answers: map[string]error{"a b": planFailed(5, "", "a", "b"), "u": planFailed(5, "", "u"), "gone": errors.New("x")}}
	for _, c := range []struct {
		step command
		ok   bool
	}{
		{command{argv: []string{"fine"}}, true},
		{command{argv: []string{"a", "b"}}, false},
		{command{argv: []string{"a", "b"}, ok: []int{3, 5}}, true},
		{command{argv: []string{"a", "b"}, ok: []int{3}}, false},
		{command{argv: []string{"gone"}, ok: []int{0, 1}}, false},
		{command{argv: []string{"a", "b"}, ok: []int{5}, undo: []string{"u"}, undoOK: []int{5}}, true},
		{command{argv: []string{"a", "b"}, undo: []string{"fine"}}, false}, // what failed may have been done in part
	} {
		calls = nil
		undo, err := c.step.do(context.Background(), m)
		if (err == nil) != c.ok || (undo != nil) != (c.step.undo != nil) {
			t.Errorf("%v: %v", c.step, err)
		}
		planUndo(t, undo)
		want := []string{strings.Join(c.step.argv, " ")}
		if undo != nil {
			want = append(want, strings.Join(c.step.undo, " "))
		}
		same(t, "it ran", calls, want)
	}
	undo, _ := command{argv: []string{"fine"}, undo: []string{"u"}}.do(context.Background(), m)
	if err := undo(context.Background()); exitCode(err) != 5 {
		t.Errorf("a failed undo says %v", err)
	}
}

func TestACommandStepHasTimeForASlowStop(t *testing.T) {
	t.Parallel()
	m := planMachine(osDisk{})
	begin := time.Now()
	m.run = planRunner{check: func(ctx context.Context) {
		end, ok := ctx.Deadline()
		if left := time.Until(end); !ok || left > changeDeadline || end.Before(begin.Add(changeDeadline)) {
			t.Errorf("deadline in %s, %v", left, ok)
		}
	}}
	command{argv: []string{"x"}}.do(context.Background(), m)
}

func TestAwaitPollsUntilItsConditionHoldsAndElseSaysWhatItsLastPollSaid(t *testing.T) {
	t.Parallel()
	problem := errors.New("no answer")
	for _, c := range []struct {
		polls []error // then it holds, or the time is over
		holds bool
		want  string
	}{
		{[]error{problem, nil}, true, ""},
		{[]error{nil, problem}, false, "no answer"},
		{[]error{problem, nil}, false, "timed out after 1h0m0s waiting until x is gone"},
		{nil, false, "timed out after 1h0m0s waiting until x is gone"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		a := await{"x is gone", time.Hour, 0, func(ctx context.Context, _ Runner) (bool, error) {
			if n++; n <= len(c.polls) {
				return false, c.polls[n-1]
			}
			if !c.holds {
				cancel() // a poll that its end has cut off says nothing
			}
			return c.holds, ctx.Err()
		}}
		if undo, err := a.do(ctx, planMachine(osDisk{})); undo != nil || errText(err) != c.want || n <= len(c.polls) {
			t.Errorf("got %v after %d polls, want %s", err, n, c.want)
		}
		cancel()
	}
	late := await{"x is gone", time.Millisecond, time.Hour, func(ctx context.Context, _ Runner) (bool, error) {
		<-ctx.Done()
		return false, ctx.Err()
	}}
	if _, err := late.do(context.Background(), planMachine(osDisk{})); errText(err) != "timed out after 1ms waiting until x is gone" {
		t.Errorf("got %v", err)
	}
}

// A planStep notes that it was done, and undone.
type planStep struct {
	name      string
	notes     *[]string
	err, left error
	noUndo    bool
}

func (s planStep) String() string { return s.name }

func (s planStep) do(ctx context.Context, _ machine) (func(context.Context) error, error) {
	*s.notes = append(*s.notes, s.name)
	if ctx.Err() != nil {
		*s.notes = append(*s.notes, "cancelled")
	}
	if s.noUndo {
		return nil, s.err
	}
	return func(context.Context) error {
		*s.notes = append(*s.notes, "undo "+s.name)
		return s.left
	}, s.err
}

func TestApplyDoesAllAndUndoesNothingWhenAllGoesWell(t *testing.T) {
	t.Parallel()
	var notes []string
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // an interrupted user must not be left half-way
	m := planMachine(osDisk{})
	m.explain = nil
	err := apply(ctx, m, plan{steps: []step{planStep{name: "a", notes: &notes}, planStep{name: "b", notes: &notes}}, restore: []step{planStep{name: "back", notes: &notes}}})
	if got := strings.Join(notes, ", "); got != "a, b" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestApplyExplainsAFailureAndTakesBackTheLastStepFirst(t *testing.T) {
	t.Parallel()
	var notes []string
	cause, explained := errors.New("cause"), errors.New("explained")
	left1, left2 := errors.New("left 1"), errors.New("left 2")
	m := planMachine(osDisk{})
	m.explain = func(_ context.Context, err error) error {
		notes = append(notes, "explain "+err.Error())
		return explained
	}
	err := apply(context.Background(), m, plan{steps: []step{
		planStep{name: "a", notes: &notes, left: left2},
		planStep{name: "b", notes: &notes, noUndo: true},
		planStep{name: "c", notes: &notes},
		planStep{name: "d", notes: &notes, err: cause},
		planStep{name: "e", notes: &notes},
	}, restore: []step{planStep{name: "back 1", notes: &notes}, planStep{name: "back 2", notes: &notes, err: left1}, planStep{name: "back 3", notes: &notes}}})
	want := "a, b, c, d, explain cause, undo d, undo c, undo a, back 1, back 2, back 3"
	same(t, "", strings.Join(notes, ", "), want)
	var failed *applyError
	if !errors.As(err, &failed) || err.Error() != "explained" || !errors.Is(err, explained) {
		t.Fatalf("got %v", err)
	}
	if !errors.Is(failed.left, left1) || !errors.Is(failed.left, left2) {
		t.Errorf("left: %v", failed.left)
	}
}

func TestEveryUndoHasADeadlineOfItsOwn(t *testing.T) {
	t.Parallel()
	asked, begin := 0, time.Now()
	m := planMachine(osDisk{})
	m.run = planRunner{check: func(ctx context.Context) {
		end, _ := ctx.Deadline()
		if end.Before(begin.Add(undoDeadline)) || end.After(time.Now().Add(undoDeadline)) {
			t.Errorf("deadline in %s", time.Until(end))
		}
		asked++
	}}
	run := command{argv: []string{"x"}}
	var notes []string
	apply(context.Background(), m, plan{steps: []step{planStep{name: "a", notes: &notes}, planStep{name: "b", notes: &notes, err: errPlanDisk}}, restore: []step{run, run}})
	same(t, "", asked, 2)
}

func TestNothingIsRestoredAndNothingClaimedWhereNothingWasDone(t *testing.T) {
	t.Parallel()
	fails := planRunner{answers: map[string]error{"bad": errPlanDisk}}
	good, bad := command{argv: []string{"good"}}, command{argv: []string{"bad"}}
	waits := await{"it is so", time.Second, time.Millisecond, func(context.Context, Runner) (bool, error) { return true, nil }}
	for _, c := range []struct {
		what     string
		steps    []step
		restore  bool // the plan has steps to restore
		restored bool // and says that changes were rolled back
	}{
		{"the first step fails", []step{bad}, true, false},
		{"only waited", []step{waits, bad}, true, false},
		{"a command was run", []step{good, bad}, true, true},
		{"a command was run, and none takes it back", []step{good, bad}, false, false},
		{"a file was written", []step{writeFile{path: filepath.Join(t.TempDir(), "x"), text: "new", mode: 0o600, keptMode: 0o777}, bad}, false, true},
	} {
		var notes []string
		p := plan{steps: c.steps}
		if c.restore {
			p.restore = []step{planStep{name: "back", notes: &notes}}
		}
		m := planMachine(osDisk{})
		m.run = fails
		var failed *applyError
		if err := apply(context.Background(), m, p); !errors.As(err, &failed) || failed.undone != c.restored || (len(notes) > 0) != (c.restore && c.restored) {
			t.Errorf("%s: %v, restored by %q", c.what, err, notes)
		}
	}
}

func TestTheMomentBeforeAStartIsNoted(t *testing.T) {
	t.Parallel()
	noted := 0
	m := planMachine(osDisk{})
	m.started = func(time.Time) { noted++ }
	if err := apply(context.Background(), m, plan{steps: []step{command{argv: []string{"x"}}, command{argv: []string{"y"}, starts: true}}}); err != nil || noted != 1 {
		t.Errorf("noted %d times, %v", noted, err)
	}
}

func TestADryRunShowsEveryStepInOrder(t *testing.T) {
	t.Parallel()
	got := plan{restore: []step{command{argv: []string{"never", "shown"}}}, steps: []step{
		makeFolder{"/h/.config", 0o755}, makeFolder{"/h/logs", 0o700},
		newWriteFile(systemd{}, file{path: "/h/x y"}, "[Unit]\n\nlast line\n"),
		command{argv: []string{"systemctl", "--user", "enable", "a b"}, undo: []string{"x"}, ok: []int{5}},
		await{"x is gone", 30 * time.Second, time.Second, nil},
		truncateLog{"/h/log"}, removeFile{"/h/x"},
	}}.blocks()
	want := `would create directory /h/.config (0755)
would create directory /h/logs (0700)
would write /h/x y (0644):
    [Unit]
    
    last line
would run systemctl --user enable 'a b'
would wait until x is gone, at most 30s
would copy /h/log to /h/log.1 and empty it
would remove /h/x
`
	same(t, "", strings.Join(got, ""), want)
}

func TestTheRealDiskDoesWhatItIsTold(t *testing.T) {
	t.Parallel()
	same(t, "", (osDisk{}).do("write", "x", func() error { return errPlanDisk }), errPlanDisk)
}

func TestAStartThatLastsIsLeftToTheManager(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what            string
		begun, stopping bool
		timeout         time.Duration
		err             error // of the command, once it is ended
		want            bool  // it failed
		begins          bool  // the start began later than the command
	}{
		{what: "begun", begun: true, timeout: time.Minute},
		{what: "not begun in time", timeout: 20 * time.Millisecond},
		{what: "failed at that moment", begun: true, timeout: time.Minute, err: &commandError{code: 1}, want: true},
		{what: "stopping first", stopping: true, timeout: time.Minute, begins: true},
	} {
		m := planMachine(osDisk{})
		m.timeout, m.patience = c.timeout, time.Millisecond
		m.run = planRunner{check: func(ctx context.Context) { <-ctx.Done() }, answers: map[string]error{"start": c.err}}
		var at []time.Time
		m.started = func(when time.Time) { at = append(at, when) }
		stopping := c.stopping
		step := command{argv: []string{"start"}, starts: true, progress: func(context.Context, Runner) (bool, bool) {
			defer func() { stopping = false }()
			return c.begun || c.stopping && !stopping, stopping
		}}
		if _, err := step.do(context.Background(), m); (err != nil) != c.want || (len(at) == 2) != c.begins {
			t.Errorf("%s: %v, the start began at %v", c.what, err, at)
		}
	}
}
