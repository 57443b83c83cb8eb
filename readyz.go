// One probe of the collector, and the wait until it is healthy, dead, or out of time. Only this file asks for connections
// (dial), and only to 127.0.0.1. It speaks the few words of HTTP/1.0 that a probe needs itself: net/http would double the
// size of the program and the time it takes to start (see docs/BENCHMARKS.md).
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// answerLimit bounds what is read of an answer, in bytes.
const answerLimit = 64 << 10

// A connection is one of TCP.
type connection interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// get asks the collector for a path, with no proxy and no redirect, and returns the HTTP status and the body, cut after
// answerLimit. The connection is closed before it returns: the collector waits for open ones when it ends.
func (a *app) get(ctx context.Context, port int, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timings.answer)
	defer cancel()
	deadline, _ := ctx.Deadline()
	conn, err := dial(port, deadline)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	const request = "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nUser-Agent: runtimescope\r\nConnection: close\r\n\r\n"
	if _, err := fmt.Fprintf(conn, request, path, port); err != nil {
		return 0, nil, err
	}
	limit := &io.LimitedReader{R: conn, N: answerLimit}
	r := &answerReader{Reader: bufio.NewReader(limit)}
	switch status, err = r.read(); {
	case err != io.EOF:
	case status != 0 && limit.N == 0:
		err = nil
	default:
		err = errors.New("the answer was cut off")
	}
	return status, r.body.Bytes(), err
}

// An answerReader reads an answer step by step and no further than it goes: its server may keep the connection open.
type answerReader struct {
	*bufio.Reader
	body bytes.Buffer
	err  error // the first one; io.EOF where it ends too soon
}

// read returns a status once the head is whole (RFC 9112, section 6.3). Interim answers are passed over.
func (r *answerReader) read() (status int, err error) {
	first := r.line()
	words := strings.Fields(first)
	switch {
	case r.err != nil && r.err != io.EOF:
		return 0, r.err
	case len(words) < 2 || !strings.HasPrefix(words[0], "HTTP/1."):
		return 0, fmt.Errorf("not an HTTP response: %q", shorten(first, 60))
	}
	if status, err = strconv.Atoi(words[1]); err != nil || status < 100 || status > 999 {
		return 0, fmt.Errorf("no HTTP status: %q", shorten(first, 60))
	}
	length, chunked := -1, false
	for line := r.line(); line != ""; line = r.line() {
		switch key, value, _ := strings.Cut(strings.ToLower(line), ":"); key {
		case "transfer-encoding":
			chunked = strings.HasSuffix(strings.TrimSpace(value), "chunked")
		case "content-length":
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
			if length = max(length, int(n)); err != nil {
				length = math.MaxInt32
			}
		}
	}
	switch {
	case r.err != nil:
		return 0, r.err
	case status/100 == 1 && status != 101:
		return r.read()
	case slices.Contains([]int{101, 204, 304}, status): // which have no body
	case chunked:
		r.chunks()
	case length >= 0:
		_, r.err = io.CopyN(&r.body, r, int64(length))
	default:
		_, r.err = io.Copy(&r.body, r)
	}
	return status, r.err
}

// line reads a line, without its end.
func (r *answerReader) line() string {
	line, err := r.ReadString('\n')
	r.err = cmp.Or(r.err, err)
	return strings.TrimRight(line, "\r\n")
}

// chunks reads up to the last one; what comes after that says nothing of the body.
func (r *answerReader) chunks() {
	for {
		text, _, _ := strings.Cut(r.line(), ";")
		size, err := strconv.ParseUint(strings.TrimSpace(text), 16, 31)
		if r.err == nil && err != nil {
			r.err = fmt.Errorf("not a chunk size: %q", shorten(text, 60))
		}
		if r.err != nil || size == 0 {
			return
		}
		_, r.err = io.CopyN(&r.body, r, int64(size))
		r.line()
	}
}

// answers tells whether anything accepts connections on a port of 127.0.0.1. A socket that listens on [::] may not.
func (a *app) answers(port int) bool {
	conn, err := dial(port, time.Now().Add(a.timings.answer))
	if err == nil {
		conn.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED)
}

