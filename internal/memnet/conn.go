package memnet

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Conn is one end of a connection. It behaves as a TCP connection of one process with itself does: what is written arrives whole and in order,
// an end comes behind it, and so does a reset.
type Conn struct {
	in, out       *pipe
	local, remote net.Addr

	mu     sync.Mutex // guards what follows
	resets bool       // Close does not end the connection, but resets it
	onEnd  func()     // called once, when this end is closed; may be nil
}

// Pipe returns the two ends of a connection. A write of one end blocks while the other has so many bytes to read: up is the bound for what a writes, down for what b does.
func Pipe(a, b net.Addr, up, down int) (*Conn, *Conn) {
	forth, back := newPipe(up), newPipe(down)
	return &Conn{in: back, out: forth, local: a, remote: b}, &Conn{in: forth, out: back, local: b, remote: a}
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Read reads what the other end has written, and waits for it. Behind the last byte the error is [io.EOF], or of a connection that was reset ECONNRESET.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.failed("read", err)
}

// Write writes to the other end.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.failed("write", err)
}

// failed wraps an error as package net does.
func (c *Conn) failed(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: c.local, Addr: c.remote, Err: err}
}

// Close closes this end. The other reads what was written before, and the end behind it; what it still writes is an error, EPIPE.
// After SetLinger(0) the connection is reset.
func (c *Conn) Close() error {
	c.mu.Lock()
	resets, onEnd := c.resets, c.onEnd
	c.onEnd = nil
	c.mu.Unlock()
	behind, back := io.EOF, error(syscall.EPIPE)
	if resets {
		behind, back = syscall.ECONNRESET, syscall.ECONNRESET
	}
	again := !c.out.close(net.ErrClosed, behind)
	c.in.abandon(net.ErrClosed, back)
	if onEnd != nil {
		onEnd()
	}
	if again {
		return c.failed("close", net.ErrClosed)
	}
	return nil
}

// CloseWrite ends what this end writes: the other reads [io.EOF] behind it, and can go on writing.
func (c *Conn) CloseWrite() error {
	if !c.out.close(syscall.EPIPE, io.EOF) {
		return c.failed("close", net.ErrClosed)
	}
	return nil
}

// SetLinger with 0 has Close reset the connection, as with a TCP connection. Other values are without effect.
func (c *Conn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resets = sec == 0
	return nil
}

// SetDeadline sets the deadlines of both, reads and writes.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of reads, also of one that is waiting.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

// SetWriteDeadline sets the deadline of writes, also of one that is waiting.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}
