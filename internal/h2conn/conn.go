// Package h2conn stands between net/http's HTTP/2 server and the wire, above TLS, and knows which streams are open there.
//
// net/http tells nobody when the last frame of a response has left: a handler has returned long before.
// Who closes the connection in between takes the end of the stream from a client that was reading it.
package h2conn

import (
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
)

// A Conn is the server's side of one connection. It passes every byte on as it is.
// A connection that does not begin with the preface of HTTP/2 (RFC 9113, section 3.4) is passed on unwatched.
type Conn struct {
	net.Conn
	group  *Group
	closed chan struct{}
	once   sync.Once
	speaks atomic.Int32 // what the client has turned out to speak: one of the following
	done   atomic.Bool  // nothing more is sent

	// The goroutine that reads owns these.
	preface int // how much of the preface has been read
	inbound scanner
	highest uint32 // the highest stream that the client has opened

	// The goroutine that writes owns these.
	outbound scanner
	ended    []uint32 // by the write that is going on

	mu   sync.Mutex // guards open; never held over a read or a write
	open map[uint32]struct{}
}

// What a client speaks.
const (
	unknown = iota // it has not sent enough to tell
	http2Frames
	otherProtocol
)

// New wraps c and adds it to a group. The result hides whether c is a [*crypto/tls.Conn],
// so that an [http.Server] that speaks HTTP/2 without TLS takes it.
func New(c net.Conn, group *Group) *Conn {
	conn := &Conn{Conn: c, group: group, closed: make(chan struct{}), open: make(map[uint32]struct{})}
	group.join(conn)
	return conn
}

// Closed is closed when Close has been called.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// Close closes the connection; what was open on it is open no more.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.mu.Lock()
		left := len(c.open)
		c.open = nil
		c.mu.Unlock()
		c.group.add(-left)
		c.group.leave(c)
		close(c.closed)
	})
	return err
}

// Read reads what the client sent, and sees the streams that it opens and resets.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if rest := c.skipPreface(p[:n]); len(rest) > 0 {
		c.inbound.scan(rest, c.received)
	}
	return n, err
}

// Write writes what the server sends, and sees the streams that end with it.
func (c *Conn) Write(p []byte) (int, error) {
	if c.speaks.Load() == otherProtocol {
		return c.Conn.Write(p)
	}
	if c.done.Load() {
		return len(p), nil // an acknowledgement of something, for a client that has been told that nothing comes
	}
	c.ended = c.ended[:0]
	c.outbound.scan(p, c.sending)
	n, err := c.Conn.Write(p)
	// Only now are they on the wire. After a failed write the connection is done for, and Close ends them all.
	if err == nil {
		for _, id := range c.ended {
			c.end(id)
		}
	}
	return n, err
}

// finish closes the half that the server writes to, and lets what it would still write go nowhere.
func (c *Conn) finish() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && !c.done.Swap(true) {
		_ = half.CloseWrite() // where it fails, the connection is broken already
	}
}

// skipPreface returns what of p belongs to frames.
func (c *Conn) skipPreface(p []byte) []byte {
	switch c.speaks.Load() {
	case http2Frames:
		return p
	case otherProtocol:
		return nil
	}
	for i, b := range p {
		if b != http2.ClientPreface[c.preface] {
			c.speaks.Store(otherProtocol)
			return nil
		}
		if c.preface++; c.preface == len(http2.ClientPreface) {
			c.speaks.Store(http2Frames)
			return p[i+1:]
		}
	}
	return nil
}

// received sees a frame that the client has sent.
func (c *Conn) received(f http2.FrameHeader) {
	switch f.Type {
	case http2.FrameHeaders:
		// HEADERS of a stream that is known already are trailers.
		if f.StreamID > c.highest {
			c.highest = f.StreamID
			c.start(f.StreamID)
		}
	case http2.FrameRSTStream:
		c.end(f.StreamID)
	}
}

// sending sees a frame that is about to go out.
func (c *Conn) sending(f http2.FrameHeader) {
	if endsStream(f) {
		c.ended = append(c.ended, f.StreamID)
	}
}

// endsStream reports whether a frame is the last that the server sends on its stream (RFC 9113, section 5.1).
func endsStream(f http2.FrameHeader) bool {
	switch f.Type {
	case http2.FrameData:
		return f.Flags.Has(http2.FlagDataEndStream)
	case http2.FrameHeaders:
		return f.Flags.Has(http2.FlagHeadersEndStream)
	case http2.FrameRSTStream:
		return true
	default:
		return false
	}
}

func (c *Conn) start(id uint32) {
	c.mu.Lock()
	alive := c.open != nil
	if alive {
		c.open[id] = struct{}{}
	}
	c.mu.Unlock()
	if alive {
		c.group.add(1)
	}
}

func (c *Conn) end(id uint32) {
	c.mu.Lock()
	_, was := c.open[id]
	delete(c.open, id)
	c.mu.Unlock()
	if was {
		c.group.add(-1)
	}
}
