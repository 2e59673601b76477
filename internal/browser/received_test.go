package browser_test

import (
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
)

// A received is how many bytes of bodies a page has been handed. An EventSource tells nothing of an event that has begun.
type received struct {
	mu      sync.Mutex // guards what follows
	bytes   int64
	changed chan struct{} // closed when there are more
}

func newReceived() *received { return &received{changed: make(chan struct{})} }

// note takes an event of the browser's.
func (r *received) note(event any) {
	e, ok := event.(*network.EventDataReceived)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += e.DataLength
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *received) now() (bytes int64, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes, r.changed
}

// await waits until the page has been handed so many bytes.
func (r *received) await(t *testing.T, bytes int64) {
	t.Helper()
	expired := time.After(limit)
	for {
		there, changed := r.now()
		if there >= bytes {
			return
		}
		select {
		case <-changed:
		case <-expired:
			t.Fatalf("waited %v for the page to be handed %d bytes; it has %d", limit, bytes, there)
		}
	}
}
