package bench_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// This file holds what does not depend on the machine: how often memory is allocated.

// TestEncodingAllocatesNothing, into a buffer that is large enough.
func TestEncodingAllocatesNothing(t *testing.T) {
	for _, c := range encoded {
		buf := make([]byte, 0, 1<<17)
		allocations := testing.AllocsPerRun(100, func() {
			if _, err := c.event.AppendText(buf); err != nil {
				panic(err)
			}
		})
		assert.Zero(t, allocations, c.name)
	}
}

// TestDecodingAllocatesLittle: short strings share blocks, and a large one is one allocation.
func TestDecodingAllocatesLittle(t *testing.T) {
	most := map[string]float64{"tokens": 0.1, "letters": 0.1, "large": 1.2} // per event
	for _, p := range parsedStreams() {
		events := 0
		allocations := testing.AllocsPerRun(10, func() {
			events = 0
			for _, err := range ssetest.Events(bytes.NewReader(p.stream)) {
				require.NoError(t, err)
				events++
			}
		})
		require.Len(t, p.events, events)
		assert.LessOrEqual(t, allocations/float64(events), most[p.name], p.name)
	}
}
