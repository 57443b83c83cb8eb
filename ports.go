// Which ports the collector uses, and what to say of a process that holds one.
package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

const (
	defaultHTTPPort = 6768
	defaultWSPort   = 6767
	httpPortEnv     = "RUNTIMESCOPE_HTTP_PORT"
	wsPortEnv       = "RUNTIMESCOPE_PORT"
)

// ports are the TCP ports of a collector, 1 to 65535; 0 means not said.
type ports struct{ http, ws int }

// envPorts reads the ports from the environment. A value that is no port is an error that names the variable, not the
// value: it may be a secret that went astray.
func envPorts(getenv func(string) string) (ports, error) {
	var p ports
	for _, v := range []struct {
		name string
		port *int
	}{{httpPortEnv, &p.http}, {wsPortEnv, &p.ws}} {
		text := getenv(v.name)
		if text == "" {
			continue
		}
		if *v.port = parsePort(text); *v.port == 0 {
			return ports{}, fmt.Errorf("%s is not a port: it must be a number from 1 to 65535", v.name)
		}
	}
	return p, nil
}

// parsePort returns 0 for what is no port.
func parsePort(text string) int {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// read takes the ports out of K=V words; the last one counts, as for both managers.
func (p *ports) read(environ []string) {
	for _, word := range environ {
		switch key, value, _ := strings.Cut(word, "="); key {
		case httpPortEnv:
			p.http = parsePort(value)
		case wsPortEnv:
			p.ws = parsePort(value)
		}
	}
}

// badPort names a variable among K=V words whose value is no port; "" when there is none. The last one counts, of each.
func badPort(environ []string) string {
	last := map[string]string{}
	for _, word := range environ {
		key, value, _ := strings.Cut(word, "=")
		last[key] = value
	}
	for _, key := range []string{httpPortEnv, wsPortEnv} {
		if value, ok := last[key]; ok && parsePort(value) == 0 {
			return key
		}
	}
	return ""
}

// or fills in from q what p does not say.
func (p ports) or(q ports) ports {
	if p.http == 0 {
		p.http = q.http
	}
	if p.ws == 0 {
		p.ws = q.ws
	}
	return p
}

func (p ports) orDefault() ports { return p.or(ports{defaultHTTPPort, defaultWSPort}) }

// environment says in K=V words the ports that are not the default.
func (p ports) environment() []string {
	var words []string
	if p.http != 0 && p.http != defaultHTTPPort {
		words = append(words, httpPortEnv+"="+strconv.Itoa(p.http))
	}
	if p.ws != 0 && p.ws != defaultWSPort {
		words = append(words, wsPortEnv+"="+strconv.Itoa(p.ws))
	}
	return words
}

// A holder is a process with a listening socket on a port where 127.0.0.1 is answered.
type holder struct {
	pid     int // 0: it is another user's, or gone already, and cannot be looked into
	uid     int // -1: unknown
	command string
	stop    string // the command that ends the service of systemd it is part of; "" when it is of none
	// wildcard6 means that it listens on [::], which may or may not take in 127.0.0.1.
	wildcard6 bool
}

func (h holder) String() string {
	if h.pid == 0 {
		return fmt.Sprintf("a process that this user may not look into (uid %d)", h.uid)
	}
	return fmt.Sprintf("PID %d (%s)", h.pid, shorten(h.command, 160))
}

// refusal says who holds a port that the service needs, and what helps.
func (h holder) refusal(port int, name string) error {
	err := fmt.Errorf("port %d is held by %s", port, h)
	switch {
	case h.pid == 0:
		return hint(err, fmt.Sprintf("sudo lsof -nP -iTCP:%d -sTCP:LISTEN, and stop it, or choose another port: %s=… runtimescope service install", port, name))
	case h.is("runtimescope-mcp/", "mcp-server/"):
		return hint(fmt.Errorf("%w: that is the collector inside your editor's plugin", err), "quit the editor, then run this again")
	case strings.HasSuffix(h.stop, " "+unitName): // but not of this start
		return hint(fmt.Errorf("%w: an earlier start of the service has left it behind", err), fmt.Sprintf("kill %d, then run this again", h.pid))
	case h.is(collectorName, "runtimescope", "runtimescope-collector", "collector/dist/standalone"):
		fix := h.stop // a kill would only have it started again
		if fix == "" {
			fix = fmt.Sprintf("kill %d", h.pid)
		}
		return hint(fmt.Errorf("%w: that is another collector", err), fix+", then run this again")
	}
	return hint(fmt.Errorf("%w, which is not ours", err), fmt.Sprintf("stop it, or choose another port: %s=… runtimescope service install", name))
}

// is tells whether the program that holds the port, or the script that it runs, has one of these names, whatever its
// ending. A name with a slash after it may also be that of a folder the program is in. Other arguments say nothing.
func (h holder) is(names ...string) bool {
	for i, word := range strings.Fields(h.command) {
		if strings.HasPrefix(word, "-") {
			continue
		}
		for _, name := range names {
			file, folder := strings.CutSuffix("/"+name, "/")
			if strings.HasSuffix("/"+strings.TrimSuffix(word, path.Ext(word)), file) || folder && strings.Contains("/"+word, file+"/") {
				return true
			}
		}
		if i > 0 {
			break
		}
	}
	return false
}

// shorten cuts a text for display to at most n bytes.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
