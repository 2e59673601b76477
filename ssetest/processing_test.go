package ssetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// This file is WHATWG HTML, section 9.2.3, Processing model, with what 9.2.2 and 9.2.6 say of its state, and what Fetch says of redirects:
// each test begins with the rule that it is about. What is exact in time is in a bubble, the rest on every protocol.

// again is a stream that comes back, soon.
func again() *ssetest.OpenConfig {
	return &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: time.Millisecond}
}

// follow opens a stream that is served scripts, one after the other, and then 204.
func follow(t testing.TB, p ssetest.Protocol, scripts ...ssetest.Script) (*ssetest.Server, *ssetest.Stream) {
	srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
	srv.Script("GET /feed", append(scripts, ssetest.Script{ssetest.Response{Status: http.StatusNoContent}}, ssetest.Script{})...)
	return srv, srv.Open(t, "/feed", again())
}

// askedIDs are the last event IDs that a server was asked with.
func askedIDs(srv *ssetest.Server) []string {
	var ids []string
	for _, r := range srv.Requests() {
		ids = append(ids, r.LastEventID)
	}
	return ids
}

// raw is a script of one piece, after which the stream ends.
func raw(text string) ssetest.Script { return ssetest.Script{ssetest.Raw(text)} }

// A stage is a transport without a network, for a bubble: it gives each attempt its own answer, and keeps when it was asked, and with what.
type stage struct {
	acts []act
	born time.Time

	mu    sync.Mutex // guards what follows
	asked []time.Duration
	ids   []string
}

// An act is one answer of a stage.
type act struct {
	err    error         // instead of a response
	status int           // 200 by default
	text   string        // the body
	end    error         // of the body; nil: it stays open until the client leaves
	mute   bool          // there is no answer, until the client leaves
	lasts  time.Duration // after the text until the end, or until the error
}

func newStage(acts ...act) *stage { return &stage{acts: acts, born: time.Now()} }

func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, time.Since(s.born))
	s.ids = append(s.ids, r.Header.Get("Last-Event-ID"))
	s.mu.Unlock()
	a := act{status: http.StatusNoContent}
	if n < len(s.acts) {
		a = s.acts[n]
	}
	switch {
	case a.mute:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case a.err != nil:
		time.Sleep(a.lasts)
		return nil, a.err
	case a.status == 0:
		a.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: a.status,
		Header:     http.Header{"Content-Type": {"text/event-stream"}},
		Body:       a.body(r.Context()),
		Request:    r,
	}, nil
}

func (a act) body(ctx context.Context) io.ReadCloser {
	if a.status != http.StatusOK {
		return http.NoBody
	}
	body, w := io.Pipe()
	context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.WriteString(w, a.text)
		if err == nil && a.end != nil {
			time.AfterFunc(a.lasts, func() { _ = w.CloseWithError(a.end) })
		}
	}()
	return body
}

// times returns when the stage was asked, and ids with which last event IDs.
func (s *stage) times() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Duration(nil), s.asked...)
}

func (s *stage) lastIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ids...)
}

// dial opens a stream on the stage, which the bubble's end finds where it is not closed.
func (s *stage) dial(ctx context.Context, cfg ssetest.OpenConfig) (*ssetest.EventSource, error) {
	cfg.Client = &http.Client{Transport: s}
	cfg.Reconnect = true
	return ssetest.Dial(ctx, "http://stage.test/", &cfg)
}

// drain takes events until the end, and returns their data and the end.
func drain(t *testing.T, es *ssetest.EventSource) ([]string, error) {
	var data []string
	for {
		e, err := es.Next(t.Context())
		if err != nil {
			return data, err
		}
		data = append(data, e.Data)
	}
}

// refusedWith is the status of a response that was refused, or 0.
func refusedWith(err error) int {
	var refused *ssetest.ResponseError
	if errors.As(err, &refused) {
		return refused.StatusCode
	}
	return 0
}

// 9.2.2: Accept: text/event-stream is set, and the cache mode is no-store (Fetch: Pragma and Cache-Control are then no-cache).
// Each attempt sends the same request, its body too.
func TestEveryAttemptSendsTheRequest(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("REPORT /feed", ssetest.Script{ssetest.Data("1")}, ssetest.Script{ssetest.Data("2")})
		cfg := again()
		cfg.Method, cfg.Header, cfg.Body = "REPORT", http.Header{"Content-Type": {"text/plain"}}, []byte("ask")
		s := srv.Open(t, "/feed", cfg)
		s.ExpectData("1", "2")
		s.ExpectEnd()
		requests := srv.Requests()
		require.Len(t, requests, 3)
		for _, r := range requests {
			assert.Equal(t, "REPORT", r.Method)
			assert.Equal(t, "ask", r.Body)
			for name, value := range map[string]string{
				"Accept": "text/event-stream", "Cache-Control": "no-cache", "Pragma": "no-cache", "Content-Type": "text/plain",
			} {
				assert.Equal(t, []string{value}, r.Header.Values(name), name)
			}
			assert.NotContains(t, r.Header, "Last-Event-Id")
		}
	})
}

