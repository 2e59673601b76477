package ssetest

import (
	"flag"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// This file is what is shown of a test that has failed.

const (
	// maxFailureLines bounds a failure's text, so that the next one can be seen as well.
	maxFailureLines = 39

	// maxTimelineLines and maxShownText bound what is logged of a transcript.
	maxTimelineLines = 40
	maxShownText     = 4 << 10
)

// clip returns the first lines of a text.
func clip(text string, most int) string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) <= most {
		return text
	}
	return strings.Join(lines[:most-1], "") + fmt.Sprintf("… %d more lines\n", len(lines)-most+1)
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
		path := filepath.Join(tb.ArtifactDir(), name+".sse")
		text, err := t.MarshalText()
		if err == nil {
			err = writeFile(path, text)
		}
		where = "all of it is in " + path
		if err != nil {
			where = fmt.Sprintf("it can't be kept: %v", err)
		}
	}
	switch {
	case left > 0:
		tb.Logf("ssetest: transcript of %s, which ParseScripts reads, without %s; %s\n%s", of, count(left, "earlier or longer stream"), where, shown)
	default:
		tb.Logf("ssetest: transcript of %s, which ParseScripts reads; %s\n%s", of, where, shown)
	}
}

// newestSections returns the newest streams of the text form that are not longer than so much together, and how many are left out.
func (t *Transcript) newestSections(most int) (text string, left int) {
	sections := t.sections(true)
	for i := len(sections) - 1; i >= 0; i-- {
		if len(sections[i]) > most {
			left++
			continue
		}
		most -= len(sections[i])
		text = string(sections[i]) + text
	}
	return text, left
}

// fileName is a name for the artifact of something at an address.
func fileName(what, address string) string {
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
