package ssetest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	// defaultHistoryBytes bounds what a topic keeps for clients that come back.
	defaultHistoryBytes = 64 << 20

	// defaultBehindBytes bounds how far a stream may fall behind: what it has not taken yet is kept for it.
	defaultBehindBytes = 256 << 20

	// recordOverhead is what a small event costs beside its bytes, in both bounds.
	recordOverhead = 64

	// maxBatchBytes bounds how much of what has gathered for a stream goes out in one write.
	maxBatchBytes = 64 << 10
)

// A Topic is a path to which events are published with [Topic.Publish], [Topic.Post] or a POST request, and which
// streams them to every client that has it open. [Server.Topic] makes them. All methods may be called from several goroutines.
//
// It is a log, in which every stream has its place. An event is encoded once, and what has gathered for a stream
// since its last write goes out in one piece. A slow client therefore holds up nobody;
// when its stream is 256 MiB behind, it is aborted.
type Topic struct {
	srv             *Server
	path            string
	maxHistoryBytes int64
	maxBehindBytes  int64

	mu      sync.Mutex // guards what follows
	grown   signal     // raised when there is more to send, or nothing will come any more
	changed signal     // raised when a stream has come or gone
	closed  bool
	posts   uint64 // events that have had an ID from the seed
	streams map[*subscription]bool
	last    *record // the newest
	oldest  *record // the one before the oldest that is kept
	kept    int
	byID    map[string]*record // of those that are kept, the newest with each ID
	check   int64              // when the log has this size, it is time to look for slow streams again
}

// A record is one published event. Only next ever changes, once.
type record struct {
	number int64 // from 1
	end    int64 // the size of everything up to it, this one included
	wire   []byte
	id     string // as a client sends it back
	next   *record
}

// headerID is an event's ID as Last-Event-ID has it: a header can carry no blanks at its ends (RFC 9110, section 5.5).
func headerID(id string) string { return strings.Trim(id, " \t") }

// A subscription is one stream's place in the log.
type subscription struct {
	*serverStream
	before  int64                  // the number of the record before the first that it gets
	at      atomic.Pointer[record] // the last that has been handed to it
	expired atomic.Bool            // it fell too far behind
}

func (s *Server) newTopic(path string) *Topic {
	start := new(record)
	return &Topic{
		srv:             s,
		path:            path,
		maxHistoryBytes: defaultHistoryBytes,
		maxBehindBytes:  defaultBehindBytes,
		streams:         make(map[*subscription]bool),
		byID:            make(map[string]*record),
		last:            start,
		oldest:          start,
	}
}

