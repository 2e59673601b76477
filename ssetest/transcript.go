package ssetest

import (
	"bytes"
	"encoding"
	"fmt"
	"slices"
	"strings"
	"time"
)

var _ encoding.TextAppender = (*Transcript)(nil)

// A Transcript is what has happened on some streams: how each was asked for, what bytes it was sent, what broke it, how it ended, and when.
// [Server.Transcript] has what the server sent, on all its streams, and [Stream.Transcript] what one client got, by all its attempts.
// A transcript does not change.
//
// What happened on one stream is in the order in which it happened; between streams the order promises nothing. A transcript is bounded:
// it holds the newest 8 MiB, and what it has lost it says.
//
// String is a timeline, for people. The text form is a valid event stream, with directives in comments that begin with ":@", which clients ignore:
// [ParseScripts] makes scripts of it, one for each stream, that send the same bytes with the same timing, to the millisecond, and end in the same way.
//
//	:@ +0s open GET /feed
//	id: 1
//	data: one
//
//	:@ wait 2s
//	: keep-alive
//	:@ raw "data: half"
//	:@ abort
type Transcript struct {
	entries []entry
	dropped int            // entries that are lost
	asked   map[int]asking // the requests of the streams, also of those that have lost their beginning
}

// An asking is what a stream was asked for with.
type asking struct{ method, path string }

// An entry is one thing that has happened on a stream.
type entry struct {
	at     time.Duration // since the first one
	stream int           // its number, from 1
	kind   entryKind
	text   string
}

type entryKind int

const (
	entryAsked    entryKind = iota // text is the request, in a line
	entryAnswered                  // text is directives: of a response that is no usual event stream
	entrySent                      // text is what was sent
	entryStep                      // text is a directive
	entryNoted                     // text is for people
	entryEnded                     // text is a directive, and behind a tab why
)

// String returns the timeline: a line for each thing that happened, with the time since the first one and the number of the stream.
// The format is for people and may change.
func (t *Transcript) String() string { return t.timeline(len(t.entries) + 1<<20) }

