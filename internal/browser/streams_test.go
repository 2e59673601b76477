package browser_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// eventSources makes n of them, numbered in the query.
func (p *tab) eventSources(n int, url string) []*source {
	p.t.Helper()
	sources := make([]*source, n)
	for i := range sources {
		sources[i] = p.eventSource(url + "?" + strconv.Itoa(i))
	}
	return sources
}

// awaitOpen waits until so many EventSources of the page are open.
func (p *tab) awaitOpen(n int) {
	p.t.Helper()
	const open = `async (n) => {
		const open = () => recorders.filter((r) => r.source.readyState === EventSource.OPEN).length;
		await until(() => open() >= n);
		return open();
	}`
	assert.Equal(p.t, n, ask[int](p, strconv.Itoa(n)+" open EventSources", open, n))
}

// awaitMessages waits until all EventSources of the page have got so many messages together.
func (p *tab) awaitMessages(n int) {
	p.t.Helper()
	const got = `async (n) => {
		const got = () => recorders.flatMap((r) => r.records).filter((r) => r.what === "message").length;
		await until(() => got() >= n);
		return got();
	}`
	assert.Equal(p.t, n, ask[int](p, strconv.Itoa(n)+" messages", got, n))
}

// closeOpen closes the EventSources that are open, and returns how many these were.
func (p *tab) closeOpen() int {
	p.t.Helper()
	const closeAll = `() => {
		const open = recorders.filter((r) => r.source.readyState === EventSource.OPEN);
		open.forEach((r) => r.source.close());
		return open.length;
	}`
	return ask[int](p, "EventSources to close", closeAll)
}

// distinct is how many different connections there are.
func distinct(connections []int) int {
	return len(slices.Compact(slices.Sorted(slices.Values(connections))))
}

// TestAHundredAndFifty are open at once, on one connection, which is that of the page as well.
func TestAHundredAndFifty(t *testing.T) {
	t.Parallel()
	const many = 150
	srv := ssetest.NewServer(t, nil)
	p := openPage(t, srv)
	sources := p.eventSources(many, srv.URL+"/post")
	srv.AwaitSubscribers(t, many)
	p.awaitOpen(many)
	assert.Equal(t, many, srv.Publish(ssetest.Event{ID: "1", Data: "to all"}))
	for _, s := range sources {
		s.expect(opened, message("to all", "1"))
	}
	assert.Len(t, requestsOf(srv, "/post"), many)
	for _, r := range srv.Requests() {
		assert.Equal(t, 1, r.Connection, "%v", r)
	}
}

// limits are what a page meets that has more EventSources than streams. Over HTTP/2 how many there are is a setting of the server;
// over HTTP/1.1 each stream needs a connection, of which a browser makes six to a server.
var limits = []struct {
	name        string
	config      ssetest.Config
	sources     int
	most        int // that are open at once
	connections int // that these need
}{
	{"HTTP2", ssetest.Config{MaxConcurrentStreams: 50}, 150, 50, 1},
	{"HTTPS1", ssetest.Config{Protocol: ssetest.HTTPS1}, 18, 6, 6},
	{"HTTP1", ssetest.Config{Protocol: ssetest.HTTP1}, 18, 6, 6},
}

// TestLimits has the EventSources that are one too many wait, and whatever else the page asks for, until others are closed.
// Which of them comes next is the browser's choice.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, l := range limits {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			srv := ssetest.NewServer(t, &l.config)
			p := openPage(t, srv)
			sources := p.eventSources(l.sources, srv.URL+"/post")
			p.awaitOpen(l.most)
			p.do("a fetch to begin", evaluate(`globalThis.pending = fetch("/else").then((r) => r.status); undefined`))
			for had := 0; had < l.sources; had += l.most {
				srv.AwaitSubscribers(t, l.most)
				p.awaitOpen(l.most)
				assert.Equal(t, l.most, srv.Publish(ssetest.Data("one of few")))
				p.awaitMessages(had + l.most)
				requests := requestsOf(srv, "/post")
				assert.Len(t, requests, had+l.most)
				assert.Equal(t, l.connections, distinct(connectionsOf(requests[had:])))
				if had == 0 {
					assert.Empty(t, requestsOf(srv, "/else"))
				}
				assert.Equal(t, l.most, p.closeOpen())
			}
			for _, s := range sources {
				s.expect(opened, message("one of few", ""))
			}
			assert.Equal(t, http.StatusNotFound, ask[int](p, "the fetch", `() => pending`))
		})
	}
}
