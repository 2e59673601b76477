package ssetest_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// readerFunc is a reader whose every Read the test sees.
type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// once gives stream in one Read, and calls then at every further one.
func once(stream string, then func()) io.Reader {
	first := true
	return readerFunc(func(b []byte) (int, error) {
		if first {
			first = false
			return copy(b, stream), nil
		}
		then()
		return 0, io.EOF
	})
}

func TestDecoderReturnsEventsAtOnce(t *testing.T) {
	for _, c := range []struct{ name, stream string }{
		{"LF", "data: a\n\ndata: b\n\n"},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n"},
		{"CR", "data: a\r\rdata: b\r\r"},
		{"CRLF without the last LF", "data: a\r\n\r\ndata: b\r\n\r"},
		{"fields around the data", "id\ndata: a\n\nevent\ndata: b\nretry\r\r"},
		{"an unfinished line after", "data: a\n\ndata: b\n\ndata: c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := ssetest.NewDecoder(once(c.stream, func() { t.Error("Read with an event in the buffer") }))
			for _, want := range []string{"a", "b"} {
				e, err := d.Next()
				require.NoError(t, err)
				assert.Equal(t, message(want), e)
			}
		})
	}
}

func TestDecoderJoinsCRLFAcrossAReturnedEvent(t *testing.T) {
	for _, rest := range []string{"\ndata: b\r\n\r", "\n", "\nid: 1\r", ""} {
		stream := pieces{[]byte("data: a\r\n\r"), []byte(rest), []byte("\ndata: c\n\n")}
		whole := strings.NewReader("data: a\r\n\r" + rest + "\ndata: c\n\n")
		assert.Equal(t, decode(t, whole, ""), decode(t, &stream, ""), "%q", rest)
	}
}

func TestDecoderRetryCountsAtItsLineEnd(t *testing.T) {
	for _, end := range []string{"\n", "\r", "\r\n"} {
		var d *ssetest.Decoder
		d = ssetest.NewDecoder(once("id: 1\nretry: 1500"+end, func() {
			got, ok := d.ReconnectionTime()
			assert.True(t, ok)
			assert.Equal(t, 1500*time.Millisecond, got)
			assert.Empty(t, d.LastEventID(), "the ID waits for the blank line")
		}))
		_, ok := d.ReconnectionTime()
		assert.False(t, ok)
		_, err := d.Next()
		assert.Same(t, io.EOF, err)
	}
}

func TestDecoderLastEventID(t *testing.T) {
	d := ssetest.NewDecoder(strings.NewReader("data: a\n\nid: 8\n\nid: 9\ndata: b\n\nid: 10\ndata: c\n"))
	d.SetLastEventID("7")
	assert.Equal(t, "7", d.LastEventID())
	for _, want := range []string{"7", "9"} {
		e, err := d.Next()
		require.NoError(t, err)
		assert.Equal(t, want, e.ID)
		assert.Equal(t, want, d.LastEventID())
	}
	_, err := d.Next()
	assert.Same(t, io.EOF, err)
	assert.Equal(t, "9", d.LastEventID())
}

