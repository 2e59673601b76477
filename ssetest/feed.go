package ssetest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A Feed is a pattern whose streams the test accepts, one after the other, and drives by hand. [Server.Feed] makes it.
// Its methods may be called from several goroutines.
type Feed struct {
	srv     *Server
	pattern string

	mu      sync.Mutex // guards what follows
	changed signal     // raised when it has changed
	waiting []*drive   // in the order in which they were opened
	closed  bool
}

// Feed makes the requests that a pattern of [http.ServeMux] matches streams that the test drives: "GET /feed", "POST /v1/chat/completions".
// Each has its 200 and its headers at once, and then what the test sends: see [Feed.Accept].
// The pattern comes before the built-in endpoints. HEAD and OPTIONS reach no Accept. A request's body is read before, up to Config.MaxBodyBytes;
// a larger one is answered with 413.
//
// Feed panics where the pattern is malformed or conflicts with an earlier one.
func (s *Server) Feed(pattern string) *Feed {
	f := &Feed{srv: s, pattern: pattern}
	s.serve("Feed", pattern, f.serve)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds = append(s.feeds, f)
	f.closed = s.closing
	return f
}

// Accept returns the next stream that a client has opened, and waits for it where there is none. It is bound to t.
// Every stream is accepted once, in the order in which they were opened, also one that its client has left again.
// Those that nobody has accepted when the server is closed are noted, and shown when the test has failed.
//
// It fails t after Config.Timeout. Call it from the test's own goroutine.
func (f *Feed) Accept(t testing.TB) *ServerStream {
	t.Helper()
	f.srv.mustShareBubble(t)
	var next *drive
	closed := false
	await(&f.mu, &f.changed, f.srv.cfg.Timeout, func() bool {
		if closed = f.closed; len(f.waiting) == 0 {
			return closed
		}
		next = f.waiting[0]
		f.waiting = slices.Delete(f.waiting, 0, 1)
		return true
	})
	if next == nil {
		why := fmt.Sprintf("after %v there was none", f.srv.cfg.Timeout)
		if closed {
			why = "but the server is closed"
		}
		f.srv.fatal(t, "ssetest: waited for a client to open a stream of %s; %s\n%s", f.pattern, why, f.srv.describeRequests())
	}
	return &ServerStream{t: t, drive: next}
}

// serve is the feed's endpoint.
func (f *Feed) serve(w http.ResponseWriter, r *http.Request) {
	x, ok := eventStream(w, r)
	if !ok {
		return
	}
	d := newDrive(newPlayer(w, r, nil), r)
	f.mu.Lock()
	f.waiting = append(f.waiting, d)
	f.changed.raise()
	f.mu.Unlock()
	defer close(d.over)
	if x.open() && x.sent(true) { // or the first thing that is sent could break off what has not left
		d.serve()
	}
}

// close lets nobody wait any longer, and notes the streams that nobody has accepted.
func (f *Feed) close() {
	f.mu.Lock()
	f.closed = true
	left := slices.Clone(f.waiting) // they can still be accepted
	f.changed.raise()
	f.mu.Unlock()
	for i, d := range left {
		if i == maxListed {
			f.srv.note("… and %d more streams of %s that nobody has accepted", len(left)-i, f.pattern)
			break
		}
		f.srv.noteOn(d.x, "nobody has accepted it")
	}
}

// A drive is a stream of a feed, between its handler and whoever sends on it.
type drive struct {
	*player
	request *http.Request
	work    chan *batch
	over    chan struct{} // closed when the handler returns
}

// A batch is steps that are to be served.
type batch struct {
	steps  []Step
	served chan error // gets how that ended; has room for it
}

func newDrive(p *player, r *http.Request) *drive {
	return &drive{player: p, request: r, work: make(chan *batch), over: make(chan struct{})}
}

// serve serves batches until one of them ends the stream, or it is over.
func (d *drive) serve() {
	for {
		select {
		case b := <-d.work:
			err := d.play(b.steps)
			b.served <- err
			if err != nil {
				d.conclude(err)
				return
			}
		case <-d.ctx.Done():
			return
		}
	}
}

var errNotServed = errors.New("the steps have not been served in time")

// hand has steps served, and returns how that ended.
func (d *drive) hand(steps []Step, limit time.Duration) error {
	b := &batch{steps: slices.Clone(steps), served: make(chan error, 1)}
	var expired <-chan time.Time
	if limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case d.work <- b:
	case <-d.over:
		return errGone
	case <-expired:
		return errNotServed
	}
	select {
	case err := <-b.served:
		return err
	case <-d.over:
		select {
		case err := <-b.served: // both are there
			return err
		default:
			return errGone // the handler has panicked
		}
	case <-expired:
		return errNotServed
	}
}
