package ssetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A Stream is an event stream with the assertions of a test. [Open], [Server.Open] and [Read] make it;
// t.Cleanup closes it, or Close does earlier. It is bound to the t it was made with: all methods are called from that test's own goroutine,
// and what does not come as expected ends the test there, as t.Fatal does.
//
// It reads eagerly, so that a test that is busy elsewhere never slows the server; how far is said at [EventSource].
//
// An event that a topic, a script or a feed of a [Server] in this process has sent, and that nobody took, fails the test when the stream is closed,
// unless [Stream.IgnoreRest] was called. The check waits until everything has arrived that the server sent; of a script that waits, that is what stands
// before the wait. Letters have no end, faults of the connection and chaos take events away, and what a handler of yours or a foreign server sends nobody knows:
// there only [Stream.ExpectEnd] asks that nothing was left.
type Stream struct {
	t       testing.TB
	source  *EventSource
	timeout time.Duration

	server  *Server  // nil where the URL is a foreign one
	account *account // with server

	taken      int64
	last       []Event // the newest that were taken
	ignoreRest bool
	closed     bool
	failed     bool  // an assertion of it has
	excused    int64 // so many events, of all that have arrived, need not be taken: their delivery has been checked
}

// Open opens the event stream at url for a test, and fails t where the response is none.
// Nil for cfg is the default [OpenConfig]. When it returns, the headers are there; a topic of a [Server] has
// the stream among its subscribers then.
//
// The stream is closed by t.Cleanup, which comes after the test's deferred calls. A server that waits for its streams when it is closed,
// as that of [net/http/httptest] does, must therefore be closed by a t.Cleanup too, registered before Open, and not by defer.
func Open(t testing.TB, url string, cfg *OpenConfig) *Stream {
	t.Helper()
	mustEndInTime(t, "Open")
	full := cfg.withDefaults(url)
	s := &Stream{t: t, timeout: full.Timeout, server: serverOf(url)}
	if s.server != nil {
		s.server.mustShareBubble(t)
		s.account = s.server.openAccount(full.Reconnect)
	}
	if full.OnComment == nil {
		full.OnComment = func(string) {} // ExpectComment wants them
	}
	// Not t.Context: that is done before Cleanup functions run, and would break the stream before it is checked.
	source, err := dial(context.Background(), full, url, s.account, newTranscriptLog())
	if err != nil {
		t.Fatal(clip(fmt.Sprintf("%v\n%s", err, s.describeServer()), maxFailureLines))
	}
	s.source = source
	t.Cleanup(s.Close)
	return s
}

// Open opens the event stream at a path of the server, as the function [Open] does with a URL.
// What a topic sends on it has to be taken, or else the test fails in the end: see [Stream]. The letters may be left.
func (s *Server) Open(t testing.TB, path string, cfg *OpenConfig) *Stream {
	t.Helper()
	if !strings.HasPrefix(path, "/") {
		t.Fatalf("ssetest: Open: the path is %q; it must begin with a slash", path)
	}
	return Open(t, s.URL+path, cfg)
}

// Read makes a stream of any reader, such as the body of an [net/http/httptest.ResponseRecorder], so that what a handler has written can be asserted.
// It reads eagerly, too. What nobody takes fails no test; [Stream.ExpectEnd] asks that nothing is left.
//
// When the stream is closed, a reader that is an [io.Closer] is closed. A goroutine that reads from any other, or from one that does not let itself be closed,
// remains until that returns.
func Read(t testing.TB, r io.Reader) *Stream {
	t.Helper()
	mustEndInTime(t, "Read")
	if r == nil {
		t.Fatal("ssetest: Read: the reader is nil")
	}
	cfg := new(OpenConfig).withDefaults("")
	cfg.OnComment = func(string) {} // ExpectComment wants them
	s := &Stream{t: t, timeout: cfg.Timeout, source: newReaderSource(cfg, r)}
	t.Cleanup(s.Close)
	return s
}

// Response returns the newest response that opened the stream: its status and header. The body is the stream's, and empty here.
// It is nil with [Read].
func (s *Stream) Response() *http.Response { return s.source.Response() }

