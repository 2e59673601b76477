package ssetest_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// decode runs a Decoder over r to its end, which must be io.EOF.
func decode(t testing.TB, r io.Reader, lastEventID string) result {
	t.Helper()
	res, err := decodeAll(ssetest.NewDecoder(r), lastEventID)
	require.Same(t, io.EOF, err)
	return res
}

// decodeSmall is decode with a buffer of so few bytes at first that any stream outgrows it.
func decodeSmall(t testing.TB, r io.Reader, lastEventID string) result {
	t.Helper()
	d := ssetest.NewDecoder(r)
	ssetest.ShrinkBuffer(d, 2)
	res, err := decodeAll(d, lastEventID)
	require.Same(t, io.EOF, err)
	return res
}

// decodeAll runs d until the first error.
func decodeAll(d *ssetest.Decoder, lastEventID string) (result, error) {
	var res result
	d.SetLastEventID(lastEventID)
	d.OnComment(func(text string) { res.Comments = append(res.Comments, text) })
	for {
		e, err := d.Next()
		if err != nil {
			res.LastEventID = d.LastEventID()
			res.Retry, res.HasRetry = d.ReconnectionTime()
			return res, err
		}
		res.Events = append(res.Events, e)
	}
}

// pieces is a reader that gives its pieces one by one, an empty one as a Read of nothing.
type pieces [][]byte

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	return n, nil
}

// split cuts stream into pieces of the lengths that cuts says, and one of the rest.
func split(stream, cuts []byte) *pieces {
	var p pieces
	for _, n := range cuts {
		k := min(int(n), len(stream))
		p, stream = append(p, stream[:k]), stream[k:]
	}
	p = append(p, stream)
	return &p
}

// FuzzDecode: whatever the stream, the Decoder agrees with the naive one.
func FuzzDecode(f *testing.F) {
	for _, c := range rules {
		f.Add([]byte(c.Stream))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		want := naiveDecode(stream, "")
		assert.Equal(t, want, decode(t, bytes.NewReader(stream), ""))
		assert.Equal(t, want, decodeSmall(t, bytes.NewReader(stream), ""), "from a small buffer")

		deaf := ssetest.NewDecoder(bytes.NewReader(stream)) // with nobody listening, comments take another way
		for i := 0; ; i++ {
			e, err := deaf.Next()
			if err != nil {
				assert.Len(t, want.Events, i)
				break
			}
			require.Less(t, i, len(want.Events))
			assert.Equal(t, want.Events[i], e)
		}
	})
}

// FuzzSplit: however the stream is split into reads, the result is the same.
func FuzzSplit(f *testing.F) {
	for _, c := range rules {
		f.Add([]byte(c.Stream), []byte{1, 0, 2, 3})
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		if len(cuts) > 90 {
			cuts = cuts[:90] // a hundred reads of nothing would be an error
		}
		want := decode(t, bytes.NewReader(stream), "seed")
		assert.Equal(t, want, decode(t, split(stream, cuts), "seed"))
		assert.Equal(t, want, decodeSmall(t, split(stream, cuts), "seed"), "from a small buffer")
	})
}

// FuzzRoundTrip: what AppendText accepts comes back, but for what the standard levels; what it refuses it has to.
func FuzzRoundTrip(f *testing.F) {
	f.Add("", "", "", int64(0))
	f.Add("message", `{"msg":"a"}`, "1b4e28ba-2fa1-4d2b-883f-b9a761bde3fb", int64(6*time.Second))
	f.Add(" lead", " a\r\n\rb\n", " 7", int64(time.Millisecond))
	f.Add("\xff", "\xe2\x82", "\xf0\x80\x80", int64(1))
	f.Add("a\nb", "\uFEFF", "a\x00b", int64(-1))
	f.Fuzz(func(t *testing.T, typ, data, id string, retry int64) {
		e := ssetest.Event{Type: typ, Data: data, ID: id, Retry: time.Duration(retry)}
		wire, err := e.AppendText([]byte("before"))
		refused := strings.ContainsAny(typ, "\r\n") || strings.ContainsAny(id, "\r\n\x00") || retry < 0 || retry%1e6 != 0
		if refused {
			require.Error(t, err)
			require.Equal(t, "before", string(wire))
			return
		}
		require.NoError(t, err)
		stream, ok := bytes.CutPrefix(wire, []byte("before"))
		require.True(t, ok)

		got := decode(t, bytes.NewReader(stream), "")
		require.Equal(t, []ssetest.Event{levelled(e)}, got.Events)
		require.Equal(t, levelled(e).ID, got.LastEventID)

		again, err := got.Events[0].AppendText(nil)
		require.NoError(t, err)
		require.Equal(t, got, decode(t, bytes.NewReader(again), ""))
	})
}

// levelled returns e as the standard gives it back.
func levelled(e ssetest.Event) ssetest.Event {
	if e.Type == "" {
		e.Type = "message"
	}
	e.Type, e.ID = string(naiveUTF8([]byte(e.Type))), string(naiveUTF8([]byte(e.ID)))
	e.Data = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(naiveUTF8([]byte(e.Data))))
	return e
}
