package ssetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// This file is one attempt of an EventSource: the request, the response, and what is read of it.

const (
	// maxRefusedBytes is how much of a refused response's body is kept.
	maxRefusedBytes = 1 << 10

	// refusedPatience is how long to wait for that much: the response may be a stream, just not one of events.
	refusedPatience = 100 * time.Millisecond
)

// A final error is one after which there is no other attempt.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// A gap is the time since a stream broke.
type gap struct {
	since   time.Time // zero: it has never been open
	planned time.Duration
}

// attempt asks, and reads the response to its end. It reports whether the stream was open, and how it ended.
func (es *EventSource) attempt(ctx context.Context, g gap) (wasOpen bool, err error) {
	ctx, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	es.mu.Lock()
	es.attempts++
	number := es.attempts
	es.received = 0
	es.interrupt = interrupt
	later := es.begun
	es.mu.Unlock()

	inTime := func() bool { return true }
	if later && es.cfg.Timeout >= 0 {
		late := fmt.Errorf("%w within %v", errNoResponse, es.cfg.Timeout)
		inTime = time.AfterFunc(es.cfg.Timeout, func() { interrupt(late) }).Stop
	}
	start := time.Now()
	defer func() {
		directive := endDirective(err)
		if !wasOpen && directive == "hold" {
			directive = "abort" // there was no answer, and so nothing to hold open
		}
		es.log.add(number, entryEnded, directive+"\t"+endReason(err))
	}()
	response, err := es.ask(ctx, interrupt)
	if !inTime() && err == nil {
		_ = response.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	what := &happening{kind: opened, response: response}
	if !g.since.IsZero() {
		what.again, what.after, what.planned = true, start.Sub(g.since), g.planned
	}
	es.open(ctx, what)
	return true, causeOr(ctx, es.read(ctx, interrupt, response.Body))
}

// causeOr is why a context is done, or where it is not, an error.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// open takes note of a response that is an event stream.
func (es *EventSource) open(ctx context.Context, what *happening) {
	es.mu.Lock()
	es.state, es.begun = StateOpen, true
	es.response = what.response
	es.failure = nil
	es.mu.Unlock()
	es.put(ctx, arrival{at: time.Now(), what: what})
}

// ask sends the request, and returns a response that is an event stream.
func (es *EventSource) ask(ctx context.Context, interrupt context.CancelCauseFunc) (*http.Response, error) {
	request, err := es.request(ctx)
	if err != nil {
		return nil, final{err}
	}
	client := *es.cfg.Client
	tail := &redirects{next: client.Transport}
	client.Transport = tail
	client.CheckRedirect = checkRedirect(client.CheckRedirect)
	response, err := client.Do(request)
	if tail.newest != request {
		es.follow(tail.newest)
	}
	if err != nil {
		return nil, causeOr(ctx, tail.judge(err))
	}
	if refused := checkResponse(response, interrupt); refused != nil {
		es.log.add(es.number(), entryAnswered, answerText(response.StatusCode, response.Header))
		if err := (*ResponseError)(nil); errors.As(refused, &err) && len(err.Body) > 0 {
			es.log.add(es.number(), entryAnswered, bodyText(err.Body))
		}
		return nil, final{refused}
	}
	if es.cfg.recordHeader {
		es.log.add(es.number(), entryAnswered, answerText(response.StatusCode, response.Header))
	}
	return response, nil
}

// request is what an EventSource asks.
func (es *EventSource) request(ctx context.Context) (*http.Request, error) {
	es.mu.Lock()
	to, id, number := es.target, es.lastEventID, es.attempts
	es.mu.Unlock()
	if err := checkLastEventID(id); err != nil {
		return nil, fmt.Errorf("the last event ID is %q: %w", id, err)
	}
	r, err := http.NewRequestWithContext(ctx, to.method, to.url, bytes.NewReader(to.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Cache-Control", "no-cache")
	r.Header.Set("Pragma", "no-cache")
	for name, values := range to.header {
		r.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	if host := r.Header.Get("Host"); host != "" { // which net/http has elsewhere
		r.Host = host
	}
	es.log.ask(number, r, askedLine(r))
	if es.account != nil {
		r.Header.Set(tokenHeader, es.account.header(number))
		if es.account.ledger != nil {
			es.account.ledger.ask(lastEventID(r))
		}
	}
	return r, nil
}

// checkResponse makes an error of a response that is no event stream.
func checkResponse(r *http.Response, interrupt context.CancelCauseFunc) error {
	contentType := r.Header.Get("Content-Type")
	if r.StatusCode == http.StatusOK && essence(contentType) == "text/event-stream" {
		return nil
	}
	defer func() { _ = r.Body.Close() }()
	defer time.AfterFunc(refusedPatience, func() { interrupt(nil) }).Stop()
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxRefusedBytes)) // what there is of it
	return &ResponseError{StatusCode: r.StatusCode, ContentType: contentType, Header: r.Header, Body: body}
}

// essence is the type and subtype of a content type, without its parameters, be they malformed (WHATWG MIME Sniffing, section 4.2).
func essence(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// read moves events from a response to those who wait for them, until its end.
func (es *EventSource) read(ctx context.Context, interrupt context.CancelCauseFunc, body io.Reader) error {
	in := &intake{es: es, ctx: ctx, body: body, number: es.number()}
	if d := es.cfg.ReadTimeout; d > 0 {
		in.silence = time.AfterFunc(d, func() { interrupt(fmt.Errorf("%w: %v", ErrReadTimeout, d)) })
		defer in.silence.Stop()
		in.silence.Stop()
	}
	in.decoder = NewDecoder(in)
	if es.cfg.anyEventSize {
		in.decoder.SetMaxEventSize(-1)
	}
	in.decoder.SetLastEventID(es.LastEventID())
	if es.cfg.OnComment != nil {
		in.decoder.OnComment(func(text string) { _ = in.add(arrival{what: &happening{kind: comments, text: text}}) }) // whether it is over, the next to ask is told
	}
	for {
		event, err := in.decoder.Next()
		if err == nil {
			in.publishTime() // it counts when it has been read, whether there is room for the event or not
			if !in.add(arrival{event: event}) {
				return ctx.Err() // the event is none that was received, nor is its ID
			}
			continue
		}
		if !in.publish() {
			return ctx.Err()
		}
		switch {
		case errors.Is(err, ErrEventTooLarge):
			return final{err}
		case errors.Is(err, io.EOF):
			return io.EOF
		default:
			return broken(err)
		}
	}
}

// add adds an arrival. It is put with others that have been read with it, and reports false where the attempt is over first.
func (in *intake) add(a arrival) bool {
	a.at = in.at
	in.arrivals = append(in.arrivals, a)
	return len(in.arrivals) < maxArrivals || in.put()
}

// put puts what has been added.
func (in *intake) put() bool {
	in.over = in.over || !in.es.put(in.ctx, in.arrivals...)
	clear(in.arrivals)
	in.arrivals = in.arrivals[:0]
	return !in.over
}

// publish makes known what the decoder has found, and reports false where the attempt is over first.
func (in *intake) publish() bool {
	in.publishTime()
	if in.over || len(in.arrivals) > 0 && !in.put() {
		return false
	}
	in.es.mu.Lock()
	defer in.es.mu.Unlock()
	in.es.lastEventID = in.decoder.LastEventID()
	return true
}

// publishTime makes known the reconnection time.
func (in *intake) publishTime() {
	t, ok := in.decoder.ReconnectionTime()
	if !ok || in.timed && t == in.time {
		return
	}
	in.time, in.timed = t, true
	in.es.mu.Lock()
	defer in.es.mu.Unlock()
	in.es.reconnection = t
}

// An intake is what a decoder reads a response through.
type intake struct {
	es      *EventSource
	ctx     context.Context
	body    io.Reader
	decoder *Decoder
	number  int           // of the attempt
	time    time.Duration // the reconnection time that has been made known
	timed   bool          // one has been
	silence *time.Timer   // breaks the stream off; nil without a read timeout

	at       time.Time // when it was read what is interpreted now
	arrivals []arrival // of that, which are to be put
	over     bool      // some could not be put, and nothing that comes behind them may be
}

// maxArrivals is how many are put in one piece at most, and lie in a block of what waits.
const maxArrivals = 64

// Read reads when it may. When it is called, everything that was read before has been interpreted.
func (in *intake) Read(p []byte) (int, error) {
	if !in.publish() || !in.es.awaitResume(in.ctx) {
		return 0, in.ctx.Err()
	}
	if in.silence != nil {
		in.silence.Reset(in.es.cfg.ReadTimeout)
		defer in.silence.Stop()
	}
	n, err := in.body.Read(p)
	in.at = time.Now()
	if n < 0 || n > len(p) {
		return 0, errBadRead
	}
	in.es.log.sent(in.number, p[:n])
	return n, err
}

// awaitResume waits for the end of a pause, and reports false where the attempt is over first.
func (es *EventSource) awaitResume(ctx context.Context) bool {
	for {
		es.mu.Lock()
		if !es.paused {
			es.mu.Unlock()
			return true
		}
		next := es.changed.next()
		es.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}

// number is that of the attempt in progress.
func (es *EventSource) number() int {
	es.mu.Lock()
	defer es.mu.Unlock()
	return es.attempts
}

// endDirective is how an attempt has ended, in a transcript.
func endDirective(err error) string {
	var reset http2.StreamError
	switch {
	case errors.As(err, new(*ResponseError)), errors.Is(err, io.EOF):
		return "end"
	case errors.As(err, &reset):
		return "reset-stream " + codeName(reset.Code)
	case errors.Is(err, ErrConnectionReset):
		return "reset-conn"
	case errors.Is(err, ErrClosed), errors.Is(err, ErrReadTimeout), errors.Is(err, errRestarted), errors.Is(err, errNoResponse),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, new(final)):
		return "hold" // it is this side that has left
	default:
		return "abort"
	}
}

// endReason says why an attempt has ended.
func endReason(err error) string {
	if errors.Is(err, io.EOF) {
		return "the stream has ended"
	}
	return strings.TrimPrefix(err.Error(), "ssetest: ")
}

// readerPatience is how long to wait for a reader that has been closed.
const readerPatience = time.Second

// newReaderSource makes an EventSource of a reader, without a request.
func newReaderSource(cfg *OpenConfig, r io.Reader) *EventSource {
	es := newEventSource(cfg, "the reader")
	es.log = newTranscriptLog()
	es.state, es.begun = StateOpen, true
	es.attempts = 1
	es.log.add(1, entryAsked, "the reader")
	ctx, cancel := context.WithCancelCause(context.Background())
	es.interrupt, es.cancel = cancel, cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := es.read(ctx, cancel, r)
		es.log.add(1, entryEnded, endDirective(err)+"\t"+endReason(err))
		es.end(ctx, err)
	}()
	go func() {
		defer close(es.done)
		select {
		case <-over:
		case <-ctx.Done():
		}
		if c, ok := r.(io.Closer); ok {
			_ = c.Close() // it was only read
			select {
			case <-over:
			case <-time.After(readerPatience): // it does not let itself be closed
			}
		}
		es.end(ctx, ErrClosed) // whatever the reader still does
	}()
	return es
}
