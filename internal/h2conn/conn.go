// Package h2conn stands between net/http's HTTP/2 server and the wire, above TLS. It knows which streams are open there
// and how much of each has left, and can send what no handler can: a RST_STREAM with any code, and a GOAWAY.
//
// net/http tells nobody when the last frame of a response has left: a handler has returned long before.
// Who closes the connection in between takes the end of the stream from a client that was reading it.
package h2conn

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Conn is the server's side of one connection. It passes every byte on as it is, but for a field that it adds to
// each request ([TakeStream]) and for what it was told to send.
// A connection that does not begin with the preface of HTTP/2 (RFC 9113, section 3.4) is passed on unwatched.
type Conn struct {
	net.Conn
	group   *Group
	closed  chan struct{}
	once    sync.Once
	speaks  atomic.Int32  // what the client has turned out to speak: one of the following
	done    atomic.Bool   // nothing more is sent
	settled chan struct{} // closed when the client has acknowledged the server's SETTINGS

	in inbound // belongs to the goroutine that reads

	// writing has one slot; who fills it may write, and owns what follows. It is held over a write,
	// and therefore no mutex: in a synctest bubble a goroutine that waits for one holds up the clock.
	writing   chan struct{}
	out       scanner
	begun     bool        // a frame has gone out
	inBlock   bool        // a field block has begun and not ended
	ending    bool        // that block ends its stream
	pending   []byte      // frames that go out when the one that is being written has ended
	completed []completed // by the write that is going on
	block     []byte      // of the field block that is being written
	fields    *hpack.Decoder

	mu       sync.Mutex // guards what follows; never held over a read or a write
	changed  sync.Cond  // one of these has changed
	open     map[uint32]*Stream
	over     bool   // Close was called
	accepted uint32 // the highest stream that is answered
	opened   int    // how many streams the client has opened
	leaving  bool   // GOAWAY was sent, or is about to be
	codes    int    // streams with a code of their own
}

// A Stream is one of a connection's, from when the client has opened it. [Conn.Stream] returns it. Its methods may be called on nil,
// for a stream that is over, and from any goroutine.
type Stream struct {
	conn *Conn // whose mutex guards what follows

	begun bool  // the HEADERS of its response have left
	sent  int64 // bytes of DATA that have left
	code  http2.ErrCode
	coded bool          // code goes into its RST_STREAM
	over  bool          // one of both sides has ended it
	ended chan struct{} // closed then; nil where nobody has asked
}

// completed is a frame of which nothing is missing.
type completed struct {
	http2.FrameHeader
	stream   *Stream // nil where it is over, or where there is none
	response bool    // it is the last of the field block that a response begins with, and not of an interim one
	last     bool    // it is the last that the server sends on its stream
}

// What a client speaks.
const (
	unknown = iota // it has not sent enough to tell
	http2Frames
	otherProtocol
)

// New wraps c and adds it to a group. The result hides whether c is a [*crypto/tls.Conn],
// so that an [net/http.Server] that speaks HTTP/2 without TLS takes it.
func New(c net.Conn, group *Group) *Conn {
	conn := &Conn{
		Conn:    c,
		group:   group,
		closed:  make(chan struct{}),
		settled: make(chan struct{}),
		writing: make(chan struct{}, 1),
		open:    make(map[uint32]*Stream),
		fields:  hpack.NewDecoder(4096, nil), // as net/http's encoder has it, whatever its client allows
	}
	conn.changed.L = &conn.mu
	group.join(conn)
	return conn
}

// Closed is closed when Close has been called.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// AwaitSettled waits until the client has acknowledged the server's SETTINGS, for as long as the limit. Until then it is about to write,
// and a client that learns of the connection's reset by a write takes what it reads for a mere end.
// With a client that does not speak HTTP/2, there is nothing to wait for.
func (c *Conn) AwaitSettled(limit time.Duration) {
	if c.speaks.Load() != http2Frames {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.settled:
	case <-c.closed:
	case <-timer.C:
	}
}

// Close closes the connection; what was open on it is open no more.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.mu.Lock()
		left := len(c.open)
		for _, s := range c.open {
			s.end()
		}
		c.over, c.open, c.codes = true, nil, 0
		c.changed.Broadcast()
		c.mu.Unlock()
		c.group.add(-left)
		c.group.leave(c)
		close(c.closed)
	})
	return err
}

