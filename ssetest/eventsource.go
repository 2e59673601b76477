package ssetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxWaitingBytes and maxWaitingEvents bound what an EventSource has read and nobody has asked for.
	maxWaitingBytes  = 64 << 20
	maxWaitingEvents = 1 << 16

	// maxRefusedBytes is how much of a refused response's body is kept.
	maxRefusedBytes = 1 << 10

	// refusedPatience is how long to wait for that much: the response may be a stream, just not one of events.
	refusedPatience = 100 * time.Millisecond
)

// An EventSource is the client's side of one open stream. [Dial] makes it; in a test, [Open] gives a [Stream] with assertions.
// Its methods may be called from several goroutines.
//
// It parses the stream as a browser does, and reads eagerly: up to 65,536 events or 64 MiB that nobody has asked for.
// Beyond that it stops reading, until somebody does, and the server sees a slow client.
// It does not reconnect: the end of the stream is the end.
type EventSource struct {
	response *http.Response
	name     string // the request, for errors
	cancel   context.CancelFunc
	done     chan struct{} // closed when the goroutine that reads has ended

	mu       sync.Mutex // guards what follows
	changed  signal     // raised when it has changed
	waiting  []arrival
	size     int   // bytes of what is waiting
	received int64 // events so far
	closed   bool
	err      error // how the stream ended; nil while it is open
}

// An arrival is an event and when it came.
type arrival struct {
	event Event
	at    time.Time
}

func (a *arrival) size() int { return len(a.event.Data) + len(a.event.Type) + len(a.event.ID) }

// Dial opens an event stream, and returns when the headers of the response are there. Nil for cfg is the default [OpenConfig].
// The context governs the whole stream: when it is done, the stream is closed. Close must be called in the end.
//
// A response other than 200 with the content type text/event-stream is a [*ResponseError].
func Dial(ctx context.Context, url string, cfg *OpenConfig) (*EventSource, error) {
	return dial(ctx, url, cfg, "")
}

// dial opens a stream with a token of the server's, or none.
func dial(ctx context.Context, url string, cfg *OpenConfig, token string) (*EventSource, error) {
	c := cfg.withDefaults(url)
	ctx, cancel := context.WithCancel(ctx)
	request, err := c.request(ctx, url)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("ssetest: opening a stream: %w", err)
	}
	if token != "" {
		request.Header.Set(tokenHeader, token)
	}
	es := &EventSource{name: request.Method + " " + url, cancel: cancel, done: make(chan struct{})}
	if err := es.connect(c, request); err != nil {
		cancel()
		return nil, fmt.Errorf("ssetest: opening %s: %w", es.name, err)
	}
	decoder := NewDecoder(es.response.Body)
	decoder.SetLastEventID(c.LastEventID)
	go es.read(ctx, decoder)
	return es, nil
}

// withDefaults returns a copy with every field set that has a default.
func (c *OpenConfig) withDefaults(url string) *OpenConfig {
	var full OpenConfig
	if c != nil {
		full = *c
	}
	server := serverOf(url)
	if full.Client == nil {
		full.Client = http.DefaultClient
		if server != nil {
			full.Client = server.Client()
		}
	}
	if full.Method == "" {
		full.Method = http.MethodGet
	}
	if full.Timeout == 0 {
		full.Timeout = defaultTimeout
		if server != nil {
			full.Timeout = server.cfg.Timeout
		}
	}
	return &full
}

// request is what an EventSource asks.
func (c *OpenConfig) request(ctx context.Context, url string) (*http.Request, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, c.Method, url, bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Cache-Control", "no-cache")
	r.Header.Set("Pragma", "no-cache")
	for name, values := range c.Header {
		r.Header[http.CanonicalHeaderKey(name)] = append([]string(nil), values...)
	}
	if c.LastEventID != "" {
		r.Header.Set("Last-Event-ID", c.LastEventID)
	}
	return r, nil
}

var errNoResponse = errors.New("no response")

