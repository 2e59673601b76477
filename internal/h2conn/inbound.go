package h2conn

import (
	"fmt"
	"net/http"

	"golang.org/x/net/http2"
)

// streamHeader is the field that tells a handler which stream it answers. net/http keeps that to itself.
const streamHeader = "Ssetest-Stream"

// Refused is the ordinal of a stream that was opened after a GOAWAY: whoever opened it will ask again elsewhere.
const Refused = 0

// TakeStream removes from a request's header what [Conn] has added, and returns it: the stream's identifier, and
// its ordinal among the streams of its connection, from 1, or [Refused].
func TakeStream(h http.Header) (id uint32, ordinal int) {
	values := h[streamHeader]
	if len(values) > 0 {
		_, _ = fmt.Sscan(values[len(values)-1], &id, &ordinal) // the client's own would be before ours
		delete(h, streamHeader)
	}
	return id, ordinal
}

// inbound is what the client sends, on its way to the server.
type inbound struct {
	preface int    // bytes of the preface that have been read
	highest uint32 // the highest stream that the client has opened
	settled bool   // the client has acknowledged the server's SETTINGS

	header  [frameHeaderLen + 1]byte // of a frame, with the length of its padding where a field goes before that
	have    int                      // bytes of header that have been read
	ready   []byte                   // goes to the server before anything else is read
	err     error                    // goes to the server behind ready
	left    int                      // bytes of the frame's payload that are to be read before tail
	tail    []byte                   // goes to the server behind them
	padding int                      // bytes of the frame's payload behind tail
	field   []byte                   // is to be appended to the field block that is being read
}

// Read reads what the client sent, and sees the streams that it opens and resets.
func (c *Conn) Read(p []byte) (int, error) {
	switch c.speaks.Load() {
	case unknown:
		n, err := c.Conn.Read(p[:min(len(p), len(http2.ClientPreface)-c.in.preface)])
		c.readPreface(p[:n])
		return n, err
	case otherProtocol:
		return c.Conn.Read(p)
	}
	in := &c.in
	if err := in.err; err != nil && len(in.ready) == 0 {
		in.err = nil
		return 0, err
	}
	for len(in.ready) == 0 && in.left == 0 {
		n, err := c.Conn.Read(in.header[in.have:in.headerLen()])
		if in.have += n; in.have == in.headerLen() {
			in.err = err // it may come with the last bytes, and a server that gets it does not ask for more
			c.readHeader()
		} else if err != nil {
			return 0, err
		}
	}
	if len(in.ready) > 0 {
		n := copy(p, in.ready)
		in.ready = in.ready[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), in.left)])
	if in.left -= n; in.left == 0 {
		c.readPayload()
	}
	if len(in.ready) > 0 {
		in.err, err = err, nil
	}
	return n, err
}

// readPreface finds out what the client speaks.
func (c *Conn) readPreface(p []byte) {
	for _, b := range p {
		if b != http2.ClientPreface[c.in.preface] {
			c.speaks.Store(otherProtocol)
			return
		}
		if c.in.preface++; c.in.preface == len(http2.ClientPreface) {
			c.speaks.Store(http2Frames)
		}
	}
}

// frame is the header of the frame that is being read.
func (in *inbound) frame() http2.FrameHeader { return frameOf((*[frameHeaderLen]byte)(in.header[:])) }

// headerLen is how much of a frame has to be known before it is passed on.
func (in *inbound) headerLen() int {
	if in.have < frameHeaderLen {
		return frameHeaderLen
	}
	const ends = http2.FlagHeadersPadded | http2.FlagHeadersEndHeaders
	if f := in.frame(); f.Type == http2.FrameHeaders && f.Flags.Has(ends) && f.StreamID > in.highest && f.Length > 0 {
		return frameHeaderLen + 1
	}
	return frameHeaderLen
}

// readHeader passes a frame's header on. To the field block that opens a stream, a field is added.
func (c *Conn) readHeader() {
	in := &c.in
	f := in.frame()
	in.left = frameHeaderLen + int(f.Length) - in.have
	switch f.Type {
	case http2.FrameHeaders:
		if f.StreamID > in.highest { // otherwise they are trailers
			in.highest = f.StreamID
			in.field = streamField(f.StreamID, c.start(f.StreamID))
		}
		fallthrough
	case http2.FrameContinuation:
		if in.field != nil && f.Flags.Has(http2.FlagHeadersEndHeaders) {
			in.insert(f)
		}
	}
	in.ready = in.header[:in.have:in.have]
	in.have = 0
	if in.left == 0 {
		c.readPayload()
	}
}

// insert has the field follow those of the client in the last frame of their block. A frame of its own would do, but for field blocks with
// which something is wrong: with another frame to come, a server takes for an error of the connection what is one of the stream.
func (in *inbound) insert(f http2.FrameHeader) {
	const priorityLen = 5
	padding, fields := 0, in.left
	padded := f.Type == http2.FrameHeaders && f.Flags.Has(http2.FlagHeadersPadded)
	if in.have > frameHeaderLen {
		padding = int(in.header[frameHeaderLen])
	}
	if f.Type == http2.FrameHeaders && f.Flags.Has(http2.FlagHeadersPriority) {
		fields -= priorityLen
	}
	if fields >= padding && (!padded || f.Length > 0) { // otherwise the frame is malformed, and remains it
		in.left, in.tail, in.padding = in.left-padding, in.field, padding
		length := int(f.Length) + len(in.field)
		in.header[0], in.header[1], in.header[2] = byte(length>>16), byte(length>>8), byte(length)
	}
	in.field = nil
}

// readPayload is called when all of a frame has been read, and before that where a field goes in.
func (c *Conn) readPayload() {
	in := &c.in
	in.ready = append(in.ready, in.tail...)
	in.left, in.tail, in.padding = in.padding, nil, 0
	if in.left > 0 {
		return
	}
	switch f := in.frame(); f.Type {
	case http2.FrameRSTStream:
		c.end(f.StreamID)
	case http2.FrameSettings:
		if f.Flags.Has(http2.FlagSettingsAck) && !in.settled {
			in.settled = true
			close(c.settled)
		}
	}
}

// streamField is the field line that TakeStream removes, as a literal that is in no table (RFC 7541, section 6.2.2).
func streamField(id uint32, ordinal int) []byte {
	value := fmt.Sprint(id, ordinal)
	field := append([]byte{0, byte(len(streamHeader))}, lowerCase(streamHeader)...)
	return append(append(field, byte(len(value))), value...) // both are far below 127, from where on a length takes more
}

func lowerCase(name string) []byte {
	lower := []byte(name)
	for i, b := range lower {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return lower
}
