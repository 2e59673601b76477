package ssetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// This file is what a case does with a client: the server that it is on, its streams, and what it leaves behind.

// maxAsked is how many requests a client may make in a case. One that makes more does not wait between them.
const maxAsked = 1000

// A clientTry is a case of a client.
type clientTry struct {
	*contractT
	contract *ClientContract
	protocol Protocol
	srv      *Server
	client   *http.Client
	gate     *gate
	label    string
	paths    int

	askedMu sync.Mutex // guards what follows
	changed signal     // raised when it has changed
	asked   []*asked
}

// An asked is a request that has come in.
type asked struct {
	Request
	record *requestRecord
	path   string
	ended  time.Time // when its handler had returned; zero: it has not
}

var lastLabel atomic.Int64

// newClientTry starts a server for a case.
func newClientTry(t *contractT, contract *ClientContract, p Protocol) *clientTry {
	c := &clientTry{contractT: t, contract: contract, protocol: p, label: strconv.FormatInt(lastLabel.Add(1), 10)}
	cfg := &Config{Protocol: p, Timeout: t.limit(), Retry: -1, Wrap: c.watch}
	if contract.claims(CanTakeClient) {
		cfg.Network = InMemory
	} else {
		cfg.Network = Loopback
	}
	c.srv = NewServer(t, cfg)
	c.serveWith(c.srv)
	return c
}

// serveWith has the client reach a server.
func (c *clientTry) serveWith(srv *Server) {
	c.gate = &gate{next: srv.Client().Transport, try: c}
	c.client = &http.Client{Transport: c.gate}
	c.Cleanup(func() { c.gate.shut.Store(true) })
}

// watch takes note of every request.
func (c *clientTry) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &asked{record: exchangeOf(r).record, path: r.URL.Path}
		many := 0
		c.note(func() {
			c.asked = append(c.asked, a)
			many = len(c.asked)
		})
		defer c.note(func() { a.ended = time.Now() })
		if many > maxAsked {
			<-r.Context().Done()
			return
		}
		next.ServeHTTP(w, r)
	})
}

// note changes what was asked.
func (c *clientTry) note(change func()) {
	c.askedMu.Lock()
	defer c.askedMu.Unlock()
	change()
	c.changed.raise()
}

// requests are those for a path so far.
func (c *clientTry) requests(path string) []asked {
	c.askedMu.Lock()
	defer c.askedMu.Unlock()
	var all []asked
	for _, a := range c.asked {
		if a.path == path {
			one := *a
			one.Request = a.record.copy()
			all = append(all, one)
		}
	}
	return all
}

// awaitRequests waits until so many requests for a path have come in, and reports false where they have not within a limit.
func (c *clientTry) awaitRequests(path string, n int, limit time.Duration) bool {
	return await(&c.askedMu, &c.changed, limit, func() bool {
		there := 0
		for _, a := range c.asked {
			if a.path == path {
				there++
			}
		}
		return there >= n
	})
}

// awaitEnded waits until the handler of a request for a path has returned, and reports false where it has not within a limit.
func (c *clientTry) awaitEnded(path string, limit time.Duration) bool {
	return await(&c.askedMu, &c.changed, limit, func() bool {
		return slices.ContainsFunc(c.asked, func(a *asked) bool { return a.path == path && !a.ended.IsZero() })
	})
}

// mustComeBack waits for the n-th request for a path, and ends the case where none comes.
func (c *clientTry) mustComeBack(path string, n int) asked {
	if !c.awaitRequests(path, n, c.limit()) {
		c.Fatalf("the client has not come back within %v", c.limit())
	}
	return c.requests(path)[n-1]
}

// mustStayAway waits for long, and ends the case where there are more than n requests for a path.
func (c *clientTry) mustStayAway(path string, n int, why string) {
	if c.awaitRequests(path, n+1, 20*c.unit()*c.patience()) {
		c.Fatalf("the client has come back, %s", why)
	}
}

// patience makes waits longer where they cost nothing.
func (c *clientTry) patience() time.Duration {
	if c.virtual {
		return 60
	}
	return 1
}

// path returns one that no other stream of the case has.
func (c *clientTry) path() string {
	c.paths++
	return fmt.Sprintf("/%d", c.paths)
}

// serve serves scripts at a path of their own, one to each request.
func (c *clientTry) serve(scripts ...Script) (path string) {
	path = c.path()
	c.srv.Script(path, append(scripts, Script{Response{Status: http.StatusNoContent}})...)
	return path
}

