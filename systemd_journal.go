// systemd's journal: which of its lines are the service's, and those of one start.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// mark remembers the time only: the journal tells the starts apart.
func (m systemd) mark() logMark { return logMark{time: time.Now()} }

// journalMatch selects what the service logged: by its unit, and by its name, where a process lived too short to be looked at.
func (m systemd) journalMatch() []string {
	uid := "_UID=" + userID(m.uid)
	return []string{"_SYSTEMD_USER_UNIT=" + unitName, uid, "+", "USER_UNIT=" + unitName, uid, "+", "SYSLOG_IDENTIFIER=runtimescope", uid}
}

// A journalEntry is one of "journalctl --output=json" (systemd.journal-fields(7)).
type journalEntry map[string]any

// field is a string, or an array of bytes where it is not plain text.
func (e journalEntry) field(name string) string {
	text, _ := e[name].(string)
	values, _ := e[name].([]any)
	raw := []byte(text)
	for _, n := range values {
		if n, ok := n.(float64); ok {
			raw = append(raw, byte(n))
		}
	}
	return string(raw)
}

// exit is how the process that it is about ended.
func (e journalEntry) exit() exitStatus {
	status := number(e.field("EXIT_STATUS"))
	if e.field("EXIT_CODE") != "exited" {
		return exitStatus{signal: status}
	}
	return exitStatus{code: status}
}

// sinceBoot is when it was logged, by CLOCK_MONOTONIC.
func (e journalEntry) sinceBoot() time.Duration {
	us, _ := strconv.ParseInt(e.field("__MONOTONIC_TIMESTAMP"), 10, 64)
	return time.Duration(us) * time.Microsecond
}

// Messages of systemd, by their numbers (sd-messages.h): why nothing was started, the two ends, how a unit failed, and lines
// that were dropped.
const (
	spawnFailed = "641257651c1b4ec9a8624d7a40a9e1e7"
	processEnd  = "98e322203f7a4ed290d09fe03c09fe15"
	cleanEnd    = "7ad2d189f7e94e70a38c781354912448"
	unitFailed  = "d9b373ed55a64feb8242e02dbe79a49c"
	dropped     = "a596d6fe7bfa4994828e72309e95d61e"
)

// journalEntries asks the journal of this boot for its newest entries: first comes the last one. A line may have any length.
func journalEntries(ctx context.Context, run Runner, lines int, match ...string) (all []journalEntry, err error) {
	out, err := run.Run(ctx, append([]string{"journalctl", "--no-pager", "--quiet", "--boot", "--all", "--reverse", "--output=json",
		"--output-fields=MESSAGE,MESSAGE_ID,SYSLOG_IDENTIFIER,_PID,_SYSTEMD_INVOCATION_ID,USER_INVOCATION_ID," +
			"EXIT_CODE,EXIT_STATUS,COMMAND,CONFIG_FILE",
		"--lines=" + strconv.Itoa(lines)}, match...)...)
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var entry journalEntry
		if decoder.Decode(&entry) != nil {
			return all, err
		}
		all = append(all, entry)
	}
}

// matchStart selects what one start logged, what systemd said of it, and what names no start: journald may look too late.
func (m systemd) matchStart(s state) []string {
	uid := "_UID=" + userID(m.uid)
	return []string{"_SYSTEMD_INVOCATION_ID=" + s.invocation, uid, "+",
		"USER_INVOCATION_ID=" + s.invocation, uid, "+", "SYSLOG_IDENTIFIER=runtimescope", uid}
}

// readStart reads what one start logged from entries, the newest first. ended tells whether systemd's report of its end is
// among them. An entry that names no start is of this one when it is not older. The last words of a process of the start before may be
// read too late: then they name no start, or this one.
func readStart(entries []journalEntry, s state, since logMark) (l startLog, ended bool) {
	cause, gone := "", "" // gone is the process that spoke last for another start
	for _, e := range slices.Backward(entries) {
		id, about, text := e.field("MESSAGE_ID"), e.field("USER_INVOCATION_ID"), e.field("MESSAGE")
		condition, skipped := unmetCondition(text)
		refusal := refusalIn(e, &cause)
		switch {
		case skipped && id != "" && s.invocation == "":
			l.skipped = condition
		case e.ofAnother(s, since, &gone):
		case id == processEnd, id == cleanEnd:
			ended, l.refusal = true, cmp.Or(refusal, l.refusal)
		case refusal != "":
			l.refusal = refusal
		case text != "" && id == "" && about == "" && e.field("SYSLOG_IDENTIFIER") != "systemd":
			l.lines = append(l.lines, strings.Split(text, "\n")...)
		}
	}
	return l, ended
}