// probe asks /readyz once. nil: a 2xx answer came, whole.
func (a *app) probe(ctx context.Context, port int) error {
	status, _, err := a.get(ctx, port, "/readyz")
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", a.timings.answer)
	case err != nil:
		return err
	case status/100 != 2:
		return fmt.Errorf("HTTP %d", status)
	}
	return nil
}

// collectorVersion asks /api/health; "" when it does not say.
func (a *app) collectorVersion(ctx context.Context, port int) string {
	status, body, err := a.get(ctx, port, "/api/health")
	var health struct {
		Version string `json:"version"`
	}
	if err != nil || status != 200 || json.Unmarshal(body, &health) != nil {
		return ""
	}
	return shorten(oneLine(health.Version), 60)
}

// owner says whose socket answers on port, if s is the state of the service. orphan: no descendant of the main process has it, or
// nobody, as between two collectors.
func (a *app) owner(ctx context.Context, port int, s state) (o ownership, orphan bool) {
	who, err := a.processes.holders(ctx, port)
	f := a.holdersOf(ctx, portLook{who, err}, port, s)
	o = socketOwner(port, f, a.uid)
	if len(f.holders) == 0 {
		return o, f.err == nil
	}
	known := s.pid != 0 && s.cgroup != ""
	s.cgroup = ""
	descends := func(h holder) bool { return a.processes.belongs(ctx, h.pid, s) }
	return o, known && o.verified && !slices.ContainsFunc(f.holders, descends)
}

// A waitResult is a collector that serves.
type waitResult struct {
	state state
	port  int    // where it serves
	doubt string // why it is not known to be the service's own socket that answers; "" when it is

	unaskable string // why it is not known to be ready
}

// A wait is the wait for one start, with all that it has seen. look asks, verdict is pure.
type wait struct {
	timings timings
	timeout time.Duration
	ports   ports // where the service is expected; those that it came to by its drop-ins, unless asked says otherwise
	asked   ports // by the variables of this shell

	begin  time.Time
	now    time.Time // of the last look or probe
	answer error     // of the last probe; nil: a 2xx answer
	looked time.Time // when the manager was asked last
	state  state     // what it said last
	first  state     // the first start that was seen; its invocation is "" until then
	silent error     // why it gave no answer; nil when it did
	live   ports     // those that the process was told, as far as is known
	owner  ownership // of the socket that answered at the last look
	orphan bool      // that is of no descendant of the main process

	silentSince, idleSince, heldBackSince time.Time // when that began; zero: it does not hold
	retried                               time.Time // when it was told to start once more; zero: never
	fresh                                 bool      // state is younger than answer

	begun, ending bool // it was seen as starting or running; as being stopped
	patient       bool // only what the manager has given up is over

	before    string // the invocation that was there before this start; "" where there was none
	env       string // the variables in the definition
	unaskable string // why readiness cannot be checked; "" while it can, or nobody listens
}

// An outcome is what a verdict comes to.
type outcome int

const (
	notYet     outcome = iota
	serves             // healthy
	died               // the collector has ended, or the manager has given up
	deaf               // the manager has given no answer for too long
	otherPorts         // it was told other ports than this shell asks for
	foreign            // another process holds the port for good
	tooLate            // the time is over
	listens            // and whether it is ready cannot be asked
)

// verdict judges all that was seen up to now.
func (w wait) verdict() outcome {
	over := w.now.Sub(w.begin) > w.timeout
	for _, v := range []struct {
		holds bool
		means outcome
	}{
		{w.fresh && w.silent != nil && w.now.Sub(w.silentSince) > w.timings.grace*5, deaf},
		{w.fresh && w.silent == nil && w.ended(), died},
		{w.fresh && w.silent == nil && w.live != w.ports && w.asked.or(w.live) != w.live, otherPorts},
		{w.answered() && w.owner.foreign == nil && (!w.orphan || w.now.Sub(w.heldBackSince) > w.timings.look), serves},
		{w.answered() && w.owner.foreign != nil && w.now.Sub(w.heldBackSince) > w.timings.grace, foreign},
		{w.fresh && w.silent == nil && w.unaskable != "", listens},
		{over && (w.answer != nil || !w.orphan), tooLate},
	} {
		if v.holds {
			return v.means
		}
	}
	return notYet
}

