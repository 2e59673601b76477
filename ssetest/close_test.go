package ssetest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// atOnce is how long Close may take at most, on a machine that is busy with everything else.
const atOnce = 5 * time.Second

// closeAtOnce closes a server and requires that it does not hang.
func closeAtOnce(t *testing.T, srv *ssetest.Server) {
	t.Helper()
	closed := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(closed)
		srv.Close()
	}()
	select {
	case <-closed:
		t.Logf("closed in %v", time.Since(start))
	case <-time.After(atOnce):
		t.Fatalf("Close hangs for %v\n%s", atOnce, strings.Join(goroutines(), "\n\n"))
	}
}

func TestCloseEndsStreamsCleanly(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1})
		topic, letters := srv.Open(t, "/post", nil), srv.Open(t, "/sse", nil)
		srv.Publish(ssetest.Data("one"), ssetest.Data("two"))
		srv.Tick(1)
		closeAtOnce(t, srv)
		closeAtOnce(t, srv)
		topic.ExpectData("one", "two")
		topic.ExpectEnd()
		letters.ExpectJSON(`{"msg":"a"}`)
		letters.ExpectEnd()
		assert.Zero(t, srv.Publish(ssetest.Data("late")))
		_, err := ssetest.Dial(t.Context(), srv.URL+"/post", &ssetest.OpenConfig{Client: srv.Client()})
		require.Error(t, err)
	})
}

func TestCloseFromSeveralGoroutines(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		stream := srv.Open(t, "/post", nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(srv.Close)
		}
		wg.Wait()
		stream.ExpectEnd()
	})
}

// TestAThousandStreamsThatNobodyReadsEndAtOnce has clients that only open streams, at a time when every stream is being sent something.
func TestAThousandStreamsThatNobodyReadsEndAtOnce(t *testing.T) {
	const n = 1000
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: time.Second})
		client := srv.Client()
		for i := range n {
			response, err := client.Get(srv.URL + []string{"/sse", "/post"}[i%2])
			require.NoError(t, err)
			defer func() { _ = response.Body.Close() }()
		}
		srv.AwaitSubscribers(t, n/2)
		srv.Publish(ssetest.Data(strings.Repeat("x", 10_000)))
		closeAtOnce(t, srv)
	})
}

// TestStuckWritesAreCut has clients whose buffers are full: a write to them returns only when the connection is gone.
func TestStuckWritesAreCut(t *testing.T) {
	runOn(t, []ssetest.Network{ssetest.Loopback}, func(t *testing.T, p ssetest.Protocol) { // it is a kernel's buffers that are full
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		for range 3 {
			conn := dialRaw(t, srv)
			defer func() { _ = conn.Close() }()
			require.NoError(t, startStream(conn, p, "/post"))
		}
		srv.AwaitSubscribers(t, 3)
		healthy := srv.Open(t, "/post", nil)
		large := strings.Repeat("x", 1<<20)
		for range 14 {
			srv.Publish(ssetest.Data(large))
		}
		closeAtOnce(t, srv)
		for i, e := range healthy.Take(14) {
			require.Equal(t, large, e.Data, "event %d", i)
		}
		healthy.ExpectEnd()
	})
}

// dialRaw connects without a client, whose buffers nobody knows.
func dialRaw(t *testing.T, srv *ssetest.Server) net.Conn {
	t.Helper()
	scheme, addr, _ := strings.Cut(srv.URL, "://")
	conn, err := srv.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	if scheme == "https" {
		cfg := srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		cfg.ServerName, _, _ = strings.Cut(addr, ":")
		cfg.NextProtos = []string{"h2", "http/1.1"}
		conn = tls.Client(conn, cfg)
	}
	return conn
}

func TestCloseWithHandlersOfYours(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Handle("GET /farewell", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			_, _ = io.WriteString(w, "data: farewell\n\n")
		}))
		stream := srv.Open(t, "/farewell", nil)
		closeAtOnce(t, srv)
		stream.ExpectData("farewell")
		stream.ExpectEnd()
	})
}

func TestDeafHandlerIsNamed(t *testing.T) {
	runOn(t, []ssetest.Network{ssetest.Loopback}, func(t *testing.T, p ssetest.Protocol) { // it takes a second of real time
		release := make(chan struct{})
		returned := make(chan struct{})
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Handle("GET /deaf", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				defer close(returned)
				w.Header().Set("Content-Type", "text/event-stream")
				_ = http.NewResponseController(w).Flush()
				<-release
			}))
			srv.Open(t, "/deaf", nil)
		})
		close(release)
		<-returned
		assert.Regexp(t, `^ssetest: the handler of GET /deaf HTTP/\S+ \(stream 1\) has not returned 1s after its request's context was cancelled `+
			`and its connection closed; it must watch the context$`, failed.text())
	})
}