// connect sends the request and checks the response.
func (es *EventSource) connect(c *OpenConfig, request *http.Request) error {
	inTime := func() bool { return true }
	if c.Timeout >= 0 {
		inTime = time.AfterFunc(c.Timeout, es.cancel).Stop
	}
	response, err := c.Client.Do(request)
	if !inTime() {
		if err == nil {
			_ = response.Body.Close()
		}
		return fmt.Errorf("%w within %v", errNoResponse, c.Timeout)
	}
	if err != nil {
		return broken(err)
	}
	es.response = response
	return es.checkResponse(response)
}

// checkResponse makes an error of a response that is no event stream.
func (es *EventSource) checkResponse(r *http.Response) error {
	contentType := r.Header.Get("Content-Type")
	if r.StatusCode == http.StatusOK && essence(contentType) == "text/event-stream" {
		return nil
	}
	defer func() { _ = r.Body.Close() }()
	defer time.AfterFunc(refusedPatience, es.cancel).Stop()
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxRefusedBytes)) // what there is of it
	return &ResponseError{StatusCode: r.StatusCode, ContentType: contentType, Header: r.Header, Body: body}
}

// essence is the type and subtype of a content type, without its parameters, be they malformed (WHATWG MIME Sniffing, section 4.2).
func essence(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// read moves events from the response to those who wait for them.
func (es *EventSource) read(ctx context.Context, decoder *Decoder) {
	defer close(es.done)
	defer func() { _ = es.response.Body.Close() }()
	for {
		event, err := decoder.Next()
		if err != nil {
			es.end(ctx, err)
			return
		}
		if !es.put(ctx, arrival{event, time.Now()}) {
			es.end(ctx, ctx.Err())
			return
		}
	}
}

// put adds an event, when there is room, and reports false where the stream is closed first.
func (es *EventSource) put(ctx context.Context, a arrival) bool {
	for {
		es.mu.Lock()
		full := es.full()
		if !full {
			es.waiting = append(es.waiting, a)
			es.size += a.size()
			es.received++
			es.changed.raise()
		}
		next := es.changed.next()
		es.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}

// full reports whether no more is read for the time being. es.mu is held.
func (es *EventSource) full() bool {
	return len(es.waiting) >= maxWaitingEvents || es.size >= maxWaitingBytes
}

// end records how the stream ended.
func (es *EventSource) end(ctx context.Context, err error) {
	es.mu.Lock()
	defer es.mu.Unlock()
	switch {
	case es.closed:
		err = ErrClosed
	case ctx.Err() != nil:
		err = fmt.Errorf("ssetest: %s: %w", es.name, context.Cause(ctx))
	case !errors.Is(err, io.EOF):
		err = fmt.Errorf("%s: %w", es.name, broken(err))
	}
	es.err = err
	es.changed.raise()
}

// Next returns the next event, and waits for it where it has not arrived.
// When all events are taken and the stream has ended, the error is [io.EOF] after a clean end, [ErrClosed] after Close,
// and else what broke it: [ErrStreamAborted], [ErrConnectionReset], [ErrGoneAway], or an error of the transport's that is none of these. When ctx is done first, the error is the context's, and no event is lost.
func (es *EventSource) Next(ctx context.Context) (Event, error) {
	for {
		es.mu.Lock()
		a, ok := es.take()
		err := es.err
		next := es.changed.next()
		es.mu.Unlock()
		if ok {
			return a.event, nil
		}
		if err != nil {
			return Event{}, err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return Event{}, fmt.Errorf("ssetest: waiting for an event of %s: %w", es.name, context.Cause(ctx))
		}
	}
}

// take removes the next event, where there is one. es.mu is held.
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

// Close ends the stream, and returns when the goroutine that read it has ended. Events that have arrived can still be taken.
// Calling Close again does nothing.
func (es *EventSource) Close() {
	es.mu.Lock()
	es.closed = true
	es.mu.Unlock()
	es.cancel()
	<-es.done
}
