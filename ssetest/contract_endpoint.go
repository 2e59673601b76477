package ssetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// This file is the cases of handlers: responses, delivery, resuming, and clients that leave.

const (
	sayType200    = "9.2.2: if res's status is not 200, or if res's `Content-Type` is not `text/event-stream`, then fail the connection."
	sayHeuristic  = "RFC 9111, section 4.2.2: a cache MAY assign a heuristic expiration time when an explicit time is not specified."
	sayAnnounce   = "9.2.2: Otherwise, announce the connection and interpret res's body line by line. Until there are headers, a client takes the stream for one that is not open."
	sayTimely     = "9.2.6: If the line is empty (a blank line): Dispatch the event. What a server holds back, nobody can dispatch."
	sayHead       = "RFC 9110, section 9.3.2: The HEAD method is identical to GET except that the server MUST NOT send content in the response."
	sayUnwrap     = "Package net/http, ResponseController: a ResponseWriter that wraps another has an Unwrap method, by which the Flush of that one is found."
	sayCantFlush  = "Package net/http, ResponseController.Flush: the error is http.ErrNotSupported where a response can't be flushed: a handler then can't stream, and must not say 200."
	sayGone       = "Package net/http, Request.Context: for incoming server requests, the context is canceled when the client's connection closes, the request is canceled (with HTTP/2), or when ServeHTTP returns."
	sayResume     = "9.2.4: The `Last-Event-ID` HTTP request header reports an EventSource object's last event ID string to the server when the user agent is to reestablish the connection."
	sayNotAllowed = "RFC 9110, section 15.5.6: The origin server MUST generate an Allow header field in a 405 response; section 9.1: a method that is not allowed for the target resource SHOULD be answered with 405."
)

func responseCases() []handlerCase {
	cases := []handlerCase{
		{name: "response/status and content type", rule: whatwg + sayType200, try: func(c *handlerTry) {
			s, _ := c.some(1)
			s.mustStream()
		}},
		{name: "response/caching", rule: sayHeuristic, try: func(c *handlerTry) {
			if c.contract.method() != http.MethodGet {
				c.skip("the method is " + c.contract.method() + ", whose responses are not kept unless that is asked for")
			}
			s, _ := c.some(1)
			header := s.mustAnswer().Header
			got := strings.ToLower(strings.Join(header.Values("Cache-Control"), ","))
			explicit := header.Get("Expires") != "" || slices.ContainsFunc([]string{"no-cache", "no-store", "max-age", "s-maxage"}, func(d string) bool { return strings.Contains(got, d) })
			if !explicit {
				c.Errorf("wanted the header Cache-Control: no-cache, no-store, or another explicit time, but it is %q", got)
			}
		}},
		{name: "response/no length", rule: "RFC 9112, section 6.3, and RFC 9113, section 8.1.1: a Content-Length is the length of all content, which a stream has not.", try: func(c *handlerTry) {
			s, _ := c.some(1)
			if got := s.mustAnswer().Header.Get("Content-Length"); got != "" && s.ended() == nil {
				c.Errorf("wanted no header Content-Length, but it is %s", got)
			}
		}},
		{name: "response/headers before the first event", rule: whatwg + sayAnnounce, try: func(c *handlerTry) {
			start := time.Now()
			s := c.open(nil)
			if !s.await(c.prompt(), func() bool { return s.response != nil || s.err != nil }) {
				c.Fatalf("wanted the headers at once, but %v later there are none; flush them before you wait for events", time.Since(start))
			}
			s.mustStream()
		}},
		{name: "response/HEAD", rule: sayHead + " A handler that goes on holds the connection of HTTP/1.1.", needs: []Capability{CanRefuseMethods}, try: func(c *handlerTry) {
			if c.contract.method() != http.MethodGet {
				c.skip("the request's method is " + c.contract.method())
			}
			c.mustEndBy(http.MethodHead)
		}},
		{name: "response/OPTIONS", rule: "RFC 9110, section 9.3.7: a successful response to OPTIONS is about communication options, and has an end.", needs: []Capability{CanRefuseMethods}, try: func(c *handlerTry) {
			c.mustEndBy(http.MethodOptions)
		}},
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodGet} {
		cases = append(cases, handlerCase{name: "response/" + method, rule: sayNotAllowed, needs: []Capability{CanRefuseMethods}, try: func(c *handlerTry) {
			if method == c.contract.method() {
				c.skip("it is the request's method")
			}
			r := c.mustEndBy(method)
			if r.StatusCode == http.StatusMethodNotAllowed && r.Header.Get("Allow") == "" {
				c.Errorf("wanted the header Allow with status 405")
			}
			if r.StatusCode == http.StatusOK && essence(r.Header.Get("Content-Type")) == "text/event-stream" {
				c.Errorf("wanted %s to be refused, but it is answered with an event stream", method)
			}
		}})
	}
	return cases
}

