package ssetest

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// errDisturbed is what an endpoint reads that writes to a stream which chaos has broken off.
var errDisturbed = errors.New("ssetest: chaos has broken the stream off")

// A disturbance is what chaos does to one stream. It finds the events in what an endpoint writes, however that is cut into writes.
type disturbance struct {
	outlet *outlet
	chaos  *chaos
	number uint64 // of the stream, on its pattern, from 1

	event   uint64 // that it is in, or was in last; from 1
	fate    fate
	delay   time.Duration // that is still to be waited, before the event
	held    []byte        // of an event that is to be broken off or sent twice
	over    error         // not nil when the stream has been broken off
	inEvent bool
	inLine  bool
	afterCR bool
}

// write passes on what an endpoint writes.
func (d *disturbance) write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		if d.over != nil {
			return i, d.over
		}
		n, complete := d.scan(p[i:])
		ofEvent := d.inEvent || complete
		if ofEvent {
			d.wait()
		}
		if err := d.pass(p[i:i+n], ofEvent); err != nil {
			return i, err
		}
		i += n
		if complete {
			if err := d.complete(); err != nil {
				return i, err
			}
		}
	}
	return len(p), d.over
}

// scan finds what belongs together at the beginning of p: bytes of one event, or bytes between events. An event that begins in p
// begins what is found. It reports whether that completes an event.
func (d *disturbance) scan(p []byte) (n int, complete bool) {
	for n < len(p) {
		b := p[n]
		lineEnd := b == '\n' || b == '\r'
		switch {
		case b == '\n' && d.afterCR: // the second half of a line end
		case !d.inLine && lineEnd:
			if d.inEvent {
				d.inEvent, d.afterCR = false, b == '\r'
				return n + 1, true
			}
		case !d.inLine && !d.inEvent && b != ':':
			if n > 0 {
				return n, false
			}
			d.begin()
			d.inLine = true
		default:
			d.inLine = !lineEnd
		}
		d.afterCR = b == '\r'
		n++
	}
	return n, false
}

// begin draws the fate of the next event.
func (d *disturbance) begin() {
	d.inEvent = true
	d.event++
	d.fate = d.chaos.fate(d.outlet.pattern, d.number, d.event)
	d.delay = d.fate.delay
	if what := d.fate.String(); what != "" {
		d.chaos.record(d, what)
	}
}

// pass passes on bytes that belong together: of the event that the disturbance is in, or of none.
func (d *disturbance) pass(p []byte, ofEvent bool) error {
	switch {
	case !ofEvent:
		_, err := d.outlet.put(p)
		return err
	case d.fate.abort || d.fate.reset || d.fate.twice:
		d.held = append(d.held, p...)
		return nil
	default:
		return d.put(p)
	}
}

// wait holds an event back, but nothing that came before it.
func (d *disturbance) wait() {
	if d.delay == 0 {
		return
	}
	_ = d.outlet.flush() // whether the client is gone is found out soon enough
	timer := time.NewTimer(d.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.outlet.ctx.Done():
	}
	d.delay = 0
}

// put sends bytes of an event, in pieces where it is to be split.
func (d *disturbance) put(p []byte) error {
	size := d.fate.piece
	if size == 0 {
		_, err := d.outlet.put(p)
		return err
	}
	for len(p) > 0 {
		n := min(size, len(p))
		if _, err := d.outlet.put(p[:n]); err != nil {
			return err
		}
		if err := d.outlet.flush(); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// complete does with an event that was held back what it was held back for.
func (d *disturbance) complete() error {
	held := d.held
	d.held = held[:0]
	switch {
	case d.fate.abort || d.fate.reset:
		return d.breakOff(held)
	case d.fate.twice:
		d.outlet.x.repeated.Add(1)
		if err := d.put(held); err != nil {
			return err
		}
		return d.put(held)
	default:
		return nil
	}
}

// breakOff sends a part of an event, and nothing after it.
func (d *disturbance) breakOff(event []byte) error {
	part, _ := bits.Mul64(d.fate.at, uint64(len(event)))
	how := "stream aborted"
	x := d.outlet.x
	x.ended = "abort"
	if d.fate.reset {
		how, x.ended = "connection reset", "reset-conn"
	}
	d.chaos.record(d, fmt.Sprintf("%s after %d of its %d bytes", how, part, len(event)))
	if err := d.put(event[:part]); err != nil {
		return err
	}
	if err := d.outlet.flush(); err != nil {
		return err
	}
	if d.fate.reset && x.sent(true) {
		x.conn.socket.reset()
	}
	x.aborted.Store(true)
	d.over = errDisturbed
	d.outlet.cancel()
	return d.over
}

// finish sends what is left of an event that was never completed.
func (d *disturbance) finish() {
	if d.over == nil && len(d.held) > 0 {
		_, _ = d.outlet.put(d.held) // where it fails, the client is gone
	}
}
