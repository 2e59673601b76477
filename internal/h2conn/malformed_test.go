package h2conn_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// unusual are requests with which something may be wrong.
var unusual = map[string][]hpack.HeaderField{
	"nothing wrong":        usual,
	"a name in upper case": append(slices.Clone(usual), fields("Upper", "x")...),
	"a line end":           append(slices.Clone(usual), fields("x-lines", "one\ntwo")...),
	"no path":              fields(":method", "GET", ":scheme", "http"),
	"a late pseudo-header": append(slices.Clone(usual), fields(":late", "x")...),
	"too large":            append(slices.Clone(usual), fields("x-large", strings.Repeat("x", 10<<10))...),
}

// answers is what a server answers on its second stream, when the first has a request that is not over, and whether the first is alive after it.
func answers(t *testing.T, wrap func(net.Conn) net.Conn, second []byte) (all []string) {
	t.Helper()
	theirs, ours := net.Pipe()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: &p, MaxHeaderBytes: 4 << 10, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h2conn.TakeStream(r.Header)
		_, _ = io.Copy(w, r.Body)
	})}
	l := &once{conn: wrap(theirs), closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		_ = ours.Close()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}()

	first := newEncoder().block(t, usual)
	sent := slices.Concat([]byte(http2.ClientPreface), frames(t, settings, func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: true})
	}), second, frames(t, lastData(1, "alive")))
	go func() {
		_, _ = ours.Write(sent) // fails where the server closes the connection
		synctest.Wait()
		_ = ours.Close()
	}()
	f := http2.NewFramer(nil, ours)
	for {
		got, err := f.ReadFrame()
		if err != nil {
			slices.Sort(all) // streams are independent of each other
			return all
		}
		switch got := got.(type) {
		case *http2.HeadersFrame:
			all = append(all, fmt.Sprintf("HEADERS of %d", got.StreamID))
		case *http2.RSTStreamFrame:
			all = append(all, fmt.Sprintf("RST_STREAM of %d: %v", got.StreamID, got.ErrCode))
		case *http2.GoAwayFrame:
			all = append(all, fmt.Sprintf("GOAWAY: %v", got.ErrCode))
		case *http2.DataFrame:
			if got.StreamID == 1 && string(got.Data()) == "alive" {
				all = append(all, "alive")
			}
		}
	}
}

// once is a listener that accepts one connection.
type once struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *once) Close() error {
	close(l.closed)
	return nil
}

func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

// What has a flag for padding and no byte of it stays malformed.
func TestPaddingWithoutItsLength(t *testing.T) {
	second := frames(t, func(f *http2.Framer) error {
		return f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream|http2.FlagHeadersPadded, 3, nil)
	})
	var want, got []string
	synctest.Test(t, func(t *testing.T) { want = answers(t, func(c net.Conn) net.Conn { return c }, second) })
	synctest.Test(t, func(t *testing.T) {
		got = answers(t, func(c net.Conn) net.Conn { return h2conn.New(c, h2conn.NewGroup(func() {})) }, second)
	})
	require.Equal(t, want, got)
}

// A server takes a request with which something is wrong as it would without a Conn: what is an error of the stream does not end the others.
func TestMalformedRequestsAreWhatTheyAre(t *testing.T) {
	for name, list := range unusual {
		for how, s := range shapes {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // net/http waits for a second after it has given up a connection
					second := s.frames(t, 3, newEncoder().block(t, list))
					want := answers(t, func(c net.Conn) net.Conn { return c }, second)
					got := answers(t, func(c net.Conn) net.Conn { return h2conn.New(c, h2conn.NewGroup(func() {})) }, second)
					require.Equal(t, want, got)
				})
			})
		}
	}
}
