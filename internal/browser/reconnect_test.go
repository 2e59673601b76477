package browser_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// endings are all the ways in which a stream ends, each in the middle of an event. The EventSource comes back,
// over HTTP/2 on the same connection where that is still there.
var endings = []struct {
	name       string
	steps      []ssetest.Step
	connection bool // another is needed
}{
	{"End", []ssetest.Step{ssetest.End()}, false},
	{"Abort", []ssetest.Step{ssetest.Abort()}, false},
	{"CANCEL", []ssetest.Step{ssetest.ResetStream(http2.ErrCodeCancel)}, false},
	{"REFUSED_STREAM", []ssetest.Step{ssetest.ResetStream(http2.ErrCodeRefusedStream)}, false},
	{"ENHANCE_YOUR_CALM", []ssetest.Step{ssetest.ResetStream(http2.ErrCodeEnhanceYourCalm)}, false},
	{"NO_ERROR", []ssetest.Step{ssetest.ResetStream(http2.ErrCodeNo)}, false},
	{"GOAWAY and End", []ssetest.Step{ssetest.GoAway(http2.ErrCodeNo), ssetest.End()}, true},
	{"GOAWAY and Abort", []ssetest.Step{ssetest.GoAway(http2.ErrCodeInternal), ssetest.Abort()}, true},
	{"ResetConn", []ssetest.Step{ssetest.ResetConn()}, true},
}

// TestEndings asserts that nothing is lost, nothing comes twice, and nothing of the unfinished event comes at all, its ID included.
func TestEndings(t *testing.T) {
	t.Parallel()
	for _, protocol := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTPS1} {
		for _, e := range endings {
			t.Run(protocol.String()+"/"+e.name, func(t *testing.T) {
				t.Parallel()
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: protocol})
				feed := srv.Feed("GET /feed")
				source := openPage(t, srv).eventSource(srv.URL + "/feed")

				s := feed.Accept(t)
				assert.Empty(t, s.LastEventID())
				s.Send(ssetest.Event{ID: "1", Data: "one", Retry: soon})
				source.expect(opened, message("one", "1"))
				breakWithin(s, source, e.steps)

				s = feed.Accept(t)
				assert.Equal(t, "1", s.LastEventID())
				s.Send(ssetest.Data("two"), ssetest.Event{ID: "3", Data: "three"})
				source.expect(opened, message("two", "1"), message("three", "3"))
				breakWithin(s, source, e.steps)

				s = feed.Accept(t)
				assert.Equal(t, "3", s.LastEventID())
				s.Send(ssetest.Event{ID: "4", Data: "four"})
				source.expect(opened, message("four", "4"))

				if protocol == ssetest.HTTP2 {
					assertConnections(t, srv, "/feed", e.connection)
				}
			})
		}
	}
}

// breakWithin ends a stream within an event, when the page has what there is of it: over HTTP/2, Chromium drops what it has received
// of a stream that is reset and its page has not read.
func breakWithin(s *ssetest.ServerStream, source *source, ending []ssetest.Step) {
	source.page.t.Helper()
	const half = "id: unfinished\nevent: message\ndata: ha"
	received := source.page.received
	before, _ := received.now()
	s.Send(ssetest.Raw(half))
	received.await(source.page.t, before+int64(len(half)))
	s.Send(ending...)
	source.expect(reconnecting)
}

// assertConnections asserts that requests came in on one connection, or each on one of its own.
func assertConnections(t *testing.T, srv *ssetest.Server, path string, each bool) {
	t.Helper()
	requests := requestsOf(srv, path)
	want := 1
	if each {
		want = len(requests)
	}
	assert.Equal(t, want, distinct(connectionsOf(requests)), "the connections of %v", requests)
}

// TestGoAway asserts that what is open goes on, and what is new goes to a new connection.
func TestGoAway(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, nil)
	feed := srv.Feed("GET /feed")
	p := openPage(t, srv)
	old := p.eventSource(srv.URL + "/feed")
	s := feed.Accept(t)
	s.Send(ssetest.Event{ID: "1", Data: "one"}, ssetest.GoAway(http2.ErrCodeNo), ssetest.Event{ID: "2", Data: "two"})
	old.expect(opened, message("one", "1"), message("two", "2"))

	p.eventSource(srv.URL + "/feed").expect(opened)
	feed.Accept(t)
	s.Send(ssetest.Event{ID: "3", Data: "three"})
	old.expect(message("three", "3"))
	assertConnections(t, srv, "/feed", true)
}

// TestServerDown has the server away until the EventSource has failed to come back, and more than once.
func TestServerDown(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, &ssetest.Config{Retry: soon})
	source := openPage(t, srv).eventSource(srv.URL + "/post")
	source.expect(opened)
	srv.Post("before")
	before := source.take(1)[0]
	assert.Equal(t, `"before"`, before.Data)

	srv.Down()
	source.expect(reconnecting, reconnecting, reconnecting) // of the stream, and of two attempts
	srv.Up()
	srv.AwaitSubscribers(t, 1)
	srv.Post("after")

	messages := source.takeMessages(1)
	assert.Equal(t, `"after"`, messages[0].Data)
	requests := requestsOf(srv, "/post")
	assert.Equal(t, before.ID, requests[len(requests)-1].LastEventID)
}

// TestChaos has streams and connections break off at one event in three, and the others come in pieces. Every letter comes once.
func TestChaos(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, &ssetest.Config{Seed: 7, LetterInterval: soon, Retry: soon})
	letters := openPage(t, srv).eventSource(srv.URL + "/sse")
	letters.expect(opened, dispatched(srv.Letter(0))) // and the reconnection time with it
	srv.Chaos(ssetest.Chaos{Seed: 1, Abort: 0.2, Reset: 0.1, Split: 0.5})
	srv.Down() // what is open would stay as it is
	srv.Up()
	const n = 100
	for i, letter := range letters.takeMessages(n) {
		assert.Equal(t, dispatched(srv.Letter(i+1)), letter)
	}
	assert.Greater(t, len(requestsOf(srv, "/sse")), n/6)
}
