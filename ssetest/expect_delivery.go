package ssetest

import (
	"fmt"
	"strings"
)

// ExpectExactlyOnce requires that a [Stream] that reconnects has received every event that its endpoint has published since the stream was first opened,
// exactly once, in order, across all reconnects, and that each attempt has asked to resume behind the last event that had arrived.
// It waits for what is still on its way, and fails the stream's test with what was lost, repeated, or out of order.
//
// What a topic has published is in its log, whether anybody was there to receive it or not. Of a script, a feed and the letters it is what
// they have sent to this stream; what they send again with the same ID is the same event. What a handler of yours should have sent nobody knows here.
//
// A client that has not got an event with an ID comes back without one, and a topic sends it nothing again: what was published meanwhile is lost.
// A test that wants to see it come back first takes an event, or opens the stream with an OpenConfig.LastEventID.
//
// An event without an ID, or with one that another event has, makes exactly once undecidable, and fails the test by its name.
// Whether the test has taken the events does not matter (those that have arrived need not be taken any more), as long as there is room for more: see [EventSource]. It compares 131,072 events at most, and 64 MiB of them.
// A stream that is paused goes on. Call it from the stream's own goroutine.
func (s *Server) ExpectExactlyOnce(stream *Stream) {
	stream.t.Helper()
	s.expectDelivery(stream, "every event exactly once", func(d *delivery) bool { return d.fine() }, undecidable)
}

// ExpectAtLeastOnce is [Server.ExpectExactlyOnce] for those who can bear to get an event again: nothing must be lost.
// It takes any events, with an ID or without.
func (s *Server) ExpectAtLeastOnce(stream *Stream) {
	stream.t.Helper()
	always := func([]Event) error { return nil }
	s.expectDelivery(stream, "every event at least once", func(d *delivery) bool { return len(d.lost) == 0 }, always)
}

func (s *Server) expectDelivery(stream *Stream, wanted string, fine func(*delivery) bool, decidable func([]Event) error) {
	t, es := stream.t, stream.source
	t.Helper()
	stream.mustBeOpen(wanted)
	switch {
	case stream.server != s:
		t.Fatalf("ssetest: %s: wanted %s, but the stream is not one of %s", es.name, wanted, s.URL)
	case stream.account.ledger == nil:
		t.Fatalf("ssetest: %s: wanted %s across reconnects, but it does not come back: set OpenConfig.Reconnect", es.name, wanted)
	}
	ledger := stream.account.ledger
	published, err := ledger.published()
	if err == nil {
		err = decidable(published)
	}
	if err != nil {
		t.Fatalf("ssetest: %s: wanted %s, but that can't be decided: %v", es.name, wanted, err)
	}

	es.Resume() // what has been sent would not arrive otherwise
	var result *delivery
	full, untaken, checked := false, 0, int64(0)
	await(&es.mu, &es.changed, stream.timeout, func() bool {
		// What is repeated comes after everything is there. It is over when nothing more can be on its way.
		quiet, stuck := true, false
		answered := es.err == nil && es.ended < es.attempts && stream.account.answers(es.attempts)
		if answered {
			quiet, stuck = stream.account.quiet(es.attempts, es.received)
		}
		over := es.err != nil || answered && quiet
		if full = es.full(); full {
			untaken = len(es.untaken())
			return true
		}
		if !over && (!quiet && !stuck || ledger.arrivals() < len(published)) {
			return false
		}
		result, checked = ledger.compare(published), es.total
		return over || len(result.lost) == 0
	})
	if result == nil {
		result = ledger.compare(published)
	}
	if full && len(result.lost) > 0 {
		t.Fatalf("ssetest: %s: wanted %s, but it has stopped reading, since %s that have arrived were not taken: take them first",
			es.name, wanted, count(untaken, "event"))
	}
	if now, err := ledger.published(); err == nil {
		result.learn(now[len(published):])
	}
	stream.excused = checked
	if !fine(result) {
		es.mu.Lock()
		ended := es.err
		es.mu.Unlock()
		if ended != nil {
			wanted += " (the stream is over: " + stream.why(ended) + ")"
		}
		stream.fail(wanted, fmt.Sprintf("of %s that the endpoint has published\n%s", count(len(published), "event"), strings.TrimSuffix(result.String(), "\n")), 0)
	}
}
