package h2conn_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// endings are the ways in which stream 3 is over.
var endings = map[string]struct {
	fromClient bool
	frame      frame
}{
	"DATA with END_STREAM":       {false, lastData(3, "data: x\n\n")},
	"empty DATA with END_STREAM": {false, lastData(3, "")},
	"HEADERS with END_STREAM":    {false, request(3)},
	"HEADERS and CONTINUATION":   {false, inTwo(opening(3), continuation(3, true, "\x88"))},
	"RST_STREAM of the server":   {false, reset(3, http2.ErrCodeCancel)},
	"RST_STREAM of the client":   {true, reset(3, http2.ErrCodeCancel)},
}

// end lets stream 3 end.
func (h *harness) end(name string) {
	h.t.Helper()
	if e := endings[name]; e.fromClient {
		h.receive(frames(h.t, e.frame))
	} else {
		h.write(frames(h.t, e.frame))
	}
}

func TestStreamsOpenAndEnd(t *testing.T) {
	for name := range endings {
		for _, piece := range pieces {
			t.Run(fmt.Sprintf("%s in pieces of %d", name, piece), func(t *testing.T) {
				h := newHarness(t, piece)
				h.open(1, 3, 5)
				require.Equal(t, 3, h.group.Streams())

				h.send(frames(t, response(3), data(3, "data: one\n\n")))
				require.Equal(t, 3, h.group.Streams(), "frames that do not end the stream")

				for range 2 { // the second time it is over already
					h.end(name)
					require.Equal(t, 2, h.group.Streams())
				}
				assert.Equal(t, 4, h.changes, "calls of changed: three openings, one end")
			})
		}
	}
}

func TestOtherFramesEndNothing(t *testing.T) {
	for _, piece := range pieces {
		h := newHarness(t, piece)
		h.open(1)
		others := frames(t, settingsAck, pong, windowUpdate(1, 100))
		h.send(others)
		h.receive(others)
		assert.Equal(t, 1, h.group.Streams())
	}
}

func TestClientsFramesEndNothing(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(1)
	h.receive(frames(t, lastData(1, "the body of a request")))
	assert.Equal(t, 1, h.group.Streams())
}

// Whatever a frame has in the reserved bit of its stream identifier, it is of the same stream.
func TestReservedBitIsIgnored(t *testing.T) {
	reserved := func(p []byte) []byte {
		p[5] |= 1 << 7 // in the first byte of the identifier
		return p
	}
	h := newHarness(t, 1<<20)
	assert.Equal(t, reserved(frames(t, opened(1, 1))), h.read(reserved(frames(t, request(1)))))
	h.open(3, 5)
	require.Equal(t, 3, h.group.Streams())
	h.send(frames(t, lastData(1, "")))
	h.send(reserved(frames(t, lastData(3, ""))))
	h.receive(reserved(frames(t, reset(5, http2.ErrCodeCancel))))
	assert.Equal(t, 0, h.group.Streams())
}

// A frame that is as long as it may be needs all three bytes of its length.
func TestLongFrames(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(1, 3)
	long := string(make([]byte, 1<<16+1<<8+1)) // of zeros, each of which could begin another frame
	h.receive(frames(t, data(1, long), reset(1, http2.ErrCodeCancel)))
	h.send(frames(t, data(3, long), lastData(3, "")))
	assert.Equal(t, 0, h.group.Streams())
}

func TestStreamIsOpenUntilItsEndIsWritten(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(1)
	during := -1
	h.wire.during = func() { during = h.group.Streams() }
	h.send(frames(t, lastData(1, "")))
	assert.Equal(t, 1, during, "open streams while the end was being written")
	assert.Equal(t, 0, h.group.Streams())
}

func TestStreamIsOpenUntilAllOfItsEndIsWritten(t *testing.T) {
	end := frames(t, lastData(1, "data: x\n\n"))
	h := newHarness(t, 1<<20)
	h.open(1)
	h.send(end[:len(end)-1])
	require.Equal(t, 1, h.group.Streams(), "a byte is missing")
	h.send(end[len(end)-1:])
	assert.Equal(t, 0, h.group.Streams())
}

