package ssetest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Close counts its patience in looks, and not in time alone: between two looks everything else has had its turn,
// however busy the machine is.
const (
	lookInterval = 10 * time.Millisecond

	// idleLooks is for how many looks Close waits where it sees no progress whatever: for a handler that can't write,
	// since its client does not read.
	idleLooks = 20

	// allLooks is for how many looks Close waits for those that do make progress, all in all; for very many streams it is more by one look for each streamsALook.
	allLooks     = 100
	streamsALook = 100

	// deafLooks is for how many looks Close waits for handlers whose connections it has cut.
	deafLooks = 100
)

// Close ends every stream, behind the last event that was published to it, and stops the server. When it returns,
// the handlers have returned and the port is free.
//
// It does not wait for clients that don't read: when a fifth of a second has passed without progress, or a second with it (and another one for each 10,000 streams),
// their connections are cut. A handler of yours that has still not returned a second later fails the test,
// since it must watch its request's context. It must not be called by a handler, for which it would wait.
// Calling Close again does nothing.
func (s *Server) Close() {
	if s.test != nil {
		s.test.Helper()
		defer s.report()
	}
	s.panicAcrossBubbles()
	s.once.Do(func() {
		if s.held {
			s.hold()
		}
		s.close()
	})
}

func (s *Server) close() {
	running.Delete(strings.ToLower(s.URL))
	if s.memory != nil {
		inMemory.Delete(memoryKey(s.memory.Addr().String()))
	}
	s.refuse()
	s.listener.sockets.reset(func(k *socket) bool { return k.stalled.Load() }) // no end would get through
	looks := allLooks + s.open()/streamsALook
	s.cancel() // from here on, the handlers end their streams

	if s.patiently(idleLooks, &looks, func() bool { return len(s.streams) == 0 && s.wire.Streams() == 0 }) {
		s.finish(&looks)
	} else {
		s.cutDeaf()
	}
	s.stop(&looks)
}

// open is how many requests are being answered.
func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// finish gives the clients time to read what is on its way to them, and to find that it is the end.
func (s *Server) finish(looks *int) {
	if s.wire.Conns() == 0 {
		return // over HTTP/1.1 that is over with the response
	}
	finished := s.background(s.wire.Finish) // it may be held up by a client that does not read
	s.patiently(idleLooks, looks, func() bool { return *finished && s.wire.Conns() == 0 })
}

// cutDeaf cuts all connections, and names the handlers that return even then not.
func (s *Server) cutDeaf() {
	s.listener.sockets.cut()
	looks := deafLooks
	if !s.patiently(deafLooks, &looks, func() bool { return len(s.streams) == 0 }) {
		s.failUnfinished()
	}
}

// refuse lets nothing new begin, and gives the topics their end.
func (s *Server) refuse() {
	s.mu.Lock()
	s.closing = true
	topics := make([]*Topic, 0, len(s.topics)+1)
	for _, t := range s.topics {
		topics = append(topics, t)
	}
	feeds := s.feeds
	s.mu.Unlock()
	_ = s.listener.Close()
	for _, t := range append(topics, s.post) {
		t.close()
	}
	for _, f := range feeds {
		f.close()
	}
}

// isClosing reports whether Close has been called. It is before any stream is ended by that.
func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// patiently waits until done, which is called with s.mu held, reports true. It reports false when it has seen no progress
// for as many looks as patience, or when all looks have been used up.
func (s *Server) patiently(patience int, looks *int, done func() bool) bool {
	before := s.pending()
	for idle := 0; idle < patience && *looks > 0; idle++ {
		if await(&s.mu, &s.changed, lookInterval, done) {
			return true
		}
		*looks--
		if now := s.pending(); now != before {
			before, idle = now, -1
		}
	}
	return false
}

// pending is what is left to do, in numbers that change with whatever is done.
func (s *Server) pending() [4]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [...]int64{int64(len(s.streams)), int64(s.wire.Streams()), int64(s.wire.Conns()), s.progress.Load()}
}

// failUnfinished names the handlers that have not returned.
func (s *Server) failUnfinished() {
	s.mu.Lock()
	var left []string
	for x := range s.streams {
		left = append(left, fmt.Sprintf("the handler of %v has not returned %v after its request's context was cancelled "+
			"and its connection closed; it must watch the context", x, time.Second))
	}
	s.mu.Unlock()
	slices.Sort(left)
	for _, what := range left {
		s.fail("%s", what)
	}
}

// stop closes what is left of the connections, and waits for the goroutines that served them.
func (s *Server) stop(looks *int) {
	stopped := s.background(func() {
		if s.h2 != nil {
			_ = s.h2.Close() // what it can't close is cut below
			<-s.h2served
		}
		s.front.Close()
	})
	done := func() bool { return *stopped }
	if !s.patiently(idleLooks, looks, done) {
		s.listener.sockets.cut()
		left := deafLooks
		// net/http lingers for half a second with a client that still sends. What is left then are handlers that have been named, and outside of a bubble they do no harm.
		if !s.patiently(deafLooks, &left, done) && s.bubble != "" {
			s.fail("the connections have not been closed a second after they were cut, which will be a deadlock in this testing/synctest bubble")
		}
	}
}

// background runs what may be held up by a client. What it returns is true when that is done, and guarded by s.mu.
func (s *Server) background(f func()) *bool {
	done := new(bool)
	go func() {
		f()
		s.mu.Lock()
		*done = true
		s.changed.raise()
		s.mu.Unlock()
	}()
	return done
}
