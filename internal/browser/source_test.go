package browser_test

import (
	"cmp"
	"slices"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// The values of EventSource.readyState.
const (
	stateConnecting = iota
	stateOpen
	stateClosed
)

// A record is what an EventSource has told its page: an event of the stream, or one of its own, and its state then.
type record struct {
	What   string `json:"what"` // the event's type
	State  int    `json:"state"`
	Data   string `json:"data"`
	ID     string `json:"id"`
	Origin string `json:"origin"` // where it is not that of the page
}

// What an EventSource tells of itself.
var (
	opened       = record{What: "open", State: stateOpen}
	reconnecting = record{What: "error", State: stateConnecting}
	failed       = record{What: "error", State: stateClosed}
)

// message is an event without a type, with the last event ID.
func message(data, id string) record {
	return record{What: "message", State: stateOpen, Data: data, ID: id}
}

// dispatched is what the page sees of an event.
func dispatched(e ssetest.Event) record {
	return record{What: cmp.Or(e.Type, "message"), State: stateOpen, Data: e.Data, ID: e.ID}
}

// A source is an EventSource of a page.
type source struct {
	page  *tab
	index int // in the page
	taken int // records that the test has had
}

// eventSource makes one.
func (p *tab) eventSource(url string) *source {
	p.t.Helper()
	return p.eventSourceWith(map[string]any{}, url)
}

// eventSourceWith makes one with an EventSourceInit.
func (p *tab) eventSourceWith(init map[string]any, url string) *source {
	p.t.Helper()
	s := &source{page: p, index: ask[int](p, "a new EventSource", "record", url, []string{}, init)}
	p.sources = append(p.sources, s)
	return s
}

// expect waits for the next records, which must be these.
func (s *source) expect(want ...record) {
	s.page.t.Helper()
	assert.Equal(s.page.t, want, s.take(len(want)))
}

// take waits for the next n records.
func (s *source) take(n int) []record {
	s.page.t.Helper()
	const next = `async (index, taken, n) => {
		await until(() => recorders[index].records.length >= taken + n);
		return recorders[index].records.slice(taken, taken + n);
	}`
	records := ask[[]record](s.page, "the next records of an EventSource", next, s.index, s.taken, n)
	s.taken += n
	return records
}

// takeMessages waits until at least n messages have come, with whatever else, closes the EventSource, and returns the messages.
func (s *source) takeMessages(n int) []record {
	s.page.t.Helper()
	const next = `async (index, taken, n) => {
		const r = recorders[index];
		const records = () => r.records.slice(taken);
		await until(() => records().filter((r) => r.what === "message").length >= n);
		r.source.close();
		return records();
	}`
	records := ask[[]record](s.page, "messages of an EventSource", next, s.index, s.taken, n)
	s.taken += len(records)
	return slices.DeleteFunc(records, func(r record) bool { return r.What != "message" })
}

// stream has an EventSource that listens to events of these types, and to messages, read a stream to its end, closes it before it comes back, and returns what it has told.
func (p *tab) stream(url string, types ...string) []record {
	p.t.Helper()
	const whole = `async (url, types) => {
		const r = recorders[record(url, types, {})];
		const last = () => r.records.at(-1);
		await until(() => last()?.what === "error" && last().id === undefined); // no event of the stream
		r.source.close();
		return r.records.slice(0, -1);
	}`
	return ask[[]record](p, "a stream to its end", whole, url, append([]string{}, types...))
}
