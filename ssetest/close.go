package ssetest

import (
	"fmt"
	"slices"
	"time"
)

const (
	// closePatience is how long Close waits for streams that make no progress whatever: a handler that can't write,
	// since its client does not read. Those that do make progress are given the time that they need.
	closePatience = 100 * time.Millisecond

	// cutPatience is how long Close waits for handlers whose connections it has cut.
	cutPatience = time.Second
)

// Close ends every stream, behind the last event that was published to it, and stops the server. When it returns,
// the handlers have returned and the port is free.
//
// It does not wait for clients. The connections of those that don't read are cut after a tenth of a second without progress;
// a handler of yours that has still not returned one second later fails the test, since it must watch its request's context.
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
// It reports false when nothing has got on for as long as patience.
func (s *Server) settle(patience time.Duration) bool {
	settled := func() bool { return len(s.streams) == 0 && s.wire.Open() == 0 }
	for {
		before := s.pending()
		if await(&s.mu, &s.changed, patience, settled) {
			return true
		}
		if s.pending() == before {
			return false
		}
	}
}

// pending is what is left to do, in numbers that change with everything that is done.
func (s *Server) pending() [3]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [...]int64{int64(len(s.streams)), int64(s.wire.Open()), s.progress.Load()}
}

// failUnfinished names the handlers that have not returned.
func (s *Server) failUnfinished() {
	s.mu.Lock()
	var left []string
	for st := range s.streams {
		left = append(left, fmt.Sprintf("the handler of %v has not returned %v after its request's context was cancelled "+
			"and its connection closed; it must watch the context", st, cutPatience+closePatience))
	}
	s.mu.Unlock()
	slices.Sort(left)
	for _, what := range left {
		s.fail("%s", what)
	}
}

// stop closes the connections, in order where that is possible at once, and waits for the goroutines that served them.
// Where it has to cut connections, it waits for no longer than patience afterwards.
func (s *Server) stop(patience time.Duration) {
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

// within waits for done, and reports false where that takes longer than the limit.
func within(limit time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
