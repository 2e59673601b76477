package ssetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A ClientContract is a client under test, for [TestClient], and what it claims to be able to.
type ClientContract struct {
	_ [0]func() // may get fields that can't be compared

	// Connect opens a stream with the client under test. It may return when the stream is open, or earlier, and then Next says what has become of it.
	// The stream lasts until its Close, or until the context is done. Connect may be called while other streams are open, and from several goroutines.
	Connect func(ctx context.Context, r ConnectRequest) (ClientStream, error)

	// Without lists what the client does not claim. The cases that need it are skipped, and say so.
	Without []Capability

	// Known lists the cases that the client is known to fail, by name: "reconnecting/after an abort", or on one protocol alone "HTTP2/reconnecting/after an abort".
	// They are skipped where they fail, with what went wrong; one that passes fails the test, so that the list does not grow old.
	Known []string
}

// A ConnectRequest is what a client under test is to ask.
type ConnectRequest struct {
	URL string

	// Client is what reaches the server: by itself, or by its Transport, an [http.RoundTripper]. A client that takes neither must have CanTakeClient in Without:
	// it is then tested on a real socket, on HTTP/1.1 and on real time.
	Client *http.Client

	Method      string      // "GET", or else it is for CanPost
	Header      http.Header // never nil, and not to be changed; for CanSetHeader
	Body        []byte      // not to be changed; for CanPost
	LastEventID string      // for CanResume; "" is none

	// ReconnectionTime is for how long to wait before coming back, until the server says something else. A client that has a value of its own may leave it at that:
	// the suite then takes longer, where it is on real time.
	ReconnectionTime time.Duration

	ReadTimeout time.Duration     // for CanReadTimeout; 0 is none
	OnComment   func(text string) // for CanReportComments; never nil, and to be called before Next returns what comes behind the comment, by whatever goroutine
}

// Request returns the request as one of net/http's, with the header, the body, and Last-Event-ID and Accept set.
func (r ConnectRequest) Request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	request.Header = r.Header.Clone()
	request.Header.Set("Accept", "text/event-stream")
	if r.LastEventID != "" {
		request.Header.Set("Last-Event-ID", r.LastEventID)
	}
	return request, nil
}

// A ClientStream is a stream that a client under test has opened. An [*EventSource] is one.
type ClientStream interface {
	// Next returns the next event, and waits for it. An error says that there will be none any more, and later calls return it again, or that the context is done,
	// and later calls go on. An event's Type may be "" where it is "message". Its Retry does not matter.
	// One goroutine at a time calls Next.
	Next(ctx context.Context) (Event, error)

	// Close ends the stream, and a Next that waits in another goroutine. Five seconds later nothing of it is left. It is called once.
	Close()
}

// TestClient tests a client of event streams against the WHATWG HTML standard, chapter Server-sent events, and the standards of HTTP: parsing, requests and responses,
// reconnecting, ends. Each case is a subtest, which -run and -skip can choose, and says which sentence it rests on.
//
// A client that takes a transport is on a network in memory, on HTTP/1.1 and on HTTP/2 over TLS; and in testing/synctest bubbles, so that no wait takes any time.
// Other clients are on real sockets and real time, and their cases are parallel: see [CanTakeClient] and [CanVirtualTime]. TestClient can't be called in a bubble itself.
//
//	func TestMyClient(t *testing.T) {
//		ssetest.TestClient(t, ssetest.ClientContract{
//			Connect: func(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
//				return ssetest.Dial(ctx, r.URL, &ssetest.OpenConfig{Client: r.Client, Header: r.Header, Reconnect: true})
//			},
//			Without: []ssetest.Capability{ssetest.CanPost},
//		})
//	}
func TestClient(t *testing.T, c ClientContract) {
	t.Helper()
	if c.Connect == nil {
		t.Fatal("ssetest: TestClient: ClientContract.Connect is nil; it must open a stream with the client under test")
	}
	run := &contractRun{of: "client", beside: true, without: c.Without, known: c.Known}
	var names []string
	for _, p := range c.protocols() {
		names = append(names, p.String())
	}
	run.check(t, clientCapabilities, names, clientCases(&c, HTTP2))
	virtual := c.claims(CanTakeClient, CanVirtualTime)
	if v := run.try(t, virtual, contractCase{try: func(t *contractT) { newClientTry(t, &c, c.protocols()[0]).reach() }}); v.failure != "" {
		t.Fatalf("ssetest: %s", v.failure)
	}
	for _, p := range []Protocol{HTTP1, HTTP2} {
		t.Run(p.String(), func(t *testing.T) {
			if !slices.Contains(c.protocols(), p) {
				t.Skip("ssetest: the client does not claim CanTakeClient and CanHTTP2")
			}
			run.cases(t, p.String(), virtual, clientCases(&c, p))
		})
	}
}

var clientCapabilities = []Capability{
	CanTakeClient, CanVirtualTime, CanHTTP2, CanReconnect, CanResume, CanSetHeader, CanPost, CanReportIDs, CanReportComments, CanReportEnds, CanCancelNext, CanReadTimeout,
}

// reach sees that the client comes to the server at all, before it is asked for more. What it starts once for all its streams belongs to no case.
func (c *clientTry) reach() {
	path := c.serve(Script{Data("x"), Hold()})
	s, err := c.connectWithin(c.limit(), path, ConnectRequest{})
	if err == nil {
		_, err = s.nextWithin(min(c.limit(), time.Minute))
		s.close()
	}
	if err == errNoStream {
		c.Fatalf("Connect has not returned within %v", c.limit())
	}
	if len(c.requests(path)) == 0 {
		c.Fatalf("no request of the client has reached the server (%v); if it takes neither ConnectRequest.Client nor its Transport, list CanTakeClient in Without", err)
	}
}

func (c *ClientContract) claims(capabilities ...Capability) bool {
	return !slices.ContainsFunc(capabilities, func(needed Capability) bool { return slices.Contains(c.Without, needed) })
}

// protocols are those that a client is tested with.
func (c *ClientContract) protocols() []Protocol {
	if c.claims(CanTakeClient, CanHTTP2) {
		return []Protocol{HTTP1, HTTP2}
	}
	return []Protocol{HTTP1}
}

// A clientCase is a contractCase of clients.
type clientCase struct {
	name  string
	rule  string
	needs []Capability
	only  []Protocol // where it makes sense; nil: everywhere
	alone bool       // it is for clients that do not come back
	try   func(c *clientTry)
}

// clientCases are all that there are for a protocol.
func clientCases(contract *ClientContract, p Protocol) []contractCase {
	var cases []contractCase
	for _, all := range [][]clientCase{parsingCases(), httpCases(), endCases(), reconnectCases(), lifeCases()} {
		for _, c := range all {
			if c.only != nil && !slices.Contains(c.only, p) {
				continue
			}
			skip := ""
			if c.alone && contract.claims(CanReconnect) {
				skip = "it is for clients that do not come back"
			}
			cases = append(cases, contractCase{name: c.name, rule: c.rule, needs: c.needs, skip: skip, try: func(t *contractT) {
				c.try(newClientTry(t, contract, p))
			}})
		}
	}
	return cases
}

// isCleanEnd reports whether an error of Next's stands for the clean end of a stream.
func isCleanEnd(err error) bool {
	return errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}
