package h2conn_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// A shape is the way in which a field block is put into frames.
type shape struct {
	padding  uint8
	priority http2.PriorityParam
	cuts     []int // where the block is cut, in ascending order; what is behind the first cut goes into CONTINUATION frames
}

const atEnd = 1 << 20 // a cut at the end of the block

var shapes = map[string]shape{
	"HEADERS":                              {},
	"PADDED":                               {padding: 7},
	"PRIORITY":                             {priority: weighty},
	"PADDED and PRIORITY":                  {padding: 255, priority: weighty},
	"one CONTINUATION":                     {cuts: []int{3}},
	"two CONTINUATIONs":                    {cuts: []int{3, 20}},
	"PADDED, PRIORITY, two CONTINUATIONs":  {padding: 1, priority: weighty, cuts: []int{1, 2}},
	"nothing in HEADERS":                   {cuts: []int{0}},
	"padding and nothing else in HEADERS":  {padding: 3, cuts: []int{0}},
	"an empty CONTINUATION in the middle":  {cuts: []int{4, 4}},
	"an empty CONTINUATION at the end":     {cuts: []int{atEnd}},
	"two empty CONTINUATIONs at the end":   {cuts: []int{atEnd, atEnd}},
	"a byte in each frame, and some empty": {cuts: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, atEnd}},
}

var weighty = http2.PriorityParam{StreamDep: 0x7fffffff, Exclusive: true, Weight: 200}

// frames are those of one field block, which ends its stream.
func (s shape) frames(t testing.TB, id uint32, block []byte) []byte {
	t.Helper()
	var fragments [][]byte
	begin := 0
	for _, cut := range slices.Concat(s.cuts, []int{atEnd}) {
		cut = min(cut, len(block))
		fragments, begin = append(fragments, block[begin:cut]), cut
	}
	last := len(fragments) - 1
	fs := []frame{func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: fragments[0], EndHeaders: last == 0, EndStream: true, PadLength: s.padding, Priority: s.priority,
		})
	}}
	for i, fragment := range fragments[1:] {
		fs = append(fs, continuation(id, i+1 == last, string(fragment)))
	}
	return frames(t, fs...)
}

// opening is a request whose field block goes on.
func opening(id uint32) frame {
	return func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82}, EndStream: true})
	}
}

// encoder is that of a client, whose table lasts as long as the connection.
type encoder struct {
	*hpack.Encoder
	out bytes.Buffer
}

func newEncoder() *encoder {
	e := new(encoder)
	e.Encoder = hpack.NewEncoder(&e.out)
	return e
}

func (e *encoder) block(t testing.TB, fields []hpack.HeaderField) []byte {
	t.Helper()
	e.out.Reset()
	for _, f := range fields {
		require.NoError(t, e.WriteField(f))
	}
	return bytes.Clone(e.out.Bytes())
}

// fields makes a list of names and values by turns.
func fields(pairs ...string) []hpack.HeaderField {
	var list []hpack.HeaderField
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

var usual = fields(
	":method", "GET", ":scheme", "https", ":authority", "example.com", ":path", "/sse",
	"accept", "text/event-stream", "last-event-id", "7", "x-twice", "one", "x-other", "", "x-twice", "two",
)

// header is what net/http makes of fields.
func header(list []hpack.HeaderField) http.Header {
	h := make(http.Header)
	for _, f := range list {
		if !strings.HasPrefix(f.Name, ":") {
			h.Add(f.Name, f.Value)
		}
	}
	return h
}

// bufferSizes are the ways to read a Conn: with room for all, and byte by byte.
var bufferSizes = map[string]func(io.Reader) io.Reader{
	"at once":      func(r io.Reader) io.Reader { return r },
	"byte by byte": iotest.OneByteReader,
}

// testRequests lets a client ask several times for the same, in one shape: from the second request on,
// the fields are in the tables, and a server whose table is another one reads others.
func testRequests(t *testing.T, s shape, list []hpack.HeaderField, piece int, reader func(io.Reader) io.Reader) {
	t.Helper()
	h := newHarness(t, piece)
	client, server := newEncoder(), serverFramer(reader(h.Conn))
	first := 0
	for i, id := range []uint32{1, 5, 101, 1<<31 - 1} {
		block := client.block(t, list)
		if first = max(first, len(block)); i > 0 && len(list) > 0 {
			require.Less(t, len(block), first, "this client uses no table")
		}
		h.wire.inbound.Write(s.frames(t, id, block))
		got := readHeaders(t, server)

		ours := hpack.HeaderField{Name: "ssetest-stream", Value: fmt.Sprintf("%d %d", id, i+1)}
		require.Equal(t, append(slices.Clone(list), ours), got.Fields)
		assert.Equal(t, id, got.StreamID)
		assert.True(t, got.StreamEnded())
		assert.Equal(t, s.priority, got.Priority)

		head := header(got.Fields)
		gotID, ordinal := h2conn.TakeStream(head)
		assert.Equal(t, id, gotID)
		assert.Equal(t, i+1, ordinal)
		assert.Equal(t, header(list), head)
	}
	_, err := server.ReadFrame()
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 4, h.group.Streams())
}

