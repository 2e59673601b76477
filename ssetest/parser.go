package ssetest

import "io"

// A parser is a [Decoder] that is given a stream piece by piece, by whoever writes it. The ID of its events is their own:
// one without an ID has none.
type parser struct {
	decoder *Decoder
	rest    []byte
}

func newParser() *parser {
	p := new(parser)
	p.decoder = NewDecoder(p)
	p.decoder.SetMaxEventSize(-1) // the stream is there already
	return p
}

// Read gives the decoder what there is.
func (p *parser) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF // for now
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// feed interprets a further piece, and returns the events that end in it.
func (p *parser) feed(piece []byte) []Event {
	var events []Event
	p.each(piece, func(e Event) { events = append(events, e) })
	return events
}

// each interprets a further piece, and calls yield with each event that ends in it.
func (p *parser) each(piece []byte, yield func(Event)) {
	p.rest = piece
	for {
		e, err := p.decoder.Next()
		if err != nil {
			p.decoder.err = nil // more may come
			return
		}
		p.decoder.SetLastEventID("")
		yield(e)
	}
}
