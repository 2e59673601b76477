package ssetest_test

import (
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// result is everything that a decoder can say of a stream.
type result = ssetest.Outcome

// naiveDecode is a second decoder, written down from the text of the WHATWG HTML standard, sentence by sentence, and
// with no thought of speed: the one under test must agree with it on every input.
func naiveDecode(stream []byte, lastEventID string) result {
	// "Streams must be decoded using the UTF-8 decode algorithm."
	// "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
	runes := naiveUTF8(stream)
	if len(runes) > 0 && runes[0] == '\uFEFF' {
		runes = runes[1:]
	}

	res := result{LastEventID: lastEventID}
	idBuffer, typeBuffer, dataBuffer := lastEventID, "", ""
	blockRetry := time.Duration(0)

	for _, line := range naiveLines(runes) {
		// "If the line is empty (a blank line): Dispatch the event, as defined below."
		if line == "" {
			// "Set the last event ID string of the event source to the value of the last event ID buffer."
			res.LastEventID = idBuffer
			// "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string
			// and return."
			if dataBuffer != "" {
				// "If the data buffer's last character is a U+000A LINE FEED (LF) character, then remove the last
				// character from the data buffer."
				event := ssetest.Event{
					Type:  "message",
					Data:  strings.TrimSuffix(dataBuffer, "\n"),
					ID:    res.LastEventID,
					Retry: blockRetry,
				}
				// "If the event type buffer has a value other than the empty string, change the type of the newly created
				// event to equal the value of the event type buffer."
				if typeBuffer != "" {
					event.Type = typeBuffer
				}
				res.Events = append(res.Events, event)
			}
			typeBuffer, dataBuffer, blockRetry = "", "", 0
			continue
		}

		// "If the line starts with a U+003A COLON character (:): Ignore the line."
		if comment, ok := strings.CutPrefix(line, ":"); ok {
			res.Comments = append(res.Comments, strings.TrimPrefix(comment, " "))
			continue
		}

		// "Collect the characters on the line before the first U+003A COLON character (:), and let field be that string."
		// "Collect the characters on the line after the first U+003A COLON character (:), and let value be that string.
		// If value starts with a U+0020 SPACE character, remove it from value."
		// Otherwise: "using the whole line as the field name, and the empty string as the field value."
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")

		switch field {
		case "event": // "Set the event type buffer to the field value."
			typeBuffer = value
		case "data": // "Append the field value to the data buffer, then append a single U+000A LINE FEED (LF) character".
			dataBuffer += value + "\n"
		case "id": // "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field value."
			if !strings.Contains(value, "\x00") {
				idBuffer = value
			}
		case "retry": // "If the field value consists of only ASCII digits, then interpret the field value as an integer in
			// base ten, and set the event stream's reconnection time to that integer."
			if value != "" && strings.Trim(value, "0123456789") == "" {
				blockRetry = naiveRetry(value)
				res.Retry, res.HasRetry = blockRetry, true
			}
		}
		// "Otherwise: The field is ignored."
	}
	// "Once the end of the file is reached, any pending data must be discarded. (If the file ends in the middle of an
	// event, before the final empty line, the incomplete event is not dispatched.)"
	return res
}

// naiveLines returns the lines that are complete: each ends at CRLF, LF or CR.
func naiveLines(runes []rune) []string {
	var lines []string
	line := ""
	for i, r := range runes {
		switch {
		case r == '\n' && i > 0 && runes[i-1] == '\r': // the second half of a CRLF
		case r == '\n' || r == '\r':
			lines = append(lines, line)
			line = ""
		default:
			line += string(r)
		}
	}
	return lines
}

// naiveRetry clamps, since a time.Duration, unlike the standard's integers, has an end.
func naiveRetry(digits string) time.Duration {
	ms, _ := new(big.Int).SetString(digits, 10)
	longest := big.NewInt(math.MaxInt64 / int64(time.Millisecond))
	if ms.Cmp(longest) > 0 {
		ms = longest
	}
	return time.Duration(ms.Int64()) * time.Millisecond
}

// naiveUTF8 is the UTF-8 decoder of the Encoding standard, 8.1.1, state by state.
func naiveUTF8(b []byte) []rune {
	var (
		out          []rune
		codePoint    rune
		seen, needed int
		lower, upper byte = 0x80, 0xBF
	)
	for i := 0; i < len(b); i++ {
		c := b[i]
		if needed == 0 {
			switch {
			case c <= 0x7F:
				out = append(out, rune(c))
			case 0xC2 <= c && c <= 0xDF:
				needed, codePoint = 1, rune(c&0x1F)
			case 0xE0 <= c && c <= 0xEF:
				if c == 0xE0 {
					lower = 0xA0
				}
				if c == 0xED {
					upper = 0x9F
				}
				needed, codePoint = 2, rune(c&0xF)
			case 0xF0 <= c && c <= 0xF4:
				if c == 0xF0 {
					lower = 0x90
				}
				if c == 0xF4 {
					upper = 0x8F
				}
				needed, codePoint = 3, rune(c&0x7)
			default:
				out = append(out, '\uFFFD')
			}
			continue
		}
		if c < lower || upper < c {
			codePoint, needed, seen, lower, upper = 0, 0, 0, 0x80, 0xBF
			i-- // "Restore byte to ioQueue."
			out = append(out, '\uFFFD')
			continue
		}
		lower, upper = 0x80, 0xBF
		codePoint = codePoint<<6 | rune(c&0x3F)
		seen++
		if seen == needed {
			out = append(out, codePoint)
			codePoint, needed, seen = 0, 0, 0
		}
	}
	if needed != 0 { // "If byte is end-of-queue and UTF-8 bytes needed is not 0, then set UTF-8 bytes needed to 0 and return error."
		out = append(out, '\uFFFD')
	}
	return out
}
