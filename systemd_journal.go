// systemd's journal: which of its lines are the service's, and those of one start.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// mark remembers the time only: the journal tells the starts apart.
func (m systemd) mark() logMark { return logMark{time: time.Now()} }

// journalMatch selects what the service logged, in the terms of journalctl(1): by its unit, and by its name, since
// the journal may not know the unit of a process that lived too short to be looked at.
func (m systemd) journalMatch() []string {
	uid := "_UID=" + strconv.Itoa(m.uid)
	return []string{"_SYSTEMD_USER_UNIT=" + unitName, uid, "+", "USER_UNIT=" + unitName, uid, "+", "SYSLOG_IDENTIFIER=runtimescope", uid}
}

// startLog returns the last lines that the start described by s logged, and waits a moment for journald to have them.
// A start that systemd has forgotten already, as it does after a clean end, is known by its time.
func (m systemd) startLog(ctx context.Context, run Runner, s state, since logMark) []string {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--output=json", "--output-fields=MESSAGE,MESSAGE_ID,SYSLOG_IDENTIFIER", "--lines=40"}
	if s.invocation == "" {
		argv = append(argv, fmt.Sprintf("--since=@%d.%06d", since.time.Unix(), since.time.Nanosecond()/1000))
		argv = append(argv, m.journalMatch()...)
	} else {
		argv = append(argv, "_SYSTEMD_INVOCATION_ID="+s.invocation, "+", "USER_INVOCATION_ID="+s.invocation)
		if s.lastPID != 0 {
			argv = append(argv, "+", "_PID="+strconv.Itoa(s.lastPID), "SYSLOG_IDENTIFIER=runtimescope", "_UID="+strconv.Itoa(m.uid))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	before := 0
	for end := time.Now().Add(250 * time.Millisecond); ; {
		out, err := run.Run(ctx, argv...)
		if err != nil {
			return nil
		}
		lines, ended := parseJournal(out)
		if ended || len(lines) > 0 && len(lines) == before || time.Now().After(end) {
			return lines
		}
		before = len(lines)
		time.Sleep(20 * time.Millisecond)
	}
}

// parseJournal reads "journalctl --output=json": the messages that are the service's own, and whether systemd's
// report of the end of its process is among them (message 98e322203f7a4ed290d09fe03c09fe15, systemd.journal-fields(7)).
func parseJournal(out string) (lines []string, ended bool) {
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var entry struct {
			Message    any    `json:"MESSAGE"` // a string, or an array of bytes when it is not plain text
			MessageID  string `json:"MESSAGE_ID"`
			Identifier string `json:"SYSLOG_IDENTIFIER"`
		}
		err := decoder.Decode(&entry)
		if err == io.EOF {
			return lines, ended
		}
		if err != nil {
			return lines, true
		}
		if entry.MessageID == "98e322203f7a4ed290d09fe03c09fe15" {
			ended = true
		}
		if entry.MessageID != "" || entry.Identifier == "systemd" {
			continue
		}
		switch message := entry.Message.(type) {
		case string:
			lines = append(lines, message)
		case []any:
			text := make([]byte, 0, len(message))
			for _, n := range message {
				if n, ok := n.(float64); ok {
					text = append(text, byte(n))
				}
			}
			lines = append(lines, string(text))
		}
	}
}

// showLog shows the lines of the unit.
func (m systemd) showLog(ctx context.Context, a *app, o options) error {
	return a.journal(ctx, m.journalMatch(), o)
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
	p, reader, err := a.startJournal(append(argv, match...), &stderr, o.follow)
	if notFound(err) {
		return errors.New("journalctl is not installed, so the log of the service cannot be read")
	}
	if err != nil {
		return err
	}
	late := func() <-chan time.Time { return time.After(a.timings.journal) }
	if o.follow {
		late = nil
	}
	e, err := a.passJournal(ctx, p, reader, shown, late)
	switch {
	case err == errFollowed:
		return nil // ending it is how one stops following
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

// startJournal starts journalctl. Its output goes into a pipe of our own: exec closes its pipes a second after the end,
// however slowly a pager reads.
func (a *app) startJournal(argv []string, stderr io.Writer, follow bool) (process, *os.File, error) {
	reader, pipe, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	var out io.Writer = pipe
	if own, ok := a.out.stdout.(*watchedWriter); ok && follow {
		out = own.Writer // as a file of its own, so that it sees, and ends, when nobody reads on
	}
	p, err := a.run.Start(out, stderr, []string{"SYSTEMD_LOG_COLOR=0"}, argv...) // 247 has colours also in a pipe
	pipe.Close()
	return p, reader, err
}

// errFollowed is the end of a log that was followed, by a signal.
var errFollowed = errors.New("followed")

// passJournal passes on what journalctl says until it ends. It has to say something before each late; late is nil where it
// follows.
func (a *app) passJournal(ctx context.Context, p process, reader *os.File, shown *countingWriter, late func() <-chan time.Time) (e exitStatus, err error) {
	ended := make(chan error, 1)
	go func() {
		io.Copy(shown, reader)
		reader.Close() // so that journalctl ends where nobody reads on
		var err error
		e, err = p.Wait()
		ended <- err
	}()
	var over <-chan time.Time
	for before := int64(0); ; {
		if late != nil && over == nil {
			over = late()
		}
		select {
		case err := <-ended:
			return e, err
		case <-over:
			if n := shown.n.Load(); shown.waits.Load() || n > before { // a pager takes its time to read
				over, before = nil, n
				continue
			}
			p.Signal(os.Kill)
			<-ended
			return e, fmt.Errorf("journalctl gave no answer within %s", a.timings.journal)
		case <-ctx.Done():
			p.Signal(os.Kill)
			<-ended
			if late == nil {
				return e, errFollowed
			}
			return e, errInterrupted
		}
	}
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
