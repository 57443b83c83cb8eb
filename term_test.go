// Tests of the printer: the marks, the colour, where each goes, and what never reaches a terminal.
package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestEveryLineHasItsMarkItsColourAndItsStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		say             func(v printer, format string, a ...any)
		plain, coloured string
		stderr          bool
	}{
		{"done", printer.done, "  ✓ it is 5 %\n", "  \x1b[32m✓\x1b[0m it is 5 %\n", false},
		{"warn", printer.warn, "  ⚠ it is 5 %\n", "  \x1b[33m⚠\x1b[0m it is 5 %\n", false},
		{"fail", printer.fail, "  ✗ it is 5 %\n", "  \x1b[31m✗\x1b[0m it is 5 %\n", true},
		{"info", printer.info, "  it is 5 %\n", "  \x1b[2mit is 5 %\x1b[0m\n", false},
		{"note", printer.note, "  it is 5 %\n", "  \x1b[2mit is 5 %\x1b[0m\n", true},
	} {
		for _, colours := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
			var stdout, stderr bytes.Buffer
			c.say(printer{stdout: &stdout, stderr: &stderr, colour: colours[0], errColour: colours[1]}, "it %s %d %%", "is", 5)
			coloured, got, other := colours[0], stdout.String(), stderr.String()
			if c.stderr {
				coloured, got, other = colours[1], other, got
			}
			want := c.plain
			if coloured {
				want = c.coloured
			}
			if got != want || other != "" {
				t.Errorf("%s %v: got %q and %q, want %q", c.name, colours, got, other, want)
			}
		}
	}
}

func TestControlCharactersAreShownAndNotSent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain ✓ é 日本 \U0001F600":  "plain ✓ é 日本 \U0001F600",
		"\x1b[31mred\x1b[0m":       "\uFFFD[31mred\uFFFD[0m",
		"\a\b\r\v\f\x00\x7f":       strings.Repeat("\uFFFD", 7),
		"\u0080\u009b\u009f\u00a0": "\uFFFD\uFFFD\uFFFD\u00a0",
		"two\n\tlines":             "two\n\tlines",
		"bad \xff\xfe byte":        "bad \uFFFD byte",
		"":                         "",
	} {
		same(t, text, printable(text), want)
	}
	var b bytes.Buffer
	printer{stdout: &b}.info("%s", "\x1b]0;title\a")
	same(t, "", b.String(), "  \uFFFD]0;title\uFFFD\n")
}

func FuzzNothingPrintedControlsTheTerminal(f *testing.F) {
	f.Add("\x1b[2J\x9b2J \u009b")
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }) {
			t.Errorf("%q: got %q", text, got)
		}
		same(t, fmt.Sprintf("%q: not the same twice", text), printable(got), got)
	})
}

func TestWithoutATerminalTheWaitingLineIsSaidOnce(t *testing.T) {
	t.Parallel()
	for colour, want := range map[bool]string{false: "  Waiting for 5…\n", true: "  \x1b[2mWaiting for 5…\x1b[0m\n"} {
		var b bytes.Buffer
		stop := printer{stdout: &b, colour: colour}.waiting("Waiting for %d…", 5)
		stop()
		same(t, "", b.String(), want)
	}
}

func TestOnATerminalTheWaitingLineCountsTheSeconds(t *testing.T) {
	t.Parallel()
	for colour, want := range map[bool][2]string{
		false: {"\r  Waiting for 5…", "\r  Waiting for 5… #s"},
		true:  {"\r  \x1b[2mWaiting for 5…\x1b[0m", "\r  \x1b[2mWaiting for 5… #s\x1b[0m"},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			var out logsOutput
			stop := printer{stdout: &out, colour: colour, tty: true}.waiting("Waiting for %d…", 5)
			same(t, "at first", out.String(), want[0])
			next := regexp.MustCompile("^" + strings.Replace(regexp.QuoteMeta(want[0]+want[1]), "#", "[1-9][0-9]*", 1)) // a busy machine skips one
			until(t, func() bool { return next.MatchString(out.String()) }, out.String)
			stop()
			said := out.String()
			if !strings.HasSuffix(said, "\n") || strings.Count(said, "\n") != 1 {
				t.Errorf("in the end %q", said)
			}
		})
	}
}

