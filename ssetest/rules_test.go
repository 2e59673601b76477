package ssetest_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

const longestRetry = math.MaxInt64 / time.Millisecond * time.Millisecond

// A rule is a case of the standard's rules. Its sentence is the one it rests on: of the WHATWG HTML standard, 9.2.5
// and 9.2.6, or where it says so of the Encoding standard; code points before the characters' names are left out.
type rule struct {
	name     string
	sentence string
	stream   string
	seed     string // the last event ID that the decoder begins with
	want     result
}

// Quoted by more than one rule.
const (
	sayBOM      = "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
	sayUTF8     = "Streams must be decoded using the UTF-8 decode algorithm."
	saySubpart  = "Encoding: if byte is not in the range lower boundary to upper boundary: restore byte to ioQueue, return error."
	sayLines    = "a CRLF character pair, a single LF character not preceded by a CR character, and a single CR character not followed by a LF character being the ways in which a line can end."
	sayColon    = "Collect the characters on the line before the first COLON character (:), and let field be that string."
	saySpace    = "If value starts with a SPACE character, remove it from value."
	sayNoColon  = "using the whole line as the field name, and the empty string as the field value."
	sayNames    = "Field names must be compared literally, with no case folding performed."
	sayOther    = "Otherwise: The field is ignored."
	sayComment  = "If the line starts with a COLON character (:): Ignore the line."
	sayData     = "Append the field value to the data buffer, then append a single LF character to the data buffer."
	sayLastLF   = "If the data buffer's last character is a LF character, then remove the last character from the data buffer."
	sayNoData   = "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string and return."
	sayType     = "If the event type buffer has a value other than the empty string, change the type of the newly created event to equal the value of the event type buffer."
	sayID       = "If the field value does not contain NULL, then set the last event ID buffer to the field value. Otherwise, ignore the field."
	sayIDStays  = "The buffer does not get reset, so the last event ID string of the event source remains set to this value until the next time it is set by the server."
	sayIDString = "Set the last event ID string of the event source to the value of the last event ID buffer."
	sayRetry    = "If the field value consists of only ASCII digits, then interpret the field value as an integer in base ten, and set the event stream's reconnection time to that integer. Otherwise, ignore the field."
	sayEOF      = "If the file ends in the middle of an event, before the final empty line, the incomplete event is not dispatched."
)

func message(data string) ssetest.Event {
	return ssetest.Event{Type: "message", Data: data}
}

func events(e ...ssetest.Event) result {
	return result{Events: e}
}

// messages is the result of a stream of nothing but data.
func messages(data ...string) (r result) {
	for _, d := range data {
		r.Events = append(r.Events, message(d))
	}
	return r
}

func (r result) id(lastEventID string) result {
	r.LastEventID = lastEventID
	return r
}

func (r result) retry(d time.Duration) result {
	r.Retry, r.HasRetry = d, true
	return r
}

func (r result) comments(text ...string) result {
	r.Comments = text
	return r
}

