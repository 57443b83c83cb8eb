// mcp: hands over to the MCP server, which editors start by "runtimescope mcp".
package main

import (
	"context"
	"errors"
	"strings"
	"time"
)

const (
	mcpCommand = "mcp"
	mcpName    = "mcp-server"
)

// mcp becomes the MCP server, or where a program cannot do that, runs it and ends with its status. Its standard output is the
// server's alone.
func (a *app) mcp(ctx context.Context, o options) error {
	path, err := a.findProgram(mcpName, "all its binaries are in the same directory")
	if err != nil {
		return errors.New(err.Error()) // in one line
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var p ports
	if s := a.service(ctx); s.phase != "" && s.phase != notInstalled {
		p = a.withFile(s, a.readFile()).livePorts()
	}
	env := a.environ
	for _, word := range p.environment() {
		if name, _, _ := strings.Cut(word, "="); a.getenv(name) == "" {
			env = append(env[:len(env):len(env)], word)
		}
	}
	code, err := a.handOver(append([]string{path}, o.args...), env)
	switch {
	case err != nil:
		return a.notRun(path, err)
	case code != 0:
		return &statusError{code: code}
	}
	return nil
}
