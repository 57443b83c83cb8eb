// What changes the machine: the kinds of step, apply with its undo, and the atomic write.
// No other file writes, removes, or runs a command that changes something.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A machine is what steps work on.
type machine struct {
	run     Runner
	disk    disk
	explain func(context.Context, error) error // finds the cause of a failure, before anything is undone

	started  func(time.Time) // told when the start begins, and again while what ran before is still being stopped
	timeout  time.Duration   // how long the start may take
	patience time.Duration   // with a command that starts the service, before the manager is asked how far it is
	killed   func()          // told when the collector did not end in time as it was stopped
}

// A disk carries out one change to the file system. The real one calls change; a test's may fail instead, or
// half-way. op is the name of the operation ("mkdir", "create", "write", "sync", "chmod", "rename", "remove").
type disk interface {
	do(op, path string, change func() error) error
}

type osDisk struct{}

func (osDisk) do(_, _ string, change func() error) error { return change() }

// A plan is what a command does: the steps in order, and those that tell the manager what is on disk again once a step
// has failed and what was done before it is undone. It is data: what its text needs is in the snapshot it was made from.
// retry is run once when macOS has ended the first start of a program that was replaced, whose identity it had noted.
type plan struct{ steps, restore, retry []step }

// blocks are what --dry-run prints, one for each step.
func (p plan) blocks() []string {
	all := []string{}
	for _, s := range p.steps {
		all = append(all, fmt.Sprintf("would %s\n", s))
	}
	return all
}

// A step is one change to the machine, or the wait for one. Its String says it.
type step interface {
	fmt.Stringer
	// do makes the change and returns what takes it back, also of one that failed half-way; nil when there is nothing.
	do(ctx context.Context, m machine) (undo func(context.Context) error, err error)
}

// apply runs the steps of a plan in order. At the first failure it takes back what was done, last step first, then runs the steps
// of restore, and returns an *applyError. An interrupted ctx does not stop it half-way: every step has a deadline of its own.
func apply(ctx context.Context, m machine, p plan) error {
	ctx = context.WithoutCancel(ctx)
	var undos []func(context.Context) error
	changed := false
	for _, s := range p.steps {
		undo, err := s.do(ctx, m)
		if undo != nil {
			undos = append(undos, undo)
		}
		_, runs := s.(command)
		changed = changed || undo != nil || runs && (err == nil || maybeDone(err))
		if err == nil {
			continue
		}
		failed := &applyError{err: m.explain(ctx, err), undone: len(undos) > 0 || changed && len(p.restore) > 0}
		if failed.undone {
			failed.left = takeBack(ctx, m, undos, p.restore)
		}
		return failed
	}
	return nil
}

// maybeDone tells whether a command that failed may have done its work all the same: it was ended, or gave no answer.
func maybeDone(err error) bool {
	var failed *commandError
	return errors.As(err, &failed) && failed.code < 0 && !notFound(err)
}

// takeBack undoes steps, the last one first, and then restores. A step that fails keeps none of the others from being tried.
func takeBack(ctx context.Context, m machine, undos []func(context.Context) error, restore []step) (left error) {
	within := func(f func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, undoDeadline)
		defer cancel()
		return f(ctx)
	}
	for _, undo := range slices.Backward(undos) {
		left = errors.Join(left, within(undo))
	}
	return errors.Join(left, within(func(ctx context.Context) (left error) {
		for _, s := range restore {
			_, err := s.do(ctx, m)
			left = errors.Join(left, err)
		}
		return left
	}))
}

// An applyError is a plan that could not be carried out.
type applyError struct {
	err    error // of the step that failed
	undone bool  // there was something to take back
	left   error // why not all of that could be taken back
}

func (e *applyError) Error() string { return e.err.Error() }
func (e *applyError) Unwrap() error { return e.err }

// How long a command that changes something may take, and one that takes a change back. Stopping a collector takes up
// to its TimeoutStopSec, 10 s in our unit; of launchd's commands none waits.
const changeDeadline, undoDeadline = 30 * time.Second, 15 * time.Second

