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

// wall has a connection that was dialed mind a bubble's wall.
func (s *Server) wall(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &walledConn{c, s}, nil
}

// A walledConn is the client's side of a connection, which nobody can use across a bubble's wall. A transport takes an HTTP/2 connection that it has,
// without asking anybody, and the first that is seen of it is a write in the goroutine of the request. It must fail there: the answer would be the end of the process,
// with words of the runtime's. So would the failure, which ends other streams on the connection from there; then the words are ours at least.
type walledConn struct {
	net.Conn
	server *Server
}

func (c *walledConn) Write(p []byte) (int, error) {
	if err := c.check(); err != nil {
		if c.server.answering() {
			panic(err.Error())
		}
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *walledConn) Read(p []byte) (int, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// check says what is wrong where one side is in a bubble and the other is not, which costs less than to tell one bubble from another: requests do that.
func (c *walledConn) check() error {
	if (c.server.bubble != "") == inBubble() {
		return nil
	}
	return c.server.checkBubble()
}

// CloseWrite ends what this side writes, as with a TCP connection.
func (c *walledConn) CloseWrite() error {
	return c.inner().(interface{ CloseWrite() error }).CloseWrite()
}

// SetLinger with 0 has Close reset the connection, as with a TCP connection.
func (c *walledConn) SetLinger(sec int) error {
	return c.inner().(interface{ SetLinger(sec int) error }).SetLinger(sec)
}

// inner is the connection of the network: TCP, or in memory.
func (c *walledConn) inner() net.Conn {
	if k, ok := c.Conn.(*clientConn); ok {
		return k.Conn
	}
	return c.Conn
}

// The deadlines are refused as well: one of the virtual time of a bubble would be in the past elsewhere.

func (c *walledConn) SetDeadline(t time.Time) error { return c.setDeadline(c.Conn.SetDeadline, t) }

func (c *walledConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(c.Conn.SetReadDeadline, t)
}

func (c *walledConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(c.Conn.SetWriteDeadline, t)
}

func (c *walledConn) setDeadline(set func(time.Time) error, t time.Time) error {
	if err := c.server.checkBubble(); err != nil {
		return err
	}
	return set(t)
}
