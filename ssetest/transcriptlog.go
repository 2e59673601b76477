package ssetest

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxTranscriptBytes bounds what a transcript keeps. Each entry counts for entryOverhead more than its text.
	maxTranscriptBytes = 8 << 20
	entryOverhead      = 96

	// maxEntryBytes is how much of a write one entry has, so that the oldest part can be dropped by itself.
	maxEntryBytes = 1 << 20
)

// A transcriptLog is a transcript that is being written.
type transcriptLog struct {
	most int // bytes

	mu      sync.Mutex // guards what follows
	start   time.Time  // of the first entry
	entries []entry
	texts   texts // of what was sent
	bytes   int
	dropped int
	asked   map[int]asking // of the streams that have entries, or go on
}

func newTranscriptLog() *transcriptLog {
	return &transcriptLog{most: maxTranscriptBytes, asked: make(map[int]asking)}
}

// ask adds the entry that a stream begins with.
func (l *transcriptLog) ask(stream int, r *http.Request, text string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[stream] = asking{r.Method, r.URL.Path}
	l.keep(entry{stream: stream, kind: entryAsked, text: text})
}

// add adds an entry. A log that is nil keeps nothing.
func (l *transcriptLog) add(stream int, kind entryKind, text string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(entry{stream: stream, kind: kind, text: text})
}

// sent adds what was sent on a stream.
func (l *transcriptLog) sent(stream int, p []byte) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(p) > 0 {
		n := min(len(p), maxEntryBytes, l.most)
		l.keep(entry{stream: stream, kind: entrySent, text: l.texts.keep(p[:n])})
		p = p[n:]
	}
}

// keep adds an entry, and drops the oldest where there are too many. l.mu is held.
func (l *transcriptLog) keep(e entry) {
	if l.start.IsZero() {
		l.start = time.Now()
	}
	e.at = time.Since(l.start)
	l.entries = append(l.entries, e)
	l.bytes += len(e.text) + entryOverhead
	for l.bytes > l.most && len(l.entries) > 1 {
		l.bytes -= len(l.entries[0].text) + entryOverhead
		if l.entries[0].kind == entryEnded {
			delete(l.asked, l.entries[0].stream)
		}
		l.entries[0] = entry{} // the slice moves on over it
		l.entries = l.entries[1:]
		l.dropped++
	}
}

// transcript returns what there is.
func (l *transcriptLog) transcript() *Transcript {
	if l == nil {
		return new(Transcript)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Transcript{entries: append([]entry(nil), l.entries...), dropped: l.dropped, asked: maps.Clone(l.asked)}
}

// Transcript returns what the server has been asked and what it has sent, on all its streams, until now.
func (s *Server) Transcript() *Transcript { return s.log.transcript() }

// Transcript returns what the stream has received until now: each of its attempts is a stream of the transcript.
// It may be called from several goroutines.
func (s *Stream) Transcript() *Transcript { return s.source.log.transcript() }

// askedLine is a request in a line of a transcript, without what may be a credential.
func askedLine(r *http.Request) string {
	line := shown(r.Method) + " " + shown(redactTarget(r.URL))
	if id := lastEventID(r); id != "" {
		line += " Last-Event-ID: " + quoted(id)
	}
	return line
}

// maxAnswerBody is how much a transcript keeps of the body of a response that is no event stream.
const maxAnswerBody = 4 << 10

// answerText is a response as directives.
func answerText(status int, header http.Header) string {
	return fmt.Sprintf(":@ response %d\n", status) + strings.Join(recordedHeader(header), "")
}

// bodyText is the body of a response as a directive, without what in it may be a credential of its request's.
func bodyText(body []byte) string { return fmt.Sprintf(":@ body %q\n", redactPairs(string(body))) }