// mustEndBy asks by another method, and ends the case where the answer is no answer, or has no end.
func (c *handlerTry) mustEndBy(method string) *http.Response {
	s := c.open(func(r *http.Request) {
		r.Method = method
		if method == http.MethodHead || method == http.MethodGet {
			r.Body, r.GetBody, r.ContentLength = nil, nil, 0
		}
	})
	r := s.mustAnswer()
	if !s.await(c.prompt(), func() bool { return s.err != nil }) {
		c.Fatalf("wanted an answer to %s that has an end, but it has status %s and goes on", method, r.Status)
	}
	if c.srv != nil && !c.awaitCalls(c.prompt(), func() bool { return c.returned == c.entered }) {
		c.Fatalf("the handler of %s goes on though its response is over", method)
	}
	return r
}

func deliveryCases() []handlerCase {
	return []handlerCase{
		{name: "delivery/each event at once", rule: whatwg + sayTimely, emits: true, try: func(c *handlerTry) {
			s := c.open(nil)
			for i := range 10 {
				s.mustCarry(i, c.sendNext())
			}
		}},
		{name: "delivery/each event at once, through a proxy that holds the headers", local: true, emits: true, rule: whatwg + sayTimely + " RFC 9112, section 7.1: an intermediary may take its time with the header, until there is content.", try: func(c *handlerTry) {
			c.around(func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&holdingWriter{ResponseWriter: w}, r) })
			})
			s := c.open(nil)
			for i := range 10 {
				s.mustCarry(i, c.sendNext())
			}
		}},
		{name: "delivery/many events at once", rule: whatwg + sayTimely, emits: true, try: func(c *handlerTry) {
			s := c.open(nil)
			sent := make([]Event, 100)
			for i := range sent {
				sent[i] = c.sendNext()
			}
			for i, e := range sent {
				s.mustCarry(i, e)
			}
		}},
		{name: "delivery/nothing twice", rule: whatwg + sayTimely, emits: true, try: func(c *handlerTry) {
			s := c.open(nil)
			s.mustCarry(0, c.sendNext())
			if e, more := s.takeWithin(c.unit(), 1); more {
				c.Errorf("wanted one event, but there is another, %v", e)
			}
		}},
		{name: "delivery/a hundred clients", rule: whatwg + sayTimely, try: func(c *handlerTry) {
			streams := c.openMany(100)
			if c.emit == nil {
				c.alike(streams)
				return
			}
			for i := range 3 {
				e := c.sendNext()
				for _, s := range streams {
					s.mustCarry(i, e)
				}
			}
		}},
		{name: "delivery/a client that does not read", rule: whatwg + sayTimely + " What one client does not read must not hold up another.", emits: true, try: func(c *handlerTry) {
			c.openUnread()
			s := c.open(nil)
			text := strings.Repeat("x", 512<<10)
			for i := range 24 { // more than what networks and HTTP/2 take by themselves
				e := c.next()
				e.Data = text
				c.send(e)
				s.mustTake(i)
			}
		}},
		{name: "delivery/behind a wrapper with Unwrap", rule: sayUnwrap, local: true, emits: true, try: func(c *handlerTry) {
			c.around(func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapWriter{opaqueWriter{w}}, r) })
			})
			s := c.open(nil)
			for i := range 3 {
				s.mustCarry(i, c.sendNext())
			}
		}},
		{name: "delivery/behind a wrapper that can't flush", rule: sayCantFlush, local: true, emits: true, try: func(c *handlerTry) {
			c.around(func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(opaqueWriter{w}, r) })
			})
			s := c.open(nil)
			c.sendNext()
			s.await(10*c.unit(), func() bool { return s.err != nil || s.response != nil })
			s.mu.Lock()
			defer s.mu.Unlock()
			switch {
			case s.response == nil && s.err == nil:
				c.Errorf("wanted a response that says that nothing can be streamed, such as 500, but there is none")
			case s.response != nil && s.response.StatusCode == http.StatusOK:
				c.Errorf("wanted a response that says that nothing can be streamed, such as 500, but it has status 200; flush before WriteHeader, and look at the error")
			}
		}},
	}
}

