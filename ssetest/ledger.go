package ssetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// maxLedger and maxLedgerBytes are how many events a ledger can hold, and how large they can be together.
const (
	maxLedger      = 1 << 17
	maxLedgerBytes = 64 << 20
)

// A ledger is what there is to know about the delivery of events to one [Stream] that reconnects: what its endpoint has published since
// the stream was first opened, what has arrived, and where the client has asked to resume.
type ledger struct {
	mu       sync.Mutex // guards what follows
	received []Event    // in the order of their arrival, by all attempts
	asked    []resume   // by attempt
	bytes    int        // of these, and of those that were sent
	full     bool       // more came than is kept

	// The endpoint, of which one is there when the stream has been opened by an endpoint that keeps the books.
	topic  *Topic
	before *record // the newest when the stream was opened; nil where it has been let go
	books  bool    // an endpoint without a log writes down what it sends:
	sent   []Event // each ID once: what is sent again after a reconnect is the same event
	ids    map[Event]bool
}

// A resume is what an attempt has asked for, and what has arrived of that.
type resume struct {
	wanted  string // the last event ID that the client had
	seen    string // by the server
	arrived bool   // at the server
}

func newLedger() *ledger { return &ledger{ids: make(map[Event]bool)} }

// ask takes note of an attempt, which is to resume behind an ID.
func (l *ledger) ask(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.asked) < maxLedger {
		l.asked = append(l.asked, resume{wanted: id})
	}
}

// see takes note of where an attempt that has arrived resumes. They are numbered from 1.
func (l *ledger) see(attempt int, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if attempt >= 1 && attempt <= len(l.asked) {
		l.asked[attempt-1].seen, l.asked[attempt-1].arrived = id, true
	}
}

// receive takes note of an event that the client has dispatched.
func (l *ledger) receive(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hasRoom(len(l.received), e) {
		l.received = append(l.received, e)
	}
}

// hasRoom takes note of an event that is to be kept beside so many, and reports false where there are too many. The mutex is held.
func (l *ledger) hasRoom(beside int, e Event) bool {
	l.bytes += len(e.Type) + len(e.Data) + len(e.ID)
	if l.full = l.full || beside == maxLedger || l.bytes > maxLedgerBytes; l.full {
		l.received, l.sent, l.ids, l.before = nil, nil, nil, nil
	}
	return !l.full
}

// keepBooks says that the endpoint writes down what it sends.
func (l *ledger) keepBooks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.books = true
}

// send takes note of events that an endpoint without a log sends.
func (l *ledger) send(events ...Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		same := e
		same.Retry = 0
		if e.ID != "" && l.ids[same] {
			continue
		}
		if !l.hasRoom(len(l.sent), e) {
			return
		}
		l.ids[same] = true
		l.sent = append(l.sent, e)
	}
}

// follow says that the endpoint is a topic, whose log goes on behind a record. It reports whether that was news.
func (l *ledger) follow(t *Topic, before *record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.topic != nil {
		return false
	}
	l.topic, l.before = t, before
	return true
}

// close lets go of the log.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = nil
}

// expire lets go of a log that has grown too long. It reports whether there is nothing left to hold.
func (l *ledger) expire(last *record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before != nil && (last.number-l.before.number > maxLedger || last.end-l.before.end > maxLedgerBytes+maxLedger*recordOverhead) {
		l.before, l.full = nil, true
	}
	return l.before == nil
}

// published returns what the endpoint has published until now, or says why nobody knows.
func (l *ledger) published() ([]Event, error) {
	l.mu.Lock()
	topic, before, full, books, sent := l.topic, l.before, l.full, l.books, l.sent
	l.mu.Unlock()
	switch {
	case full:
		return nil, fmt.Errorf("there were more than %d events, or %d MiB of them, which is as many as are compared", maxLedger, maxLedgerBytes>>20)
	case topic != nil:
		return topic.since(before), nil // without l.mu, which is taken with t.mu held
	case books:
		return sent[:len(sent):len(sent)], nil // what is there does not change
	default:
		return nil, errors.New("it is not open at a topic, a script, a feed or the letters: what a handler of yours should have sent, only your test can know")
	}
}

// since returns the events of a topic behind a record. A record does not change, and the newest is where it ends.
func (t *Topic) since(r *record) []Event {
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	parser := newParser()
	var events []Event
	for r != last {
		r = r.next
		events = append(events, parser.feed(r.wire)...)
	}
	return events
}