// ofAnother tells whether an entry is of another start. gone is kept from one to the next: the process that spoke last for another.
func (e journalEntry) ofAnother(s state, since logMark, gone *string) bool {
	own, pid := e.field("_SYSTEMD_INVOCATION_ID"), e.field("_PID")
	start := cmp.Or(e.field("USER_INVOCATION_ID"), own)
	older := s.startedAt == 0 || e.sinceBoot() < s.startedAt
	if s.invocation != "" && start != s.invocation && (start != "" || older) || start != "" && start == since.before {
		if own != "" && start == own {
			*gone = pid
		}
		return true
	}
	return start == own && pid != "" && pid == *gone && number(pid) != s.pid
}

// refusalIn reads why the collector was not started, or not for good, out of an entry of systemd's; "" where it does not say.
// cause is kept from one entry to the next: of two that complain the first says why.
func refusalIn(e journalEntry, cause *string) string {
	id, command := e.field("MESSAGE_ID"), e.field("COMMAND")
	_, text, _ := strings.Cut(e.field("MESSAGE"), ".service: ")
	switch {
	case id == spawnFailed && strings.HasPrefix(text, "Failed at step "):
		return text
	case id == processEnd && slices.Contains([]string{"ExecCondition", "ExecStartPre", "ExecStartPost"}, command):
		return command + "= failed: " + unitExitName(e.exit())
	case id != "" || e.field("USER_INVOCATION_ID") == "":
	case strings.HasPrefix(text, "Start request repeated too quickly"): // which 257 does not say in Result= after another failure
		return strings.TrimSuffix(text, ".")
	case strings.HasPrefix(text, "Failed to run '"), strings.HasPrefix(text, "Failed to spawn '"):
		return cmp.Or(*cause, text)
	case strings.HasPrefix(text, "Failed to "):
		*cause = text
	}
	return ""
}

// unmetCondition reads which condition did not hold; 247 says only that one did not.
func unmetCondition(text string) (which string, skipped bool) {
	if _, name, ok := strings.Cut(text, " unmet condition check "); ok { // in brackets before 256
		return ": " + strings.TrimSuffix(strings.TrimPrefix(name, "("), ")."), true
	}
	return ". See: systemctl --user status " + unitName, strings.HasPrefix(text, "Condition check resulted in ")
}

// startLog returns what the start described by s logged. systemd's report of its end may come before its last lines: the log
// is complete when two looks at it agree. A start that systemd has forgotten, as after a clean end, is known by its time.
func (m systemd) startLog(ctx context.Context, run Runner, s state, since logMark) startLog {
	return m.readLog(ctx, run, s, since, false)
}

