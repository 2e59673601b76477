package ssetest

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// This file is the cases of what a client of Go's is used for: to be closed, to be cancelled, to be left alone.

const (
	sayClose  = "9.2.2: The close() method must abort any instances of the fetch algorithm started for this EventSource object."
	sayCancel = "Package context: cancelling a context tells an operation to abandon its work."
	sayAll    = "9.2.6: " + sayEvent
)

func lifeCases() []clientCase {
	cases := []clientCase{
		{name: "life/close before an event", rule: whatwg + sayClose, try: func(c *clientTry) {
			c.closes(Script{Comment("x"), Hold()}, 0)
		}},
		{name: "life/close while silent", rule: whatwg + sayClose, try: func(c *clientTry) {
			c.closes(Script{Data("x"), Hold()}, 1)
		}},
		{name: "life/close within an event", rule: whatwg + sayClose, try: func(c *clientTry) {
			c.closes(Script{Data("x"), Raw("id: 1\ndata: y"), Hold()}, 1)
		}},
		{name: "life/close with events that nobody takes", rule: whatwg + sayClose, try: func(c *clientTry) {
			c.closes(Script{Data("x"), Raw(strings.Repeat("data: y\n\n", 10_000)), Hold()}, 1)
		}},
		{name: "life/close on a connection that stalls", rule: whatwg + sayClose, try: func(c *clientTry) {
			c.closes(Script{Data("x"), Stall()}, 1)
		}},
		{name: "life/close when the stream has ended", rule: whatwg + sayClose, try: func(c *clientTry) {
			path := c.serve(Script{Data("x"), End()})
			s := c.mustConnect(path, ConnectRequest{})
			s.mustGetData("x")
			c.awaitEnded(path, c.limit())
			c.moment()
			s.close()
			c.mustLeaveNothing()
		}},
		{name: "life/close ends Next", rule: whatwg + sayClose, try: func(c *clientTry) {
			s := c.mustConnect(c.serve(Script{Data("x"), Hold()}), ConnectRequest{})
			s.mustGetData("x")
			defer time.AfterFunc(c.unit(), s.close).Stop()
			if e, err := s.next(); err == nil {
				c.Fatalf("wanted no further event, but the client gives %v", e)
			}
			c.mustLeaveNothing()
		}},
		{name: "life/close while it waits to come back", rule: whatwg + sayClose, needs: []Capability{CanReconnect}, try: func(c *clientTry) {
			path := c.serve(Script{Event{Data: "x", Retry: 60 * c.unit()}, Abort()}, Script{Data("never"), Hold()})
			s := c.mustConnect(path, ConnectRequest{})
			s.mustGetData("x")
			c.awaitEnded(path, c.limit())
			c.moment()
			s.close()
			c.mustLeaveNothing()
			c.mustStayAway(path, 1, "though it was closed")
		}},
		{name: "life/close while the server is away", rule: whatwg + sayClose, needs: []Capability{CanReconnect}, try: func(c *clientTry) {
			path := c.serve(Script{Data("x"), Hold()}, Script{Data("never"), Hold()})
			s := c.mustConnect(path, ConnectRequest{})
			s.mustGetData("x")
			c.srv.Down()
			time.Sleep(3*c.unit() + c.unit()/2)
			s.close()
			c.srv.Up()
			c.mustStayAway(path, 1, "though it was closed")
			c.mustLeaveNothing()
		}},
		{name: "life/a context that is cancelled", rule: sayCancel, try: func(c *clientTry) {
			path := c.serve(Script{Data("x"), Hold()}, Script{Data("never"), Hold()})
			s := c.mustConnect(path, ConnectRequest{})
			s.mustGetData("x")
			defer time.AfterFunc(c.unit(), s.cancel).Stop()
			if e, err := s.next(); err == nil {
				c.Fatalf("wanted no further event, but the client gives %v", e)
			}
			if !c.awaitEnded(path, c.limit()) {
				c.Fatalf("the request is still there %v after its context was cancelled", c.limit())
			}
			c.mustStayAway(path, 1, "though its context was cancelled")
			s.close()
			c.mustLeaveNothing()
		}},
		{name: "life/a context that is cancelled while it waits to come back", rule: sayCancel, needs: []Capability{CanReconnect}, try: func(c *clientTry) {
			path := c.serve(Script{Event{Data: "x", Retry: 600 * c.unit()}, Abort()}, Script{Data("never"), Hold()})
			s := c.mustConnect(path, ConnectRequest{})
			s.mustGetData("x")
			c.awaitEnded(path, c.limit())
			c.moment()
			s.cancel()
			switch e, err := s.nextWithin(300 * c.unit()); err {
			case nil:
				c.Fatalf("wanted no further event, but the client gives %v", e)
			case errNoEvent:
				c.Fatalf("wanted Next to return when the context of Connect is done, but the client waits")
			}
			c.mustStayAway(path, 1, "though its context was cancelled")
			s.close()
			c.mustLeaveNothing()
		}},
		{name: "life/a context that is done when a response does not come", rule: sayCancel, try: func(c *clientTry) {
			path := c.serve(Script{Response{Delay: 100 * c.limit()}, Data("never")})
			ctx, cancel := context.WithTimeout(context.Background(), c.unit())
			defer cancel()
			s, err := c.connectWith(ctx, c.limit(), path, ConnectRequest{})
			if err == nil {
				if e, err := s.next(); err == nil {
					c.Fatalf("wanted no event, but the client gives %v", e)
				}
				s.close()
			}
			if err == errNoStream {
				c.Fatalf("wanted Connect to return when its context is done, but it waits")
			}
			c.mustLeaveNothing()
		}},
		{name: "life/a context of Next's", rule: sayCancel, needs: []Capability{CanCancelNext}, try: func(c *clientTry) {
			path := c.path()
			feed := c.srv.Feed(path)
			s, stream := c.accept(feed, path, ConnectRequest{})
			for i := range 3 {
				if e, err := s.nextWithin(c.unit()); err == nil {
					c.Fatalf("wanted no event, but the client gives %v", e)
				}
				stream.Send(Data(strconv.Itoa(i)))
				s.mustGetData(strconv.Itoa(i)) // it has lost nothing by that
			}
		}},
		{name: "life/events that nobody takes for long", rule: whatwg + sayAll, try: func(c *clientTry) {
			var data []string
			var script Script
			for i := range 1000 {
				data = append(data, strconv.Itoa(i))
				script = append(script, Data(data[i]))
			}
			s := c.mustConnect(c.serve(append(script, Hold())), ConnectRequest{})
			time.Sleep(10 * c.unit())
			s.mustGetData(data...)
		}},
		{name: "life/several streams at once", rule: whatwg + sayAll, try: func(c *clientTry) {
			streams := make([]*triedStream, 5)
			for i := range streams {
				streams[i] = c.mustConnect(c.serve(Script{Data(strconv.Itoa(i)), Hold()}), ConnectRequest{})
			}
			for i, s := range streams {
				s.mustGetData(strconv.Itoa(i))
			}
			for _, s := range streams {
				s.close()
			}
			c.mustLeaveNothing()
		}},
	}
	return append(cases, timeoutCases()...)
}

