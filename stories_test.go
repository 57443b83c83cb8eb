// Stories through the whole program, on both managers where the words are the same.
package main

import (
	"os"
	"testing"
)

func TestInstallStartsTheServiceAndSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd")
	b.want(0, "service install", "✓ Wrote "+b.manager.path(), "Collector: "+b.fake.path("app"),
		"Waiting for collector to come up…", "✓ Collector is healthy and serving on http://127.0.0.1:"+b.env[httpPortEnv],
		"Optional always-on (keep running when logged out): sudo loginctl enable-linger $USER")
	b.wantCalls("systemctl --user daemon-reload", "systemctl --user enable --now runtimescope.service")
	if _, err := os.Stat(b.manager.path()); err != nil {
		t.Error(err)
	}
	b.want(0, "service status", "Service is active — PID 4243")
	b.want(0, "service restart", "Service restarted")
	b.want(0, "service stop", "Service stopped (unit preserved — run `service restart` to start again)")
	b.want(0, "service stop", "Service was not running.")
	b.want(0, "service uninstall", "✓ Service uninstalled")
	b.want(0, "service uninstall", "Service is not installed.")
}
