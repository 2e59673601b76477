package ssetest_test

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// endless is a stream that goes on for ever with the same byte, after its beginning.
func endless(beginning string, c byte) io.Reader {
	return io.MultiReader(strings.NewReader(beginning), readerFunc(func(b []byte) (int, error) {
		for i := range b {
			b[i] = c
		}
		return len(b), nil
	}))
}

func TestMaxEventSize(t *testing.T) {
	for _, c := range []struct {
		name   string
		max    int
		stream string
		events int
		fails  bool
	}{
		{"at the limit", 7, "data: a\n\n", 1, false},
		{"past the limit", 6, "data: a\n\n", 0, true},
		{"past the limit without a line end", 6, "data: a", 0, true},
		{"several lines at the limit", 14, "data: a\nid: 123\n\n", 1, false},
		{"several lines past the limit", 13, "data: a\nid: 123\n\n", 0, true},
		{"without data past the limit", 13, "event: a\nid: 12\n\n", 0, true},
		{"each event by itself", 7, "data: a\n\ndata: b\r\r\r\ndata: c\r\n\r\n", 3, false},
		{"the events before come through", 7, "data: a\n\ndata: b\n\ndata: cc\n\ndata: d\n\n", 2, true},
		{"comments do not count", 7, ": a comment\ndata: a\n: another\n\n", 1, false},
		{"unknown lines do not count", 7, "comment: this\ndata: a\ndatabase\nx\n\n", 1, false},
		{"a byte order mark does not count", 7, "\uFEFFdata: a\n\n", 1, false},
		{"a limit of one byte", 1, "x\n\nxyz: 1\n: 2\n\nda\n", 0, false},
		{"a name alone past the limit", 3, "data\n\n", 0, true},
		{"an unfinished name is nothing yet", 3, "data", 0, false},
		{"bytes on the wire count", 9, "data: \xE2\x82\xE2\n\n", 1, false},
		{"none", -1, "data: " + strings.Repeat("a", 1<<20) + "\n\n", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, del := range deliveries {
				d := ssetest.NewDecoder(del.reader(c.stream))
				d.SetMaxEventSize(c.max)
				n := 0
				_, err := d.Next()
				for ; err == nil; _, err = d.Next() {
					n++
				}
				assert.Equal(t, c.events, n, del.name)
				assert.Equal(t, c.fails, err != io.EOF, "%s: %v", del.name, err)
				if c.fails {
					require.ErrorIs(t, err, ssetest.ErrEventTooLarge, del.name)
				}
				_, again := d.Next()
				assert.Same(t, err, again, del.name)
				if len(c.stream) > 1<<10 {
					break
				}
			}
		})
	}
}

func TestMaxEventSizeNamesTheLimit(t *testing.T) {
	for _, c := range []struct {
		max  int
		text string
	}{
		{5, "ssetest: event too large: the limit is 5 bytes"},
		{0, "ssetest: event too large: the limit is 16777216 bytes"},
	} {
		d := ssetest.NewDecoder(endless("data: ", 'a'))
		d.SetMaxEventSize(c.max)
		_, err := d.Next()
		require.EqualError(t, err, c.text)
	}
	_, err := ssetest.NewDecoder(endless("data: ", 'a')).Next()
	assert.EqualError(t, err, "ssetest: event too large: the limit is 16777216 bytes")
}

func TestMaxEventSizeHoldsForCommentsThatSomebodyAskedFor(t *testing.T) {
	for _, stream := range []string{": 345678", ": 345678\n", "data: a\n: 345678\n\n"} {
		for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream))} {
			d := ssetest.NewDecoder(r)
			d.SetMaxEventSize(7)
			d.OnComment(func(text string) { t.Errorf("got comment %q", text) })
			_, err := d.Next()
			require.ErrorIs(t, err, ssetest.ErrEventTooLarge, stream)
		}
	}
	n := 0
	d := ssetest.NewDecoder(strings.NewReader(strings.Repeat(": 34567\n", 100)))
	d.SetMaxEventSize(7)
	d.OnComment(func(string) { n++ })
	_, err := d.Next()
	assert.Same(t, io.EOF, err)
	assert.Equal(t, 100, n, "comments at the limit, one by one")
}

// Lines that have no effect must not fill the memory: the buffer stays as it is however long they are.
func TestIgnoredLinesTakeNoMemory(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct{ name, begin, end string }{
		{"comment", ": ", "\n"},
		{"comment ended by CR", ":", "\r"},
		{"comment with a byte order mark before it", "\uFEFF:", "\n"},
		{"unknown field", "unknown: ", "\n"},
		{"no field at all", "", "\n"},
		{"nearly a field", "datum", "\r\n"},
		{"field and more", "data2: ", "\n"},
		{"a byte that begins a byte order mark", "\xEF", "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := c.begin + long + c.end + "data: a\n\n"
			for _, size := range []int{0, 100} {
				d := ssetest.NewDecoder(iotest.HalfReader(strings.NewReader(stream)))
				d.SetMaxEventSize(size)
				e, err := d.Next()
				require.NoError(t, err)
				assert.Equal(t, message("a"), e)
				assert.LessOrEqual(t, ssetest.BufferSize(d), 8<<10)
			}
		})
	}
}

// Whether an event is too large must not depend on how the stream was split into reads.
func TestMaxEventSizeIsTheSameForAnySplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	decode := func(r io.Reader, limit int, comments bool) (got []string) {
		d := ssetest.NewDecoder(r)
		d.SetMaxEventSize(limit)
		if comments {
			d.OnComment(func(text string) { got = append(got, "comment "+text) })
		}
		for {
			e, err := d.Next()
			if err != nil {
				return append(got, err.Error())
			}
			got = append(got, e.String())
		}
	}
	for range 3000 {
		lines := []string{pick("", "\uFEFF", "\xEF\xBB")}
		for range rng.IntN(12) {
			lines = append(lines, pick("data", "data:", "data: a", "id: 1", "id", "event:", "event: x", "retry: 1", "dat", "datab", "eve", ":", ": c", "", "", "")+
				pick("\n", "\n", "\r", "\r\n", "x", "\xE2\x82"))
		}
		stream := strings.Join(lines, "")
		limit, comments := 1+rng.IntN(20), rng.IntN(2) == 0
		cuts := make([]byte, rng.IntN(20))
		for i := range cuts {
			cuts[i] = byte(rng.IntN(6))
		}
		want := decode(strings.NewReader(stream), limit, comments)
		assert.Equal(t, want, decode(split([]byte(stream), cuts), limit, comments), "%q with limit %d, cut at %v", stream, limit, cuts)
		assert.Equal(t, want, decode(iotest.OneByteReader(strings.NewReader(stream)), limit, comments), "%q with limit %d", stream, limit)
		if t.Failed() {
			return
		}
	}
}
