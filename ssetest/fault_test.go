package ssetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// isH2 reports whether a protocol is HTTP/2.
func isH2(p ssetest.Protocol) bool { return p == ssetest.HTTP2 || p == ssetest.H2C }

// A sight is what a client sees of an ending: net/http's, and ours. "" and nil are the clean end.
type sight struct {
	net  func(err error) bool
	ours error
}

func clean() sight { return sight{func(err error) bool { return err == nil }, io.EOF} }

// unfinished is an end within the body, over HTTP/1.1.
func unfinished() sight {
	return sight{func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }, ssetest.ErrStreamAborted}
}

// resetWith is a stream that was reset with a code.
func resetWith(code http2.ErrCode) sight {
	return sight{func(err error) bool {
		var stream http2.StreamError
		return errors.As(err, &stream) && stream.Code == code
	}, ssetest.ErrStreamAborted}
}

func connectionReset() sight {
	return sight{func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }, ssetest.ErrConnectionReset}
}

func goneAway() sight {
	return sight{func(err error) bool { return err != nil && strings.Contains(err.Error(), "GOAWAY") }, ssetest.ErrGoneAway}
}

// allEndings is every way in which a stream can end, and what is seen of it.
var allEndings = []struct {
	steps  []ssetest.Step
	then   func(srv *ssetest.Server) // what happens to the server when the client has read the event
	h1, h2 sight
}{
	{nil, nil, clean(), clean()},
	{[]ssetest.Step{ssetest.End()}, nil, clean(), clean()},
	{[]ssetest.Step{ssetest.Abort()}, nil, unfinished(), resetWith(http2.ErrCodeInternal)},
	{[]ssetest.Step{ssetest.ResetStream(http2.ErrCodeNo)}, nil, unfinished(), resetWith(http2.ErrCodeNo)},
	{[]ssetest.Step{ssetest.ResetStream(http2.ErrCodeProtocol)}, nil, unfinished(), resetWith(http2.ErrCodeProtocol)},
	{[]ssetest.Step{ssetest.ResetStream(http2.ErrCodeRefusedStream)}, nil, unfinished(), resetWith(http2.ErrCodeRefusedStream)},
	{[]ssetest.Step{ssetest.ResetStream(http2.ErrCodeCancel)}, nil, unfinished(), resetWith(http2.ErrCodeCancel)},
	{[]ssetest.Step{ssetest.ResetStream(http2.ErrCodeEnhanceYourCalm)}, nil, unfinished(), resetWith(http2.ErrCodeEnhanceYourCalm)},
	{[]ssetest.Step{ssetest.ResetStream(http2.ErrCode(1<<32 - 1))}, nil, unfinished(), resetWith(http2.ErrCode(1<<32 - 1))},
	{[]ssetest.Step{ssetest.GoAway(http2.ErrCodeNo)}, nil, clean(), clean()},
	{[]ssetest.Step{ssetest.GoAway(http2.ErrCodeEnhanceYourCalm), ssetest.End()}, nil, clean(), clean()},
	{[]ssetest.Step{ssetest.GoAway(http2.ErrCodeNo), ssetest.Abort()}, nil, unfinished(), resetWith(http2.ErrCodeInternal)},
	{[]ssetest.Step{ssetest.GoAway(http2.ErrCodeNo), ssetest.Stall()}, (*ssetest.Server).Close, connectionReset(), goneAway()},
	{[]ssetest.Step{ssetest.ResetConn()}, nil, connectionReset(), connectionReset()},
	{[]ssetest.Step{ssetest.Stall()}, (*ssetest.Server).Close, connectionReset(), connectionReset()},
	{[]ssetest.Step{ssetest.Hold()}, (*ssetest.Server).Close, clean(), clean()},
	{[]ssetest.Step{ssetest.Hold()}, (*ssetest.Server).Down, connectionReset(), connectionReset()},
}