// Write writes what the server sends, and sees what has left with it.
func (c *Conn) Write(p []byte) (int, error) {
	if c.speaks.Load() == otherProtocol {
		return c.Conn.Write(p)
	}
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	if c.done.Load() {
		return len(p), nil // an acknowledgement of something, for a client that has been told that nothing comes
	}
	out, boundary := c.scan(p)
	if len(c.pending) > 0 && boundary >= 0 {
		out = bytes.Join([][]byte{out[:boundary], c.pending, out[boundary:]}, nil)
		c.pending = nil
	}
	// Only with the write have they left. After a failed one the connection is done for, and Close ends them all.
	if n, err := c.Conn.Write(out); err != nil {
		return min(n, len(p)), err
	}
	c.sent()
	return len(p), nil
}

// scan goes on through what is about to be written, collects the frames that are completed by it, and puts the codes
// that were asked for into each RST_STREAM. It returns what is to be written, and the index of the first place
// behind a whole frame where another may come, or -1.
func (c *Conn) scan(p []byte) (out []byte, boundary int) {
	out, boundary = p, -1
	codes := c.hasCodes()
	if codes {
		out = bytes.Clone(p) // a writer must not change what it is given
	}
	c.completed = c.completed[:0]
	for i := 0; i < len(p); {
		at := c.out.payload()
		n, complete := c.out.advance(p[i:])
		switch f := c.out.frame(); {
		case at < 0:
		case codes && f.Type == http2.FrameRSTStream:
			c.recode(out[i:i+n], at)
		case hasFields(f):
			c.block = append(c.block, p[i:i+n]...)
		}
		if i += n; complete {
			f := c.out.frame()
			c.inBlock = leavesBlockOpen(f)
			c.completed = append(c.completed, completed{f, c.Stream(f.StreamID), c.endsBlock(f) && c.isFinal(), c.endsStream(f)})
			if boundary < 0 && !c.inBlock {
				boundary = i
			}
		}
	}
	c.begun = c.begun || len(c.completed) > 0
	return out, boundary
}

func (c *Conn) hasCodes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codes > 0
}

// recode overwrites a part of the error code of the RST_STREAM that is being written, which begins at an index of it.
// A stream whose end comes before it in the same write still counts as open, but the code was not meant for what follows.
func (c *Conn) recode(part []byte, at int) {
	id := c.out.frame().StreamID
	if slices.ContainsFunc(c.completed, func(f completed) bool { return f.last && f.StreamID == id }) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[id]; s != nil && s.coded {
		code := [...]byte{byte(s.code >> 24), byte(s.code >> 16), byte(s.code >> 8), byte(s.code)}
		copy(part, code[at:])
	}
}

// sent takes account of the frames that have left.
func (c *Conn) sent() {
	ended := 0
	c.mu.Lock()
	for _, f := range c.completed {
		if s := f.stream; s != nil { // the client may have ended it during the write
			s.begun = s.begun || f.response
			if f.Type == http2.FrameData {
				s.sent += int64(f.Length)
			}
		}
		if f.last {
			ended += c.remove(f.StreamID)
		}
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	c.group.add(-ended)
}

// endsStream reports whether a frame is the last that the server sends on its stream (RFC 9113, section 5.1).
// Of a field block, the first frame says whether it ends the stream, and the last one does it. It is called for each frame once.
func (c *Conn) endsStream(f http2.FrameHeader) bool {
	switch f.Type {
	case http2.FrameData:
		return f.Flags.Has(http2.FlagDataEndStream)
	case http2.FrameRSTStream:
		return true
	case http2.FrameHeaders:
		c.ending = f.Flags.Has(http2.FlagHeadersEndStream)
		return c.ending && !c.inBlock
	case http2.FrameContinuation:
		return c.ending && !c.inBlock
	case http2.FramePushPromise:
		c.ending = false
	}
	return false
}

// hasFields reports whether a frame's payload is a part of a field block, and nothing else.
func hasFields(f http2.FrameHeader) bool {
	switch f.Type {
	case http2.FrameHeaders:
		return !f.Flags.Has(http2.FlagHeadersPadded) && !f.Flags.Has(http2.FlagHeadersPriority) // net/http's server has neither
	case http2.FrameContinuation:
		return true
	default:
		return false
	}
}

// isFinal reports whether the field block that has been written is not that of an interim response, such as 100 (RFC 9110, section 15.2).
func (c *Conn) isFinal() bool {
	fields, err := c.fields.DecodeFull(c.block)
	c.block = c.block[:0]
	return err != nil || len(fields) == 0 || fields[0].Name != ":status" || !strings.HasPrefix(fields[0].Value, "1")
}

// endsBlock reports whether a frame is the last of a response's field block.
func (c *Conn) endsBlock(f http2.FrameHeader) bool {
	return !c.inBlock && (f.Type == http2.FrameHeaders || f.Type == http2.FrameContinuation)
}

// leavesBlockOpen reports whether a frame has to be followed by a CONTINUATION, with nothing in between (RFC 9113, section 6.10).
func leavesBlockOpen(f http2.FrameHeader) bool {
	switch f.Type {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		return !f.Flags.Has(http2.FlagHeadersEndHeaders) // the same bit in all of them
	default:
		return false
	}
}

// Stream returns a stream that is open, or nil.
func (c *Conn) Stream(id uint32) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[id]
}

