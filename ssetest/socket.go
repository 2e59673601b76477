package ssetest

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// A socket is a connection as it was accepted, below TLS.
type socket struct {
	net.Conn
	set      *sockets
	progress *atomic.Int64
	number   int // in order of acceptance, from 1

	broken  atomic.Bool // by a fault: what was written is not what the client gets
	stalled atomic.Bool // nothing more is sent
	leaving atomic.Bool // it is closed when the HTTP/1.1 response that is under way has ended

	doomed    atomic.Bool // it is about to be reset, and serves no further request
	resetting atomic.Bool // somebody resets it, or has

	h2 atomic.Pointer[h2conn.Conn] // what reads from it; nil where nobody can speak HTTP/2

	mu       sync.Mutex // guards what follows
	changed  signal     // raised when it has changed
	answered int        // requests of HTTP/1.1 whose responses have ended
	closed   bool
}

func (k *socket) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	k.progress.Add(int64(n))
	return n, err
}

// Write writes in pieces, so that something large is seen to get on.
func (k *socket) Write(p []byte) (int, error) {
	const piece = 64 << 10
	written := 0
	for {
		if k.stalled.Load() {
			return len(p), nil // as a network does that loses everything
		}
		n, err := k.Conn.Write(p[written:min(len(p), written+piece)])
		written += n
		k.progress.Add(int64(n))
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

func (k *socket) Close() error {
	k.set.remove(k)
	err := k.Conn.Close()
	k.mu.Lock()
	k.closed = true
	k.changed.raise()
	k.mu.Unlock()
	return err
}

// CloseWrite lets net/http end a connection in order, as it does with a TCP connection.
func (k *socket) CloseWrite() error {
	if c, ok := k.Conn.(interface{ CloseWrite() error }); ok && !k.stalled.Load() {
		return c.CloseWrite()
	}
	return nil
}

// stall lets nothing more go out.
func (k *socket) stall() {
	k.broken.Store(true)
	k.stalled.Store(true)
}

// reset closes the connection with a TCP RST. The client gets what was written before, if it takes it within a second.
// Where somebody else is about it already, reset does nothing.
func (k *socket) reset() {
	const patience = time.Second
	k.doomed.Store(true)
	if k.resetting.Swap(true) {
		return
	}
	deadline := time.Now().Add(patience)
	if h2 := k.h2.Load(); h2 != nil {
		h2.AwaitSettled(patience / 4)
	}
	if !k.stalled.Load() {
		k.stall()
		awaitDelivery(k.Conn, deadline)
	}
	if tcp, ok := k.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = k.Close()
}

// awaitDelivery waits until a client's kernel has all that was written to its connection, or takes nothing more of it, or until a deadline.
// A reset discards what is still on its way, and may overtake it.
func awaitDelivery(c net.Conn, deadline time.Time) {
	const (
		look     = 100 * time.Microsecond
		patience = 250 * time.Millisecond // beyond the longest time for which a kernel delays an acknowledgement
	)
	conn, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	left := undelivered(raw)
	for since := time.Now(); left > 0 && time.Since(since) < patience && time.Now().Before(deadline); {
		time.Sleep(look)
		if now := undelivered(raw); now != left {
			left, since = now, time.Now()
		}
	}
}

// reset closes a connection in such a way that its client reads "connection reset by peer".
func reset(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// sockets are those that are open.
type sockets struct {
	mu   sync.Mutex // guards open
	open map[*socket]struct{}
}

func (set *sockets) add(k *socket) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.open == nil {
		set.open = make(map[*socket]struct{})
	}
	set.open[k] = struct{}{}
}

func (set *sockets) remove(k *socket) {
	set.mu.Lock()
	defer set.mu.Unlock()
	delete(set.open, k)
}

// all returns those that are open now.
func (set *sockets) all() []*socket {
	set.mu.Lock()
	defer set.mu.Unlock()
	open := make([]*socket, 0, len(set.open))
	for k := range set.open {
		open = append(open, k)
	}
	return open
}

// cut closes all connections below TLS, where nothing can hold that up.
func (set *sockets) cut() {
	for _, k := range set.all() {
		_ = k.Close()
	}
}

// reset resets those for which choose is true. All are doomed before the first is reset: a client that loses one of its connections asks again on another.
func (set *sockets) reset(choose func(*socket) bool) {
	chosen := slices.DeleteFunc(set.all(), func(k *socket) bool { return !choose(k) })
	for _, k := range chosen {
		k.doomed.Store(true)
	}
	var resets sync.WaitGroup
	for _, k := range chosen {
		resets.Go(k.reset)
	}
	resets.Wait()
}
