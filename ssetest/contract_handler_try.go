package ssetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// This file is what a case does with a handler: the server that it is on, the streams that are opened, and what is emitted.

// A handlerTry is a case of a handler.
type handlerTry struct {
	*contractT
	contract *HandlerContract
	srv      *Server // nil with a URL
	client   *http.Client
	url      string
	emit     func(e Event) // nil: it emits by itself
	label    string
	own      int // goroutines that the handler has all the time

	handlerMu sync.Mutex // guards what follows
	changed   signal     // raised when it has changed
	entered   int        // calls of the handler
	returned  int
}

// newHandlerTry starts a server for a case, unless the contract has one.
func newHandlerTry(t *contractT, contract *HandlerContract, p Protocol) *handlerTry {
	c := &handlerTry{contractT: t, contract: contract, emit: contract.Emit, label: strconv.FormatInt(lastLabel.Add(1), 10)}
	if contract.URL != "" {
		c.url, c.client = contract.URL, contract.Client
		if c.client == nil {
			c.client = http.DefaultClient
		}
		return c
	}
	c.serve(c.handler(), p)
	return c
}

// handler is the one under test.
func (c *handlerTry) handler() http.Handler {
	h := c.contract.Handler
	if c.contract.New != nil {
		h, c.emit = c.contract.New(c)
	}
	if h == nil {
		c.Fatalf("HandlerContract.New has returned no handler")
	}
	return h
}

// serve starts a server with the handler.
func (c *handlerTry) serve(h http.Handler, p Protocol) {
	// Handlers that do not return are what one case is about, and no failure of the others.
	server := &contractT{TB: c.TB, virtual: c.virtual}
	c.Cleanup(func() {
		server.run(func(*contractT) {})
		server.mu.Lock()
		defer server.mu.Unlock()
		for _, failure := range server.failures {
			if !strings.Contains(failure, "has not returned") && !strings.Contains(failure, "have not been closed") {
				c.Error(failure)
			}
		}
	})
	c.srv = NewServer(server, &Config{Protocol: p, Network: InMemory, Timeout: c.limit()})
	c.srv.Handle("/", c.watch(h))
	c.client = c.srv.Client()
	path := c.contract.Path
	if path == "" {
		path = "/"
	}
	c.url = c.srv.URL + path
}

// watch counts the calls of a handler.
func (c *handlerTry) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.note(func() { c.entered++ })
		defer c.note(func() { c.returned++ })
		pprof.Do(r.Context(), pprof.Labels("ssetest.TestHandler", c.label), func(ctx context.Context) { h.ServeHTTP(w, r.WithContext(ctx)) })
	})
}

func (c *handlerTry) note(change func()) {
	c.handlerMu.Lock()
	defer c.handlerMu.Unlock()
	change()
	c.changed.raise()
}

// calls is how often the handler has been called.
func (c *handlerTry) calls() (n int) {
	c.note(func() { n = c.entered })
	return n
}

// awaitCalls waits until a condition of the calls holds, and reports false where it does not within a limit.
func (c *handlerTry) awaitCalls(limit time.Duration, holds func() bool) bool {
	return await(&c.handlerMu, &c.changed, limit, holds)
}

// prompt is how long an event may take that has been emitted.
func (c *handlerTry) prompt() time.Duration {
	if c.virtual {
		return c.unit()
	}
	return c.limit() / 2
}

// settle lets the handler come to where it waits.
func (c *handlerTry) settle() {
	if c.virtual {
		synctest.Wait()
		return
	}
	time.Sleep(20 * time.Millisecond) // nothing else can be known of a handler
}

// lastEmitted is the last ID that was emitted, to whatever handler: one that lives on remembers those of earlier cases.
var lastEmitted atomic.Int64

// next is the event that is emitted next, as long as the handler can carry it.
func (c *handlerTry) next() Event {
	id := strconv.FormatInt(lastEmitted.Add(1), 10)
	return Event{Type: "test", Data: "event " + id, ID: id}
}

