package interop_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	donovanhide "github.com/donovanhide/eventsource"
	"github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
	"gopkg.in/cenkalti/backoff.v1"

	"github.com/go-ssetest/sse/ssetest"
)

// A client is one that is tested, and what it does not claim.
type client struct {
	name     string
	module   string
	contract ssetest.ClientContract
}

var clients = []client{
	{"ssetest", "", ssetest.ClientContract{Connect: connectOurs}},
	{"launchdarkly/eventsource", "github.com/launchdarkly/eventsource", ssetest.ClientContract{
		Connect: connectLaunchDarkly,
		Without: []ssetest.Capability{ssetest.CanReportComments, ssetest.CanReportEnds},
	}},
	{"tmaxmax/go-sse", "github.com/tmaxmax/go-sse", ssetest.ClientContract{
		Connect: connectTmaxmax,
		Without: []ssetest.Capability{ssetest.CanReportComments, ssetest.CanReportEnds, ssetest.CanReadTimeout},
	}},
	{"r3labs/sse", "github.com/r3labs/sse/v2", ssetest.ClientContract{
		Connect: connectR3labs,
		Without: []ssetest.Capability{ssetest.CanReportComments, ssetest.CanReportEnds, ssetest.CanReadTimeout, ssetest.CanPost},
	}},
	{"donovanhide/eventsource", "github.com/donovanhide/eventsource", ssetest.ClientContract{
		Connect: connectDonovanhide,
		Without: []ssetest.Capability{ssetest.CanReportComments, ssetest.CanReportEnds, ssetest.CanReadTimeout, ssetest.CanReportIDs},
	}},
}

func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			contract := c.contract
			contract.Known = subject{test: "TestClients", name: c.name}.names(t)
			ssetest.TestClient(t, contract)
		})
	}
}

func connectOurs(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
	return ssetest.Dial(ctx, r.URL, &ssetest.OpenConfig{
		Client: r.Client, Method: r.Method, Header: r.Header, Body: r.Body, LastEventID: r.LastEventID,
		Reconnect: true, ReconnectionTime: r.ReconnectionTime, ReadTimeout: r.ReadTimeout, OnComment: r.OnComment,
	})
}

// A launchDarkly is a stream of launchdarkly/eventsource.
type launchDarkly struct{ *eventsource.Stream }

func connectLaunchDarkly(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
	request, err := r.Request(ctx) // URL, method, header, body
	if err != nil {
		return nil, err
	}
	s, err := eventsource.SubscribeWithRequestAndOptions(request, eventsource.StreamOptionHTTPClient(r.Client), // or its Transport
		eventsource.StreamOptionLastEventID(r.LastEventID), eventsource.StreamOptionInitialRetry(r.ReconnectionTime),
		eventsource.StreamOptionReadTimeout(r.ReadTimeout), eventsource.StreamOptionErrorHandler(goOn))
	return launchDarkly{s}, err
}

func (s launchDarkly) Next(ctx context.Context) (ssetest.Event, error) {
	select {
	case e, ok := <-s.Events:
		if !ok {
			return ssetest.Event{}, io.EOF
		}
		return ssetest.Event{Type: e.Event(), Data: e.Data(), ID: e.(eventsource.EventWithLastID).LastEventID()}, nil
	case <-ctx.Done():
		return ssetest.Event{}, ctx.Err()
	}
}

// goOn takes errors that nobody would read from a channel.
func goOn(error) eventsource.StreamErrorHandlerResult { return eventsource.StreamErrorHandlerResult{} }

// A calledBack is a stream of a client that calls a function with each event, until its context is done.
type calledBack struct {
	cancel context.CancelFunc
	events chan ssetest.Event
	done   chan struct{} // closed when the client has returned
	err    error         // with which it did
}

// callBack has a client run.
func callBack(ctx context.Context, run func(ctx context.Context, emit func(ssetest.Event)) error) *calledBack {
	ctx, cancel := context.WithCancel(ctx)
	s := &calledBack{cancel: cancel, events: make(chan ssetest.Event), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = run(ctx, func(e ssetest.Event) {
			select {
			case s.events <- e:
			case <-ctx.Done():
			}
		})
	}()
	return s
}

func (s *calledBack) Next(ctx context.Context) (ssetest.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-s.done:
		if s.err == nil {
			return ssetest.Event{}, io.EOF
		}
		return ssetest.Event{}, s.err
	case <-ctx.Done():
		return ssetest.Event{}, ctx.Err()
	}
}

func (s *calledBack) Close() {
	s.cancel()
	<-s.done
}

func connectTmaxmax(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
	return callBack(ctx, func(ctx context.Context, emit func(ssetest.Event)) error {
		request, err := r.Request(ctx)
		if err != nil {
			return err
		}
		client := tmaxmax.Client{HTTPClient: r.Client, Backoff: tmaxmax.Backoff{InitialInterval: r.ReconnectionTime, Jitter: -1}}
		connection := client.NewConnection(request)
		connection.Buffer(nil, 64<<20)
		connection.SubscribeToAll(func(e tmaxmax.Event) { emit(ssetest.Event{Type: e.Type, Data: e.Data, ID: e.LastEventID}) })
		return connection.Connect()
	}), nil
}

func connectR3labs(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
	return callBack(ctx, func(ctx context.Context, emit func(ssetest.Event)) error {
		client := r3labs.NewClient(r.URL, r3labs.ClientMaxBufferSize(64<<20))
		client.Connection = r.Client
		client.ReconnectStrategy = backoff.WithContext(backoff.NewConstantBackOff(r.ReconnectionTime), ctx)
		for name := range r.Header {
			client.Headers[name] = r.Header.Get(name)
		}
		if r.LastEventID != "" {
			client.LastEventID.Store([]byte(r.LastEventID))
		}
		return client.SubscribeRawWithContext(ctx, func(e *r3labs.Event) {
			emit(ssetest.Event{Type: string(e.Event), Data: string(e.Data), ID: string(e.ID)})
		})
	}), nil
}

// A donovanhideStream is a stream of donovanhide/eventsource. Where it is closed while it sends an event, or while it connects, it panics:
// it is drained all the time, has a request that nobody cancels, and is closed when everything is at rest, which a moment of virtual time is enough for.
type donovanhideStream struct {
	*donovanhide.Stream
	mu     sync.Mutex
	events []ssetest.Event
	more   chan struct{} // has one slot, filled when there are more events
	ended  chan struct{}
}

func connectDonovanhide(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
	request, err := r.Request(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	client := *r.Client // it changes its CheckRedirect
	stream, err := donovanhide.SubscribeWith(r.LastEventID, &client, request)
	if err != nil {
		return nil, err
	}
	s := &donovanhideStream{Stream: stream, more: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		for range stream.Errors {
		}
	}()
	go func() {
		defer close(s.ended)
		for e := range stream.Events {
			s.mu.Lock()
			s.events = append(s.events, ssetest.Event{Type: e.Event(), Data: e.Data(), ID: e.Id()})
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
	}()
	return s, nil
}

func (s *donovanhideStream) Next(ctx context.Context) (ssetest.Event, error) {
	for {
		s.mu.Lock()
		if len(s.events) > 0 {
			e := s.events[0]
			s.events = s.events[1:]
			s.mu.Unlock()
			return e, nil
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-s.ended:
			return ssetest.Event{}, io.EOF
		case <-ctx.Done():
			return ssetest.Event{}, ctx.Err()
		}
	}
}

func (s *donovanhideStream) Close() {
	time.Sleep(time.Millisecond) // of the bubble that the contract runs in: until everything else waits
	s.Stream.Close()
}
