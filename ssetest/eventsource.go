package ssetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// An EventSource is the client's side of an event stream. [Dial] makes it; in a test, [Open] gives a [Stream] with assertions.
// Its methods may be called from several goroutines.
//
// It parses the stream as a browser does, and reads eagerly: up to 65,536 events or 64 MiB that nobody has asked for.
// Beyond that it drops the comments among them, and then stops reading, until somebody takes some, and the server sees a slow client.
//
// By default it is one response, and the end of that is the end. With OpenConfig.Reconnect it comes back, as a browser does
// (WHATWG HTML, section 9.2.3, Processing model): when the stream has ended or the network has failed, it waits for the reconnection time
// and asks again, with the last event ID. Where a redirect has led to, it goes on to ask: at that URL, with that method. What ends it for good is a response that is no event stream (204 above all: that is how a server
// tells its clients to stop), an event past the size limit, a last event ID that no header can carry, OpenConfig.MaxAttempts, the context, and Close.
type EventSource struct {
	cfg     *OpenConfig
	bubbled bool   // it was opened in a testing/synctest bubble
	name    string // the request, for errors
	account *account
	log     *transcriptLog // nil where nobody can ask for it
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when the goroutine that reads has ended
	limit   *time.Timer   // of arriveWithin; nil before it has waited

	mu        sync.Mutex // guards what follows
	changed   signal     // raised when it has changed
	waiting   backlog
	size      int    // bytes of what is waiting
	comments  int    // among what is waiting
	attempts  int    // so far, the one in progress included
	ended     int    // the newest attempt that is over
	received  int64  // events of that attempt
	total     int64  // events of all attempts
	target    target // of the next attempt
	state     ReadyState
	begun     bool           // it has been open
	response  *http.Response // the newest that opened the stream
	interrupt context.CancelCauseFunc
	failure   error // how the last attempt failed that did
	paused    bool
	err       error // how the stream ended; nil while it goes on

	lastEventID  string
	reconnection time.Duration
}

// ReadyState is where an [EventSource] stands (WHATWG HTML, section 9.2.2, The EventSource interface).
type ReadyState int

// The states.
const (
	StateConnecting ReadyState = iota // it has not been answered yet, or waits until it asks again
	StateOpen                         // events can arrive
	StateClosed                       // it has ended for good
)

var stateNames = [...]string{StateConnecting: "connecting", StateOpen: "open", StateClosed: "closed"}

// String returns the state in a word.
func (s ReadyState) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("ReadyState(%d)", int(s))
	}
	return stateNames[s]
}

// Dial opens an event stream, and returns when the headers of the response are there. Nil for cfg is the default [OpenConfig].
// The context governs the whole stream: when it is done, the stream is closed. Close must be called in the end.
//
// A response other than 200 with the content type text/event-stream is a [*ResponseError]. Where the network fails, that is the error,
// but with OpenConfig.Reconnect Dial tries again, until OpenConfig.Timeout.
func Dial(ctx context.Context, url string, cfg *OpenConfig) (*EventSource, error) {
	return dial(ctx, cfg.withDefaults(url), url, nil, nil)
}

// dial opens a stream for an account of the server's, or none, and writes a transcript, or none. The configuration is complete.
func dial(ctx context.Context, cfg *OpenConfig, url string, a *account, log *transcriptLog) (*EventSource, error) {
	err := cfg.check(url)
	if server := serverOf(url); err == nil && server != nil {
		err = server.checkBubble()
	}
	if err != nil {
		return nil, fmt.Errorf("ssetest: opening a stream: %w", err)
	}
	es := newEventSource(cfg, cfg.Method+" "+redactURL(url))
	es.target = target{method: cfg.Method, url: url, header: cfg.Header, body: cfg.Body}
	es.account, es.log = a, log
	ctx, es.cancel = context.WithCancelCause(ctx)
	inTime := func() bool { return true }
	if cfg.Timeout >= 0 {
		inTime = time.AfterFunc(cfg.Timeout, func() { es.cancel(es.tooLate()) }).Stop
	}
	go es.run(ctx)
	err = es.awaitOpen()
	if !inTime() && err == nil {
		err = fmt.Errorf("ssetest: opening %s: %w", es.name, es.tooLate())
	}
	if err != nil {
		es.Close()
		return nil, err
	}
	return es, nil
}

func newEventSource(cfg *OpenConfig, name string) *EventSource {
	return &EventSource{
		cfg:          cfg,
		bubbled:      inBubble(),
		name:         name,
		done:         make(chan struct{}),
		lastEventID:  cfg.LastEventID,
		reconnection: cfg.ReconnectionTime,
	}
}

