package ssetest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// maxRecordedBody is how much of a request's body is kept.
	maxRecordedBody = 64 << 10

	// maxRequests and maxRequestBytes bound what is kept of all requests.
	maxRequests     = 10_000
	maxRequestBytes = 64 << 20
)

// A Request is what a client has asked of a [Server], whatever the answer was. [Server.Requests] returns them.
type Request struct {
	Method string
	URL    *url.URL // as a handler sees it: path and query
	Host   string
	Proto  string // "HTTP/2.0"
	Header http.Header

	// Body is what has been read of the body, up to its first 64 KiB. BodyCut tells that there was more.
	Body    string
	BodyCut bool

	// LastEventID is the header Last-Event-ID: where the client wants to resume, "" for nowhere.
	LastEventID string

	// Connection is the number of the connection, and Stream that of the request on it, both counted 1, 2, 3, in the order in which
	// clients have opened them. (They are not the identifiers that HTTP/2 gives its streams, which are odd.)
	// Equal numbers of connections are the same connection.
	Connection int
	Stream     int

	// Time is when the request had been read, but for its body.
	Time time.Time
}

// String returns the request on one line: method, target without what looks like a credential, protocol, Last-Event-ID, connection and stream.
// The format is for people and may change.
func (r Request) String() string {
	line := shown(r.Method) + " " + shown(redactTarget(r.URL)) + " " + r.Proto
	if r.LastEventID != "" {
		line += fmt.Sprintf(" Last-Event-ID: %.40q", r.LastEventID)
	}
	return fmt.Sprintf("%s (connection %d, stream %d)", line, r.Connection, r.Stream)
}

// Requests returns what was asked of the server, in the order in which it came in: copies, which are the caller's.
// Of very many only the newest are kept: 10,000, and fewer where they take more than 64 MiB.
// A request is there before its handler runs; its Body grows while that reads it. See [Server.AwaitRequests].
func (s *Server) Requests() []Request {
	s.mu.Lock()
	records := s.requests.list()
	s.mu.Unlock()
	requests := make([]Request, len(records))
	for i, record := range records {
		requests[i] = record.copy()
	}
	return requests
}

// AwaitRequests waits until at least n requests have come in since the server was started, with all of their bodies,
// as far as handlers have read them: a request counts when its body has been read to the end, or when its handler has returned.
// It fails t after Config.Timeout. Call it from the test's own goroutine.
func (s *Server) AwaitRequests(t testing.TB, n int) {
	t.Helper()
	s.mustShareBubble(t)
	there, closed := 0, false
	reached := func() bool {
		there, closed = s.requests.completed, s.closing && len(s.streams) == 0
		return there >= n || closed
	}
	if await(&s.mu, &s.changed, s.cfg.Timeout, reached) && there >= n {
		return
	}
	why := fmt.Sprintf("after %v", s.cfg.Timeout)
	if closed {
		why = "when the server was closed"
	}
	s.fatal(t, "ssetest: waited for %s; %s there were %d\n%s", count(n, "request"), why, there, s.describeRequests())
}

// describeRequests lists the newest requests, for a failure.
func (s *Server) describeRequests() string {
	requests := s.Requests()
	var b strings.Builder
	fmt.Fprintf(&b, "requests to %s: %d\n", s.URL, len(requests))
	if hidden := len(requests) - maxListed; hidden > 0 {
		fmt.Fprintf(&b, "  … %d more\n", hidden)
		requests = requests[hidden:]
	}
	for _, r := range requests {
		fmt.Fprintf(&b, "  %v\n", r)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// A requestLog is the newest requests. Server.mu guards it.
type requestLog struct {
	kept      []*requestRecord
	bytes     int
	completed int // since the start
}

func (l *requestLog) add(r *requestRecord) {
	l.kept = append(l.kept, r)
	l.bytes += r.size
	for len(l.kept) > maxRequests || l.bytes > maxRequestBytes && len(l.kept) > 1 {
		oldest := l.kept[0]
		l.bytes -= oldest.size
		oldest.dropped = true
		l.kept[0] = nil // the slice moves on over it
		l.kept = l.kept[1:]
	}
	if r.done {
		l.completed++
	}
}

// complete counts a request whose body, of that size, has been read.
func (l *requestLog) complete(r *requestRecord, body int) {
	l.completed++
	r.size += body
	if !r.dropped {
		l.bytes += body
	}
}

func (l *requestLog) list() []*requestRecord { return append([]*requestRecord(nil), l.kept...) }

// A requestRecord is a request that is being read.
type requestRecord struct {
	srv     *Server
	size    int  // in bytes; Server.mu guards it
	dropped bool // from the log; Server.mu guards it

	mu      sync.Mutex // guards what follows
	request Request
	body    []byte
	done    bool
}

// newRequestRecord records a request, and its body as it is read.
func newRequestRecord(r *http.Request, x *exchange, ordinal int) *requestRecord {
	target := *r.URL
	record := &requestRecord{srv: x.srv, request: Request{
		Method:      r.Method,
		URL:         &target,
		Host:        r.Host,
		Proto:       r.Proto,
		Header:      r.Header.Clone(),
		LastEventID: lastEventID(r),
		Stream:      ordinal,
		Time:        x.since,
	}}
	if x.conn != nil {
		record.request.Connection = x.conn.socket.number
	}
	record.size = len(r.RequestURI) + headerSize(r.Header)
	if r.Body == nil || r.ContentLength == 0 { // over HTTP/2 there is a Body even so
		record.done = true
	} else {
		r.Body = &recordedBody{r.Body, record}
	}
	return record
}

func headerSize(h http.Header) int {
	const overhead = 64 // what an entry costs beside its bytes
	size := overhead
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value) + overhead
		}
	}
	return size
}

// complete takes the body as it is.
func (r *requestRecord) complete() {
	r.mu.Lock()
	was, body := r.done, len(r.body)
	r.done = true
	r.mu.Unlock()
	if was {
		return
	}
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	r.srv.requests.complete(r, body)
	r.srv.changed.raise()
}

func (r *requestRecord) read(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(p), maxRecordedBody-len(r.body))
	r.body = append(r.body, p[:n]...)
	r.request.BodyCut = r.request.BodyCut || n < len(p)
}

func (r *requestRecord) copy() Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	request := r.request
	target := *request.URL
	request.URL = &target
	request.Header = request.Header.Clone()
	request.Body = string(r.body)
	return request
}

// A recordedBody is a request's body, which is recorded while it is read.
type recordedBody struct {
	io.ReadCloser
	record *requestRecord
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.record.read(p[:n])
	if err != nil {
		b.record.complete()
	}
	return n, err
}
