package ssetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// An exchange is one request and what is answered to it (RFC 9110, section 3.4), by whatever endpoint.
// Only the goroutine of its handler touches the ResponseWriter.
type exchange struct {
	srv     *Server
	number  int    // in order of arrival, from 1
	request string // what was asked: method, target, protocol
	asked   string // the same for the transcript
	since   time.Time
	account *account      // of the Stream that opened it; may be nil
	attempt int           // of that Stream
	delay   time.Duration // for which chaos may hold each event back
	endless bool          // what it sends has no end, and may be left
	conn    *connection
	stream  uint32         // of HTTP/2; 0 otherwise
	wire    *h2conn.Stream // that one; nil where it is over already
	ordinal int            // of the request on its connection, over HTTP/1.1; from 1
	record  *requestRecord

	ctx      context.Context // of the request
	header   http.Header     // of the response
	returned bool            // by the handler; false while it runs, and where it has panicked or called Goexit

	w       http.ResponseWriter
	flush   func() error
	written int64        // bytes of the body that net/http has been given
	refused bool         // net/http has not taken what was written: the client has left, or was announced less by a Content-Length
	events  atomic.Int64 // written and flushed

	path      string
	status    int    // of the answer; 0 while there is none
	answered  bool   // the transcript has the answer, which is no event stream
	streaming bool   // it is answered with an event stream; Server.mu guards it
	ended     string // by which directive; "" where none has ended it

	aborted   atomic.Bool  // the client must see that the stream is broken
	disturbed atomic.Bool  // by chaos: what was written is not what the client gets
	repeated  atomic.Int64 // events that chaos has sent twice
	left      atomic.Bool  // its topic gives it nothing more, though its handler may not have returned yet
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf returns the exchange that a request is part of.
func exchangeOf(r *http.Request) *exchange {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		panic("ssetest: the request has lost its context; Config.Wrap must derive the one that it passes on from the one that it got")
	}
	return x
}

// String says which exchange it is.
func (x *exchange) String() string { return fmt.Sprintf("%s (stream %d)", x.request, x.number) }

// begin registers a request, or reports false where the server is closed, or its connection is being reset.
func (s *Server) begin(x *exchange, r *http.Request, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || x.conn != nil && x.conn.socket.doomed.Load() {
		return false
	}
	s.opened++
	x.number = s.opened
	x.account, x.attempt = s.accountOf(token)
	if books := x.books(); books != nil {
		books.see(x.attempt, x.record.request.LastEventID)
	}
	s.streams[x] = true
	s.requests.add(x.record)
	s.log.ask(x.number, r, x.asked)
	s.changed.raise()
	return true
}

// ending is how an exchange has ended, as a directive, and behind a tab why.
func (x *exchange) ending() string {
	directive, why := x.ended, "the stream has ended"
	switch {
	case directive != "":
		why = "as it was told"
	case x.broken():
		directive = "reset-conn"
	case x.aborted.Load():
		directive = "abort"
	default:
		directive = "end"
	}
	switch {
	case x.srv.base.Err() != nil:
		why = "the server is closed"
	case directive == "reset-conn":
		why = "the connection is reset"
	case directive == "abort":
		why = "the stream is broken off"
	case x.ctx.Err() != nil:
		why = "the client has left"
		if directive == "end" {
			directive = "hold"
		}
	}
	return directive + "\t" + why
}

// end forgets an exchange whose handler returns.
func (s *Server) end(x *exchange) {
	x.record.complete()
	s.mu.Lock()
	streaming := x.streaming
	s.mu.Unlock()
	if !streaming && !x.answered && x.status != 0 { // by Config.Wrap
		s.log.add(x.number, entryAnswered, answerText(x.status, x.header))
	}
	s.log.add(x.number, entryEnded, x.ending())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, x)
	s.changed.raise()
}

// requestLine is a request in one short line.
func requestLine(r *http.Request) string {
	line := shown(r.Method) + " " + shown(redactTarget(r.URL)) + " " + r.Proto
	if id := lastEventID(r); id != "" {
		line += fmt.Sprintf(" Last-Event-ID: %.40q", id)
	}
	return line
}

