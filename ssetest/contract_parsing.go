package ssetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// This file is the cases of parsing: WHATWG HTML, sections 9.2.5 and 9.2.6.

const (
	whatwg   = "WHATWG HTML, section 9.2, "
	sayEvent = "If the line is empty (a blank line): Dispatch the event."

	// lastMessage is what the stream sends that a client comes back to.
	lastMessage = "the last of all"
)

// lineEnds are the ways in which a line can end.
var lineEnds = []struct{ name, end string }{{"LF", "\n"}, {"CRLF", "\r\n"}, {"CR", "\r"}}

// writes are the ways in which the bytes of a stream are written, and flushed.
var writes = []struct {
	name string
	size int
}{{"in one piece", 0}, {"byte by byte", 1}, {"two bytes at a time", 2}}

// parsingCases are a case for each rule, and some that have no stream as short.
func parsingCases() []clientCase {
	cases := []clientCase{
		{name: "parsing/an event of 10 MiB", rule: whatwg + "9.2.6: " + sayData, try: func(c *clientTry) {
			data := strings.Repeat("0123456789abcde ", 10<<20/16)
			s := c.mustConnect(c.serve(Script{Raw("data: " + data + "\n\n"), Data("x"), Hold()}), ConnectRequest{})
			if e, err := s.next(); err != nil || e.Data != data {
				c.Fatalf("wanted %d bytes of data, but the client gives %d, and the error %v", len(data), len(e.Data), err)
			}
			s.mustGetData("x")
		}},
		{name: "parsing/an event of 20,000 lines", rule: whatwg + "9.2.6: " + sayData, try: func(c *clientTry) {
			data := strings.Repeat("x\n", 20_000)
			s := c.mustConnect(c.serve(Script{Data(data), Data("x"), Hold()}), ConnectRequest{})
			if e, err := s.next(); err != nil || e.Data != data {
				c.Fatalf("wanted %d bytes of data, but the client gives %d, and the error %v", len(data), len(e.Data), err)
			}
			s.mustGetData("x")
		}},
		{name: "parsing/a thousand events at once", rule: whatwg + "9.2.6: " + sayEvent, try: func(c *clientTry) {
			var stream strings.Builder
			var data []string
			for i := range 1000 {
				fmt.Fprintf(&stream, "id: %d\ndata: %d\n\n", i, i)
				data = append(data, strconv.Itoa(i))
			}
			s := c.mustConnect(c.serve(Script{Raw(stream.String()), Hold()}), ConnectRequest{})
			s.mustGetData(data...)
		}},
		{name: "parsing/comments and nothing else", rule: whatwg + "9.2.6: " + sayComment, try: func(c *clientTry) {
			path := c.serve(Script{Raw(strings.Repeat(":\n\n: heartbeat\n\n", 100)), Wait(3 * c.unit()), Comment("heartbeat"), Data("x"), Hold()})
			c.mustConnect(path, ConnectRequest{}).mustGetData("x")
		}},
	}
	for _, end := range lineEnds[:2] { // a lone CR may be the first half of a CRLF, until more comes
		cases = append(cases, clientCase{name: "parsing/each event at once, " + end.name, rule: whatwg + "9.2.6: " + sayEvent, try: func(c *clientTry) {
			path := c.path()
			s, stream := c.accept(c.srv.Feed(path), path, ConnectRequest{})
			for i := range 5 {
				stream.Send(Raw(fmt.Sprintf("data: %d%s%s", i, end.end, end.end)))
				s.mustGetData(strconv.Itoa(i))
			}
		}})
	}
	for _, r := range rules() {
		if r.Name != "retry: zero" { // who waits longer does no wrong
			cases = append(cases, clientCase{name: "parsing/" + r.Name, rule: whatwg + "9.2.6: " + r.Sentence, needs: r.needs(), try: func(c *clientTry) { c.parse(r) }})
		}
	}
	return cases
}

// needs are what a client must be able to, or nothing can be seen of a rule.
func (r rule) needs() (needs []Capability) {
	if r.Seed != "" {
		needs = append(needs, CanResume)
	}
	if strings.HasPrefix(r.Name, "retry:") || strings.HasPrefix(r.Name, "id:") && len(r.Want.Events) == 0 {
		needs = append(needs, CanReconnect)
	}
	return needs
}

// parse tries a rule in all its variants.
func (c *clientTry) parse(r rule) {
	if strings.HasPrefix(r.Name, "retry:") && !r.Want.HasRetry {
		c.parseAs(r, "retry: 60000\n"+r.Stream, 0, "behind a valid reconnection time", time.Minute)
		return
	}
	retry := r.Want.Retry
	if retry > 24*time.Hour {
		retry = c.unit() / 4 // who does not take it seriously must not take it for nothing
	}
	for _, end := range lineEnds {
		if end.end != "\n" && strings.Contains(r.Stream, "\r") {
			continue // it has line ends of its own
		}
		for _, w := range writes {
			if !c.virtual && (end.end != "\n" || w.size == 2) {
				continue // each of them takes the client's reconnection time
			}
			c.parseAs(r, strings.ReplaceAll(r.Stream, "\n", end.end), w.size, end.name+", "+w.name, retry)
		}
	}
}

