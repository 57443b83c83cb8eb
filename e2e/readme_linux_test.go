// README: its transcripts are what the programs say, and its commands do what they are there for.
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

// A block of README is a script, or a transcript.
var blocks = regexp.MustCompile("(?s)\n```([a-z]*)\n(.*?)\n```")

// readme is README.md, from beside the programs' folder or from inside it; in a Debian of another age there is only that.
func readme(t *testing.T) string {
	t.Helper()
	for _, folder := range []string{".", ".."} {
		if text, err := os.ReadFile(filepath.Join(os.Getenv("RUNTIMESCOPE_E2E_BIN"), folder, "README.md")); err == nil {
			return string(text)
		}
	}
	t.Skip("README.md is neither in the folder of the programs nor beside it")
	return ""
}

// sh runs a line of README as a shell in the home would. until: what it says before Ctrl-C is pressed; "": nothing.
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

func TestE2EREADMEIsTrue(t *testing.T) {
	text := readme(t)
	t.Setenv("TMPDIR", os.Getenv("HOME")) // a folder that lasts
	e := newE2E(t)
	e.needsJournal()
	e.env["PATH"] = e.bin + ":" + e.env["PATH"]
	e.another("app", "collector-server")
	e.write(filepath.Join(e.home, "app/standin"), "STANDIN_EXIT=3\n", 0o644)
	http, ws := strconv.Itoa(e.freePort()), strconv.Itoa(e.freePort())
	ours := strings.NewReplacer("6768", strconv.Itoa(e.http), "6767", strconv.Itoa(e.ws), "7768", http, "7767", ws)
	plain := func(text string) string { // without places, ports, PIDs, times and sizes
		text = strings.NewReplacer(e.config, "/home/ada/.config", e.home, "/home/ada", strconv.Itoa(e.http), "6768").Replace(text)
		for _, pattern := range []string{`PID \d+`, `up [0-9hmin s]+`, `[0-9.]+ MB`, `# .*`} {
			text = regexp.MustCompile(pattern).ReplaceAllLiteralString(text, pattern)
		}
		return strings.TrimSpace(text)
	}
	done := map[string]bool{}
	for _, block := range blocks.FindAllStringSubmatch(text, -1) {
		if block[1] == "" {
			for _, part := range strings.Split("\n"+block[2], "\n$ ")[1:] {
				line, want, _ := strings.Cut(part, "\n")
				code, said := e.sh(line, "")
				if !strings.Contains(said, "Memory: ") { // where the kernel counts none
					want = regexp.MustCompile(`(?m)^  Memory: .*\n`).ReplaceAllString(want, "")
				}
				if code != 0 {
					said += "# exit status " + strconv.Itoa(code)
				}
				same(t, line, plain(said), plain(want))
				if code != 0 != strings.Contains(want, "# exit status "+strconv.Itoa(code)) {
					t.Errorf("%s: exit %d", line, code)
				}
			}
		}
		configures := strings.Contains(block[2], "MemoryMax=1G")
		if configures { // its first line sets the ports
			delete(e.env, "RUNTIMESCOPE_HTTP_PORT")
			delete(e.env, "RUNTIMESCOPE_PORT")
		}
		for _, line := range strings.Split(strings.ReplaceAll(block[2], "\n  ", " "), "\n") {
			word := strings.Trim(regexp.MustCompile(`^([A-Z_]+=\S* )*`).ReplaceAllString(line, ""), "(")
			if word, _, _ = strings.Cut(word, " "); block[1] != "sh" || line == "" {
				continue
			}
			switch done[word] = true; word {
			case "cargo", "go", "make": // .ci/run has these, but for the first
			default:
				until := map[string]string{"runtimescope service logs -f": "[RuntimeScope]"}
				line, _, _ := strings.Cut(line, "  #")
				if code, said := e.sh(ours.Replace(line), until[strings.TrimSpace(line)]); code != 0 && until[strings.TrimSpace(line)] == "" {
					t.Errorf("%s: exit %d: %s", line, code, said)
				}
				if word != "bin/runtimescope" {
					continue
				}
				pid := e.serves()
				if code, said := e.sh(ours.Replace(line), "healthy and serving on http://127.0.0.1:"+http); code == 0 || !strings.Contains(said, "Service is active") {
					t.Errorf("over an installed service: exit %d: %s", code, said)
				}
				same(t, "PID of the service that was there", e.serves(), pid)
			}
		}
		if configures {
			limit, _ := e.tool("systemctl", "--user", "show", "--value", "-pMemoryMax", "runtimescope.service")
			same(t, "the limit, in bytes", limit, strconv.Itoa(1<<30))
			for _, want := range []string{"RUNTIMESCOPE_HTTP_PORT=" + http, "RUNTIMESCOPE_PORT=" + ws, "RUNTIMESCOPE_AUTH_TOKEN=secret"} {
				if !strings.Contains(e.show("Environment"), want) {
					t.Errorf("the service has no %s", want)
				}
			}
			e.env["RUNTIMESCOPE_HTTP_PORT"], e.env["RUNTIMESCOPE_PORT"] = strconv.Itoa(e.http), strconv.Itoa(e.ws)
		}
		e.ok(os.RemoveAll(e.unit + ".d"))
		e.exits(0, "service uninstall")
	}
	if !done["runtimescope"] || !done["bin/runtimescope"] || !strings.Contains(text, "\n$ ") {
		t.Errorf("not all was found: %v", done)
	}
	// coming from npm
	e.write(e.unit, "[Service]\nExecStart=/bin/sleep 1234\nRestart=on-failure\n[Install]\nWantedBy=default.target\n", 0o644)
	e.systemctl("daemon-reload")
	e.systemctl("enable", "--now", "runtimescope.service")
	e.exits(0, "service install").says(e.unit + ".bak")
	e.runs(e.collector)
}