// readLog is startLog, which of a start that is long over takes the first look that says something.
func (m systemd) readLog(ctx context.Context, run Runner, s state, since logMark, over bool) startLog {
	match := m.matchStart(s)
	if s.invocation == "" {
		match = append([]string{fmt.Sprintf("--since=@%d.%06d", since.time.Unix(), since.time.Nanosecond()/1000)}, m.journalMatch()...)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for before, end := "", time.Now().Add(500*time.Millisecond); ; {
		entries, err := journalEntries(ctx, run, 2000, match...)
		if err != nil {
			return startLog{none: "What it logged cannot be read: " + whyNoJournal(err).Error()}
		}
		l, ended := readStart(entries, s, since)
		newest := append(entries, nil)[0].field("__CURSOR")
		if (newest == before || over) && ((ended || s.pid != 0) && len(l.lines) > 0 || l.refusal != "" || time.Now().After(end)) {
			switch l.none = "It logged nothing."; {
			case len(s.outputs) > 0:
				l.none = "It logs to " + strings.Join(s.outputs, " and ") + "."
			case !ended:
				l.none = "The journal has nothing that it logged" + m.whyUnlogged(ctx, run, s, since) + "."
			}
			return l
		}
		before = newest
		time.Sleep(80 * time.Millisecond)
	}
}

// whyUnlogged says why the journal may lack the lines of a start: journald does not run, or dropped what came too fast.
func (m systemd) whyUnlogged(ctx context.Context, run Runner, s state, since logMark) string {
	names, _ := filepath.Glob(m.root + "/proc/[0-9]*/comm")
	if len(names) > 0 && !slices.ContainsFunc(names, func(path string) bool {
		name, _ := os.ReadFile(path)
		return string(name) == "systemd-journal\n"
	}) {
		return ": journald is not running"
	}
	if s.startedAt != 0 && m.clock != nil {
		since.time = time.Now().Add(s.startedAt - m.clock())
	}
	lost, _ := journalEntries(ctx, run, 1, fmt.Sprintf("--since=@%d", since.time.Unix()), "MESSAGE_ID="+dropped)
	if len(lost) > 0 && lost[0].field("MESSAGE_ID") == dropped {
		return ": journald has dropped lines that came faster than its limit"
	}
	return ""
}

// guilty are the files that systemd complained of when it last loaded the unit: all of one load are told at once.
func (m systemd) guilty(ctx context.Context, run Runner) (files []string) {
	entries, _ := journalEntries(ctx, run, 100, "USER_UNIT="+unitName, "_UID="+userID(m.uid))
	last := time.Duration(0)
	for _, e := range entries {
		if file := e.field("CONFIG_FILE"); file != "" && (last == 0 || last-e.sinceBoot() < time.Second) {
			last = e.sinceBoot()
			files = append(files, file)
		}
	}
	return files
}

// lastFailure tells how the last start before this one failed, and when.
func (m systemd) lastFailure(ctx context.Context, run Runner, s state) string {
	entries, _ := journalEntries(ctx, run, 20, "USER_UNIT="+unitName, "_UID="+userID(m.uid), "MESSAGE_ID="+processEnd)
	for _, e := range entries {
		if start := e.field("USER_INVOCATION_ID"); start == "" || start == s.invocation ||
			!strings.Contains(e.field("MESSAGE"), "Main process") {
			continue
		}
		at, _ := strconv.ParseInt(e.field("__REALTIME_TIMESTAMP"), 10, 64)
		return fmt.Sprintf("%s, %s ago", unitExitName(e.exit()), duration(time.Since(time.UnixMicro(at))))
	}
	return ""
}

// killedBefore tells whether the start that a restart replaced did not end in time: the unit itself has forgotten that.
func (m systemd) killedBefore(ctx context.Context, run Runner, s state) bool {
	for end := time.Now().Add(500 * time.Millisecond); ; time.Sleep(50 * time.Millisecond) { // journald may be behind
		entries, _ := journalEntries(ctx, run, 1, "USER_INVOCATION_ID="+s.invocation, "_UID="+userID(m.uid), "MESSAGE_ID="+unitFailed)
		if len(entries) > 0 || time.Now().After(end) {
			return len(entries) > 0 && strings.HasSuffix(entries[0].field("MESSAGE"), "'timeout'.")
		}
	}
}

// whyNoJournal says why journalctl gave no answer.
func whyNoJournal(err error) error {
	var failed *commandError
	switch {
	case notFound(err):
		return errors.New("journalctl is not installed, so the log of the service cannot be read")
	case errors.As(err, &failed) && strings.Contains(failed.stderr, "insufficient permissions"):
		return hint(errors.New("no permission to read the journal: "+
			"without persistent storage, only members of systemd-journal, adm and wheel can read it"),
			"sudo usermod -aG systemd-journal $USER, then log in again")
	}
	return err
}

// showLog shows the lines of the unit, and says where there are others, or why there are none of the newest start.
func (m systemd) showLog(ctx context.Context, a *app, o options) error {
	s, _ := m.state(ctx, a.run)
	for _, file := range s.outputs {
		a.out.warn("The unit sends output to %s, not to the journal", file)
	}
	if s.invocation != "" && o.lines > 0 && len(s.outputs) == 0 {
		entries, err := journalEntries(ctx, a.run, 100, m.matchStart(s)...)
		if l, _ := readStart(entries, s, logMark{}); err == nil && len(l.lines) == 0 {
			a.out.warn("The journal has no entries from the latest start%s", m.whyUnlogged(ctx, a.run, s, logMark{}))
		}
	}
	return a.journal(ctx, m.journalMatch(), o)
}

// journal shows the service's lines, and says why there are none. With --user it would see only the user's own files, if any.
func (a *app) journal(ctx context.Context, match []string, o options) error {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--lines=" + strconv.Itoa(o.lines)}
	if o.follow { // what journalctl may say itself, to see when nobody reads on, it has to clean itself
		argv = append(argv, "--follow")
	} else {
		argv = append(argv, "--all")
	}
	var stderr limitedBuffer
	shown := &countingWriter{Writer: a.out.stdout}
	p, reader, err := a.startJournal(append(argv, match...), &stderr, o.follow)
	if err != nil {
		return whyNoJournal(err)
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
	case o.follow && e == exitStatus{code: 1} && stderr.text() == "":
		return nil // nobody reads on
	case e != exitStatus{}:
		return whyNoJournal(endedBadly(argv, e, stderr.text()))
	case shown.n.Load() == 0 && o.lines > 0 && !o.follow:
		a.out.warn("No journal entries for %s", unitName)
		a.out.info("If you expected some: you need a persistent journal (sudo mkdir /var/log/journal) " +
			"or membership in the systemd-journal group.")
	}
	return nil
}

// startJournal starts journalctl on a pipe of our own: exec closes its pipes a second after the end, however slow a pager is.
func (a *app) startJournal(argv []string, stderr io.Writer, follow bool) (process, *os.File, error) {
	reader, pipe, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	var out io.Writer = pipe
	if own, ok := a.out.stdout.(*watchedWriter); ok && follow {
		out = own.Writer // as a file of its own, so that it sees, and ends, when nobody reads on
	}
	// in our process group, so that Ctrl-Z reaches it, and a terminal that only the foreground may write to takes what it says
	colourless := []string{"SYSTEMD_LOG_COLOR=0"} // 247 has colours also in a pipe
	p, err := a.run.Start(bond{death: syscall.SIGKILL}, out, stderr, colourless, argv...)
	pipe.Close()
	return p, reader, err
}

// errFollowed is the end of a log that was followed, by a signal.
var errFollowed = errors.New("followed")

// passJournal passes on what journalctl says, something before each late, until it ends; late is nil where it follows.
func (a *app) passJournal(ctx context.Context, p process, reader *os.File, shown *countingWriter,
	late func() <-chan time.Time) (e exitStatus, err error) {
	ended, interrupted := make(chan error, 1), errInterrupted
	if late == nil {
		interrupted = errFollowed
	}
	go func() {
		for r, err := bufio.NewReader(reader), error(nil); err == nil; {
			var line string
			line, err = r.ReadString('\n')
			if _, bad := io.WriteString(shown, printable(strings.Replace(line, "\r\n", "\n", 1))); bad != nil {
				break
			}
		}
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
			if e.signal == 0 || e.signal == int(syscall.SIGKILL) {
				return e, err
			} // else Ctrl-C has reached it before us
			return e, interrupted
		case <-over:
			if shown.waits.Load() || shown.n.Load() > before { // a pager takes its time to read
				over, before = nil, shown.n.Load()
				continue
			}
			p.Signal(os.Kill)
			<-ended
			return e, fmt.Errorf("journalctl gave no answer within %s", a.timings.journal)
		case <-ctx.Done():
			p.Signal(os.Kill)
			<-ended
			return e, interrupted
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
	w.n.Add(int64(n)) // first: who looks meanwhile sees one of the two
	w.waits.Store(false)
	return n, err
}
