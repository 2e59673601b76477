package ssetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// This file is the cases of clients that come back: WHATWG HTML, sections 9.2.3 and 9.2.4.

const (
	sayReestablish = "9.2.2: processEventSourceEndOfBody: if res is not a network error, then reestablish the connection. Otherwise, if res is a network error, then reestablish the connection, " +
		"unless the user agent knows that to be futile."
	sayDelay    = "9.2.3: Wait a delay equal to the reconnection time of the event source. Optionally, wait some more."
	sayNotEmpty = "9.2.3: If the EventSource object's last event ID string is not the empty string, then: Set (`Last-Event-ID`, lastEventIDValue) in request's header list."
	sayEncoded  = "9.2.3: Let lastEventIDValue be the EventSource object's last event ID string, encoded as UTF-8."
)

func reconnectCases() []clientCase {
	needs := []Capability{CanReconnect}
	var cases []clientCase
	add := func(name, rule string, try func(c *clientTry)) {
		cases = append(cases, clientCase{name: "reconnecting/" + name, rule: whatwg + rule, needs: needs, try: try})
	}
	for _, end := range append([]abruptEnd{{name: "the clean end", step: End()}}, abruptEnds()...) {
		for _, unfinished := range []bool{false, true} {
			name, script := "after "+end.name, Script{Event{ID: "1", Data: "one"}}
			rule := whatwg + sayReestablish
			if unfinished {
				name += ", within an event"
				rule = whatwg + sayUnfinished
				script = append(script, Raw("id: 2\nevent: x\ndata: tw"))
			}
			cases = append(cases, clientCase{name: "reconnecting/" + name, rule: rule, needs: needs, only: end.only, try: func(c *clientTry) {
				path := c.serve(append(script, end.step), Script{Data("two"), Event{ID: "3", Data: "three"}, Hold()})
				s := c.mustConnect(path, ConnectRequest{})
				s.mustGet(Event{ID: "1", Data: "one"}, Event{ID: "1", Data: "two"}, Event{ID: "3", Data: "three"}) // the last event ID stays
				if id := c.mustComeBack(path, 2).LastEventID; id != "1" {
					c.Errorf("wanted the client to come back with Last-Event-ID: 1, since that is the last event that was finished, but it sends %q", id)
				}
			}})
		}
	}
	cases = append(cases, clientCase{
		name: "reconnecting/after GOAWAY", needs: needs, only: []Protocol{HTTP2},
		rule: "RFC 9113, section 6.8: Receivers of a GOAWAY frame MUST NOT open additional streams on the connection, although a new connection can be established for new streams.",
		try: func(c *clientTry) {
			path := c.serve(Script{Data("1"), GoAway(http2.ErrCodeNo), Data("2"), Wait(c.unit()), Data("3"), Abort()}, Script{Data("4"), Hold()})
			c.mustConnect(path, ConnectRequest{}).mustGetData("1", "2", "3", "4")
			if asked := c.requests(path); asked[0].Connection == asked[1].Connection {
				c.Errorf("wanted the client to come back on another connection")
			}
		},
	})
	add("again and again", sayReestablish, func(c *clientTry) {
		var scripts []Script
		var data []string
		for i := range 10 {
			scripts = append(scripts, Script{Data(strconv.Itoa(i)), Abort()})
			data = append(data, strconv.Itoa(i))
		}
		c.mustConnect(c.serve(scripts...), ConnectRequest{}).mustGetData(data...)
	})
	add("events that nobody has taken", sayReestablish, func(c *clientTry) {
		path := c.serve(Script{Data("1"), Data("2"), Data("3"), Abort()}, Script{Data("4"), Data("5"), Hold()})
		s := c.mustConnect(path, ConnectRequest{})
		s.mustGetData("1")
		c.awaitRequests(path, 2, 20*c.unit()) // a client may come back later, when they are taken
		s.mustGetData("2", "3", "4", "5")
	})
	cases = append(cases, clientCase{
		name: "reconnecting/with the same request", rule: whatwg + "9.2.3: Let request be the EventSource object's request.", needs: []Capability{CanReconnect},
		try: func(c *clientTry) { c.sameRequest(ConnectRequest{}) },
	}, clientCase{
		name: "reconnecting/with the same header", rule: whatwg + "9.2.3: Let request be the EventSource object's request.", needs: []Capability{CanReconnect, CanSetHeader},
		try: func(c *clientTry) { c.sameRequest(ConnectRequest{Header: http.Header{"Authorization": {"Bearer x"}}}) },
	}, clientCase{
		name: "reconnecting/with the same body", rule: whatwg + "9.2.3: Let request be the EventSource object's request.", needs: []Capability{CanReconnect, CanPost},
		try: func(c *clientTry) { c.sameRequest(ConnectRequest{Method: http.MethodPost, Body: []byte("x=1")}) },
	})
	add("when the server is away for a while", sayReestablish, func(c *clientTry) {
		path := c.serve(Script{Data("one"), Hold()}, Script{Data("two"), Hold()})
		s := c.mustConnect(path, ConnectRequest{})
		s.mustGetData("one")
		c.srv.Down()
		up := time.AfterFunc(5*c.unit(), c.srv.Up)
		defer up.Stop()
		s.mustGetData("two")
	})
	add("204 is the end", sayNoBreak, func(c *clientTry) {
		path := c.serve(Script{Data("one"), Abort()})
		s := c.mustConnect(path, ConnectRequest{})
		s.mustGetData("one")
		ahead := s.ahead()
		c.mustComeBack(path, 2)
		c.mustStayAway(path, 2, "though it was told to stop, by 204")
		ahead.mustSay()
	})
	for _, refusal := range []struct {
		name string
		with Response
	}{{"another content type", typed("text/html")}, {"404", refused(http.StatusNotFound)}, {"500", refused(http.StatusInternalServerError)}} {
		add(refusal.name+" is the end", sayFailed, func(c *clientTry) {
			path := c.serve(Script{Data("one"), Abort()}, Script{refusal.with, Data("never")}, Script{Data("never"), Hold()})
			s := c.mustConnect(path, ConnectRequest{})
			s.mustGetData("one")
			ahead := s.ahead()
			c.mustComeBack(path, 2)
			c.mustStayAway(path, 2, "though the response was no event stream")
			ahead.mustSay()
		})
	}
	return append(append(cases, delayCases()...), lastEventIDCases()...)
}

