package ssetest

import (
	"context"
	"net/http"
	"slices"
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

// put adds an arrival, when there is room, and reports false where the attempt is over first.
func (es *EventSource) put(ctx context.Context, a arrival) bool {
	for {
		es.mu.Lock()
		if es.full() {
			es.dropComments()
		}
		if !es.full() && (!es.paused || !a.read()) {
			es.add(a)
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

// add adds an arrival. es.mu is held.
func (es *EventSource) add(a arrival) {
	es.waiting = append(es.waiting, a)
	es.size += a.size()
	if a.what == nil {
		es.lastEventID = a.event.ID // it counts before the event is dispatched
		es.received++
		es.total++
		if es.account != nil && es.account.ledger != nil {
			es.account.ledger.receive(a.event)
		}
	}
	es.changed.raise()
}

// full reports whether no more is read for the time being. es.mu is held.
func (es *EventSource) full() bool {
	return len(es.waiting) >= maxWaitingEvents || es.size >= maxWaitingBytes
}

// dropComments makes room: comments that nobody has asked for must not hold up events. es.mu is held.
func (es *EventSource) dropComments() {
	es.waiting = slices.DeleteFunc(es.waiting, func(a arrival) bool {
		drop := a.what != nil && a.what.kind == comments
		if drop {
			es.size -= a.size()
		}
		return drop
	})
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
	a, ok := es.take()
	switch {
	case ok:
		return a, nil, nil
	case es.err != nil:
		return arrival{}, nil, es.err
	default:
		return arrival{}, es.changed.next(), nil
	}
}

// take removes the next arrival, where there is one. es.mu is held.
func (es *EventSource) take() (arrival, bool) {
	if len(es.waiting) == 0 {
		return arrival{}, false
	}
	a := es.waiting[0]
	es.waiting[0] = arrival{} // it is the caller's now
	es.waiting = es.waiting[1:]
	es.size -= a.size()
	es.changed.raise()
	return a, true
}

// untaken returns the events that nobody has taken. es.mu is held.
func (es *EventSource) untaken() []Event {
	var events []Event
	for i := range es.waiting {
		if es.waiting[i].what == nil {
			events = append(events, es.waiting[i].event)
		}
	}
	return events
}

// firstEvent returns the first event that nobody has taken, or nil. es.mu is held.
func (es *EventSource) firstEvent() *arrival {
	for i := range es.waiting {
		if es.waiting[i].what == nil {
			return &es.waiting[i]
		}
	}
	return nil
}