func TestTheCountingLineFitsTheTerminal(t *testing.T) {
	t.Parallel()
	const text = "Waiting for collector to come up…"
	for width, want := range map[int]string{0: text + " 12s", 80: text + " 12s", 40: text + " 12s", 39: "Waiting for collector to come u… 12s", 20: "Waiting for … 12s", 4: "… 12s"} {
		v := printer{columns: func() int { return width }}
		same(t, fmt.Sprintf("%d columns", width), v.fit(text, text+" 12s"), want)
	}
}

func TestALocaleWithoutTheMarksGetsOthers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	v := printer{stdout: &out, stderr: &out, ascii: true}
	v.done("a")
	v.warn("b")
	v.fail("c")
	v.found("d")
	v.info("e")
	same(t, "", out.String(), "  + a\n  ! b\n  x c\n  x d\n  e\n")
}

func TestIndent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "    ", "a": "    a", "a\nb\n": "    a\n    b", "a\n\nb\n\n": "    a\n    \n    b\n    "} {
		same(t, text, indent(text), want)
	}
}

func TestDurationsAreWrittenInTwoUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Millisecond: "0s", 42 * time.Second: "42s", 59999 * time.Millisecond: "59s", time.Minute: "1m 0s",
		185 * time.Second: "3m 5s", 3599 * time.Second: "59m 59s", time.Hour: "1h 0m", 7980 * time.Second: "2h 13m",
		86399 * time.Second: "23h 59m", 24 * time.Hour: "1d 0h", 97*time.Hour + 59*time.Minute: "4d 1h", 1000 * 24 * time.Hour: "1000d 0h",
	} {
		same(t, d, duration(d), want)
	}
}

func TestSizesAreWrittenInTheirUnit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 7: "7 B", 999: "999 B", 1000: "1.0 kB", 1049: "1.0 kB", 1051: "1.1 kB", 62464: "62.5 kB", 999900: "999.9 kB",
		1000000: "1.0 MB", 63963136: "64.0 MB", 1 << 30: "1.1 GB", 5e12: "5.0 TB", 5e15: "5000.0 TB",
	} {
		same(t, n, size(n), want)
	}
}

func TestColourAndTheCountingLineAreForTerminalsThatWantThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outTTY, errTTY bool
		env            string
		want           printer
	}{
		{false, false, "", printer{}},
		{true, false, "", printer{colour: true, tty: true}},
		{false, true, "", printer{errColour: true}},
		{true, true, "", printer{colour: true, errColour: true, tty: true}},
		{true, true, "NO_COLOR=1", printer{tty: true}},
		{true, true, "NO_COLOR=", printer{colour: true, errColour: true, tty: true}},
		{true, true, "TERM=dumb", printer{}},
		{false, false, "CLICOLOR_FORCE=1", printer{colour: true, errColour: true}},
		{true, false, "CLICOLOR_FORCE=0", printer{colour: true, tty: true}},
		{false, false, "LC_ALL=C", printer{ascii: true}},
		{false, false, "LANG=POSIX", printer{ascii: true}},
		{false, false, "LC_CTYPE=C.UTF-8", printer{}},
		{true, true, "TERM=xterm", printer{colour: true, errColour: true, tty: true}},
	} {
		key, value, _ := strings.Cut(c.env, "=")
		got := newPrinter(nil, nil, c.outTTY, c.errTTY, func(name string) string {
			if name == key {
				return value
			}
			return ""
		})
		same(t, c, got, c.want)
	}
}
