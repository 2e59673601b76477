package ssetest

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// This file is a strict reading of what a handler writes. A browser bears all of it, and makes of it something else than was meant.

// A wireFault is a kind of thing that no server means.
type wireFault int

const (
	illFormedText wireFault = iota
	strayMark
	unknownField
	uselessID
	uselessRetry
	blockWithoutData
	unfinishedEvent
)

// wireFaults returns what is wrong with a stream, the first of each kind. That its last event is unfinished counts where the stream has ended.
func wireFaults(wire string, ended bool) map[wireFault]string {
	found := make(map[wireFault]string)
	report := func(kind wireFault, format string, args ...any) {
		if _, there := found[kind]; !there {
			found[kind] = fmt.Sprintf(format, args...)
		}
	}
	wire = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(wire, "\uFEFF"))
	lines := strings.Split(wire, "\n")
	lines, rest := lines[:len(lines)-1], lines[len(lines)-1]
	fields, data := 0, 0 // of the block that is being read
	for i, line := range lines {
		number := i + 1
		if !utf8.ValidString(line) {
			report(illFormedText, "line %d is not UTF-8: %.100q", number, line)
		}
		if strings.HasPrefix(line, "\uFEFF") {
			report(strayMark, "line %d begins with a byte order mark, which is part of its field's name: %.100q", number, line)
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if fields > 0 && data == 0 {
				report(blockWithoutData, "the block that ends at line %d has an event field and no data, and so is no event", number)
			}
			fields, data = 0, 0
			continue
		case name == "":
			continue
		case name == "data":
			data++
		case name == "event":
			fields++
		case name == "id":
			if strings.Contains(value, "\x00") {
				report(uselessID, "line %d is ignored, since its ID has a NUL: %.100q", number, line)
			}
		case name == "retry":
			if value == "" || strings.Trim(value, "0123456789") != "" {
				report(uselessRetry, "line %d is ignored, since its time is not all digits: %.100q", number, line)
			}
		default:
			report(unknownField, "line %d is ignored, since there is no such field; data of several lines need their field's name on each: %.100q", number, line)
		}
	}
	if ended && (rest != "" || fields+data > 0) {
		report(unfinishedEvent, "the stream ends without a blank line behind its last event, which nobody gets: %.100q", strings.Join(append(lines[max(len(lines)-3, 0):], rest), "\n"))
	}
	return found
}

// lateness is what a heartbeat may be late by.
func (c *handlerTry) lateness() time.Duration {
	if c.virtual {
		return c.unit() / 10
	}
	return time.Second // a machine may have other things to do
}

// wireCases are a case for each of them.
func wireCases() []handlerCase {
	var cases []handlerCase
	for _, k := range []struct {
		kind wireFault
		name string
		rule string
	}{
		{illFormedText, "UTF-8", "9.2.5: Event streams in this format must always be encoded as UTF-8."},
		{strayMark, "no byte order mark but the first", "9.2.6: " + sayBOM},
		{unknownField, "known fields", "9.2.6: " + sayOther},
		{uselessID, "IDs without NUL", "9.2.6: " + sayID},
		{uselessRetry, "retry in digits", "9.2.6: " + sayRetry},
		{blockWithoutData, "events with data", "9.2.6: " + sayNoData + " (A block with a type was meant to be an event, as we see it.)"},
		{unfinishedEvent, "a blank line behind the last event", "9.2.6: " + sayEOF},
	} {
		cases = append(cases, handlerCase{name: "wire/" + k.name, rule: whatwg + k.rule, try: func(c *handlerTry) {
			s := c.open(nil)
			for i := range 5 {
				e := c.next()
				if i > 0 {
					e.Data += "\nand <b>more</b> of \"it\": \u00FC\u20AC\U0001F600\n\n" // what encoders break
				}
				c.send(e)
			}
			s.await(c.limit(), func() bool { return len(s.events) >= 5 || s.err != nil })
			s.mustStream()
			if c.emit == nil {
				s.await(c.unit(), func() bool { return s.err != nil }) // it may have an end
			}
			if fault, there := wireFaults(string(s.bytes()), s.ended() != nil)[k.kind]; there {
				c.Fatalf("%s", fault)
			}
		}})
	}
	return append(cases, handlerCase{
		name: "wire/data as it is", rule: whatwg + "9.2.6: " + sayData, needs: []Capability{CanCarryData}, emits: true,
		try: func(c *handlerTry) {
			s := c.open(nil)
			texts := []string{
				"one line", "two\nlines", "a blank line\n\nwithin", " spaces around ", ": a colon", "data: a field", "\ttab", "a trailing line end\n", "\n", "\"quoted\" <b>&amp;</b> %0A \\n",
				"\u00FC\u20AC\U0001F600", "\uFEFFmark", strings.Repeat("long ", 50_000), "a\rdata: injected", "a\r\nid: injected", "[DONE]",
			}
			for i, text := range texts {
				e := c.next()
				e.Data = text
				c.send(e)
				want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text) // a line end is none of the three any more
				if got := s.mustTake(i); got.Data != want {
					c.Errorf("wanted the data to be %.100q, as it was emitted, but they are %.100q", want, got.Data)
				}
			}
		},
	}, handlerCase{
		name: "wire/IDs and types as they are", rule: whatwg + "9.2.6: " + sayID + " " + sayType, needs: []Capability{CanCarryIDs, CanCarryTypes}, emits: true,
		try: func(c *handlerTry) {
			s := c.open(nil)
			for i, e := range []Event{{Type: "Two words", ID: "a b/c", Data: "x"}, {Type: "error", ID: "\u00FC\u20AC", Data: "x"}, {Type: "message", ID: strings.Repeat("0123456789", 20), Data: "x"}} {
				s.mustCarry(i, c.send(e))
			}
		},
	}, handlerCase{
		name: "wire/heartbeats", rule: whatwg + "9.2.7: authors can include a comment line (one starting with a ':' character) every 15 seconds or so, against legacy proxies. The promised interval is HandlerContract.Heartbeat.",
		try: func(c *handlerTry) {
			promised := c.contract.Heartbeat
			switch {
			case promised <= 0:
				c.skip("no heartbeats are promised: HandlerContract.Heartbeat")
			case !c.virtual && promised > time.Second:
				c.skip("it would take too long on real time")
			}
			s := c.open(nil)
			s.mustStream()
			const beats = 5
			sent := 0
			for range 2 { // a heartbeat goes on behind an event
				s.await(beats*promised+promised/2, func() bool { return s.err != nil })
				if c.emit != nil {
					s.mustCarry(sent, c.sendNext())
					sent++
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.err != nil && c.emit == nil {
				return // it has come to its end
			}
			if s.err != nil {
				c.Fatalf("wanted the stream to go on, as its heartbeats promise, but it has ended: %v", s.err)
			}
			if c.emit != nil && len(s.events) > sent {
				c.Errorf("wanted heartbeats to be no events, but there is %v", s.events[len(s.events)-1])
			}
			if silence := max(s.gap, time.Since(s.last)); silence > promised+c.lateness() {
				c.Errorf("wanted no silence longer than %v, but there is one of %v", promised, silence)
			}
		},
	})
}