// alike ends the case where a stream has fewer events than the first of them, which may be few.
func (c *handlerTry) alike(streams []*endpointStream) {
	n := 0
	for n < 3 {
		if _, more := streams[0].takeWithin(c.limit()/10, n); !more {
			break
		}
		n++
	}
	if n == 0 {
		streams[0].mustTake(0)
	}
	for _, s := range streams {
		if _, ok := s.takeWithin(c.prompt(), n-1); !ok {
			s.mustTake(n - 1)
		}
	}
}

// An opaqueWriter can't be flushed, and hides what could.
type opaqueWriter struct{ w http.ResponseWriter }

func (o opaqueWriter) Header() http.Header         { return o.w.Header() }
func (o opaqueWriter) Write(p []byte) (int, error) { return o.w.Write(p) }
func (o opaqueWriter) WriteHeader(status int)      { o.w.WriteHeader(status) }

// An unwrapWriter can't be flushed itself, but knows what can.
type unwrapWriter struct{ opaqueWriter }

func (u unwrapWriter) Unwrap() http.ResponseWriter { return u.w }

// A holdingWriter sends nothing before there is content.
type holdingWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

func (h *holdingWriter) WriteHeader(status int) {
	if status < 200 {
		return
	}
	if h.status == 0 {
		h.status = status
	}
}

func (h *holdingWriter) Write(p []byte) (int, error) {
	if !h.written && len(p) > 0 {
		h.written = true
		if h.status != 0 {
			h.ResponseWriter.WriteHeader(h.status)
		}
	}
	return h.ResponseWriter.Write(p)
}

// Flush flushes what may leave.
func (h *holdingWriter) Flush() {
	if h.written {
		_ = http.NewResponseController(h.ResponseWriter).Flush()
	}
}

// Unwrap lets everything else be found: the proxy is not part of the handler's process.
func (h *holdingWriter) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// CloseNotify is what the writer inside has.
func (h *holdingWriter) CloseNotify() <-chan bool {
	return h.ResponseWriter.(interface{ CloseNotify() <-chan bool }).CloseNotify()
}

// around serves the handler anew, with something around it.
func (c *handlerTry) around(wrap func(http.Handler) http.Handler) {
	c.serve(wrap(c.handler()), c.srv.cfg.Protocol)
}

func resumeCases() []handlerCase {
	needs := []Capability{CanResume}
	return []handlerCase{
		{name: "resuming/events have IDs", rule: whatwg + sayResume, needs: needs, try: func(c *handlerTry) {
			_, events := c.some(3)
			ids := make(map[string]bool)
			for _, e := range events {
				if e.ID == "" || ids[e.ID] {
					c.Fatalf("wanted each event to have an ID of its own, but there is %v", e)
				}
				ids[e.ID] = true
			}
		}},
		{name: "resuming/nothing lost and nothing twice", rule: whatwg + sayResume, needs: needs, try: func(c *handlerTry) {
			const before, away, after = 3, 4, 3
			reference := c.open(nil)
			s, first := c.some(before)
			if len(first) < before {
				c.skip("the stream is too short")
			}
			s.close()
			for range away {
				c.sendNext()
			}
			back := c.open(func(r *http.Request) { r.Header.Set("Last-Event-ID", first[before-1].ID) })
			for range after {
				c.sendNext()
			}
			last := before + away + after
			reference.await(c.limit(), func() bool { return len(reference.events) >= last || reference.err != nil })
			reference.mu.Lock()
			all := slices.Clone(reference.events[:min(last, len(reference.events))])
			reference.mu.Unlock()
			if len(all) < before || !sameIDs(all[:before], first) {
				c.Fatalf("wanted every stream to have the same events, but one has %s\nand another %s", oneLineEach(all), oneLineEach(first))
			}
			rest := all[before:]
			back.await(c.limit(), func() bool { return len(back.events) >= len(rest) || back.err != nil })
			if e, more := back.takeWithin(c.unit(), len(rest)); more && c.emit != nil {
				c.Errorf("wanted nothing behind the last event, but there is %v", e)
			}
			back.mustStream()
			back.mu.Lock()
			got := slices.Clone(back.events[:min(len(rest), len(back.events))])
			back.mu.Unlock()
			again := c.open(func(r *http.Request) { r.Header.Set("Last-Event-ID", first[before-1].ID) })
			again.await(c.limit(), func() bool { return len(again.events) >= len(rest) || again.err != nil })
			again.mu.Lock()
			twice := slices.Clone(again.events[:min(len(rest), len(again.events))])
			again.mu.Unlock()
			if !slices.Equal(twice, rest) {
				c.Errorf("wanted another client that resumes there to get the same, %s\nbut it gets %s", oneLineEach(rest), oneLineEach(twice))
			}
			if !slices.Equal(got, rest) {
				c.Errorf("wanted, behind the event with the ID %q, %s\nbut a client that resumes there gets %s", first[before-1].ID, oneLineEach(rest), oneLineEach(got))
			}
		}},
		{name: "resuming/an ID that nobody knows", rule: whatwg + sayFail + " A client that is refused never comes back.", needs: needs, try: func(c *handlerTry) {
			s := c.open(func(r *http.Request) { r.Header.Set("Last-Event-ID", "987654321") })
			e := c.sendNext()
			s.mustStream()
			if c.emit != nil {
				s.mustCarry(0, e)
			}
		}},
		{name: "resuming/behind the last event", rule: whatwg + sayResume, needs: needs, emits: true, try: func(c *handlerTry) {
			s, events := c.some(3)
			s.close()
			back := c.open(func(r *http.Request) { r.Header.Set("Last-Event-ID", events[len(events)-1].ID) })
			if e, more := back.takeWithin(c.unit(), 0); more {
				c.Fatalf("wanted no event, since the client has them all, but there is %v", e)
			}
			back.mustCarry(0, c.sendNext())
		}},
	}
}

