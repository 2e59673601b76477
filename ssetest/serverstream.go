package ssetest

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// A ServerStream is the server's side of one open stream, driven by a test. [Feed.Accept] returns it.
// It is bound to the t that it was accepted with: Send and AwaitGone are called from that test's own goroutine;
// the other methods may be called from several.
type ServerStream struct {
	*drive
	t     testing.TB
	ended Step // what Send has ended it with; nil while it goes on
}

// Request returns the client's request, a copy whose body can be read, each time from the beginning.
func (s *ServerStream) Request() *http.Request {
	r := s.request.Clone(s.request.Context())
	if body, ok := s.request.Body.(*readBody); ok {
		r.Body = newReadBody(body.all)
	}
	return r
}

// LastEventID is where the client wants to resume: its header Last-Event-ID, or "".
func (s *ServerStream) LastEventID() string { return lastEventID(s.request) }

// Done returns a channel that is closed when the stream is over: its client has left, Send has ended it, or the server is closed.
func (s *ServerStream) Done() <-chan struct{} { return s.over }

// Send serves steps: events, comments, raw bytes, waits, faults, endings. It returns when their bytes are on the wire, after an ending when
// that is, and with [Hold] and [Stall] at once. A client that leaves because of what was sent is no failure. A [Split] holds for what is sent later, too.
//
// Where [Server.Chaos] breaks the stream off, Send returns as after an ending.
//
// It fails the test where the client has left, where the stream has been ended before, and where the client does not take what is sent
// within Config.Timeout. It panics where a step is wrong by itself or where it stands, and serves none of them then.
func (s *ServerStream) Send(steps ...Step) {
	s.t.Helper()
	s.x.srv.mustShareBubble(s.t)
	if err := checkSent(steps); err != nil {
		panic(fmt.Sprintf("ssetest: Send: %v", err))
	}
	if s.ended != nil {
		s.t.Fatalf("ssetest: %v: Send: the stream has been ended before, by %v", s.x, s.ended)
	}
	limit := s.limit(steps)
	if len(steps) > 0 && isEnding(steps[len(steps)-1]) {
		s.ended = steps[len(steps)-1]
	}
	err := s.hand(steps, limit)
	switch {
	case errors.Is(err, errNotServed):
		s.x.srv.fatal(s.t, "ssetest: %v: Send: the client has not taken what was sent within %v; does it read?", s.x, limit)
	case errors.Is(err, errGone):
		s.x.srv.fatal(s.t, "ssetest: %v: Send: %s", s.x, s.whyOver())
	case errors.Is(err, errEnded) || errors.Is(err, errBroken) || errors.Is(err, errDisturbed):
		<-s.over
		if !s.x.awaitEnd(limit) {
			s.x.srv.fatal(s.t, "ssetest: %v: Send: the client has not taken the end within %v; does it read?", s.x, limit)
		}
	}
}

// limit is how long sending steps may take.
func (s *ServerStream) limit(steps []Step) time.Duration {
	limit := s.x.srv.cfg.Timeout
	if limit < 0 {
		return limit
	}
	parser := newParser()
	for _, step := range steps {
		if w, ok := step.(wait); ok {
			limit += time.Duration(w)
		}
		limit += time.Duration(len(parser.feed(wire(step)))) * s.x.delay
	}
	return limit + s.x.delay // for one that begins and does not end
}

// checkSent says what is wrong with steps that are sent when the headers have gone out.
func checkSent(steps []Step) error {
	if len(steps) > 0 {
		if _, ok := steps[0].(Response); ok {
			return &stepError{1, steps[0], errors.New("the headers have gone out already; a script can begin with a Response")}
		}
	}
	return Script(steps).check()
}

// whyOver says why nothing can be sent.
func (s *ServerStream) whyOver() string {
	switch {
	case s.x.srv.base.Err() != nil:
		return "the server is closed"
	case s.x.aborted.Load():
		return "chaos has broken the stream off"
	case s.x.broken():
		return "its connection has been reset"
	default:
		return "the client has left"
	}
}

// AwaitGone waits until the client has left, or the stream is over in another way. It fails the test after Config.Timeout.
//
// A client that leaves is noticed when it closes the connection, or over HTTP/2 resets the stream.
func (s *ServerStream) AwaitGone() {
	s.t.Helper()
	s.x.srv.mustShareBubble(s.t)
	limit := s.x.srv.cfg.Timeout
	var expired <-chan time.Time
	if limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-s.over:
	case <-expired:
		s.x.srv.fatal(s.t, "ssetest: %v: waited for the client to leave; after %v it is still there", s.x, limit)
	}
}