// END_STREAM is in the first frame of a field block, but the stream ends with the last one.
func TestStreamIsOpenUntilAllOfItsFieldBlockIsWritten(t *testing.T) {
	for _, piece := range pieces {
		h := newHarness(t, piece)
		h.open(1)
		h.send(frames(t, unfinished(1), continuation(1, true, ""))) // a response
		require.Equal(t, 1, h.group.Streams(), "behind a field block that ends nothing")
		h.send(frames(t, opening(1), continuation(1, false, "\x88"))) // trailers
		require.Equal(t, 1, h.group.Streams(), "a frame is missing")
		h.send(frames(t, continuation(1, true, "")))
		assert.Equal(t, 0, h.group.Streams())
	}
}

func TestCloseEndsWhatIsOpen(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(1, 3)
	h.wire.fail = io.ErrClosedPipe
	_, err := h.Write(frames(t, lastData(1, "")))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Equal(t, 2, h.group.Streams(), "a failed write ends nothing")

	select {
	case <-h.Closed():
		t.Fatal("closed before Close")
	default:
	}
	for range 2 {
		require.NoError(t, h.Close())
		require.Equal(t, 0, h.group.Streams())
	}
	<-h.Closed()

	h.open(5)
	assert.Equal(t, 0, h.group.Streams(), "a stream that is read after Close")
}

// A writer that is told of more than it has given would go on at a wrong place, and bufio panics.
func TestFailedWriteCountsOnlyWhatItWasGiven(t *testing.T) {
	text := frames(t, data(1, "data: x\n\n"))
	for left, want := range map[int]int{0: 0, 5: 5, len(text): len(text) - 1, 1 << 20: len(text) - 1} {
		h := newHarness(t, 1<<20)
		h.send(frames(t, settings))
		h.send(text[:1])
		require.NoError(t, h.GoAway(http2.ErrCodeNo)) // goes out with the next write, which becomes longer
		h.wire.fail, h.wire.failAt = io.ErrClosedPipe, left
		n, err := h.Write(text[1:])
		require.ErrorIs(t, err, io.ErrClosedPipe)
		assert.Equal(t, want, n, "%d bytes have left", left)
	}
}

func TestOtherProtocolsPassUnwatched(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX and so on"} {
		for _, piece := range pieces {
			w := &wire{piece: piece}
			group := h2conn.NewGroup(func() { t.Error("changed was called") })
			h := &harness{Conn: h2conn.New(w, group), t: t, wire: w, group: group}
			h.receive([]byte(first))
			h.receive(frames(t, request(1)))
			require.NoError(t, h.GoAway(http2.ErrCodeNo), "there is nobody whom it would tell anything")
			h.send(frames(t, settings, reset(1, http2.ErrCodeCancel)))
			assert.False(t, h.Stream(1).AwaitSent(0))
			assert.Equal(t, 0, group.Streams())
			assert.Equal(t, 0, group.Conns())
			group.Finish()
			assert.Zero(t, w.finished)
		}
	}
}

// Before the preface is complete, nothing is known; until then the connection is none of those that speak HTTP/2.
func TestPrefaceThatIsCutShort(t *testing.T) {
	w := &wire{piece: 1 << 20}
	group := h2conn.NewGroup(func() {})
	h := &harness{Conn: h2conn.New(w, group), t: t, wire: w, group: group}
	last := len(http2.ClientPreface) - 1
	h.receive([]byte(http2.ClientPreface[:last]))
	require.Equal(t, 0, group.Conns())
	h.receive([]byte(http2.ClientPreface[last:]))
	require.Equal(t, 1, group.Conns())
	h.open(1)
	assert.Equal(t, 1, group.Streams())
}

// What follows the preface in the same read is watched too.
func TestPrefaceAndFramesAtOnce(t *testing.T) {
	for _, piece := range pieces {
		w := &wire{piece: piece}
		h := &harness{Conn: h2conn.New(w, h2conn.NewGroup(func() {})), t: t, wire: w}
		got := h.read(append([]byte(http2.ClientPreface), frames(t, settings, request(1))...))
		want := append([]byte(http2.ClientPreface), frames(t, settings, opened(1, 1))...)
		assert.Equal(t, want, got)
	}
}

func TestFinish(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(1)
	assert.Equal(t, 1, h.group.Conns())
	h.group.Finish()
	h.group.Finish()
	assert.Equal(t, 1, h.wire.finished)

	ping := frames(t, pong)
	n, err := h.Write(ping)
	require.NoError(t, err)
	assert.Equal(t, len(ping), n)
	assert.Empty(t, h.written(), "written after Finish")

	h.open(3) // it still reads
	assert.Equal(t, 2, h.group.Streams())
	assert.Equal(t, 1, h.group.Conns())
	require.NoError(t, h.Close())
	assert.Equal(t, 0, h.group.Conns())
}
