package ssetest_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func TestFeedIsDrivenByHand(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("/feed/{name}")
		request(t, srv, "HEAD", "/feed/a") // reaches no Accept
		request(t, srv, "OPTIONS", "/feed/a")
		first := srv.Open(t, "/feed/a", nil) // has its headers before anybody accepts it
		second := srv.Open(t, "/feed/b", &ssetest.OpenConfig{Method: "POST", Body: []byte("body"), LastEventID: "7"})

		s := feed.Accept(t)
		assert.Equal(t, "a", s.Request().PathValue("name"))
		assert.Empty(t, s.LastEventID())
		s2 := feed.Accept(t)
		assert.Equal(t, "7", s2.LastEventID())
		for range 2 {
			text, err := io.ReadAll(s2.Request().Body)
			require.NoError(t, err)
			assert.Equal(t, "body", string(text))
		}

		s.Send(ssetest.Data("1"), ssetest.Comment("x"), ssetest.Raw("data: 2\n\n"), ssetest.Split(2))
		s.Send(ssetest.Data("3"))
		first.ExpectData("1", "2", "3")
		select {
		case <-s.Done():
			t.Error("over before its end")
		default:
		}
		s.Send(ssetest.Data("4"), ssetest.End())
		<-s.Done()
		s.AwaitGone()
		first.ExpectData("4")
		first.ExpectEnd()

		second.Close()
		s2.AwaitGone()
		<-s2.Done()
	})
}

func TestFeedFailures(t *testing.T) {
	for text, body := range map[string]func(t testing.TB, srv *ssetest.Server, feed *ssetest.Feed){
		"Send: the client has left\n": func(t testing.TB, srv *ssetest.Server, feed *ssetest.Feed) {
			stream := srv.Open(t, "/feed", nil)
			s := feed.Accept(t)
			stream.Close()
			s.AwaitGone()
			s.Send(ssetest.Data("x"), ssetest.End())
		},
		"Send: the stream has been ended before, by Abort()": func(t testing.TB, srv *ssetest.Server, feed *ssetest.Feed) {
			srv.Open(t, "/feed", nil)
			s := feed.Accept(t)
			s.Send(ssetest.Abort())
			s.Send(ssetest.Data("x"))
		},
		"Send: the server is closed\n": func(t testing.TB, srv *ssetest.Server, feed *ssetest.Feed) {
			srv.Open(t, "/feed", nil)
			s := feed.Accept(t)
			srv.Close()
			s.Send(ssetest.Data("x"))
		},
		"waited for a client to open a stream of GET /feed; but the server is closed": func(t testing.TB, srv *ssetest.Server, feed *ssetest.Feed) {
			srv.Close()
			feed.Accept(t)
		},
		"waited for a client to open a stream of GET /feed; after 200ms there was none\nrequests to": func(t testing.TB, _ *ssetest.Server, feed *ssetest.Feed) {
			feed.Accept(t)
		},
		"waited for the client to leave; after 200ms it is still there": func(t testing.TB, srv *ssetest.Server, feed *ssetest.Feed) {
			srv.Open(t, "/feed", nil)
			feed.Accept(t).AwaitGone()
		},
		"waited for 2 requests; after 200ms there were 1\nrequests to": func(t testing.TB, srv *ssetest.Server, _ *ssetest.Feed) {
			srv.Open(t, "/feed", nil)
			srv.AwaitRequests(t, 2)
		},
	} {
		t.Run(text[:12], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failed := attempt(t, func(t testing.TB) {
					srv := ssetest.NewServer(t, &ssetest.Config{Timeout: 200 * time.Millisecond})
					body(t, srv, srv.Feed("GET /feed"))
				})
				assert.Contains(t, failed.text(), text)
			})
		})
	}
}

func TestAClientThatDoesNotReadFailsSend(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		failed := attempt(t, func(tb testing.TB) {
			srv := ssetest.NewServer(tb, &ssetest.Config{Protocol: p, Timeout: time.Second})
			feed := srv.Feed("GET /feed")
			conn := dialRaw(t, srv)
			defer func() { _ = conn.Close() }()
			require.NoError(t, startStream(conn, p, "/feed"))
			feed.Accept(tb).Send(ssetest.Raw(strings.Repeat("x", 32<<20)))
		})
		assert.Contains(t, failed.text(), "Send: the client has not taken what was sent within 1s; does it read?")
	})
}

func TestBadSends(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	feed := srv.Feed("GET /feed")
	stream := srv.Open(t, "/feed", nil)
	s := feed.Accept(t)
	assert.Equal(t, `ssetest: Send: step 2, Wait(-1ns): the time must not be negative`,
		panicText(func() { s.Send(ssetest.Data("1"), ssetest.Wait(-1)) }))
	assert.Equal(t, `ssetest: Send: step 1, Response 200: the headers have gone out already; a script can begin with a Response`,
		panicText(func() { s.Send(ssetest.Response{}) }))
	s.Send(ssetest.Data("2"), ssetest.End())
	stream.ExpectData("2")
	stream.ExpectEnd()
}

