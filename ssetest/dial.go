package ssetest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// rememberResets has what dial returns tell resets from ends.
func rememberResets(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &clientConn{Conn: c, writing: make(chan struct{}, 1)}, nil
	}
}

// A clientConn is the client's side of a connection. A kernel says only once that a connection was reset. Where a write is told,
// which HTTP/2 has at any time, a read finds the end of the connection; here it finds the reset as well.
type clientConn struct {
	net.Conn
	writing chan struct{} // has one slot, filled while a write is going on
	reset   atomic.Pointer[error]
}

func (c *clientConn) Write(p []byte) (int, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.ECONNRESET) {
		c.reset.Store(&err)
	}
	return n, err
}

func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		c.awaitWrite()
		if reset := c.reset.Load(); reset != nil {
			err = *reset
		}
	}
	return n, err
}

// awaitWrite waits for a write that may be about to say what it was told. One that the server does not read may last.
func (c *clientConn) awaitWrite() {
	const patience = 100 * time.Millisecond
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case c.writing <- struct{}{}:
		<-c.writing
	case <-timer.C:
	}
}