// timeline returns the newest lines.
func (t *Transcript) timeline(most int) string {
	var lines []string
	parsers := make(map[int]*parser)
	for _, e := range t.entries {
		line := func(format string, args ...any) {
			at := e.at.Round(10 * time.Microsecond).String()
			lines = append(lines, fmt.Sprintf("%10s  stream %d  ", "+"+at, e.stream)+fmt.Sprintf(format, args...))
		}
		p := parsers[e.stream]
		if p == nil {
			p = newParser()
			parsers[e.stream] = p
		}
		switch e.kind {
		case entryAsked:
			line("%s", e.text)
		case entryAnswered:
			for directive := range strings.Lines(e.text) {
				if strings.HasPrefix(directive, ":@ header ") {
					continue
				}
				line("%s", clipLine(strings.TrimPrefix(strings.TrimSpace(directive), ":@ ")))
			}
		case entrySent:
			p.tell([]byte(e.text), line)
		case entryStep, entryNoted:
			line("%s", e.text)
		case entryEnded:
			if p.unfinished() {
				line("  an unfinished event")
			}
			directive, why, _ := strings.Cut(e.text, "\t")
			if directive == "hold" {
				directive = "left" // the stream had not ended
			}
			line("%s: %s", directive, why)
		}
	}
	var b strings.Builder
	if t.dropped > 0 {
		fmt.Fprintf(&b, "… what was before has been dropped: %d entries\n", t.dropped)
	}
	if hidden := len(lines) - most; hidden > 0 {
		fmt.Fprintf(&b, "… %d earlier lines\n", hidden)
		lines = lines[hidden:]
	}
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// clipLine is a line that is not too long for a timeline.
func clipLine(line string) string {
	if len(line) <= maxShown {
		return line
	}
	return line[:runeStart(line, maxShown)] + "…"
}

// tell interprets a further piece of a stream, and says what it means.
func (p *parser) tell(piece []byte, line func(format string, args ...any)) {
	p.decoder.OnComment(func(text string) { line("  : %s", showData(text)) })
	before, _ := p.decoder.ReconnectionTime()
	said := false
	p.each(piece, func(e Event) {
		line("  %v", e)
		said = said || e.Retry != 0
	})
	after, ok := p.decoder.ReconnectionTime()
	if ok && after != before && !said {
		line("  retry=%v", after)
	}
}

// unfinished reports whether an event has begun and not ended.
func (p *parser) unfinished() bool { return p.decoder.size > 0 || len(p.decoder.in.unfinished()) > 0 }

// Only returns the part of a transcript that is about some of its streams: those whose request keep wants, by its method and its path, as the URL of the request has it.
func (t *Transcript) Only(keep func(method, path string) bool) *Transcript {
	only := &Transcript{dropped: t.dropped, asked: t.asked}
	kept := make(map[int]bool)
	for _, e := range t.entries {
		wanted, known := kept[e.stream]
		if !known {
			wanted = keep(t.asked[e.stream].method, t.asked[e.stream].path)
			kept[e.stream] = wanted
		}
		if wanted {
			only.entries = append(only.entries, e)
		}
	}
	return only
}

// AppendText appends the text form to b, stream after stream. There is no error.
func (t *Transcript) AppendText(b []byte) ([]byte, error) {
	for _, s := range t.sections(true) {
		b = append(b, s...)
	}
	return b, nil
}

// MarshalText returns the text form.
func (t *Transcript) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// Scripts returns a script for each stream, as [ParseScripts] makes them of the text form.
func (t *Transcript) Scripts() []Script {
	if len(t.entries) == 0 {
		return nil // as a text, nothing is one script without a step
	}
	text, err := t.MarshalText()
	var scripts []Script
	if err == nil {
		scripts, err = ParseScripts(bytes.NewReader(text))
	}
	if err != nil {
		panic(fmt.Sprintf("ssetest: a transcript is no text: %v", err)) // it is ours
	}
	return scripts
}

// sections returns the text form of each stream, with or without times.
func (t *Transcript) sections(timed bool) [][]byte {
	var order []int
	byStream := make(map[int][]entry)
	for _, e := range t.entries {
		if _, known := byStream[e.stream]; !known {
			order = append(order, e.stream)
		}
		byStream[e.stream] = append(byStream[e.stream], e)
	}
	slices.Sort(order)
	sections := make([][]byte, 0, len(order))
	for _, stream := range order {
		w := transcriptWriter{timed: timed}
		sections = append(sections, w.section(byStream[stream]))
	}
	return sections
}

// A transcriptWriter writes the text form of one stream.
type transcriptWriter struct {
	timed    bool
	text     []byte
	sent     []byte        // and not written yet
	last     time.Duration // up to where waits have been written
	inLine   bool          // what was written last is a part of a line, as a raw directive
	answered bool          // the response has been written
	empty    bool          // the response has no body, and no time goes by behind it
	ended    bool
}

func (w *transcriptWriter) section(entries []entry) []byte {
	w.last = entries[0].at
	if entries[0].kind != entryAsked {
		w.directive("%sopen", w.offset(entries[0].at))
		if entries[0].kind != entryAnswered { // which has to be first
			w.text = append(w.text, beginningIsMissing...)
		}
	}
	for _, e := range entries {
		switch e.kind {
		case entryAnswered:
			w.answer(e)
			continue
		case entryNoted:
			continue
		}
		w.wait(e.at)
		switch e.kind {
		case entryAsked:
			w.directive("%sopen %s", w.offset(e.at), e.text)
		case entrySent:
			w.sent = append(w.sent, e.text...)
		case entryStep:
			w.directive("%s", e.text)
		case entryEnded:
			directive, _, _ := strings.Cut(e.text, "\t")
			if w.empty {
				directive = "end"
			}
			w.directive("%s", directive)
			w.ended = true
		}
	}
	switch {
	case w.ended:
	case w.empty:
		w.directive("end")
	default:
		w.directive("hold")
	}
	return append(w.text, '\n')
}

func (w *transcriptWriter) directive(format string, args ...any) {
	w.bytes()
	w.text = append(append(w.text, ":@ "...), fmt.Sprintf(format, args...)...)
	w.text = append(w.text, '\n')
}

func (w *transcriptWriter) offset(at time.Duration) string {
	if !w.timed {
		return ""
	}
	return "+" + at.Round(time.Millisecond).String() + " "
}

const beginningIsMissing = ": the beginning of this stream is not in the transcript\n"

// answer writes a response, with the time that the client has waited for it, or its body behind it.
func (w *transcriptWriter) answer(e entry) {
	if w.answered = w.answered || strings.HasPrefix(e.text, ":@ response "); !w.answered {
		return // of a body alone
	}
	w.bytes()
	w.text = append(w.text, e.text...)
	w.empty = w.empty || strings.HasPrefix(e.text, ":@ response 204\n") || strings.HasPrefix(e.text, ":@ response 304\n")
	if d := (e.at - w.last).Round(time.Millisecond); d > 0 && w.timed {
		w.directive("delay %v", d)
		w.last += d
	}
}

// wait writes the time that has passed.
func (w *transcriptWriter) wait(at time.Duration) {
	d := (at - w.last).Round(time.Millisecond)
	if d <= 0 || !w.timed || w.empty {
		return
	}
	w.directive("wait %v", d)
	w.last += d
}

// bytes writes what was sent: whole lines as they are, and as a directive what is none, or could be taken for something else.
func (w *transcriptWriter) bytes() {
	sent := w.sent
	w.sent = nil
	for len(sent) > 0 {
		n := lineLen(sent)
		line := sent[:n]
		sent = sent[n:]
		whole := line[n-1] == '\n' || line[n-1] == '\r'
		if line[n-1] == '\n' && !w.inLine && !bytes.HasPrefix(line, []byte(":@")) && !bytes.HasPrefix(line, bom) && !bytes.ContainsFunc(line, isControl) {
			w.text = append(w.text, line...)
		} else {
			w.directive("raw %q", line)
		}
		w.inLine = !whole
	}
}