var rules = []rule{
	// The standard's own examples.
	{
		name:     "example: messages of one and of two lines",
		sentence: "The following event stream, once followed by a blank line",
		stream:   "data: YHOO\ndata: +2\ndata: 10\n\n",
		want:     messages("YHOO\n+2\n10"),
	},
	{
		name:     "example: four blocks",
		sentence: "The first block has just a comment, and will fire nothing.",
		stream:   ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
		want: events(
			ssetest.Event{Type: "message", Data: "first event", ID: "1"}, message("second event"), message(" third event"),
		).comments("test stream"),
	},
	{
		name:     "example: empty data",
		sentence: "The first block fires events with the data set to the empty string",
		stream:   "data\n\ndata\ndata\n\ndata:",
		want:     messages("", "\n"),
	},
	{
		name:     "example: space after the colon",
		sentence: "The following stream fires two identical events",
		stream:   "data:test\n\ndata: test\n\n",
		want:     messages("test", "test"),
	},

	// The byte order mark.
	{name: "BOM: leading one is dropped", sentence: sayBOM, stream: "\xEF\xBB\xBFdata: a\n\n", want: messages("a")},
	{name: "BOM: only one is dropped", sentence: sayBOM, stream: "\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n", want: messages("b")},
	{name: "BOM: not at the second line", sentence: sayBOM, stream: "\n\xEF\xBB\xBFdata: a\n\ndata: b\n\n", want: messages("b")},
	{name: "BOM: not before a later event", sentence: sayBOM, stream: "data: a\n\n\xEF\xBB\xBFdata: b\n\n", want: messages("a")},
	{name: "BOM: kept in data", sentence: sayBOM, stream: "data: \xEF\xBB\xBFa\n\n", want: messages("\uFEFFa")},
	{name: "BOM: before LF", sentence: sayBOM, stream: "\xEF\xBB\xBF\ndata: a\n\n", want: messages("a")},
	{name: "BOM: before CR", sentence: sayBOM, stream: "\xEF\xBB\xBF\rdata: a\r\r", want: messages("a")},
	{name: "BOM: before CRLF", sentence: sayBOM, stream: "\xEF\xBB\xBF\r\ndata: a\r\n\r\n", want: messages("a")},
	{name: "BOM: before a comment", sentence: sayBOM, stream: "\xEF\xBB\xBF:c\ndata: a\n\n", want: messages("a").comments("c")},
	{name: "BOM: half of one is text", sentence: sayBOM, stream: "\xEF\xBBdata: a\ndata: b\n\n", want: messages("b")},
	{name: "BOM: half of one and a line end", sentence: sayBOM, stream: "\xEF\xBB\ndata: b\n\n", want: messages("b")},
	{name: "BOM: and nothing else", sentence: sayBOM, stream: "\xEF\xBB\xBF"},
	{name: "BOM: half of one and nothing else", sentence: sayBOM, stream: "\xEF\xBB"},
	{name: "BOM: of UTF-16 is text", sentence: sayUTF8, stream: "\xFE\xFFdata: a\n\ndata: b\n\n", want: messages("b")},

	// UTF-8.
	{name: "UTF-8: all lengths", sentence: sayUTF8, stream: "data: a\u00E9\u20AC\U0001F600\n\n", want: messages("a\u00E9\u20AC\U0001F600")},
	{name: "UTF-8: cut sequence before ASCII is one", sentence: saySubpart, stream: "data: \xE2\x82A\n\n", want: messages("\uFFFDA")},
	{name: "UTF-8: cut sequence of four is one", sentence: saySubpart, stream: "data: \xF0\x9F\x98A\n\n", want: messages("\uFFFDA")},
	{name: "UTF-8: overlong is one for each byte", sentence: saySubpart, stream: "data: \xF0\x80\x80\xE0\x80\xC0\x80\n\n", want: messages(strings.Repeat("\uFFFD", 7))},
	{name: "UTF-8: surrogate is three", sentence: saySubpart, stream: "data: \xED\xA0\x80\n\n", want: messages("\uFFFD\uFFFD\uFFFD")},
	{name: "UTF-8: past U+10FFFF is four", sentence: saySubpart, stream: "data: \xF4\x90\x80\x80\n\n", want: messages("\uFFFD\uFFFD\uFFFD\uFFFD")},
	{name: "UTF-8: bytes that never occur", sentence: saySubpart, stream: "data: \xF5\xFF\xC1\n\n", want: messages("\uFFFD\uFFFD\uFFFD")},
	{name: "UTF-8: lone continuations are one each", sentence: saySubpart, stream: "data: \x80\xBFa\n\n", want: messages("\uFFFD\uFFFDa")},
	{name: "UTF-8: cut sequence before a sequence", sentence: saySubpart, stream: "data: \xE2\x82\xE2\x82\xAC\n\n", want: messages("\uFFFD\u20AC")},
	{name: "UTF-8: run of cut sequences", sentence: saySubpart, stream: "data: \xE2\x82\xE2\x82\xF1\x80\x80\n\n", want: messages("\uFFFD\uFFFD\uFFFD")},
	{name: "UTF-8: cut at the line end", sentence: saySubpart, stream: "data: a\xE2\x82\ndata: \x82\xAC\xF0\x9F\r\r", want: messages("a\uFFFD\n\uFFFD\uFFFD\uFFFD")},
	{
		name: "UTF-8: in type and id", sentence: sayUTF8, stream: "event: \xC3\nid: \xE2\x82 \xFF\ndata: \u00E9\n\n",
		want: events(ssetest.Event{Type: "\uFFFD", Data: "\u00E9", ID: "\uFFFD \uFFFD"}).id("\uFFFD \uFFFD"),
	},
	{name: "UTF-8: in a comment", sentence: sayUTF8, stream: ": \xE2\x82\n\n", want: result{}.comments("\uFFFD")},
	{name: "UTF-8: ill-formed name is another name", sentence: sayOther, stream: "data\xC3: a\n\xFFdata: b\ndata: c\n\n", want: messages("c")},
	{name: "UTF-8: NUL in data and type", sentence: sayUTF8, stream: "event: \x00\ndata: a\x00b\n\n", want: events(ssetest.Event{Type: "\x00", Data: "a\x00b"})},
	{name: "UTF-8: no other character ends a line", sentence: sayLines, stream: "data: a\v\f\u0085\u2028\u2029b\n\n", want: messages("a\v\f\u0085\u2028\u2029b")},

	// Line ends.
	{name: "line ends: LF", sentence: sayLines, stream: "data: a\ndata: b\n\n", want: messages("a\nb")},
	{name: "line ends: CRLF", sentence: sayLines, stream: "data: a\r\ndata: b\r\n\r\n", want: messages("a\nb")},
	{name: "line ends: CR", sentence: sayLines, stream: "data: a\rdata: b\r\rdata: c\r\r", want: messages("a\nb", "c")},
	{name: "line ends: mixed", sentence: sayLines, stream: "data: a\r\ndata: b\rdata: c\ndata: d\r\n\rdata: e\n\r\ndata: f\r\r\n", want: messages("a\nb\nc\nd", "e", "f")},
	{name: "line ends: LF CR is two", sentence: sayLines, stream: "data: a\n\rdata: b\n\r", want: messages("a", "b")},
	{name: "line ends: CR CRLF is two", sentence: sayLines, stream: "data: a\r\r\ndata: b\r\r\n", want: messages("a", "b")},
	{name: "line ends: CRLF LF is two", sentence: sayLines, stream: "data: a\r\n\ndata: b\r\n\n", want: messages("a", "b")},
	{name: "line ends: CRLF after an event is no blank line", sentence: sayLines, stream: "id: 1\ndata: a\n\r\nevent: x\r\ndata: b\r\n\r\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "1"}, ssetest.Event{Type: "x", Data: "b", ID: "1"},
	).id("1")},
	{name: "line ends: blank lines make nothing", sentence: sayNoData, stream: "\n\r\r\n\n\ndata: a\n\n\n\r\n\r", want: messages("a")},

	// Fields.
	{name: "field: one space is removed", sentence: saySpace, stream: "data:  a \n\n", want: messages(" a ")},
	{name: "field: no tab is removed", sentence: saySpace, stream: "data:\ta\n\n", want: messages("\ta")},
	{name: "field: only the first colon", sentence: sayColon, stream: "data: a: b:c\ndata::\ndata: : \n\n", want: messages("a: b:c\n:\n: ")},
	{name: "field: no colon", sentence: sayNoColon, stream: "data\n\n", want: messages("")},
	{name: "field: a space before the colon", sentence: sayNames, stream: "data : a\n\n"},
	{name: "field: a space before the name", sentence: sayNames, stream: " data: a\n\n"},
	{name: "field: the name's beginning", sentence: sayNames, stream: "dat: a\nd\n\n"},
	{name: "field: the name and more", sentence: sayNames, stream: "data2: a\ndataa\nids: 1\n\n"},
	{name: "field: case", sentence: sayNames, stream: "Data: a\nDATA: b\nID: 1\nEvent: x\nRetry: 1\ndata: c\n\n", want: messages("c")},
	{name: "field: unknown", sentence: sayOther, stream: "foo: bar\nfoo\ndata: a\n\n", want: messages("a")},
	{name: "field: empty name is a comment", sentence: sayComment, stream: ": data: a\n:data: b\n:\n\n", want: result{}.comments("data: a", "data: b", "")},

	// Data and dispatch.
	{name: "data: empty lines are kept", sentence: sayData, stream: "data\ndata: \ndata:\n\n", want: messages("\n\n")},
	{name: "data: only the last LF is removed", sentence: sayLastLF, stream: "data: a\ndata\ndata\n\n", want: messages("a\n\n")},
	{name: "data: lines apart", sentence: sayData, stream: "data: a\nfoo\n: c\nid: 1\ndata: b\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a\nb", ID: "1"},
	).id("1").comments("c")},
	{name: "data: none, no event", sentence: sayNoData, stream: "event: x\n\ndata: a\n\n", want: messages("a")},
	{name: "type: default", sentence: `Initialize event's type attribute to "message"`, stream: "data: a\n\n", want: messages("a")},
	{name: "type: named", sentence: sayType, stream: "event: x\ndata: a\n\n", want: events(ssetest.Event{Type: "x", Data: "a"})},
	{name: "type: the last one", sentence: sayType, stream: "event: x\ndata: a\nevent:y\n\n", want: events(ssetest.Event{Type: "y", Data: "a"})},
	{name: "type: empty", sentence: sayType, stream: "event: x\nevent\ndata: a\n\nevent:\ndata: b\n\n", want: messages("a", "b")},
	{name: "type: of one event only", sentence: "Set the data buffer and the event type buffer to the empty string.", stream: "event: x\ndata: a\n\ndata: b\n\n", want: events(
		ssetest.Event{Type: "x", Data: "a"}, message("b"),
	)},
	{name: "type: comes and goes", sentence: sayType, stream: "event: x\ndata\n\ndata\n\nevent: x\ndata\n\nevent: y\ndata\n\n", want: events(
		ssetest.Event{Type: "x"}, message(""), ssetest.Event{Type: "x"}, ssetest.Event{Type: "y"},
	)},

	// ID.
	{name: "id: stays", sentence: sayIDStays, stream: "id: 1\ndata: a\n\ndata: b\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "1"}, ssetest.Event{Type: "message", Data: "b", ID: "1"},
	).id("1")},
	{name: "id: the last one", sentence: sayID, stream: "id: 1\nid: 2\ndata: a\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "2"},
	).id("2")},
	{name: "id: after the data", sentence: sayID, stream: "data: a\nid: 1\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "1"},
	).id("1")},
	{name: "id: empty resets", sentence: sayID, stream: "id: 1\ndata: a\n\nid\ndata: b\n\nid: 2\n\nid:\ndata: c\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "1"}, message("b"), message("c"),
	)},
	{name: "id: with NUL is ignored", sentence: sayID, stream: "id: 1\nid: 2\x00\nid: \x00\ndata: a\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "1"},
	).id("1")},
	{name: "id: without data counts", sentence: sayIDString, stream: "id: 1\n\ndata: a\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "1"},
	).id("1")},
	{name: "id: without data, at the end", sentence: sayIDString, stream: "id: 1\n\n", want: result{}.id("1")},
	{name: "id: spaces and all", sentence: sayID, stream: "id:  1 \ndata\n\n", want: events(ssetest.Event{Type: "message", ID: " 1 "}).id(" 1 ")},
	{name: "id: cut off does not count", sentence: sayEOF, stream: "id: 1\ndata: a\n\nid: 2\ndata: b\n", want: events(
		ssetest.Event{Type: "message", Data: "a", ID: "1"},
	).id("1")},
	{
		name: "id: of the previous connection", sentence: sayIDStays, seed: "7", stream: "data: a\n\nid: 8\ndata: b\n\n",
		want: events(ssetest.Event{Type: "message", Data: "a", ID: "7"}, ssetest.Event{Type: "message", Data: "b", ID: "8"}).id("8"),
	},
	{name: "id: of the previous connection, reset", sentence: sayID, seed: "7", stream: "id\n\n"},
	{name: "id: of the previous connection, cut off", sentence: sayEOF, seed: "7", stream: "id: 8\n", want: result{}.id("7")},

	// Retry.
	{name: "retry: in milliseconds", sentence: sayRetry, stream: "retry: 1500\ndata: a\n\ndata: b\n\n", want: events(
		ssetest.Event{Type: "message", Data: "a", Retry: 1500 * time.Millisecond}, message("b"),
	).retry(1500 * time.Millisecond)},
	{name: "retry: zero", sentence: sayRetry, stream: "retry: 0\n", want: result{}.retry(0)},
	{name: "retry: leading zeros", sentence: sayRetry, stream: "retry: 00000000000000000000000000000010\n\n", want: result{}.retry(10 * time.Millisecond)},
	{name: "retry: counts at its line end", sentence: sayRetry, stream: "retry: 10\r", want: result{}.retry(10 * time.Millisecond)},
	{name: "retry: not before its line end", sentence: sayRetry, stream: "retry: 10", want: result{}},
	{name: "retry: without data counts", sentence: sayRetry, stream: "retry: 10\n\ndata: a\n\n", want: messages("a").retry(10 * time.Millisecond)},
	{name: "retry: the last valid one", sentence: sayRetry, stream: "retry: 10\nretry: 20\nretry: x\ndata\n\n", want: events(
		ssetest.Event{Type: "message", Retry: 20 * time.Millisecond},
	).retry(20 * time.Millisecond)},
	{name: "retry: empty", sentence: sayRetry, stream: "retry: 10\n\nretry\nretry:\nretry: \ndata: a\n\n", want: messages("a").retry(10 * time.Millisecond)},
	{name: "retry: signs", sentence: sayRetry, stream: "retry: -1\nretry: +1\n\n"},
	{name: "retry: spaces", sentence: sayRetry, stream: "retry:  1\nretry: 1 \nretry: 1 2\n\n"},
	{name: "retry: other numbers", sentence: sayRetry, stream: "retry: 1.5\nretry: 1e3\nretry: 0x10\nretry: 1_000\n\n"},
	{name: "retry: digits of other scripts", sentence: sayRetry, stream: "retry: \u0661\u0662\nretry: \uFF11\n\n"},
	{name: "retry: the longest", sentence: sayRetry, stream: "retry: 9223372036854\n\n", want: result{}.retry(longestRetry)},
	{name: "retry: one more is clamped", sentence: sayRetry, stream: "retry: 9223372036855\n\n", want: result{}.retry(longestRetry)},
	{name: "retry: 2^63 is clamped", sentence: sayRetry, stream: "retry: 9223372036854775808\n\n", want: result{}.retry(longestRetry)},
	{name: "retry: 2^64 is clamped", sentence: sayRetry, stream: "retry: 18446744073709551616\ndata\n\n", want: events(
		ssetest.Event{Type: "message", Retry: longestRetry},
	).retry(longestRetry)},
	{name: "retry: 2^64 in nanoseconds is clamped", sentence: sayRetry, stream: "retry: 18446744073710\n\n", want: result{}.retry(longestRetry)},
	{name: "retry: a thousand digits", sentence: sayRetry, stream: "retry: " + strings.Repeat("1", 1000) + "\n\n", want: result{}.retry(longestRetry)},
	{name: "retry: a thousand digits and a letter", sentence: sayRetry, stream: "retry: " + strings.Repeat("1", 1000) + "x\n\n"},

	// The end.
	{name: "end: of nothing", sentence: sayEOF, stream: ""},
	{name: "end: in a line", sentence: sayEOF, stream: "data: a\n\ndata: b", want: messages("a")},
	{name: "end: after a line", sentence: sayEOF, stream: "data: a\n\ndata: b\n", want: messages("a")},
	{name: "end: after a CR", sentence: sayEOF, stream: "data: a\r\rdata: b\r", want: messages("a")},
	{name: "end: after a CRLF", sentence: sayEOF, stream: "data: a\r\n\r\ndata: b\r\n", want: messages("a")},
	{name: "end: between CR and LF", sentence: sayEOF, stream: "data: a\r\n\r", want: messages("a")},
	{name: "end: in a comment", sentence: sayEOF, stream: ": a\n: b", want: result{}.comments("a")},
	{name: "end: in a name", sentence: sayEOF, stream: "data: a\n\ndat", want: messages("a")},

	// Comments.
	{name: "comment: between events and lines", sentence: sayComment, stream: ": 1\ndata: a\n:2\ndata: b\n\n:  3\n", want: messages("a\nb").comments("1", "2", " 3")},
	{name: "comment: does not end an event", sentence: sayComment, stream: "data: a\n:\ndata: b\n\n", want: messages("a\nb").comments("")},
}

