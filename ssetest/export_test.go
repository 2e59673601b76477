package ssetest

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
)

// ShrinkBuffer lets the buffer of a new Decoder begin with n bytes, so that short streams, too, make it move what it
// holds and grow.
func ShrinkBuffer(d *Decoder, n int) {
	d.in.buf = make([]byte, n)
}

// BufferSize returns the size of the Decoder's buffer.
func BufferSize(d *Decoder) int {
	return len(d.in.buf)
}

// AppendComment is what the server sends comments with.
var AppendComment = appendComment

// A Rule is a case of the standard's rules of parsing.
type (
	Rule    = rule
	Outcome = outcome
)

// Rules are all of them.
var Rules = rules

// TryClient tries those cases of a client's contract on a protocol that are wanted, but for those that it does not claim, and returns what is wrong with each; "" is nothing.
func TryClient(t *testing.T, c ClientContract, p Protocol, wanted func(name string) bool) map[string]string {
	run := &contractRun{of: "client", without: c.Without}
	failures := make(map[string]string)
	for _, k := range clientCases(&c, p) {
		if _, lacks := run.lacks(k); !lacks && k.skip == "" && wanted(k.name) {
			failures[k.name] = run.try(t, c.claims(CanTakeClient, CanVirtualTime), k).failure
		}
	}
	return failures
}

// TryHandler does the same with a handler's contract.
func TryHandler(t *testing.T, c HandlerContract, p Protocol) map[string]string {
	run := &contractRun{of: "handler", without: c.Without}
	failures := make(map[string]string)
	for _, k := range handlerCases(&c, p) {
		if _, lacks := run.lacks(k); !lacks {
			if v := run.try(t, c.virtual(), k); v.skipped == "" {
				failures[k.name] = v.failure
			}
		}
	}
	return failures
}

// Handler is what a server serves, as a handler of another one.
func Handler(s *Server) http.Handler {
	inner := s.handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(context.Background()) // without what the other server keeps in it
		defer cancel()
		defer context.AfterFunc(r.Context(), cancel)()
		inner.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Rebind returns a stream that is the same, but for the test that it fails.
func Rebind(s *Stream, t testing.TB) *Stream {
	other := *s
	other.t = t
	return &other
}

// Untimed returns the text form of a transcript without the times in it, as golden files have it.
func Untimed(t *Transcript) string { return string(bytes.Join(t.sections(false), nil)) }

// The servers of a subtest of run are on the network of its name.
func init() {
	otherwise := autoNetwork
	autoNetwork = func(t testing.TB) (Network, error) {
		switch {
		case t != nil && strings.Contains(t.Name(), "_on_InMemory"):
			return InMemory, nil
		case t != nil && strings.Contains(t.Name(), "_on_Loopback"):
			return Loopback, nil
		default:
			return otherwise(t)
		}
	}
}
