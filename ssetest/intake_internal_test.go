package ssetest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestWhatComesBehindALostBatchIsLost has a source that is paused, and is broken off while a batch waits that ends with a comment:
// what is read behind it must not be taken for what comes next, though the source has been resumed by then.
func TestWhatComesBehindALostBatchIsLost(t *testing.T) {
	es := newEventSource(new(OpenConfig).withDefaults(""), "the source")
	es.paused = true
	ctx, cancel := context.WithCancel(t.Context())
	in := &intake{es: es, ctx: ctx, decoder: NewDecoder(strings.NewReader(""))}
	for range maxArrivals - 1 {
		assert.True(t, in.add(arrival{event: Event{ID: "lost"}}))
	}
	cancel()
	assert.False(t, in.add(arrival{what: &happening{kind: comments}}))
	es.Resume()
	assert.True(t, in.add(arrival{event: Event{ID: "later"}}), "it waits for others")
	assert.False(t, in.publish())
	assert.Zero(t, es.waiting.size)
	assert.Empty(t, es.LastEventID())
}
