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

// scan goes on through p and calls complete for each frame whose last byte p has.
func (s *scanner) scan(p []byte, complete func(http2.FrameHeader)) {
	for len(p) > 0 {
		if s.have < frameHeaderLen {
			n := copy(s.header[s.have:], p)
			s.have += n
			p = p[n:]
			if s.have < frameHeaderLen {
				return
			}
			s.left = int(s.frame().Length)
		}
		n := min(s.left, len(p))
		s.left -= n
		p = p[n:]
		if s.left == 0 {
			s.have = 0
			complete(s.frame())
		}
	}
}

// frame is the header of the frame that the scanner is in.
func (s *scanner) frame() http2.FrameHeader {
	h := &s.header
	return http2.FrameHeader{
		Length:   uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2]),
		Type:     http2.FrameType(h[3]),
		Flags:    http2.Flags(h[4]),
		StreamID: binary.BigEndian.Uint32(h[5:]) & lowest31,
	}
}
