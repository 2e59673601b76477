package ssetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// A mutant is a client of event streams, as short as it can be. Without faults it passes the suite for clients. Each of its decisions asks whether it has a fault there:
// their names are what clients do wrong.
//
// None of them may leave a goroutine for good, since nobody could end it from outside of its bubble: what waits ends when the stream is closed, its context is done, or the server is closed.
type mutant struct {
	reconnect bool
	faults    []string

	// The newest stream, and whose it is: two cases have no client in common, and no bubble.
	client *http.Client
	newest *mutantStream
}

func (m *mutant) has(fault string) bool { return slices.Contains(m.faults, fault) }

func (m *mutant) contract() ssetest.ClientContract {
	c := ssetest.ClientContract{Connect: m.connect}
	if !m.reconnect {
		c.Without = []ssetest.Capability{ssetest.CanReconnect}
	}
	return c
}

// A mutantStream is a stream that it has opened.
type mutantStream struct {
	*mutant
	request ssetest.ConnectRequest
	given   context.Context // Connect's
	ctx     context.Context // of the requests
	cancel  context.CancelFunc

	events chan ssetest.Event // closed when there will be no more
	err    error              // why; after events was closed
	first  *ssetest.Event     // that Connect has waited for
	opened chan struct{}      // closed when the first response has come, or can't
	closed chan struct{}
	open   sync.Once
	shut   sync.Once
	done   chan struct{} // closed when its goroutine has ended
	idle   atomic.Bool   // between two responses, or behind the last

	// What is kept from one response to the next.
	id      string
	asked   int      // requests so far
	ids     []string // of the newest request
	retry   time.Duration
	retries int // valid fields so far
	last    *mutantParser
}

func (m *mutant) connect(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
	given := ctx
	if m.has("ignores its context") {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan ssetest.Event)
	if m.has("drops events when 16 are waiting") {
		events = make(chan ssetest.Event, 16)
	}
	s := &mutantStream{
		mutant: m, request: r, given: given, ctx: ctx, cancel: cancel, events: events,
		opened: make(chan struct{}), closed: make(chan struct{}), done: make(chan struct{}),
		id: r.LastEventID, retry: r.ReconnectionTime,
	}
	if m.has("ends a stream when it opens another") {
		if m.client == r.Client {
			m.newest.cancel()
		}
		m.client, m.newest = r.Client, s
	}
	go s.run()
	if !m.has("opens a stream before it asks") {
		<-s.opened
	}
	if m.has("opens a stream with its first event") {
		e, err := s.Next(ctx)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.first = &e
	}
	return s, nil
}

func (s *mutantStream) Next(ctx context.Context) (ssetest.Event, error) {
	if e := s.first; e != nil {
		s.first = nil
		return *e, nil
	}
	if s.has("ignores the context of Next") {
		ctx = context.Background()
	}
	select {
	case e, ok := <-s.source():
		switch {
		case ok, s.has("gives an empty event at the end") && !s.isClosed():
			return e, nil
		case s.has("gives the end once alone"):
			err := s.err
			s.err = errors.New("the stream has ended")
			return e, err
		default:
			return e, s.err
		}
	case <-ctx.Done():
		if s.has("ends the stream when the context of Next is done") {
			s.cancel()
		}
		return ssetest.Event{}, ctx.Err()
	}
}

// source is where Next takes an event from.
func (s *mutantStream) source() <-chan ssetest.Event {
	if !s.has("loses an event when the context of Next is done") {
		return s.events
	}
	next := make(chan ssetest.Event, 1)
	go func() {
		if e, ok := <-s.events; ok {
			next <- e
		} else {
			close(next)
		}
	}()
	return next
}

func (s *mutantStream) Close() {
	switch {
	case s.has("hangs in Close when a response has ended"):
		if s.settle(); s.idle.Load() {
			<-s.ctx.Done()
		}
	case s.has("hands over its event though it was closed"):
		s.settle()
	case s.has("waits for another event in Close"):
		_, _ = s.Next(s.ctx) // which event, if any, does not matter
	}
	s.shut.Do(func() { close(s.closed) })
	if s.has("leaves the response open in Close") {
		return
	}
	if s.has("reads the response to its end in Close") {
		<-s.done
	}
	s.cancel()
	if !s.has("comes back when it was closed") {
		<-s.done
	}
}

