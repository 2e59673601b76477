package ssetest_test

import (
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
