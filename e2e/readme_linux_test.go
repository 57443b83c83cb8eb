// README and the manual: their transcripts are what the programs print, and their commands work.
package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// document is a file of the project, from the folder of the programs or the one around it.
func document(t *testing.T, path string) string {
	t.Helper()
	programs := os.Getenv("RUNTIMESCOPE_E2E_BIN")
	for _, path := range []string{filepath.Join(programs, filepath.Base(path)), filepath.Join(programs, "..", path)} {
		if text, err := os.ReadFile(path); err == nil {
			return string(text)
		}
	}
	t.Skip(path + " is neither in the folder of the programs nor beside it")
	return ""
}

// sh runs a line as a shell in the home would. until is what it prints before Ctrl-C is pressed, if that.
func (e *e2e) sh(line, until string) (code int, said string) {
	e.t.Helper()
	e.t.Log(line)
	cmd, _ := e.command("sh", "-ec", line)
	output := filepath.Join(e.home, "said")
	file, err := os.Create(output)
	e.ok(err)
	defer file.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = e.home, file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	e.ok(cmd.Start())
	if until != "" {
		e.until("it says "+until, func() bool { return strings.Contains(e.read(output), until) })
		e.ok(syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	}
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), e.read(output)
}

func TestE2EREADMEAndTheManualAreTrue(t *testing.T) {
	literal := regexp.MustCompile(`(?s)\n\.Bd -literal[^\n]*\n(.*?)\n\.Ed`)
	text := document(t, "README.md") + strings.NewReplacer(`\(OK`, "✓", `\(em`, "—", `\[u2026]`, "…").Replace(
		literal.ReplaceAllString(document(t, "docs/runtimescope.1"), "\n```\n$1\n```"))
	t.Setenv("TMPDIR", os.Getenv("HOME")) // a folder that lasts
	e := newE2E(t)
	if !strings.HasSuffix(e.config, "/.config") {
		t.Skip("README and the manual name the directory that is the default")
	}
	e.needsJournal()
	e.env["PATH"] = e.bin + ":" + e.env["PATH"]
	e.another("app", "collector-server")
	e.write(filepath.Join(e.home, "app/standin"), "STANDIN_EXIT=3\n", 0o644)
	http, ws := strconv.Itoa(e.freePort()), strconv.Itoa(e.freePort())
	ours := strings.NewReplacer("6768", e.env["RUNTIMESCOPE_HTTP_PORT"], "6767", e.env["RUNTIMESCOPE_PORT"], "7768", http, "7767", ws)
	plain := func(text string) string { // without places, ports, PIDs, times and sizes
		text = strings.NewReplacer(e.config, "/home/ada/.config", e.home, "/home/ada", strconv.Itoa(e.http), "6768", http, "7768").Replace(text)
		for _, pattern := range []string{`PID \d+`, `up [0-9hmin s]+`, `[0-9.]+ MB`} {
			text = regexp.MustCompile(pattern).ReplaceAllLiteralString(text, pattern)
		}
		return strings.TrimSpace(text)
	}
	done := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)\n```[a-z]*\n(.*?)\n```").FindAllStringSubmatch(text, -1) {
		parts := strings.Split("\n"+block[1], "\n$ ")
		if len(parts) == 1 || strings.HasPrefix(parts[1], "runtimescope service install") {
			e.ok(os.RemoveAll(e.unit + ".d"))
			e.exits(0, "service uninstall")
		}
		for _, part := range parts[1:] {
			line, want, _ := strings.Cut(part, "\n")
			code, said := e.sh(ours.Replace(line), "")
			if !strings.Contains(said, "Memory: ") { // where the kernel counts none
				want = regexp.MustCompile(`(?m)^  Memory: .*\n`).ReplaceAllString(want, "")
			}
			if code != 0 {
				said += "# exit status " + strconv.Itoa(code)
			}
			same(t, line, plain(said), plain(want))
		}
		if len(parts) > 1 {
			continue
		}
		configures := strings.Contains(block[1], "MemoryMax=1G")
		if configures { // its first line sets the ports
			delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
			delete(e.env, "RUNTIMESCOPE_PORT")
		}
		for _, line := range strings.Split(strings.ReplaceAll(block[1], "\n  ", " "), "\n") {
			line, _, _ = strings.Cut(line, "  #")
			line = strings.TrimSpace(line)
			word, _, _ := strings.Cut(strings.Trim(regexp.MustCompile(`^([A-Z_]+=\S* )*`).ReplaceAllString(line, ""), "("), " ")
			until := map[string]string{"runtimescope service logs -f": "[RuntimeScope]"}[line]
			done[word] = true
			if line == "" || word == "cargo" || word == "go" || word == "make" { // .ci/run has the latter two
				continue
			}
			if code, said := e.sh(ours.Replace(line), until); code != 0 && until == "" {
				t.Errorf("%s: exit %d: %s", line, code, said)
			}
			if word == "bin/runtimescope" {
				pid := e.serves()
				if code, said := e.sh(ours.Replace(line), "healthy and serving on http://127.0.0.1:"+http); code == 0 || !strings.Contains(said, "Service is active") {
					t.Errorf("over an installed service: exit %d: %s", code, said)
				}
				same(t, "PID of the service that was there", e.serves(), pid)
			}
		}
		if configures {
			limit, _ := e.tool("systemctl", "--user", "show", "--value", "-pMemoryMax", "runtimescope.service")
			variables := e.show("Environment")
			for _, want := range []string{"RUNTIMESCOPE_HTTP_PORT=" + http, "RUNTIMESCOPE_PORT=" + ws, "RUNTIMESCOPE_AUTH_TOKEN=secret"} {
				if !strings.Contains(variables, want) || limit != strconv.Itoa(1<<30) {
					t.Errorf("the service has %s and at most %s bytes", variables, limit)
				}
			}
			e.env["RUNTIMESCOPE_HTTP_PORT"], e.env["RUNTIMESCOPE_PORT"] = strconv.Itoa(e.http), strconv.Itoa(e.ws)
		}
	}
	if !done["runtimescope"] || !done["bin/runtimescope"] || !strings.Contains(text, "\n$ RUNTIMESCOPE") {
		t.Errorf("not all was found: %v", done)
	}
	// Coming from npm: another program under the same name.
	e.exits(0, "service uninstall")
	e.write(e.unit, "[Service]\nExecStart=/bin/sleep 1234\nRestart=on-failure\n[Install]\nWantedBy=default.target\n", 0o644)
	e.systemctl("daemon-reload")
	e.systemctl("enable", "--now", "runtimescope.service")
	e.exits(0, "service install").says(e.unit + ".bak")
	e.runs(e.collector)
}
