package ssetest

import "unicode/utf8"

// replaceIllFormed returns b as text, with U+FFFD for what is not UTF-8, as the Encoding standard's decoder has it: one
// U+FFFD for each maximal subpart, which is the longest beginning of a well-formed sequence, or else a single byte.
// Neither strings.ToValidUTF8 (one for each run of bad bytes) nor a range loop (one for each bad byte) does that.
func replaceIllFormed(b []byte) string {
	text := make([]byte, 0, len(b)+len(b)/2)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = maximalSubpart(b)
		}
		text = utf8.AppendRune(text, r)
		b = b[n:]
	}
	return string(text)
}

// maximalSubpart returns the length of the ill-formed sequence that b begins with.
func maximalSubpart(b []byte) int {
	n := 1
	for n < len(b) && !utf8.FullRune(b[:n+1]) { // not full: b[:n+1] could still have become a character
		n++
	}
	return n
}