// send has the handler emit an event.
func (c *handlerTry) send(e Event) Event {
	if c.emit == nil {
		return e
	}
	if !c.within(c.prompt(), func() { c.emit(e) }) {
		c.Fatalf("Emit has not returned within %v: does it wait for a client that does not read, or has left?", c.prompt())
	}
	return e
}

// sendNext has it emit the next one.
func (c *handlerTry) sendNext() Event { return c.send(c.next()) }

// An endpointStream is a response that is being read.
type endpointStream struct {
	c      *handlerTry
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing more is read

	mu       sync.Mutex // guards what follows
	changed  signal     // raised when it has changed
	response *http.Response
	wire     bytes.Buffer
	events   []Event
	last     time.Time       // when bytes came
	gap      time.Duration   // the longest time without any, from the headers on
	err      error           // how it ended; nil while it goes on
	paused   <-chan struct{} // nothing is read until it is closed; nil: it is
}

// open asks for a stream, and returns when the handler has been called and has come to rest. The headers may come later.
func (c *handlerTry) open(change func(r *http.Request)) *endpointStream {
	before := c.calls()
	s := c.ask(change, nil)
	c.settleAll([]*endpointStream{s}, before)
	return s
}

// openUnread does so for a client that does not read.
func (c *handlerTry) openUnread() *endpointStream {
	before := c.calls()
	s := c.ask(nil, make(chan struct{}))
	c.settleAll([]*endpointStream{s}, before)
	return s
}

// openMany does so for many at once.
func (c *handlerTry) openMany(n int) []*endpointStream {
	before := c.calls()
	streams := make([]*endpointStream, n)
	for i := range streams {
		streams[i] = c.ask(nil, nil)
	}
	c.settleAll(streams, before)
	return streams
}

// ask asks for a stream, and does not wait.
func (c *handlerTry) ask(change func(r *http.Request), paused <-chan struct{}) *endpointStream {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := c.contract.request(ctx, c.contract.method(), c.url)
	if err != nil {
		cancel()
		c.Fatalf("%v", err)
	}
	if change != nil {
		change(r)
	}
	s := &endpointStream{c: c, cancel: cancel, done: make(chan struct{}), paused: paused}
	c.Cleanup(s.close)
	go s.read(r)
	return s
}

// settleAll waits until some streams have come to the handler, which has been called before, and that has come to rest.
func (c *handlerTry) settleAll(streams []*endpointStream, before int) {
	if c.srv == nil {
		for _, s := range streams {
			s.await(c.limit()/10, func() bool { return s.response != nil || s.err != nil })
		}
	} else if !c.awaitCalls(c.limit(), func() bool { return c.entered >= before+len(streams) }) {
		c.Fatalf("wanted %s at once, but of these the handler has been called for %d", count(len(streams), "stream"), c.calls()-before)
	}
	c.settle()
}

// read reads the response to its end.
func (s *endpointStream) read(r *http.Request) {
	defer close(s.done)
	response, err := s.c.client.Do(r)
	if err != nil {
		s.note(func() { s.err = err })
		return
	}
	defer func() { _ = response.Body.Close() }()
	s.note(func() { s.response, s.last = response, time.Now() })
	if s.paused != nil {
		select {
		case <-s.paused:
		case <-r.Context().Done():
		}
	}
	d := NewDecoder(tap{response.Body, s})
	for {
		e, err := d.Next()
		if err != nil {
			s.note(func() { s.err = err })
			return
		}
		e.Retry = 0
		s.note(func() { s.events = append(s.events, e) })
	}
}

// A tap keeps what is read through it.
type tap struct {
	io.Reader
	s *endpointStream
}

func (t tap) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.s.note(func() {
		now := time.Now()
		t.s.gap, t.s.last = max(t.s.gap, now.Sub(t.s.last)), now
		t.s.wire.Write(p[:n])
	})
	return n, err
}

