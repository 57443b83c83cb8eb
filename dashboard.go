// dashboard: makes sure that a collector serves, then opens its page. And "unit", which prints a definition.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"time"
)

func (w *world) dashboard(ctx context.Context, o options) error {
	ports, err := envPorts(w.getenv)
	if err != nil {
		return err
	}
	s, asked := state{}, false
	if w.manager != nil && filepath.IsAbs(w.home) {
		s, err = w.look(ctx) // without an answer it still has the file
		ports, asked = ports.or(s.livePorts()), err == nil
	}
	ports = ports.orDefault()
	url := collectorURL(ports.http)
	if w.probe(ctx, ports.http) != nil {
		if err := w.ensureRunning(ctx); err != nil {
			return err
		}
	} else if own := w.owner(ctx, ports.http, s); asked && own.foreign != nil {
		w.say.warn("Not the service, but %s answers on %s", own.foreign, url)
	}
	if o.noOpen {
		w.say.info("%s", url)
		return nil
	}
	if err := w.open(ctx, url); err != nil {
		w.say.info("%s", url)
		w.say.info("Open it in a browser: %v", err)
		return nil
	}
	w.say.info("Opening %s", url)
	return nil
}

// ensureRunning installs and starts the service, unless another invocation is doing just that.
func (w *world) ensureRunning(ctx context.Context) error {
	if err := w.mayManage(); err != nil {
		return err
	}
	w.say.info("No collector is running — installing + starting the background service…")
	if err := w.change(ctx, ensure, options{timeout: time.Minute}); err != nil {
		return err
	}
	w.say.info("Tip: `runtimescope service stop` / `uninstall` to manage or remove it.")
	return nil
}

// open shows a page in the user's browser. A browser that takes long to start, or that stays, is no failure.
func (w *world) open(ctx context.Context, url string) error {
	argv := []string{"open", url}
	if w.platform != "darwin" {
		if w.getenv("DISPLAY") == "" && w.getenv("WAYLAND_DISPLAY") == "" {
			return errors.New("there is no desktop here")
		}
		argv = []string{"xdg-open", url}
	}
	p, err := w.run.Start(io.Discard, io.Discard, []string{"LC_ALL=" + w.getenv("LC_ALL")}, argv...) // a browser is not read by us
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		e, err := p.Wait()
		if e != (exit{}) {
			err = endedBadly(argv, e, "")
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(2 * time.Second):
		return nil
	}
}

// printUnit prints the definition that install would write, for a package to ship.
func (w *world) printUnit(_ context.Context, o options) error {
	env, err := envPorts(w.getenv)
	if err != nil {
		return err
	}
	collector := o.collector // need not be there yet where a package is built, nor be a path of this system
	switch {
	case o.collector == "":
		if collector, err = w.findCollector(""); err != nil {
			return err
		}
	case path.IsAbs(collector):
		collector = path.Clean(collector)
	case !filepath.IsAbs(collector):
		return fmt.Errorf("--collector %s: a definition needs an absolute path", o.collector)
	}
	var m serviceManager = systemd{home: w.home}
	if o.launchd || w.platform == "darwin" && !o.systemd {
		if !filepath.IsAbs(w.home) {
			return fmt.Errorf("HOME is %q: a plist names it, so it must be set to an absolute path", w.home)
		}
		m = launchd{home: w.home}
	}
	text, err := m.render(definition{collector, env})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w.say.stdout, text)
	return err
}
