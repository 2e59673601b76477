package ssetest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// This file is what has to be over when a testing/synctest bubble ends: a goroutine that is left there is a deadlock, and takes the process down.

// leaveBubble closes what a test has forgotten of the server's client, and names the connections of other clients whose ends are open.
func (s *Server) leaveBubble() {
	if !s.bubbled {
		return
	}
	s.test.Helper()
	s.bodies.close()
	s.bodies.CloseIdleConnections()
	// On virtual time, everybody has come to rest when the shortest of times has passed.
	for range idleLooks {
		if len(s.memory.Clients()) == 0 {
			return
		}
		time.Sleep(lookInterval)
	}
	var left strings.Builder
	for _, c := range s.memory.Clients() {
		fmt.Fprintf(&left, "\n  %s", s.describeConnection(c.LocalAddr().String()))
	}
	s.test.Errorf("ssetest: in this testing/synctest bubble, connections are open on their clients' side when the test ends, which will be a deadlock; "+
		"close the bodies of their responses, or use srv.Client(), which does that by itself:%s", left.String())
}

// describeConnection says what a client has last asked on a connection, by the client's address.
func (s *Server) describeConnection(client string) string {
	number := s.listener.numberOf(client)
	requests := s.Requests()
	for i := len(requests) - 1; i >= 0; i-- {
		if requests[i].Connection == number {
			return fmt.Sprintf("connection %d, on which the last request was %v", number, requests[i])
		}
	}
	return fmt.Sprintf("connection %d, on which there was no request", number)
}

// bodies is a transport that knows the bodies of its responses that are open.
type bodies struct {
	*http.Transport

	mu   sync.Mutex // guards open
	open map[*trackedBody]struct{}
}

func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body := &trackedBody{response.Body, b}
	b.mu.Lock()
	b.open[body] = struct{}{}
	b.mu.Unlock()
	response.Body = body
	return response, nil
}

// close closes those that are open.
func (b *bodies) close() {
	b.mu.Lock()
	open := make([]*trackedBody, 0, len(b.open))
	for body := range b.open {
		open = append(open, body)
	}
	b.mu.Unlock()
	for _, body := range open {
		_ = body.Close()
	}
}

// A trackedBody is open until it is closed.
type trackedBody struct {
	io.ReadCloser
	of *bodies
}

func (b *trackedBody) Close() error {
	b.of.mu.Lock()
	delete(b.of.open, b)
	b.of.mu.Unlock()
	return b.ReadCloser.Close()
}