// A delivery is what has become of the events that were published.
type delivery struct {
	lost, repeated, misplaced, unknown []Event
	resumes                            []string // that were wrong
	nameless                           int      // the first attempt that came back to a topic without an ID; 0: none did
}

func (d *delivery) fine() bool {
	return len(d.lost)+len(d.repeated)+len(d.misplaced)+len(d.unknown)+len(d.resumes) == 0
}

// String lists what was wrong.
func (d *delivery) String() string {
	var b strings.Builder
	for _, group := range []struct {
		what   string
		events []Event
	}{{"lost", d.lost}, {"repeated", d.repeated}, {"out of order", d.misplaced}, {"never published", d.unknown}} {
		if len(group.events) > 0 {
			fmt.Fprintf(&b, "%s: %s%s", group.what, count(len(group.events), "event"), listFirst(group.events))
		}
	}
	if len(d.lost) > 0 && d.nameless > 0 {
		fmt.Fprintf(&b, "attempt %d came back without a last event ID, since no event with one had arrived: what had been published is not sent again then\n", d.nameless)
	}
	if n := len(d.resumes); n > 0 {
		shown := d.resumes[:min(n, maxListed)]
		fmt.Fprintf(&b, "wrong Last-Event-ID: %s:\n  %s\n", count(n, "attempt"), strings.Join(shown, "\n  "))
		if n > len(shown) {
			fmt.Fprintf(&b, "  … %d more\n", n-len(shown))
		}
	}
	return b.String()
}

// compare compares what was published with what has arrived. An event is the same as another with its type, data and ID; one that was published
// without an ID is recognized without it.
func (l *ledger) compare(published []Event) *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := new(delivery)
	place := make(map[Event]int, len(published)) // where each was published; of those that look the same, the first that has not come
	twin := make([]int, len(published))          // the next that looks the same
	due := make(map[Event]int, len(published))
	for i := len(published) - 1; i >= 0; i-- {
		e := published[i]
		e.Retry = 0
		twin[i] = place[e]
		place[e] = i
		due[e]++
	}
	next := 0 // the place of the event that should come at the earliest
	for _, got := range l.received {
		key := got
		key.Retry = 0
		i, known := place[key]
		if nameless := (Event{Type: key.Type, Data: key.Data}); !known || due[key] <= 0 && due[nameless] > 0 {
			if j, ok := place[nameless]; ok {
				key, i, known = nameless, j, true
			}
		}
		switch {
		case !known:
			d.unknown = append(d.unknown, got)
			continue
		case due[key] <= 0:
			d.repeated = append(d.repeated, got)
		case i < next:
			d.misplaced = append(d.misplaced, got)
		default:
			next = i + 1
		}
		if due[key]--; due[key] > 0 {
			place[key] = twin[i]
		}
	}
	for _, e := range published {
		key := e
		key.Retry = 0
		if due[key] > 0 {
			due[key]--
			d.lost = append(d.lost, e)
		}
	}
	for i, r := range l.asked {
		if l.topic != nil && i > 0 && r.arrived && r.wanted == "" && d.nameless == 0 {
			d.nameless = i + 1
		}
		if r.arrived && headerID(r.seen) != headerID(r.wanted) {
			d.resumes = append(d.resumes, fmt.Sprintf("attempt %d asked with %q, where the last event ID was %q", i+1, r.seen, r.wanted))
		}
	}
	return d
}

// learn takes from what was unknown what has been published since.
func (d *delivery) learn(since []Event) {
	known := make(map[Event]bool)
	for _, e := range since {
		e.Retry = 0
		known[e] = true
		e.ID = ""
		known[e] = true
	}
	d.unknown = slices.DeleteFunc(d.unknown, func(e Event) bool { e.Retry = 0; return known[e] })
}

// undecidable names an event that can't be told from another, or from one that is sent again.
func undecidable(published []Event) error {
	seen := make(map[string]Event, len(published))
	for _, e := range published {
		if headerID(e.ID) == "" {
			return fmt.Errorf("%v has no ID", e)
		}
		if first, again := seen[headerID(e.ID)]; again {
			return fmt.Errorf("%v has the ID of %v", e, first)
		}
		seen[headerID(e.ID)] = e
	}
	return nil
}

// arrivals is how many events have arrived.
func (l *ledger) arrivals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.received)
}
