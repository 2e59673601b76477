package ssetest

import (
	"fmt"
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

	// maxPieceBytes bounds how much of what has gathered for a stream goes out in one write, but for an event that is larger by itself.
	maxPieceBytes = 64 << 10
	minPieceBytes = 4 << 10
)

// A record is one published event. Only next ever changes, once.
type record struct {
	number int64  // from 1
	end    int64  // the size of everything up to it, this one included
	wire   []byte // whose capacity ends with the piece
	id     string // as a client sends it back
	next   *record
	piece  *piece
}

// A piece is memory in which events lie one behind the other, so that what has gathered for a stream goes out as it lies there.
type piece struct {
	last *record // in it
	room []byte  // behind that; empty, but for its capacity
}

// encode makes a record of an event, behind the newest. t.mu is held. It returns how much room is lost by that.
func (t *Topic) encode(e Event) (r *record, lost int, err error) {
	size := wireSize(e)
	switch {
	case size > maxPieceBytes/2: // it lies by itself
		lost = cap(t.piece.room)
		t.piece, t.pieceBytes = &piece{room: make([]byte, 0, size)}, 0
	case size > cap(t.piece.room):
		lost = cap(t.piece.room)
		t.pieceBytes = min(max(2*t.pieceBytes, minPieceBytes, size), maxPieceBytes) // small ones first, for topics on which there is little
		t.piece = &piece{room: make([]byte, 0, t.pieceBytes)}
	}
	room := cap(t.piece.room)
	wire, err := e.AppendText(t.piece.room)
	if err != nil {
		return nil, lost, err
	}
	if len(wire) > room { // it has more lines than there was room for, and lies by itself now
		end := max(len(wire), min(cap(wire), maxPieceBytes))
		lost += room + cap(wire) - end
		wire, t.piece = wire[:len(wire):end], new(piece)
	}
	r = &record{wire: wire, id: headerID(e.ID), piece: t.piece}
	t.piece.last, t.piece.room = r, wire[len(wire):]
	return r, lost, nil
}

// wireSize is about how large an event is on the wire: as large, or less, but for data of several lines.
func wireSize(e Event) int { return len(e.Type) + len(e.Data) + len(e.ID) + recordOverhead }

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

// append adds to the log, with t.mu held. Room that is lost counts as well: it is held as long as what lies before it.
func (t *Topic) append(r *record, lost int) {
	r.number = t.last.number + 1
	r.end = t.last.end + int64(len(r.wire)) + recordOverhead + int64(lost)
	t.last.next = r
	t.last = r
	t.keep(r)
}

// publish adds events to the log, with t.mu held, and returns how many streams will get them. It reports false where the log is closed.
// The events are valid.
func (t *Topic) publish(events ...Event) (n int, ok bool) {
	if t.closed {
		return 0, false
	}
	t.expireSlow()
	if len(t.streams) == 0 {
		t.unheard += len(events)
	}
	defer t.grown.raise()
	for _, e := range events {
		r, lost, err := t.encode(e)
		if err != nil {
			panic(fmt.Sprintf("ssetest: %s: %v: %v", t.path, e, err)) // they have been validated
		}
		t.append(r, lost)
	}
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

// take moves a stream on by what has gathered for it, as far as that lies in one piece.
func (t *Topic) take(sub *subscription) portion {
	t.mu.Lock()
	at, p := sub.at.Load(), portion{closed: t.closed, expired: sub.expired.Load()}
	if at == t.last {
		p.grown = t.grown.next()
		t.mu.Unlock()
		return p
	}
	if p.expired {
		t.mu.Unlock()
		return p
	}
	first := at.next
	to := first.piece.last
	t.mu.Unlock()

	// Up to there the log does not change any more: it is read without the lock.
	p.events = int(to.number - at.number)
	size := cap(first.wire) - cap(to.wire) + len(to.wire) // both end where their piece ends
	p.wire = first.wire[:size:size]
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
