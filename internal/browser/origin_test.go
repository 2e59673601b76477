package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// credentials are a cookie, which the pages of all these servers have, since cookies know hosts and no ports.
const credentials = "who=me"

// An origins is what a server allows a page of another one (WHATWG Fetch, section 3.3), and whether the page asks with credentials.
type origins struct {
	allowed         string // with blanks between; PAGE is that of the page
	withCredentials bool
}

// run runs a test with the page, and the server of another origin.
func (o origins) run(t *testing.T, test func(t *testing.T, p *tab, srv *ssetest.Server)) {
	t.Helper()
	t.Run(fmt.Sprintf("%s with credentials %v", o.allowed, o.withCredentials), func(t *testing.T) {
		t.Parallel()
		own := ssetest.NewServer(t, nil)
		srv := ssetest.NewServer(t, &ssetest.Config{AllowedOrigins: strings.Fields(strings.ReplaceAll(o.allowed, "PAGE", own.URL))})
		p := openPage(t, own)
		p.do("a cookie", evaluate(`document.cookie = "`+credentials+`"`))
		test(t, p, srv)

		for _, r := range srv.Requests() {
			assert.Equal(t, own.URL, r.Header.Get("Origin"))
			cookie := ""
			if o.withCredentials && r.Method != http.MethodOptions {
				cookie = credentials
			}
			assert.Equal(t, cookie, r.Header.Get("Cookie"), "%v", r)
		}
	})
}

// eventSource makes an EventSource, with credentials or without.
func (o origins) eventSource(p *tab, url string) *source {
	p.t.Helper()
	return p.eventSourceWith(map[string]any{"withCredentials": o.withCredentials}, url)
}

// fetch fetches, with credentials or without.
func (o origins) fetch(p *tab, url string, init map[string]any) answer {
	p.t.Helper()
	init["credentials"] = "omit"
	if o.withCredentials {
		init["credentials"] = "include"
	}
	return p.fetch(url, init)
}

// TestAllowedOrigins has a page post to a server of another origin, read it, and come back to it.
func TestAllowedOrigins(t *testing.T) {
	t.Parallel()
	for _, o := range []origins{
		{"PAGE", false},
		{"PAGE", true},
		{"https://other.example PAGE", true},
		{"*", false},
	} {
		o.run(t, func(t *testing.T, p *tab, srv *ssetest.Server) {
			feed := srv.Feed("GET /feed")
			one, two := message("one", "1"), message("two", "2")
			one.Origin, two.Origin = srv.URL, srv.URL
			s := o.eventSource(p, srv.URL+"/feed")
			feed.Accept(t).Send(ssetest.Event{ID: "1", Data: "one", Retry: soon}, ssetest.End())
			s.expect(opened, one, reconnecting)
			again := feed.Accept(t)
			assert.Equal(t, "1", again.LastEventID())
			again.Send(ssetest.Event{ID: "2", Data: "two"})
			s.expect(opened, two)
			// An EventSource needs no permission for Last-Event-ID, but fetch does.
			assert.Equal(t, []string{http.MethodGet, http.MethodGet}, methodsOf(requestsOf(srv, "/feed")))
			assert.Equal(t, http.StatusNotFound, o.fetch(p, srv.URL+"/else", map[string]any{"headers": map[string]string{"Last-Event-ID": "1"}}).Status)
			assert.Equal(t, []string{http.MethodOptions, http.MethodGet}, methodsOf(requestsOf(srv, "/else")))

			assert.Equal(t, answer{Status: http.StatusSeeOther, Text: "broadcasted"}, o.fetch(p, srv.URL+"/post", jsonPost("{}")))
			assert.Equal(t, []string{http.MethodOptions, http.MethodPost}, methodsOf(requestsOf(srv, "/post")))
		})
	}
}

// TestForeignOrigins has a page try, and get nothing: the stream ends at once, and the post is not made at all.
func TestForeignOrigins(t *testing.T) {
	t.Parallel()
	for _, o := range []origins{
		{"*", true}, // any page could read what somebody else is logged in for
		{"https://other.example", false},
		{"https://other.example", true},
		{"", false},
	} {
		o.run(t, func(t *testing.T, p *tab, srv *ssetest.Server) {
			feed := srv.Feed("GET /feed")
			o.eventSource(p, srv.URL+"/feed").expect(failed)
			feed.Accept(t).AwaitGone() // it was asked for, and not read

			assert.Equal(t, notFetched, o.fetch(p, srv.URL+"/post", jsonPost("{}")))
			assert.Equal(t, []string{http.MethodOptions}, methodsOf(requestsOf(srv, "/post")))
		})
	}
}

// methodsOf are the methods of requests.
func methodsOf(requests []ssetest.Request) []string {
	methods := make([]string, len(requests))
	for i, r := range requests {
		methods[i] = r.Method
	}
	return methods
}