func TestFieldComesBehindAllOfTheClients(t *testing.T) {
	for name, s := range shapes {
		for way, reader := range bufferSizes {
			for _, piece := range pieces {
				t.Run(fmt.Sprintf("%s, in pieces of %d, read %s", name, piece, way), func(t *testing.T) {
					testRequests(t, s, usual, piece, reader)
				})
			}
		}
	}
}

func TestFieldIsAddedToNoFields(t *testing.T) {
	for name, s := range shapes {
		for way, reader := range bufferSizes {
			for _, piece := range pieces {
				t.Run(fmt.Sprintf("%s, in pieces of %d, read %s", name, piece, way), func(t *testing.T) {
					testRequests(t, s, nil, piece, reader)
				})
			}
		}
	}
}

// What a client sends between two requests, and within them but for a flag, comes as it was sent.
func TestOnlyTheEndOfARequestIsChanged(t *testing.T) {
	sent := frames(t, settings, request(1), windowUpdate(0, 5), data(1, "a body"), request(7), settingsAck, reset(1, http2.ErrCodeCancel), pong)
	want := frames(t, settings, opened(1, 1), windowUpdate(0, 5), data(1, "a body"),
		opened(7, 2), settingsAck, reset(1, http2.ErrCodeCancel), pong)
	for _, piece := range pieces {
		for way, reader := range bufferSizes {
			h := newHarness(t, piece)
			h.wire.inbound.Write(sent)
			got, err := io.ReadAll(reader(h.Conn))
			require.NoError(t, err)
			assert.Equal(t, want, got, "in pieces of %d, read %s", piece, way)
			assert.Equal(t, 1, h.group.Streams())
		}
	}
}

// Trailers have the form of a request. They come as they were sent, however they are cut.
func TestTrailersOpenNothing(t *testing.T) {
	for name, s := range shapes {
		for _, piece := range pieces {
			t.Run(fmt.Sprintf("%s in pieces of %d", name, piece), func(t *testing.T) {
				h := newHarness(t, piece)
				h.open(1, 3, 5)
				block := []byte("the name of a field and its value, more or less")
				for i, id := range []uint32{3, 5} { // not the highest, and the highest
					trailers := s.frames(t, id, block)
					h.receive(trailers)
					require.Equal(t, 3-i, h.group.Streams(), "while the stream is open")
					h.send(frames(t, lastData(id, "")))
					h.receive(trailers)
					assert.Equal(t, 2-i, h.group.Streams(), "when it is over")
				}
			})
		}
	}
}

// A stream identifier that is lower than another can no longer open a stream (RFC 9113, section 5.1.1), nor can that of the connection.
func TestWhatCannotBeAStreamOpensNone(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(5)
	h.receive(frames(t, request(3)))
	onConnection := frames(t, request(1))
	onConnection[8] = 0
	h.receive(onConnection)
	assert.Equal(t, 1, h.group.Streams())
}

func TestClientIsOverruled(t *testing.T) {
	h := newHarness(t, 1<<20)
	list := fields(":method", "GET", "ssetest-stream", "99 98", "x-other", "kept", "ssetest-stream", "97 96")
	h.wire.inbound.Write(shapes["HEADERS"].frames(t, 3, newEncoder().block(t, list)))
	head := header(readHeaders(t, serverFramer(h.Conn)).Fields)
	require.Len(t, head["Ssetest-Stream"], 3)

	id, ordinal := h2conn.TakeStream(head)
	assert.Equal(t, uint32(3), id)
	assert.Equal(t, 1, ordinal)
	assert.Equal(t, http.Header{"X-Other": {"kept"}}, head)
}

