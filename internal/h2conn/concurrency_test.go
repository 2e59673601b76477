package h2conn_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

const (
	manyStreams = 60
	manyData    = 10 // DATA frames on each of them
	manyGoAways = 20
)

// traffic is what goes on at once on one Conn: a client that asks and resets, and handlers that answer.
type traffic struct {
	t        *testing.T
	client   net.Conn
	conn     *h2conn.Conn
	group    *h2conn.Group
	write    func([]byte) error
	handlers sync.WaitGroup
}

func newTraffic(t *testing.T) *traffic {
	client, server := net.Pipe()
	tr := &traffic{t: t, client: client, group: h2conn.NewGroup(func() {})}
	tr.conn = h2conn.New(server, tr.group)
	tr.write = tr.writeWhole
	t.Cleanup(func() {
		_ = client.Close()
		_ = tr.conn.Close()
	})
	return tr
}

// writeWhole writes frames of which each is whole, and which may therefore come from several goroutines.
func (tr *traffic) writeWhole(p []byte) error {
	_, err := tr.conn.Write(p)
	return err
}

// cutter lets one goroutine write everything, as net/http does, in pieces that keep to no boundary.
// The result of a call is that of its last piece.
func (tr *traffic) cutter(stop <-chan struct{}) {
	type job struct {
		text []byte
		err  chan error
	}
	jobs := make(chan job)
	random := rand.New(rand.NewPCG(1, 2))
	go func() {
		for {
			select {
			case <-stop:
				return
			case j := <-jobs:
				var err error
				for rest := j.text; len(rest) > 0 && err == nil; {
					n := min(1+random.IntN(20), len(rest))
					_, err = tr.conn.Write(rest[:n])
					rest = rest[n:]
				}
				j.err <- err
			}
		}
	}()
	tr.write = func(p []byte) error {
		j := job{p, make(chan error, 1)}
		jobs <- j
		return <-j.err
	}
}

// ofClient reports whether it is the client that resets a stream.
func ofClient(id uint32) bool { return id%8 == 1 }

// ofServer reports whether it is the server that resets a stream, and with which code.
func ofServer(id uint32) (http2.ErrCode, bool) { return http2.ErrCode(id << 16), id%8 == 3 }

// ask opens all the streams, and resets some of them.
func (tr *traffic) ask() error {
	_, err := tr.client.Write([]byte(http2.ClientPreface))
	f := http2.NewFramer(tr.client, nil)
	for id := uint32(1); id < 2*manyStreams && err == nil; id += 2 {
		err = request(id)(f)
		if err == nil && ofClient(id) {
			err = f.WriteRSTStream(id, http2.ErrCodeCancel)
		}
	}
	return err
}

// serve reads what the client asks for, and has a handler answer each of its requests.
// Where it fails, everything else does, too, rather than wait for it.
func (tr *traffic) serve() error {
	defer func() { _ = tr.conn.Close() }()
	if _, err := io.ReadFull(tr.conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	f := serverFramer(tr.conn)
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if headers, ok := got.(*http2.MetaHeadersFrame); ok {
			id, _ := h2conn.TakeStream(header(headers.Fields))
			assert.Equal(tr.t, headers.StreamID, id)
			tr.handlers.Go(func() { tr.handle(id) })
		}
	}
}

// handle answers a request, and ends the stream in one way or another.
func (tr *traffic) handle(id uint32) {
	var length int64
	if tr.write(frames(tr.t, response(id))) != nil {
		return // somebody has closed the connection
	}
	for i := range manyData {
		text := dataOf(id, i)
		if tr.write(frames(tr.t, data(id, text))) != nil {
			return
		}
		length += int64(len(text))
	}
	if sent := tr.conn.Stream(id).AwaitSent(length); !sent && !ofClient(id) {
		return // so has somebody here
	}
	if code, ok := ofServer(id); ok {
		tr.conn.ResetWith(id, code)
		_ = tr.write(frames(tr.t, reset(id, http2.ErrCodeInternal)))
		return
	}
	_ = tr.write(frames(tr.t, lastData(id, "")))
}

// dataOf is what the i-th DATA of a stream carries.
func dataOf(id uint32, i int) string { return fmt.Sprintf("%d of %d;", i, id) }

// seen is what a client has seen of the server.
type seen struct {
	first   http2.FrameType
	data    map[uint32]string
	codes   map[uint32]http2.ErrCode
	ended   map[uint32]bool
	goAways []uint32
}

