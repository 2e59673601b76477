package ssetest

import (
	"bytes"
	"time"
)

// This file has what 9.2.6, Interpreting an event stream, says of a line: of a field, of a comment, of a blank line.

// interpret processes a line that is not blank, and reports whether the event, or the comment, is within the limit.
func (d *Decoder) interpret(line []byte) bool {
	value, ok := []byte(nil), false
	switch line[0] {
	case ':':
		return d.comment(line)
	case 'd':
		if value, ok = cutField(line, "data"); ok {
			d.addData(value)
		}
	case 'e':
		if value, ok = cutField(line, "event"); ok {
			d.setType(value)
		}
	case 'i':
		if value, ok = cutField(line, "id"); ok {
			d.setID(value)
		}
	case 'r':
		if value, ok = cutField(line, "retry"); ok {
			d.setRetry(value)
		}
	}
	if ok {
		d.size += len(line)
	}
	return d.size <= d.maxSize
}

// isToken reports whether line is the first field of its block, and data: with a blank line after it, it is an event
// by itself, the commonest there is.
func (d *Decoder) isToken(line []byte) bool {
	return d.size == 0 && len(line) >= len("data:") && string(line[:len("data:")]) == "data:" && len(line) <= d.maxSize
}

// cutField returns the value of the line's field, if that is its name.
func cutField(line []byte, name string) (value []byte, ok bool) {
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return nil, false
	}
	value = line[len(name):]
	if len(value) == 0 {
		return value, true
	}
	return trimSpace(value[1:]), value[0] == ':'
}

// trimSpace returns value without the one space that may stand after the colon.
func trimSpace(value []byte) []byte {
	if len(value) > 0 && value[0] == ' ' {
		return value[1:]
	}
	return value
}

func (d *Decoder) comment(line []byte) bool {
	if len(line) > d.maxSize {
		return false
	}
	d.onComment(d.in.text(trimSpace(line[1:])))
	return true
}

func (d *Decoder) addData(value []byte) {
	if d.hasData {
		d.in.keepLine(value)
		return
	}
	d.in.keep(value)
	d.hasData = true
}

func (d *Decoder) setType(value []byte) {
	if string(value) != d.lastType {
		d.lastType = d.in.text(value)
	}
	d.typ = d.lastType
}

func (d *Decoder) setID(value []byte) {
	if string(value) != d.id && bytes.IndexByte(value, 0) < 0 {
		d.id = d.in.text(value)
	}
}

func (d *Decoder) setRetry(value []byte) {
	ms, ok := parseRetry(value)
	if !ok {
		return
	}
	d.retry, d.reconnection, d.hasRetry = ms, ms, true
}

// parseRetry returns the time that value says, or the longest there is, and false if it is not all ASCII digits.
func parseRetry(value []byte) (time.Duration, bool) {
	var t time.Duration
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := time.Duration(c-'0') * time.Millisecond
		if t > (maxRetry-digit)/10 {
			t = maxRetry // and it stays there, whatever digits follow
		} else {
			t = 10*t + digit
		}
	}
	return t, len(value) > 0
}

// dispatch processes a blank line: it returns the event that ends there, if there is one.
func (d *Decoder) dispatch() (e Event, ok bool) {
	d.lastEventID = d.id
	if ok = d.hasData; ok {
		e = Event{Type: d.typ, Data: d.in.text(d.in.kept), ID: d.id, Retry: d.retry}
		if e.Type == "" {
			e.Type = "message"
		}
	}
	d.in.kept = nil
	d.typ, d.hasData, d.retry, d.size = "", false, 0, 0
	return e, ok
}

// longestName is the length of the standard's longest field names.
const longestName = len("event")

// ignores reports whether a line that begins with start, which is not empty, has no effect, however it goes on.
func (d *Decoder) ignores(start []byte) bool {
	if start[0] == ':' {
		return d.onComment == nil
	}
	for _, name := range [...]string{"data", "event", "id", "retry"} {
		n := min(len(start), len(name))
		if string(start[:n]) == name[:n] && (len(start) == n || start[n] == ':') {
			return false
		}
	}
	return true
}

// tooLarge reports whether a line that begins with start, and that is not ignored, is past the limit already.
// It says so only once the name and colon are there: up to then the line may turn out to be one that does not count,
// and whether an event is too large must not depend on how the stream was split into reads.
func (d *Decoder) tooLarge(start []byte) bool {
	if len(start) <= longestName {
		return false
	}
	if start[0] == ':' {
		return len(start) > d.maxSize
	}
	return d.size+len(start) > d.maxSize
}
