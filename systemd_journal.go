// systemd's journal: which of its lines are the service's, and those of one start.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// mark remembers the time only: the journal tells the starts apart.
func (m systemd) mark() logMark { return logMark{time: time.Now()} }

// journalMatch selects what the service logged, in the terms of journalctl(1): by its unit, and by its name, since
// the journal may not know the unit of a process that lived too short to be looked at.
func (m systemd) journalMatch() []string {
	uid := "_UID=" + strconv.Itoa(m.uid)
	return []string{"_SYSTEMD_USER_UNIT=" + unitName, uid, "+", "USER_UNIT=" + unitName, uid, "+", "SYSLOG_IDENTIFIER=runtimescope", uid}
}

// startLog returns the last lines that the start described by s logged, and waits a moment for journald to have them.
// A start that systemd has forgotten already, as it does after a clean end, is known by its time.
func (m systemd) startLog(ctx context.Context, run Runner, s state, since logMark) []string {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--output=json", "--output-fields=MESSAGE,MESSAGE_ID,SYSLOG_IDENTIFIER", "--lines=40"}
	if s.invocation == "" {
		argv = append(argv, fmt.Sprintf("--since=@%d.%06d", since.time.Unix(), since.time.Nanosecond()/1000))
		argv = append(argv, m.journalMatch()...)
	} else {
		argv = append(argv, "_SYSTEMD_INVOCATION_ID="+s.invocation, "+", "USER_INVOCATION_ID="+s.invocation)
		if s.lastPID != 0 {
			argv = append(argv, "+", "_PID="+strconv.Itoa(s.lastPID), "SYSLOG_IDENTIFIER=runtimescope", "_UID="+strconv.Itoa(m.uid))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	before := 0
	for end := time.Now().Add(250 * time.Millisecond); ; {
		out, err := run.Run(ctx, argv...)
		if err != nil {
			return nil
		}
		lines, ended := parseJournal(out)
		if ended || len(lines) > 0 && len(lines) == before || time.Now().After(end) {
			return lines
		}
		before = len(lines)
		time.Sleep(20 * time.Millisecond)
	}
}

// parseJournal reads "journalctl --output=json": the messages that are the service's own, and whether systemd's
// report of the end of its process is among them (message 98e322203f7a4ed290d09fe03c09fe15, systemd.journal-fields(7)).
func parseJournal(out string) (lines []string, ended bool) {
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var entry struct {
			Message    any    `json:"MESSAGE"` // a string, or an array of bytes when it is not plain text
			MessageID  string `json:"MESSAGE_ID"`
			Identifier string `json:"SYSLOG_IDENTIFIER"`
		}
		err := decoder.Decode(&entry)
		if err == io.EOF {
			return lines, ended
		}
		if err != nil {
			return lines, true
		}
		if entry.MessageID == "98e322203f7a4ed290d09fe03c09fe15" {
			ended = true
		}
		if entry.MessageID != "" || entry.Identifier == "systemd" {
			continue
		}
		switch message := entry.Message.(type) {
		case string:
			lines = append(lines, message)
		case []any:
			text := make([]byte, 0, len(message))
			for _, n := range message {
				if n, ok := n.(float64); ok {
					text = append(text, byte(n))
				}
			}
			lines = append(lines, string(text))
		}
	}
}