func sameIDs(a, b []Event) bool {
	return slices.EqualFunc(a, b, func(a, b Event) bool { return a.ID == b.ID })
}

func leaveCases() []handlerCase {
	return []handlerCase{
		{name: "leaving/before an event", rule: sayGone, local: true, try: func(c *handlerTry) {
			c.warm()
			c.open(nil).close()
			c.mustReturn()
		}},
		{name: "leaving/behind an event", rule: sayGone, local: true, try: func(c *handlerTry) {
			c.warm()
			s, _ := c.some(1)
			s.close()
			c.mustReturn()
		}},
		{name: "leaving/while events are emitted", rule: sayGone, local: true, emits: true, try: func(c *handlerTry) {
			c.warm()
			s := c.open(nil)
			c.sendNext()
			s.mustTake(0) // which may be an earlier one, where newcomers get those
			var sending sync.WaitGroup
			sending.Go(func() {
				for range 100 {
					c.sendNext()
				}
			})
			s.close()
			if !c.within(c.limit(), sending.Wait) {
				c.Fatalf("Emit has not returned within %v of a client's leaving", c.limit())
			}
			c.mustReturn()
		}},
		{name: "leaving/one of two", rule: sayGone, emits: true, try: func(c *handlerTry) {
			s, other := c.open(nil), c.open(nil)
			first := c.sendNext()
			s.mustCarry(0, first)
			other.mustCarry(0, first)
			s.close()
			c.settle()
			for i := 1; i < 5; i++ {
				other.mustCarry(i, c.sendNext())
			}
		}},
		{name: "leaving/a client that does not read", rule: sayGone, local: true, emits: true, try: func(c *handlerTry) {
			c.warm()
			s := c.openUnread()
			for range 24 {
				e := c.next()
				e.Data = strings.Repeat("x", 512<<10)
				c.send(e)
			}
			s.close()
			c.mustReturn()
		}},
		{name: "leaving/a hundred clients", rule: sayGone, local: true, try: func(c *handlerTry) {
			c.warm()
			for _, s := range c.openMany(100) {
				s.close()
			}
			c.mustReturn()
		}},
	}
}

// warm lets the handler start what it needs all the time, and counts it.
func (c *handlerTry) warm() {
	s := c.open(nil)
	c.sendNext()
	s.close()
	c.awaitReturn()
	c.settle()
	c.own, _ = labelledGoroutines("ssetest.TestHandler", c.label)
}

// awaitReturn waits until no call of the handler is going on, and ends the case where one is.
func (c *handlerTry) awaitReturn() {
	limit := min(c.limit(), 10*time.Second)
	if !c.awaitCalls(limit, func() bool { return c.returned == c.entered }) {
		c.Fatalf("the client has gone, and %v later its handler has not returned; it must watch its request's context", limit)
	}
}

// mustReturn ends the case where the handler does not return when its clients are gone, or leaves a goroutine.
func (c *handlerTry) mustReturn() {
	c.awaitReturn()
	const looks = 50
	limit, left := min(c.limit(), 10*time.Second), ""
	for range looks {
		n, stack := labelledGoroutines("ssetest.TestHandler", c.label)
		if n <= c.own {
			return
		}
		left = fmt.Sprintf("%s, such as one of these:\n%s", count(n-c.own, "goroutine"), stack)
		time.Sleep(limit / looks)
	}
	c.Fatalf("%v after the handler has returned, what it has started is left: %s", limit, left)
}