// checkTopicPath panics where a path could not be that of a topic.
func checkTopicPath(path string) {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "{}?# \t") {
		panic(fmt.Sprintf("ssetest: Topic(%q): the path must begin with a slash, and have no wildcard, no query and no blank", path))
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
	records := make([]*record, len(events))
	for i, e := range events {
		wire, err := e.AppendText(nil)
		if err != nil {
			panic(fmt.Sprintf("ssetest: Publish: event %d of %d, %v: %v", i+1, len(events), e, err))
		}
		records[i] = &record{wire: wire, id: headerID(e.ID)}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.append(records...)
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
	wire, err := e.AppendText(nil)
	if err != nil {
		panic(fmt.Sprintf("ssetest: %s: %v: %v", t.path, e, err)) // data can't be refused, and the rest is ours
	}
	t.posts++
	return t.append(&record{wire: wire, id: e.ID})
}

// append adds to the log, with t.mu held, and returns how many streams will get it. It reports false where the log is closed.
func (t *Topic) append(records ...*record) (n int, ok bool) {
	if t.closed {
		return 0, false
	}
	t.expireSlow()
	for _, r := range records {
		r.number = t.last.number + 1
		r.end = t.last.end + int64(len(r.wire)) + recordOverhead
		t.last.next = r
		t.last = r
		t.keep(r)
	}
	t.grown.raise()
	return len(t.streams), true
}

// keep makes a record part of the history, and lets the oldest go.
func (t *Topic) keep(r *record) {
	t.kept++
	if r.id != "" {
		t.byID[r.id] = r
	}
	for t.kept > t.srv.cfg.History || t.kept > 0 && r.end-t.oldest.end > t.maxHistoryBytes {
		t.oldest = t.oldest.next
		t.kept--
		if t.byID[t.oldest.id] == t.oldest {
			delete(t.byID, t.oldest.id)
		}
	}
}

// expireSlow gives up the streams that are too far behind. It looks at them all, and therefore seldom.
func (t *Topic) expireSlow() {
	if t.last.end < t.check {
		return
	}
	t.check = t.last.end + t.maxBehindBytes/16
	for sub := range t.streams {
		at := sub.at.Load()
		behind := t.last.end - at.end
		if behind <= t.maxBehindBytes {
			continue
		}
		sub.expired.Store(true)
		t.remove(sub)
		sub.detach()
		t.srv.note("%v of topic %s was aborted: it was %d bytes behind", sub, t.path, behind)
	}
}

// AwaitSubscribers is [Server.AwaitSubscribers] for this topic.
func (t *Topic) AwaitSubscribers(tb testing.TB, n int) {
	tb.Helper()
	there, closed := 0, false
	reached := func() bool {
		there, closed = len(t.streams), t.closed
		return there == n || closed
	}
	if await(&t.mu, &t.changed, t.srv.cfg.Timeout, reached) && there == n {
		return
	}
	why := fmt.Sprintf("after %v", t.srv.cfg.Timeout)
	if closed {
		why = "when the server was closed"
	}
	tb.Fatalf("ssetest: waited for exactly %s of GET %s; %s there were %d\n%s",
		count(n, "open stream"), t.path, why, there, t.srv.describe())
}

// serve is GET on the topic's path.
func (t *Topic) serve(w http.ResponseWriter, r *http.Request) {
	st, ok := eventStream(w, r)
	if !ok {
		return
	}
	sub := t.subscribe(st, lastEventID(r))
	defer t.unsubscribe(sub)
	if !st.open() {
		return
	}
	var batch []byte
	for {
		next := t.take(sub, batch[:0])
		switch {
		case next.expired:
			panic(http.ErrAbortHandler) // what comes next is not there any more, and the client must see that
		case next.events > 0:
			if !st.write(next.wire, next.events) {
				return
			}
			if next.events > 1 {
				batch = next.wire
			}
		case next.closed:
			return
		default:
			select {
			case <-next.grown:
			case <-r.Context().Done():
				if t.srv.base.Err() == nil {
					return // the client has left
				}
				<-next.grown // Close raises it when the log has its end; until there everything is sent
			}
		}
	}
}

// A portion is what a stream is to do next.
type portion struct {
	wire    []byte
	events  int
	grown   <-chan struct{} // where there is nothing to do yet
	closed  bool            // nothing more will come
	expired bool
}

// take moves a stream on by what has gathered for it. One event is its record's own bytes, several are copied to buf.
func (t *Topic) take(sub *subscription, buf []byte) portion {
	t.mu.Lock()
	at, last := sub.at.Load(), t.last
	idle := at == last
	p := portion{closed: t.closed, expired: sub.expired.Load()}
	if idle {
		p.grown = t.grown.next()
	}
	t.mu.Unlock()
	if idle || p.expired {
		return p
	}

	// Up to last the log does not change any more: it is read without the lock.
	to := at.next
	p.wire, p.events = to.wire, 1
	if to != last && len(to.wire)+len(to.next.wire) <= maxBatchBytes {
		p.wire = append(buf, to.wire...)
		for to != last && len(p.wire)+len(to.next.wire) <= maxBatchBytes {
			to = to.next
			p.wire = append(p.wire, to.wire...)
			p.events++
		}
	}
	p.expired = !sub.advance(at, to)
	return p
}

// advance moves a stream on. It reports false where the stream has expired in between, and must not take hold of the log again.
func (sub *subscription) advance(from, to *record) bool { return sub.at.CompareAndSwap(from, to) }

// detach lets go of the log: a place in it would keep all that comes after.
func (sub *subscription) detach() { sub.at.Store(&record{number: sub.at.Load().number}) }

// subscribe registers a stream: it gets what is published from now on, and before it what it has missed since lastID.
func (t *Topic) subscribe(st *serverStream, lastID string) *subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.last
	if lastID != "" {
		if seen, ok := t.byID[headerID(lastID)]; ok {
			at = seen
		} else {
			t.srv.note("%v: topic %s has no event with that ID in its history; nothing is sent again", st, t.path)
		}
	}
	sub := &subscription{serverStream: st, before: at.number}
	sub.at.Store(at)
	t.streams[sub] = true
	t.changed.raise()
	if st.account != nil {
		st.account.attach(func() int64 { return t.due(sub) })
	}
	return sub
}

func (t *Topic) unsubscribe(sub *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(sub)
	sub.detach()
}

// remove takes a stream off the list, with t.mu held.
func (t *Topic) remove(sub *subscription) {
	if t.streams[sub] {
		delete(t.streams, sub)
		t.changed.raise()
	}
}

// due is how many events a stream has been sent or will be.
func (t *Topic) due(sub *subscription) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams[sub] {
		return t.last.number - sub.before
	}
	return sub.at.Load().number - sub.before
}

// close lets the streams end behind the last event. Nothing is published any more.
func (t *Topic) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.grown.raise()
	t.changed.raise()
}
