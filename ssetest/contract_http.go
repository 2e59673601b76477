package ssetest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// This file is the cases of requests and responses: WHATWG HTML, section 9.2.3; Fetch; RFC 9110.

const (
	sayAccept  = "9.2.2: User agents may set (`Accept`, `text/event-stream`) in request's header list. RFC 9110, section 12.5.1: what is not in an Accept is not acceptable."
	sayCache   = "9.2.2: Set request's cache mode to \"no-store\". Fetch, HTTP-network-or-cache fetch: append (`Pragma`, `no-cache`), append (`Cache-Control`, `no-cache`)."
	sayFail    = "9.2.2: Otherwise, if res's status is not 200, or if res's `Content-Type` is not `text/event-stream`, then fail the connection."
	sayFailed  = "9.2.3: Once the user agent has failed the connection, it does not attempt to reconnect."
	sayNoBreak = "9.2.1: Clients will reconnect if the connection is closed; a client can be told to stop reconnecting using the HTTP 204 No Content response code."
	sayFollow  = "9.2.1: Event stream requests can be redirected using HTTP 301 and 307 redirects as with normal HTTP requests. Fetch: a redirect status is 301, 302, 303, 307, or 308."
	sayTypes   = "RFC 9110, section 8.3.1: The type and subtype tokens are case-insensitive; MIME Sniffing, section 4.4: the essence is compared, without parameters."
)

// refusals are responses that are no event streams, though their bodies look like one.
var refusals = []struct {
	name string
	with Response
}{
	{"201", refused(http.StatusCreated)},
	{"204", Response{Status: http.StatusNoContent}},
	{"205", Response{Status: http.StatusResetContent}},
	{"206", refused(http.StatusPartialContent)},
	{"400", refused(http.StatusBadRequest)},
	{"401", refused(http.StatusUnauthorized)},
	{"403", refused(http.StatusForbidden)},
	{"404", refused(http.StatusNotFound)},
	{"410", refused(http.StatusGone)},
	{"429", refused(http.StatusTooManyRequests)},
	{"500", refused(http.StatusInternalServerError)},
	{"502", refused(http.StatusBadGateway)},
	{"503", refused(http.StatusServiceUnavailable)},
	{"301 without Location", refused(http.StatusMovedPermanently)},
	{"307 without Location", refused(http.StatusTemporaryRedirect)},
	{"content type text/plain", typed("text/plain")},
	{"content type application/json", typed("application/json")},
	{"content type text/event-streams", typed("text/event-streams")},
	{"content type text/event", typed("text/event")},
	{"content type of another kind with ours as a parameter", typed("text/plain; a=text/event-stream")},
	{"no content type", typed("")},
}

// refused has the content type of an event stream, so that only the status says what it is.
func refused(status int) Response {
	return Response{Status: status, Header: http.Header{"Content-Type": {"text/event-stream"}}}
}

func typed(contentType string) Response {
	if contentType == "" {
		return Response{Header: http.Header{"Content-Type": nil}}
	}
	return Response{Header: http.Header{"Content-Type": {contentType}}}
}

