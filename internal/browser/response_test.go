package browser_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// soon is a reconnection time that no test waits for.
const soon = time.Millisecond

// contentType is a header with that field alone; without a value it has none.
func contentType(value ...string) http.Header { return http.Header{"Content-Type": value} }

// refusals are responses that fail an EventSource for good (HTML, section 9.2.2).
var refusals = []ssetest.Response{
	{Status: http.StatusNoContent},
	{Status: http.StatusCreated, Header: contentType("text/event-stream")},
	{Status: http.StatusNotFound, Header: contentType("text/event-stream")},
	{Status: http.StatusInternalServerError},
	{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"0"}}},
	{Header: contentType("text/html")},
	{Header: contentType("text/plain"), Body: "data: x\n\n"},
	{Header: contentType("application/json"), Body: "{}"},
	{Header: contentType()},
}

// TestRefusals has each of them as the first response, and as the one to an EventSource that comes back.
func TestRefusals(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, nil)
	p := openPage(t, srv)
	for i, refusal := range refusals {
		path := fmt.Sprintf("/refused/%d", i)
		srv.Script("GET "+path, ssetest.Script{ssetest.Event{Data: "x", Retry: soon}}, ssetest.Script{refusal})
		s := p.eventSource(srv.URL + path)
		s.expect(opened, message("x", ""), reconnecting, failed)

		srv.Script("GET "+path+"/first", ssetest.Script{refusal})
		p.eventSource(srv.URL + path + "/first").expect(failed)
	}

	// One that comes back all the time would have been followed by them.
	srv.Script("GET /again", ssetest.Script{ssetest.Event{Data: "again", Retry: soon}})
	p.eventSource(srv.URL + "/again").takeMessages(10)
	for i, refusal := range refusals {
		path := fmt.Sprintf("/refused/%d", i)
		assert.Len(t, requestsOf(srv, path), 2, "%v", refusal)
		assert.Len(t, requestsOf(srv, path+"/first"), 1, "%v", refusal)
	}
}

// TestRedirects are followed, and asked for anew when the EventSource comes back.
func TestRedirects(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, nil)
	p := openPage(t, srv)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		path := fmt.Sprintf("/moved/%d", status)
		moved := ssetest.Script{ssetest.Response{Status: status, Header: http.Header{"Location": {path + "/here"}, "Cache-Control": {"no-store"}}}}
		srv.Script("GET "+path, moved, moved)
		srv.Script("GET "+path+"/here", ssetest.Script{ssetest.Event{ID: "1", Data: "one", Retry: soon}}, ssetest.Script{ssetest.Event{ID: "2", Data: "two"}})
		s := p.eventSource(srv.URL + path)
		s.expect(opened, message("one", "1"), reconnecting, opened, message("two", "2"), reconnecting, failed)
		assert.Equal(t, "1", requestsOf(srv, path+"/here")[1].LastEventID, "of a redirect with %d", status)
	}
}
