package h2conn

import "sync/atomic"

// Streams counts the streams that are open on the wire, over all connections that share it:
// opened by the client, and neither ended by the server nor reset by either of them.
type Streams struct {
	n       atomic.Int64
	changed func()
}

// NewStreams returns a count that calls changed, from whatever goroutine it happens on, after each change.
func NewStreams(changed func()) *Streams { return &Streams{changed: changed} }

// Open is the number of open streams. It may be called from any goroutine.
func (s *Streams) Open() int { return int(s.n.Load()) }

func (s *Streams) add(n int) {
	if n != 0 {
		s.n.Add(int64(n))
		s.changed()
	}
}
