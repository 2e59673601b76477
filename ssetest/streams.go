package ssetest

import (
	"fmt"
	"testing"
)

// AwaitStreams waits until exactly n event streams of a path are open, whatever endpoint they are of: letters, topics, scripts, feeds, or handlers of yours.
// A stream that is open gets the next letter of [Server.Tick]. For topics there is [Server.AwaitSubscribers] as well, which is the same.
// It fails t after Config.Timeout. Call it from the test's own goroutine.
func (s *Server) AwaitStreams(t testing.TB, path string, n int) {
	t.Helper()
	s.mustShareBubble(t)
	there, closed := 0, false
	reached := func() bool {
		there, closed = 0, s.closing
		for x := range s.streams {
			if x.streaming && x.path == path {
				there++
			}
		}
		return there == n || closed
	}
	if await(&s.mu, &s.changed, s.cfg.Timeout, reached) && there == n {
		return
	}
	why := fmt.Sprintf("after %v", s.cfg.Timeout)
	if closed {
		why = "when the server was closed"
	}
	s.fatal(t, "ssetest: waited for exactly %s of %s; %s there were %d\n%s", count(n, "open stream"), path, why, there, s.describeRequests())
}

// startStreaming takes note of an exchange that is answered with an event stream.
func (s *Server) startStreaming(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.streaming = true
	s.changed.raise()
}