// 9.2.3: where the last event ID string is not empty, Last-Event-ID is set to it, as UTF-8. It is set, not added.
func TestLastEventIDIsSentAsUTF8(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", raw("data: x\n\n"), raw("id: ü 7, 日本\ndata: y\n\n"), raw("id: a\tb\ndata: z\n\n"))
		cfg := again()
		cfg.Header = http.Header{"last-event-id": {"mine"}}
		s := srv.Open(t, "/feed", cfg)
		s.ExpectData("x", "y", "z")
		s.ExpectEnd()
		var sent [][]string
		for _, r := range srv.Requests() {
			sent = append(sent, r.Header.Values("Last-Event-ID"))
		}
		assert.Equal(t, [][]string{{"mine"}, {"mine"}, {"ü 7, 日本"}, {"a\tb"}}, sent)
	})
}

// 9.2.3 has no answer to an ID that is no header value: it is named, since to ask again and again would be futile.
func TestAnIDThatNoHeaderCanCarryIsReported(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", raw("id: a\x01b\ndata: x\n\n"), raw("data: never\n\n"))
		es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", again())
		require.NoError(t, err)
		defer es.Close()
		data, err := drain(t, es)
		assert.Equal(t, []string{"x"}, data)
		require.EqualError(t, err, "GET "+srv.URL+`/feed: the last event ID is "a\x01b": a header can carry no control characters`)
		assert.Equal(t, ssetest.StateClosed, es.ReadyState())
		assert.Len(t, srv.Requests(), 1)
	})
}

// answering is a server that gives one answer to every request.
func answering(t *testing.T, p ssetest.Protocol, status int, contentType []string) *ssetest.Server {
	srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
	srv.Handle("GET /feed", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = contentType
		w.WriteHeader(status)
	}))
	return srv
}

// 9.2.3: with status 200 and the content type text/event-stream, whatever its parameters and its case, the connection is announced.
func TestContentTypesThatOpen(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, contentType := range []string{
			"text/event-stream", "text/event-stream;charset=utf-8", "text/event-stream; charset=ISO-8859-1; x=y", "TEXT/Event-Stream ; Charset=UTF-8",
			"text/event-stream;", `text/event-stream; charset="utf`, "text/event-stream; =", "\ttext/event-stream ",
		} {
			srv := answering(t, p, http.StatusOK, []string{contentType})
			es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", nil)
			require.NoError(t, err, "%q", contentType)
			es.Close()
		}
	})
}

// 9.2.3: with another content type the connection fails, and once it has failed no attempt to reconnect is made.
func TestOtherContentTypesFailForGood(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, contentType := range [][]string{
			nil,
			{""},
			{"text/plain"},
			{"text/event-streams"},
			{"text/event"},
			{"application/text/event-stream"},
			{"text/event-stream/x"},
			{"text/plain; text/event-stream"},
			{"text/event-stream, text/plain"},
			{"charset=utf-8; text/event-stream"},
		} {
			srv := answering(t, p, http.StatusOK, contentType)
			_, err := ssetest.Dial(t.Context(), srv.URL+"/feed", again())
			assert.Equal(t, http.StatusOK, refusedWith(err), "%q: %v", contentType, err)
			assert.Len(t, srv.Requests(), 1, "%q", contentType)
		}
	})
}

// 9.2.3: with another status than 200 the connection fails, be the content type what it may.
func TestOtherStatusesFailForGood(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, other := range []int{201, 202, 203, 204, 205, 206, 300, 304, 305, 306, 400, 401, 403, 404, 407, 408, 410, 425, 429, 500, 502, 503, 504, 599} {
			srv := answering(t, p, other, []string{"text/event-stream"})
			_, err := ssetest.Dial(t.Context(), srv.URL+"/feed", again())
			assert.Equal(t, other, refusedWith(err), "%v", err)
			assert.Len(t, srv.Requests(), 1, "%d", other)
		}
	})
}

// 9.2.3: that holds for the response to a reconnect, too.
func TestARefusedReconnectFailsForGood(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, refusal := range []ssetest.Response{
			{Status: 503, Header: http.Header{"Retry-After": {"0"}}, Body: "down"},
			{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "down"},
		} {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Script("GET /feed", ssetest.Script{ssetest.Data("1")}, ssetest.Script{refusal}, ssetest.Script{ssetest.Data("2")})
			es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", again())
			require.NoError(t, err)
			data, err := drain(t, es)
			assert.Equal(t, []string{"1"}, data)
			var refused *ssetest.ResponseError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, refusal.Status, refused.StatusCode)
			assert.Equal(t, "down", string(refused.Body))
			assert.Equal(t, ssetest.StateClosed, es.ReadyState())
			assert.Len(t, srv.Requests(), 2)
			es.Close()
		}
	})
}

// 9.2.1: a client can be told to stop reconnecting with 204. That is the clean end of a stream that comes back.
func TestNoContentStopsForGood(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv, s := follow(t, p, ssetest.Script{ssetest.Data("1")})
		s.ExpectData("1")
		s.ExpectEnd()
		s.Close()
		assert.Len(t, srv.Requests(), 2)
	})
}
