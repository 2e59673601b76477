package ssetest

import (
	"encoding"
	"encoding/binary"
	"fmt"
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
		b = appendLines(b, "data: ", e.Data)
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
	return len(s) < maxShort && !hasControls([]byte(s)) || !strings.ContainsAny(s, "\r\n")
}

// maxShort is up to where hasControls is faster than two searches. Most of what is sent is short and has no controls.
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

// appendComment appends text as a comment: one comment line for each of its lines, so that nothing in it can become
// a field.
func appendComment(b []byte, text string) []byte {
	return appendLines(b, ": ", text)
}

// appendLines appends each line of s, with prefix before it and LF after it. Lines end at LF, CRLF or CR.
func appendLines(b []byte, prefix, s string) []byte {
	cr := len(s)
	if strings.Count(s, "\r") > 0 { // where there is none, counting is faster than searching
		cr = indexOrLen(s, '\r') // looked for only when the one before is used up: s is searched once, whatever it holds
	}
	for {
		b = append(b, prefix...)
		lf := strings.IndexByte(s[:cr], '\n')
		switch {
		case lf >= 0:
			b = append(b, s[:lf+1]...)
			s, cr = s[lf+1:], cr-(lf+1)
		case cr < len(s):
			b = append(append(b, s[:cr]...), '\n')
			s = strings.TrimPrefix(s[cr+1:], "\n")
			cr = indexOrLen(s, '\r')
		default:
			return append(append(b, s...), '\n')
		}
	}
}

// indexOrLen returns the index of the first c in s, or len(s) if there is none.
func indexOrLen(s string, c byte) int {
	if i := strings.IndexByte(s, c); i >= 0 {
		return i
	}
	return len(s)
}
