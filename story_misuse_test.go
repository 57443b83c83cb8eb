// The command line: help, versions, flags, and what is misuse: exit 1, on stderr, and nothing changed.
package main

import (
	"slices"
	"strings"
	"testing"
)

func TestHelpIsAskedForInManyWays(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	for _, args := range [][]string{{}, {"help"}, {"--help"}, {"-h"}} {
		if code := b.runs(args...); code != 0 || b.stderr.Len() > 0 {
			t.Errorf("%q: exit %d, stderr %q", args, code, b.stderr.String())
		}
		golden(t, "help.txt", b.stdout.String())
		if code := b.runs(append([]string{"service"}, args...)...); code != 0 || b.stderr.Len() > 0 {
			t.Errorf("service %q: exit %d, stderr %q", args, code, b.stderr.String())
		}
		golden(t, "help-service.txt", b.stdout.String())
	}
	b.wantCalls()
}

func TestEveryCommandHasAUsage(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	var all strings.Builder
	for _, table := range []struct {
		prefix []string
		rows   []subcommand
	}{{nil, commands()}, {[]string{"service"}, serviceCommands()}} {
		for _, c := range table.rows {
			if c.name == "service" {
				continue
			}
			for _, flag := range []string{"--help", "-h"} {
				args := append(slices.Clone(table.prefix), c.name, flag)
				if code := b.runs(args...); code != 0 || b.stderr.Len() > 0 || !strings.Contains(b.stdout.String(), c.short) {
					t.Errorf("%q: exit %d\n%s%s", args, code, b.stdout.String(), b.stderr.String())
				}
				if flag == "-h" {
					all.WriteString(b.stdout.String() + "\n")
				}
			}
		}
	}
	golden(t, "usage.txt", all.String())
	b.wantCalls()
}

func TestVersionIsOneLine(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	for _, args := range []string{"version", "--version", "-v"} {
		b.want(0, args, "runtimescope "+versionText())
		if strings.Count(b.stdout.String(), "\n") != 1 || b.stderr.Len() > 0 {
			t.Errorf("%s: %q %q", args, b.stdout.String(), b.stderr.String())
		}
	}
}

func TestMisuseIsSaidOnStderrWithTheUsage(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		b.installed()
		before := b.everything()
		for _, c := range []struct{ args, says string }{
			{"serve", "✗ Unknown command: serve"},
			{"service frob", "✗ Unknown subcommand: frob"},
			{"service frob --help", "✗ Unknown subcommand: frob"},
			{"Service", "✗ Unknown command: Service"},
			{"--nonsense", "✗ Unknown command: --nonsense"},
			{"version now", "unexpected argument: now"},
			{"help me", "unexpected argument: me"},
			{"dashboard 6768", "unexpected argument: 6768"},
			{"dashboard --json", "-json"},
			{"service install now", "unexpected argument: now"},
			{"service install --force", "-force"},
			{"service install --json", "-json"},
			{"service install --timeout", "timeout"},
			{"service install --timeout 5", "timeout"},
			{"service install --timeout 0s", "must be more than nothing"},
			{"service install --timeout -3s", "must be more than nothing"},
			{"service install --timeout soon", "soon"},
			{"service install --collector", "collector"},
			{"service install --collector=", "a path is missing"},
			{"service install --dry-run=perhaps", "dry-run"},
			{"service restart --collector /bin/true", "-collector"},
			{"service stop --timeout 5s", "-timeout"},
			{"service stop -f", "-f"},
			{"service uninstall --json", "-json"},
			{"service uninstall all", "unexpected argument: all"},
			{"service status -n", "-n"},
			{"service status --exit-code=7", "exit-code"},
			{"service status it", "unexpected argument: it"},
			{"service logs -n", "-n"},
			{"service logs -n x", "must be a number of lines"},
			{"service logs -n -1", "must be a number of lines"},
			{"service logs -n 5x", "must be a number of lines"},
			{"service logs --dry-run", "-dry-run"},
			{"service doctor --exit-code", "-exit-code"},
			{"service run --timeout 3s", "-timeout"},
			{"service unit --systemd --launchd", "exclude each other"},
			{"service unit --json", "-json"},
			{"service help install", "unexpected argument: install"},
			{"service start --no-open", "-no-open"},
			{"service update --exit-code", "-exit-code"},
		} {
			b.want(1, c.args, c.says)
			if b.stdout.Len() > 0 || !strings.HasPrefix(b.stderr.String(), "  ✗ ") || strings.Count(b.stderr.String(), "\n") < 3 {
				t.Errorf("%s: stdout %q, stderr %q", c.args, b.stdout.String(), b.stderr.String())
			}
		}
		b.wantCalls()
		if after := b.everything(); after != before {
			t.Errorf("misuse changed\n%s\nto\n%s", before, after)
		}
	})
}

func TestFlagsAreReadInEitherSpelling(t *testing.T) {
	t.Parallel()
	b := newBench(t, "systemd").quick()
	for _, args := range []string{"service install -dry-run --timeout=2m --collector=" + b.collector(), "service install --dry-run -timeout 2m"} {
		b.want(0, args, "would write "+b.manager.names().path)
	}
	b.want(0, "service unit -systemd", "[Unit]")
	b.want(0, "service unit --launchd", "<plist")
}

func TestUnitPrintsWhatInstallWrites(t *testing.T) {
	t.Parallel()
	eachQuick(t, func(t *testing.T, b *bench) {
		b.want(0, "service unit")
		text := b.stdout.String()
		b.wantCalls()
		b.installed()
		if got := b.read(b.manager.names().path); got != text {
			t.Errorf("unit printed\n%s\ninstall wrote\n%s", text, got)
		}
	})
}
