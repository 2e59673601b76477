package ssetest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// A Step is one thing that a stream is served, or that happens to it: an [Event], a [Response], or what [Wait], [Comment], [Raw],
// [Split], [Cut], [GoAway] and the endings return ([End], [Abort], [ResetStream], [ResetConn], [Stall], [Hold]).
//
// Steps are plain values: they can be printed, and compared with [reflect.DeepEqual].
type Step interface {
	fmt.Stringer

	// check says what is wrong with the step by itself.
	check() error

	// play serves it.
	play(p *player) error
}

// Script is what one stream is served: its steps, in order. After the last one the stream ends cleanly; see [Hold].
// [Server.Script] serves it.
type Script []Step

// A Response is how the request is answered, as the first step of a script. Without it the headers of an event stream
// go out at once, with status 200; what a Response leaves out is the same.
type Response struct {
	// Status is 200 by default.
	Status int

	// Header is added to the header of the response, in place of what that has under the same names.
	// The content type is text/event-stream where the status is 200, and text/plain else.
	Header http.Header

	// Body is the beginning of the body, or all of it where no step follows.
	Body string

	// Delay is how long the client has to wait for the headers.
	Delay time.Duration
}

// Wait does nothing for a time.
func Wait(d time.Duration) Step { return wait(d) }

// Comment sends a comment, which no client may take for an event: a line that begins with a colon.
// Text of several lines makes several of them. No blank line follows, so that a comment can stand within a block.
func Comment(text string) Step { return comment(text) }

// Raw sends bytes as they are: half an event, or what is no event at all.
func Raw(b string) Step { return raw(b) }

// Split has everything that follows sent in pieces of at most n bytes, each of them flushed: a chunk of HTTP/1.1, a DATA frame of HTTP/2.
// n must be positive. Where Config.Compress is in force, it is the text before it is compressed that is cut.
func Split(n int) Step { return split(n) }

// Cut sends only the first n bytes of e. No event can be cut to more than it has.
func Cut(e Event, n int) Step { return cut{e, n} }

// End ends the stream cleanly. Every script does so behind its last step; with [ServerStream.Send] it has to be said.
func End() Step { return endCleanly }

// Abort breaks the stream off. Over HTTP/1.1 the connection is closed within the body, and the client sees an unexpected EOF;
// over HTTP/2 it sees RST_STREAM with the code INTERNAL_ERROR, and other streams on its connection go on.
//
// A browser may drop what has arrived right before a stream or a connection is reset, and its page has not had yet. It then comes back with an older Last-Event-ID.
func Abort() Step { return abortStream }

// ResetStream breaks the stream off with a RST_STREAM that has the code (RFC 9113, sections 6.4 and 7).
// Over HTTP/1.1 it is [Abort].
func ResetStream(code http2.ErrCode) Step { return resetStream(code) }

// GoAway tells the client, with a GOAWAY that has the code, to open no further streams on the connection (RFC 9113, section 6.8).
// What is open there goes on, this stream too: the step is no ending.
// Over HTTP/1.1 the server closes the connection behind the response. A client that asks on it at that very moment sees its request fail, as it does
// with every server that closes connections; Go's asks again by itself, but not with a POST.
func GoAway(code http2.ErrCode) Step { return goAway(code) }

// ResetConn breaks the whole connection with a TCP RST: "connection reset by peer", for every stream on it.
// The client can read what was written before: on Linux and macOS, the server waits until it has arrived, for a quarter of a second where the client
// takes nothing of it, and for a second at most. Elsewhere what was written last may be lost.
//
// A kernel tells a client only once that its connection was reset. One that learns of it when it writes, as HTTP/2 does all the time,
// can see a mere end where it reads, which Go takes for an unexpected EOF. [Server.Client] remembers; other clients see one or the other.
func ResetConn() Step { return resetConn }

// Stall lets not one byte more out on the whole connection, which stays up until the client leaves it, or the server is closed.
// Over HTTP/2 PINGs stay unanswered, and every other stream of the connection stalls as well.
func Stall() Step { return stall }

// Hold leaves the stream open and idle, until the client leaves it or the server is closed, which ends it cleanly.
// The connection is alive: over HTTP/2 PINGs are answered.
func Hold() Step { return hold }

type (
	wait    time.Duration
	comment string
	raw     string
	split   int
	cut     struct {
		event Event
		n     int
	}
	goAway      http2.ErrCode
	resetStream http2.ErrCode
	ending      int
)

const (
	endCleanly ending = iota
	abortStream
	resetConn
	stall
	hold
)

var endingNames = [...]string{endCleanly: "End", abortStream: "Abort", resetConn: "ResetConn", stall: "Stall", hold: "Hold"}