func (s *endpointStream) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.raise()
}

func (s *endpointStream) await(limit time.Duration, holds func() bool) bool {
	return await(&s.mu, &s.changed, limit, holds)
}

// mustAnswer waits for the headers, and ends the case where none come.
func (s *endpointStream) mustAnswer() *http.Response {
	if !s.await(s.c.limit(), func() bool { return s.response != nil || s.err != nil }) {
		s.c.Fatalf("wanted a response, but there is none within %v: are its headers flushed?", s.c.limit())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.response == nil {
		s.c.Fatalf("wanted a response, but the request has failed: %v", s.err)
	}
	return s.response
}

// mustStream is mustAnswer, with an event stream.
func (s *endpointStream) mustStream() {
	r := s.mustAnswer()
	if r.StatusCode != http.StatusOK || essence(r.Header.Get("Content-Type")) != "text/event-stream" {
		s.c.Fatalf("wanted an event stream, but the response has status %s and content type %q", r.Status, r.Header.Get("Content-Type"))
	}
}

// takeWithin returns the n-th event, from 0, or false where it does not come within a limit.
func (s *endpointStream) takeWithin(limit time.Duration, n int) (e Event, ok bool) {
	s.await(limit, func() bool {
		if len(s.events) > n {
			e, ok = s.events[n], true
		}
		return ok || s.err != nil
	})
	return e, ok
}

// mustTake returns the n-th event, from 0, and ends the case where it does not come at once.
func (s *endpointStream) mustTake(n int) Event {
	e, ok := s.takeWithin(s.c.prompt(), n)
	if !ok {
		s.mustStream()
		s.mu.Lock()
		defer s.mu.Unlock()
		why := fmt.Sprintf("there is none within %v", s.c.prompt())
		if s.err != nil {
			why = fmt.Sprintf("the stream has ended: %v", s.err)
		}
		s.c.Fatalf("wanted event %d, but %s; the bytes so far end with %q", n+1, why, newest(s.wire.String()))
	}
	return e
}

// mustCarry ends the case where the n-th event is not what was emitted, as far as the handler claims to carry it.
func (s *endpointStream) mustCarry(n int, sent Event) {
	got := s.mustTake(n)
	want := got
	if s.c.emit != nil {
		if s.c.contract.claims(CanCarryData) {
			want.Data = sent.Data
		}
		if s.c.contract.claims(CanCarryTypes) {
			if want.Type = sent.Type; want.Type == "" {
				want.Type = "message"
			}
		}
		if s.c.contract.claims(CanCarryIDs) {
			want.ID = sent.ID
		}
	}
	if got != want {
		s.c.Fatalf("wanted event %d to be %v, as it was emitted, but it is %v", n+1, want, got)
	}
}

// newest is the end of a text.
func newest(text string) string {
	const most = 200
	return text[max(len(text)-most, 0):]
}

// close leaves the stream.
func (s *endpointStream) close() {
	s.cancel()
	if !s.c.within(s.c.limit(), func() { <-s.done }) {
		s.c.Errorf("the client has not ended within %v", s.c.limit())
	}
}

// some opens a stream and returns it with n events, or as many as it has.
func (c *handlerTry) some(n int) (*endpointStream, []Event) {
	s := c.open(nil)
	for range n {
		c.sendNext()
	}
	limit := c.limit()
	if c.emit != nil {
		limit = c.prompt()
	}
	s.await(limit, func() bool { return len(s.events) >= n || s.err != nil })
	s.mustStream()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == 0 {
		c.Fatalf("wanted an event, but there is none: %v", s.err)
	}
	return s, append([]Event(nil), s.events[:min(n, len(s.events))]...)
}

// ended reports whether a stream has ended by itself.
func (s *endpointStream) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, context.Canceled) {
		return nil
	}
	return s.err
}

// bytes is what has come so far.
func (s *endpointStream) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.wire.Bytes())
}