// TestEndings is the table of every ending, over every protocol: what net/http's client sees, and what ours reports.
func TestEndings(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, c := range allEndings {
			name := fmt.Sprint(c.steps)
			seen := c.h1
			if isH2(p) {
				seen = c.h2
			}
			script := append(ssetest.Script{ssetest.Data("one"), ssetest.Raw("data: tw")}, c.steps...)

			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Script("GET /feed", script)
			response := get(t, srv, "/feed")
			text := make([]byte, len("data: one\n\ndata: tw"))
			_, err := io.ReadFull(response.Body, text)
			require.NoError(t, err, name)
			assert.Equal(t, "data: one\n\ndata: tw", string(text), name)
			if c.then != nil {
				c.then(srv)
			}
			rest, err := io.ReadAll(response.Body)
			assert.Empty(t, rest, name)
			assert.True(t, seen.net(err), "%s: net/http's client sees %v", name, err)

			srv = ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Script("GET /feed", script)
			stream, err := ssetest.Dial(t.Context(), srv.URL+"/feed", nil)
			require.NoError(t, err, name)
			event, err := stream.Next(t.Context())
			require.NoError(t, err, name)
			assert.Equal(t, "one", event.Data, name)
			if c.then != nil {
				c.then(srv)
			}
			for range 2 {
				_, err = stream.Next(t.Context())
				require.ErrorIs(t, err, seen.ours, "%s: ours", name)
				if seen.ours != io.EOF {
					require.NotErrorIs(t, err, io.EOF, "%s: ours", name)
					assert.True(t, seen.net(err), "%s: the original is not in the chain of %v", name, err)
				}
			}
			stream.Close()
		}
	})
}

// TestEndsThatAreOurs are those that the client makes itself.
func TestEndsThatAreOurs(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Hold()})
		stream, err := ssetest.Dial(t.Context(), srv.URL+"/feed", nil)
		require.NoError(t, err)
		stream.Close()
		_, err = stream.Next(t.Context())
		require.ErrorIs(t, err, ssetest.ErrClosed)

		ctx, cancel := context.WithCancel(t.Context())
		stream, err = ssetest.Dial(ctx, srv.URL+"/feed", nil)
		require.NoError(t, err)
		cancel()
		_, err = stream.Next(t.Context())
		require.ErrorIs(t, err, context.Canceled)
		for _, other := range []error{ssetest.ErrClosed, ssetest.ErrStreamAborted, ssetest.ErrConnectionReset, ssetest.ErrGoneAway, io.EOF} {
			require.NotErrorIs(t, err, other)
		}
		stream.Close()
	})
}

// TestNoEndingLosesAnEvent has every ending at every byte of an event: what came before arrives, and never half of it.
func TestNoEndingLosesAnEvent(t *testing.T) {
	cut := ssetest.Event{Type: "x", Data: "a\nb", ID: "7", Retry: time6}
	wire, err := cut.AppendText(nil)
	require.NoError(t, err)
	endings := []ssetest.Step{
		ssetest.End(), ssetest.Abort(), ssetest.ResetStream(http2.ErrCodeCancel), ssetest.ResetConn(), ssetest.Stall(), ssetest.GoAway(http2.ErrCodeNo),
	}
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, ending := range endings {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			var scripts []ssetest.Script
			for n := range wire {
				scripts = append(scripts, ssetest.Script{ssetest.Data("before"), ssetest.Data(strconv.Itoa(n)), ssetest.Cut(cut, n), ending})
			}
			srv.Script("GET /feed", scripts...)
			for n := range wire {
				stream, err := ssetest.Dial(t.Context(), srv.URL+"/feed", nil)
				require.NoError(t, err)
				for _, data := range []string{"before", strconv.Itoa(n)} {
					event, err := stream.Next(t.Context())
					require.NoError(t, err, "%v after %d bytes", ending, n)
					require.Equal(t, data, event.Data, "%v after %d bytes", ending, n)
				}
				if ending == ssetest.Stall() {
					srv.Down() // or it would last
					srv.Up()
				}
				event, err := stream.Next(t.Context())
				require.Error(t, err, "%v after %d bytes: half an event is %v", ending, n, event)
				stream.Close()
			}
		}
	})
}

