package ssetest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// TestOurHandler is the topic of a server.
func TestOurHandler(t *testing.T) {
	t.Parallel()
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTP1} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Network: ssetest.InMemory})
			ssetest.TestHandler(t, ssetest.HandlerContract{
				URL:    srv.URL + "/post",
				Client: srv.Client(),
				Emit:   func(e ssetest.Event) { srv.Publish(e) },
			})
		})
	}
}

// TestOurEndpoints are in the process, on virtual time.
func TestOurEndpoints(t *testing.T) {
	t.Parallel()
	t.Run("a topic", func(t *testing.T) {
		ssetest.TestHandler(t, ssetest.HandlerContract{
			New: func(t testing.TB) (http.Handler, func(ssetest.Event)) {
				srv := ssetest.NewServer(t, nil)
				return ssetest.Handler(srv), func(e ssetest.Event) { srv.Publish(e) }
			},
			Path:  "/post",
			Known: []string{"delivery/behind a wrapper that can't flush"}, // which a server never is
		})
	})
	t.Run("letters", func(t *testing.T) {
		ssetest.TestHandler(t, ssetest.HandlerContract{
			New: func(t testing.TB) (http.Handler, func(ssetest.Event)) {
				return ssetest.Handler(ssetest.NewServer(t, nil)), nil
			},
			Path: "/sse", Heartbeat: 5 * time.Second,
		})
	})
	t.Run("a script", func(t *testing.T) {
		ssetest.TestHandler(t, ssetest.HandlerContract{
			New: func(t testing.TB) (http.Handler, func(ssetest.Event)) {
				srv := ssetest.NewServer(t, nil)
				srv.Script("GET /feed", ssetest.Script{ssetest.Event{ID: "1", Data: "one"}, ssetest.Wait(time.Second), ssetest.Data("two"), ssetest.Hold()})
				return ssetest.Handler(srv), nil
			},
			Path: "/feed", Without: []ssetest.Capability{ssetest.CanResume},
		})
	})
}

// TestOurLetters are a handler that emits by itself.
func TestOurLetters(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, &ssetest.Config{LetterInterval: time.Millisecond})
	ssetest.TestHandler(t, ssetest.HandlerContract{URL: srv.URL + "/sse", Client: srv.Client()})
}

// TestOneHandlerForAllCases is on real time, and has emitted before.
func TestOneHandlerForAllCases(t *testing.T) {
	t.Parallel()
	handler, emit := brokerContract("").New(t)
	ssetest.TestHandler(t, ssetest.HandlerContract{Handler: handler, Emit: emit})
}
