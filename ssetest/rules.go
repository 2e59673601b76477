package ssetest

import (
	"math"
	"strings"
	"time"
)

// long is longer than what people find reasonable.
var long = strings.Repeat("0123456789abcdef", 20)

const longestRetry = math.MaxInt64 / time.Millisecond * time.Millisecond

// A rule is a case of the standard's rules. Its sentence is the one it rests on: of the WHATWG HTML standard, 9.2.5
// and 9.2.6, or where it says so of the Encoding standard; code points before the characters' names are left out.
type rule struct {
	Name     string
	Sentence string
	Stream   string
	Seed     string // the last event ID that the client begins with
	Want     outcome
}

// An outcome is all that a client gets of a stream.
type outcome struct {
	Events      []Event
	Comments    []string
	LastEventID string
	Retry       time.Duration
	HasRetry    bool
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

func message(data string) Event {
	return Event{Type: "message", Data: data}
}

func events(e ...Event) outcome {
	return outcome{Events: e}
}

// messages is the result of a stream of nothing but data.
func messages(data ...string) (r outcome) {
	for _, d := range data {
		r.Events = append(r.Events, message(d))
	}
	return r
}

func (r outcome) id(lastEventID string) outcome {
	r.LastEventID = lastEventID
	return r
}

func (r outcome) retry(d time.Duration) outcome {
	r.Retry, r.HasRetry = d, true
	return r
}

func (r outcome) comments(text ...string) outcome {
	r.Comments = text
	return r
}

// rules are what the standard says of parsing, a case each.
func rules() []rule {
	return []rule{
		// The standard's own examples.
		{
			Name:     "example: messages of one and of two lines",
			Sentence: "The following event stream, once followed by a blank line",
			Stream:   "data: YHOO\ndata: +2\ndata: 10\n\n",
			Want:     messages("YHOO\n+2\n10"),
		},
		{
			Name:     "example: four blocks",
			Sentence: "The first block has just a comment, and will fire nothing.",
			Stream:   ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			Want: events(
				Event{Type: "message", Data: "first event", ID: "1"}, message("second event"), message(" third event"),
			).comments("test stream"),
		},
		{
			Name:     "example: empty data",
			Sentence: "The first block fires events with the data set to the empty string",
			Stream:   "data\n\ndata\ndata\n\ndata:",
			Want:     messages("", "\n"),
		},
		{
			Name:     "example: space after the colon",
			Sentence: "The following stream fires two identical events",
			Stream:   "data:test\n\ndata: test\n\n",
			Want:     messages("test", "test"),
		},

		// The byte order mark.
		{Name: "BOM: leading one is dropped", Sentence: sayBOM, Stream: "\xEF\xBB\xBFdata: a\n\n", Want: messages("a")},
		{Name: "BOM: only one is dropped", Sentence: sayBOM, Stream: "\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n", Want: messages("b")},
		{Name: "BOM: not at the second line", Sentence: sayBOM, Stream: "\n\xEF\xBB\xBFdata: a\n\ndata: b\n\n", Want: messages("b")},
		{Name: "BOM: not before a later event", Sentence: sayBOM, Stream: "data: a\n\n\xEF\xBB\xBFdata: b\n\n", Want: messages("a")},
		{Name: "BOM: kept in data", Sentence: sayBOM, Stream: "data: \xEF\xBB\xBFa\n\n", Want: messages("\uFEFFa")},
		{Name: "BOM: before LF", Sentence: sayBOM, Stream: "\xEF\xBB\xBF\ndata: a\n\n", Want: messages("a")},
		{Name: "BOM: before CR", Sentence: sayBOM, Stream: "\xEF\xBB\xBF\rdata: a\r\r", Want: messages("a")},
		{Name: "BOM: before CRLF", Sentence: sayBOM, Stream: "\xEF\xBB\xBF\r\ndata: a\r\n\r\n", Want: messages("a")},
		{Name: "BOM: before a comment", Sentence: sayBOM, Stream: "\xEF\xBB\xBF:c\ndata: a\n\n", Want: messages("a").comments("c")},
		{Name: "BOM: half of one is text", Sentence: sayBOM, Stream: "\xEF\xBBdata: a\ndata: b\n\n", Want: messages("b")},
		{Name: "BOM: half of one and a line end", Sentence: sayBOM, Stream: "\xEF\xBB\ndata: b\n\n", Want: messages("b")},
		{Name: "BOM: and nothing else", Sentence: sayBOM, Stream: "\xEF\xBB\xBF"},
		{Name: "BOM: half of one and nothing else", Sentence: sayBOM, Stream: "\xEF\xBB"},
		{Name: "BOM: of UTF-16 is text", Sentence: sayUTF8, Stream: "\xFE\xFFdata: a\n\ndata: b\n\n", Want: messages("b")},

		// UTF-8.
		{Name: "UTF-8: all lengths", Sentence: sayUTF8, Stream: "data: a\u00E9\u20AC\U0001F600\n\n", Want: messages("a\u00E9\u20AC\U0001F600")},
		{Name: "UTF-8: cut sequence before ASCII is one", Sentence: saySubpart, Stream: "data: \xE2\x82A\n\n", Want: messages("\uFFFDA")},
		{Name: "UTF-8: cut sequence of four is one", Sentence: saySubpart, Stream: "data: \xF0\x9F\x98A\n\n", Want: messages("\uFFFDA")},
		{Name: "UTF-8: overlong is one for each byte", Sentence: saySubpart, Stream: "data: \xF0\x80\x80\xE0\x80\xC0\x80\n\n", Want: messages(strings.Repeat("\uFFFD", 7))},
		{Name: "UTF-8: surrogate is three", Sentence: saySubpart, Stream: "data: \xED\xA0\x80\n\n", Want: messages("\uFFFD\uFFFD\uFFFD")},
		{Name: "UTF-8: past U+10FFFF is four", Sentence: saySubpart, Stream: "data: \xF4\x90\x80\x80\n\n", Want: messages("\uFFFD\uFFFD\uFFFD\uFFFD")},
		{Name: "UTF-8: bytes that never occur", Sentence: saySubpart, Stream: "data: \xF5\xFF\xC1\n\n", Want: messages("\uFFFD\uFFFD\uFFFD")},
		{Name: "UTF-8: lone continuations are one each", Sentence: saySubpart, Stream: "data: \x80\xBFa\n\n", Want: messages("\uFFFD\uFFFDa")},
		{Name: "UTF-8: cut sequence before a sequence", Sentence: saySubpart, Stream: "data: \xE2\x82\xE2\x82\xAC\n\n", Want: messages("\uFFFD\u20AC")},
		{Name: "UTF-8: run of cut sequences", Sentence: saySubpart, Stream: "data: \xE2\x82\xE2\x82\xF1\x80\x80\n\n", Want: messages("\uFFFD\uFFFD\uFFFD")},
		{Name: "UTF-8: cut at the line end", Sentence: saySubpart, Stream: "data: a\xE2\x82\ndata: \x82\xAC\xF0\x9F\r\r", Want: messages("a\uFFFD\n\uFFFD\uFFFD\uFFFD")},
		{
			Name: "UTF-8: in type and id", Sentence: sayUTF8, Stream: "event: \xC3\nid: \xE2\x82 \xFF\ndata: \u00E9\n\n",
			Want: events(Event{Type: "\uFFFD", Data: "\u00E9", ID: "\uFFFD \uFFFD"}).id("\uFFFD \uFFFD"),
		},
		{Name: "UTF-8: in a comment", Sentence: sayUTF8, Stream: ": \xE2\x82\n\n", Want: outcome{}.comments("\uFFFD")},
		{Name: "UTF-8: ill-formed name is another name", Sentence: sayOther, Stream: "data\xC3: a\n\xFFdata: b\ndata: c\n\n", Want: messages("c")},
		{Name: "UTF-8: NUL in data and type", Sentence: sayUTF8, Stream: "event: \x00\ndata: a\x00b\n\n", Want: events(Event{Type: "\x00", Data: "a\x00b"})},
		{Name: "UTF-8: no other character ends a line", Sentence: sayLines, Stream: "data: a\v\f\u0085\u2028\u2029b\n\n", Want: messages("a\v\f\u0085\u2028\u2029b")},

		// Line ends.
		{Name: "line ends: LF", Sentence: sayLines, Stream: "data: a\ndata: b\n\n", Want: messages("a\nb")},
		{Name: "line ends: CRLF", Sentence: sayLines, Stream: "data: a\r\ndata: b\r\n\r\n", Want: messages("a\nb")},
		{Name: "line ends: CR", Sentence: sayLines, Stream: "data: a\rdata: b\r\rdata: c\r\r", Want: messages("a\nb", "c")},
		{Name: "line ends: mixed", Sentence: sayLines, Stream: "data: a\r\ndata: b\rdata: c\ndata: d\r\n\rdata: e\n\r\ndata: f\r\r\n", Want: messages("a\nb\nc\nd", "e", "f")},
		{Name: "line ends: LF CR is two", Sentence: sayLines, Stream: "data: a\n\rdata: b\n\r", Want: messages("a", "b")},
		{Name: "line ends: CR CRLF is two", Sentence: sayLines, Stream: "data: a\r\r\ndata: b\r\r\n", Want: messages("a", "b")},
		{Name: "line ends: CRLF LF is two", Sentence: sayLines, Stream: "data: a\r\n\ndata: b\r\n\n", Want: messages("a", "b")},
		{Name: "line ends: CRLF after an event is no blank line", Sentence: sayLines, Stream: "id: 1\ndata: a\n\r\nevent: x\r\ndata: b\r\n\r\n", Want: events(
			Event{Type: "message", Data: "a", ID: "1"}, Event{Type: "x", Data: "b", ID: "1"},
		).id("1")},
		{Name: "line ends: blank lines make nothing", Sentence: sayNoData, Stream: "\n\r\r\n\n\ndata: a\n\n\n\r\n\r", Want: messages("a")},

		// Fields.
		{Name: "field: one space is removed", Sentence: saySpace, Stream: "data:  a \n\n", Want: messages(" a ")},
		{Name: "field: no tab is removed", Sentence: saySpace, Stream: "data:\ta\n\n", Want: messages("\ta")},
		{Name: "field: only the first colon", Sentence: sayColon, Stream: "data: a: b:c\ndata::\ndata: : \n\n", Want: messages("a: b:c\n:\n: ")},
		{Name: "field: no colon", Sentence: sayNoColon, Stream: "data\n\n", Want: messages("")},
		{Name: "field: a space before the colon", Sentence: sayNames, Stream: "data : a\n\n"},
		{Name: "field: a space before the name", Sentence: sayNames, Stream: " data: a\n\n"},
		{Name: "field: the name's beginning", Sentence: sayNames, Stream: "dat: a\nd\n\n"},
		{Name: "field: the name and more", Sentence: sayNames, Stream: "data2: a\ndataa\nids: 1\n\n"},
		{Name: "field: case", Sentence: sayNames, Stream: "Data: a\nDATA: b\nID: 1\nEvent: x\nRetry: 1\ndata: c\n\n", Want: messages("c")},
		{Name: "field: unknown", Sentence: sayOther, Stream: "foo: bar\nfoo\ndata: a\n\n", Want: messages("a")},
		{Name: "field: empty name is a comment", Sentence: sayComment, Stream: ": data: a\n:data: b\n:\n\n", Want: outcome{}.comments("data: a", "data: b", "")},

		// Data and dispatch.
		{Name: "data: empty lines are kept", Sentence: sayData, Stream: "data\ndata: \ndata:\n\n", Want: messages("\n\n")},
		{Name: "data: only the last LF is removed", Sentence: sayLastLF, Stream: "data: a\ndata\ndata\n\n", Want: messages("a\n\n")},
		{Name: "data: lines apart", Sentence: sayData, Stream: "data: a\nfoo\n: c\nid: 1\ndata: b\n\n", Want: events(
			Event{Type: "message", Data: "a\nb", ID: "1"},
		).id("1").comments("c")},
		{Name: "data: none, no event", Sentence: sayNoData, Stream: "event: x\n\ndata: a\n\n", Want: messages("a")},
		{Name: "data: none but an id, no event", Sentence: sayNoData, Stream: "id: 1\n\ndata: a\n\n", Want: events(Event{Type: "message", Data: "a", ID: "1"}).id("1")},
		{Name: "data: none but a retry, no event", Sentence: sayNoData, Stream: "retry: 10\n\ndata: a\n\n", Want: messages("a").retry(10 * time.Millisecond)},
		{Name: "data: what looks like something else", Sentence: sayData, Stream: "data: [DONE]\n\ndata: {}\n\ndata: &amp;<b>\\n%0A\\u0041\n\ndata: null\n\n", Want: messages("[DONE]", "{}", `&amp;<b>\n%0A\u0041`, "null")},
		{Name: "type: what looks like something else", Sentence: sayType, Stream: "event: error\ndata: a\n\nevent: open\ndata: b\n\nevent: close\ndata: c\n\nevent: ping\ndata: d\n\n", Want: events(
			Event{Type: "error", Data: "a"}, Event{Type: "open", Data: "b"}, Event{Type: "close", Data: "c"}, Event{Type: "ping", Data: "d"},
		)},
		{Name: "type: as it is", Sentence: sayType, Stream: "event:  Two Words %41 \ndata: a\n\nevent: " + long + "\ndata: b\n\n", Want: events(
			Event{Type: " Two Words %41 ", Data: "a"}, Event{Type: long, Data: "b"},
		)},
		{Name: "id: a long one", Sentence: sayID, Stream: "id: " + long + "\ndata: a\n\n", Want: events(Event{Type: "message", Data: "a", ID: long}).id(long)},
		{Name: "comment: a long one", Sentence: sayComment, Stream: ": " + long + long + long + long + "\ndata: a\n\n", Want: messages("a").comments(long + long + long + long)},
		{Name: "type: default", Sentence: `Initialize event's type attribute to "message"`, Stream: "data: a\n\n", Want: messages("a")},
		{Name: "type: named", Sentence: sayType, Stream: "event: x\ndata: a\n\n", Want: events(Event{Type: "x", Data: "a"})},
		{Name: "type: the last one", Sentence: sayType, Stream: "event: x\ndata: a\nevent:y\n\n", Want: events(Event{Type: "y", Data: "a"})},
		{Name: "type: empty", Sentence: sayType, Stream: "event: x\nevent\ndata: a\n\nevent:\ndata: b\n\n", Want: messages("a", "b")},
		{Name: "type: of one event only", Sentence: "Set the data buffer and the event type buffer to the empty string.", Stream: "event: x\ndata: a\n\ndata: b\n\n", Want: events(
			Event{Type: "x", Data: "a"}, message("b"),
		)},
		{Name: "type: comes and goes", Sentence: sayType, Stream: "event: x\ndata\n\ndata\n\nevent: x\ndata\n\nevent: y\ndata\n\n", Want: events(
			Event{Type: "x"}, message(""), Event{Type: "x"}, Event{Type: "y"},
		)},

		// ID.
		{Name: "id: stays", Sentence: sayIDStays, Stream: "id: 1\ndata: a\n\ndata: b\n\n", Want: events(
			Event{Type: "message", Data: "a", ID: "1"}, Event{Type: "message", Data: "b", ID: "1"},
		).id("1")},
		{Name: "id: the last one", Sentence: sayID, Stream: "id: 1\nid: 2\ndata: a\n\n", Want: events(
			Event{Type: "message", Data: "a", ID: "2"},
		).id("2")},
		{Name: "id: after the data", Sentence: sayID, Stream: "data: a\nid: 1\n\n", Want: events(
			Event{Type: "message", Data: "a", ID: "1"},
		).id("1")},
		{Name: "id: empty resets", Sentence: sayID, Stream: "id: 1\ndata: a\n\nid\ndata: b\n\nid: 2\n\nid:\ndata: c\n\n", Want: events(
			Event{Type: "message", Data: "a", ID: "1"}, message("b"), message("c"),
		)},
		{Name: "id: with NUL is ignored", Sentence: sayID, Stream: "id: 1\nid: 2\x00\nid: \x00\ndata: a\n\n", Want: events(
			Event{Type: "message", Data: "a", ID: "1"},
		).id("1")},
		{Name: "id: without data counts", Sentence: sayIDString, Stream: "id: 1\n\ndata: a\n\n", Want: events(
			Event{Type: "message", Data: "a", ID: "1"},
		).id("1")},
		{Name: "id: without data, at the end", Sentence: sayIDString, Stream: "id: 1\n\n", Want: outcome{}.id("1")},
		{Name: "id: spaces and all", Sentence: sayID, Stream: "id:  1 \ndata\n\n", Want: events(Event{Type: "message", ID: " 1 "}).id(" 1 ")},
		{Name: "id: cut off does not count", Sentence: sayEOF, Stream: "id: 1\ndata: a\n\nid: 2\ndata: b\n", Want: events(
			Event{Type: "message", Data: "a", ID: "1"},
		).id("1")},
		{
			Name: "id: of the previous connection", Sentence: sayIDStays, Seed: "7", Stream: "data: a\n\nid: 8\ndata: b\n\n",
			Want: events(Event{Type: "message", Data: "a", ID: "7"}, Event{Type: "message", Data: "b", ID: "8"}).id("8"),
		},
		{Name: "id: of the previous connection, reset", Sentence: sayID, Seed: "7", Stream: "id\n\n"},
		{Name: "id: of the previous connection, cut off", Sentence: sayEOF, Seed: "7", Stream: "id: 8\n", Want: outcome{}.id("7")},

		// Retry.
		{Name: "retry: in milliseconds", Sentence: sayRetry, Stream: "retry: 1500\ndata: a\n\ndata: b\n\n", Want: events(
			Event{Type: "message", Data: "a", Retry: 1500 * time.Millisecond}, message("b"),
		).retry(1500 * time.Millisecond)},
		{Name: "retry: zero", Sentence: sayRetry, Stream: "retry: 0\n", Want: outcome{}.retry(0)},
		{Name: "retry: leading zeros", Sentence: sayRetry, Stream: "retry: 00000000000000000000000000010000\n\n", Want: outcome{}.retry(10 * time.Second)},
		{Name: "retry: counts at its line end", Sentence: sayRetry, Stream: "retry: 10000\r", Want: outcome{}.retry(10 * time.Second)},
		{Name: "retry: not before its line end", Sentence: sayRetry, Stream: "retry: 10000", Want: outcome{}},
		{Name: "retry: without data counts", Sentence: sayRetry, Stream: "retry: 10000\n\ndata: a\n\n", Want: messages("a").retry(10 * time.Second)},
		{Name: "retry: the last valid one", Sentence: sayRetry, Stream: "retry: 10000\nretry: 20000\nretry: x\ndata\n\n", Want: events(
			Event{Type: "message", Retry: 20 * time.Second},
		).retry(20 * time.Second)},
		{Name: "retry: empty", Sentence: sayRetry, Stream: "retry: 10000\n\nretry\nretry:\nretry: \ndata: a\n\n", Want: messages("a").retry(10 * time.Second)},
		{Name: "retry: signs", Sentence: sayRetry, Stream: "retry: -1\nretry: +1\n\n"},
		{Name: "retry: spaces", Sentence: sayRetry, Stream: "retry:  1\nretry: 1 \nretry: 1 2\n\n"},
		{Name: "retry: other numbers", Sentence: sayRetry, Stream: "retry: 1.5\nretry: 1e3\nretry: 0x10\nretry: 1_000\n\n"},
		{Name: "retry: digits of other scripts", Sentence: sayRetry, Stream: "retry: \u0661\u0662\nretry: \uFF11\n\n"},
		{Name: "retry: the longest", Sentence: sayRetry, Stream: "retry: 9223372036854\n\n", Want: outcome{}.retry(longestRetry)},
		{Name: "retry: one more is clamped", Sentence: sayRetry, Stream: "retry: 9223372036855\n\n", Want: outcome{}.retry(longestRetry)},
		{Name: "retry: 2^63 is clamped", Sentence: sayRetry, Stream: "retry: 9223372036854775808\n\n", Want: outcome{}.retry(longestRetry)},
		{Name: "retry: 2^64 is clamped", Sentence: sayRetry, Stream: "retry: 18446744073709551616\ndata\n\n", Want: events(
			Event{Type: "message", Retry: longestRetry},
		).retry(longestRetry)},
		{Name: "retry: 2^64 in nanoseconds is clamped", Sentence: sayRetry, Stream: "retry: 18446744073710\n\n", Want: outcome{}.retry(longestRetry)},
		{Name: "retry: a thousand digits", Sentence: sayRetry, Stream: "retry: " + strings.Repeat("1", 1000) + "\n\n", Want: outcome{}.retry(longestRetry)},
		{Name: "retry: a thousand digits and a letter", Sentence: sayRetry, Stream: "retry: " + strings.Repeat("1", 1000) + "x\n\n"},

		// The end.
		{Name: "end: of nothing", Sentence: sayEOF, Stream: ""},
		{Name: "end: in a line", Sentence: sayEOF, Stream: "data: a\n\ndata: b", Want: messages("a")},
		{Name: "end: after a line", Sentence: sayEOF, Stream: "data: a\n\ndata: b\n", Want: messages("a")},
		{Name: "end: after a CR", Sentence: sayEOF, Stream: "data: a\r\rdata: b\r", Want: messages("a")},
		{Name: "end: after a CRLF", Sentence: sayEOF, Stream: "data: a\r\n\r\ndata: b\r\n", Want: messages("a")},
		{Name: "end: between CR and LF", Sentence: sayEOF, Stream: "data: a\r\n\r", Want: messages("a")},
		{Name: "end: in a comment", Sentence: sayEOF, Stream: ": a\n: b", Want: outcome{}.comments("a")},
		{Name: "end: in a name", Sentence: sayEOF, Stream: "data: a\n\ndat", Want: messages("a")},

		// Comments.
		{Name: "comment: between events and lines", Sentence: sayComment, Stream: ": 1\ndata: a\n:2\ndata: b\n\n:  3\n", Want: messages("a\nb").comments("1", "2", " 3")},
		{Name: "comment: does not end an event", Sentence: sayComment, Stream: "data: a\n:\ndata: b\n\n", Want: messages("a\nb").comments("")},
	}
}
