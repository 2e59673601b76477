package ssetest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file is what is shown of a test that has failed.

const (
	// maxFailureLines bounds a failure's text, so that the next one can be seen as well.
	maxFailureLines = 39

	// maxInsteadLines bounds what it says of what came in place of what was wanted.
	maxInsteadLines = 14

	// maxTimelineLines and maxShownText bound what is logged of a transcript.
	maxTimelineLines = 40
	maxShownText     = 4 << 10
)

// clip returns the first lines of a text.
func clip(text string, most int) string {
	lines := strings.SplitAfter(clipLines(text), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) <= most {
		return strings.Join(lines, "")
	}
	return strings.Join(lines[:most-1], "") + fmt.Sprintf("… %d more lines\n", len(lines)-most+1)
}

// maxLineBytes bounds a line of a failure.
const maxLineBytes = 1000

// clipLines returns a text without the ends of very long lines.
func clipLines(text string) string {
	if len(text) <= maxLineBytes {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if len(line) > maxLineBytes {
			line = line[:runeStart(line, maxLineBytes)] + fmt.Sprintf("… (%d bytes)\n", len(line))
		}
		b.WriteString(line)
	}
	return b.String()
}

// logTo logs a transcript, for a test that has failed, and leaves all of it in the test's artifacts, where "go test -artifacts" keeps those.
func (t *Transcript) logTo(tb testing.TB, of, name string) {
	tb.Helper()
	if len(t.entries) == 0 {
		return
	}
	tb.Logf("ssetest: timeline of %s:\n%s", of, t.timeline(maxTimelineLines))
	shown, left := t.newestSections(maxShownText)
	where := "run the test with -artifacts to keep all of it"
	if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() == "true" {
		text, err := t.MarshalText()
		path := ""
		if err == nil {
			path, err = writeArtifact(tb.ArtifactDir(), name, text)
		}
		where = "all of it is in " + path
		if err != nil {
			where = fmt.Sprintf("it can't be kept: %v", err)
		}
	}
	switch {
	case left > 0:
		tb.Logf("ssetest: transcript of %s, which ParseScripts reads, without %s; %s\n%s", of, count(left, "earlier stream"), where, shown)
	default:
		tb.Logf("ssetest: transcript of %s, which ParseScripts reads; %s\n%s", of, where, shown)
	}
}

// writeArtifact writes a file under a name that no other has.
func writeArtifact(dir, name string, text []byte) (path string, err error) {
	name = name[:min(len(name), 100)]
	for n := 1; ; n++ {
		path = filepath.Join(dir, name+".sse")
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.sse", name, n))
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(text)
		if other := f.Close(); err == nil {
			err = other
		}
		return path, err
	}
}

// newestSections returns the newest streams of the text form that are not longer than so much together, and how many are left out.
func (t *Transcript) newestSections(most int) (text string, left int) {
	sections := t.sections(true)
	for i := len(sections) - 1; i >= 0; i-- {
		switch s := sections[i]; {
		case len(s) <= most-len(text):
			text = string(s) + text
			continue
		case i == len(sections)-1:
			return tail(string(s), most), i
		}
		return text, i + 1
	}
	return text, 0
}

// tail is the end of a stream's text form.
func tail(section string, most int) string {
	const begin = ":@ open\n" + beginningIsMissing
	_, rest, _ := strings.Cut(section[len(section)-most+len(begin):], "\n")
	return begin + rest
}

// fileName is a name for the artifact of something at an address; "" is a reader.
func fileName(what, address string) string {
	if address == "" {
		address = "reader"
	}
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host + u.Path
	}
	return what + "-" + strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, address), "-")
}
