// run: the collector in the foreground, for containers and systems without a service manager.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

func (w *world) foreground(ctx context.Context, o options) error {
	env, err := envPorts(w.getenv)
	if err != nil {
		return err
	}
	collector, err := w.findCollector(o.collector)
	if err != nil {
		return err
	}
	p := env.orDefault()
	if err := w.portsFree(ctx, p, state{}); err != nil {
		if s := w.service(ctx); s.up() && w.portsFree(ctx, p, s) == nil {
			return hint(fmt.Errorf("the service is running already (PID %d), and holds the ports", s.pid), "runtimescope service stop")
		}
		return err
	}
	signals := w.endings()
	for {
		asked, e, err := w.runOnce(ctx, collector, p, signals)
		if err != nil || e == (exit{}) {
			return err
		}
		ended := &statusError{fmt.Errorf("the collector exited with status %d", e.code), e.code}
		if e.signal != 0 {
			ended = &statusError{fmt.Errorf("the collector was ended by %s", signalName(e.signal, w.platform)), 128 + e.signal}
		}
		if asked {
			return ended
		}
		w.say.warn("%v; it is started again in %s", ended, duration(w.pace.restart))
		select {
		case <-time.After(w.pace.restart):
		case <-signals:
			return ended
		}
	}
}

// service is the state of the background service, as far as it can be told here.
func (w *world) service(ctx context.Context) (s state) {
	if w.mayManage() == nil {
		s, _ = w.look(ctx)
	}
	return s
}

// endings are the signals that ask the collector to end: the terminal's Ctrl-C as it is, all others as SIGTERM, which
// the collector heeds. SIGPIPE is caught so that it does not end us before the collector; it says nothing by itself,
// since sockets have it, too.
func (w *world) endings() chan os.Signal {
	endings := make(chan os.Signal, 4)
	go func() {
		for sig := range w.signals(syscall.SIGQUIT, syscall.SIGPIPE) {
			switch sig {
			case syscall.SIGPIPE:
			case os.Interrupt:
				endings <- sig
			default:
				endings <- syscall.SIGTERM
			}
		}
	}()
	return endings
}

// A passage passes on what the collector says, and asks it to end when nobody reads that any more.
type passage struct {
	io.Writer
	endings chan<- os.Signal
}

func (p passage) Write(text []byte) (int, error) {
	n, err := p.Writer.Write(text)
	if err != nil {
		select {
		case p.endings <- syscall.SIGTERM:
		default:
		}
	}
	return n, err
}

// runOnce runs the collector to its end. asked tells whether a signal asked us to end.
func (w *world) runOnce(ctx context.Context, collector string, p ports, signals chan os.Signal) (asked bool, e exit, err error) {
	child, err := w.run.Start(passage{w.say.stdout, signals}, passage{w.say.stderr, signals}, []string{"LC_ALL=" + w.getenv("LC_ALL"),
		fmt.Sprintf("%s=%d", httpPortEnv, p.http), fmt.Sprintf("%s=%d", wsPortEnv, p.ws)}, collector)
	if err != nil {
		if why, _ := whyNotRun(collector, w.platform); why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
		return true, exit{}, err
	}
	type end struct {
		e   exit
		err error
	}
	ended := make(chan end, 1)
	go func() {
		e, err := child.Wait()
		ended <- end{e, err}
	}()
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	healthy := make(chan string, 1)
	var late <-chan time.Time = time.After(w.pace.late)
	go func() {
		for watch.Err() == nil {
			if w.probe(watch, p.http) == nil {
				if own := w.owner(watch, p.http, state{pid: child.Pid()}); own.foreign == nil {
					healthy <- own.doubt
					return
				}
			}
			select {
			case <-time.After(w.pace.slow):
			case <-watch.Done():
			}
		}
	}()
	var kill, orphans <-chan time.Time
	if w.reap != nil {
		ticker := time.NewTicker(w.pace.reap)
		defer ticker.Stop()
		orphans = ticker.C
	}
	for {
		select {
		case end := <-ended:
			return asked, end.e, end.err
		case doubt := <-healthy:
			w.sayHealthy(p.http, "", doubt)
			late = nil
		case <-late:
			if err := w.probe(ctx, p.http); err != nil {
				w.say.warn("The collector does not answer on %s: %v", collectorURL(p.http), err)
			}
		case sig := <-signals:
			child.Signal(sig)
			if !asked {
				kill = time.After(w.pace.kill)
			}
			asked = true
		case <-orphans:
			w.reap(child.Pid())
		case <-kill:
			w.say.warn("The collector has not ended within %s and is killed", duration(w.pace.kill))
			child.Signal(os.Kill)
		}
	}
}
