package ssetest

import (
	"fmt"
	"slices"
	"time"
)

// Close counts its patience in looks, and not in time alone: between two looks everything else has had its turn,
// however busy the machine is.
const (
	lookInterval = 10 * time.Millisecond

	// closePatience is for how many looks Close waits for streams that make no progress whatever: a handler that can't write,
	// since its client does not read. Those that do make progress are given the time that they need.
	closePatience = 20

	// cutPatience is for how many looks Close waits for handlers whose connections it has cut.
	cutPatience = 100
)

// Close ends every stream, behind the last event that was published to it, and stops the server. When it returns,
// the handlers have returned and the port is free.
//
// It does not wait for clients. The connections of those that don't read are cut after a fifth of a second without progress;
// a handler of yours that has still not returned a second later fails the test, since it must watch its request's context.
// Calling Close again does nothing.
func (s *Server) Close() {
	if s.test != nil {
		s.test.Helper()
		defer s.report()
	}
	s.once.Do(s.close)
}

func (s *Server) close() {
	running.Delete(s.URL)
	s.refuse()
	s.cancel() // from here on, the handlers end their streams
	patience := cutPatience
	if !s.settle(closePatience) {
		s.sockets.cut()
		if !s.settle(cutPatience) {
			s.failUnfinished()
			patience = 0 // it has been used up already
		}
	}
	s.stop(patience)
}

// refuse lets nothing new begin, and gives the topics their end.
func (s *Server) refuse() {
	s.mu.Lock()
	s.closing = true
	topics := make([]*Topic, 0, len(s.topics)+1)
	for _, t := range s.topics {
		topics = append(topics, t)
	}
	s.mu.Unlock()
	_ = s.sockets.Close()
	for _, t := range append(topics, s.post) {
		t.close()
	}
}

// settle waits until every handler has returned and the end of every HTTP/2 stream is on the wire.
// It reports false when it has seen no progress in as many looks as patience.
func (s *Server) settle(patience int) bool {
	settled := func() bool { return len(s.streams) == 0 && s.wire.Open() == 0 }
	best := s.pending()
	for idle := 0; idle < patience; idle++ {
		if await(&s.mu, &s.changed, lookInterval, settled) {
			return true
		}
		if now := s.pending(); now.better(best) {
			best, idle = now, -1
		}
	}
	return false
}

// pending is what is left to do.
type pending struct {
	streams, wire int
	progress      int64
}

func (s *Server) pending() pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pending{len(s.streams), s.wire.Open(), s.progress.Load()}
}

// better reports whether less is left than ever before. A client that keeps asking for new streams,
// and is refused, does not count.
func (p pending) better(best pending) bool {
	return p.streams < best.streams || p.wire < best.wire || p.progress > best.progress
}

// failUnfinished names the handlers that have not returned.
func (s *Server) failUnfinished() {
	s.mu.Lock()
	var left []string
	for st := range s.streams {
		left = append(left, fmt.Sprintf("the handler of %v has not returned %v after its request's context was cancelled "+
			"and its connection closed; it must watch the context", st, (closePatience+cutPatience)*lookInterval))
	}
	s.mu.Unlock()
	slices.Sort(left)
	for _, what := range left {
		s.fail("%s", what)
	}
}

// stop closes the connections, in order where that is possible at once, and waits for the goroutines that served them.
// Where it has to cut connections, it waits for no longer than patience afterwards.
func (s *Server) stop(patience int) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if s.h2 != nil {
			_ = s.h2.Close() // what it can't close is cut below
			<-s.h2served
		}
		s.front.Close()
	}()
	if !within(closePatience, stopped) {
		s.sockets.cut()
		within(patience, stopped)
	}
}

// within waits for done, and reports false where that takes more looks than patience.
func within(patience int, done <-chan struct{}) bool {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for range patience + 1 {
		select {
		case <-done:
			return true
		case <-ticker.C:
		}
	}
	return false
}
