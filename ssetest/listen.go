package ssetest

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// listen starts the httptest server.
func (s *Server) listen() error {
	handler := s.handler()
	s.wire = h2conn.NewGroup(s.raise)
	var err error
	if s.front, err = unstarted(handler); err != nil {
		return err
	}
	if s.cfg.Addr != "" {
		_ = s.front.Listener.Close() // it listens on a port of httptest's choice
		l, err := net.Listen("tcp", s.cfg.Addr)
		if err != nil {
			return fmt.Errorf("Config.Addr: %w", err)
		}
		s.front.Listener = l
	}
	s.sockets = &listener{Listener: s.front.Listener, progress: &s.progress, open: make(map[*socket]struct{})}
	s.front.Listener = s.sockets
	s.configure(s.front.Config)

	switch s.cfg.Protocol {
	case HTTP1:
		s.front.Start()
	case H2C:
		s.sockets.wrap = func(c net.Conn) net.Conn { return h2conn.New(c, s.wire) }
		s.front.Config.Protocols = protocols((*http.Protocols).SetUnencryptedHTTP2, (*http.Protocols).SetHTTP1)
		s.front.Start()
		s.transport().Protocols = protocols((*http.Protocols).SetUnencryptedHTTP2)
	default:
		if err := s.listenTLS(handler); err != nil {
			_ = s.front.Listener.Close()
			return err
		}
	}
	s.URL = reachable(s.front.URL)
	return nil
}

// unstarted makes an error of the panic with which httptest says that there is no port to be had.
func unstarted(handler http.Handler) (server *httptest.Server, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("%v", value)
		}
	}()
	return httptest.NewUnstartedServer(handler), nil
}

func (s *Server) listenTLS(handler http.Handler) error {
	cert, err := certificate()
	if err != nil {
		return err
	}
	s.front.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if s.cfg.Protocol == HTTP2 {
		s.front.EnableHTTP2 = true
		s.serveH2(handler)
	}
	s.front.StartTLS()
	return nil
}

// serveH2 stands between net/http's HTTP/2 and the wire, above TLS. A connection for which ALPN chose h2 is handed
// to a second server that believes to speak HTTP/2 without TLS, on an [h2conn.Conn] that sees the frames.
func (s *Server) serveH2(handler http.Handler) {
	s.h2queue = newQueue(s.front.Listener.Addr())
	s.h2 = &http.Server{
		Handler:     handler,
		Protocols:   protocols((*http.Protocols).SetUnencryptedHTTP2),
		ConnContext: keepTLSState,
	}
	s.configure(s.h2)
	s.h2served = make(chan struct{})
	go func() {
		defer close(s.h2served)
		_ = s.h2.Serve(s.h2queue) // ends with ErrServerClosed
	}()
	s.front.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
			conn := h2conn.New(c, s.wire)
			if s.h2queue.put(conn) {
				<-conn.Closed()
			}
			_ = conn.Close()
		},
	}
}

// configure sets what both servers have in common.
func (s *Server) configure(hs *http.Server) {
	hs.BaseContext = func(net.Listener) context.Context { return s.base }
	hs.ErrorLog = log.New(noteWriter{s}, "", 0)
}

// transport is that of Client.
func (s *Server) transport() *http.Transport { return s.front.Client().Transport.(*http.Transport) }

type tlsStateKey struct{}

// keepTLSState keeps what a handler expects in Request.TLS, and what an h2conn.Conn hides from net/http.
func keepTLSState(ctx context.Context, c net.Conn) context.Context {
	state := c.(*h2conn.Conn).Conn.(*tls.Conn).ConnectionState()
	return context.WithValue(ctx, tlsStateKey{}, &state)
}

func protocols(set ...func(*http.Protocols, bool)) *http.Protocols {
	var p http.Protocols
	for _, f := range set {
		f(&p, true)
	}
	return &p
}

// reachable turns the URL of a server that listens on all interfaces into one that the certificate is good for.
func reachable(url string) string {
	return strings.NewReplacer("//[::]:", "//127.0.0.1:", "//0.0.0.0:", "//127.0.0.1:").Replace(url)
}

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
