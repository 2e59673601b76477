package ssetest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// ExpectData takes as many events as there are arguments, and requires their data to be these, in order.
func (s *Stream) ExpectData(data ...string) {
	s.t.Helper()
	got := make([]string, 0, len(data))
	for _, e := range s.take(len(data), "the data "+list(data)) {
		got = append(got, e.Data)
	}
	require.Equal(s.t, data, got, s.source.name)
}

// ExpectJSON takes as many events as there are arguments, and requires the data of each to be the same JSON value,
// whatever its white space and the order of its members.
func (s *Stream) ExpectJSON(json ...string) {
	s.t.Helper()
	for i, e := range s.take(len(json), "the JSON "+list(json)) {
		require.JSONEq(s.t, json[i], e.Data, "%s: event %d of %d", s.source.name, i+1, len(json))
	}
}

// ExpectEvents takes as many events as there are arguments, and requires them to be these, in order.
// Type (where "" is "message") and Data are always compared, ID and Retry where the wanted event has them.
func (s *Stream) ExpectEvents(events ...Event) {
	s.t.Helper()
	got := s.take(len(events), "the events "+list(events))
	wanted := make([]Event, len(events))
	for i, e := range events {
		if e.Type == "" {
			e.Type = "message"
		}
		if e.ID == "" {
			got[i].ID = ""
		}
		if e.Retry == 0 {
			got[i].Retry = 0
		}
		wanted[i] = e
	}
	require.Equal(s.t, wanted, got, s.source.name)
}

// ExpectSilence requires that the stream stays open and that no event arrives from now until d has passed.
// An event that is waiting already counts as arrived now; one that comes exactly at d is outside.
func (s *Stream) ExpectSilence(d time.Duration) {
	s.t.Helper()
	wanted := fmt.Sprintf("silence for %v", d)
	s.mustBeOpen(wanted)
	es := s.source
	start := time.Now()
	var instead string
	await(&es.mu, &es.changed, max(d, 0), func() bool {
		switch {
		case len(es.waiting) > 0 && es.waiting[0].at.Before(start.Add(d)):
			first := es.waiting[0]
			instead = fmt.Sprintf("after %v there was %v", max(first.at.Sub(start), 0), first.event)
		case len(es.waiting) == 0 && es.err != nil:
			instead = s.why(es.err)
		}
		return instead != ""
	})
	if instead != "" {
		s.fail(wanted, instead, nil)
	}
}

// ExpectEnd waits for the clean end of the stream, and requires that no event comes before it.
func (s *Stream) ExpectEnd() {
	s.t.Helper()
	const wanted = "the end of the stream"
	s.mustBeOpen(wanted)
	a, err := s.arrival()
	switch {
	case err == nil:
		s.remember(a.event)
		s.fail(wanted, fmt.Sprintf("there was %v", a.event), nil)
	case !errors.Is(err, io.EOF):
		s.fail(wanted, s.why(err), nil)
	}
}

// list shows a few of what was wanted.
func list[T any](wanted []T) string {
	const most = 5
	var b strings.Builder
	for i, w := range wanted {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(wanted)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v", w)
	}
	return b.String()
}
