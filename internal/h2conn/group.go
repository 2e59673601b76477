package h2conn

import (
	"sync"
	"sync/atomic"
)

// A Group is the connections of one server, and counts the streams that are open on their wires:
// opened by the client, and neither ended by the server nor reset by either of them.
// Its methods may be called from any goroutine.
type Group struct {
	changed func()
	streams atomic.Int64

	mu    sync.Mutex // guards conns; never held over a read or a write
	conns map[*Conn]struct{}
}

// NewGroup returns a group that calls changed, from whatever goroutine it happens on, when a stream or a connection comes or goes.
func NewGroup(changed func()) *Group {
	return &Group{changed: changed, conns: make(map[*Conn]struct{})}
}

// Streams is the number of open streams.
func (g *Group) Streams() int { return int(g.streams.Load()) }

// Conns is the number of connections that are open and speak HTTP/2.
func (g *Group) Conns() int { return len(g.speaking()) }

// Finish tells the client of each connection that nothing more will come, by closing the server's half of it,
// and goes on reading. A client that has read everything closes its half.
//
// A connection that is closed altogether while its client still sends, be it just that its window is open again, is reset,
// and what was on its way is lost.
func (g *Group) Finish() {
	for _, c := range g.speaking() {
		c.finish()
	}
}

func (g *Group) speaking() []*Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	speaking := make([]*Conn, 0, len(g.conns))
	for c := range g.conns {
		if c.speaks.Load() == http2Frames {
			speaking = append(speaking, c)
		}
	}
	return speaking
}

func (g *Group) add(streams int) {
	if streams != 0 {
		g.streams.Add(int64(streams))
		g.changed()
	}
}

func (g *Group) join(c *Conn) {
	g.mu.Lock()
	g.conns[c] = struct{}{}
	g.mu.Unlock()
}

func (g *Group) leave(c *Conn) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	g.changed()
}