func TestStreamsThatNobodyAcceptsAreNoted(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		srv.Feed("GET /feed")
		for range 12 {
			srv.Open(t, "/feed", nil)
		}
		t.Error("for another reason")
	})
	assert.Equal(t, "for another reason", failed.text())
	logs := strings.Join(failed.logs, "\n")
	assert.Contains(t, logs, "GET /feed HTTP/2.0 (stream 10): nobody has accepted it")
	assert.Contains(t, logs, "… and 2 more streams of GET /feed that nobody has accepted")
}

// TestSlowClientsDelayNobody has clients that read nothing, and one that is stalled, beside a hundred that do.
func TestSlowClientsDelayNobody(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /much", ssetest.Script{ssetest.Raw(strings.Repeat("x", 32<<20))})
		srv.Script("GET /stall", ssetest.Script{ssetest.Stall()})
		for _, path := range []string{"/much", "/stall", "/post"} {
			conn := dialRaw(t, srv)
			defer func() { _ = conn.Close() }()
			require.NoError(t, startStream(conn, p, path))
		}
		var healthy []*ssetest.Stream
		for range 100 {
			healthy = append(healthy, srv.Open(t, "/post", nil))
		}
		srv.AwaitSubscribers(t, 101)
		feed := srv.Feed("GET /feed")
		for range 100 {
			fed := srv.Open(t, "/feed", nil)
			feed.Accept(t).Send(ssetest.Data("one"), ssetest.Data("two"))
			fed.ExpectData("one", "two")
		}
		for i := range 20 {
			srv.Publish(ssetest.Data(strconv.Itoa(i)), ssetest.Data(strings.Repeat("x", 10_000)))
		}
		for _, s := range healthy {
			for i := range 20 {
				s.ExpectData(strconv.Itoa(i))
				s.Next()
			}
		}
		closeAtOnce(t, srv)
	})
}

// TestTokensAreAskedForEverywhere has a Wrap that wants another token with every connection to an endpoint.
func TestTokensAreAskedForEverywhere(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		token := "first"
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+token {
					http.Error(w, "who are you?", http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		}})
		srv.Script("GET /script", ssetest.Script{ssetest.Hold()}, ssetest.Script{ssetest.Hold()})
		srv.Feed("GET /feed")
		for _, path := range []string{"/script", "/feed", "/sse", "/post"} {
			for _, token = range []string{"first", "second"} {
				_, err := ssetest.Dial(t.Context(), srv.URL+path, &ssetest.OpenConfig{Header: http.Header{"Authorization": {"Bearer old"}}})
				var refused *ssetest.ResponseError
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, http.StatusUnauthorized, refused.StatusCode)
				srv.Open(t, path, &ssetest.OpenConfig{Header: http.Header{"Authorization": {"Bearer " + token}}}).Close()
			}
		}
	})
}

// TestAClientMayLeaveBecauseOfWhatWasSent has one that leaves when it has the last event.
func TestAClientMayLeaveBecauseOfWhatWasSent(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("GET /feed")
		for range 300 {
			left := make(chan error, 1)
			go func() {
				stream, err := ssetest.Dial(context.Background(), srv.URL+"/feed", nil)
				if err == nil {
					_, err = stream.Next(context.Background())
					stream.Close()
				}
				left <- err
			}()
			feed.Accept(t).Send(ssetest.Data("last"))
			require.NoError(t, <-left)
		}
	})
}

// TestAcceptWhileTheServerIsClosed has feeds whose streams are accepted until the end.
func TestAcceptWhileTheServerIsClosed(t *testing.T) {
	for range 50 {
		srv, err := ssetest.Start(&ssetest.Config{Protocol: ssetest.H2C, Timeout: time.Second})
		require.NoError(t, err)
		feed := srv.Feed("GET /feed")
		var streams []*ssetest.EventSource
		for range 3 {
			stream, err := ssetest.Dial(t.Context(), srv.URL+"/feed", nil)
			require.NoError(t, err)
			streams = append(streams, stream)
		}
		accepted := make(chan struct{})
		go func() {
			defer close(accepted)
			attempt(t, func(t testing.TB) {
				for {
					feed.Accept(t)
				}
			})
		}()
		srv.Close()
		<-accepted
		for _, stream := range streams {
			stream.Close()
		}
	}
}

// TestSendWaitsForTheEnd has a Wrap that takes its time when the feed has ended the stream: the end is not on the wire before that.
func TestSendWaitsForTheEnd(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		var srv *ssetest.Server
		var done atomic.Bool
		srv = ssetest.NewServer(t, &ssetest.Config{Protocol: p, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				if r.URL.Path == "/feed" {
					if response, err := srv.Client().Get(srv.URL + "/nowhere"); err == nil {
						_ = response.Body.Close()
					}
					done.Store(true)
				}
			})
		}})
		feed := srv.Feed("GET /feed")
		srv.Open(t, "/feed", nil)
		feed.Accept(t).Send(ssetest.End())
		assert.True(t, done.Load())
	})
}