func TestTakeStream(t *testing.T) {
	for name, c := range map[string]struct {
		header  http.Header
		id      uint32
		ordinal int
	}{
		"nil":         {nil, 0, 0},
		"empty":       {http.Header{}, 0, 0},
		"without it":  {http.Header{"X-Other": {"1 2"}}, 0, 0},
		"with it":     {http.Header{"X-Other": {"1 2"}, "Ssetest-Stream": {"2147483647 1073741824"}}, 2147483647, 1073741824},
		"refused":     {http.Header{"X-Other": {"1 2"}, "Ssetest-Stream": {"7 0"}}, 7, h2conn.Refused},
		"several":     {http.Header{"X-Other": {"1 2"}, "Ssetest-Stream": {"x", "", "9 2"}}, 9, 2},
		"not a field": {http.Header{"X-Other": {"1 2"}, "Ssetest-Stream": {"nonsense"}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.header.Clone()
			want.Del("Ssetest-Stream")
			for range 2 {
				id, ordinal := h2conn.TakeStream(c.header)
				assert.Equal(t, c.id, id)
				assert.Equal(t, c.ordinal, ordinal)
				assert.Equal(t, want, c.header)
				c.id, c.ordinal = 0, 0 // it is gone
			}
		})
	}
}

// errDeadline stands for an error after which a connection goes on.
var errDeadline = fmt.Errorf("wire: %w", os.ErrDeadlineExceeded)

// Wherever reading fails, the reader gets the error, and what comes after it when it tries again.
func TestErrorsReachTheReader(t *testing.T) {
	preface, rest := []byte(http2.ClientPreface), frames(t, data(1, "a body"), reset(1, http2.ErrCodeCancel))
	sent := slices.Concat(preface, frames(t, settings, request(1)), rest)
	want := slices.Concat(preface, frames(t, settings, opened(1, 1)), rest)
	for cut := range len(sent) + 1 {
		for _, broken := range []error{errDeadline, io.ErrUnexpectedEOF} {
			w := &wire{piece: 1 << 20, broken: broken}
			conn := h2conn.New(w, h2conn.NewGroup(func() {}))
			w.inbound.Write(sent[:cut])
			before, err := io.ReadAll(conn)
			require.ErrorIs(t, err, broken)
			_, err = conn.Read(make([]byte, 10))
			require.ErrorIs(t, err, broken, "for the second time")

			w.inbound.Write(sent[cut:])
			after, err := io.ReadAll(conn)
			require.ErrorIs(t, err, broken)
			assert.Equal(t, want, slices.Concat(before, after), "cut at %d", cut)
		}
	}
}

// A connection may return an error together with the last bytes before it. The server gets it behind all that it is to read,
// and once: then it goes on.
func TestErrorThatComesWithBytes(t *testing.T) {
	rest := frames(t, data(1, "a body"))
	sent := slices.Concat(frames(t, request(1)), rest)
	want := slices.Concat(frames(t, opened(1, 1)), rest)
	for cut := 1; cut <= len(sent); cut++ {
		for way, reader := range bufferSizes {
			w := &wire{piece: 1 << 20, broken: errDeadline}
			conn := h2conn.New(w, h2conn.NewGroup(func() {}))
			w.inbound.WriteString(http2.ClientPreface)
			_, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
			require.NoError(t, err)

			w.withBytes = true
			w.inbound.Write(sent[:cut])
			before, err := io.ReadAll(reader(conn))
			require.ErrorIs(t, err, errDeadline)
			w.inbound.Write(sent[cut:])
			after, err := io.ReadAll(reader(conn))
			require.NoError(t, err)
			assert.Equal(t, want, slices.Concat(before, after), "cut at %d, read %s", cut, way)
			if cut == len(sent)-len(rest) {
				assert.Equal(t, want[:len(want)-len(rest)], before, "all of the request, and the field that is added")
			}
		}
	}
}

// An end in the middle of a frame is one for the reader as well, who has had what came before, but for a header that is not complete.
func TestEndInTheMiddleOfAFrame(t *testing.T) {
	asked, body := frames(t, request(1)), frames(t, data(1, "a body"))
	opened := frames(t, opened(1, 1))
	for name, c := range map[string]struct{ sent, want []byte }{
		"in the header of HEADERS":         {asked[:5], []byte{}},
		"behind the header of HEADERS":     {asked[:9], opened[:9]},
		"in the header of DATA":            {slices.Concat(asked, body[:8]), opened},
		"behind the header of DATA":        {slices.Concat(asked, body[:9]), slices.Concat(opened, body[:9])},
		"in the payload of DATA":           {slices.Concat(asked, body[:12]), slices.Concat(opened, body[:12])},
		"in front of DATA's last byte":     {slices.Concat(asked, body[:14]), slices.Concat(opened, body[:14])},
		"behind a frame, where it belongs": {slices.Concat(asked, body), slices.Concat(opened, body)},
	} {
		for _, piece := range pieces {
			t.Run(fmt.Sprintf("%s, in pieces of %d", name, piece), func(t *testing.T) {
				assert.Equal(t, c.want, newHarness(t, piece).read(c.sent))
			})
		}
	}
}