const time6 = 6_000_000_000 // nanoseconds

func TestGoAwayMovesTheClientToAnotherConnection(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("GET /feed")
		first := srv.Open(t, "/feed", nil)
		s := feed.Accept(t)
		s.Send(ssetest.Data("1"), ssetest.GoAway(http2.ErrCodeNo), ssetest.Data("2"))
		first.ExpectData("1", "2") // and so it has read the GOAWAY, which came in between

		second := srv.Open(t, "/feed", nil)
		s2 := feed.Accept(t)
		s.Send(ssetest.Data("3"), ssetest.End())
		s2.Send(ssetest.Data("x"), ssetest.End())
		first.ExpectData("3")
		first.ExpectEnd()
		second.ExpectData("x")
		second.ExpectEnd()

		third := srv.Open(t, "/feed", nil)
		feed.Accept(t).Send(ssetest.End())
		third.ExpectEnd()
		var connections []int
		for _, r := range srv.Requests() {
			connections = append(connections, r.Connection)
		}
		assert.Equal(t, []int{1, 2, 2}, connections)
	})
}

// TestRequestsBehindAGoAwayAreServedOnce has clients that ask while the GOAWAY is on its way to them, over and over.
func TestRequestsBehindAGoAwayAreServedOnce(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		const clients, each = 8, 50
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.GoAway(http2.ErrCodeNo), ssetest.Data("x")})
		failed := make(chan error, clients)
		for range clients {
			go func() {
				for range each {
					response, err := srv.Client().Get(srv.URL + "/feed")
					if err != nil {
						failed <- err
						return
					}
					text, err := io.ReadAll(response.Body)
					_ = response.Body.Close()
					if err != nil || string(text) != "data: x\n\n" {
						failed <- fmt.Errorf("%q: %w", text, err)
						return
					}
				}
				failed <- nil
			}()
		}
		for range clients {
			require.NoError(t, <-failed)
		}
		assert.Len(t, srv.Requests(), clients*each)
	})
}

// TestStallAndHold speaks HTTP/2 itself: behind Stall not a byte comes, behind Hold PINGs are answered.
func TestStallAndHold(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} {
		for _, held := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v held %v", p, held), func(t *testing.T) {
				t.Parallel()
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
				feed := srv.Feed("GET /feed")
				conn := dialRaw(t, srv)
				defer func() { _ = conn.Close() }()
				require.NoError(t, startStream(conn, p, "/feed"))
				frames := http2.NewFramer(conn, conn)
				s := feed.Accept(t)
				s.Send(ssetest.Data("x"))
				for {
					frame, err := frames.ReadFrame()
					require.NoError(t, err)
					if _, ok := frame.(*http2.DataFrame); ok {
						break
					}
				}
				if held {
					s.Send(ssetest.Hold())
				} else {
					s.Send(ssetest.Stall())
				}
				require.NoError(t, frames.WritePing(false, [8]byte{1}))
				if held {
					frame, err := frames.ReadFrame()
					require.NoError(t, err)
					assert.True(t, frame.(*http2.PingFrame).IsAck())
				}
				// What the client says reaches the server all the same: the PING has been read when the end of the stream is.
				require.NoError(t, frames.WriteRSTStream(1, http2.ErrCodeCancel))
				s.AwaitGone()
				srv.Close()
				rest, _ := io.ReadAll(conn) // to its end, be that clean or not
				if !held {
					assert.Empty(t, rest, "bytes behind Stall")
				}
			})
		}
	}
}