// sameRequest has a client come back twice, and compares what it asks.
func (c *clientTry) sameRequest(r ConnectRequest) {
	path := c.serve(Script{Data("1"), Abort()}, Script{Data("2"), Abort()}, Script{Data("3"), Hold()})
	c.mustConnect(path+"?a=b&c=d%20e", r).mustGetData("1", "2", "3")
	asked := c.requests(path)
	for i, a := range asked {
		if a.URL.RawQuery != "a=b&c=d%20e" {
			c.Fatalf("wanted the query a=b&c=d%%20e in request %d, but the client sends %q", i+1, a.URL.RawQuery)
		}
		if a.Method != asked[0].Method || a.Body != asked[0].Body {
			c.Fatalf("wanted request %d to be %s with the body %q, but the client sends %s with %q", i+1, asked[0].Method, asked[0].Body, a.Method, a.Body)
		}
		for _, name := range []string{"Accept", "Cache-Control", "Authorization"} {
			if got, want := a.Header.Get(name), asked[0].Header.Get(name); got != want {
				c.Fatalf("wanted the header %s: %s in request %d, but the client sends %q", name, want, i+1, got)
			}
		}
	}
}

// An aheadNext is a call of Next that waits while the case looks elsewhere: some clients come back only there.
type aheadNext struct {
	c    *clientTry
	done chan struct{}
	e    Event
	err  error
}

func (s *triedStream) ahead() *aheadNext {
	ctx, cancel := context.WithCancel(context.Background())
	a := &aheadNext{c: s.c, done: make(chan struct{}), err: errNoEvent}
	go func() {
		defer close(a.done)
		a.e, a.err = s.nextWhile(ctx, 2*s.c.limit())
	}()
	s.c.Cleanup(func() {
		cancel()
		s.c.within(s.c.limit(), func() { <-a.done })
	})
	return a
}

