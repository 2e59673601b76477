package h2conn

import (
	"encoding/binary"
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

	header [frameHeaderLen]byte
	have   int    // bytes of header that have been read
	ready  []byte // goes to the server before anything else is read
	err    error  // goes to the server behind ready
	left   int    // bytes of the frame's payload that are to be read
	tail   []byte // goes to the server behind the payload
	field  []byte // is to be appended to the field block that is being read
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
		n, err := c.Conn.Read(in.header[in.have:])
		if in.have += n; in.have == frameHeaderLen {
			in.have = 0
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

// flagsAt is the index of the flags in a frame's header.
const flagsAt = 4

// readHeader passes a frame's header on. To the field block that opens a stream, a field is added, in a CONTINUATION frame of its own:
// what the client has sent is not touched but for the flag that says where the block ends.
func (c *Conn) readHeader() {
	in := &c.in
	f := frameOf(&in.header)
	in.left = int(f.Length)
	switch f.Type {
	case http2.FrameHeaders:
		if f.StreamID > in.highest { // otherwise they are trailers
			in.highest = f.StreamID
			in.field = streamField(f.StreamID, c.start(f.StreamID))
		}
		fallthrough
	case http2.FrameContinuation:
		if in.field != nil && f.Flags.Has(http2.FlagHeadersEndHeaders) {
			in.header[flagsAt] &^= byte(http2.FlagHeadersEndHeaders)
			in.tail = continuation(f.StreamID, in.field)
			in.field = nil
		}
	}
	in.ready = in.header[:]
	if in.left == 0 {
		c.readPayload()
	}
}

// readPayload is called when all of a frame has been read.
func (c *Conn) readPayload() {
	in := &c.in
	in.ready = append(in.ready, in.tail...)
	in.tail = nil
	switch f := frameOf(&in.header); f.Type {
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

// continuation is a CONTINUATION frame that ends a field block.
func continuation(id uint32, block []byte) []byte {
	frame := []byte{0, 0, byte(len(block)), byte(http2.FrameContinuation), byte(http2.FlagContinuationEndHeaders)}
	return append(binary.BigEndian.AppendUint32(frame, id), block...)
}