// timeoutCases are those of a read timeout.
func timeoutCases() []clientCase {
	const rule = "WHATWG HTML, section 9.2.7: Legacy proxy servers are known to, in certain cases, drop HTTP connections after a short timeout. RFC 9112, section 9.5: " +
		"A client, server, or proxy MAY close the transport connection at any time. What is not told can be found out by silence alone."
	needs := []Capability{CanReadTimeout}
	return []clientCase{
		{name: "life/read timeout", rule: rule, needs: needs, alone: true, try: func(c *clientTry) {
			start := time.Now()
			s := c.mustConnect(c.serve(Script{Data("x"), Hold()}), ConnectRequest{ReadTimeout: 10 * c.unit()})
			s.mustGetData("x")
			_ = s.mustEnd() // which error is for other cases
			if took := time.Since(start); took < 10*c.unit() {
				c.Fatalf("wanted the stream to break after %v of silence, but it does after %v", 10*c.unit(), took)
			}
		}},
		{name: "life/read timeout and back", rule: rule, needs: []Capability{CanReadTimeout, CanReconnect}, try: func(c *clientTry) {
			c.comesBack(Script{Event{ID: "1", Data: "x"}, Hold()})
		}},
		{
			name: "life/read timeout and back, on a connection that stalls", rule: rule + " Over HTTP/2, another request on such a connection has no answer either.",
			needs: []Capability{CanReadTimeout, CanReconnect}, try: func(c *clientTry) { c.comesBack(Script{Event{ID: "1", Data: "x"}, Stall()}) },
		},
		{name: "life/read timeout and heartbeats", rule: rule, needs: needs, try: func(c *clientTry) {
			var script Script
			for range 10 {
				script = append(script, Wait(10*c.unit()), Comment("heartbeat"))
			}
			path := c.serve(append(append(Script{Data("x")}, script...), Data("y"), Hold()), Script{Data("back"), Hold()})
			c.mustConnect(path, ConnectRequest{ReadTimeout: 30 * c.unit() * c.slack()}).mustGetData("x", "y")
		}},
	}
}

// moment lets the client find what has been sent, and come to where it waits. It is less than the time after which it comes back.
func (c *clientTry) moment() { time.Sleep(c.unit() / 2) }

// slack is for machines that have other things to do.
func (c *clientTry) slack() time.Duration {
	if c.virtual {
		return 1
	}
	return 10
}

// comesBack has a stream fall silent.
func (c *clientTry) comesBack(script Script) {
	path := c.serve(script, Script{Data("y"), Hold()})
	s := c.mustConnect(path, ConnectRequest{ReadTimeout: 10 * c.unit()})
	s.mustGetData("x", "y")
	asked := c.requests(path)
	if id := asked[1].LastEventID; id != "1" {
		c.Fatalf("wanted the client to come back with Last-Event-ID: 1, but it sends %q", id)
	}
	if after := asked[1].Time.Sub(asked[0].Time); after < 10*c.unit() {
		c.Fatalf("wanted the client to bear %v of silence, but it comes back after %v", 10*c.unit(), after)
	}
}

// closes has a stream closed after some events, and looks at what is left.
func (c *clientTry) closes(script Script, events int) {
	path := c.serve(script, Script{Data("never"), Hold()})
	s := c.mustConnect(path, ConnectRequest{})
	for range events {
		s.mustGetData("x")
	}
	c.mustComeBack(path, 1) // Connect may have returned before it asks
	c.moment()
	s.close()
	if !c.awaitEnded(path, c.limit()) {
		c.Fatalf("the request is still there %v after Close", c.limit())
	}
	c.mustStayAway(path, 1, "though it was closed")
	c.mustLeaveNothing()
}