// TestAStalledConnectionStallsItsOtherStreams and no other connection.
func TestAStalledConnectionStallsItsOtherStreams(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("GET /feed")
		topic := srv.Open(t, "/post", nil)
		held := srv.Open(t, "/feed", nil)
		s := feed.Accept(t)
		s.Send(ssetest.Stall())

		other := &http.Client{Transport: srv.Client().Transport.(*http.Transport).Clone()}
		defer other.CloseIdleConnections()
		healthy := srv.Open(t, "/post", &ssetest.OpenConfig{Client: other})
		srv.Publish(ssetest.Data("x"))
		healthy.ExpectData("x")
		if isH2(p) {
			topic.ExpectSilence(0)
		} else {
			topic.ExpectData("x")
		}
		closeAtOnce(t, srv)
		held.ExpectError(ssetest.ErrConnectionReset)
	})
}

func TestBrokenBeforeTheHeaders(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Handle("GET /abort", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		_, err := ssetest.Dial(t.Context(), srv.URL+"/abort", nil)
		require.ErrorIs(t, err, ssetest.ErrStreamAborted)
		srv.Down()
		_, err = ssetest.Dial(t.Context(), srv.URL+"/sse", nil)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestExpectErrorSaysWhatCameInstead(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: ssetest.HTTP1})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("x"), ssetest.Abort()})
		stream := srv.Open(t, "/feed", nil)
		stream.Next()
		stream.ExpectError(ssetest.ErrConnectionReset)
	})
	assert.Regexp(t, `^ssetest: GET http://[^ /]+/feed: wanted the end of the stream with the error "ssetest: connection reset", `+
		`but the stream broke: GET http://[^ /]+/feed: ssetest: stream aborted: unexpected EOF\n`, failed.text())
	failed = attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("x")})
		srv.Open(t, "/feed", nil).ExpectError(ssetest.ErrConnectionReset)
	})
	assert.Contains(t, failed.text(), `with the error "ssetest: connection reset", but there was message x`)
}

// TestAStalledConnectionStaysStalled has a client that gives up a stream of it, and asks again on the same connection.
func TestAStalledConnectionStaysStalled(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			feed := srv.Feed("GET /stall")
			topic := srv.Open(t, "/post", nil)
			stalled := srv.Open(t, "/stall", nil)
			feed.Accept(t).Send(ssetest.Data("x"), ssetest.Stall())
			stalled.ExpectData("x")
			stalled.Close()
			srv.AwaitRequests(t, 2)
			_, err := ssetest.Dial(t.Context(), srv.URL+"/stall", &ssetest.OpenConfig{Timeout: 100 * time.Millisecond})
			require.ErrorContains(t, err, "no response within 100ms")
			srv.AwaitRequests(t, 3)
			assert.Equal(t, "GET /stall HTTP/2.0 (connection 1, stream 3)", srv.Requests()[2].String())
			topic.ExpectSilence(0)
			closeAtOnce(t, srv)
		})
	}
}

// TestFaultsComeBehindTheHeaders has faults that are the first thing that a feed sends.
func TestFaultsComeBehindTheHeaders(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("GET /feed")
		n := 10
		if isH2(p) { // where nothing leaves by itself
			n = 150
		}
		for i := range n {
			opened, sent := make(chan error, 1), make(chan struct{})
			go func() {
				transport := srv.Client().Transport.(*http.Transport).Clone()
				defer transport.CloseIdleConnections()
				response, err := (&http.Client{Transport: transport}).Get(srv.URL + "/feed")
				opened <- err
				<-sent
				if err == nil {
					_ = response.Body.Close()
				}
			}()
			s := feed.Accept(t)
			if i%2 == 0 {
				s.Send(ssetest.ResetConn())
			} else {
				s.Send(ssetest.Stall())
			}
			require.NoError(t, <-opened)
			close(sent)
		}
	})
}