// Pause stops reading, so that the server sees a slow client: see [EventSource.Pause]. To close the stream resumes it.
func (s *Stream) Pause() { s.source.Pause() }

// Resume reads on.
func (s *Stream) Resume() { s.source.Resume() }

// Restart breaks the response off on this side: see [EventSource.Restart].
func (s *Stream) Restart() { s.source.Restart() }

// ReadyState returns where the stream stands, which may be further than what was taken.
func (s *Stream) ReadyState() ReadyState { return s.source.ReadyState() }

// LastEventID returns the last event ID of what has arrived, which may be further than what was taken.
func (s *Stream) LastEventID() string { return s.source.LastEventID() }

// Next returns the next event.
func (s *Stream) Next() Event {
	const wanted = "an event"
	if s.closed {
		s.t.Helper() // which costs more than all the rest, and is needed only where the test fails
		s.mustBeOpen(wanted)
	}
	e, err := s.event()
	if err != nil {
		s.t.Helper()
		s.mustBeOpen(wanted) // it may have been asked for across a bubble's wall
		s.fail(wanted, s.why(err), 0)
	}
	return e
}

// Take returns the next n events.
func (s *Stream) Take(n int) []Event {
	s.t.Helper()
	if n < 0 {
		s.t.Fatalf("ssetest: Take(%d): the number of events must not be negative", n)
	}
	return s.take(n, count(n, "event"))
}

// take returns the next n events, each of which may take as long as the timeout.
func (s *Stream) take(n int, wanted string) []Event {
	s.t.Helper()
	s.mustBeOpen(wanted)
	events := make([]Event, 0, n)
	for len(events) < n {
		e, err := s.event()
		if err != nil {
			s.fail(wanted, s.why(err), len(events))
		}
		events = append(events, e)
	}
	return events
}

var errTimeout = errors.New("nothing more arrived")

// event takes the next event. What lies before it is told, and is gone.
func (s *Stream) event() (Event, error) {
	a, err := s.arrival(func(*happening) bool { return false })
	return a.event, err
}

// arrival takes the next event, or what happened before it that is wanted.
func (s *Stream) arrival(wanted func(what *happening) bool) (arrival, error) {
	return s.arrivalWithin(s.timeout, wanted)
}

func (s *Stream) arrivalWithin(limit time.Duration, wanted func(what *happening) bool) (arrival, error) {
	deadline := time.Now().Add(limit)
	for {
		a, err := s.source.arriveWithin(limit)
		switch {
		case err != nil:
			return arrival{}, err
		case a.what == nil:
			s.remember(a.event)
			return a, nil
		}
		s.source.tell(a.what)
		if wanted(a.what) {
			return a, nil
		}
		if limit >= 0 {
			limit = max(time.Until(deadline), 0)
		}
	}
}

// remember keeps the newest events for a failure.
func (s *Stream) remember(e Event) {
	s.taken++
	s.last = append(s.last, e)
	if len(s.last) > maxListed {
		s.last = s.last[1:]
	}
}

// mustBeOpen fails the test where the stream has been closed.
func (s *Stream) mustBeOpen(wanted string) {
	s.t.Helper()
	if s.source.bubbled != inBubble() {
		s.t.Fatalf("ssetest: %s: wanted %s, but %s", s.source.name, wanted, strings.TrimPrefix(errOtherBubble.Error(), "ssetest: "))
	}
	if s.closed {
		s.t.Fatalf("ssetest: %s: wanted %s, but the test has closed the stream", s.source.name, wanted)
	}
}

// why says in words why no event came.
func (s *Stream) why(err error) string {
	switch {
	case errors.Is(err, errTimeout):
		return fmt.Sprintf("nothing more arrived within %v", s.timeout)
	case err == io.EOF:
		return "the stream has ended"
	case cleanEnd(err):
		return "the stream has ended, with status 204"
	default:
		return fmt.Sprintf("the stream broke: %v", err)
	}
}

