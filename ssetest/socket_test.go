package ssetest

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A closing is a connection that tells when it is closed.
type closing struct {
	net.Conn
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return nil
}

// TestAllAreDoomedBeforeOneIsReset: what a client asks on another of them meanwhile must not be answered, or it would have come back to a server that is going down.
func TestAllAreDoomedBeforeOneIsReset(t *testing.T) {
	var set sockets
	var all []*socket
	var spared atomic.Int64
	for range 100 {
		k := &socket{set: &set, progress: new(atomic.Int64)}
		k.Conn = closing{closed: func() {
			for _, other := range all {
				if !other.doomed.Load() {
					spared.Add(1)
				}
			}
		}}
		all = append(all, k)
		set.add(k)
	}
	set.reset(func(*socket) bool { return true })
	assert.Zero(t, spared.Load(), "not yet doomed when one was closed")
	assert.Empty(t, set.all())
}