// answered tells whether the service answered while it was known to run. An answer is judged by a state that is younger.
func (w wait) answered() bool {
	return w.fresh && w.silent == nil && w.answer == nil && w.state.phase == running && w.live == w.ports
}

// ended tells whether the start that was first seen is over. For a moment nothing may run that is not started yet.
func (w wait) ended() bool {
	s := w.state
	switch {
	case s.phase == running && s.empty:
		return true
	case w.patient && s.up():
		return false
	case s.phase == running || s.phase == starting && s.pid != 0:
		return w.first.invocation != "" && s.invocation != "" && s.invocation != w.first.invocation
	case s.phase == starting:
		return false
	case s.phase == unknown, s.ending, w.unbegun(), s.pid == 0 && !w.retried.IsZero() && w.now.Sub(w.retried) < w.timings.throttle:
		return false
	}
	return !s.maybeNotStarted || w.first.pid != 0 || !w.idleSince.IsZero() && w.now.Sub(w.idleSince) >= w.timings.grace
}

// unbegun tells whether the state is still that of a stop before this start.
func (w wait) unbegun() bool {
	s := w.state
	return s.phase == stopped && s.toldToStop && s.invocation == w.before && w.first.invocation == ""
}

// due tells whether the manager has to be asked: at its pace, when the process is gone, when an answer came that counts, and
// before the time is over.
func (w wait) due(alive func(int) bool) bool {
	elapsed := w.now.Sub(w.looked)
	return w.state.pid != 0 && !alive(w.state.pid) || elapsed > w.timings.look ||
		w.now.Sub(w.begin) > w.timeout || w.answer == nil && (w.heldBackSince.IsZero() || elapsed > w.timings.look/4)
}

// saw adds what the manager said.
func (w *wait) saw(s state, err error, at time.Time) {
	w.now, w.looked, w.fresh, w.silent = at, at, true, err
	if err != nil {
		w.silentSince = since(w.silentSince, at)
		return
	}
	w.silentSince, w.state, w.live = time.Time{}, s, w.ports
	if s.processEnv != nil {
		w.live = s.livePorts()
	}
	// another command may have started it anew, which counts from nought again
	anew := s.invocation != w.first.invocation && s.restarts != nil && *s.restarts == 0
	if (s.pid != 0 || s.phase == running) && (w.first.invocation == "" || anew) {
		w.first = s
	}
	w.begun, w.ending = w.begun || s.up(), s.ending || w.ending && !s.up()
	if s.maybeNotStarted && w.first.pid == 0 {
		w.idleSince = since(w.idleSince, at)
	}
}

// since is when something began that holds now.
func since(began, now time.Time) time.Time {
	if began.IsZero() {
		return now
	}
	return began
}

// look probes, asks the manager when that is due, and whose socket answered.
func (a *app) look(ctx context.Context, w *wait) {
	w.answer, w.fresh, w.now = a.probe(ctx, w.ports.http), false, time.Now()
	if !w.due(a.alive) {
		return
	}
	s, err := a.manager.state(ctx, a.run)
	if err == nil {
		s.processEnv = a.processEnv(s)
	}
	w.saw(s, err, time.Now())
	if w.live != w.ports && w.asked.or(w.live) == w.live && !w.ended() { // nobody asked for others
		w.ports, w.fresh = w.live, false
		return
	}
	if !w.answered() {
		w.state.file.definition.env = w.env
		told := w.state.variable(certEnv) + w.state.variable(hostEnv) // where it is not, a look at the sockets can wait
		if w.answer != nil && w.state.phase == running && (told != "" || w.now.Sub(w.begin) > w.timeout) {
			owner, _ := a.owner(ctx, w.ports.http, w.state)
			w.unaskable = w.state.unaskable(owner)
		}
		return
	}
	// our own collector, about to find the port taken, is heard first; and a main process that ends once another one listens
	if w.owner, w.orphan = a.owner(ctx, w.ports.http, w.state); w.owner.foreign != nil || w.orphan {
		w.heldBackSince = since(w.heldBackSince, w.now)
	}
}