func httpCases() []clientCase {
	cases := []clientCase{
		{name: "http/accept", rule: whatwg + sayAccept, try: func(c *clientTry) {
			got := c.firstHeader(ConnectRequest{}).Values("Accept")
			if all := strings.Join(got, ","); len(got) > 0 && !strings.Contains(all, "text/event-stream") && !strings.Contains(all, "*/*") && !strings.Contains(all, "text/*") {
				c.Errorf("wanted the header Accept: text/event-stream, or none, but the client sends %q", got)
			}
		}},
		{name: "http/cache-control", rule: whatwg + sayCache, try: func(c *clientTry) {
			header := c.firstHeader(ConnectRequest{})
			if got := strings.ToLower(strings.Join(header.Values("Cache-Control"), ",")); !strings.Contains(got, "no-cache") && !strings.Contains(got, "no-store") {
				c.Errorf("wanted the header Cache-Control: no-cache, but the client sends %q", got)
			}
		}},
		{name: "http/method", rule: "RFC 9110, section 9.3.1: The GET method requests transfer of a current selected representation for the target resource.", try: func(c *clientTry) {
			path := c.serve(Script{Data("x"), Hold()})
			c.mustConnect(path, ConnectRequest{}).mustGetData("x")
			if got := c.requests(path)[0]; got.Method != http.MethodGet || got.Body != "" {
				c.Errorf("wanted GET without a body, but the client sends %s with %d bytes", got.Method, len(got.Body))
			}
		}},
		{name: "http/no last event ID at first", rule: whatwg + sayNotEmpty, try: func(c *clientTry) {
			if got, there := c.firstHeader(ConnectRequest{})["Last-Event-Id"]; there {
				c.Errorf("wanted no header Last-Event-ID in the first request, but the client sends %q", got)
			}
		}},
		{name: "http/last event ID to begin with", rule: whatwg + sayNotEmpty, needs: []Capability{CanResume}, try: func(c *clientTry) {
			for _, id := range []string{"7", "a b", "ü€", "%20"} {
				if got := c.firstHeader(ConnectRequest{LastEventID: id})["Last-Event-Id"]; len(got) != 1 || got[0] != id {
					c.Errorf("wanted the header Last-Event-ID: %s, but the client sends %q", id, got)
				}
			}
		}},
		{name: "http/header", rule: "RFC 9110, section 6.3: Fields that are sent before the content are header fields.", needs: []Capability{CanSetHeader}, try: func(c *clientTry) {
			if got := c.firstHeader(ConnectRequest{Header: http.Header{"Authorization": {"Bearer x"}}})["Authorization"]; !slices.Equal(got, []string{"Bearer x"}) {
				c.Errorf("wanted the header Authorization: Bearer x, but the client sends %q", got)
			}
		}},
		{name: "http/header with two values", rule: "RFC 9110, section 5.2: the field value of several lines is the list of them, in order.", needs: []Capability{CanSetHeader}, try: func(c *clientTry) {
			if got := strings.Join(c.firstHeader(ConnectRequest{Header: http.Header{"X-Several": {"1", "2"}}})["X-Several"], ", "); got != "1, 2" {
				c.Errorf("wanted the header X-Several: 1, 2, but the client sends %q", got)
			}
		}},
		{name: "http/post", rule: "RFC 9110, section 9.3.3: POST has the target resource process the representation enclosed in the request.", needs: []Capability{CanPost}, try: func(c *clientTry) {
			path := c.serve(Script{Data("x"), Hold()})
			c.mustConnect(path, ConnectRequest{Method: http.MethodPost, Body: []byte(`{"stream":true}`)}).mustGetData("x")
			if got := c.requests(path)[0]; got.Method != http.MethodPost || got.Body != `{"stream":true}` {
				c.Errorf(`wanted POST with {"stream":true}, but the client sends %s with %q`, got.Method, got.Body)
			}
		}},
		{name: "http/gzip", rule: "RFC 9110, section 8.4: the content has to be decoded to what the content type says.", try: func(c *clientTry) {
			c.serveAnew(&Config{Compress: true})
			path := c.path()
			feed := c.srv.Feed(path)
			s, stream := c.accept(feed, path, ConnectRequest{})
			for i := range 3 {
				stream.Send(Data(strconv.Itoa(i)))
				s.mustGetData(strconv.Itoa(i))
			}
		}},
		{name: "http/redirects, five of them", rule: whatwg + sayFollow, try: func(c *clientTry) {
			to := c.serve(Script{Data("x"), Hold()})
			for range 5 {
				from := c.path()
				c.srv.Handle(from, http.RedirectHandler(to, http.StatusTemporaryRedirect))
				to = from
			}
			c.mustConnect(to, ConnectRequest{}).mustGetData("x")
		}},
		{name: "http/redirect keeps the header", needs: []Capability{CanSetHeader}, rule: "Fetch, HTTP-redirect fetch: of the header list, what depends on the origin is removed where that is another, and nothing else.", try: func(c *clientTry) {
			to := c.serve(Script{Data("x"), Hold()})
			path := c.path()
			c.srv.Handle(path, http.RedirectHandler(to, http.StatusTemporaryRedirect))
			c.mustConnect(path, ConnectRequest{Header: http.Header{"X-Key": {"x"}}}).mustGetData("x")
			if got := c.requests(to)[0].Header.Get("X-Key"); got != "x" {
				c.Errorf("wanted the header X-Key: x, but the client sends %q", got)
			}
		}},
		{name: "http/redirect without end", rule: "Fetch, HTTP-redirect fetch: If request's redirect count is 20, then return a network error.", try: func(c *clientTry) {
			path := c.path()
			c.srv.Handle(path, http.RedirectHandler(path, http.StatusFound))
			c.mustOpenNothing(path, false)
			asked, together := c.requests(path), 1
			for i := 1; i < len(asked); i++ {
				if together++; asked[i].Time.Sub(asked[i-1].Time) > c.unit()/2 {
					together = 1
				}
				if together > 21 {
					c.Fatalf("wanted the client to follow no more than 20 redirects, but it does not give up")
				}
			}
		}},
	}
	for _, contentType := range []string{
		"text/event-stream", "text/event-stream; charset=utf-8", "text/event-stream;charset=UTF-8", "text/event-stream; charset=iso-8859-1", "text/event-stream;",
		"text/event-stream; foo", "TEXT/Event-Stream", "text/event-stream ; x=y",
	} {
		cases = append(cases, clientCase{name: "http/content type " + contentType, rule: sayTypes, try: func(c *clientTry) {
			path := c.serve(Script{typed(contentType), Data("ü"), Hold()})
			c.mustConnect(path, ConnectRequest{}).mustGetData("ü")
		}})
	}
	for _, r := range refusals {
		script := Script{r.with, Data("never")}
		if r.with.bodyless() {
			script = Script{r.with}
		}
		cases = append(cases,
			clientCase{name: "http/" + r.name + " is no stream", rule: whatwg + sayFail, try: func(c *clientTry) {
				c.mustOpenNothing(c.serve(script, script, script), false)
			}},
			clientCase{name: "http/" + r.name + " is the end", rule: whatwg + sayFailed, needs: []Capability{CanReconnect}, try: func(c *clientTry) {
				path := c.serve(script, Script{Data("again"), Hold()})
				c.mustOpenNothing(path, true)
				c.mustStayAway(path, 1, "though the response was no event stream")
			}})
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		cases = append(cases, clientCase{name: fmt.Sprintf("http/redirect %d", status), rule: whatwg + sayFollow, try: func(c *clientTry) {
			to := c.serve(Script{Data("x"), Hold()})
			path := c.path()
			c.srv.Handle(path, http.RedirectHandler(to+"?a=b", status))
			c.mustConnect(path, ConnectRequest{}).mustGetData("x")
			first, got := c.requests(path)[0], c.requests(to)[0]
			if accept := first.Header.Get("Accept"); got.Method != http.MethodGet || got.URL.RawQuery != "a=b" || got.Header.Get("Accept") != accept {
				c.Errorf("wanted GET %s?a=b with Accept: %s, but the client sends %s %s with Accept: %s", to, accept, got.Method, got.URL, got.Header.Get("Accept"))
			}
		}})
		method, body := http.MethodPost, "x=1"
		if status < 307 {
			method, body = http.MethodGet, ""
		}
		cases = append(cases, clientCase{
			name: fmt.Sprintf("http/redirect %d of a post", status), needs: []Capability{CanPost},
			rule: "Fetch, HTTP-redirect fetch: 301 and 302 make GET of POST, and so does 303 of anything but GET and HEAD, without a body; the others change neither.", try: func(c *clientTry) {
				to := c.serve(Script{Data("x"), Hold()})
				path := c.path()
				c.srv.Handle(path, http.RedirectHandler(to, status))
				c.mustConnect(path, ConnectRequest{Method: http.MethodPost, Body: []byte("x=1")}).mustGetData("x")
				if got := c.requests(to)[0]; got.Method != method || got.Body != body {
					c.Errorf("wanted %s with the body %q, but the client sends %s with %q", method, body, got.Method, got.Body)
				}
			},
		})
	}
	return cases
}

