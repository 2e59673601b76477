package ssetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stretchr/testify/assert"
)

// ExpectData takes as many events as there are arguments, and requires their data to be these, in order.
func (s *Stream) ExpectData(data ...string) {
	s.t.Helper()
	s.compare(len(data), "the data "+list("%#q", data), func(report assert.TestingT, i int, got Event) bool {
		return assert.Equal(report, data[i], got.Data)
	})
}

// ExpectJSON takes as many events as there are arguments, and requires the data of each to be the same JSON value,
// whatever its white space and the order of its members. Numbers are compared by value, long integers by every digit.
// An argument that is not JSON fails the test before anything is taken.
func (s *Stream) ExpectJSON(wanted ...string) {
	s.t.Helper()
	values := make([]any, len(wanted))
	for i, w := range wanted {
		value, err := decodeJSON(w)
		if err != nil {
			s.t.Fatalf("ssetest: ExpectJSON: argument %d of %d is %#q, which is not JSON: %v", i+1, len(wanted), w, err)
		}
		values[i] = value
	}
	s.compare(len(wanted), "the JSON "+list("%#q", wanted), func(report assert.TestingT, i int, got Event) bool {
		value, err := decodeJSON(got.Data)
		if err != nil {
			report.Errorf("its data is not JSON: %s", err.Error())
			return false
		}
		return assert.Equal(report, values[i], value)
	})
}

// decodeJSON returns one JSON value, in a form that compares as JSON does.
func decodeJSON(text string) (any, error) {
	if err := json.Unmarshal([]byte(text), new(json.RawMessage)); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return comparableJSON(value), nil
}

// comparableJSON makes float64s of the numbers, so that 1 is 1.0 and 1e0, but for those that a float64 can't hold:
// an ID of twenty digits is compared as it is written.
func comparableJSON(value any) any {
	switch v := value.(type) {
	case json.Number:
		const exact = 15 // digits
		f, err := v.Float64()
		if err != nil || len(v) > exact && !strings.ContainsAny(v.String(), ".eE") {
			return v
		}
		return f
	case []any:
		for i := range v {
			v[i] = comparableJSON(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = comparableJSON(v[name])
		}
	}
	return value
}

// ExpectEvents takes as many events as there are arguments, and requires them to be these, in order.
// Type (where "" is "message") and Data are always compared, ID and Retry where the wanted event has them.
func (s *Stream) ExpectEvents(events ...Event) {
	s.t.Helper()
	s.compare(len(events), "the events "+list("%v", events), func(report assert.TestingT, i int, got Event) bool {
		return assert.Equal(report, events[i].forComparison(got), got)
	})
}

// forComparison returns a wanted event with what it leaves open as it is in the one that came.
func (e Event) forComparison(got Event) Event {
	return Event{Type: cmp.Or(e.Type, "message"), Data: e.Data, ID: cmp.Or(e.ID, got.ID), Retry: cmp.Or(e.Retry, got.Retry)}
}

// compare takes n events, and ends the test at the first that is not equal.
func (s *Stream) compare(n int, wanted string, equal func(report assert.TestingT, i int, got Event) bool) {
	s.t.Helper()
	s.mustBeOpen(wanted)
	for i := range n {
		got, err := s.event()
		if err != nil {
			s.fail(wanted, s.why(err), i)
		}
		var difference differences
		if !equal(&difference, i, got) {
			s.fail(wanted, fmt.Sprintf("number %d of %d differs:%s", i+1, n, difference), i+1)
		}
	}
}

// differences collects what testify says, so that it can be said together with the rest.
type differences string

// Errorf keeps what testify says, without its trace of calls: they are ours, and the test's own line is reported anyway.
func (d *differences) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if _, after, ok := strings.Cut(text, "\tError:"); ok {
		text = "\n\tError:" + after
	}
	*d += differences(" " + strings.TrimRight(text, "\n "))
}

// list shows a few of what was wanted, each with a verb.
func list[T any](verb string, wanted []T) string {
	const most = 5
	shown := make([]string, 0, most)
	for _, w := range wanted[:min(len(wanted), most)] {
		shown = append(shown, fmt.Sprintf(verb, w))
	}
	text := strings.Join(shown, ", ")
	if more := len(wanted) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
