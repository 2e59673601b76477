package ssetest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// A connection is what requests come in on.
type connection struct {
	socket   *socket
	h2       *h2conn.Conn         // nil where nobody can speak HTTP/2
	tls      *tls.ConnectionState // what h2 hides from net/http; nil where it hides none
	requests atomic.Int64         // of HTTP/1.1
}

type connectionKey struct{}

// withConnection keeps the connection for its requests. It is the ConnContext of both servers.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	k := &connection{socket: socketOf(c)}
	if conn, ok := c.(*h2conn.Conn); ok {
		k.h2 = conn
		if t, ok := conn.Conn.(*tls.Conn); ok {
			state := t.ConnectionState()
			k.tls = &state
		}
	}
	return context.WithValue(ctx, connectionKey{}, k)
}

// socketOf finds what a connection of net/http's was accepted as.
func socketOf(c net.Conn) *socket {
	if conn, ok := c.(*h2conn.Conn); ok {
		c = conn.Conn
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*socket)
}

// identify finds out on which connection a request has come in, and as which of its streams, which it numbers from 1 as well.
// It reports false where the client does not wait for an answer, since it has been told to ask elsewhere.
func (x *exchange) identify(r *http.Request) (ordinal int, ok bool) {
	x.conn, _ = r.Context().Value(connectionKey{}).(*connection)
	switch {
	case x.conn == nil: // the handler is called without a server
		return 1, true
	case r.ProtoMajor == 2:
		x.stream, ordinal = h2conn.TakeStream(r.Header)
		x.wire = x.conn.h2.Stream(x.stream)
		return ordinal, ordinal != h2conn.Refused
	default:
		// A request that was read before its connection could be closed will be asked again, where that does no harm.
		x.ordinal = int(x.conn.requests.Add(1))
		return x.ordinal, !x.conn.socket.leaving.Load()
	}
}

// awaitEnd waits until the end of the response, whose handler has returned, is on the wire, or its connection is closed. A negative limit is none.
func (x *exchange) awaitEnd(limit time.Duration) bool {
	switch {
	case x.conn == nil:
		return true
	case x.stream == 0:
		k := x.conn.socket
		return await(&k.mu, &k.changed, limit, func() bool { return k.answered >= x.ordinal || k.closed })
	}
	var expired <-chan time.Time
	if limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-x.wire.Ended():
		return true
	case <-expired:
		return false
	}
}

// resetWith chooses the code that the client is to see when the stream is aborted. Only HTTP/2 has any.
func (x *exchange) resetWith(code http2.ErrCode) {
	if x.stream != 0 {
		x.conn.h2.ResetWith(x.stream, code)
	}
}

// goAway tells the client that the connection takes no further streams. Over HTTP/1.1 it is closed behind this response.
func (x *exchange) goAway(code http2.ErrCode) {
	if x.stream != 0 {
		_ = x.conn.h2.GoAway(code) // where it fails, the client is gone
		return
	}
	x.conn.socket.leaving.Store(true)
}

// followState is called with every change of a connection's state. When a response over HTTP/1.1 has ended, the connection is idle:
// it is closed where it was told to go away.
func followState(c net.Conn, state http.ConnState) {
	if state != http.StateIdle {
		return
	}
	k := socketOf(c)
	k.mu.Lock()
	k.answered++
	k.changed.raise()
	k.mu.Unlock()
	if k.leaving.Load() {
		_ = c.Close()
	}
}
