// unit: prints the definition that install would write, for packagers.
package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
)

// printUnit prints the definition that install would write, for a package to ship.
func (a *app) printUnit(_ context.Context, o options) error {
	sh := a.shell()
	if err := a.portsValid(); err != nil {
		return err
	}
	var err error
	collector := o.collector // need not be there yet where a package is built, nor be a path of this system
	switch {
	case o.collector == "":
		if collector, err = a.findCollector(""); err != nil {
			return err
		}
	case path.IsAbs(collector):
		collector = path.Clean(collector)
	case !filepath.IsAbs(collector):
		return fmt.Errorf("--collector %s: a definition needs an absolute path", o.collector)
	}
	plist := o.launchd || a.platform == "darwin" && !o.systemd
	if plist && !filepath.IsAbs(a.home) {
		return fmt.Errorf("HOME is %q: a plist names it, so it must be set to an absolute path", a.home)
	}
	text, err := rendererFor(plist, a.home).render(definition{collector: collector, ports: sh.ports})
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.out.stdout, text)
	return err
}
