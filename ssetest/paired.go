package ssetest

import "encoding/binary"

// pairedCRs returns a length up to which each CR in b has an LF after it. A stream that has a CRLF mostly has nothing
// else, and there this is faster than to look for the CRs one by one: it compares eight bytes at a time with CR, and the
// eight that begin one later with LF.
func pairedCRs(b []byte) int {
	rest := b
	for len(rest) > 8 {
		crs := bytesEqual(binary.LittleEndian.Uint64(rest), '\r')
		lfs := bytesEqual(binary.LittleEndian.Uint64(rest[1:]), '\n')
		if crs&^lfs != 0 {
			break
		}
		rest = rest[8:]
	}
	return len(b) - len(rest)
}

// bytesEqual returns a word with the highest bit of each byte set where that byte of w is c.
func bytesEqual(w uint64, c byte) uint64 {
	const low7 = 0x7F7F7F7F7F7F7F7F
	diff := w ^ 0x0101010101010101*uint64(c)
	return ^(diff&low7 + low7 | diff | low7) // adding sets the highest bit of each byte that is not zero in its low seven
}