// TestResetsAreBounded has a client that reads, but slowly.
func TestResetsAreBounded(t *testing.T) {
	srv := ssetest.NewServer(t, &ssetest.Config{Protocol: ssetest.HTTP1, Network: ssetest.Loopback})
	feed := srv.Feed("GET /feed")
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(64<<10))
	require.NoError(t, startStream(conn, ssetest.HTTP1, "/feed"))
	feed.Accept(t).Send(ssetest.Raw(strings.Repeat("x", 2<<20))) // which the kernel has then
	stop := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		defer func() { _ = conn.Close() }()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		buf := make([]byte, 8<<10)
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = conn.Read(buf)
			}
		}
	})
	start := time.Now()
	srv.Down()
	took := time.Since(start)
	close(stop)
	client.Wait()
	assert.Less(t, took, 1800*time.Millisecond) // a second, and what a busy machine adds
}

func TestAbortIsNoGoAwayForItsURL(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Handle("GET /GOAWAY", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	_, err := ssetest.Dial(t.Context(), srv.URL+"/GOAWAY", nil)
	require.ErrorIs(t, err, ssetest.ErrStreamAborted)
	require.NotErrorIs(t, err, ssetest.ErrGoneAway)
}

// TestEndsAreOnTheWire has a fault follow the end of another stream on the same connection, which must not take that end from its client.
func TestEndsAreOnTheWire(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("GET /feed")
		for i := range 60 {
			transport := srv.Client().Transport.(*http.Transport).Clone()
			cfg := &ssetest.OpenConfig{Client: &http.Client{Transport: transport}}
			first, second := srv.Open(t, "/feed", cfg), srv.Open(t, "/feed", cfg)
			s, other := feed.Accept(t), feed.Accept(t)
			ending := []ssetest.Step{ssetest.End(), ssetest.Abort(), ssetest.ResetStream(http2.ErrCodeCancel)}[i%3]
			s.Send(ssetest.Data("x"), ending)
			switch {
			case i%2 == 0:
				srv.Down()
				srv.Up()
			case isH2(p):
				other.Send(ssetest.ResetConn())
			}
			first.ExpectData("x")
			if i%3 == 0 {
				first.ExpectEnd()
			} else {
				first.ExpectError(ssetest.ErrStreamAborted)
			}
			second.Close()
			transport.CloseIdleConnections()
		}
	})
}

// TestInterimResponsesAreNoHeaders has a client that is told to go on sending before it is answered.
func TestInterimResponsesAreNoHeaders(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("POST /feed", ssetest.Script{ssetest.ResetConn()})
		for range 150 {
			transport := srv.Client().Transport.(*http.Transport).Clone()
			transport.ExpectContinueTimeout = time.Minute
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/feed", strings.NewReader("x"))
			require.NoError(t, err)
			r.Header.Set("Expect", "100-continue")
			response, err := (&http.Client{Transport: transport}).Do(r)
			require.NoError(t, err)
			_ = response.Body.Close()
			transport.CloseIdleConnections()
		}
	})
}

// TestRequestsOnAConnectionThatIsResetAreAskedAgain has streams come back at the very moment at which another stream resets their connection.
func TestRequestsOnAConnectionThatIsResetAreAskedAgain(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /reset", ssetest.Script{ssetest.ResetConn()})
		var streams []*ssetest.Stream
		for range 5 {
			streams = append(streams, srv.Open(t, "/post", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1}))
		}
		for range 10 {
			var restarts sync.WaitGroup
			restarts.Go(func() {
				for _, s := range streams {
					s.Restart()
				}
			})
			if response, err := srv.Client().Get(srv.URL + "/reset"); err == nil { // or it has met a connection that is reset
				_ = response.Body.Close()
			}
			restarts.Wait()
		}
		srv.AwaitSubscribers(t, 5)
	})
}

// TestAStalledConnectionIsLeftBehind by a client that reads a time out.
func TestAStalledConnectionIsLeftBehind(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Event{ID: "1", Data: "1"}, ssetest.Stall()}, ssetest.Script{ssetest.Data("2")})
		stream := srv.Open(t, "/feed", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: time.Millisecond, ReadTimeout: 200 * time.Millisecond})
		stream.ExpectData("1", "2")
	})
}
