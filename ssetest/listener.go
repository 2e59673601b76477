package ssetest

import (
	"net"
	"sync"
	"sync/atomic"
)

// A listener keeps the connections that it has accepted, so that they can be cut.
type listener struct {
	net.Listener
	wrap     func(net.Conn) net.Conn // what Accept returns, around the socket; may be nil
	progress *atomic.Int64           // of all sockets

	mu   sync.Mutex // guards open
	open map[*socket]struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	k := &socket{Conn: c, listener: l}
	l.mu.Lock()
	l.open[k] = struct{}{}
	l.mu.Unlock()
	if l.wrap != nil {
		return l.wrap(k), nil
	}
	return k, nil
}

// cut closes all connections below TLS, where nothing can hold that up.
func (l *listener) cut() {
	l.mu.Lock()
	left := make([]*socket, 0, len(l.open))
	for k := range l.open {
		left = append(left, k)
	}
	l.mu.Unlock()
	for _, k := range left {
		_ = k.Close()
	}
}

// A socket is a connection as it was accepted.
type socket struct {
	net.Conn
	listener *listener
}

func (k *socket) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	k.listener.progress.Add(int64(n))
	return n, err
}

// Write writes in pieces, so that something large is seen to get on.
func (k *socket) Write(p []byte) (int, error) {
	const piece = 64 << 10
	written := 0
	for {
		n, err := k.Conn.Write(p[written:min(len(p), written+piece)])
		written += n
		k.listener.progress.Add(int64(n))
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

func (k *socket) Close() error {
	k.listener.mu.Lock()
	delete(k.listener.open, k)
	k.listener.mu.Unlock()
	return k.Conn.Close()
}

// CloseWrite lets net/http end a connection in order, as it does with a TCP connection.
func (k *socket) CloseWrite() error {
	if c, ok := k.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// A queue is a listener whose connections come from within.
type queue struct {
	conns chan net.Conn
	done  chan struct{}
	addr  net.Addr
	once  sync.Once
}

func newQueue(addr net.Addr) *queue {
	return &queue{conns: make(chan net.Conn), done: make(chan struct{}), addr: addr}
}

// put hands over a connection, and reports false where the queue is closed.
func (q *queue) put(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.done:
		return false
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *queue) Addr() net.Addr { return q.addr }