func TestCloseWithIdleAndHalfOpenConnections(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		status, _ := post(t, srv, "/post", "application/json", "1")
		require.Equal(t, 303, status) // leaves an idle connection

		_, addr, _ := strings.Cut(srv.URL, "://")
		silent, err := srv.DialContext(t.Context(), "tcp", addr) // not even TLS
		require.NoError(t, err)
		defer func() { _ = silent.Close() }()
		begun := dialRaw(t, srv)
		defer func() { _ = begun.Close() }()
		_, err = begun.Write([]byte("GET /sse HTT"))
		require.NoError(t, err)
		closeAtOnce(t, srv)
		for _, conn := range []net.Conn{silent, begun} {
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(atOnce)))
			_, err := io.Copy(io.Discard, conn)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is still open")
		}
	})
}

func TestCloseWhileABodyIsBeingSent(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		arrived := make(chan struct{})
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				next.ServeHTTP(w, r)
			})
		}})
		body, send := io.Pipe()
		answered := make(chan error)
		go func() {
			response, err := srv.Client().Post(srv.URL+"/post", "application/json", body)
			if err == nil {
				err = response.Body.Close()
			}
			answered <- err
		}()
		_, err := send.Write([]byte(`"and so`))
		require.NoError(t, err)
		<-arrived
		closeAtOnce(t, srv)
		_ = send.CloseWithError(io.ErrClosedPipe)
		require.Error(t, <-answered)
	})
}

// TestClientsThatComeBackHoldUpNobody has clients that ask again at once, whatever they are told, on the connections that they have.
func TestClientsThatComeBackHoldUpNobody(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for ctx.Err() == nil {
					es, err := ssetest.Dial(ctx, srv.URL+"/post", &ssetest.OpenConfig{Client: srv.Client()})
					if err == nil {
						_, _ = es.Next(ctx)
						es.Close()
					}
				}
			})
		}
		srv.AwaitSubscribers(t, 8)
		closeAtOnce(t, srv)
		stop()
		clients.Wait()
	})
}

func TestCloseFreesThePort(t *testing.T) {
	runOn(t, []ssetest.Network{ssetest.Loopback}, func(t *testing.T, p ssetest.Protocol) {
		first := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		_, addr, _ := strings.Cut(first.URL, "://")
		first.Open(t, "/sse", nil).Next()
		first.Close()
		second := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Addr: addr})
		assert.Equal(t, first.URL, second.URL)
		second.Open(t, "/sse", nil).Next()
	})
}

// TestCloseLosesNothing is for the end of a stream that is on its way when the connection is closed.
func TestCloseLosesNothing(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for i := range 2 {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			const streams, events = 20, 10
			data := strings.Repeat("x", 1000)
			var readers sync.WaitGroup
			read := func(r *http.Response) {
				text, err := io.ReadAll(r.Body)
				assert.NoError(t, err) //nolint:testifylint // not in the test's own goroutine
				assert.Len(t, text, events*len("data: "+data+"\n\n"))
			}
			for range streams {
				response := get(t, srv, "/post")
				if i%2 == 0 { // is read while the server closes
					readers.Go(func() { read(response) })
				} else {
					defer read(response)
				}
			}
			for range events {
				srv.Publish(ssetest.Data(data))
			}
			srv.Close()
			readers.Wait()
		}
	})
}

// TestALargeEventIsSentToItsEnd is for one that Close finds half written.
func TestALargeEventIsSentToItsEnd(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		size := 4 << 20
		if strings.Contains(srv.URL, "in-memory") {
			size = 1 << 20 // there is no kernel that takes it off our hands, and Close has but a second
		}
		data := strings.Repeat("x", size)
		streams := []*ssetest.Stream{srv.Open(t, "/post", nil), srv.Open(t, "/post", nil)}
		srv.Publish(ssetest.Data(data))
		srv.Close()
		for _, s := range streams {
			require.Len(t, s.Next().Data, len(data))
			s.ExpectEnd()
		}
	})
}

