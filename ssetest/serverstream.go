package ssetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A serverStream is the server's side of one stream: a request that is being answered, by whatever endpoint.
// Only the goroutine of its handler touches the ResponseWriter.
type serverStream struct {
	srv     *Server
	number  int    // in order of arrival, from 1
	request string // what was asked: method, target, protocol
	since   time.Time
	account *account // of the Stream that opened it; may be nil

	w      http.ResponseWriter
	flush  func() error
	events atomic.Int64 // written and flushed

	aborted atomic.Bool // the client must see that the stream is broken
}

type streamKey struct{}

func withStream(ctx context.Context, st *serverStream) context.Context {
	return context.WithValue(ctx, streamKey{}, st)
}

// String says which stream it is.
func (st *serverStream) String() string { return fmt.Sprintf("%s (stream %d)", st.request, st.number) }

// begin registers a request, or reports false where the server is closed.
func (s *Server) begin(r *http.Request, token string) (*serverStream, bool) {
	st := &serverStream{srv: s, request: requestLine(r), since: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, false
	}
	s.opened++
	st.number = s.opened
	st.account = s.accounts[token]
	s.streams[st] = true
	s.changed.raise()
	return st, true
}

// end forgets a stream whose handler returns.
func (s *Server) end(st *serverStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
	s.changed.raise()
}

// requestLine is a request in one short line.
func requestLine(r *http.Request) string {
	line := shown(r.Method) + " " + shown(r.URL.RequestURI()) + " " + r.Proto
	if id := lastEventID(r); id != "" {
		line += fmt.Sprintf(" Last-Event-ID: %.40q", id)
	}
	return line
}

// shown is what a client has sent, short, and quoted where it could be taken for something else.
func shown(text string) string {
	const most = 80
	rest := ""
	if len(text) > most {
		text, rest = text[:most], "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		text = strconv.QuoteToASCII(text)
	}
	return text + rest
}

// lastEventID is where a client wants to resume.
func lastEventID(r *http.Request) string { return r.Header.Get("Last-Event-ID") }

// eventStream prepares a request's stream for events. It reports false where there is none to send, since the request was HEAD.
func eventStream(w http.ResponseWriter, r *http.Request) (*serverStream, bool) {
	st, ok := r.Context().Value(streamKey{}).(*serverStream)
	if !ok {
		panic("ssetest: the request has lost its context; Config.Wrap must derive the one that it passes on from the one that it got")
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	st.w, st.flush = w, http.NewResponseController(w).Flush
	return st, r.Method != http.MethodHead
}

// open sends the headers at once, and reports false where the stream is over already.
// Whatever decides what the stream is sent is registered before: a client that has the headers relies on it.
func (st *serverStream) open() bool {
	err := st.flush()
	if errors.Is(err, http.ErrNotSupported) {
		const reason = "the response can't be flushed: the ResponseWriter that Config.Wrap passes on has neither a Flush nor an Unwrap method"
		st.srv.fail("%v: %s", st, reason)
		http.Error(st.w, "ssetest: "+reason, http.StatusInternalServerError)
	}
	return err == nil
}

// write sends encoded events in one piece. They are flushed when it returns true; with false the client is gone.
func (st *serverStream) write(wire []byte, events int) bool {
	if _, err := st.w.Write(wire); err != nil {
		return false
	}
	if err := st.flush(); err != nil {
		return false
	}
	st.events.Add(int64(events))
	return true
}

// describeStreams lists the streams that are open, for a failure.
func (s *Server) describeStreams() string {
	s.mu.Lock()
	open := make([]*serverStream, 0, len(s.streams))
	for st := range s.streams {
		open = append(open, st)
	}
	s.mu.Unlock()
	slices.SortFunc(open, func(a, b *serverStream) int { return cmp.Compare(a.number, b.number) })

	var b strings.Builder
	fmt.Fprintf(&b, "open streams of %s: %d\n", s.URL, len(open))
	for i, st := range open {
		if i == maxListed {
			fmt.Fprintf(&b, "  … and %d more\n", len(open)-i)
			break
		}
		fmt.Fprintf(&b, "  %v, open for %v, %s sent\n", st, time.Since(st.since).Round(time.Millisecond), count(st.events.Load(), "event"))
	}
	return b.String()
}

// maxListed is how many lines of one kind a failure shows.
const maxListed = 10
