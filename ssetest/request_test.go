package ssetest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

func TestRequestsAreRecorded(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("/x", ssetest.Script{})
		long := strings.Repeat("x", 65<<10)
		for _, body := range []string{"short", long} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/x?a=b", strings.NewReader(body))
			require.NoError(t, err)
			r.Header.Set("X-Mine", "1")
			r.Header.Set("Last-Event-ID", "7")
			response, err := srv.Client().Do(r)
			require.NoError(t, err)
			readBody(t, response)
		}
		request(t, srv, "OPTIONS", "/nowhere")
		srv.AwaitRequests(t, 3)
		for range 2 { // what is changed is a copy
			requests := srv.Requests()
			require.Len(t, requests, 3)
			for i, r := range requests {
				assert.Equal(t, 1, r.Connection)
				assert.Equal(t, i+1, r.Stream)
				assert.Equal(t, isH2(p), r.Proto == "HTTP/2.0")
				assert.NotContains(t, r.Header, "Ssetest-Stream")
			}
			first, second := requests[0], requests[1]
			assert.Equal(t, []string{"POST", "/x?a=b", "7", "1", "short"}, []string{
				first.Method, first.URL.String(), first.LastEventID, first.Header.Get("X-Mine"), first.Body,
			})
			assert.True(t, strings.HasSuffix(srv.URL, first.Host))
			assert.False(t, first.BodyCut)
			assert.True(t, second.BodyCut)
			assert.Equal(t, long[:64<<10], second.Body)
			assert.Contains(t, first.String(), `POST /x?a=b HTTP/`)
			assert.Contains(t, first.String(), `Last-Event-ID: "7" (connection 1, stream 1)`)
			first.Header.Set("X-Mine", "2")
			first.URL.Path = "/y"
		}
	})
}

func TestAwaitRequestsWaitsForBodies(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("POST /x", ssetest.Script{})
		body, send := io.Pipe()
		answered := make(chan error)
		go func() {
			response, err := srv.Client().Post(srv.URL+"/x", "text/plain", body)
			if err == nil {
				err = response.Body.Close()
			}
			answered <- err
		}()
		for _, part := range []string{"one ", "two"} {
			_, err := io.WriteString(send, part)
			require.NoError(t, err)
		}
		require.NoError(t, send.Close())
		srv.AwaitRequests(t, 1)
		assert.Equal(t, "one two", srv.Requests()[0].Body)
		require.NoError(t, <-answered)
	})
}

func TestOnlyTheNewestRequestsAreKept(t *testing.T) {
	srv := ssetest.NewServer(t, &ssetest.Config{Protocol: ssetest.HTTP1})
	const n = 10_100
	for i := range n {
		path := "/nowhere"
		if i == n-1 {
			path = "/last"
		}
		response, err := srv.Client().Head(srv.URL + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	srv.AwaitRequests(t, n)
	requests := srv.Requests()
	require.Len(t, requests, 10_000)
	assert.Equal(t, n-len(requests)+1, requests[0].Stream)
	assert.Equal(t, "/last", requests[len(requests)-1].URL.Path)
}

func TestMaxConcurrentStreams(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} {
		for most, connections := range map[int]int{3: 3, 0: 1, -1: 1} {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, MaxConcurrentStreams: most})
			for range 7 {
				get(t, srv, "/post")
			}
			seen := make(map[int]bool)
			for _, r := range srv.Requests() {
				seen[r.Connection] = true
			}
			assert.Len(t, seen, connections, "%v with at most %d", p, most)

			conn := dialRaw(t, srv)
			require.NoError(t, startStream(conn, p, "/post"))
			frame, err := http2.NewFramer(io.Discard, conn).ReadFrame()
			require.NoError(t, err)
			announced, ok := frame.(*http2.SettingsFrame).Value(http2.SettingMaxConcurrentStreams)
			assert.True(t, ok)
			assert.Equal(t, map[int]uint32{3: 3, 0: 250, -1: 1<<31 - 1}[most], announced)
			require.NoError(t, conn.Close())
		}
	}
}

// TestManyStreamsOnOneConnection has no limit, which Go's client would wait for.
func TestManyStreamsOnOneConnection(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, MaxConcurrentStreams: -1})
		srv.Open(t, "/post", nil) // the connection is there, and its limit known
		for range 299 {
			srv.Open(t, "/post", nil)
		}
		for i, r := range srv.Requests() {
			assert.Equal(t, 1, r.Connection, p)
			assert.Equal(t, i+1, r.Stream, p)
		}
		srv.AwaitSubscribers(t, 300)
	}
}

// TestStreamBeyondTheLimitWaits has a client that opens no second connection.
func TestStreamBeyondTheLimitWaits(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, MaxConcurrentStreams: 3})
		transport := srv.Client().Transport.(*http.Transport)
		transport.HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true}
		var open []*ssetest.Stream
		for range 3 {
			open = append(open, srv.Open(t, "/post", nil))
		}
		opened := make(chan error, 1)
		go func() {
			es, err := ssetest.Dial(context.WithoutCancel(t.Context()), srv.URL+"/post", &ssetest.OpenConfig{Client: srv.Client()})
			if err == nil {
				es.Close()
			}
			opened <- err
		}()
		srv.AwaitSubscribers(t, 3)
		assert.Len(t, srv.Requests(), 3)
		open[1].Close()
		require.NoError(t, <-opened)
		requests := srv.Requests()
		require.Len(t, requests, 4)
		assert.Equal(t, 1, requests[3].Connection, "the fourth has waited for the connection")
		assert.Equal(t, 4, requests[3].Stream)
	}
}

// TestAwaitRequestsCountsOpenStreams has requests without a body whose handlers have not returned.
func TestAwaitRequestsCountsOpenStreams(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1})
		srv.Feed("GET /feed")
		for i, path := range []string{"/post", "/sse", "/feed"} {
			srv.Open(t, path, nil)
			srv.AwaitRequests(t, i+1)
		}
		srv.Close()
		start := time.Now()
		failed := attempt(t, func(t testing.TB) { srv.AwaitRequests(t, 4) })
		assert.Less(t, time.Since(start), 20*time.Second, "it waits for what can't come")
		assert.Contains(t, failed.text(), "waited for 4 requests; when the server was closed there were 3\n")
	})
}