// mustSay ends the case where the client does not say that there will be no event any more.
func (a *aheadNext) mustSay() {
	if !a.c.within(a.c.limit(), func() { <-a.done }) || a.err == errNoEvent {
		a.c.Fatalf("wanted Next to say that there will be no further event, but the client waits")
	}
	if a.err == nil {
		a.c.Fatalf("wanted no further event, but the client gives %v", a.e)
	}
}

// delayCases are those of the reconnection time.
func delayCases() []clientCase {
	var cases []clientCase
	// Times are in units, and longer than what clients wait by themselves.
	for _, k := range []struct {
		name    string
		streams []string // with LONG for the time, and SHORT for another
	}{
		{"retry", []string{"retry: LONG\ndata: x\n\n"}},
		{"retry without an event", []string{"data: x\n\nretry: LONG\n"}},
		{"retry of an unfinished event", []string{"data: x\n\ndata: y\nretry: LONG\ndata: "}},
		{"the last retry", []string{"retry: SHORT\nretry: LONG\ndata: x\n\n"}},
		{"the last valid retry", []string{"retry: LONG\nretry: 1s\nretry: -1\nretry\ndata: x\n\n"}},
		{"retry of an earlier stream", []string{"retry: LONG\ndata: x\n\n", "data: x\n\n", "id: 1\ndata: x\n\n"}},
	} {
		cases = append(cases, clientCase{name: "reconnecting/" + k.name + " is waited for", rule: whatwg + sayDelay, needs: []Capability{CanReconnect}, try: func(c *clientTry) {
			long := 60 * c.unit()
			var scripts []Script
			times := strings.NewReplacer("LONG", strconv.FormatInt(long.Milliseconds(), 10), "SHORT", strconv.FormatInt(c.unit().Milliseconds(), 10))
			for _, stream := range k.streams {
				scripts = append(scripts, Script{Raw(times.Replace(stream)), Abort()})
			}
			path := c.serve(append(scripts, Script{Data(lastMessage), Hold()})...)
			s := c.mustConnect(path, ConnectRequest{})
			for range k.streams {
				s.mustGetData("x")
			}
			s.mustGetData(lastMessage)
			asked := c.requests(path)
			for i := 1; i < len(asked); i++ {
				if waited := asked[i].Time.Sub(asked[i-1].ended); waited < jittered(long) {
					c.Fatalf("wanted the client to wait %v, but it comes back after %v", long, waited)
				}
			}
		}})
	}
	return append(cases, clientCase{
		name: "reconnecting/not before the reconnection time", rule: whatwg + sayDelay, needs: []Capability{CanReconnect},
		try: func(c *clientTry) {
			var scripts []Script
			for range 5 {
				scripts = append(scripts, Script{Event{Data: "x", Retry: 60 * c.unit()}, Abort()})
			}
			path := c.serve(append(scripts, Script{Data(lastMessage), Hold()})...)
			c.mustConnect(path, ConnectRequest{}).mustGetData("x", "x", "x", "x", "x", lastMessage)
			asked := c.requests(path)
			for i := 1; i < len(asked); i++ {
				if waited := asked[i].Time.Sub(asked[i-1].ended); waited < 60*c.unit() {
					c.Fatalf("wanted the client to wait %v, but it comes back after %v", 60*c.unit(), waited)
				}
			}
		},
	})
}