// settle lets its goroutine do what it can: it is in a bubble.
func (s *mutantStream) settle() { time.Sleep(time.Millisecond) }

func (s *mutantStream) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// A refusal is a response that is no event stream.
type refusal struct{ status int }

func (r *refusal) Error() string { return fmt.Sprintf("refused with %d", r.status) }

// A lost is a request without a response.
type lost struct{ error }

var (
	errSilent  = errors.New("silent for too long")
	errTooBig  = errors.New("too big")
	errInvalid = errors.New("it is no event stream")
)

// run is its goroutine.
func (s *mutantStream) run() {
	defer close(s.done)
	for ctx := s.ctx; ; {
		closed := s.has("comes back when it was closed") && s.isClosed() // and that once
		if closed {
			ctx = context.Background()
		}
		s.idle.Store(false)
		unfinished, err := s.attempt(ctx)
		s.open.Do(func() { close(s.opened) })
		s.idle.Store(true)
		if err == errSilent && !s.has("stays on a connection that is silent") {
			s.request.Client.CloseIdleConnections() // HTTP/2 would ask again on it
		}
		if closed || !s.comesBack(unfinished, err) || !s.wait() {
			s.err = s.ending(unfinished, err)
			break
		}
	}
	switch {
	case s.has("waits in Next when it was closed") && s.ctx.Err() != nil:
	case s.has("waits in Next when it was refused") && errors.As(s.err, new(*refusal)):
	default:
		close(s.events)
	}
}

// ending is what Next says of an end.
func (s *mutantStream) ending(unfinished bool, err error) error {
	var reset http2.StreamError
	isReset := errors.As(err, &reset)
	clean := err == io.EOF
	switch {
	case s.has("takes every end for the clean one"):
		clean = true
	case s.has("takes io.ErrUnexpectedEOF for the clean end"):
		clean = clean || errors.Is(err, io.ErrUnexpectedEOF)
	case s.has("takes a reset of the connection for the clean end"):
		clean = clean || errors.Is(err, syscall.ECONNRESET)
	case s.has("takes RST_STREAM for the clean end"):
		clean = clean || isReset
	case s.has("takes RST_STREAM(NO_ERROR) for the clean end"):
		clean = clean || isReset && reset.Code == http2.ErrCodeNo
	case s.has("takes RST_STREAM(CANCEL) for the clean end"):
		clean = clean || isReset && reset.Code == http2.ErrCodeCancel
	case s.has("takes an end between events for the clean one"):
		clean = !unfinished
	case s.has("takes an end within an event for the clean one"):
		clean = clean || unfinished
	case s.has("takes the clean end for another"):
		clean = false
	}
	if clean {
		return io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the stream has broken: %w", err)
}

// comesBack decides what follows a response, or none.
func (s *mutantStream) comesBack(unfinished bool, err error) bool {
	var refused *refusal
	switch {
	case s.has("comes back when it was closed") && s.isClosed():
		return s.reconnect
	case !s.reconnect || s.ctx.Err() != nil || s.isClosed():
		return false
	case errors.As(err, &refused):
		return s.comesBackAfter(refused.status)
	case err == errTooBig || err == errInvalid:
		return false
	case errors.As(err, new(lost)):
		return !s.has("does not come back where no response comes")
	case err == io.EOF:
		return !s.has("does not come back after the clean end")
	case s.has("does not come back after io.ErrUnexpectedEOF") && errors.Is(err, io.ErrUnexpectedEOF),
		s.has("does not come back after a reset of the connection") && errors.Is(err, syscall.ECONNRESET),
		s.has("does not come back after RST_STREAM") && errors.As(err, new(http2.StreamError)),
		s.has("does not come back after a broken event") && unfinished,
		s.has("does not come back after silence") && err == errSilent,
		s.has("comes back three times and no more") && s.asked > 3:
		return false
	default:
		return !s.has("does not come back after a broken stream")
	}
}

// comesBackAfter decides what follows a refusal.
func (s *mutantStream) comesBackAfter(status int) bool {
	return s.has("comes back after every refusal") ||
		s.has("comes back after 204") && status == http.StatusNoContent ||
		s.has("comes back after 404") && status == http.StatusNotFound ||
		s.has("comes back after 429 and 503") && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) ||
		s.has("comes back after 5xx") && status >= 500 ||
		s.has("comes back after another content type") && status == http.StatusOK ||
		s.has("comes back after a refusal if it had a stream") && s.asked > 1
}