// fail ends the test with what was wanted, what happened instead, and what is there to explain it.
func (s *Stream) fail(wanted, instead string, now int) {
	s.t.Helper()
	s.failed = true
	// Each part has room: what differs, the last events, and the open streams.
	text := fmt.Sprintf("ssetest: %s: wanted %s, but %s\n%s%s",
		s.source.name, wanted, strings.TrimSuffix(clip(instead+"\n", maxInsteadLines), "\n"), s.describeEvents(now), s.describeServer())
	s.t.Fatal(clip(text, maxFailureLines))
}

// describeEvents lists the newest events: those that the call took that failed, and those before.
func (s *Stream) describeEvents(now int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "taken from the stream: %s", count(s.taken, "event"))
	if now > 0 {
		fmt.Fprintf(&b, ", %d by this call", now)
	}
	b.WriteString(listEvents(s.last, s.taken))
	return b.String()
}

// listEvents shows the last of so many events, a line each.
func listEvents(last []Event, all int64) string {
	if all == 0 {
		return "\n"
	}
	var b strings.Builder
	b.WriteString(":\n")
	if hidden := all - int64(len(last)); hidden > 0 {
		fmt.Fprintf(&b, "  … %d more\n", hidden)
	}
	for _, e := range last {
		fmt.Fprintf(&b, "  %v\n", e)
	}
	return b.String()
}

func (s *Stream) describeServer() string {
	if s.server == nil {
		return ""
	}
	return s.server.describe()
}

// IgnoreRest lets the stream be closed with events that nobody took.
func (s *Stream) IgnoreRest() { s.ignoreRest = true }

// Close closes the stream, after the check that everything has been taken that its server sent.
// t.Cleanup does that too; calling Close again does nothing.
func (s *Stream) Close() {
	s.t.Helper()
	if s.closed {
		return
	}
	s.closed = true
	// What a test that has failed did not come to take is no news.
	if s.server != nil && !s.ignoreRest && !s.t.Failed() {
		s.checkRest()
	}
	s.source.Close()
	if s.server != nil {
		s.server.closeAccount(s.account)
	}
	// A server that belongs to a test shows what it has sent, which is mostly the same.
	if (s.failed || s.t.Failed()) && (s.server == nil || s.server.test == nil) {
		s.Transcript().logTo(s.t, s.source.name, fileName("client", s.source.target.url))
	}
}

// checkRest fails the test where its server has sent more than was taken.
func (s *Stream) checkRest() {
	s.t.Helper()
	es := s.source
	es.Resume() // what has been sent would not arrive otherwise
	es.mu.Lock()
	attempt := es.attempts
	es.mu.Unlock()
	due, ok := s.account.total(attempt)
	if !ok && !s.account.answeredBefore(attempt) {
		return
	}
	var (
		rest     []Event
		received int64
		over     bool
		ended    error
		full     bool
	)
	await(&es.mu, &es.changed, s.timeout, func() bool {
		rest, received, ended, full = es.untaken(), es.received, es.err, es.full()
		rest = rest[min(max(s.excused-(es.total-int64(len(rest))), 0), int64(len(rest))):]
		over = es.ended >= attempt || es.err != nil // another attempt begins from what this one has received
		return received >= due || over || full
	})
	if len(rest) > 0 {
		s.t.Errorf("ssetest: %s: the server sent %s that nobody took%stake them, or call IgnoreRest",
			es.name, count(len(rest), "event"), listFirst(rest))
	}
	if received < due && !full && (!over || ended != nil) {
		s.t.Error(clip(fmt.Sprintf("ssetest: %s: %d of the %d events that the server sent did not arrive: %s\n%s",
			es.name, due-received, due, s.why(cmp.Or(ended, errTimeout)), s.describeServer()), maxFailureLines))
	}
}

// listFirst shows the first of some events, a line each.
func listFirst(events []Event) string {
	var b strings.Builder
	b.WriteString(":\n")
	for i, e := range events {
		if i == maxListed {
			fmt.Fprintf(&b, "  … %d more\n", len(events)-i)
			break
		}
		fmt.Fprintf(&b, "  %v\n", e)
	}
	return b.String()
}
