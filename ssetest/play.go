package ssetest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// A player serves steps on one exchange, in the goroutine of its handler.
type player struct {
	x      *exchange
	ctx    context.Context // of the request: done when the client has left, or the server is closed
	split  int             // at most that many bytes a write; 0 for all
	parser *parser         // of what is sent

	// due is how many events the client gets, if nothing else happens: by then the player waits, or for those who drive a feed.
	due      atomic.Int64
	segments []int64 // of a script: what is due until its next waits, and in the end; nil: what has been sent
}

// How playing a step can end the stream. What nil leaves is a stream that goes on.
var (
	errEnded   = errors.New("the stream has come to its clean end")
	errGone    = errors.New("the client has left, or the server is closed")
	errBroken  = errors.New("the stream is to be broken off")
	errHeld    = errors.New("the stream stays open and idle")
	errStalled = errors.New("the connection stays open and dead")
)

// newPlayer makes the player of a script that has these segments, or of a feed, which has none.
func newPlayer(w http.ResponseWriter, r *http.Request, segments []int64) *player {
	x := exchangeOf(r)
	x.answerWith(w)
	p := &player{x: x, ctx: r.Context(), parser: newParser(), segments: segments}
	if len(segments) > 0 {
		p.due.Store(segments[0])
	}
	if x.account != nil {
		x.account.attach(x, p.due.Load)
	}
	if books := x.books(); books != nil {
		books.keepBooks()
	}
	return p
}

// play serves steps until one of them ends the stream.
func (p *player) play(steps []Step) error {
	for _, step := range steps {
		if err := step.play(p); err != nil {
			return err
		}
	}
	return nil
}

// conclude leaves the stream as the last step wants it. It is the last thing that a handler calls.
func (p *player) conclude(err error) {
	switch {
	case errors.Is(err, errHeld):
		<-p.ctx.Done()
	case errors.Is(err, errStalled):
		<-p.ctx.Done()
		if p.x.srv.base.Err() != nil {
			p.x.conn.socket.reset() // Close may have begun before the connection was stalled
		}
		p.x.abort()
	case errors.Is(err, errBroken):
		p.x.abort()
	}
}

// abort breaks the stream off. It does not return.
func (x *exchange) abort() {
	x.aborted.Store(true)
	panic(http.ErrAbortHandler)
}

// begin sends the headers. A body that is all there is goes out with them, and with its length.
func (p *player) begin(response Response, alone bool) error {
	if err := p.sleep(response.Delay); err != nil {
		http.Error(p.x.w, closedText, http.StatusServiceUnavailable) // to a client that has left, for all it cares
		return err
	}
	header := p.x.w.Header()
	if response.status() == http.StatusOK {
		setStreamHeader(header)
	} else if !response.bodyless() {
		header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	for name, values := range response.Header {
		header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	p.x.w.WriteHeader(response.status())
	switch {
	case response.bodyless():
		return nil
	case alone:
		if books := p.x.books(); books != nil && response.status() == http.StatusOK {
			books.send(p.parser.feed([]byte(response.Body))...)
		}
		_, _ = io.WriteString(p.x.w, response.Body)
		return nil
	case !p.x.open():
		return errGone
	}
	return p.send([]byte(response.Body))
}

// send sends bytes, and returns when they are on the wire.
func (p *player) send(wire []byte) error {
	events := p.parser.feed(wire)
	if p.segments == nil {
		p.due.Add(int64(len(events)))
	}
	if books := p.x.books(); books != nil {
		books.send(events...)
	}
	size := len(wire)
	if p.split > 0 {
		size = p.split
	}
	flushed := true
	for flushed && len(wire) > 0 {
		n := min(size, len(wire))
		flushed = p.x.write(wire[:n], 0)
		wire = wire[n:]
	}
	switch {
	case p.x.aborted.Load():
		return errDisturbed
	case len(wire) > 0 || !p.x.sent(flushed):
		return errGone
	}
	p.x.events.Add(int64(len(events)))
	return nil
}

// sleep waits, unless the stream is over first.
func (p *player) sleep(d time.Duration) error {
	if d > 0 && !sleep(p.ctx, d) {
		return errGone
	}
	return nil
}

// wire returns what a step writes; nil where it writes nothing.
func wire(step Step) []byte {
	switch s := step.(type) {
	case Event:
		return mustEncode(s)
	case cut:
		return mustEncode(s.event)[:s.n]
	case comment:
		return appendComment(nil, string(s))
	case raw:
		return []byte(s)
	default:
		return nil
	}
}

// mustEncode encodes an event that has been checked.
func mustEncode(e Event) []byte {
	wire, err := e.AppendText(nil)
	if err != nil {
		panic("ssetest: " + err.Error())
	}
	return wire
}

// segments counts the events of a script: up to each of its waits, and all.
func (s Script) segments() []int64 {
	response, steps := s.split()
	parser := newParser()
	n := int64(len(parser.feed([]byte(response.Body))))
	counts := make([]int64, 0, 1)
	for _, step := range steps {
		if w, ok := step.(wait); ok && w > 0 {
			counts = append(counts, n)
		}
		n += int64(len(parser.feed(wire(step))))
	}
	return append(counts, n)
}

func (e Event) play(p *player) error { return p.send(wire(e)) }
func (c cut) play(p *player) error   { return p.send(wire(c)) }

func (r Response) play(*player) error {
	panic("ssetest: a Response in the middle of a stream") // check has seen it
}

func (c comment) play(p *player) error { return p.send(wire(c)) }
func (r raw) play(p *player) error     { return p.send(wire(r)) }

func (w wait) play(p *player) error {
	err := p.sleep(time.Duration(w))
	if err == nil && w > 0 && p.segments != nil {
		p.segments = p.segments[1:]
		p.due.Store(p.segments[0])
	}
	return err
}

func (n split) play(p *player) error {
	p.split = int(n)
	return nil
}

// tell records a step that is not seen in what is sent.
func (p *player) tell(directive string) {
	p.x.srv.log.add(p.x.number, entryStep, directive)
}

func (c goAway) play(p *player) error {
	p.tell("go-away " + codeName(http2.ErrCode(c)))
	p.x.goAway(http2.ErrCode(c))
	return nil
}

func (c resetStream) play(p *player) error {
	p.x.ended = "reset-stream " + codeName(http2.ErrCode(c))
	p.x.resetWith(http2.ErrCode(c))
	return errBroken
}

func (e ending) play(p *player) error {
	p.x.ended = endingDirective(e)
	switch e {
	case abortStream:
		return errBroken
	case resetConn:
		p.x.conn.socket.reset()
		return errBroken
	case stall:
		p.x.conn.socket.stall()
		return errStalled
	case hold:
		return errHeld
	default:
		return errEnded
	}
}
