package ssetest

import (
	"context"
	"net/http"
	"time"
)

// This file is what lies between the goroutine that reads a stream and those who ask for what it has read.

const (
	// maxWaitingBytes and maxWaitingEvents bound what an EventSource has read and nobody has asked for.
	maxWaitingBytes  = 64 << 20
	maxWaitingEvents = 1 << 16
)

// An arrival is an event, or else what happened between events, and when it came.
type arrival struct {
	event Event
	at    time.Time
	what  *happening // nil: it is the event
}

func (a *arrival) size() int {
	n := len(a.event.Data) + len(a.event.Type) + len(a.event.ID)
	if a.what != nil {
		n += len(a.what.text)
	}
	return n
}

func (a *arrival) isComment() bool { return a.what != nil && a.what.kind == comments }

// read reports whether an arrival has been read from the stream, which a pause holds back.
func (a *arrival) read() bool { return a.what == nil || a.what.kind == comments }

// A happening is what a stream has beside its events.
type happening struct {
	kind     happeningKind
	text     string         // of a comment
	response *http.Response // with which the stream was opened
	err      error          // that broke it, or that an attempt ended in

	// Of a stream that was opened again:
	again   bool
	after   time.Duration // from its break to the attempt that has opened it
	planned time.Duration // how much of that it waited
}

type happeningKind int

const (
	comments happeningKind = iota // a comment has arrived
	opened                        // the stream is open
	failed                        // it has broken, or an attempt has failed, and is followed by another
)

// tell calls what the configuration has for something that happened.
func (es *EventSource) tell(what *happening) {
	switch {
	case what == nil:
	case what.kind == comments && es.cfg.OnComment != nil:
		es.cfg.OnComment(what.text)
	case what.kind == opened && es.cfg.OnOpen != nil:
		es.cfg.OnOpen(withoutBody(what.response))
	case what.kind == failed && es.cfg.OnError != nil:
		es.cfg.OnError(what.err)
	}
}

// put adds arrivals in their order, each when there is room, and reports false where the attempt is over first.
func (es *EventSource) put(ctx context.Context, arrivals ...arrival) bool {
	for {
		es.mu.Lock()
		before := len(arrivals)
		for len(arrivals) > 0 && es.hasRoom() && (!es.paused || !arrivals[0].read()) {
			es.add(arrivals[0])
			arrivals = arrivals[1:]
		}
		if len(arrivals) < before {
			es.changed.raise()
		}
		if len(arrivals) == 0 {
			es.mu.Unlock()
			return true
		}
		next := es.changed.next()
		es.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}

// add adds an arrival. es.mu is held, and es.changed is to be raised.
func (es *EventSource) add(a arrival) {
	es.waiting.push(a)
	es.size += a.size()
	if a.isComment() {
		es.comments++
	}
	if a.what == nil {
		es.lastEventID = a.event.ID // it counts before the event is dispatched
		es.received++
		es.total++
		if es.account != nil && es.account.ledger != nil {
			es.account.ledger.receive(a.event)
		}
	}
}

// hasRoom reports whether another arrival can be added, and makes room where it can. es.mu is held.
func (es *EventSource) hasRoom() bool {
	if es.full() {
		es.dropComments()
	}
	return !es.full()
}

// full reports whether no more is read for the time being. es.mu is held.
func (es *EventSource) full() bool {
	return es.waiting.size >= maxWaitingEvents || es.size >= maxWaitingBytes
}

// dropComments makes room: comments that nobody has asked for must not hold up events. es.mu is held.
func (es *EventSource) dropComments() {
	if es.comments == 0 {
		return // all that waits would be moved for nothing, with each event that makes room for another
	}
	kept := backlog{}
	for a := range es.waiting.all {
		if a.isComment() {
			es.size -= a.size()
		} else {
			kept.push(*a)
		}
	}
	es.waiting, es.comments = kept, 0
}

// arrive returns what has arrived next, and waits for it. Where all has been taken and the stream has ended, the error is its end.
func (es *EventSource) arrive(ctx context.Context) (arrival, error) {
	for {
		a, next, err := es.poll()
		if next == nil {
			return a, err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return arrival{}, ctx.Err()
		}
	}
}

// arriveWithin is arrive with a limit, after which the error is errTimeout. A negative limit is none.
func (es *EventSource) arriveWithin(limit time.Duration) (arrival, error) {
	var expired <-chan time.Time
	for {
		a, next, err := es.poll()
		if next == nil {
			return a, err
		}
		if limit >= 0 && expired == nil { // only now, since most of what is asked for is there
			if es.limit == nil {
				es.limit = time.NewTimer(limit)
			} else {
				es.limit.Reset(limit)
			}
			defer es.limit.Stop()
			expired = es.limit.C
		}
		select {
		case <-next:
		case <-expired:
			return arrival{}, errTimeout
		}
	}
}

// poll returns what has arrived next, or the end, or else a channel that is closed with the next change.
func (es *EventSource) poll() (a arrival, next <-chan struct{}, err error) {
	es.mu.Lock()
	defer es.mu.Unlock()
	waits := es.waiting.size == 0 && es.err == nil
	if (waits || es.changed.awaited()) && es.bubbled != inBubble() { // looked at only where it matters, since a look at the clock costs more than all the rest
		return arrival{}, nil, errOtherBubble
	}
	if waits {
		return arrival{}, es.changed.next(), nil
	}
	if a, ok := es.take(); ok {
		return a, nil, nil
	}
	return arrival{}, nil, es.err
}

// take removes the next arrival, where there is one. es.mu is held.
func (es *EventSource) take() (arrival, bool) {
	if es.waiting.size == 0 {
		return arrival{}, false
	}
	a := es.waiting.pop()
	es.size -= a.size()
	if a.isComment() {
		es.comments--
	}
	es.changed.raise()
	return a, true
}

// untaken returns the events that nobody has taken. es.mu is held.
func (es *EventSource) untaken() []Event {
	var events []Event
	for a := range es.waiting.all {
		if a.what == nil {
			events = append(events, a.event)
		}
	}
	return events
}

// firstEvent returns the first event that nobody has taken, or nil. es.mu is held.
func (es *EventSource) firstEvent() *arrival {
	for a := range es.waiting.all {
		if a.what == nil {
			return a
		}
	}
	return nil
}