// A command step runs argv.
type command struct {
	argv   []string
	ok     []int    // exit statuses besides 0 that count as done
	undo   []string // argv that takes it back; may be empty
	undoOK []int    // as ok, for undo
	starts bool     // it starts the collector: the log begins here
	// progress tells how far the manager is with the start that this command waits for; nil: it waits for none.
	progress func(context.Context, Runner) (begun, stopping bool)
	// killed tells whether what ran before had to be killed, after a start that took so long.
	killed func(ctx context.Context, run Runner, took time.Duration) bool
}

func (c command) String() string { return "run " + quoteArgv(c.argv) }

func (c command) do(ctx context.Context, m machine) (func(context.Context) error, error) {
	var undo func(context.Context) error
	if len(c.undo) > 0 {
		undo = func(ctx context.Context) error {
			_, err := command{argv: c.undo, ok: c.undoOK}.do(ctx, m)
			return err
		}
	}
	if c.starts {
		m.started(time.Now())
	}
	if c.progress != nil {
		begin := time.Now()
		err := c.start(ctx, m)
		if err == nil && c.killed != nil && c.killed(ctx, m.run, time.Since(begin)) {
			m.killed()
		}
		return undo, err
	}
	ctx, cancel := context.WithTimeout(ctx, changeDeadline)
	defer cancel()
	_, err := m.run.Run(ctx, c.argv...)
	if slices.Contains(c.ok, exitCode(err)) {
		err = nil
	}
	return undo, err
}

// start runs a command that returns when the service has started, which a unit may put off for long. Once the manager has
// begun, or the time for the start is over, it is left to the manager: who waits for health sees what becomes of it. To
// stop what ran before is no part of the start, and has a limit of its own.
func (c command) start(ctx context.Context, m machine) error {
	ctx, cancel := context.WithTimeout(ctx, m.timeout+changeDeadline)
	defer cancel()
	left := make(chan bool, 1)
	go func() {
		left <- c.begun(ctx, m)
		cancel()
	}()
	_, err := m.run.Run(ctx, c.argv...)
	cancel()
	if <-left && exitCode(err) <= 0 { // else it has failed just now
		return nil
	}
	return err
}

// begun waits until the manager has begun the start, or the time for it is over. Where the command ends first it is false.
func (c command) begun(ctx context.Context, m machine) bool {
	begin := time.Now()
	stopped := begin.Add(changeDeadline)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(min(m.patience, time.Until(begin.Add(m.timeout)))):
		}
		now := time.Now()
		asking, cancel := context.WithDeadline(ctx, begin.Add(m.timeout))
		begun, stopping := c.progress(asking, m.run)
		cancel()
		switch {
		case ctx.Err() != nil:
			return false
		case stopping && now.Before(stopped):
			begin = now
			m.started(begin)
		case begun, time.Since(begin) >= m.timeout:
			return true
		}
	}
}

// errKilled comes with a condition that holds: the collector had to be killed for it.
var errKilled = errors.New("killed")

// An await step polls until a named condition holds, at most for within.
type await struct {
	condition string // "com.example.job is gone"
	within    time.Duration
	every     time.Duration
	holds     func(context.Context, Runner) (bool, error)
}

func (a await) String() string {
	return fmt.Sprintf("wait until %s, at most %s", a.condition, a.within)
}

func (a await) do(ctx context.Context, m machine) (func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, a.within)
	defer cancel()
	var last error
	for {
		holds, err := a.holds(ctx, m.run)
		if holds && err == errKilled {
			m.killed()
		}
		if holds {
			return nil, nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-time.After(a.every):
		case <-ctx.Done():
			if last != nil {
				return nil, last
			}
			return nil, fmt.Errorf("timed out after %s waiting until %s", a.within, a.condition)
		}
	}
}

// A makeFolder step makes a folder and those above it where they are missing.
type makeFolder struct {
	path string
	mode fs.FileMode
}

func (f makeFolder) String() string { return fmt.Sprintf("create directory %s (%#o)", f.path, f.mode) }