// awaitHealthy waits until the manager says running, /readyz answers 2xx, and the socket is the service's. It ends
// early when the collector has ended or the manager has given up. Where macOS ended it for its signature, retry is run once.
func (a *app) awaitHealthy(ctx context.Context, w wait, retry []step, mark logMark) (waitResult, error) {
	stop := a.out.waiting("Waiting for collector to come up…")
	defer stop()
	for w.timings = a.timings; ; {
		a.look(ctx, &w)
		if ctx.Err() != nil {
			return waitResult{}, errInterrupted
		}
		switch w.verdict() {
		case serves:
			return waitResult{state: w.state, port: w.ports.http, doubt: w.owner.doubt}, nil
		case listens:
			return waitResult{state: w.state, port: w.ports.http, unaskable: w.unaskable}, nil
		case died:
			if again, err := a.afterOthers(ctx, &w); err != nil {
				return waitResult{}, err
			} else if again {
				continue
			}
			if len(retry) == 0 || w.state.cause != "codesigning" {
				return waitResult{}, &identified{a.diedEarly(ctx, w, mark), "crashed"}
			}
			a.carryOut(ctx, plan{steps: retry}, options{timeout: w.timeout}, func(time.Time) {}) // where that fails, launchd starts it all the same
			retry, w.first, w.retried = nil, state{}, time.Now()
		case deaf:
			return waitResult{}, w.unheard()
		case otherPorts:
			why := "because of a drop-in of the"
			if w.state.servicePorts() != w.live {
				why = "although they are not set by its"
			}
			return waitResult{}, fmt.Errorf("the service uses ports %d and %d, not %d and %d, %s %s (%s)",
				w.live.http, w.live.ws, w.ports.http, w.ports.ws, why, a.manager.names().definition, a.manager.names().show)
		case foreign:
			h := a.processes.describe(ctx, a.run, w.ports.http, *w.owner.foreign)
			p := h.refusal(w.ports.http, fmt.Sprintf("%s=PORT %s", httpPortEnv, installCommand), a.manager.names().unit)
			p.id = "port-held"
			return waitResult{}, p.refusal()
		case tooLate:
			return waitResult{}, &identified{a.tooLate(ctx, w, mark), "timeout"}
		}
		pause := w.timings.probe
		if w.now.Sub(w.begin) > w.timings.fast {
			pause = w.timings.slow
		}
		select {
		case <-ctx.Done():
			return waitResult{}, errInterrupted
		case <-time.After(pause):
		}
	}
}

const seeStatus = "See: runtimescope service status"

// afterOthers tells whether to look again at a service that has ended: another command may be between its stop and its
// start, or have stopped it, which is the error then.
func (a *app) afterOthers(ctx context.Context, w *wait) (again bool, err error) {
	others := false
	unlock, err := a.lock(ctx, func() { others = true })
	if err != nil {
		return false, err
	}
	defer unlock()
	if !others && !w.stopped(false) {
		return false, nil
	}
	w.looked = time.Time{}
	a.look(ctx, w)
	if !w.ended() || !w.stopped(others) {
		return !w.ended(), nil
	}
	did := "stopped"
	if _, err := os.Lstat(a.manager.names().path); errors.Is(err, fs.ErrNotExist) && w.state.phase == notInstalled {
		did = "uninstalled"
	}
	return false, &failure{"Another command " + did + " the service before it was ready", []string{seeStatus}}
}

// stopped tells whether somebody stopped the service, or others were at work on one of which systemd has forgotten everything.
func (w wait) stopped(others bool) bool {
	return w.state.toldToStop || w.state.phase == notInstalled || w.forgotten() && (others || w.ending)
}

// forgotten tells whether nothing is known any more of the start that was seen.
func (w wait) forgotten() bool {
	return w.begun && w.state.phase == stopped && w.state.lastExit == nil && w.state.invocation == ""
}

// diedEarly reports a collector that ended before it served: how, what it logged, what its manager does next.
func (a *app) diedEarly(ctx context.Context, w wait, mark logMark) error {
	of := w.state
	if w.first.invocation != "" && of.invocation != w.first.invocation && of.pid != 0 { // running again already
		of = w.first
	}
	if of.skipped != "" { // what else is known is of an earlier start
		of.invocation = ""
	}
	l := a.manager.startLog(ctx, a.run, of, mark)
	f := &failure{headline: w.death(l, a.manager.names().idleCause)}
	f.notes = append(logNotes(l, 20), w.state.next+". The service stays installed.", seeStatus)
	return &hinted{error: f, advice: w.state.help}
}

