package ssetest_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestAwaitStreams waits for streams of every endpoint, and for their clients to leave.
func TestAwaitStreams(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1})
		srv.Script("GET /script", ssetest.Script{ssetest.Hold()})
		srv.Feed("GET /feed")
		srv.Handle("GET /mine", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			_, _ = io.WriteString(w, ": hello\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		for _, path := range []string{"/sse", "/post", "/script", "/feed", "/mine"} {
			srv.AwaitStreams(t, path, 0)
			opened := make(chan *ssetest.EventSource, 2)
			for range 2 {
				go func() {
					es, err := ssetest.Dial(t.Context(), srv.URL+path+"?some=query", nil)
					assert.NoError(t, err)
					opened <- es
				}()
			}
			srv.AwaitStreams(t, path, 2)
			srv.Tick(1) // reaches those that are there
			for range 2 {
				es := <-opened
				if path == "/sse" {
					letter, err := es.Next(t.Context())
					require.NoError(t, err)
					assert.Equal(t, srv.Letter(0), letter)
				}
				es.Close()
			}
			srv.AwaitStreams(t, path, 0)
		}
	})
}

func TestAwaitStreamsFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssetest.NewServer(t, &ssetest.Config{Timeout: 50 * time.Millisecond})
		srv.Open(t, "/sse", nil)
		request(t, srv, "GET", "/nowhere")
		failed := attempt(t, func(t testing.TB) { srv.AwaitStreams(t, "/sse", 2) })
		assert.Regexp(t, `^ssetest: waited for exactly 2 open streams of /sse; after 50ms there were 1\nrequests to .*: 2\n`, failed.text())
		srv.Close()
		failed = attempt(t, func(t testing.TB) { srv.AwaitStreams(t, "/sse", 2) })
		assert.Contains(t, failed.text(), "; when the server was closed there were 0\n")
	})
}