// isEnding reports whether nothing can follow a step.
func isEnding(s Step) bool {
	switch s.(type) {
	case ending, resetStream:
		return true
	default:
		return false
	}
}

func (w wait) String() string        { return fmt.Sprintf("Wait(%v)", time.Duration(w)) }
func (c comment) String() string     { return fmt.Sprintf("Comment(%s)", quoted(string(c))) }
func (r raw) String() string         { return fmt.Sprintf("Raw(%s)", quoted(string(r))) }
func (n split) String() string       { return fmt.Sprintf("Split(%d)", int(n)) }
func (c cut) String() string         { return fmt.Sprintf("Cut(%v, %d)", c.event, c.n) }
func (c goAway) String() string      { return fmt.Sprintf("GoAway(%v)", http2.ErrCode(c)) }
func (c resetStream) String() string { return fmt.Sprintf("ResetStream(%v)", http2.ErrCode(c)) }
func (e ending) String() string      { return endingNames[e] + "()" }

// String returns the response on one line: its status, and what else it has.
func (r Response) String() string {
	text := fmt.Sprintf("Response %d", r.status())
	if r.Delay != 0 {
		text += fmt.Sprintf(" after %v", r.Delay)
	}
	if len(r.Header) > 0 {
		text += fmt.Sprintf(" with %s", count(len(r.Header), "header field"))
	}
	if r.Body != "" {
		text += " " + quoted(r.Body)
	}
	return text
}

// quoted is the beginning of a text, as Go writes it.
func quoted(text string) string {
	const most = 60
	if len(text) > most {
		return fmt.Sprintf("%q… (%d bytes)", text[:runeStart(text, most)], len(text))
	}
	return fmt.Sprintf("%q", text)
}

func (e Event) check() error     { _, err := e.AppendText(nil); return err }
func (w wait) check() error      { return notNegative("the time", time.Duration(w)) }
func (comment) check() error     { return nil }
func (raw) check() error         { return nil }
func (goAway) check() error      { return nil }
func (resetStream) check() error { return nil }
func (ending) check() error      { return nil }

func (n split) check() error {
	if n <= 0 {
		return errors.New("the size of a piece must be positive")
	}
	return nil
}

func (c cut) check() error {
	wire, err := c.event.AppendText(nil)
	switch {
	case err != nil:
		return err
	case c.n < 0:
		return errors.New("the number of bytes must not be negative")
	case c.n > len(wire):
		return fmt.Errorf("the event has only %d bytes", len(wire))
	}
	return nil
}

func notNegative(what string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s must not be negative", what)
	}
	return nil
}

func (r Response) status() int {
	if r.Status == 0 {
		return http.StatusOK
	}
	return r.Status
}

// bodyless reports whether a response can have no body (RFC 9110, section 6.4.1).
func (r Response) bodyless() bool {
	return r.status() == http.StatusNoContent || r.status() == http.StatusNotModified
}

func (r Response) check() error {
	if r.status() < 200 || r.status() > 999 {
		return errors.New("the status must be 200 to 999")
	}
	if r.bodyless() && r.Body != "" {
		return fmt.Errorf("a response with status %d has no body", r.status())
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%q can't be the name of a header field", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("the header field %s can't have the value %q", name, value)
			}
		}
	}
	return notNegative("the delay", r.Delay)
}

// A stepError is what is wrong with a step, and which one it is.
type stepError struct {
	number int // from 1
	step   Step
	why    error
}

func (e *stepError) Error() string {
	step := "nil"
	if e.step != nil {
		step = e.step.String()
	}
	return fmt.Sprintf("step %d, %s: %s", e.number, step, strings.TrimPrefix(e.why.Error(), "ssetest: "))
}

func (e *stepError) Unwrap() error { return e.why }

// check returns a *stepError for the first step that is wrong, by itself or where it stands.
func (s Script) check() error {
	var last Step
	for i, step := range s {
		if err := checkAfter(last, step, i); err != nil {
			return &stepError{i + 1, step, err}
		}
		last = step
	}
	return nil
}

// checkAfter says what is wrong with the i-th step, which comes after another.
func checkAfter(last, step Step, i int) error {
	switch step.(type) {
	case nil:
		return errors.New("there is no step")
	case *Event, *Response: // have the methods too, and could be nil
		return errors.New("it must be given as a value, not by a pointer")
	}
	if last != nil && isEnding(last) {
		return fmt.Errorf("nothing can follow %v", last)
	}
	if _, ok := step.(Response); ok && i > 0 {
		return errors.New("a Response can only be the first step")
	}
	if response, ok := last.(Response); ok && response.bodyless() && step != End() {
		return fmt.Errorf("nothing but End() can follow a response with status %d, which has no body", response.status())
	}
	return step.check()
}