// firstHeader is what a client sends with its first request.
func (c *clientTry) firstHeader(r ConnectRequest) http.Header {
	path := c.serve(Script{Data("x"), Hold()})
	s := c.mustConnect(path, r)
	s.mustGetData("x")
	s.close()
	return c.requests(path)[0].Header
}

// serveAnew has a case on another server.
func (c *clientTry) serveAnew(cfg *Config) {
	cfg.Protocol, cfg.Network, cfg.Timeout, cfg.Retry, cfg.Wrap = c.protocol, c.srv.cfg.Network, c.limit(), -1, c.watch
	c.srv = NewServer(c, cfg)
	c.serveWith(c.srv)
}

// accept opens a stream of a feed, at both ends. The client may wait for the first bytes before it says that the stream is open: they are a comment.
func (c *clientTry) accept(feed *Feed, path string, r ConnectRequest) (*triedStream, *ServerStream) {
	type opened struct {
		s   *triedStream
		err error
	}
	done := make(chan opened, 1)
	go func() {
		var o opened
		defer func() { done <- o }()
		o.s, o.err = c.connect(path, r)
	}()
	if !c.awaitRequests(path, 1, c.limit()) {
		select {
		case o := <-done:
			c.Fatalf("wanted a request, but there is none: %v", o.err)
		default:
			c.Fatalf("wanted a request, but there is none within %v", c.limit())
		}
	}
	stream := feed.Accept(c)
	stream.Send(Comment(""))
	o := <-done
	switch {
	case o.err != nil:
		c.Fatalf("%v", o.err)
	case o.s == nil:
		c.FailNow() // it has been said why
	}
	return o.s, stream
}

// mustOpenNothing ends the case where a stream can be opened that gives an event, and where the client must say that it can't, without that as well.
func (c *clientTry) mustOpenNothing(path string, mustSay bool) {
	limit := 20 * c.unit()
	if mustSay {
		limit = c.limit()
	}
	s, err := c.connectWithin(limit, path, ConnectRequest{})
	if err == nil {
		defer s.close()
		var e Event
		switch e, err = s.nextWithin(limit); {
		case err != nil:
		case mustSay && e.Data == "never":
			return // that it takes the response for a stream is what another case finds
		default:
			c.Fatalf("wanted no event, but the client gives %v", e)
		}
	}
	if asked := len(c.requests(path)); mustSay && asked > 1 {
		c.Fatalf("wanted one request, but the client makes %d", asked)
	}
	if mustSay && (err == errNoEvent || err == errNoStream) {
		c.Fatalf("wanted Connect or Next to say that there is no stream, but the client waits")
	}
}