// wait waits for the reconnection time, and reports false where the stream was closed.
func (s *mutantStream) wait() bool {
	wait := s.retry
	switch {
	case s.has("does not wait before it comes back"):
		wait = 0
	case s.has("waits for half a minute at most"):
		wait = min(wait, 30*time.Second)
	case s.has("waits ten times as long"):
		wait *= 10
	case s.has("waits nine tenths of the time"):
		wait = wait * 9 / 10
	case s.has("forgets the reconnection time"):
		s.retry = s.request.ReconnectionTime
	}
	if s.has("comes back when it was closed") {
		time.Sleep(min(wait, 20*time.Second)) // or it would be left when nobody looks any more
		return true
	}
	if s.has("minds no context while it waits") {
		time.Sleep(min(wait, 310*time.Second)) // for the same reason
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
	case <-s.ctx.Done():
	}
	return false
}

// attempt asks once, and reads the response. It returns how that has ended, and whether it was within an event.
func (s *mutantStream) attempt(ctx context.Context) (unfinished bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := s.newRequest(ctx)
	if err != nil {
		return false, err
	}
	silence := s.limitSilence(cancel)
	defer silence.Stop()
	response, err := s.httpClient().Do(request)
	s.open.Do(func() { close(s.opened) })
	if err != nil {
		return false, lost{err}
	}
	defer response.Body.Close()
	if !s.isStream(response) {
		return false, &refusal{response.StatusCode}
	}
	p := &mutantParser{mutantStream: s, id: s.id, undecoded: s.wrongDecoder(response)}
	if s.has("keeps the rest of a broken event") && s.last != nil {
		p.line, p.data = s.last.line, s.last.data
	}
	s.last = p
	return p.read(response.Body, silence)
}