// inPieces writes a stream so many bytes at a time, 0 for all of it. On virtual time, each of them is read before the next comes.
func (c *clientTry) inPieces(stream string, size int) (script Script) {
	switch {
	case size == 0:
		return Script{Raw(stream)}
	case !c.virtual:
		return Script{Split(size), Raw(stream)}
	}
	for len(stream) > 0 {
		n := min(size, len(stream))
		script = append(script, Raw(stream[:n]), Wait(time.Millisecond))
		stream = stream[n:]
	}
	return script
}

// aboutEmptyData reports whether a client that gives events without data breaks this rule, and not another one.
func (r rule) aboutEmptyData() bool {
	for _, group := range []string{"BOM:", "UTF-8:", "field:", "id:", "retry:"} {
		if strings.HasPrefix(r.Name, group) {
			return slices.ContainsFunc(r.Want.Events, func(e Event) bool { return e.Data == "" })
		}
	}
	return true
}

// parseAs tries a rule in one of its variants. A client that comes back tells by its next request what else it has understood.
func (c *clientTry) parseAs(r rule, stream string, size int, variant string, retry time.Duration) {
	path := c.serve(append(c.inPieces(stream, size), End()), Script{Data(lastMessage), Hold()})
	var mu sync.Mutex // guards comments
	var comments []string
	s := c.mustConnect(path, ConnectRequest{LastEventID: r.Seed, OnComment: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		comments = append(comments, text)
	}})
	defer s.close()

	var got []Event
	without := ""
	for {
		e, err := s.nextWithin(c.patientWith(r, retry))
		if err != nil || e.Data == lastMessage {
			break
		}
		if e.Data == "" && !r.aboutEmptyData() {
			without = ", and events without data, which are for other cases"
			continue
		}
		got = append(got, e)
		if len(got) > len(r.Want.Events)+10 {
			break
		}
	}
	if !c.sameEvents(r.Want.Events, got) {
		c.Fatalf("%s: the stream is %q\nwanted %s\nbut the client gives %s%s", variant, stream, oneLineEach(r.Want.Events), oneLineEach(got), without)
	}
	mu.Lock()
	defer mu.Unlock()
	if c.contract.claims(CanReportComments) && !sameTexts(r.Want.Comments, comments) {
		c.Fatalf("%s: the stream is %q; wanted the comments %q, but the client gives %q", variant, stream, r.Want.Comments, comments)
	}
	asked := c.requests(path)
	if len(asked) < 2 {
		return // whether it comes back is for other cases
	}
	// A header has no spaces around its value (RFC 9110, section 5.5).
	if id := asked[1].LastEventID; strings.Trim(id, " ") != strings.Trim(r.Want.LastEventID, " ") {
		c.Fatalf("%s: the stream is %q; wanted the last event ID of the next request to be %q, but it is %q", variant, stream, r.Want.LastEventID, id)
	}
	// Some clients wait less than they are told, at random, which one case finds.
	if waited := asked[1].Time.Sub(asked[0].ended); waited < jittered(retry) {
		c.Fatalf("%s: the stream is %q; wanted the client to come back after %v, but it does after %v", variant, stream, retry, waited)
	}
}

// jittered is the shortest time that still is the one that was meant.
func jittered(d time.Duration) time.Duration { return d * 2 / 5 }

// patientWith is for how long to wait for a client that has been told to wait: on real time, or for centuries, nobody does.
func (c *clientTry) patientWith(r rule, retry time.Duration) time.Duration {
	switch {
	case c.virtual && r.Want.Retry < time.Hour:
		return c.limit()
	case c.virtual:
		return time.Hour
	case max(retry, r.Want.Retry) > time.Second:
		return 100 * time.Millisecond
	default:
		return c.limit()
	}
}

func (c *clientTry) sameEvents(want, got []Event) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !c.same(want[i], got[i]) {
			return false
		}
	}
	return true
}

func sameTexts(want, got []string) bool {
	return strings.Join(want, "\x00") == strings.Join(got, "\x00") && len(want) == len(got)
}

// oneLineEach lists events.
func oneLineEach(events []Event) string {
	if len(events) == 0 {
		return "no event"
	}
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = fmt.Sprintf("\n  %v", e)
	}
	return count(len(events), "event") + ":" + strings.Join(lines, "")
}
