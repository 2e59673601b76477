package ssetest

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

var _ encoding.TextAppender = Event{}

// AppendText appends the event's wire form to b: the fields event, data, id and retry, in that order, and a blank line.
//
//	event: message
//	data: {"msg":"a"}
//	id: 7
//	retry: 6000
//
// The fields event, id and retry are left out where Type, ID and Retry are zero. There is always at least one data
// field, since an event without one is never dispatched; data of several lines (LF, CRLF or CR) makes as many fields.
//
// What no stream can carry is refused with an error that names the field, and b is returned as it was: a Type or an ID
// with a CR or LF, an ID with a NUL, and a Retry that is negative or not whole milliseconds.
// A [Decoder] that has nothing else to read gives the event back, but for what the standard levels: line ends in the
// data become LF, Type "" becomes "message", and ill-formed UTF-8 becomes U+FFFD.
func (e Event) AppendText(b []byte) ([]byte, error) {
	if e.Type != "" || e.ID != "" || e.Retry != 0 { // any data can be sent
		if err := e.validate(); err != nil {
			return b, err
		}
	}
	if e.Type != "" {
		b = append(append(append(b, "event: "...), e.Type...), '\n')
	}
	if len(e.Data) < maxShort && !hasControls([]byte(e.Data)) {
		b = append(append(append(b, "data: "...), e.Data...), '\n')
	} else {
		b = appendData(b, e.Data)
	}
	if e.ID != "" {
		b = append(append(append(b, "id: "...), e.ID...), '\n')
	}
	if e.Retry != 0 {
		b = append(strconv.AppendInt(append(b, "retry: "...), e.Retry.Milliseconds(), 10), '\n')
	}
	return append(b, '\n'), nil
}

// validate returns an error that names the field if the event has no wire form.
func (e Event) validate() error {
	switch {
	case isPlain(e.Type) && isPlain(e.ID) && e.Retry >= 0 && e.Retry%time.Millisecond == 0:
		return nil
	case !isLine(e.Type):
		return fmt.Errorf("ssetest: the event's Type has a line end: %q", e.Type)
	case !isLine(e.ID):
		return fmt.Errorf("ssetest: the event's ID has a line end: %q", e.ID)
	case strings.IndexByte(e.ID, 0) >= 0:
		return fmt.Errorf("ssetest: the event's ID has a NUL: %q", e.ID)
	case e.Retry < 0:
		return fmt.Errorf("ssetest: the event's Retry is negative: %v", e.Retry)
	case e.Retry%time.Millisecond != 0:
		return fmt.Errorf("ssetest: the event's Retry is not whole milliseconds: %v", e.Retry)
	}
	return nil
}

// isLine reports whether s has no line end.
func isLine(s string) bool {
	return !strings.ContainsAny(s, "\r\n")
}

// isPlain reports whether s is short and has no controls, as most types and IDs, which is known sooner than what they may have.
func isPlain(s string) bool {
	return len(s) < maxShort && !hasControls([]byte(s))
}

// maxShort is up to where eight bytes at a time are faster than two searches. Most that is so short is one line, and to know that it is takes less time
// than to look for its end.
const maxShort = 64

// hasControls reports whether b has a byte below 0x10, such as CR and LF.
func hasControls(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c < 0x10 {
				return true
			}
		}
		return false
	}
	found := below10(binary.LittleEndian.Uint64(b[len(b)-8:]))
	for ; len(b) > 8; b = b[8:] {
		found |= below10(binary.LittleEndian.Uint64(b))
	}
	return found != 0
}

// below10 returns zero if no byte of w is below 0x10: the lowest that is borrows, and so gets its highest bit set.
func below10(w uint64) uint64 {
	return (w - 0x1010101010101010) &^ w & 0x8080808080808080
}

// commentLines begins a comment line after each line end.
var commentLines = strings.NewReplacer("\r\n", "\n: ", "\r", "\n: ", "\n", "\n: ")

// appendComment appends text as a comment: one comment line for each of its lines, so that nothing in it can become
// a field.
func appendComment(b []byte, text string) []byte {
	return append(append(append(b, ": "...), commentLines.Replace(text)...), '\n')
}

// appendData appends each line of s as a data field. Lines end at LF, CRLF or CR.
func appendData(b []byte, s string) []byte {
	b = append(b, "data: "...)
	for len(s) < maxShort {
		end := indexEnd([]byte(s))
		if end == len(s) {
			return append(append(b, s...), '\n')
		}
		if s[end] != '\n' { // rare: it may take longer
			break
		}
		b = append(append(b, s[:end]...), "\ndata: "...)
		s = s[end+1:]
	}
	b = slices.Grow(b, len(s)+1) // and not block by block
	cr := nextCR(s)              // looked for only when the one before is used up: s is searched once, whatever it holds
	for {
		lf := strings.IndexByte(s[:cr], '\n')
		switch {
		case lf >= 0:
			b = append(append(b, s[:lf]...), "\ndata: "...)
			s, cr = s[lf+1:], cr-(lf+1)
		case cr == len(s):
			return append(append(b, s...), '\n')
		case s[cr] == '\r':
			b = append(append(b, s[:cr]...), "\ndata: "...)
			s = strings.TrimPrefix(s[cr+1:], "\n")
			cr = nextCR(s)
		default: // the line goes on in the next block
			b = append(b, s[:cr]...)
			s = s[cr:]
			cr = nextCR(s)
		}
	}
}

// nextCR returns the index of the first CR in the first block of s, or the block's length if there is none. Block by block,
// what has been searched is still in the nearest cache when it is copied.
func nextCR(s string) int {
	const block = 16 << 10
	s = s[:min(len(s), block)]
	if i := strings.IndexByte(s, '\r'); i >= 0 {
		return i
	}
	return len(s)
}

// indexEnd returns the index of the first byte of b from 0x0a to 0x0f, such as CR and LF, but not the tab, or len(b) if
// there is none.
func indexEnd(b []byte) int {
	n := len(b)
	if n < 8 {
		for i, c := range b {
			if c >= 0x0a && c <= 0x0f {
				return i
			}
		}
		return n
	}
	last := binary.LittleEndian.Uint64(b[n-8:])
	for ; len(b) > 8; b = b[8:] {
		if m := ends(binary.LittleEndian.Uint64(b)); m != 0 {
			return n - len(b) + bits.TrailingZeros64(m)/8
		}
	}
	if m := ends(last); m != 0 { // the bytes seen before have none
		return n - 8 + bits.TrailingZeros64(m)/8
	}
	return n
}

// ends returns a word whose lowest bit is in the first byte of w from 0x0a to 0x0f, or zero if none is: with 0x0f flipped
// they are those below 6, and borrow as in below10.
func ends(w uint64) uint64 {
	w ^= 0x0f0f0f0f0f0f0f0f
	return (w - 0x0606060606060606) &^ w & 0x8080808080808080
}