// A gate is what the client's requests go through. When a case is over, or a client asks again and again without waiting, nothing goes through it any more.
type gate struct {
	next http.RoundTripper
	try  *clientTry
	sent atomic.Int64
	shut atomic.Bool
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := g.sent.Add(1)
	if sent == maxAsked {
		g.try.Errorf("the client has made %d requests, again and again, whatever it was answered, and gets no further answers", sent)
	}
	if g.shut.Load() && g.try.virtual {
		runtime.Goexit() // it would be left in the bubble for ever
	}
	if g.shut.Load() || sent >= maxAsked {
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	}
	return g.next.RoundTrip(r)
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] wants.
func (g *gate) CloseIdleConnections() {
	if c, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// A triedStream is a stream of the client under test.
type triedStream struct {
	c      *clientTry
	stream ClientStream
	cancel context.CancelFunc // of what Connect was given
	closed atomic.Bool
}

// labelled calls the client. What it starts can be told by a label.
func (c *clientTry) labelled(limit time.Duration, f func()) bool {
	return c.within(limit, func() {
		pprof.Do(context.Background(), pprof.Labels("ssetest.TestClient", c.label), func(context.Context) { f() })
	})
}

// A connected is what Connect has returned.
type connected struct {
	stream ClientStream
	err    error
}

// awaitReturn waits for a Connect that is late, closes what it returns, and reports false where it does not return.
func (c *clientTry) awaitReturn(done <-chan connected) bool {
	timer := time.NewTimer(c.limit())
	defer timer.Stop()
	select {
	case late := <-done:
		if late.err == nil && late.stream != nil {
			late.stream.Close()
		}
		return true
	case <-timer.C:
		return false
	}
}

var errNoStream = errors.New("no stream")

// connectWithin opens a stream, or says why it can't be opened: errNoStream where Connect waits longer than a limit.
func (c *clientTry) connectWithin(limit time.Duration, path string, r ConnectRequest) (*triedStream, error) {
	return c.connectWith(context.Background(), limit, path, r)
}

// connectWith is connectWithin with a context of the case's.
func (c *clientTry) connectWith(ctx context.Context, limit time.Duration, path string, r ConnectRequest) (*triedStream, error) {
	r.URL, r.Client = c.srv.URL+path, c.client
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	if r.ReconnectionTime == 0 {
		r.ReconnectionTime = c.unit()
	}
	if r.OnComment == nil {
		r.OnComment = func(string) {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan connected, 1)
	connect := func() {
		var to connected
		to.stream, to.err = c.contract.Connect(ctx, r)
		done <- to
	}
	if !c.labelled(limit, connect) {
		cancel()
		if !c.awaitReturn(done) {
			c.Fatalf("Connect has not returned within %v, though its context was done after %v", limit+c.limit(), limit)
		}
		return nil, errNoStream
	}
	select {
	case to := <-done:
		if to.err == nil && to.stream == nil {
			to.err = errors.New("it has returned neither a stream nor an error")
		}
		if to.err != nil {
			cancel()
			return nil, fmt.Errorf("Connect: %w", to.err)
		}
		s := &triedStream{c: c, stream: to.stream, cancel: cancel}
		c.Cleanup(func() {
			s.close()
			s.cancel() // not earlier: Close has to do without it
		})
		return s, nil
	default: // it was ended, which has ended the case
		cancel()
		return nil, errNoStream
	}
}

// connect opens a stream, or says why it can't be opened. It ends the case where Connect says neither.
func (c *clientTry) connect(path string, r ConnectRequest) (*triedStream, error) {
	s, err := c.connectWithin(c.limit(), path, r)
	if err == errNoStream {
		c.Fatalf("Connect has not returned within %v", c.limit())
	}
	return s, err
}

// mustConnect opens a stream, or ends the case.
func (c *clientTry) mustConnect(path string, r ConnectRequest) *triedStream {
	s, err := c.connect(path, r)
	if err != nil {
		c.Fatalf("%v", err)
	}
	return s
}

var errNoEvent = errors.New("no event")

// nextWithin returns the next event, or errNoEvent.
func (s *triedStream) nextWithin(limit time.Duration) (Event, error) {
	return s.nextWhile(context.Background(), limit)
}

// nextWhile does so while a context is not done.
func (s *triedStream) nextWhile(ctx context.Context, limit time.Duration) (Event, error) {
	patience := limit + s.c.limit() // for a client that minds no context
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var e Event
	var err error
	if !s.c.labelled(patience, func() { e, err = s.stream.Next(ctx) }) {
		s.c.Fatalf("Next has not returned within %v, though its context was done after %v", patience, limit)
	}
	switch {
	case err == nil && e.Type == "":
		e.Type = "message"
	case err != nil && ctx.Err() != nil:
		return Event{}, errNoEvent
	}
	e.Retry = 0
	return e, err
}

// next returns the next event, or how the stream has ended. It ends the case where neither comes.
func (s *triedStream) next() (Event, error) {
	e, err := s.nextWithin(s.c.limit())
	if err == errNoEvent {
		s.c.Fatalf("the client gives no event within %v, and no error", s.c.limit())
	}
	return e, err
}

// mustGet ends the case where the next events are others than these, or there are none.
func (s *triedStream) mustGet(wanted ...Event) {
	for i, want := range wanted {
		got, err := s.next()
		if err != nil {
			s.c.Fatalf("wanted event %d to be %v, but Next has failed: %v", i+1, want, err)
		}
		if !s.c.same(want, got) {
			s.c.Fatalf("wanted event %d to be %v, but the client gives %v", i+1, want, got)
		}
	}
}

// mustGetData ends the case where the next events have other data than this, or there are none.
func (s *triedStream) mustGetData(data ...string) {
	for i, want := range data {
		got, err := s.next()
		if err != nil {
			s.c.Fatalf("wanted the data of event %d to be %q, but Next has failed: %v", i+1, want, err)
		}
		if got.Data != want {
			s.c.Fatalf("wanted the data of event %d to be %q, but the client gives %v", i+1, want, got)
		}
	}
}

// mustEnd ends the case where the client gives another event, or does not say that there will be none, and returns what it says.
func (s *triedStream) mustEnd() error {
	e, err := s.next()
	if err == nil {
		s.c.Fatalf("wanted no further event, but the client gives %v", e)
	}
	return err
}

// same compares an event with what a client gives.
func (c *clientTry) same(want, got Event) bool {
	if want.Type == "" {
		want.Type = "message"
	}
	return want.Type == got.Type && want.Data == got.Data && (want.ID == got.ID || !c.contract.claims(CanReportIDs))
}

// close closes the stream.
func (s *triedStream) close() {
	const limit = 10 * time.Second
	if s.closed.Swap(true) {
		return
	}
	if !s.c.labelled(limit, s.stream.Close) {
		s.c.Errorf("Close has not returned within %v", limit)
	}
}

// mustLeaveNothing ends the case where something of the client's is left when its streams are closed.
func (c *clientTry) mustLeaveNothing() {
	const (
		patience = 5 * time.Second
		looks    = 50
	)
	var left string
	for range looks {
		c.client.CloseIdleConnections()
		if left = c.left(); left == "" {
			return
		}
		time.Sleep(patience / looks)
	}
	c.Fatalf("%v after the last stream was closed, %s", patience, left)
}

// left says what there is of the client.
func (c *clientTry) left() string {
	n, stack := labelledGoroutines("ssetest.TestClient", c.label)
	if n > 0 && (c.contract.claims(CanTakeClient) || !strings.Contains(stack, "net/http.(*persistConn)")) { // which a client may keep that is not ours
		return "a goroutine is left that it has started:\n" + stack
	}
	if open := c.srv.listener.sockets.all(); len(open) > 0 && c.contract.claims(CanTakeClient) {
		return fmt.Sprintf("%s left, of which connection %d is one", count(len(open), "connection"), open[0].number)
	}
	return ""
}

// labelledGoroutines counts the goroutines that have a label, which is that of who has started them, and returns the stack of one of them.
func labelledGoroutines(key, value string) (n int, stack string) {
	var profile strings.Builder
	if p := pprof.Lookup("goroutine"); p != nil {
		_ = p.WriteTo(&profile, 1) // a Builder does not fail
	}
	label := fmt.Sprintf("%q:%q", key, value)
	_, groups, _ := strings.Cut(profile.String(), "\n")   // behind their number
	for group := range strings.SplitSeq(groups, "\n\n") { // "3 @ …", and what they have in common
		if strings.Contains(group, label) {
			many, _, _ := strings.Cut(group, " ")
			k, _ := strconv.Atoi(many)
			n, stack = n+k, group
		}
	}
	return n, stack
}
