package ssetest

import (
	"errors"
	"fmt"
	"time"
)

// This file has the assertions about what is no event.

// ExpectSilence requires that the stream does not end and that no event arrives from now until d has passed.
// An event that is waiting already counts as arrived now; one that comes exactly at d is outside. Comments are silence,
// and so is a stream that is being opened again.
func (s *Stream) ExpectSilence(d time.Duration) {
	s.t.Helper()
	wanted := fmt.Sprintf("silence for %v", d)
	s.mustBeOpen(wanted)
	es := s.source
	start := time.Now()
	var instead string
	await(&es.mu, &es.changed, max(d, 0), func() bool {
		first := es.firstEvent()
		switch {
		case first != nil && first.at.Before(start.Add(d)):
			instead = fmt.Sprintf("after %v there was %v", max(first.at.Sub(start), 0), first.event)
		case first == nil && es.err != nil:
			instead = s.why(es.err)
		}
		return instead != ""
	})
	if instead != "" {
		s.fail(wanted, instead, 0)
	}
}

// ExpectComment requires that the next thing to arrive, among events and comments, is a comment with this text. (The methods that take events
// pass over the comments before them.)
func (s *Stream) ExpectComment(text string) {
	s.t.Helper()
	wanted := fmt.Sprintf("the comment %#q", text)
	s.mustBeOpen(wanted)
	a, err := s.arrival(func(what *happening) bool { return what.kind == comments })
	switch {
	case err != nil:
		s.fail(wanted, s.why(err), 0)
	case a.what == nil:
		s.fail(wanted, fmt.Sprintf("there was %v", a.event), 1)
	case a.what.text != text:
		s.fail(wanted, fmt.Sprintf("there was the comment %#q", a.what.text), 0)
	}
}

// ExpectReconnect waits until the stream has broken, or ended, and has been opened again, and requires that no event comes before that.
// From the break to the request that opened it, the stream must have waited for just that time, all waits together where attempts have failed in between;
// what those attempts have taken may come on top. A negative time is any. The stream must have been opened with OpenConfig.Reconnect.
func (s *Stream) ExpectReconnect(after time.Duration) {
	s.t.Helper()
	wanted := fmt.Sprintf("the stream to be opened again after %v", after)
	if after < 0 {
		wanted = "the stream to be opened again"
	}
	s.mustBeOpen(wanted)
	if !s.source.cfg.Reconnect {
		s.t.Fatalf("ssetest: %s: wanted %s, but it does not come back: set OpenConfig.Reconnect", s.source.name, wanted)
	}
	limit := s.timeout
	if limit >= 0 {
		limit += max(after, 0)
	}
	a, err := s.arrivalWithin(limit, func(what *happening) bool { return what.kind == opened })
	switch {
	case errors.Is(err, errTimeout):
		s.fail(wanted, fmt.Sprintf("it was not, within %v", limit), 0)
	case err != nil:
		s.fail(wanted, s.why(err), 0)
	case a.what == nil:
		s.fail(wanted, fmt.Sprintf("there was %v", a.event), 1)
	case after >= 0 && (a.what.planned > after || a.what.after < after):
		s.fail(wanted, fmt.Sprintf("that was after %v, of which it has waited %v", a.what.after, a.what.planned), 0)
	}
}

// ExpectEnd waits for the clean end of the stream, and requires that no event comes before it. Of a stream that comes back, the clean end is 204.
func (s *Stream) ExpectEnd() {
	s.t.Helper()
	s.expectEnd("the end of the stream", cleanEnd)
}

// ExpectError waits for the end of the stream, and requires that no event comes before it, and that what ended it is target,
// as [errors.Is] finds: [ErrStreamAborted], [ErrConnectionReset], [ErrGoneAway], [ErrReadTimeout].
func (s *Stream) ExpectError(target error) {
	s.t.Helper()
	s.expectEnd(fmt.Sprintf("the end of the stream with the error %q", target), func(err error) bool { return errors.Is(err, target) })
}

// expectEnd waits for an end.
func (s *Stream) expectEnd(wanted string, right func(err error) bool) {
	s.t.Helper()
	s.mustBeOpen(wanted)
	switch e, err := s.event(); {
	case err == nil:
		s.fail(wanted, fmt.Sprintf("there was %v", e), 1)
	case !right(err):
		s.fail(wanted, s.why(err), 0)
	}
}
