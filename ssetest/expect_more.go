package ssetest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ExpectUnordered takes as many events as there are arguments, and requires them to be these in any order. They are compared as by [Stream.ExpectEvents].
func (s *Stream) ExpectUnordered(events ...Event) {
	s.t.Helper()
	wanted := "in any order the events " + list("%v", events)
	got := s.take(len(events), wanted)
	missing, surplus := match(events, got)
	if len(missing) == 0 {
		return
	}
	s.fail(wanted, strings.TrimSuffix("there were missing"+listFirst(missing)+"and in their place"+listFirst(surplus), "\n"), len(got))
}

// match finds for as many of the wanted events as possible one of those that came, and returns what is left of both. What is wanted without an ID can match
// several, and must not take the only one that another needs: where all are taken, the others are asked for another one.
func match(wanted, got []Event) (missing, surplus []Event) {
	taker := make([]int, len(got)) // one more than the index of the wanted event that has it
	var find func(w int, asked []bool) bool
	find = func(w int, asked []bool) bool {
		for g := range got { // those that nobody has taken first
			if taker[g] == 0 && wanted[w].forComparison(got[g]) == got[g] {
				taker[g] = w + 1
				return true
			}
		}
		for g := range got {
			if asked[g] || wanted[w].forComparison(got[g]) != got[g] {
				continue
			}
			asked[g] = true
			if find(taker[g]-1, asked) {
				taker[g] = w + 1
				return true
			}
		}
		return false
	}
	for w := range wanted {
		if !find(w, make([]bool, len(got))) {
			missing = append(missing, wanted[w])
		}
	}
	for g := range got {
		if taker[g] == 0 {
			surplus = append(surplus, got[g])
		}
	}
	return missing, surplus
}

// ExpectUntil takes events up to and including the first for which done reports true, and returns them. Each may take as long as the timeout.
func (s *Stream) ExpectUntil(done func(Event) bool) []Event {
	s.t.Helper()
	const wanted = "an event that ends the wait"
	s.mustBeOpen(wanted)
	var events []Event
	for {
		e, err := s.event()
		if err != nil {
			s.fail(wanted, s.why(err), len(events))
		}
		if events = append(events, e); done(e) {
			return events
		}
	}
}

// NextJSON takes the next event, and returns its data, which is JSON, as a T. It fails the test as [Stream.Next] does, and where the data is no T:
// [encoding/json] decides. An object may have members that T has not.
func NextJSON[T any](s *Stream) T {
	s.t.Helper()
	var value T
	wanted := fmt.Sprintf("an event whose data is JSON of a %T", value)
	e := s.take(1, wanted)[0]
	if err := json.Unmarshal([]byte(e.Data), &value); err != nil {
		s.fail(wanted, fmt.Sprintf("its data is not: %v", err), 1)
	}
	return value
}