func (f makeFolder) do(_ context.Context, m machine) (func(context.Context) error, error) {
	var missing []string // innermost first
	for dir := f.path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.IsDir() {
			break
		}
		if err == nil {
			return nil, fmt.Errorf("%s exists but is not a directory", dir)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) { // then one above is in the way
			return nil, err
		}
		if _, err := os.Lstat(dir); err == nil {
			return nil, fmt.Errorf("%s is a dangling symlink", dir)
		}
		missing = append(missing, dir)
	}
	var made []string
	undo := func(context.Context) error {
		for _, dir := range slices.Backward(made) {
			m.disk.do("remove", dir, func() error { return os.Remove(dir) }) // one that is in use by now stays
		}
		return nil
	}
	for _, dir := range slices.Backward(missing) {
		mode := fs.FileMode(0o755)
		if dir == f.path {
			mode = f.mode
		}
		err := m.disk.do("mkdir", dir, func() error { return os.Mkdir(dir, mode) })
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil && made == nil {
			return nil, err
		}
		if err != nil {
			return undo, err
		}
		made = append(made, dir)
		// Whatever the umask says: launchd refuses a folder that others may write.
		if err := m.disk.do("chmod", dir, func() error { return os.Chmod(dir, mode) }); err != nil {
			return undo, err
		}
	}
	return undo, nil
}

// A writeFile step writes a file whole or not at all. A different file that was there is kept beside it as PATH.bak,
// and an older PATH.bak as PATH.bak.1 and so on: nothing that somebody wrote by hand is lost. kept and keptOlder are
// where a snapshot says that they go; "" for what is not kept, ours is a text that need not be.
type writeFile struct {
	path, text      string
	kept, keptOlder string
	ours            string
	shown           string // the text without the values of its variables
	mode, keptMode  fs.FileMode
}

// newWriteFile writes over a file as a snapshot has seen it. A text with variables in it is for its owner alone.
func newWriteFile(m serviceManager, f file, text string) writeFile {
	w := writeFile{path: f.path, text: text, shown: text, mode: 0o644, keptMode: 0o777}
	if d := m.parse(text); d.env != "" {
		w.mode = 0o600
		w.shown, _ = m.render(d.hidden())
	}
	if f.definition.env != "" {
		w.keptMode = 0o600
	}
	switch {
	case f.text == text:
	case f.spare(m.parse(text)):
		w.ours = f.text
	default:
		w.kept, w.keptOlder = f.kept, f.keptOlder
	}
	return w
}

// String tells also what becomes of the file that is there.
func (f writeFile) String() string {
	kept := ""
	if f.kept != "" {
		kept = ", saving the current one as " + f.kept
	}
	if f.keptOlder != "" {
		kept += " and the one already there as " + f.keptOlder
	}
	return fmt.Sprintf("write %s (%04o)%s:\n%s", f.path, f.mode, kept, indent(f.shown))
}

func (f writeFile) do(_ context.Context, m machine) (func(context.Context) error, error) {
	old, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := replaceFile(m.disk, f.path, f.text, f.mode); err != nil {
			return nil, err
		}
		return func(context.Context) error {
			return m.disk.do("remove", f.path, func() error { return os.Remove(f.path) })
		}, nil
	case err != nil:
		return nil, err
	case string(old) == f.text:
		return nil, replaceFile(m.disk, f.path, f.text, f.mode)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if f.ours != "" && string(old) == f.ours {
		back := func(context.Context) error { return replaceFile(m.disk, f.path, f.ours, info.Mode().Perm()) }
		return back, replaceFile(m.disk, f.path, f.text, f.mode)
	}
	bak := f.path + ".bak"
	rename := func(from, to string) error {
		return m.disk.do("rename", to, func() error { return os.Rename(from, to) })
	}
	moved := backupName(f.path, string(old)) // where an older .bak goes
	if moved != "" {
		if err := rename(bak, moved); err != nil {
			return nil, err
		}
	}
	putBack := func() error {
		if moved != "" {
			return rename(moved, bak)
		}
		return nil
	}
	if err := replaceFile(m.disk, bak, string(old), info.Mode().Perm()&f.keptMode); err != nil {
		return nil, errors.Join(err, putBack())
	}
	err = replaceFile(m.disk, f.path, f.text, f.mode)
	// The kept file goes back by a rename, which works on a full disk too, and also where a failed rename was done.
	return func(context.Context) error { return errors.Join(rename(bak, f.path), putBack()) }, err
}

