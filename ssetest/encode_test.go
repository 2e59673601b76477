package ssetest_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func TestAppendText(t *testing.T) {
	for _, c := range []struct {
		name  string
		event ssetest.Event
		wire  string
	}{
		{"zero", ssetest.Event{}, "data: \n\n"},
		{"data", ssetest.Data("a"), "data: a\n\n"},
		{"all fields", ssetest.Event{Type: "message", Data: `{"msg":"a"}`, ID: "7", Retry: 6 * time.Second}, "event: message\ndata: {\"msg\":\"a\"}\nid: 7\nretry: 6000\n\n"},
		{"lines: LF", ssetest.Data("a\nb"), "data: a\ndata: b\n\n"},
		{"lines: CRLF", ssetest.Data("a\r\nb"), "data: a\ndata: b\n\n"},
		{"lines: CR", ssetest.Data("a\rb"), "data: a\ndata: b\n\n"},
		{"lines: mixed", ssetest.Data("a\r\r\n\n\rb\n"), "data: a\ndata: \ndata: \ndata: \ndata: b\ndata: \n\n"},
		{"lines: nothing else", ssetest.Data("\r\n"), "data: \ndata: \n\n"},
		{"injection is data", ssetest.Data("a\n\nevent: x\rid: 1"), "data: a\ndata: \ndata: event: x\ndata: id: 1\n\n"},
		{"leading spaces", ssetest.Event{Type: " x", Data: " a\n b", ID: " 1"}, "event:  x\ndata:  a\ndata:  b\nid:  1\n\n"},
		{"retry of a millisecond", ssetest.Event{Retry: time.Millisecond}, "data: \nretry: 1\n\n"},
		{"the longest retry", ssetest.Event{Retry: math.MaxInt64 / time.Millisecond * time.Millisecond}, "data: \nretry: 9223372036854\n\n"},
		{"NUL in type and data", ssetest.Event{Type: "\x00", Data: "\x00"}, "event: \x00\ndata: \x00\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.event.AppendText([]byte("before "))
			require.NoError(t, err)
			assert.Equal(t, "before "+c.wire, string(got))
			assert.Equal(t, []ssetest.Event{levelled(c.event)}, decode(t, strings.NewReader(c.wire), "").Events)
		})
	}
}

// Short data is searched eight bytes at a time, and long data in blocks: wherever a line ends, and whatever is around it,
// the fields are those that a plain replacement finds.
func TestAppendTextOfAnyLength(t *testing.T) {
	level := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	var got []byte
	check := func(data string) {
		got, _ = ssetest.Data(data).AppendText(got[:0])
		want := appendPrepared(nil, ssetest.Event{}, strings.Split(level.Replace(data), "\n"))
		if string(got) != string(want) {
			require.Equal(t, string(want), string(got), "%q", data)
		}
	}
	for _, filler := range []string{"a", "\v", "\x8a\x8d", "語\r\n\t{", "\r"} {
		for n := range 201 {
			plain := strings.Repeat(filler, n)[:n]
			check(plain)
			for at := range n + 1 {
				for _, end := range []string{"\n", "\r", "\r\n"} {
					check(plain[:at] + end + plain[at:])
				}
			}
		}
		for n := 16<<10 - 3; n < 16<<10+3; n++ { // around where a block ends
			plain := strings.Repeat(filler, n)[:n]
			check(plain + "\r\n" + plain)
			check(plain + "\n" + plain)
		}
	}
}

// What is refused is found wherever it is.
func TestAppendTextRefusesAnywhere(t *testing.T) {
	for n := range 201 {
		plain := strings.Repeat("a", n)
		_, err := ssetest.Event{Type: plain, ID: plain}.AppendText(nil)
		require.NoError(t, err)
		for at := range n + 1 {
			for _, c := range []string{"\n", "\r", "\x00", "\t"} {
				s := plain[:at] + c + plain[at:]
				_, err := ssetest.Event{Type: s}.AppendText(nil)
				require.Equal(t, c == "\n" || c == "\r", err != nil, "%q", s)
				_, err = ssetest.Event{ID: s}.AppendText(nil)
				require.Equal(t, c != "\t", err != nil, "%q", s)
			}
		}
	}
}

func TestAppendTextRefuses(t *testing.T) {
	for _, c := range []struct {
		event ssetest.Event
		text  string
	}{
		{ssetest.Event{Type: "a\nb"}, `ssetest: the event's Type has a line end: "a\nb"`},
		{ssetest.Event{Type: "a\r"}, `ssetest: the event's Type has a line end: "a\r"`},
		{ssetest.Event{ID: "\n"}, `ssetest: the event's ID has a line end: "\n"`},
		{ssetest.Event{ID: "1\rdata: x"}, `ssetest: the event's ID has a line end: "1\rdata: x"`},
		{ssetest.Event{ID: "1\x00"}, `ssetest: the event's ID has a NUL: "1\x00"`},
		{ssetest.Event{Retry: -time.Second}, `ssetest: the event's Retry is negative: -1s`},
		{ssetest.Event{Retry: 1500 * time.Microsecond}, `ssetest: the event's Retry is not whole milliseconds: 1.5ms`},
	} {
		b, err := c.event.AppendText([]byte("before"))
		require.EqualError(t, err, c.text)
		assert.Equal(t, "before", string(b))
	}
}

func TestAppendComment(t *testing.T) {
	for _, c := range []struct{ text, wire string }{
		{"", ": \n"},
		{"keep-alive", ": keep-alive\n"},
		{" a", ":  a\n"},
		{"a\nb\r\nc\rdata: d", ": a\n: b\n: c\n: data: d\n"},
		{"a\n\n", ": a\n: \n: \n"},
	} {
		wire := ssetest.AppendComment([]byte("data: x\n"), c.text)
		assert.Equal(t, "data: x\n"+c.wire, string(wire))
		got := decode(t, strings.NewReader(string(wire)+"\n"), "")
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(c.text)
		assert.Equal(t, result{Events: []ssetest.Event{message("x")}, Comments: strings.Split(lines, "\n")}, got)
	}
}

func TestAppendTextAllocatesNothing(t *testing.T) {
	e := ssetest.Event{Type: "message", Data: "one\r\ntwo\nthree\rfour", ID: "7", Retry: 6 * time.Second}
	b := make([]byte, 0, 1024)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := e.AppendText(b); err != nil {
			t.Fatal(err)
		}
	}))
}

// Every line is searched once: with a search that begins anew at each CR this would take minutes.
func TestAppendTextOfManyLines(t *testing.T) {
	const n = 1 << 20
	for _, end := range []string{"\r", "\n", "\r\n"} {
		wire, err := ssetest.Data(strings.Repeat(end, n)).AppendText(nil)
		require.NoError(t, err)
		assert.Len(t, wire, len("data: \n")*(n+1)+1)
		assert.Len(t, decode(t, strings.NewReader(string(wire)), "").Events[0].Data, n)
	}
}