// awaitOpen waits until the stream is open for the first time. How attempts fail until then is told.
func (es *EventSource) awaitOpen() error {
	for {
		a, err := es.arrive(context.Background()) // the stream has a context of its own, which ends it
		if err != nil {
			return err
		}
		es.tell(a.what)
		if a.what != nil && a.what.kind == opened {
			return nil
		}
	}
}

// Next returns the next event, and waits for it where it has not arrived. What OpenConfig has for comments, errors and opens is called by Next,
// in the order in which things arrived.
//
// When all events are taken and the stream has ended, the error is [io.EOF] after a clean end, [ErrClosed] after Close,
// and else what broke it: [ErrStreamAborted], [ErrConnectionReset], [ErrGoneAway], [ErrReadTimeout], or an error of the transport's that is none of these.
// Where it reconnects, the error is what ended it for good: a [*ResponseError], with status 204 where the server wanted that.
// When ctx is done first, the error is the context's, and no event is lost. On the other side of a testing/synctest bubble's wall an event that has arrived is given,
// and an error says where it would have to wait for one.
func (es *EventSource) Next(ctx context.Context) (Event, error) {
	for {
		a, err := es.arrive(ctx)
		switch {
		case err != nil && err == ctx.Err():
			return Event{}, fmt.Errorf("ssetest: waiting for an event of %s: %w", es.name, context.Cause(ctx))
		case err != nil:
			return Event{}, err
		case a.what == nil:
			return a.event, nil
		}
		es.tell(a.what)
	}
}

// ReadyState returns where the stream stands: as it was read, which may be further than Next has come.
func (es *EventSource) ReadyState() ReadyState {
	es.mu.Lock()
	defer es.mu.Unlock()
	return es.state
}

// LastEventID returns the last event ID of what has been read, which the next attempt would send.
func (es *EventSource) LastEventID() string {
	es.mu.Lock()
	defer es.mu.Unlock()
	return es.lastEventID
}

// ReconnectionTime returns for how long the stream waits before it asks again: OpenConfig.ReconnectionTime, or what the server has said since.
func (es *EventSource) ReconnectionTime() time.Duration {
	es.mu.Lock()
	defer es.mu.Unlock()
	return es.reconnection
}

// Response returns the newest response that opened the stream. Its body is not for anybody else to read, and is empty here.
func (es *EventSource) Response() *http.Response {
	es.mu.Lock()
	defer es.mu.Unlock()
	return withoutBody(es.response)
}

// withoutBody returns a copy of a response that may be given away.
func withoutBody(r *http.Response) *http.Response {
	if r == nil {
		return nil
	}
	c := *r
	c.Header = r.Header.Clone()
	c.Body = http.NoBody
	return &c
}

// Restart breaks the response that is being read off, as if the server had: a stream that reconnects asks again when the reconnection time has passed,
// and any other ends with an error. Where none is being read, it does nothing.
func (es *EventSource) Restart() {
	es.mu.Lock()
	interrupt := es.interrupt
	open := es.state == StateOpen
	es.mu.Unlock()
	if open {
		interrupt(errRestarted)
	}
}

// Pause stops reading, until [EventSource.Resume]: no event arrives any more, and what the server sends piles up on the way, so that it sees
// a slow client. Over HTTP/2, Go's client takes 4 MiB of a stream before that.
func (es *EventSource) Pause() { es.setPaused(true) }

// Resume reads on.
func (es *EventSource) Resume() { es.setPaused(false) }

func (es *EventSource) setPaused(paused bool) {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.paused = paused
	es.changed.raise()
}

// Close ends the stream, and returns when the goroutine that read it has ended. Events that have arrived can still be taken.
// Calling Close again does nothing.
func (es *EventSource) Close() {
	es.cancel(ErrClosed)
	<-es.done
}

var (
	errNoResponse = errors.New("no response")
	errRestarted  = errors.New("ssetest: restarted")
)

// tooLate is the error of a stream that has not been opened in time.
func (es *EventSource) tooLate() error {
	es.mu.Lock()
	defer es.mu.Unlock()
	if es.failure != nil {
		return fmt.Errorf("%w within %v; the last of %s has failed: %w", errNoResponse, es.cfg.Timeout, count(es.attempts, "attempt"), es.failure)
	}
	return fmt.Errorf("%w within %v", errNoResponse, es.cfg.Timeout)
}

// cleanEnd reports whether the end of a stream is the one that its server wanted: io.EOF,
// or 204, with which it ends a client that would come back.
func cleanEnd(err error) bool {
	var refused *ResponseError
	return err == io.EOF || errors.As(err, &refused) && refused.StatusCode == http.StatusNoContent
}
