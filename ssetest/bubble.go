package ssetest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file is what has to be over when a testing/synctest bubble ends: a goroutine that is left there is a deadlock, and takes the process down.

// leaveBubble closes what a test has forgotten of the server's client, and names the connections of other clients whose ends are open.
func (s *Server) leaveBubble() {
	if s.bubble == "" {
		return
	}
	s.test.Helper()
	// On virtual time, everybody has come to rest when the shortest of times has passed.
	for range idleLooks {
		s.bodies.close()
		s.bodies.CloseIdleConnections()
		if len(s.memory.Clients()) == 0 {
			s.bodies.awaitDeadlines()
			return
		}
		time.Sleep(lookInterval)
	}
	var left strings.Builder
	for _, c := range s.memory.Clients() {
		fmt.Fprintf(&left, "\n  %s", s.describeConnection(c.LocalAddr()))
	}
	s.test.Errorf("ssetest: in this testing/synctest bubble, connections are open on their clients' side when the test ends, which will be a deadlock; "+
		"close the bodies of their responses, or use srv.Client(), which does that by itself:%s", left.String())
}

// describeConnection says what a client has last asked on a connection, by the client's address.
func (s *Server) describeConnection(client net.Addr) string {
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
	server *Server

	mu       sync.Mutex // guards what follows
	open     map[*trackedBody]struct{}
	deadline time.Time // the latest of the requests whose bodies were forgotten
}

func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := b.server.checkBubble(); err != nil {
		return refusingTransport{err}.RoundTrip(r)
	}
	response, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if _, ok := response.Body.(io.Writer); ok { // of a connection that has been switched to another protocol
		return response, nil
	}
	of := b
	if other, ok := inMemory.Load(memoryKey(r.URL.Host)); ok && other.(*Server).bodies != nil {
		of = other.(*Server).bodies // which a redirect has led to
	}
	body := &trackedBody{response.Body, r, of}
	of.mu.Lock()
	of.open[body] = struct{}{}
	of.mu.Unlock()
	response.Body = body
	return response, nil
}

// close closes those that are open.
func (b *bodies) close() {
	b.mu.Lock()
	open := make([]*trackedBody, 0, len(b.open))
	for body := range b.open {
		open = append(open, body)
		if deadline, ok := body.request.Context().Deadline(); ok && deadline.After(b.deadline) {
			b.deadline = deadline
		}
	}
	b.mu.Unlock()
	for _, body := range open {
		_ = body.Close()
	}
}

// awaitDeadlines lets the timers of http.Client.Timeout end that watch over bodies which their owner has not closed.
func (b *bodies) awaitDeadlines() {
	b.mu.Lock()
	deadline := b.deadline
	b.mu.Unlock()
	time.Sleep(time.Until(deadline)) // which is nothing where there is none
}

// A refusingTransport is for a client that could wait for no answer.
type refusingTransport struct{ err error }

func (t refusingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, t.err
}

// outlives reports whether a test is known to be another than that of the bubble in which the caller is, so that its Cleanup comes too late:
// it has a deadline, after which the testing package can't be asked in a bubble.
func outlives(t testing.TB) (outside bool) {
	timed, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok || !inBubble() {
		return false
	}
	defer func() {
		if recover() != nil {
			outside = false
		}
	}()
	_, outside = timed.Deadline()
	return outside
}

// mustEndInTime fails a test that is asked to close something in a bubble, and ends after it.
func mustEndInTime(t testing.TB, method string) {
	t.Helper()
	if outlives(t) {
		t.Fatalf("ssetest: %s, in a testing/synctest bubble, was given the t of a test that goes on when the bubble has ended, and whose Cleanup comes too late; "+
			"give it the t of the bubble", method)
	}
}

// A trackedBody is open until it is closed.
type trackedBody struct {
	io.ReadCloser
	request *http.Request
	of      *bodies
}

func (b *trackedBody) Close() error {
	b.of.mu.Lock()
	delete(b.of.open, b)
	b.of.mu.Unlock()
	return b.ReadCloser.Close()
}
