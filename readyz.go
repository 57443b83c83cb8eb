// One probe of the collector, and waiting until it is healthy, dead, or out of time. Only this file asks for connections
// (dial), and only to 127.0.0.1. It speaks the few words of HTTP/1.0 that a probe needs itself: net/http would double the
// size of the program and the time it takes to start (see docs/BENCHMARKS.md).
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long one probe may take. The collector answers in a millisecond or not at all.
const probeTimeout = 500 * time.Millisecond

// answerLimit bounds what is read of an answer, in bytes.
const answerLimit = 64 << 10

// A connection is one of TCP.
type connection interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

func collectorURL(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// get asks the collector for a path. It returns the HTTP status and the body, cut after answerLimit. The connection
// is closed before it returns: the collector waits for open ones when it ends. No proxy, no redirect: another path
// or place is another question. An answer that ends before its Content-Length is an error (RFC 9112, section 8).
func get(ctx context.Context, port int, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	conn, err := dial(port, deadline)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nUser-Agent: runtimescope\r\nConnection: close\r\n\r\n", path, port); err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, answerLimit))
	head, body, whole := bytes.Cut(answer, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	words := strings.Fields(lines[0])
	if len(words) < 2 || !strings.HasPrefix(words[0], "HTTP/1.") {
		if err == nil {
			err = fmt.Errorf("no HTTP answer: %q", shorten(lines[0], 60))
		}
		return 0, nil, err
	}
	if status, _ = strconv.Atoi(words[1]); status < 100 || status > 999 {
		return 0, nil, fmt.Errorf("no HTTP status: %q", shorten(lines[0], 60))
	}
	for _, line := range lines[1:] {
		if key, value, _ := strings.Cut(line, ":"); strings.EqualFold(key, "Content-Length") {
			length, lengthErr := strconv.Atoi(strings.TrimSpace(value))
			whole = whole && lengthErr == nil && len(body) >= min(length, answerLimit-len(head)-4)
		}
	}
	if err == nil && !whole {
		err = errors.New("the answer was cut off")
	}
	return status, body, err
}

// answers tells whether anything accepts connections on a port of 127.0.0.1. A socket that listens on [::] may not.
func answers(port int) bool {
	conn, err := dial(port, time.Now().Add(probeTimeout))
	if err == nil {
		conn.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED)
}

// probe asks /readyz once. nil: a 2xx answer came, whole.
func (a *app) probe(ctx context.Context, port int) error {
	status, _, err := get(ctx, port, "/readyz")
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", probeTimeout)
	case err != nil:
		return err
	case status/100 != 2:
		return fmt.Errorf("answer %d", status)
	}
	return nil
}

// collectorVersion asks /api/health; "" when it does not say.
func (a *app) collectorVersion(ctx context.Context, port int) string {
	status, body, err := get(ctx, port, "/api/health")
	var health struct {
		Version string `json:"version"`
	}
	if err != nil || status != 200 || json.Unmarshal(body, &health) != nil {
		return ""
	}
	return shorten(health.Version, 60)
}

// ownership says whose the socket is that answers on the collector's port.
type ownership struct {
	verified bool    // the service's
	foreign  *holder // certainly somebody else's
	doubt    string  // neither is known: why
}

// owner says whose the socket is that answers on port, if s is the state of the service.
func (a *app) owner(ctx context.Context, port int, s state) ownership {
	who, err := a.processes.holders(ctx, port)
	return a.judge(ctx, port, who, err, s)
}

// judge is owner where the sockets have been looked at already, with the result who and err.
func (a *app) judge(ctx context.Context, port int, who func(int) []holder, err error, s state) ownership {
	if err != nil {
		return ownership{doubt: "cannot find out which process holds port " + strconv.Itoa(port) + ": " + err.Error()}
	}
	holders, ours := who(s.pid), 0
	var other holder
	for _, h := range holders {
		if h.pid != 0 && a.processes.belongs(ctx, h.pid, s) {
			ours++
		} else {
			other = h
		}
	}
	switch {
	case len(holders) == 0:
		return ownership{doubt: "no process is seen to hold port " + strconv.Itoa(port)}
	case ours == len(holders):
		return ownership{verified: true}
	case other.pid == 0 && (other.uid == a.uid || other.uid == -1):
		return ownership{doubt: "the process that holds port " + strconv.Itoa(port) + " may not be looked into"}
	case ours > 0:
		return ownership{doubt: "port " + strconv.Itoa(port) + " is also held by " + other.String()}
	}
	return ownership{foreign: &other}
}

// timings is every duration that a test shortens.
type timings struct {
	probe, slow time.Duration // between two probes, at first and after fast
	fast        time.Duration
	headStart   time.Duration // of the manager's command before status looks at all the rest
	look        time.Duration // between two questions to the manager while nothing happens
	grace       time.Duration // for what may be a passing state
	journal     time.Duration // for journalctl to show its last lines
	follow      time.Duration // between two looks at a followed file
	restart     time.Duration // before run starts a failed collector again, like our unit's RestartSec
	late        time.Duration // before run says that the collector does not answer
	reap        time.Duration // between two looks for orphans
	kill        time.Duration // that run gives a collector to end after a signal, like our unit's TimeoutStopSec
}

// A waitResult is a collector that serves.
type waitResult struct {
	state state
	port  int    // where it serves
	doubt string // why it is not known to be the service's own socket that answers; "" when it is
}

// awaitHealthy waits until the manager says running, /readyz answers 2xx, and the socket is the service's. It ends
// early when the collector has ended or the manager has given up.
func (a *app) awaitHealthy(ctx context.Context, in intent, since logMark, timeout time.Duration) (waitResult, error) {
	begin, want := time.Now(), in.want.ports
	var first, now state
	var looked time.Time
	var foreignSince, unsureSince, failingSince time.Time
	for {
		answer := a.probe(ctx, want.http)
		died := now.pid != 0 && !a.alive(now.pid)
		// An answer is judged by a state that is younger than it. One that does not count is not judged again at once.
		if elapsed := time.Since(looked); died || elapsed > a.timings.look || answer == nil && (foreignSince.IsZero() || elapsed > a.timings.look/4) {
			s, err := a.manager.state(ctx, a.run)
			looked = time.Now()
			switch {
			case ctx.Err() != nil:
				return waitResult{}, errInterrupted
			case err != nil && failingSince.IsZero():
				failingSince = looked
			case err != nil && looked.Sub(failingSince) > a.timings.grace*5:
				return waitResult{}, err
			case err == nil:
				failingSince = time.Time{}
				now = s
				live := want
				if s.processEnv = a.given(s); s.processEnv != nil {
					live = s.livePorts()
				}
				if first.invocation == "" && s.pid != 0 {
					first = s
				}
				switch {
				case s.maybeNotStarted && first.pid == 0 && unsureSince.IsZero():
					unsureSince = looked
				case s.maybeNotStarted && first.pid == 0 && looked.Sub(unsureSince) < a.timings.grace:
				case ended(first, s):
					return waitResult{}, a.diedEarly(ctx, in.want, first, s, since)
				case live != want && in.asked.or(live) != live:
					return waitResult{}, fmt.Errorf("the service was given the ports %d and %d, not %d and %d: a drop-in of the unit says so (systemctl --user cat %s)", live.http, live.ws, want.http, want.ws, unitName)
				case live != want: // nobody asked for others, so those that the unit came to by its drop-ins are the ones
					want, answer = live, errors.New("not asked yet")
				case answer == nil && s.phase == running:
					switch o := a.owner(ctx, want.http, s); {
					case o.foreign == nil:
						return waitResult{s, want.http, o.doubt}, nil
					case foreignSince.IsZero(): // our own collector, about to find the port taken, is heard first
						foreignSince = looked
					case looked.Sub(foreignSince) > a.timings.grace:
						return waitResult{}, o.foreign.refusal(want.http, httpPortEnv)
					}
				}
			}
		}
		wait := a.timings.probe
		if time.Since(begin) > a.timings.fast {
			wait = a.timings.slow
		}
		select {
		case <-ctx.Done():
			return waitResult{}, errInterrupted
		case <-time.After(wait):
		}
		if time.Since(begin) > timeout {
			return waitResult{}, a.tooLate(ctx, want.http, answer, now, since, timeout)
		}
	}
}

// ended tells whether the start that was first seen is over.
func ended(first, now state) bool {
	switch now.phase {
	case running, starting:
		return first.invocation != "" && now.invocation != "" && now.pid != 0 && now.invocation != first.invocation
	case unknown:
		return false
	}
	return !now.ending()
}

// A failure is a headline and what is known besides, each a line.
type failure struct {
	headline string
	notes    []string
}

func (f *failure) Error() string { return f.headline }

// diedEarly reports a collector that ended before it served: how, what it logged, what its manager does next.
func (a *app) diedEarly(ctx context.Context, want definition, first, now state, since logMark) error {
	f := &failure{headline: "The collector ended before it was ready"}
	of := now
	if first.invocation != "" && now.invocation != first.invocation && now.pid != 0 { // running again already
		of = first
		of.lastPID = first.pid
	}
	if e := now.lastExit; e != nil {
		switch name := a.manager.exitName(*e); {
		case a.manager.never(*e):
			f.headline = "The collector could not be run: " + name
			if why := a.manager.whyNever(want.collector); why != "" {
				f.headline += ": " + why
			}
		case e.signal != 0:
			f.headline = "The collector was ended by " + name + " before it was ready"
		default:
			f.headline = "The collector exited with " + name + " before it was ready"
		}
	} else if now.skipped {
		f.headline = "The collector was not started: a condition of its unit does not hold. See: systemctl --user status " + unitName
	}
	logged := logNotes(a.manager.startLog(ctx, a.run, of, since))
	if now.lastExit == nil && !now.skipped && now.phase == stopped {
		f.headline = "The collector ended cleanly before it was ready"
		if first.invocation == "" && len(logged) == 0 && a.manager.name() == "systemd" {
			f.headline = "The collector is not running: it ended cleanly at once, or a condition of its unit does not hold (systemctl --user cat " + unitName + ")"
		}
	}
	f.notes = append(f.notes, logged...)
	f.notes = append(f.notes, a.manager.next(now)+". The service stays installed.", "Look: runtimescope service status")
	return f
}

// tooLate reports a collector that is alive, as far as is known, but does not serve.
func (a *app) tooLate(ctx context.Context, port int, answer error, now state, since logMark, timeout time.Duration) error {
	f := &failure{headline: fmt.Sprintf("Collector did not respond on /readyz within %gs.", timeout.Seconds())}
	if answer != nil {
		f.notes = append(f.notes, fmt.Sprintf("%s/readyz: %v", collectorURL(port), answer))
	}
	f.notes = append(f.notes, fmt.Sprintf("The service is %s (PID %d) and stays installed.", now.rawState, now.pid))
	now.lastPID = now.pid
	f.notes = append(f.notes, logNotes(a.manager.startLog(ctx, a.run, now, since))...)
	f.notes = append(f.notes, "Look: runtimescope service status")
	return f
}

// logNotes presents the last lines of a log.
func logNotes(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	notes := []string{"It logged:"}
	for _, line := range lines[max(0, len(lines)-12):] {
		notes = append(notes, "  "+shorten(strings.TrimRight(line, "\r\n"), 400))
	}
	return notes
}