// lastEventIDCases are those of the header Last-Event-ID.
func lastEventIDCases() []clientCase {
	var cases []clientCase
	for _, k := range []struct {
		name    string
		streams []string
		wanted  []string // of the requests from the second on; "" is none
	}{
		{"is sent", []string{"id: 7\ndata: x\n\n"}, []string{"7"}},
		{"is not sent where there is none", []string{"data: x\n\n"}, []string{""}},
		{"is kept", []string{"id: 7\ndata: x\n\n", "data: x\n\n", "data: x\n\n"}, []string{"7", "7", "7"}},
		{"is replaced", []string{"id: 7\ndata: x\n\n", "id: 8\ndata: x\n\nid: 9\ndata: x\n\n"}, []string{"7", "9"}},
		{"is reset", []string{"id: 7\ndata: x\n\n", "id\ndata: x\n\n"}, []string{"7", ""}},
		{"without data counts", []string{"data: x\n\nid: 8\n\n"}, []string{"8"}},
		{"of an unfinished event does not count", []string{"id: 7\ndata: x\n\nid: 8\ndata: y\n"}, []string{"7"}},
		{"is sent in UTF-8", []string{"id: ü€\ndata: x\n\n"}, []string{"ü€"}},
		{"is sent as it is", []string{"id: a:b, \"c\" %41\ndata: x\n\n"}, []string{`a:b, "c" %41`}},
	} {
		cases = append(cases, clientCase{name: "reconnecting/last event ID " + k.name, rule: whatwg + sayNotEmpty + " " + sayEncoded, needs: []Capability{CanReconnect}, try: func(c *clientTry) {
			var scripts []Script
			for _, stream := range k.streams {
				scripts = append(scripts, Script{Raw(stream), Abort()})
			}
			path := c.serve(append(scripts, Script{Data(lastMessage), Hold()})...)
			s := c.mustConnect(path, ConnectRequest{})
			for n := 0; ; n++ {
				if e, err := s.next(); err != nil || n > 10*len(k.streams) {
					c.Fatalf("wanted %d streams, but Next has failed, or gives other events (%v): %v", len(k.streams)+1, e, err)
				} else if e.Data == lastMessage {
					break
				}
			}
			for i, a := range c.requests(path)[1:] {
				got, there := a.Header["Last-Event-Id"]
				if there != (k.wanted[i] != "") || there && (len(got) != 1 || got[0] != k.wanted[i]) {
					c.Fatalf("wanted request %d with the last event ID %q, but the client sends %q", i+2, k.wanted[i], got)
				}
			}
		}})
	}
	return append(cases, clientCase{
		name: "reconnecting/last event ID to begin with is kept", rule: whatwg + sayNotEmpty, needs: []Capability{CanReconnect, CanResume},
		try: func(c *clientTry) {
			path := c.serve(Script{Data("x"), Abort()}, Script{Data("y"), Hold()})
			c.mustConnect(path, ConnectRequest{LastEventID: "7"}).mustGetData("x", "y")
			if id := c.requests(path)[1].LastEventID; id != "7" {
				c.Fatalf("wanted the client to come back with Last-Event-ID: 7, but it sends %q", id)
			}
		},
	}, clientCase{
		name: "reconnecting/nothing lost and nothing twice", needs: []Capability{CanReconnect},
		rule: whatwg + sayNotEmpty + " " + sayUnfinished,
		try: func(c *clientTry) {
			const last = 200
			path := c.path()
			c.srv.Handle(path, &numbers{last: last, breaks: 20, random: rand.New(rand.NewPCG(1, 2))}) // the same in every run
			s := c.mustConnect(path, ConnectRequest{})
			for i := 1; i <= last; i++ {
				e, err := s.next()
				if err != nil {
					c.Fatalf("wanted event %d, but Next has failed: %v", i, err)
				}
				if e.Data != strconv.Itoa(i) {
					c.Fatalf("wanted event %d, but the client gives %v", i, e)
				}
			}
		},
	})
}

// numbers are events that count from 1, on streams of which the first break at random, between events or within one.
type numbers struct {
	last int

	mu     sync.Mutex // guards what follows
	breaks int
	random *rand.Rand
}

func (n *numbers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	breaks := n.breaks > 0
	n.breaks--
	events, cut := n.random.IntN(10), n.random.IntN(16)
	n.mu.Unlock()
	next, _ := strconv.Atoi(lastEventID(r))
	end := n.last
	if breaks {
		end = next + events
	}
	setStreamHeader(w.Header())
	out := http.NewResponseController(w)
	for next++; next <= end; next++ {
		_, _ = fmt.Fprintf(w, "retry: 20\nid: %[1]d\ndata: %[1]d\n\n", next) // a client that is gone is none any more
	}
	if breaks {
		_, _ = fmt.Fprintf(w, "%.*s", cut, fmt.Sprintf("id: %[1]d\ndata: %[1]d\n", next))
	}
	_ = out.Flush()
	if breaks {
		panic(http.ErrAbortHandler)
	}
	<-r.Context().Done()
}
