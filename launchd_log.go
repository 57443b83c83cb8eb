// launchd's log: two files that the collector's output is appended to, and that nobody but us empties.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// mark remembers where the logs end, so that startLog can tell the lines of the next start.
func (m launchd) mark() logMark {
	mark := logMark{time: time.Now(), lengths: map[string]int64{}}
	for _, path := range m.logFiles() {
		if info, err := os.Stat(path); err == nil && info.Size() <= logLimit { // a larger one is emptied at the start
			mark.lengths[path] = info.Size()
		}
	}
	return mark
}

// startLog returns the last lines that were logged since mark.
func (m launchd) startLog(_ context.Context, _ Runner, _ state, mark logMark) startLog {
	for _, path := range m.logFiles() {
		if lines, _ := lastLines(path, mark.lengths[path], 2000); len(lines) > 0 {
			return startLog{lines: lines}
		}
	}
	return startLog{}
}

// showLog shows both files.
func (m launchd) showLog(ctx context.Context, a *app, o options) error {
	return a.fileLogs(ctx, m.logFiles(), o)
}

// fileLogs shows the last lines of each file that has any, and follows both.
func (a *app) fileLogs(ctx context.Context, paths []string, o options) error {
	offsets, shown, missing := make([]int64, len(paths)), "", 0
	heading := func(path string) {
		if shown != path {
			fmt.Fprintf(a.out.stdout, "==> %s <==\n", path)
			shown = path
		}
	}
	for i, path := range paths {
		if info, err := os.Stat(path); err == nil {
			offsets[i] = info.Size()
		}
		switch lines, err := lastLines(path, 0, o.lines); {
		case errors.Is(err, os.ErrNotExist):
			missing++
		case err != nil:
			return err
		case len(lines) > 0:
			heading(path)
			fmt.Fprintln(a.out.stdout, strings.Join(lines, "\n"))
		}
	}
	if none := shown == "" && o.lines > 0; none && missing == len(paths) {
		a.out.warn("There is no log in %s: the service has not been started yet", filepath.Dir(paths[0]))
	} else if none {
		a.out.warn("The log is empty")
	}
	for o.follow {
		select {
		case <-ctx.Done():
			return nil // ending it is how one stops following
		case <-time.After(a.timings.follow):
		}
		for i, path := range paths {
			info, err := os.Stat(path)
			if err != nil || info.Size() < offsets[i] { // emptied, or to be made again
				offsets[i] = 0
			}
			if err != nil || info.Size() == offsets[i] {
				continue
			}
			heading(path)
			n, err := copyFrom(a.out.stdout, path, offsets[i], info.Size())
			if offsets[i] += n; err != nil {
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

// lastLines returns the last n lines of a file from an offset on, without their line ends. It reads at most the last 1 MB.
func lastLines(path string, from int64, n int) ([]string, error) {
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
	from = max(from, end-1<<20)
	text := make([]byte, end-from)
	if _, err := file.ReadAt(text, from); err != nil && err != io.EOF || len(text) == 0 {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	return lines[max(0, len(lines)-n):], nil
}
