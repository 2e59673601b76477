// Package memnet is a network in memory: listeners and connections that behave as TCP's do, and on which a goroutine that waits is
// durably blocked, so that they work in a testing/synctest bubble, on its virtual time.
package memnet

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	// upBound is how much of a client's bytes waits to be read. A client of HTTP/2 holds a mutex while a write of its is blocked, which in a bubble would stop the clock:
	// it is more than clients are ever ahead of a server.
	upBound = 64 << 20

	// downBound is how much of a server's bytes waits, as in the buffers of a socket: a server that writes to a client that does not read has to be held up.
	downBound = 4 << 20
)

// A Listener is a [net.Listener] whose connections come from [Listener.DialContext].
type Listener struct {
	addr Addr

	mu     sync.Mutex // guards what follows
	come   sync.Cond  // there is a connection to accept, or there will be none any more
	queue  []*Conn
	closed bool
	down   bool               // connections are refused
	conns  map[*Conn]struct{} // the clients' ends that are open
}

// An Addr is where a listener or a client is.
type Addr struct {
	Host string
	Port int
}

// Network returns "memory".
func (Addr) Network() string { return "memory" }

// String returns the host and the port.
func (a Addr) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// Listen returns a listener that is at an address, which is for the caller to keep apart from others.
func Listen(addr Addr) *Listener {
	l := &Listener{addr: addr, conns: make(map[*Conn]struct{})}
	l.come.L = &l.mu
	return l
}

// Accept returns the next connection, and waits for it.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.come.Wait()
	}
	if l.closed {
		return nil, l.failed("accept", net.ErrClosed)
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close refuses further connections, and resets those that nobody has accepted.
func (l *Listener) Close() error {
	l.mu.Lock()
	queue := l.queue
	again := l.closed
	l.queue, l.closed = nil, true
	l.come.Broadcast()
	l.mu.Unlock()
	for _, c := range queue {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	if again {
		return l.failed("close", net.ErrClosed)
	}
	return nil
}

// Refuse refuses further connections, or takes them again. Those that nobody has accepted are reset.
func (l *Listener) Refuse(refuse bool) {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.down = nil, refuse
	l.mu.Unlock()
	for _, c := range queue {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// Addr returns where the listener is.
func (l *Listener) Addr() net.Addr { return l.addr }

var lastPort atomic.Int64 // of clients

// DialContext connects, as soon as it is called: it does not wait until the connection is accepted.
func (l *Listener) DialContext(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, l.failed("dial", context.Cause(ctx))
	}
	client, server := Pipe(Addr{"client", int(lastPort.Add(1))}, l.addr, upBound, downBound)
	client.onEnd = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, client)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.down {
		return nil, l.failed("dial", syscall.ECONNREFUSED)
	}
	l.queue = append(l.queue, server)
	l.conns[client] = struct{}{}
	l.come.Signal()
	return client, nil
}

// Clients returns the clients' ends that are open, whatever has become of the servers'.
func (l *Listener) Clients() []net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	clients := make([]net.Conn, 0, len(l.conns))
	for c := range l.conns {
		clients = append(clients, c)
	}
	return clients
}

func (l *Listener) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Addr: l.addr, Err: err}
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