// delivery is a way for a stream to reach the decoder.
type delivery struct {
	name   string
	reader func(stream string) io.Reader
}

var deliveries = []delivery{
	{"whole", func(s string) io.Reader { return strings.NewReader(s) }},
	{"byte by byte", func(s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) }},
	{"DataErrReader", func(s string) io.Reader { return iotest.DataErrReader(strings.NewReader(s)) }},
	{"DataErrReader byte by byte", func(s string) io.Reader {
		return iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(s)))
	}},
	{"HalfReader", func(s string) io.Reader { return iotest.HalfReader(strings.NewReader(s)) }},
	{"reads of nothing between", func(s string) io.Reader {
		return split([]byte(s), []byte(strings.Repeat("\x00\x01", len(s))))
	}},
}

func TestDecoderRules(t *testing.T) {
	for _, c := range rules {
		t.Run(c.name, func(t *testing.T) {
			t.Logf("the standard: %s", c.sentence)
			require.Equal(t, c.want, naiveDecode([]byte(c.stream), c.seed), "the naive decoder")
			for _, d := range deliveries {
				assert.Equal(t, c.want, decode(t, d.reader(c.stream), c.seed), d.name)
				assert.Equal(t, c.want, decodeSmall(t, d.reader(c.stream), c.seed), "%s, from a small buffer", d.name)
			}
			for i := range len(c.stream) + 1 {
				halves := pieces{[]byte(c.stream[:i]), []byte(c.stream[i:])}
				assert.Equal(t, c.want, decode(t, &halves, c.seed), "split at byte %d", i)
			}
		})
	}
}

// A read error takes nothing from what was complete before it, be it whole, in pieces, or together with the last byte.
func TestDecoderRulesBeforeAReadError(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range rules {
		t.Run(c.name, func(t *testing.T) {
			for _, d := range deliveries {
				r := iotest.DataErrReader(io.MultiReader(d.reader(c.stream), iotest.ErrReader(broken)))
				got, err := decodeAll(ssetest.NewDecoder(r), c.seed)
				require.ErrorIs(t, err, broken, d.name)
				assert.Equal(t, c.want, got, d.name)
			}
		})
	}
}

func TestRuleNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range rules {
		assert.False(t, seen[c.name], "%q comes twice", c.name)
		assert.NotEmpty(t, c.sentence)
		seen[c.name] = true
	}
}
