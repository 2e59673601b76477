package ssetest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSilenceIsOverAtItsLastInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		es := &EventSource{bubbled: true}
		es.waiting.push(arrival{event: Data("x"), at: time.Now().Add(time.Second)})
		(&Stream{t: t, source: es}).ExpectSilence(time.Second)
	})
}

func TestEventSourceReadsAheadToItsBounds(t *testing.T) {
	assert.False(t, (&EventSource{size: maxWaitingBytes - 1, waiting: backlog{size: maxWaitingEvents - 1}}).full())
	assert.True(t, (&EventSource{size: maxWaitingBytes}).full())
	assert.True(t, (&EventSource{waiting: backlog{size: maxWaitingEvents}}).full())
}

// TestAFullEventSourceMovesNothing when somebody takes one event, and another takes its place.
func TestAFullEventSourceMovesNothing(t *testing.T) {
	es := newEventSource(new(OpenConfig).withDefaults(""), "the source")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.True(t, es.put(t.Context(), make([]arrival, maxWaitingEvents)...))
	allocations := testing.AllocsPerRun(100, func() {
		es.mu.Lock()
		es.take()
		es.mu.Unlock()
		assert.False(t, es.put(over, arrival{}, arrival{}), "the second")
	})
	assert.LessOrEqual(t, allocations, 5.0)
	assert.Equal(t, maxWaitingEvents, es.waiting.size)
}

func TestNothingBeginsWhileTheServerCloses(t *testing.T) {
	s, err := Start(nil)
	require.NoError(t, err)
	defer s.Close()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for _, path := range []string{"/sse", "/post"} {
		_, err := Dial(t.Context(), s.URL+path, nil)
		var refused *ResponseError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, 503, refused.StatusCode)
	}
}
