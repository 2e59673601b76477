package ssetest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A Topic is a path to which events are published with [Topic.Publish], [Topic.Post] or a POST request, and which
// streams them to every client that has it open. [Server.Topic] makes them. All methods may be called from several goroutines.
//
// It is a log, in which every stream has its place. An event is encoded once, and what has gathered for a stream
// since its last write goes out together, in pieces of up to 64 KiB. A slow client therefore holds up nobody;
// when its stream is 256 MiB behind, it is aborted.
type Topic struct {
	srv             *Server
	path            string
	maxHistoryBytes int64
	maxBehindBytes  int64

	mu         sync.Mutex // guards what follows
	grown      signal     // raised when there is more to send, or nothing will come any more
	changed    signal     // raised when a stream has come or gone
	closed     bool
	posts      uint64 // events that have had an ID from the seed
	unheard    int    // events that were published when nobody was subscribed
	streams    map[*subscription]bool
	last       *record // the newest
	piece      *piece  // in which it lies
	pieceBytes int     // the size of that piece; 0 where an event lies in it by itself
	oldest     *record // the one before the oldest that is kept
	kept       int
	byID       map[string]*record // of those that are kept, the newest with each ID
	ledgers    map[*ledger]bool   // that need the log
	check      int64              // when the log has this size, it is time to look for slow streams again
}

// postPath is that of the topic that a server begins with.
const postPath = "/post"

func (s *Server) newTopic(path string) *Topic {
	start := new(record)
	return &Topic{
		srv:             s,
		path:            path,
		maxHistoryBytes: defaultHistoryBytes,
		maxBehindBytes:  defaultBehindBytes,
		streams:         make(map[*subscription]bool),
		ledgers:         make(map[*ledger]bool),
		byID:            make(map[string]*record),
		last:            start,
		piece:           new(piece),
		oldest:          start,
	}
}

// checkTopicPath panics where a path could not be that of a topic.
func checkTopicPath(path string) {
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Path != path || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "{}# ") {
		panic(fmt.Sprintf("ssetest: Topic(%q): that is not a plain path: it begins with a slash, and has no wildcard, no query, no blank and no escape", path))
	}
	if path == lettersPath {
		panic(fmt.Sprintf("ssetest: Topic(%q): that is where the letters are", path))
	}
}

func (t *Topic) register(mux *http.ServeMux) {
	path := t.path
	if strings.HasSuffix(path, "/") {
		path += "{$}"
	}
	mux.HandleFunc("GET "+path, t.serve)
	mux.HandleFunc("POST "+path, t.receive)
}

// Publish is [Server.Publish] for this topic.
func (t *Topic) Publish(events ...Event) int {
	for i := range events {
		if err := events[i].validate(); err != nil {
			panic(fmt.Sprintf("ssetest: Publish: event %d of %d, %v: %s", i+1, len(events), events[i], strings.TrimPrefix(err.Error(), "ssetest: ")))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.publish(events...)
	return n
}

// Post is [Server.Post] for this topic.
func (t *Topic) Post(v any) int {
	n, _ := t.broadcast(JSON(v).Data)
	return n
}

// broadcast publishes what has been posted.
func (t *Topic) broadcast(payload string) (n int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := Event{Type: "message", Data: payload, ID: t.srv.seed.uuid("post "+t.path, t.posts), Retry: t.srv.cfg.Retry}
	t.posts++
	return t.publish(e) // data can't be refused, and the rest is ours
}

// AwaitSubscribers is [Server.AwaitSubscribers] for this topic.
func (t *Topic) AwaitSubscribers(tb testing.TB, n int) {
	tb.Helper()
	t.srv.mustShareBubble(tb)
	if n < 0 {
		tb.Fatalf("ssetest: AwaitSubscribers(%d): there can't be fewer than none", n)
	}
	there, closed := 0, false
	reached := func() bool {
		there, closed = len(t.streams), t.closed
		return there == n || closed
	}
	if await(&t.mu, &t.changed, t.srv.cfg.Timeout, reached) && there == n {
		return
	}
	why, hint := fmt.Sprintf("after %v", t.srv.cfg.Timeout), ""
	switch {
	case closed:
		why = "when the server was closed"
	case there > n:
		hint = "; is the body of a response still open?"
	}
	t.srv.fatal(tb, "ssetest: waited for exactly %s of GET %s; %s there were %d%s", count(n, "open stream"), t.path, why, there, hint)
}

// serve is GET on the topic's path.
func (t *Topic) serve(w http.ResponseWriter, r *http.Request) {
	x, ok := eventStream(w, r)
	if !ok {
		return
	}
	sub := t.subscribe(x, lastEventID(r))
	defer t.unsubscribe(sub)
	if !x.open() {
		return
	}
	for {
		grown, more := t.send(sub)
		if !more {
			return
		}
		select {
		case <-grown:
		case <-r.Context().Done():
			if t.srv.base.Err() == nil {
				return // the client has left
			}
			<-grown // Close raises it when the log has its end; until there everything is sent
		}
	}
}

// send sends what there is for a stream. It returns a channel that is closed when there is more, or reports false where nothing more is to be sent.
func (t *Topic) send(sub *subscription) (grown <-chan struct{}, more bool) {
	for {
		next := t.take(sub)
		switch {
		case next.expired:
			sub.aborted.Store(true) // what comes next is not there any more
			panic(http.ErrAbortHandler)
		case next.events > 0:
			if !sub.write(next.wire, next.events) {
				return nil, false
			}
		default:
			return next.grown, !next.closed
		}
	}
}

// close lets the streams end behind the last event. Nothing is published any more.
func (t *Topic) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.grown.raise()
	t.changed.raise()
}

// describe is what a failure says of a topic: events that nobody was there to get are the commonest reason why none came.
func (t *Topic) describe() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unheard == 0 {
		return ""
	}
	return fmt.Sprintf("published to %s while nobody was subscribed: %s\n", t.path, count(t.unheard, "event"))
}
