package interop_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// Deviation: the last event ID outlives an event and a stream that have none, counts where a block has nothing else, and is no more sent when it has been reset
// (WHATWG HTML, 9.2.3 and 9.2.6). Each of the clients has its own idea of some of that.
func testDeviationIDs(t *testing.T, k *kit) {
	type ids struct {
		told  []string // with the events
		asked []string // with the requests
	}
	standard := ids{told: []string{"1", "2", "", ""}, asked: []string{"", "2", "2", "", ""}}
	known := map[string]ids{
		// An ID without data is dropped, and so asks for what has been there; MessageEvent.lastEventId has no ID but the event's own.
		"eventsource": {told: []string{"1", "", "", ""}, asked: []string{"", "1", "1", "", ""}},

		// An ID without data is dropped: whoever writes the loop around the parser never sees it.
		"eventsource-parser": {told: []string{"1", "1", "", ""}, asked: []string{"", "1", "1", "", ""}},

		// Once it has been sent, the header Last-Event-ID is never taken away.
		"undici": {told: standard.told, asked: []string{"", "2", "2", "2", "2"}},
	}
	ofEach(t, func(t *testing.T, program, protocol string) {
		c := k.serve(t, "-script", "GET /feed=testdata/languages/ids.sse")
		want := known[program]
		assert.NotEqual(t, want, standard)
		var lines []string
		for i, data := range []string{"one", "without", "reset", "last"} {
			lines = append(lines, saysOpen(protocol), tells(ssetest.Event{Type: "message", Data: data, ID: want.told[i]}), saysBroken)
		}
		assert.Equal(t, append(lines, saysClosed), k.node(t, c, program, protocol, "/feed", "0").lines())
		assert.Equal(t, want.asked, c.asked(t, "/feed"))
	})
}

// Deviation: an EventSource that is connecting lives on where somebody listens for its events (WHATWG HTML, 9.2.9). That of undici holds nothing while it waits to
// come back: a process that has nothing else to do is over, without an error, at the first abort.
func testDeviationLeavesAlone(t *testing.T, k *kit) {
	overBoth(t, func(t *testing.T, protocol string) {
		c := k.serve(t, "-script", "GET /feed=testdata/languages/alone.sse")
		assert.Equal(t, []string{
			saysOpen(protocol),
			tells(ssetest.Event{Type: "message", Data: "one", ID: "1"}),
			saysBroken,
		}, k.node(t, c, "undici-alone", protocol, "/feed", "0").lines())
		assert.Equal(t, []string{""}, c.asked(t, "/feed"))
	})
}
