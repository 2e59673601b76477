package h2conn_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// wire is the connection beneath: it reads what the client is to send, in pieces of at most piece bytes, and keeps what is written.
type wire struct {
	net.Conn
	inbound  bytes.Buffer
	outbound bytes.Buffer
	piece    int
	fail     error
	during   func() // called in a write, before it has happened
	finished int    // calls of CloseWrite
}

func (w *wire) Read(p []byte) (int, error) { return w.inbound.Read(p[:min(w.piece, len(p))]) }

func (w *wire) Write(p []byte) (int, error) {
	if w.during != nil {
		w.during()
	}
	if w.fail != nil {
		return 0, w.fail
	}
	return w.outbound.Write(p)
}

func (w *wire) Close() error { return nil }

func (w *wire) CloseWrite() error {
	w.finished++
	return nil
}

// frames are the bytes that write makes with a Framer.
func frames(t *testing.T, write func(*http2.Framer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, write(http2.NewFramer(&b, nil)))
	return b.Bytes()
}

// request is the HEADERS frame that opens a stream.
func request(id uint32) func(*http2.Framer) error {
	return func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
	}
}

// harness is a Conn over a wire, on which the client has spoken the preface.
type harness struct {
	*h2conn.Conn
	t       *testing.T
	wire    *wire
	group   *h2conn.Group
	changes int
}

func newHarness(t *testing.T, piece int) *harness {
	h := &harness{t: t, wire: &wire{piece: piece}}
	h.group = h2conn.NewGroup(func() { h.changes++ })
	h.Conn = h2conn.New(h.wire, h.group)
	h.receive([]byte(http2.ClientPreface))
	return h
}

// receive lets the server read p, and requires that it reads just that.
func (h *harness) receive(p []byte) {
	h.t.Helper()
	h.wire.inbound.Write(p)
	got, err := io.ReadAll(h.Conn)
	require.NoError(h.t, err)
	require.Equal(h.t, p, got, "bytes that the server reads")
}

// send lets the server write p in pieces, and requires that just that goes out.
func (h *harness) send(p []byte) {
	h.t.Helper()
	h.wire.outbound.Reset()
	for rest := p; len(rest) > 0; {
		n := min(h.wire.piece, len(rest))
		wrote, err := h.Write(rest[:n])
		require.NoError(h.t, err)
		require.Equal(h.t, n, wrote)
		rest = rest[n:]
	}
	require.Equal(h.t, p, h.wire.outbound.Bytes(), "bytes on the wire")
}

func TestStreamsOpenAndEnd(t *testing.T) {
	ends := map[string]struct {
		fromClient bool
		write      func(*http2.Framer) error
	}{
		"DATA with END_STREAM":       {false, func(f *http2.Framer) error { return f.WriteData(3, true, []byte("data: x\n\n")) }},
		"empty DATA with END_STREAM": {false, func(f *http2.Framer) error { return f.WriteData(3, true, nil) }},
		"HEADERS with END_STREAM":    {false, request(3)},
		"RST_STREAM of the server":   {false, func(f *http2.Framer) error { return f.WriteRSTStream(3, http2.ErrCodeCancel) }},
		"RST_STREAM of the client":   {true, func(f *http2.Framer) error { return f.WriteRSTStream(3, http2.ErrCodeCancel) }},
	}
	for name, end := range ends {
		for _, piece := range []int{1, 2, 8, 9, 10, 1 << 20} {
			t.Run(fmt.Sprintf("%s in pieces of %d", name, piece), func(t *testing.T) {
				h := newHarness(t, piece)
				for _, id := range []uint32{1, 3, 5} {
					h.receive(frames(t, request(id)))
				}
				require.Equal(t, 3, h.group.Streams())

				h.send(frames(t, func(f *http2.Framer) error { return f.WriteData(3, false, []byte("data: one\n\n")) }))
				require.Equal(t, 3, h.group.Streams(), "DATA that does not end the stream")

				for range 2 { // the second time it is over already
					if end.fromClient {
						h.receive(frames(t, end.write))
					} else {
						h.send(frames(t, end.write))
					}
					require.Equal(t, 2, h.group.Streams())
				}
				assert.Equal(t, 4, h.changes, "calls of changed: three openings, one end")
			})
		}
	}
}

func TestOtherFramesEndNothing(t *testing.T) {
	h := newHarness(t, 7)
	h.receive(frames(t, request(1)))
	others := frames(t, func(f *http2.Framer) error {
		// A SETTINGS acknowledgement has the bit that means END_STREAM elsewhere.
		if err := f.WriteSettingsAck(); err != nil {
			return err
		}
		if err := f.WritePing(true, [8]byte{}); err != nil {
			return err
		}
		return f.WriteWindowUpdate(1, 100)
	})
	h.send(others)
	h.receive(others)
	assert.Equal(t, 1, h.group.Streams())
}

func TestTrailersOpenNothing(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.receive(frames(t, request(1)))
	h.send(frames(t, func(f *http2.Framer) error { return f.WriteData(1, true, nil) }))
	h.receive(frames(t, request(1)))
	assert.Equal(t, 0, h.group.Streams())
}

func TestStreamIsOpenUntilItsEndIsWritten(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.receive(frames(t, request(1)))
	during := -1
	h.wire.during = func() { during = h.group.Streams() }
	h.send(frames(t, func(f *http2.Framer) error { return f.WriteData(1, true, nil) }))
	assert.Equal(t, 1, during, "open streams while the end was being written")
	assert.Equal(t, 0, h.group.Streams())
}

func TestCloseEndsWhatIsOpen(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.receive(frames(t, request(1)))
	h.receive(frames(t, request(3)))
	h.wire.fail = io.ErrClosedPipe
	_, err := h.Write(frames(t, func(f *http2.Framer) error { return f.WriteData(1, true, nil) }))
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

	h.receive(frames(t, request(5)))
	assert.Equal(t, 0, h.group.Streams(), "a stream that is read after Close")
}

func TestOtherProtocolsPassUnwatched(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX and so on"} {
		w := &wire{piece: 5}
		group := h2conn.NewGroup(func() { t.Error("changed was called") })
		h := &harness{Conn: h2conn.New(w, group), t: t, wire: w, group: group}
		h.receive([]byte(first))
		h.receive(frames(t, request(1)))
		h.send(frames(t, func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeCancel) }))
		assert.Equal(t, 0, group.Streams())
		assert.Equal(t, 0, group.Conns())
		group.Finish()
		assert.Zero(t, w.finished)
	}
}

func TestFinish(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.receive(frames(t, request(1)))
	assert.Equal(t, 1, h.group.Conns())
	h.group.Finish()
	h.group.Finish()
	assert.Equal(t, 1, h.wire.finished)

	ping := frames(t, func(f *http2.Framer) error { return f.WritePing(true, [8]byte{}) })
	n, err := h.Write(ping)
	require.NoError(t, err)
	assert.Equal(t, len(ping), n)
	assert.Empty(t, h.wire.outbound.Bytes(), "written after Finish")

	h.receive(frames(t, request(3))) // it still reads
	assert.Equal(t, 1, h.group.Conns())
	require.NoError(t, h.Close())
	assert.Equal(t, 0, h.group.Conns())
}