// watch reads all of the frames that leave, until the connection ends.
func (tr *traffic) watch() (*seen, error) {
	defer func() { _ = tr.client.Close() }()
	s := &seen{data: make(map[uint32]string), codes: make(map[uint32]http2.ErrCode), ended: make(map[uint32]bool)}
	f := http2.NewFramer(nil, tr.client)
	for n := 0; ; n++ {
		got, err := f.ReadFrame()
		if err != nil {
			return s, err
		}
		if n == 0 {
			s.first = got.Header().Type
		}
		switch got := got.(type) {
		case *http2.DataFrame:
			s.data[got.StreamID] += string(got.Data())
			s.ended[got.StreamID] = s.ended[got.StreamID] || got.StreamEnded()
		case *http2.RSTStreamFrame:
			s.codes[got.StreamID] = got.ErrCode
		case *http2.GoAwayFrame:
			s.goAways = append(s.goAways, got.LastStreamID)
		}
	}
}

// check requires that nothing is missing.
func (s *seen) check(t *testing.T) {
	t.Helper()
	assert.Equal(t, http2.FrameSettings, s.first)
	assert.Len(t, s.data, manyStreams)
	for id, got := range s.data {
		var want strings.Builder
		for i := range manyData {
			want.WriteString(dataOf(id, i))
		}
		assert.Equal(t, want.String(), got, "stream %d", id)
		code, coded := s.codes[id]
		wantCode, wantCoded := ofServer(id)
		assert.Equal(t, wantCoded, coded, "stream %d has RST_STREAM", id)
		assert.Equal(t, !wantCoded, s.ended[id], "stream %d has END_STREAM", id)
		if coded {
			assert.Equal(t, wantCode, code, "stream %d", id)
		}
	}
	require.Len(t, s.goAways, manyGoAways)
	for _, last := range s.goAways {
		assert.Equal(t, s.goAways[0], last, "after the first nothing more is answered")
	}
}

// disturb does from several goroutines what may be done at any time.
func (tr *traffic) disturb(others *sync.WaitGroup) {
	for i := range manyGoAways {
		others.Go(func() { _ = tr.conn.GoAway(http2.ErrCode(i)) })
		others.Go(func() {
			tr.conn.ResetWith(0, odd)
			tr.conn.ResetWith(2*manyStreams+1, odd)
			tr.conn.Stream(uint32(2*i + 1)).AwaitSent(1)
			tr.group.Streams()
			tr.group.Conns()
		})
	}
}

// writers are the ways in which what the handlers answer is written.
var writers = map[string]func(*traffic, <-chan struct{}){
	"several goroutines write":       func(*traffic, <-chan struct{}) {},
	"one goroutine writes in pieces": (*traffic).cutter,
}

func TestEverythingAtOnce(t *testing.T) {
	for name, start := range writers {
		t.Run(name, func(t *testing.T) {
			tr := newTraffic(t)
			stop := make(chan struct{})
			defer close(stop)
			start(tr, stop)
			var others, ends sync.WaitGroup
			var result *seen
			var wireErr, readErr error
			ends.Go(func() { result, wireErr = tr.watch() })
			ends.Go(func() { readErr = tr.serve() })
			require.NoError(t, tr.write(frames(t, settings)))
			others.Go(func() { assert.NoError(t, tr.ask()) })
			tr.disturb(&others)
			others.Wait()
			// The server has read all of it when it has read one thing more, since a pipe has no room.
			require.NoError(t, pong(http2.NewFramer(tr.client, nil)))
			tr.handlers.Wait()
			assert.Equal(t, 0, tr.group.Streams())
			assert.Zero(t, tr.conn.Codes())

			require.NoError(t, tr.conn.Close())
			ends.Wait()
			require.ErrorIs(t, wireErr, io.EOF)
			require.ErrorIs(t, readErr, io.ErrClosedPipe)
			result.check(t)
		})
	}
}

// Close at any time ends everything that is going on, and leaves nothing behind.
func TestCloseAmongEverything(t *testing.T) {
	for name, start := range writers {
		for after := range 10 {
			t.Run(fmt.Sprintf("%s, closed after %d bytes", name, 1000*after), func(t *testing.T) {
				tr := newTraffic(t)
				stop := make(chan struct{})
				defer close(stop)
				start(tr, stop)
				var all sync.WaitGroup
				all.Go(func() { _ = tr.ask() })
				all.Go(func() { _ = tr.serve() })
				all.Go(func() { _ = tr.write(frames(t, settings)) })
				tr.disturb(&all)
				_, _ = io.CopyN(io.Discard, tr.client, 1000*int64(after))
				var closes sync.WaitGroup
				for range 3 {
					closes.Go(func() { assert.NoError(t, tr.conn.Close()) })
				}
				closes.Wait()
				all.Wait()
				tr.handlers.Wait()
				assert.Equal(t, 0, tr.group.Streams())
				assert.Equal(t, 0, tr.group.Conns())
				assert.Zero(t, tr.conn.Codes())
				_, err := tr.conn.Write(frames(t, pong))
				require.ErrorIs(t, err, io.ErrClosedPipe)
			})
		}
	}
}