func (s *mutantStream) newRequest(ctx context.Context) (*http.Request, error) {
	r := s.request
	method, body := r.Method, r.Body
	switch {
	case s.has("asks by GET alone"):
		method = http.MethodGet
	case s.has("asks by POST alone"):
		method = http.MethodPost
	case s.has("sends no body"):
		body = nil
	case s.has("sends a body with GET"):
		body = append([]byte("{}"), body...)
	}
	url := r.URL
	if again := s.asked > 0; again {
		switch {
		case s.has("loses its body when it comes back"):
			body = nil
		case s.has("loses its query when it comes back"):
			url, _, _ = strings.Cut(url, "?")
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if !s.has("sends none of the headers") && (s.asked == 0 || !s.has("loses its headers when it comes back")) {
		request.Header = r.Header.Clone()
	}
	switch {
	case s.has("sends one value of each header"):
		for name, values := range request.Header {
			request.Header[name] = values[:1]
		}
	case s.has("asks for gzip and does not decode it"):
		request.Header.Set("Accept-Encoding", "gzip")
	}
	if !s.has("does not say what it accepts") {
		request.Header.Set("Accept", "text/event-stream")
	}
	if s.has("accepts JSON alone") {
		request.Header.Set("Accept", "application/json")
	}
	if !s.has("lets caches answer") {
		request.Header.Set("Cache-Control", "no-cache")
	}
	s.setLastEventID()
	s.asked++
	if len(s.ids) > 0 {
		request.Header["Last-Event-Id"] = s.ids
	}
	return request, nil
}

// setLastEventID decides what the next request sends.
func (s *mutantStream) setLastEventID() {
	id := s.id
	switch {
	case s.has("never sends the last event ID"),
		s.has("does not send the last event ID to begin with") && s.asked == 0,
		s.has("forgets the last event ID to begin with") && s.asked > 0 && id == s.request.LastEventID:
		id = ""
	case s.has("keeps the last event ID for one request"):
		s.id = ""
	case s.has("escapes the last event ID"):
		id = url.QueryEscape(id)
	case s.has("sends the last event ID in Latin-1"):
		var latin1 []byte
		for _, r := range id {
			latin1 = append(latin1, byte(r)) // what does not fit is another character there
		}
		id = string(latin1)
	}
	switch {
	case s.has("adds the last event ID to those before") && id != "":
		s.ids = append(s.ids, id)
	case id != "" || s.has("sends an empty last event ID"):
		s.ids = []string{id}
	case !s.has("sends the last event ID until there is another"):
		s.ids = nil
	}
}

// httpClient is what asks, with what is done about redirects.
func (s *mutantStream) httpClient() *http.Client {
	client := *s.request.Client
	client.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		status := to.Response.StatusCode
		switch {
		case s.has("follows no redirect"), s.has("follows no 307 and 308") && status >= 307, s.has("follows no 303") && status == http.StatusSeeOther:
			return http.ErrUseLastResponse
		case s.has("loses the query in a redirect"):
			to.URL.RawQuery = ""
		case s.has("loses its headers in a redirect"):
			to.Header = make(http.Header)
		case s.has("asks by GET after every redirect"):
			to.Method, to.Body, to.ContentLength = http.MethodGet, nil, 0
		case s.has("loses its body in a redirect"):
			to.Body, to.ContentLength = nil, 0
		case s.has("asks by the same method after every redirect"):
			to.Method, to.Body, to.ContentLength = s.request.Method, io.NopCloser(bytes.NewReader(s.request.Body)), int64(len(s.request.Body))
		}
		if len(via) >= 10 && !s.has("follows redirects without end") || len(via) > 3 && s.has("follows three redirects at most") {
			return errors.New("too many redirects")
		}
		return nil
	}
	return &client
}

// isStream looks at the status and the content type.
func (s *mutantStream) isStream(response *http.Response) bool {
	status := response.StatusCode
	ok := status == http.StatusOK
	switch {
	case s.has("takes every status for 200"):
		ok = true
	case s.has("takes every 2xx for 200"):
		ok = status/100 == 2
	case s.has("takes every status below 400 for 200"):
		ok = status < 400
	case s.has("takes 206 for 200"):
		ok = ok || status == http.StatusPartialContent
	}
	return ok && s.isEventStream(response.Header.Get("Content-Type"))
}

func (s *mutantStream) isEventStream(contentType string) bool {
	const wanted = "text/event-stream"
	before, _, _ := strings.Cut(contentType, ";")
	essence, parameters, malformed := mime.ParseMediaType(contentType)
	switch {
	case s.has("ignores the content type"):
		return true
	case s.has("compares all of the content type"):
		return contentType == wanted
	case s.has("compares the content type's beginning"):
		return strings.HasPrefix(strings.ToLower(contentType), wanted)
	case s.has("looks for the content type anywhere"):
		return strings.Contains(strings.ToLower(contentType), wanted)
	case s.has("wants the content type in lower case"):
		return strings.TrimSpace(before) == wanted
	case s.has("wants no space behind the content type"):
		return strings.EqualFold(before, wanted)
	case s.has("wants the content type's parameters well-formed"):
		return malformed == nil && essence == wanted
	case s.has("wants the charset UTF-8"):
		return essence == wanted && (parameters["charset"] == "" || strings.EqualFold(parameters["charset"], "utf-8"))
	case s.has("wants a charset"):
		return essence == wanted && parameters["charset"] != ""
	case s.has("takes all text for event streams"):
		return strings.HasPrefix(contentType, "text/")
	case s.has("takes JSON for event streams") && essence == "application/json", s.has("takes no content type for ours") && contentType == "":
		return true
	default:
		return strings.EqualFold(strings.TrimSpace(before), wanted)
	}
}

// A silence is the timer of a read timeout. It does not run where there is none.
type silence struct {
	*time.Timer
	timeout time.Duration
	broken  atomic.Bool // it has run out
}

func (s *silence) start() {
	if s.timeout > 0 {
		s.Reset(s.timeout)
	}
}

func (s *mutantStream) limitSilence(cancel context.CancelCauseFunc) *silence {
	limit := &silence{timeout: s.request.ReadTimeout}
	switch {
	case s.has("has no read timeout"):
		limit.timeout = 0
	case s.has("halves the read timeout"):
		limit.timeout /= 2
	}
	limit.Timer = time.AfterFunc(math.MaxInt64, func() {
		limit.broken.Store(true)
		cancel(errSilent)
	})
	limit.Stop()
	limit.start()
	return limit
}