// death says how the collector ended.
func (w wait) death(l startLog, idleCause string) string {
	s := w.state
	how, ran := s.exit(l)
	switch {
	case s.skipped != "", l.skipped != "":
		return "The collector was not started: a condition of its unit is not met" +
			cmp.Or(l.skipped, ". See: systemctl --user status "+unitName)
	case !ran && s.notExecuted:
		return "The collector could not be run: " + how
	case !ran:
		return "The collector was not started: " + how
	case s.lastExit != nil && s.lastExit.signal != 0, s.lastExit == nil && s.lastName != "":
		return "The collector was killed by " + how + " before it was ready"
	case s.lastExit != nil && !s.maybeNotStarted:
		return "The collector exited with " + how + " before it was ready"
	case s.deferred != "":
		return "The collector has not been started"
	case s.phase != stopped:
		return "The collector exited before it was ready"
	case w.forgotten():
		return "The collector exited cleanly, or was stopped, before it was ready"
	case w.first.invocation == "" && len(l.lines) == 0 && idleCause != "":
		return "The collector is not running: " + idleCause
	}
	return "The collector exited cleanly before it was ready"
}

// tooLate reports a collector that does not serve, or that its manager does not say runs. Of an earlier start nothing is told.
func (a *app) tooLate(ctx context.Context, w wait, mark logMark) error {
	url, within := collectorURL(w.ports.http)+"/readyz", w.timeout.String()
	if w.timeout >= time.Millisecond {
		within = strconv.FormatFloat(w.timeout.Seconds(), 'f', -1, 64) + "s"
	}
	f := &failure{headline: "Collector did not respond on /readyz within " + within + "."}
	seen := w.state.rawState != "" && (mark.before == "" || w.state.invocation != mark.before)
	switch {
	case w.answer != nil:
		f.notes = append(f.notes, fmt.Sprintf("%s: %v", url, w.answer))
	case w.owner.foreign != nil:
		f.headline = fmt.Sprintf("%s is answered by %s, not by the service", url, w.owner.foreign)
	case w.silent != nil:
		return w.unheard()
	case seen:
		f.headline = fmt.Sprintf("The collector answers on %s, but %s did not report the service as running within %s",
			url, a.manager.names().name, within)
	}
	switch {
	case w.silent != nil:
		f.notes = append(f.notes, w.silent.Error(), "The service stays installed.")
	case seen:
		f.notes = append(f.notes, fmt.Sprintf("The service is %s%s and stays installed.", w.state.rawState, inBrackets(w.state.pid)))
	default:
		f.notes = append(f.notes, "The service has not been restarted yet and stays installed.")
	}
	if seen {
		f.notes = append(f.notes, logNotes(a.manager.startLog(ctx, a.run, w.state, mark), 20)...)
	}
	f.notes = append(f.notes, seeStatus)
	return f
}

// unheard is the error of a manager that gave no answer, also where the collector gave one.
func (w wait) unheard() error {
	if w.answer != nil {
		return w.silent
	}
	return fmt.Errorf("%s/readyz answers, but could not check whether that is the service: %w", collectorURL(w.ports.http), w.silent)
}

// logNotes presents at most n lines of a log: the last or, where there are more, those from the first line of an error on.
func logNotes(l startLog, n int) []string {
	if len(l.lines) == 0 {
		return slices.DeleteFunc([]string{l.none}, func(note string) bool { return note == "" })
	}
	first := max(0, len(l.lines)-n)
	if at := slices.IndexFunc(l.lines, func(line string) bool {
		line = strings.ToLower(line)
		return strings.Contains(line, "error") || strings.Contains(line, "fatal") ||
			strings.Contains(line, "panic") || strings.Contains(line, "exception")
	}); first > 0 && at >= 0 {
		first = at
	}
	notes := []string{"It logged:"}
	for _, line := range l.lines[first:min(len(l.lines), first+n)] {
		notes = append(notes, "  "+shorten(strings.TrimRight(line, "\r\n"), 400))
	}
	return notes
}
