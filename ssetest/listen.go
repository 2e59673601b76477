package ssetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/go-ssetest/sse/internal/h2conn"
	"github.com/go-ssetest/sse/internal/memnet"
)

// listen starts the httptest server.
func (s *Server) listen() error {
	handler := s.handler()
	if handler == nil {
		return errors.New("Config.Wrap has returned nil")
	}
	s.wire = h2conn.NewGroup(s.raise)
	var err error
	if s.front, err = s.unstarted(handler); err != nil {
		return err
	}
	if s.cfg.Addr != "" && s.memory == nil {
		_ = s.front.Listener.Close() // it listens on a port of httptest's choice
		l, err := net.Listen("tcp", s.cfg.Addr)
		if err != nil {
			return fmt.Errorf("Config.Addr: %w", err)
		}
		s.front.Listener = l
	}
	s.listener = newListener(s.front.Listener, &s.progress)
	s.listener.memory = s.memory
	s.front.Listener = s.listener
	s.configure(s.front.Config)
	s.front.Config.ConnState = followState

	switch s.cfg.Protocol {
	case HTTP1:
		s.front.Config.Protocols = protocols((*http.Protocols).SetHTTP1) // HTTP/2, which nobody can speak there, takes time to be prepared
		s.front.Start()
	case H2C:
		s.listener.wrap = func(c net.Conn) net.Conn { return s.watch(c) }
		s.front.Config.Protocols = protocols((*http.Protocols).SetUnencryptedHTTP2, (*http.Protocols).SetHTTP1)
		s.front.Start()
		s.transport().Protocols = protocols((*http.Protocols).SetUnencryptedHTTP2)
	default:
		if err := s.listenTLS(handler); err != nil {
			_ = s.front.Listener.Close()
			return err
		}
	}
	transport := s.transport()
	s.dialLoopback = rememberResets(transport.DialContext)
	transport.DialContext = s.DialContext
	// Asked for each request of HTTP/1.1, also where there is a connection already, which nobody may use across a bubble's wall. Those of HTTP/2 see to it themselves.
	transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, s.checkBubble() }
	if s.bubble != "" {
		s.bodies = &bodies{Transport: transport, server: s, open: make(map[*trackedBody]struct{})}
		s.front.Client().Transport = s.bodies
	}
	s.URL = reachable(s.front.URL)
	if s.memory != nil {
		inMemory.Store(memoryKey(s.memory.Addr().String()), s)
	}
	return nil
}

// unstarted returns a httptest server that listens, on a port of its choice or in memory.
// It makes an error of the panic with which httptest says that there is no port to be had.
func (s *Server) unstarted(handler http.Handler) (server *httptest.Server, err error) {
	if s.cfg.Network == InMemory {
		s.memory = memnet.Listen(memoryAddr())
		return &httptest.Server{Listener: s.memory, Config: &http.Server{Handler: handler}}, nil
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("%v", value)
		}
	}()
	return httptest.NewUnstartedServer(handler), nil
}

func (s *Server) listenTLS(handler http.Handler) error {
	cert, err := s.certificate()
	if err != nil {
		return err
	}
	s.front.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, CurvePreferences: curves}
	if s.cfg.Protocol == HTTP2 {
		s.front.EnableHTTP2 = true
		s.serveH2(handler)
	}
	s.front.StartTLS()
	s.transport().TLSClientConfig.CurvePreferences = curves
	return nil
}

// curves are those of which a key exchange costs least. Nobody records what is said to a test's server, to read it when there are quantum computers.
var curves = []tls.CurveID{tls.X25519, tls.CurveP256}

// serveH2 stands between net/http's HTTP/2 and the wire, above TLS. A connection for which ALPN chose h2 is handed
// to a second server that believes to speak HTTP/2 without TLS, on an [h2conn.Conn] that sees the frames.
func (s *Server) serveH2(handler http.Handler) {
	s.h2queue = newQueue(s.front.Listener.Addr())
	s.h2 = &http.Server{
		Handler:   handler,
		Protocols: protocols((*http.Protocols).SetUnencryptedHTTP2),
	}
	s.configure(s.h2)
	s.h2served = make(chan struct{})
	go func() {
		defer close(s.h2served)
		_ = s.h2.Serve(s.h2queue) // ends with ErrServerClosed
	}()
	s.front.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
			conn := s.watch(c)
			if s.h2queue.put(conn) {
				<-conn.Closed()
			}
			_ = conn.Close()
		},
	}
}

// watch has the frames of a connection seen, should it speak HTTP/2.
func (s *Server) watch(c net.Conn) *h2conn.Conn {
	conn := h2conn.New(c, s.wire)
	socketOf(conn).h2.Store(conn)
	return conn
}

// configure sets what both servers have in common.
func (s *Server) configure(hs *http.Server) {
	hs.BaseContext = func(net.Listener) context.Context { return s.base }
	hs.ConnContext = withConnection
	hs.ErrorLog = log.New(noteWriter{s}, "", 0)
	hs.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: s.cfg.MaxConcurrentStreams}
}

// transport is that of Client, while the server is started.
func (s *Server) transport() *http.Transport { return s.front.Client().Transport.(*http.Transport) }

func protocols(set ...func(*http.Protocols, bool)) *http.Protocols {
	var p http.Protocols
	for _, f := range set {
		f(&p, true)
	}
	return &p
}

// reachable turns the URL of a server that listens on all interfaces into one that the certificate is good for.
func reachable(url string) string { return allInterfaces.Replace(url) }

var allInterfaces = strings.NewReplacer("//[::]:", "//127.0.0.1:", "//0.0.0.0:", "//127.0.0.1:")
