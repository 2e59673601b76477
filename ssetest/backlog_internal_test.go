package ssetest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestABacklogIsAQueue does what a slice does, in any order of putting and taking.
func TestABacklogIsAQueue(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var b backlog
		var model []string
		next := 0
		for range 20 {
			for range random.IntN(150) {
				data := strconv.Itoa(next)
				next++
				b.push(arrival{event: Data(data)})
				model = append(model, data)
			}
			for range random.IntN(len(model) + 1) {
				require.Equal(t, model[0], b.pop().event.Data)
				model = model[1:]
			}
			var there []string
			for a := range b.all {
				there = append(there, a.event.Data)
			}
			require.Equal(t, len(model), b.size)
			require.True(t, slices.Equal(model, there), "%v, and not %v", there, model)
			for a := range b.all { // only the first
				require.Equal(t, model[0], a.event.Data)
				break
			}
		}
	}
}
