package h2conn

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const (
	// frameHeaderLen is the length of a frame's header (RFC 9113, section 4.1).
	frameHeaderLen = 9

	// lowest31 removes the reserved bit from a stream identifier.
	lowest31 = 1<<31 - 1
)

// A scanner follows one direction of a connection from frame to frame, however its bytes are cut into pieces.
// It keeps nothing but the header of the frame that it is in.
type scanner struct {
	header [frameHeaderLen]byte
	have   int // bytes of header seen
	left   int // bytes of the payload to come
}

// advance goes on through p, at most to the end of a frame's header or of its payload. It returns how many bytes that are,
// and whether they complete the frame, which frame tells until the next call.
func (s *scanner) advance(p []byte) (n int, complete bool) {
	if s.left == 0 && s.have == frameHeaderLen {
		s.have = 0
	}
	if s.have == frameHeaderLen {
		n = min(s.left, len(p))
		s.left -= n
		return n, s.left == 0
	}
	n = copy(s.header[s.have:], p)
	if s.have += n; s.have < frameHeaderLen {
		return n, false
	}
	s.left = int(s.frame().Length)
	return n, s.left == 0
}

// within reports whether a frame has begun and not ended.
func (s *scanner) within() bool { return s.left > 0 || s.have > 0 && s.have < frameHeaderLen }

// payload is the index in its frame's payload at which the scanner is, or -1 where it is in no payload.
func (s *scanner) payload() int {
	if s.have < frameHeaderLen || s.left == 0 {
		return -1
	}
	return int(s.frame().Length) - s.left
}

// frame is the header of the frame that the scanner is in.
func (s *scanner) frame() http2.FrameHeader { return frameOf(&s.header) }

func frameOf(h *[frameHeaderLen]byte) http2.FrameHeader {
	return http2.FrameHeader{
		Length:   uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2]),
		Type:     http2.FrameType(h[3]),
		Flags:    http2.Flags(h[4]),
		StreamID: binary.BigEndian.Uint32(h[5:]) & lowest31,
	}
}
