package ssetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is one event of a stream, to be sent or as it was received.
// It is a plain value: events can be compared with ==, and copied and used from several goroutines.
//
// A received event is what the WHATWG HTML standard dispatches (9.2.6, Interpreting an event stream), so a field can
// differ from what its block on the wire says: see the fields.
type Event struct {
	// Type is the event type. "" sends no event field; a received event then has the type "message".
	Type string

	// Data is the payload. Sent, its line ends (LF, CRLF or CR) each begin a further data field;
	// received, they are LF.
	Data string

	// ID is the event's ID. "" sends no id field. A received event has the last event ID, which is the
	// stream's most recent one and not always one of the event's own: MessageEvent.lastEventId in a browser.
	ID string

	// Retry is the reconnection time that the event announces, in whole milliseconds; 0 sends no retry field.
	// A received event has what its own block announced, the last one that is valid, or else 0.
	Retry time.Duration
}

// Data returns an event with the given data and nothing else.
func Data(s string) Event {
	return Event{Data: s}
}

// JSON returns an event whose data is v as JSON, on one line.
// The characters <, > and & stay as they are. JSON panics where [encoding/json] cannot marshal v.
func JSON(v any) Event {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("ssetest: JSON of a %T: %v", v, err))
	}
	return Event{Data: strings.TrimSuffix(buf.String(), "\n")}
}

// maxShown is how many bytes of the data String shows.
const maxShown = 200

// String returns the event on one line, as failure messages show it: its type, its data, and its ID and retry
// where it has them, such as
//
//	message {"a":1} id=7 retry=6s
//
// Text that could be misread is quoted as in Go, and long data is cut, with its length in bytes after it.
// The format is for people and may change.
func (e Event) String() string {
	s := showWord(cmp.Or(e.Type, "message")) + " " + showData(e.Data)
	if e.ID != "" {
		s += " id=" + showWord(e.ID)
	}
	if e.Retry != 0 {
		s += " retry=" + e.Retry.String()
	}
	return s
}

// showData returns data as it is if nobody can misread it, otherwise quoted.
func showData(data string) string {
	shown, rest := data, ""
	if len(data) > maxShown {
		shown = data[:runeStart(data, maxShown)]
		rest = fmt.Sprintf("… (%d bytes)", len(data))
	}
	if ambiguous(shown) || shown != strings.TrimSpace(shown) ||
		strings.Contains(shown, " id=") || strings.Contains(shown, " retry=") {
		shown = strconv.Quote(shown)
	}
	return shown + rest
}

// showWord returns s as it is if it is one plain word, otherwise quoted.
func showWord(s string) string {
	if ambiguous(s) || strings.Contains(s, " ") {
		return strconv.Quote(s)
	}
	return s
}

// ambiguous reports whether s, printed bare, could be taken for something else: for nothing, for a quoted text,
// or for a text with other characters in it.
func ambiguous(s string) bool {
	unprintable := func(r rune) bool { return !strconv.IsPrint(r) }
	return s == "" || s[0] == '"' || !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable)
}

// runeStart returns the index nearest to i, but not after it, at which s can be cut without breaking a character.
func runeStart(s string, i int) int {
	for n := range utf8.UTFMax {
		if n <= i && utf8.RuneStart(s[i-n]) {
			return i - n
		}
	}
	return i
}
