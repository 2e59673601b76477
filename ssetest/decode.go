package ssetest

import (
	"fmt"
	"io"
	"iter"
	"math"
	"time"
)

// defaultMaxEventSize is in bytes.
const defaultMaxEventSize = 16 << 20

// maxRetry is the longest time that a [time.Duration] can hold in whole milliseconds.
const maxRetry = math.MaxInt64 / time.Millisecond * time.Millisecond

// Decoder reads the events of a stream, exactly as a browser's EventSource does: by the WHATWG HTML standard,
// 9.2.5 Parsing an event stream and 9.2.6 Interpreting an event stream. No input is an error; what the standard does
// not know it ignores.
//
// A Decoder may be used by one goroutine at a time. Its events are the caller's: nothing later changes them. Their
// short strings share blocks of memory, so one that is held on to may hold a kilobyte.
type Decoder struct {
	in        input
	err       error // what Next returns when the buffer has no further event
	onComment func(text string)
	maxSize   int
	skipping  bool // the line in progress is ignored, and what there was of it has been dropped

	// What outlives the events.
	id           string // the standard's last event ID buffer
	lastEventID  string // the standard's last event ID string of the event source
	lastType     string // so that a type that comes again is not allocated again
	reconnection time.Duration
	hasRetry     bool

	// The event in progress; its data is kept in the input.
	typ     string
	hasData bool
	retry   time.Duration
	size    int
}

// NewDecoder returns a Decoder that reads from r.
// It reads ahead, as much as r gives at a time, but never more often than the next event needs.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{in: input{r: r}, maxSize: defaultMaxEventSize}
}

// SetLastEventID sets the last event ID that the stream begins with, which is what the previous connection has left:
// an EventSource that reconnects seeds each new stream with it. It is to be called before the first Next; "" is the default.
func (d *Decoder) SetLastEventID(id string) {
	d.id, d.lastEventID = id, id
}

// LastEventID returns the last event ID, which an EventSource sends as Last-Event-ID when it reconnects. It changes
// at the blank line that ends a block with an id field, also where the block has no data and so makes no event.
func (d *Decoder) LastEventID() string {
	return d.lastEventID
}

// ReconnectionTime returns what the last valid retry field of the stream has set, and false if there was none yet.
// The field counts at the end of its own line, without the blank line, once Next has come to it.
// A time that no [time.Duration] can hold counts as the longest one in whole milliseconds.
func (d *Decoder) ReconnectionTime() (time.Duration, bool) {
	return d.reconnection, d.hasRetry
}

// SetMaxEventSize sets how many bytes an event may have; 0 is the default, 16 MiB, and a negative n is no limit.
// Past it, Next returns an error that wraps [ErrEventTooLarge], now and for good. An event is never truncated.
//
// What counts are the bytes, as they are on the wire, of the event's lines that have one of the standard's fields
// (data, event, id and retry), with the field names and without the line ends, be the event finished or not.
// Comments and other lines do not count. Nor do they take memory, however long they are; but where somebody asked
// for the comments with [Decoder.OnComment], each comment line is held to the limit by itself.
func (d *Decoder) SetMaxEventSize(n int) {
	switch {
	case n == 0:
		n = defaultMaxEventSize
	case n < 0:
		n = math.MaxInt
	}
	d.maxSize = n
}

// OnComment sets the function that each comment line is given to, without its colon, a space after that, and its
// line end. Next calls it, in the order of the stream: comments before or within an event come before Next
// returns the event, later ones after. It must not call Next. It is to be set before the first Next; nil, the default, is none.
func (d *Decoder) OnComment(f func(text string)) {
	d.onComment = f
}

// Next returns the next event, and waits for it where need be: but it never reads while there is an event among what
// was read already, nor to see whether an LF follows the CR that ends an event.
//
// At the end of the stream the error is [io.EOF]; an event that the end cuts off, its blank line included, is dropped,
// as the standard has it. Any other error of the reader is wrapped, and comes after all events that were complete
// before it. [ErrEventTooLarge] is wrapped in the error that ends a stream with an event past the limit.
// After an error, every further call returns the same error.
func (d *Decoder) Next() (Event, error) {
	for {
		line, ok := d.in.line()
		switch {
		case !ok:
			if err := d.more(); err != nil {
				return Event{}, err
			}
		case len(line) == 0:
			if e, ok := d.dispatch(); ok {
				return e, nil
			}
		case line[0] == ':' && d.onComment == nil:
			d.in.skipComments()
		case d.isToken(line) && d.in.blankLine():
			return Event{Type: "message", Data: d.in.text(trimSpace(line[len("data:"):])), ID: d.id}, nil
		case !d.interpret(line):
			d.fail()
		}
	}
}

// more reads on, after the last complete line.
func (d *Decoder) more() error {
	if line := d.in.unfinished(); len(line) > 0 {
		if d.ignores(line) {
			d.skipping = true
			d.in.discard()
		} else if d.tooLarge(line) {
			d.fail()
		}
	}
	if d.err != nil {
		return d.err
	}
	if err := d.in.fill(); err == io.EOF {
		d.err = err
	} else if err != nil {
		d.err = fmt.Errorf("ssetest: reading the event stream: %w", err)
	}
	if d.skipping {
		d.skip()
	}
	return nil
}

// skip drops the rest of an ignored line, as far as it has been read.
func (d *Decoder) skip() {
	if _, ok := d.in.line(); ok {
		d.skipping = false
		return
	}
	d.in.discard()
}

// fail ends the stream because of its size.
func (d *Decoder) fail() {
	d.err = fmt.Errorf("%w: the limit is %d bytes", ErrEventTooLarge, d.maxSize)
	d.in, d.size = input{}, 0
}

// Events returns the events that r gives, for a range loop. It ends without an error at the end of the stream;
// any other error of [Decoder.Next] is the last pair, with a zero Event.
//
//	for event, err := range ssetest.Events(resp.Body) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Data)
//	}
//
// There is one Decoder behind it: a second loop over the same sequence goes on where the first was left.
// It may be used by one goroutine at a time.
func Events(r io.Reader) iter.Seq2[Event, error] {
	d := NewDecoder(r)
	return func(yield func(Event, error) bool) {
		for {
			e, err := d.Next()
			if err == io.EOF || !yield(e, err) || err != nil {
				return
			}
		}
	}
}