func TestDecoderErrors(t *testing.T) {
	broken := errors.New("broken")
	t.Run("wrapped and lasting", func(t *testing.T) {
		d := ssetest.NewDecoder(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)))
		e, err := d.Next()
		require.NoError(t, err)
		assert.Equal(t, message("a"), e)
		_, err = d.Next()
		require.EqualError(t, err, "ssetest: reading the event stream: broken")
		require.ErrorIs(t, err, broken)
		_, again := d.Next()
		assert.Same(t, err, again)
	})
	t.Run("EOF as it is and lasting", func(t *testing.T) {
		reads := 0
		d := ssetest.NewDecoder(readerFunc(func([]byte) (int, error) { reads++; return 0, io.EOF }))
		for range 3 {
			_, err := d.Next()
			assert.Same(t, io.EOF, err)
		}
		assert.Equal(t, 1, reads)
	})
	t.Run("unexpected EOF is an error", func(t *testing.T) {
		_, err := ssetest.NewDecoder(iotest.ErrReader(io.ErrUnexpectedEOF)).Next()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.NotErrorIs(t, err, io.EOF)
	})
	t.Run("no progress", func(t *testing.T) {
		reads := 0
		_, err := ssetest.NewDecoder(readerFunc(func([]byte) (int, error) { reads++; return 0, nil })).Next()
		require.ErrorIs(t, err, io.ErrNoProgress)
		assert.Equal(t, 100, reads)
	})
	t.Run("impossible count", func(t *testing.T) {
		for _, n := range []int{-1, 1 << 30} {
			_, err := ssetest.NewDecoder(readerFunc(func([]byte) (int, error) { return n, nil })).Next()
			assert.EqualError(t, err, "ssetest: reading the event stream: the reader returned an impossible count")
		}
	})
}

func TestDecoderCommentsInOrder(t *testing.T) {
	var got []string
	d := ssetest.NewDecoder(strings.NewReader(":1\ndata: a\n:2\n\n:3\n:4\ndata: b\n\n: 5\n:6"))
	d.OnComment(func(text string) { got = append(got, "comment "+text) })
	for {
		e, err := d.Next()
		if err != nil {
			break
		}
		got = append(got, "event "+e.Data)
	}
	assert.Equal(t, []string{"comment 1", "comment 2", "event a", "comment 3", "comment 4", "event b", "comment 5"}, got)
}

func TestEvents(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("data: a\n\ndata: b\n\ndata: c\n\n"), iotest.ErrReader(broken))
	seq := ssetest.Events(r)
	for e, err := range seq {
		require.NoError(t, err)
		assert.Equal(t, message("a"), e)
		break
	}
	var got []ssetest.Event
	var last error
	for e, err := range seq { // goes on where the first loop left off
		got, last = append(got, e), err
	}
	assert.Equal(t, []ssetest.Event{message("b"), message("c"), {}}, got)
	require.ErrorIs(t, last, broken)

	for e, err := range ssetest.Events(strings.NewReader("data: cut")) {
		t.Errorf("got %v, %v at the end of the stream", e, err)
	}
}

// Strings made from one block of memory must not be overwritten by later ones, nor by what is read into the buffer.
func TestDecoderEventsAreIndependent(t *testing.T) {
	var want []ssetest.Event
	var stream []byte
	for i := range 3000 {
		e := ssetest.Event{Type: "message", Data: strings.Repeat(string(rune('a'+i%26)), i%150), ID: strings.Repeat("1", i%7)}
		if e.ID == "" && i > 0 {
			e.ID = want[i-1].ID
		}
		want = append(want, e)
		stream, _ = e.AppendText(stream)
	}
	got := decode(t, iotest.HalfReader(bytes.NewReader(stream)), "")
	assert.Equal(t, want, got.Events)
}

func TestDecoderAllocations(t *testing.T) {
	const n = 100
	run := func(stream string) float64 {
		r := strings.NewReader(stream)
		return testing.AllocsPerRun(20, func() {
			r.Reset(stream)
			d := ssetest.NewDecoder(r)
			for range n {
				if _, err := d.Next(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	const fixed = 10 // the Decoder, its buffer, and the buffer's growth
	long := "data: " + strings.Repeat("a", 1000) + "\n\n"
	assert.LessOrEqual(t, run(strings.Repeat(long, n)), float64(n+fixed), "one for each event of data alone")
	assert.LessOrEqual(t, run(strings.Repeat("data: a token of 20 bytes\n\n", n)), float64(n/10+fixed), "short ones share theirs")
	assert.LessOrEqual(t, run(strings.Repeat("event: x\ndata: a\ndata: b\nid: 1\nretry: 1\n\n", n)), float64(n/10+fixed), "and their types and IDs")
}
