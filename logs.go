// logs: what the collector has logged. systemd keeps it in the journal, launchd in two files.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// logLimit is the size in bytes above which install and restart empty a log file of launchd, which never does.
const logLimit = 10 << 20

func (a *app) logs(ctx context.Context, o options) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	if m, ok := a.manager.(launchd); ok {
		return a.fileLogs(ctx, m.logFiles(), o)
	}
	if m, ok := a.manager.(systemd); ok {
		return a.journal(ctx, m.journalMatch(), o)
	}
	return nil
}

// journal shows the service's lines in the journal, and says why when there are none. It is asked without --user,
// which would look only into files of the user's own, that a volatile journal does not have.
func (a *app) journal(ctx context.Context, match []string, o options) error {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--lines=" + strconv.Itoa(o.lines)}
	if o.follow {
		argv = append(argv, "--follow")
	}
	var stderr limitedBuffer
	shown := &countingWriter{Writer: a.out.stdout}
	reader, pipe, err := os.Pipe() // of our own: exec closes its pipes a second after the end, however slowly a pager reads
	if err != nil {
		return err
	}
	var out io.Writer = pipe
	if own, ok := a.out.stdout.(*watchedWriter); ok && o.follow {
		out = own.Writer // as a file of its own, so that it sees, and ends, when nobody reads on
	}
	p, err := a.run.Start(out, &stderr, []string{"SYSTEMD_LOG_COLOR=0"}, append(argv, match...)...) // 247 has colours also in a pipe
	pipe.Close()
	if notFound(err) {
		return errors.New("journalctl is not installed, so the log of the service cannot be read")
	}
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	var e exitStatus
	go func() {
		io.Copy(shown, reader)
		reader.Close() // so that journalctl ends where nobody reads on
		var err error
		e, err = p.Wait()
		ended <- err
	}()
	late, before := time.After(a.timings.journal), int64(0)
	if o.follow {
		late = nil
	}
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-late:
			if n := shown.n.Load(); shown.waits.Load() || n > before { // a pager takes its time to read
				late, before = time.After(a.timings.journal), n
				continue
			}
			p.Signal(os.Kill)
			<-ended
			return fmt.Errorf("journalctl gave no answer within %s", a.timings.journal)
		case <-ctx.Done():
			p.Signal(os.Kill)
			<-ended
			if o.follow {
				return nil // ending it is how one stops following
			}
			return errInterrupted
		}
	}
	switch {
	case err != nil:
		return err
	case strings.Contains(stderr.text(), "insufficient permissions"):
		return hint(errors.New("this user may not read the journal: its files belong to the groups systemd-journal, adm and wheel, and a volatile journal has none of the user's own"),
			"sudo usermod -aG systemd-journal $USER, then log in again")
	case o.follow && e == exitStatus{code: 1} && stderr.text() == "":
		return nil // nobody reads on
	case e != exitStatus{}:
		return endedBadly(argv, e, stderr.text())
	case shown.n.Load() == 0 && o.lines > 0 && !o.follow:
		a.out.warn("The journal has no line of %s", unitName)
		a.out.info("If it should have: without a persistent journal (sudo mkdir /var/log/journal) or the group systemd-journal, a user sees nothing there.")
	}
	return nil
}

// A countingWriter counts the bytes that go through it.
type countingWriter struct {
	io.Writer
	n     atomic.Int64
	waits atomic.Bool // for who reads
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.waits.Store(true)
	n, err := w.Writer.Write(p)
	w.waits.Store(false)
	w.n.Add(int64(n))
	return n, err
}

// fileLogs shows the last lines of each file that has any, and follows both.
func (a *app) fileLogs(ctx context.Context, paths []string, o options) error {
	offsets := make([]int64, len(paths))
	shown := ""
	missing := 0
	heading := func(path string) {
		if shown != path {
			fmt.Fprintf(a.out.stdout, "==> %s <==\n", path)
			shown = path
		}
	}
	for i, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			return err
		}
		offsets[i] = info.Size()
		lines, err := lastLines(path, 0, o.lines)
		if err != nil {
			return err
		}
		if len(lines) > 0 {
			heading(path)
			fmt.Fprintln(a.out.stdout, strings.Join(lines, "\n"))
		}
	}
	if shown == "" && o.lines > 0 {
		if missing == len(paths) {
			a.out.warn("There is no log in %s: the service has not been started yet", filepath.Dir(paths[0]))
		} else {
			a.out.warn("The log is empty")
		}
	}
	for o.follow {
		select {
		case <-ctx.Done():
			return nil // ending it is how one stops following
		case <-time.After(a.timings.follow):
		}
		for i, path := range paths {
			info, err := os.Stat(path)
			if err != nil {
				offsets[i] = 0 // to be made again
				continue
			}
			if info.Size() < offsets[i] { // emptied, or made again
				offsets[i] = 0
			}
			if info.Size() == offsets[i] {
				continue
			}
			heading(path)
			n, err := copyFrom(a.out.stdout, path, offsets[i], info.Size())
			offsets[i] += n
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// copyFrom copies the bytes of a file from one offset to another.
func copyFrom(w io.Writer, path string, from, to int64) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return io.Copy(w, io.NewSectionReader(file, from, to-from))
}

// lastLines returns the last n lines of a file from an offset on, without their line ends. It reads backwards, so
// that the size of the file does not matter, and at most 1 MB.
func lastLines(path string, from int64, n int) ([]string, error) {
	const block, most = 64 << 10, 1 << 20
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if end < from { // emptied since
		from = 0
	}
	var tail []byte
	at := end
	for at > from && len(tail) < most && bytes.Count(tail, []byte("\n")) <= n {
		size := min(block, at-from)
		at -= size
		part := make([]byte, size, int(size)+len(tail))
		if _, err := file.ReadAt(part, at); err != nil && err != io.EOF {
			return nil, err
		}
		tail = append(part, tail...)
	}
	if len(tail) == 0 {
		return nil, nil
	}
	lines := strings.Split(strings.TrimSuffix(string(tail), "\n"), "\n")
	return lines[max(0, len(lines)-n):], nil
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
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
