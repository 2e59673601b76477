package h2conn_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// pieces are the lengths of reads and writes: less than the header of a frame, just that, more, and everything at once.
var pieces = []int{1, 2, 8, 9, 10, 1 << 20}

// wire is the connection beneath: it reads what the client is to send, in pieces of at most piece bytes, and keeps what is written.
type wire struct {
	net.Conn
	inbound   bytes.Buffer
	outbound  bytes.Buffer
	piece     int
	broken    error  // what a read gives in place of io.EOF
	fail      error  // what a write gives
	withBytes bool   // broken comes with the last bytes, and once
	failAt    int    // how many bytes of a write that fails have left
	during    func() // called in a write, before it has happened
	finished  int    // calls of CloseWrite
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.inbound.Read(p[:min(w.piece, len(p))])
	if w.withBytes && w.inbound.Len() == 0 {
		broken := w.broken
		w.withBytes, w.broken = false, nil
		return n, broken
	}
	if err != nil && w.broken != nil {
		return n, w.broken
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	if w.during != nil {
		w.during()
	}
	if w.fail != nil {
		n, _ := w.outbound.Write(p[:min(w.failAt, len(p))])
		return n, w.fail
	}
	return w.outbound.Write(p)
}

func (w *wire) Close() error { return nil }

func (w *wire) CloseWrite() error {
	w.finished++
	return nil
}

// A frame is what a Framer writes.
type frame func(*http2.Framer) error

// frames are the bytes of several.
func frames(t testing.TB, fs ...frame) []byte {
	t.Helper()
	var b bytes.Buffer
	framer := http2.NewFramer(&b, nil)
	for _, f := range fs {
		require.NoError(t, f(framer))
	}
	return b.Bytes()
}

// request is the HEADERS frame that opens a stream, and from a server one that ends it.
func request(id uint32) frame {
	return func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
	}
}

// response is a HEADERS frame that ends nothing.
func response(id uint32) frame {
	return func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true})
	}
}

// unfinished is a response whose field block goes on.
func unfinished(id uint32) frame {
	return func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}})
	}
}

// promise is a PUSH_PROMISE whose field block goes on.
func promise(id, promised uint32) frame {
	return func(f *http2.Framer) error {
		return f.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: promised, BlockFragment: []byte{0x82}})
	}
}

// inTwo is what needs two frames.
func inTwo(first, second frame) frame {
	return func(f *http2.Framer) error {
		if err := first(f); err != nil {
			return err
		}
		return second(f)
	}
}

func data(id uint32, text string) frame {
	return func(f *http2.Framer) error { return f.WriteData(id, false, []byte(text)) }
}

func lastData(id uint32, text string) frame {
	return func(f *http2.Framer) error { return f.WriteData(id, true, []byte(text)) }
}

func reset(id uint32, code http2.ErrCode) frame {
	return func(f *http2.Framer) error { return f.WriteRSTStream(id, code) }
}

func goAway(last uint32, code http2.ErrCode) frame {
	return func(f *http2.Framer) error { return f.WriteGoAway(last, code, nil) }
}

func windowUpdate(id, n uint32) frame {
	return func(f *http2.Framer) error { return f.WriteWindowUpdate(id, n) }
}

func settings(f *http2.Framer) error { return f.WriteSettings() }

// settingsAck has the bit that means END_STREAM elsewhere.
func settingsAck(f *http2.Framer) error { return f.WriteSettingsAck() }

func pong(f *http2.Framer) error { return f.WritePing(true, [8]byte{}) }

// continuation is a CONTINUATION frame.
func continuation(id uint32, last bool, block string) frame {
	return func(f *http2.Framer) error { return f.WriteContinuation(id, last, []byte(block)) }
}

// added is the field that is added to those of a request: a literal that enters no table, with a name of 14 letters.
func added(id uint32, ordinal int) string {
	value := fmt.Sprintf("%d %d", id, ordinal)
	return "\x00\x0essetest-stream" + string(rune(len(value))) + value
}

// opened is what the server reads of a request.
func opened(id uint32, ordinal int) frame {
	return func(f *http2.Framer) error {
		block := []byte("\x82" + added(id, ordinal))
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
	}
}

// harness is a Conn over a wire, on which the client has spoken the preface.
type harness struct {
	*h2conn.Conn
	t       testing.TB
	wire    *wire
	group   *h2conn.Group
	changes int
}

func newHarness(t testing.TB, piece int) *harness {
	t.Helper()
	h := &harness{t: t, wire: &wire{piece: piece}}
	h.group = h2conn.NewGroup(func() { h.changes++ })
	h.Conn = h2conn.New(h.wire, h.group)
	h.receive([]byte(http2.ClientPreface))
	return h
}

// read lets the client send p, and returns what the server reads.
func (h *harness) read(p []byte) []byte {
	h.t.Helper()
	h.wire.inbound.Write(p)
	got, err := io.ReadAll(h.Conn)
	require.NoError(h.t, err)
	return got
}

// receive is read for what opens no stream: the server reads just what the client has sent.
func (h *harness) receive(p []byte) {
	h.t.Helper()
	require.Equal(h.t, p, h.read(p), "bytes that the server reads")
}

// open lets the client open streams.
func (h *harness) open(ids ...uint32) {
	h.t.Helper()
	for _, id := range ids {
		require.NotEmpty(h.t, h.read(frames(h.t, request(id))))
	}
}

// write lets the server write p in pieces.
func (h *harness) write(p []byte) {
	h.t.Helper()
	for rest := p; len(rest) > 0; {
		n := min(h.wire.piece, len(rest))
		wrote, err := h.Write(rest[:n])
		require.NoError(h.t, err)
		require.Equal(h.t, n, wrote)
		rest = rest[n:]
	}
}

// written takes what has gone out.
func (h *harness) written() []byte {
	out := bytes.Clone(h.wire.outbound.Bytes())
	h.wire.outbound.Reset()
	return out
}

// send lets the server write p in pieces, and requires that just that goes out.
func (h *harness) send(p []byte) {
	h.t.Helper()
	h.written()
	h.write(p)
	require.Equal(h.t, p, h.written(), "bytes on the wire")
}

// serverFramer reads requests as net/http does. Its table lasts as long as the connection.
func serverFramer(r io.Reader) *http2.Framer {
	f := http2.NewFramer(io.Discard, r)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return f
}

// readHeaders reads a field block that has to come next.
func readHeaders(t testing.TB, f *http2.Framer) *http2.MetaHeadersFrame {
	t.Helper()
	got, err := f.ReadFrame()
	require.NoError(t, err)
	require.IsType(t, &http2.MetaHeadersFrame{}, got)
	return got.(*http2.MetaHeadersFrame)
}