// shown is what a client has sent, short, and quoted where it could be taken for something else.
func shown(text string) string {
	const most = 80
	rest := ""
	if len(text) > most {
		text, rest = text[:most], "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		text = strconv.QuoteToASCII(text)
	}
	return text + rest
}

// lastEventID is where a client wants to resume.
func lastEventID(r *http.Request) string { return r.Header.Get(lastEventIDField) }

// lastEventIDField is as http.Header has it, which takes time to make of any other spelling.
const lastEventIDField = "Last-Event-Id"

// eventStream prepares a request's exchange for events. It reports false where there is none to send, since the request was HEAD.
func eventStream(w http.ResponseWriter, r *http.Request) (*exchange, bool) {
	x := exchangeOf(r)
	x.answerWith(w)
	setStreamHeader(w.Header())
	return x, r.Method != http.MethodHead
}

// answerWith takes hold of what the answer is written to.
func (x *exchange) answerWith(w http.ResponseWriter) {
	x.w, x.flush = w, http.NewResponseController(w).Flush
}

func setStreamHeader(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
}

// open sends the headers at once, and reports false where the exchange is over already.
// Whatever decides what the stream is sent is registered before: a client that has the headers relies on it.
func (x *exchange) open() bool {
	err := x.flush()
	if errors.Is(err, http.ErrNotSupported) {
		const reason = "the response can't be flushed: the ResponseWriter that Config.Wrap passes on has neither a Flush nor an Unwrap method"
		x.srv.fail("%v: %s", x, reason)
		http.Error(x.w, "ssetest: "+reason, http.StatusInternalServerError)
	}
	return err == nil
}

// write sends encoded events in one piece. They are flushed when it returns true; with false the client is gone.
func (x *exchange) write(wire []byte, events int) bool {
	if _, err := x.w.Write(wire); err != nil {
		x.refused = true
		return false
	}
	if err := x.flush(); err != nil {
		return false
	}
	x.events.Add(int64(events))
	return true
}

// sent waits until what was flushed is on the wire, and reports false where the client was gone before.
// Over HTTP/1.1 it is, if that succeeded; over HTTP/2 a flush hands it to another goroutine, and returns. It can even fail when the client has got everything,
// and has left because of that.
func (x *exchange) sent(flushed bool) bool {
	if x.stream == 0 || x.refused {
		return flushed
	}
	return x.wire.AwaitSent(x.written)
}

// broken reports whether a fault of its connection may have kept from the client what was written.
func (x *exchange) broken() bool { return x.conn != nil && x.conn.socket.broken.Load() }

// books returns the ledger of the Stream that opened the exchange, or nil.
func (x *exchange) books() *ledger {
	if x.account == nil {
		return nil
	}
	return x.account.ledger
}

// A countingWriter is the response as net/http has it. It counts what that is given, so that sent can wait for just that, and knows the status.
type countingWriter struct {
	http.ResponseWriter
	x *exchange
}

func (w countingWriter) Write(p []byte) (int, error) {
	if w.x.status == 0 {
		w.x.status = http.StatusOK
	}
	w.x.written += int64(len(p))
	return w.ResponseWriter.Write(p)
}

func (w countingWriter) WriteHeader(status int) {
	if w.x.status == 0 && status >= 200 {
		w.x.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w countingWriter) Flush() { _ = w.FlushError() }
func (w countingWriter) FlushError() error {
	return http.NewResponseController(w.ResponseWriter).Flush()
}
func (w countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// describeStreams lists the streams that are open, for a failure.
func (s *Server) describeStreams() string {
	s.mu.Lock()
	open := make([]*exchange, 0, len(s.streams))
	for x := range s.streams {
		open = append(open, x)
	}
	s.mu.Unlock()
	slices.SortFunc(open, func(a, b *exchange) int { return cmp.Compare(a.number, b.number) })

	var b strings.Builder
	fmt.Fprintf(&b, "open streams of %s: %d\n", s.URL, len(open))
	for i, x := range open {
		if i == maxListed {
			fmt.Fprintf(&b, "  … and %d more\n", len(open)-i)
			break
		}
		fmt.Fprintf(&b, "  %v, open for %v, %s sent\n", x, time.Since(x.since).Round(time.Millisecond), count(x.events.Load(), "event"))
	}
	return b.String()
}

// maxListed is how many lines of one kind a failure shows.
const maxListed = 10
