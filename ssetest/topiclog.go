package ssetest

import (
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// This file is the log behind a topic: what is kept, and who has got how far.

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

// A record is one published event. Only next ever changes, once.
type record struct {
	number int64 // from 1
	end    int64 // the size of everything up to it, this one included
	wire   []byte
	id     string // as a client sends it back
	next   *record
}

// headerID is an event's ID as Last-Event-ID has it. What is not UTF-8 is U+FFFD to the client that received it,
// and a header can carry no blanks at its ends (RFC 9110, section 5.5).
func headerID(id string) string {
	if !utf8.ValidString(id) {
		id = replaceIllFormed([]byte(id))
	}
	return strings.Trim(id, " \t")
}

// A subscription is one stream's place in the log.
type subscription struct {
	*exchange
	before  int64                  // the number of the record before the first that it gets
	at      atomic.Pointer[record] // the last that has been handed to it
	expired atomic.Bool            // it fell too far behind
}

// append adds to the log, with t.mu held, and returns how many streams will get it. It reports false where the log is closed.
func (t *Topic) append(records ...*record) (n int, ok bool) {
	if t.closed {
		return 0, false
	}
	t.expireSlow()
	if len(t.streams) == 0 {
		t.unheard += len(records)
	}
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

// expireSlow gives up the streams that are too far behind, and the ledgers that have become too long. It looks at them all, and therefore seldom.
func (t *Topic) expireSlow() {
	if t.last.end < t.check {
		return
	}
	t.check = t.last.end + t.maxBehindBytes/16
	for l := range t.ledgers {
		if l.expire(t.last) {
			delete(t.ledgers, l)
		}
	}
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
func (t *Topic) subscribe(x *exchange, lastID string) *subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.last
	if lastID != "" {
		if seen, ok := t.byID[headerID(lastID)]; ok {
			at = seen
		} else {
			t.srv.noteOn(x, "topic %s has no event with that ID in its history; nothing is sent again", t.path)
		}
	}
	sub := &subscription{exchange: x, before: at.number}
	sub.at.Store(at)
	t.streams[sub] = true
	t.changed.raise()
	if x.account != nil {
		x.account.attach(x, func() int64 { return t.due(sub) })
	}
	if books := x.books(); books != nil && books.follow(t, at) {
		t.ledgers[books] = true
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
		sub.left.Store(true)
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
