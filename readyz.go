// One probe of the collector, and waiting until it is healthy, dead, or out of time.
// With main.go's client, this file alone imports net/http.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long one probe may take. The collector answers in a millisecond or not at all.
const probeTimeout = 500 * time.Millisecond

// newClient makes the client for probes: loopback only, so no proxy; no redirect, since another path is another
// question; no connection kept open, since the collector waits for those when it ends.
func newClient() *http.Client {
	return &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: probeTimeout}).DialContext,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func collectorURL(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// get asks the collector for a path and returns the HTTP status and the first 64 kB of the answer.
func (w *world) get(ctx context.Context, port int, path string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, collectorURL(port)+path, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("User-Agent", "runtimescope/"+versionText())
	response, err := w.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if response.StatusCode/100 == 2 && err == nil {
		return response.StatusCode, body, nil
	}
	return response.StatusCode, nil, err
}

// probe asks /readyz once. nil: a 2xx answer came, whole.
func (w *world) probe(ctx context.Context, port int) error {
	status, _, err := w.get(ctx, port, "/readyz")
	switch {
	case err != nil:
		var errno syscall.Errno
		if errors.As(err, &errno) {
			return errno
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no answer within %s", probeTimeout)
		}
		return err
	case status/100 != 2:
		return fmt.Errorf("answer %d %s", status, http.StatusText(status))
	}
	return nil
}

// collectorVersion asks /api/health; "" when it does not say.
func (w *world) collectorVersion(ctx context.Context, port int) string {
	_, body, err := w.get(ctx, port, "/api/health")
	var health struct {
		Version string `json:"version"`
	}
	if err != nil || json.Unmarshal(body, &health) != nil {
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

func (w *world) owner(ctx context.Context, port int, s state) ownership {
	holders, err := w.processes.holders(ctx, port, s.pid)
	if err != nil {
		return ownership{doubt: "cannot find out which process holds port " + strconv.Itoa(port) + ": " + err.Error()}
	}
	ours := 0
	var other holder
	for _, h := range holders {
		if h.pid != 0 && w.processes.belongs(ctx, h.pid, s) {
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
	case other.pid == 0 && (other.uid == w.uid || other.uid == -1):
		return ownership{doubt: "the process that holds port " + strconv.Itoa(port) + " may not be looked into"}
	case ours > 0:
		return ownership{doubt: "port " + strconv.Itoa(port) + " is also held by " + other.String()}
	}
	return ownership{foreign: &other}
}

// pace is every duration that a test shortens.
type pace struct {
	probe, slow time.Duration // between two probes, at first and after fast
	fast        time.Duration
	look        time.Duration // between two questions to the manager while nothing happens
	grace       time.Duration // for what may be a passing state
	follow      time.Duration // between two looks at a followed file
	restart     time.Duration // before run starts a failed collector again, like our unit's RestartSec
	kill        time.Duration // that run gives a collector to end after a signal, like our unit's TimeoutStopSec
}

// A waitResult is a collector that serves.
type waitResult struct {
	state state
	doubt string // why it is not known to be the service's own socket that answers; "" when it is
}

// awaitHealthy waits until the manager says running, /readyz answers 2xx, and the socket is the service's. It ends
// early when the collector has ended or the manager has given up.
func (w *world) awaitHealthy(ctx context.Context, want definition, since logMark, timeout time.Duration) (waitResult, error) {
	begin, port := time.Now(), want.ports.http
	var first, now state
	var looked time.Time
	var foreignSince, unsureSince, failingSince time.Time
	for {
		answer := w.probe(ctx, port)
		died := now.pid != 0 && !w.alive(now.pid)
		// An answer is judged by a state that is younger than it. One that does not count is not judged again at once.
		if elapsed := time.Since(looked); died || elapsed > w.pace.look || answer == nil && (foreignSince.IsZero() || elapsed > w.pace.look/4) {
			s, err := w.manager.state(ctx, w.run)
			looked = time.Now()
			switch {
			case ctx.Err() != nil:
				return waitResult{}, errInterrupted
			case err != nil && failingSince.IsZero():
				failingSince = looked
			case err != nil && looked.Sub(failingSince) > w.pace.grace*5:
				return waitResult{}, err
			case err == nil:
				failingSince = time.Time{}
				now = s
				if first.start == "" && s.pid != 0 {
					first = s
				}
				switch {
				case s.unsure && first.pid == 0 && unsureSince.IsZero():
					unsureSince = looked
				case s.unsure && first.pid == 0 && looked.Sub(unsureSince) < w.pace.grace:
				case ended(first, s):
					return waitResult{}, w.diedEarly(ctx, want, first, s, since)
				case answer == nil && s.phase == running:
					switch o := w.owner(ctx, port, s); {
					case o.foreign == nil:
						return waitResult{s, o.doubt}, nil
					case foreignSince.IsZero(): // our own collector, about to find the port taken, is heard first
						foreignSince = looked
					case looked.Sub(foreignSince) > w.pace.grace:
						return waitResult{}, o.foreign.refusal(port)
					}
				}
			}
		}
		wait := w.pace.probe
		if time.Since(begin) > w.pace.fast {
			wait = w.pace.slow
		}
		select {
		case <-ctx.Done():
			return waitResult{}, errInterrupted
		case <-time.After(wait):
		}
		if time.Since(begin) > timeout {
			return waitResult{}, w.tooLate(ctx, port, answer, now, since, timeout)
		}
	}
}

// ended tells whether the start that was first seen is over.
func ended(first, now state) bool {
	switch now.phase {
	case running, starting:
		return first.start != "" && now.start != "" && now.pid != 0 && now.start != first.start
	case unknown:
		return false
	}
	return now.word != "deactivating" || now.pid == 0
}

// A failure is a headline and what is known besides, each a line.
type failure struct {
	headline string
	notes    []string
}

func (f *failure) Error() string { return f.headline }

// diedEarly reports a collector that ended before it served: how, what it logged, what its manager does next.
func (w *world) diedEarly(ctx context.Context, want definition, first, now state, since logMark) error {
	f := &failure{headline: "The collector ended before it was ready"}
	of := now
	if first.start != "" && now.start != first.start && now.pid != 0 { // running again already: how it ended is not known
		of, now.lastExit = first, nil
		of.lastPID = first.pid
	}
	if e := now.lastExit; e != nil {
		switch name := w.manager.exitName(*e); {
		case w.manager.never(*e):
			f.headline = "The collector could not be run: " + name
			if why := whyNotRun(want.collector); why != "" {
				f.headline += ": " + why
			}
		case e.signal != 0:
			f.headline = "The collector was ended by " + name + " before it was ready"
		default:
			f.headline = "The collector exited with " + name + " before it was ready"
		}
	} else if now.phase == stopped {
		f.headline = "The collector ended cleanly before it was ready"
	}
	f.notes = append(f.notes, logNotes(w.manager.startLog(ctx, w.run, of, since))...)
	f.notes = append(f.notes, w.manager.next(now)+". The service stays installed.", "Look: runtimescope service status")
	return f
}

// tooLate reports a collector that is alive, as far as is known, but does not serve.
func (w *world) tooLate(ctx context.Context, port int, answer error, now state, since logMark, timeout time.Duration) error {
	f := &failure{headline: fmt.Sprintf("Collector did not respond on /readyz within %gs.", timeout.Seconds())}
	if answer != nil {
		f.notes = append(f.notes, fmt.Sprintf("%s/readyz: %v", collectorURL(port), answer))
	}
	f.notes = append(f.notes, fmt.Sprintf("The service is %s (PID %d) and stays installed.", now.word, now.pid))
	now.lastPID = now.pid
	f.notes = append(f.notes, logNotes(w.manager.startLog(ctx, w.run, now, since))...)
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