// TestClientsThatDoNotReadHoldUpNobody has hundreds of clients whose windows fill up, and that read nothing of it.
func TestClientsThatDoNotReadHoldUpNobody(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} { // not in parallel: it takes a gigabyte
		t.Run(p.String(), func(t *testing.T) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			for range 100 {
				get(t, srv, "/post")
			}
			for range 6 {
				srv.Publish(ssetest.Data(strings.Repeat("x", 1<<20)))
			}
			closeAtOnce(t, srv)
		})
	}
}

// TestHandlersHaveTimeToSayGoodbye has a handler that takes its time to say goodbye, but says something all the while.
func TestHandlersHaveTimeToSayGoodbye(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Handle("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			flush := http.NewResponseController(w).Flush
			_ = flush()
			<-r.Context().Done()
			for i := range 8 {
				<-time.After(30 * time.Millisecond)
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = flush()
			}
		}))
		stream := srv.Open(t, "/slow", nil)
		closeAtOnce(t, srv)
		stream.ExpectData("0", "1", "2", "3", "4", "5", "6", "7")
		stream.ExpectEnd()
	})
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	for _, p := range protocols { // not in parallel: it looks at all goroutines
		t.Run(p.String(), func(t *testing.T) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			for range 5 {
				srv.Open(t, "/sse", nil).Next()
				srv.Open(t, "/post", nil).Close()
			}
			srv.Close()
			assert.Empty(t, leaked(atOnce))
		})
	}
}

func TestStartServesWithoutATest(t *testing.T) {
	var log bytes.Buffer
	srv, err := ssetest.Start(&ssetest.Config{ErrorLog: newLogger(&log), Network: ssetest.Loopback})
	require.NoError(t, err)
	defer srv.Close()
	srv.Handle("GET /panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panicHere() }))
	_, err = ssetest.Dial(t.Context(), srv.URL+"/panic", nil)
	require.Error(t, err)
	_, err = ssetest.Dial(t.Context(), srv.URL+"/post", &ssetest.OpenConfig{Client: &http.Client{Transport: new(http.Transport)}})
	require.ErrorContains(t, err, "certificate")
	srv.Close()
	assert.Contains(t, log.String(), "http: TLS handshake error from 127.0.0.1:")
	assert.Contains(t, log.String(), "ssetest: panic in the handler of GET /panic HTTP/2.0 (stream 1): out of cheese")
}

// TestFarewell is a comment behind whatever was sent, on streams that Close ends, and on no others.
func TestFarewell(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, compress := range []bool{false, true} {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1, Farewell: "closing\ntime", Compress: compress})
			srv.Script("GET /held", ssetest.Script{ssetest.Data("one"), ssetest.Hold()})
			srv.Script("GET /half", ssetest.Script{ssetest.Raw("data: one\n\ndata: tw"), ssetest.Hold()})
			srv.Script("GET /ended", ssetest.Script{ssetest.Data("one"), ssetest.End()})
			srv.Script("GET /returned", ssetest.Script{ssetest.Data("one")})
			srv.Script("GET /waiting", ssetest.Script{ssetest.Data("one"), ssetest.Wait(time.Hour), ssetest.Data("two")})
			srv.Feed("GET /feed")
			srv.Handle("GET /page", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a page") }))
			const farewell = ": closing\n: time\n"
			want := map[string]string{
				"/sse":     farewell,
				"/post":    "data: posted\n\n" + farewell,
				"/feed":    farewell,
				"/held":    "data: one\n\n" + farewell,
				"/half":    "data: one\n\ndata: tw\n" + farewell,
				"/waiting": "data: one\n\n" + farewell,
			}
			bodies := make(map[string]io.Reader)
			for path := range want {
				response, err := srv.Client().Get(srv.URL + path)
				require.NoError(t, err)
				defer func() { _ = response.Body.Close() }()
				bodies[path] = response.Body
			}
			for _, path := range []string{"/ended", "/returned"} {
				_, text := request(t, srv, "GET", path)
				assert.Equal(t, "data: one\n\n", text)
			}
			_, text := request(t, srv, "GET", "/page")
			assert.Equal(t, "a page", text)
			srv.Publish(ssetest.Data("posted"))
			for _, path := range []string{"/half", "/held", "/waiting"} { // what they send has to be there before they are closed
				first := make([]byte, len("data: one\n\n"))
				_, err := io.ReadFull(bodies[path], first)
				require.NoError(t, err)
				bodies[path] = io.MultiReader(bytes.NewReader(first), bodies[path])
			}
			closeAtOnce(t, srv)
			for path, body := range bodies {
				got, err := io.ReadAll(body)
				require.NoError(t, err)
				assert.Equal(t, want[path], string(got), path)
			}
		}
	})
}
