package ssetest

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ssetest/sse/internal/memnet"
)

// A listener accepts connections at one address. It can be taken down, and brought up again.
type listener struct {
	wrap     func(net.Conn) net.Conn // what Accept returns, around the socket; may be nil
	memory   *memnet.Listener        // what it listens on; nil for a socket
	sockets  sockets
	progress *atomic.Int64 // of all sockets
	addr     net.Addr

	mu       sync.Mutex   // guards what follows; never held over I/O or a wait
	changed  signal       // raised when it has changed
	current  net.Listener // nil while it is down
	closed   bool
	falling  bool       // it is being taken down
	refusing bool       // in memory: it is down
	late     []net.Conn // accepted since that has begun, and to be reset
	reserved []net.Conn // both ends of a connection that keeps the port while it is down
	accepted int
	numbers  map[net.Addr]int // of connections in memory, by the client's address
}

// refuse has what is being accepted in memory reset, or not any more.
func (l *listener) refuse(refuse bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusing = refuse
}

// forget drops the numbers of connections that are closed, when there are many. l.mu is held.
func (l *listener) forget() {
	const many = 1 << 12
	if len(l.numbers) < many {
		return
	}
	open := make(map[net.Addr]bool)
	for _, c := range l.memory.Clients() {
		open[c.LocalAddr()] = true
	}
	maps.DeleteFunc(l.numbers, func(client net.Addr, _ int) bool { return !open[client] })
}

// numberOf is the number of a connection in memory, by the client's address; 0 where none has been accepted.
func (l *listener) numberOf(client net.Addr) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.numbers[client]
}

func newListener(l net.Listener, progress *atomic.Int64) *listener {
	return &listener{current: l, addr: l.Addr(), progress: progress}
}

// Addr is where the listener is, or was before it was taken down.
func (l *listener) Addr() net.Addr { return l.addr }

// Accept returns the next connection. While the listener is down it waits.
func (l *listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		current, closed, changed := l.current, l.closed, l.changed.next()
		l.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case current == nil:
			<-changed
			continue
		}
		c, err := current.Accept()
		switch k, ok := l.take(current, c, err); {
		case !ok:
			continue
		case err != nil:
			return nil, err
		case l.wrap != nil:
			return l.wrap(k), nil
		default:
			return k, nil
		}
	}
}

// take makes a socket of what was accepted. It reports false where the listener goes down, which is no failure of Accept.
func (l *listener) take(from net.Listener, c net.Conn, err error) (k *socket, ok bool) {
	l.mu.Lock()
	lost := l.current != from || l.refusing
	switch {
	case lost || err != nil:
	case l.falling:
		l.late = append(l.late, c)
		l.changed.raise()
	default:
		l.accepted++
		k = &socket{Conn: c, set: &l.sockets, progress: l.progress, number: l.accepted}
		l.sockets.add(k)
		if l.memory != nil {
			if l.numbers == nil {
				l.numbers = make(map[net.Addr]int)
			}
			l.forget()
			l.numbers[c.RemoteAddr()] = l.accepted
		}
	}
	l.mu.Unlock()
	if lost && err == nil {
		reset(c)
	}
	return k, k != nil || !lost && err != nil
}

// Close ends Accept.
func (l *listener) Close() error {
	l.mu.Lock()
	current, reserved := l.current, l.reserved
	l.closed, l.reserved = true, nil
	l.changed.raise()
	l.mu.Unlock()
	for _, c := range reserved {
		_ = c.Close()
	}
	if current == nil {
		return nil
	}
	return current.Close()
}

// down refuses new connections, until up.
//
// Nobody else may get the port meanwhile, neither a listener nor a client that connects from it. A connection of our own, accepted there
// before the listener is closed, sees to that. What else is accepted until then is late, and reset.
func (l *listener) down() {
	if l.memory != nil {
		l.refuse(true)
		l.memory.Refuse(true)
		return
	}
	l.mu.Lock()
	current := l.current
	if current == nil || l.closed || l.falling {
		l.mu.Unlock()
		return
	}
	l.falling = true
	l.mu.Unlock()

	const patience = time.Second
	mine, err := net.DialTimeout(l.addr.Network(), strings.TrimPrefix(reachable("//"+l.addr.String()), "//"), patience)
	theirs := -1 // the other end of mine, in late
	if err == nil {
		await(&l.mu, &l.changed, patience, func() bool {
			theirs = slices.IndexFunc(l.late, func(c net.Conn) bool { return c.RemoteAddr().String() == mine.LocalAddr().String() })
			return theirs >= 0 || l.closed
		})
	}
	l.mu.Lock()
	late := l.late
	l.current, l.late, l.falling = nil, nil, false
	switch {
	case theirs >= 0 && !l.closed:
		l.reserved = []net.Conn{mine, late[theirs]}
		late = slices.Delete(late, theirs, theirs+1)
	case err == nil:
		late = append(late, mine)
	}
	l.mu.Unlock()
	_ = current.Close()
	for _, c := range late {
		reset(c)
	}
}

// up listens again.
func (l *listener) up() error {
	if l.memory != nil {
		l.refuse(false)
		l.memory.Refuse(false)
		return nil
	}
	l.mu.Lock()
	needless := l.current != nil || l.closed
	l.mu.Unlock()
	if needless {
		return nil
	}
	again, err := net.Listen(l.addr.Network(), l.addr.String())
	l.mu.Lock()
	if l.current != nil || l.closed { // somebody else was faster
		l.mu.Unlock()
		if err == nil {
			_ = again.Close()
		}
		return nil
	}
	reserved := l.reserved
	if err == nil {
		l.current, l.reserved = again, nil
		l.changed.raise()
	}
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("listening at %v again: %w", l.addr, err)
	}
	for _, c := range reserved {
		_ = c.Close()
	}
	return nil
}