// backupName is where a PATH.bak that does not hold old goes: the next number that is free. "" when there is no such PATH.bak.
func backupName(path, old string) string {
	bak := path + ".bak"
	if _, err := os.Lstat(bak); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if kept, err := os.ReadFile(bak); err == nil && string(kept) == old {
		return ""
	}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.%d", bak, n)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
}

// temporary ends the name of a file that is being written: a fixed one, so that what a killed run left is overwritten.
const temporary = ".runtimescope.tmp"

// replaceFile writes text to path, with this mode, so that a reader, or a crash, finds the old file or the new one.
func replaceFile(d disk, path, text string, mode fs.FileMode) error {
	tmp := path + temporary
	err := writeSynced(d, tmp, text, mode)
	if err == nil {
		err = d.do("rename", path, func() error { return os.Rename(tmp, path) })
	}
	if err != nil {
		d.do("remove", tmp, func() error { return os.Remove(tmp) })
		if cause := syscall.Errno(0); errors.As(err, &cause) { // of the temporary file nobody knows
			return &fs.PathError{Op: "write", Path: path, Err: cause}
		}
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // so that the rename, too, survives a power cut
		dir.Sync()
		dir.Close()
	}
	return nil
}

func writeSynced(d disk, path, text string, mode fs.FileMode) error {
	var file *os.File
	err := d.do("create", path, func() (err error) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		return err
	})
	if err != nil {
		return err
	}
	defer file.Close()
	if err := d.do("write", path, func() error { _, err := file.WriteString(text); return err }); err != nil {
		return err
	}
	if err := d.do("chmod", path, func() error { return file.Chmod(mode) }); err != nil { // whatever the umask says
		return err
	}
	if err := d.do("sync", path, file.Sync); err != nil {
		return err
	}
	return file.Close()
}

// A removeFile step removes a file, and the rest that a killed run may have left of it. A file that is not there is no failure.
type removeFile struct{ path string }

func (f removeFile) String() string { return "remove " + f.path }

func (f removeFile) do(_ context.Context, m machine) (func(context.Context) error, error) {
	remove := func(path string) error {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) { // to remove it would say "read-only", too
			return nil
		}
		err := m.disk.do("remove", path, func() error { return os.Remove(path) })
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, rest := range []string{f.path + temporary, f.path + ".bak" + temporary} {
		if err := remove(rest); err != nil {
			return nil, err
		}
	}
	if target, err := os.Readlink(f.path); err == nil {
		if err := remove(f.path); err != nil {
			return nil, err
		}
		return func(context.Context) error {
			return m.disk.do("symlink", f.path, func() error { return os.Symlink(target, f.path) })
		}, nil
	}
	old, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if err := remove(f.path); err != nil {
		return nil, err
	}
	return func(context.Context) error { return replaceFile(m.disk, f.path, string(old), info.Mode().Perm()) }, nil
}

// A truncateLog step copies a log to PATH.1 and empties it in place: launchd keeps the file open, whatever its name is.
type truncateLog struct{ path string }

func (t truncateLog) String() string { return fmt.Sprintf("copy %s to %[1]s.1 and empty it", t.path) }

func (t truncateLog) do(_ context.Context, m machine) (func(context.Context) error, error) {
	kept := t.path + ".1"
	err := m.disk.do("create", kept, func() error { return copyFile(t.path, kept) })
	if err != nil {
		m.disk.do("remove", kept, func() error { return os.Remove(kept) })
		return nil, err
	}
	return nil, m.disk.do("write", t.path, func() error { return os.Truncate(t.path, 0) })
}

// copyFile copies a file's content to a new file, mode 0600: a log may hold what others should not see.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return cmp.Or(err, target.Close())
}
