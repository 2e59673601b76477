package bench_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/go-ssetest/sse/ssetest"
)

const (
	mark  = '$' // stands once in each event that is counted, and nowhere else
	probe = "^" // the data of an event that asks who is there

	// patience is how long anything may take that is not timed.
	patience = time.Minute
)

// A place is where a crowd goes.
type place struct {
	protocol ssetest.Protocol // HTTP1 or HTTP2
	dial     func() (net.Conn, error)
	host     string
	path     string
}

// A crowd is many subscribers of one event stream. Each is the least that a client can be: it counts the events that have come, and nothing else,
// so that what is timed is mostly the server.
type crowd struct {
	place
	size int

	seen  atomic.Int64 // events
	want  atomic.Int64
	there chan struct{} // gets a value when there are as many as are wanted

	open     atomic.Int64 // have got their headers
	allOpen  chan struct{}
	ended    atomic.Int64 // have seen the end of their stream
	allEnded chan struct{}
	keeps    atomic.Bool // what arrives
	ending   atomic.Bool // the server is about to end all streams
	failed   chan error

	mu     sync.Mutex // guards what follows
	kept   [][]byte
	probed int // have got a probe
	conns  []net.Conn
	closed bool
}

// newCrowd has so many subscribers ask, on so few connections that each has at most perConn of them. Over HTTP/1.1 each has a connection of its own.
func newCrowd(p place, size, perConn int) (*crowd, error) {
	c := &crowd{place: p, size: size, there: make(chan struct{}, 1), allOpen: make(chan struct{}), allEnded: make(chan struct{}), failed: make(chan error, 1), kept: make([][]byte, size)}
	if p.protocol == ssetest.HTTP1 {
		perConn = 1
	}
	for first := 0; first < size; first += perConn {
		conn, err := p.dial()
		if err != nil {
			c.close()
			return nil, err
		}
		c.conns = append(c.conns, conn)
		if p.protocol == ssetest.HTTP1 {
			err = c.askHTTP1(conn, first)
		} else {
			err = c.askHTTP2(conn, first, min(perConn, size-first))
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// awaitOpen waits until all have got their headers.
func (c *crowd) awaitOpen() error { return c.await(c.allOpen, "open streams") }

// expectEnd says that the server is about to end all streams.
func (c *crowd) expectEnd() { c.ending.Store(true) }

// awaitEnded waits until all have seen the end of their stream.
func (c *crowd) awaitEnded() error { return c.await(c.allEnded, "ends") }

// expect says that everybody is about to be sent so many events.
func (c *crowd) expect(events int) { c.want.Add(int64(c.size * events)) }

// awaitEvents waits until everybody has got them.
func (c *crowd) awaitEvents() error { return c.await(c.there, "events") }

func (c *crowd) await(what <-chan struct{}, name string) error {
	select { // mostly it is there, and a timer would cost something
	case <-what:
		return nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-what:
		return nil
	case err := <-c.failed:
		return fmt.Errorf("waiting for %s: %w", name, err)
	case <-timer.C:
		return fmt.Errorf("no more %s after %v: %d open, %d events of %d", name, patience, c.open.Load(), c.seen.Load(), c.want.Load())
	}
}

// join publishes probes until everybody has got one: some servers register a stream when its headers are out already, others send no headers before there is an event.
func (c *crowd) join(publish func(data string)) error {
	c.keeps.Store(true)
	for start := time.Now(); time.Since(start) < patience; {
		publish(probe)
		for range 20 {
			c.mu.Lock()
			all := c.probed == c.size
			c.mu.Unlock()
			if all {
				return nil
			}
			select {
			case err := <-c.failed:
				return err
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%d of %d were there after %v", c.probed, c.size, patience)
}

// got returns the data of what somebody has got, without the probes.
func (c *crowd) got(i int) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var r io.Reader = bytes.NewReader(c.kept[i])
	if c.protocol == ssetest.HTTP1 {
		r = &chunks{r: bufio.NewReader(r)}
	}
	var data []string
	for event, err := range ssetest.Events(r) {
		if err != nil {
			return data, err
		}
		if event.Data != probe {
			data = append(data, event.Data)
		}
	}
	return data, nil
}

// forget lets go of what has been kept, and keeps nothing more.
func (c *crowd) forget() {
	c.keeps.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = nil
}

func (c *crowd) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.conns {
		_ = conn.Close() // whatever it still has
	}
}

func (c *crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	select {
	case c.failed <- err:
	default: // the first one tells enough
	}
}

// take counts what somebody has got.
func (c *crowd) take(i int, p []byte) {
	if c.keeps.Load() {
		c.mu.Lock()
		if c.kept != nil {
			before := bytes.Contains(c.kept[i], []byte(probe))
			c.kept[i] = append(c.kept[i], p...)
			if !before && bytes.Contains(p, []byte(probe)) {
				c.probed++
			}
		}
		c.mu.Unlock()
	}
	if n := bytes.Count(p, []byte{mark}); n > 0 && c.seen.Add(int64(n)) == c.want.Load() {
		c.there <- struct{}{}
	}
}

func (c *crowd) opened() {
	if c.open.Add(1) == int64(c.size) {
		close(c.allOpen)
	}
}

func (c *crowd) end() {
	if c.ended.Add(1) == int64(c.size) {
		close(c.allEnded)
	}
}

// askHTTP1 has subscriber i ask on a connection of its own.
func (c *crowd) askHTTP1(conn net.Conn, i int) error {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", c.path, c.host); err != nil {
		return err
	}
	go func() {
		r := bufio.NewReaderSize(conn, 8<<10)
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			c.fail(err)
			return
		}
		if response.StatusCode != http.StatusOK {
			c.fail(errors.New(response.Status))
			return
		}
		c.opened()
		for {
			// The chunks as they are: neither mark can be in what is around them.
			if _, err := r.Peek(1); err != nil {
				if !c.ending.Load() || err != io.EOF {
					c.fail(err)
				}
				c.end()
				_ = conn.Close() // as a client does
				return
			}
			p, _ := r.Peek(r.Buffered()) // no more than there is
			c.take(i, p)
			_, _ = r.Discard(len(p)) // that much there is
		}
	}()
	return nil
}

// askHTTP2 has n subscribers ask on one connection, the first of which has the number first.
func (c *crowd) askHTTP2(conn net.Conn, first, n int) error {
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // on loopback, and certificates are not what is timed
	w := bufio.NewWriterSize(secure, 64<<10)
	framer := http2.NewFramer(w, bufio.NewReaderSize(secure, 64<<10))
	framer.SetReuseFrames()
	const window = 1<<31 - 1
	_, err := w.WriteString(http2.ClientPreface)
	err = errors.Join(err,
		framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingEnablePush, Val: 0}),
		framer.WriteWindowUpdate(0, window-65535))
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for k := range n {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", c.host}, {":path", c.path}} {
			err = errors.Join(err, encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
		}
		err = errors.Join(err, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*k + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		return err
	}
	go func() {
		if err := c.readHTTP2(framer, w, first, n); err != nil {
			c.fail(err)
		}
		_ = conn.Close() // nothing more is read
	}()
	return nil
}

func (c *crowd) readHTTP2(framer *http2.Framer, w *bufio.Writer, first, n int) error {
	var status string
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			status = f.Value
		}
	})
	used := 0 // of the connection's window
	ended, leaving := 0, false
	for {
		if leaving && ended == n {
			return nil // as a client does
		}
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		i := first + int(frame.Header().StreamID)/2
		switch f := frame.(type) {
		case *http2.DataFrame:
			if len(f.Data()) > 0 {
				c.take(i, f.Data())
			}
			if f.StreamEnded() {
				ended++
				c.end()
			}
			if used += int(f.Length); used > 1<<28 {
				err = framer.WriteWindowUpdate(0, uint32(used))
				used = 0
			}
		case *http2.HeadersFrame:
			if _, err := decoder.Write(f.HeaderBlockFragment()); err != nil {
				return err
			}
			if status != "200" {
				return fmt.Errorf("status %s", status)
			}
			c.opened()
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo || !c.ending.Load() {
				return fmt.Errorf("%v", f)
			}
			leaving = true
		case *http2.RSTStreamFrame:
			return fmt.Errorf("%v", f)
		}
		if err = errors.Join(err, w.Flush()); err != nil {
			return err
		}
	}
}

// chunks reads the chunks of HTTP/1.1 (RFC 9112, section 7.1), and takes the end of what there is for their end: more may be on its way.
type chunks struct {
	r    *bufio.Reader
	left int // of the chunk
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return 0, io.EOF
		}
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "%x", &c.left); err != nil || c.left == 0 {
			return 0, fmt.Errorf("a chunk begins with %q", line)
		}
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 && err == nil {
		_, err = c.r.Discard(2)
	}
	return n, err
}

// loopback dials an address.
func loopback(addr string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.Dial("tcp", addr) }
}

// must ends a benchmark.
func must(tb testing.TB, err error) {
	if err != nil {
		tb.Helper()
		tb.Fatal(err)
	}
}
