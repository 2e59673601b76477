package ssetest_test

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// numbered returns events whose IDs and data are the numbers from first to last.
func numbered(first, last int) []ssetest.Event {
	var all []ssetest.Event
	for i := first; i <= last; i++ {
		all = append(all, ssetest.Event{ID: strconv.Itoa(i), Data: strconv.Itoa(i)})
	}
	return all
}

// steps are events as a script has them.
func steps(events []ssetest.Event, then ...ssetest.Step) ssetest.Script {
	var all ssetest.Script
	for _, e := range events {
		all = append(all, e)
	}
	return append(all, then...)
}

// openReturning opens a stream that comes back at once.
func openReturning(t testing.TB, srv *ssetest.Server, path string) *ssetest.Stream {
	t.Helper()
	return srv.Open(t, path, &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1})
}

// openReturningBehind opens a stream that comes back at once, from the beginning with an ID: without one, a topic sends nothing again to a client
// that comes back before it has received anything.
func openReturningBehind(t testing.TB, srv *ssetest.Server, path, id string) *ssetest.Stream {
	t.Helper()
	return srv.Open(t, path, &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1, LastEventID: id})
}

// openThrough opens a stream that comes back at once, with a transport between it and the server.
func openThrough(t testing.TB, srv *ssetest.Server, path string, between func(next http.RoundTripper) http.RoundTripper) *ssetest.Stream {
	t.Helper()
	client := &http.Client{Transport: between(srv.Client().Transport)}
	return srv.Open(t, path, &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1, Client: client})
}

type roundTripperFunc func(r *http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// resumingBehind is a transport that changes what it finds as the last event ID.
func resumingBehind(change func(h http.Header)) func(next http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			if r.Header.Get("Last-Event-ID") != "" {
				change(r.Header)
			}
			return next.RoundTrip(r)
		})
	}
}

// A prefixed body has something before it.
type prefixed struct {
	io.Reader
	io.Closer
}

var serverURL = regexp.MustCompile(`https?://[^ /]+:\d+`)

// verdict is what a failed test says of a delivery, without the server's URL, what was taken, and how the server is.
func verdict(f *fakeT) string {
	text, _, _ := strings.Cut(serverURL.ReplaceAllString(f.text(), "URL"), "taken from the stream: ")
	return strings.TrimRight(text, "\n")
}

// wantedDelivery is how the failures begin.
const (
	wantedExactlyOnce = "ssetest: GET URL%s: wanted every event exactly once, but "
	wantedAtLeastOnce = "ssetest: GET URL%s: wanted every event at least once, but "
)

// TestDeliveryHolds has streams that break in all kinds of ways, and get everything all the same.
func TestDeliveryHolds(t *testing.T) {
	const n = 40
	for name, c := range map[string]struct {
		chaos  ssetest.Chaos
		happen func(srv *ssetest.Server) // when half is published
	}{
		"calm":              {},
		"aborts":            {chaos: ssetest.Chaos{Seed: 1, Abort: 0.4}},
		"resets":            {chaos: ssetest.Chaos{Seed: 2, Reset: 0.2}},
		"aborts and pieces": {chaos: ssetest.Chaos{Seed: 3, Abort: 0.3, Reset: 0.05, Split: 0.5}},
		"down and up":       {happen: func(srv *ssetest.Server) { srv.Down(); srv.Up() }},
		"published while the client is away": {happen: func(srv *ssetest.Server) {
			srv.Down()
			srv.Publish(ssetest.Event{ID: "away", Data: "away"})
			srv.Up()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
				srv.Chaos(c.chaos)
				srv.Publish(numbered(0, 0)...)
				s := openReturningBehind(t, srv, "/post", "0")
				s.IgnoreRest()
				srv.Publish(numbered(1, n/2)...)
				if c.happen != nil {
					c.happen(srv)
				}
				for _, e := range numbered(n/2+1, n) {
					srv.Publish(e)
				}
				srv.ExpectExactlyOnce(s)
				srv.ExpectAtLeastOnce(s)
				s.ExpectEvents(numbered(1, n/2)...)
				assert.Equal(t, name == "calm", len(srv.Requests()) == 1)
			})
		})
	}
}