// AwaitSent waits until the HEADERS of the response and n bytes of its DATA have left, and reports false where the stream is over without.
func (s *Stream) AwaitSent(n int64) bool {
	if s == nil {
		return false
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for !s.over && !s.hasSent(n) {
		c.changed.Wait()
	}
	if !s.hasSent(n) {
		// The client may have ended it because of the very bytes that are being written.
		c.mu.Unlock()
		c.writing <- struct{}{}
		<-c.writing
		c.mu.Lock()
	}
	return s.hasSent(n)
}

func (s *Stream) hasSent(n int64) bool { return s.begun && s.sent >= n }

// Ended is closed when the stream is over: its end has left, or the client has reset it, or the connection is closed.
func (s *Stream) Ended() <-chan struct{} {
	if s == nil {
		return closed
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.over {
		return closed
	}
	if s.ended == nil {
		s.ended = make(chan struct{})
	}
	return s.ended
}

// closed is a channel that is.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// end takes note that it is over. The connection's mutex is held.
func (s *Stream) end() {
	s.over = true
	if s.ended != nil {
		close(s.ended)
	}
}

// ResetWith has the RST_STREAM with which net/http is going to abort a stream carry another code. One that were sent beside
// net/http's would leave it believing that the stream is open.
func (c *Conn) ResetWith(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[id]; s != nil {
		if !s.coded {
			c.codes++
		}
		s.code, s.coded = code, true
	}
}

// GoAway sends GOAWAY (RFC 9113, section 6.8). The streams that are open go on; those that the client opens from now on are
// [Refused], since it asks for them again on another connection. The highest stream that has been read counts as answered.
// It returns when the frame has left, or at once where the frame has to wait for the end of another.
func (c *Conn) GoAway(code http2.ErrCode) error {
	c.mu.Lock()
	c.leaving = true
	last := c.accepted
	c.mu.Unlock()

	var frame bytes.Buffer
	if err := http2.NewFramer(&frame, nil).WriteGoAway(last, code, nil); err != nil {
		return err
	}
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	if c.done.Load() {
		return nil // nothing more is sent
	}
	if !c.begun || c.out.within() || c.inBlock {
		// The first frame has to be the server's SETTINGS.
		c.pending = append(c.pending, frame.Bytes()...)
		return nil
	}
	_, err := c.Conn.Write(frame.Bytes())
	return err
}

// finish closes the half that the server writes to, and lets what it would still write go nowhere.
func (c *Conn) finish() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && !c.done.Swap(true) {
		_ = half.CloseWrite() // where it fails, the connection is broken already
	}
}

// start takes note of a stream that the client opens, and returns its ordinal on the connection, or 0 where it is refused.
func (c *Conn) start(id uint32) int {
	c.mu.Lock()
	c.opened++
	ordinal := c.opened
	if c.leaving {
		ordinal = 0
	} else {
		c.accepted = id
	}
	alive := !c.over
	if alive {
		c.open[id] = &Stream{conn: c}
		if ordinal == 0 {
			c.open[id].code, c.open[id].coded = http2.ErrCodeRefusedStream, true
			c.codes++
		}
	}
	c.mu.Unlock()
	if alive {
		c.group.add(1)
	}
	return ordinal
}

// end takes note of a stream that the client has reset.
func (c *Conn) end(id uint32) {
	c.mu.Lock()
	ended := c.remove(id)
	c.changed.Broadcast()
	c.mu.Unlock()
	c.group.add(-ended)
}

// remove forgets a stream, with c.mu held, and returns how many there were: 0 or 1.
func (c *Conn) remove(id uint32) int {
	s := c.open[id]
	if s == nil {
		return 0
	}
	if s.coded {
		c.codes--
	}
	delete(c.open, id)
	s.end()
	return 1
}
