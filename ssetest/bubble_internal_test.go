package ssetest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestABubbleOfAnyAge is known for one, also when its clock has passed ours.
func TestABubbleOfAnyAge(t *testing.T) {
	assert.Empty(t, bubble())
	assert.False(t, inBubble())
	synctest.Test(t, func(t *testing.T) {
		young := bubble()
		time.Sleep(40 * 365 * 24 * time.Hour)
		assert.NotEmpty(t, young)
		assert.Equal(t, young, bubble())
		assert.True(t, inBubble())
	})
}
