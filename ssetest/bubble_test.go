package ssetest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// bubble runs one test body on every protocol, each in a bubble.
func bubble(t *testing.T, body func(t *testing.T, p ssetest.Protocol)) {
	t.Parallel()
	for _, p := range protocols {
		t.Run(p.String(), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { body(t, p) }) })
	}
}

// TestAVirtualDay has every letter of it.
func TestAVirtualDay(t *testing.T) {
	const letters = 17_280
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Seed: 7})
		stream := srv.Open(t, "/sse", nil)
		start := time.Now()
		for k := range letters {
			if got := stream.Next(); got != srv.Letter(k) {
				t.Fatalf("letter %d is %v", k, got)
			}
			if at := time.Since(start); at != time.Duration(k)*5*time.Second {
				t.Fatalf("letter %d comes at %v", k, at)
			}
		}
		stream.ExpectSilence(5 * time.Second)
		assert.Equal(t, 24*time.Hour, time.Since(start))
	})
}

// TestAHundredClientsForAnHour are at once on one server.
func TestAHundredClientsForAnHour(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		start := time.Now()
		var clients sync.WaitGroup
		for range 100 {
			es, err := ssetest.Dial(context.Background(), srv.URL+"/sse", nil)
			require.NoError(t, err)
			clients.Go(func() {
				defer es.Close()
				for k := range 720 {
					letter, err := es.Next(context.Background())
					if err != nil || letter != srv.Letter(k) {
						t.Errorf("letter %d: %v, %v", k, letter, err)
						return
					}
				}
			})
		}
		clients.Wait()
		assert.Equal(t, 719*5*time.Second, time.Since(start))
	})
}

func TestTimeIsExact(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed",
			ssetest.Script{ssetest.Response{Delay: time.Minute}, ssetest.Event{ID: "1", Data: "one"}, ssetest.Wait(time.Hour), ssetest.Event{Data: "two", Retry: 3 * time.Second}, ssetest.Abort()},
			ssetest.Script{ssetest.Comment("heartbeat"), ssetest.Wait(15 * time.Second), ssetest.Comment("heartbeat"), ssetest.Hold()},
		)
		start := time.Now()
		at := func(d time.Duration) {
			t.Helper()
			assert.Equal(t, d, time.Since(start))
		}
		stream := srv.Open(t, "/feed", &ssetest.OpenConfig{Reconnect: true, ReadTimeout: 2 * time.Hour})
		at(time.Minute)
		stream.ExpectData("one")
		stream.ExpectSilence(time.Hour)
		at(time.Hour + time.Minute)
		stream.ExpectData("two")
		stream.ExpectReconnect(3 * time.Second)
		at(time.Hour + time.Minute + 3*time.Second)
		stream.ExpectComment("heartbeat")
		stream.ExpectComment("heartbeat")
		at(time.Hour + time.Minute + 18*time.Second)
		stream.ExpectEnd() // by 204, when the read timeout has passed, and the reconnection time
		at(time.Hour + time.Minute + 18*time.Second + 2*time.Hour + 3*time.Second)
	})
}

// TestEndingsInABubble is the table of every ending, on virtual time.
func TestEndingsInABubble(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		for _, c := range allEndings {
			name := fmt.Sprint(c.steps)
			seen := c.h1
			if isH2(p) {
				seen = c.h2
			}
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Script("GET /feed", append(ssetest.Script{ssetest.Data("one"), ssetest.Wait(time.Hour), ssetest.Raw("data: tw")}, c.steps...))
			es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", nil)
			require.NoError(t, err, name)
			event, err := es.Next(t.Context())
			require.NoError(t, err, name)
			assert.Equal(t, "one", event.Data, name)
			if c.then != nil {
				time.Sleep(2 * time.Hour)
				c.then(srv)
			}
			_, err = es.Next(t.Context())
			require.ErrorIs(t, err, seen.ours, name)
			if seen.ours != io.EOF {
				assert.True(t, seen.net(err), "%s: %v", name, err)
			}
			es.Close()
			srv.Close()
		}
	})
}

// TestFaultsInABubble has the rest of what can happen to a stream.
func TestFaultsInABubble(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Compress: true})
		stream := srv.Open(t, "/post", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: time.Second, LastEventID: "0"})
		srv.Publish(numbered(1, 3)...)
		stream.ExpectData("1", "2", "3")
		start := time.Now()
		srv.Down()
		time.AfterFunc(10*time.Minute, srv.Up)
		srv.Publish(numbered(4, 5)...)
		stream.ExpectData("4", "5")
		// Attempts after 1, 2, 4, … seconds, and then every 30.
		assert.Equal(t, 10*time.Minute, time.Since(start).Truncate(time.Minute))
		assert.Less(t, time.Since(start), 10*time.Minute+30*time.Second)

		srv.Chaos(ssetest.Chaos{Seed: 3, Abort: 0.2, Split: 0.5, Delay: time.Minute})
		stream.Restart()
		for i := 6; i <= 60; i++ {
			srv.Publish(numbered(i, i)...)
			time.Sleep(time.Second)
		}
		srv.ExpectExactlyOnce(stream)

		feed := srv.Feed("GET /feed")
		fed := srv.Open(t, "/feed", nil)
		s := feed.Accept(t)
		s.Send(ssetest.GoAway(http2.ErrCodeNo), ssetest.Stall())
		fed.ExpectSilence(time.Hour)
		fed.Close()
		s.AwaitGone()
	})
}

// TestWaitsThatNeverEndFailAtOnce are over when their virtual time is.
func TestWaitsThatNeverEndFailAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		stream := srv.Open(t, "/post", nil)
		feed := srv.Feed("GET /feed")
		for wanted, wait := range map[string]func(t testing.TB){
			"nothing more arrived within 24h0m0s": func(t testing.TB) { rebind(stream, t).Next() },
			"after 24h0m0s there was none":        func(t testing.TB) { feed.Accept(t) },
			"after 24h0m0s there were 1":          func(t testing.TB) { srv.AwaitSubscribers(t, 2) },
			"; after 24h0m0s there were 0":        func(t testing.TB) { srv.AwaitStreams(t, "/sse", 1) },
		} {
			start := time.Now()
			assert.Contains(t, attempt(t, wait).text(), wanted)
			assert.Equal(t, 24*time.Hour, time.Since(start))
		}
	})
}

// TestWhatIsForgottenInABubble is closed with it: a deadlock would take the process down.
func TestWhatIsForgottenInABubble(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /hold", ssetest.Script{ssetest.Data("x"), ssetest.Hold()})
		srv.Script("GET /much", ssetest.Script{ssetest.Raw(strings.Repeat("x", 8<<20))})
		srv.Script("GET /stall", ssetest.Script{ssetest.Data("x"), ssetest.Stall()})
		srv.Script("GET /late", ssetest.Script{ssetest.Wait(time.Hour), ssetest.Data("x")})
		feed := srv.Feed("GET /feed")
		for _, path := range []string{"/sse", "/post", "/hold", "/much", "/late", "/feed", "/feed"} {
			response, err := srv.Client().Get(srv.URL + path) // that is what is tested
			require.NoError(t, err)
			if path == "/hold" || path == "/much" {
				_, err = response.Body.Read(make([]byte, 1))
				require.NoError(t, err)
			}
		}
		feed.Accept(t)
		srv.Open(t, "/late", &ssetest.OpenConfig{Reconnect: true}).IgnoreRest()
		srv.Open(t, "/sse", nil)
		_, err := srv.Client().Get(srv.URL + "/stall") // that is what is tested
		require.NoError(t, err)
	})
}

// TestWhatIsOnItsWayWhenABubbleEnds is closed with it, too.
func TestWhatIsOnItsWayWhenABubbleEnds(t *testing.T) {
	for name, body := range map[string]func(t *testing.T, srv *ssetest.Server){
		"a large body that nobody reads": func(t *testing.T, srv *ssetest.Server) {
			srv.Handle("POST /refuse", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
			response, err := srv.Client().Post(srv.URL+"/refuse", "text/plain", bytes.NewReader(make([]byte, 5<<20)))
			if err == nil { // it may be closed before it has been sent
				require.NoError(t, response.Body.Close())
			}
		},
		"a client with a timeout": func(t *testing.T, srv *ssetest.Server) {
			client := *srv.Client()
			client.Timeout = time.Minute
			_, err := client.Get(srv.URL + "/sse") // that is what is tested
			require.NoError(t, err)
		},
		"a response that comes while the server is closed": func(_ *testing.T, srv *ssetest.Server) {
			srv.Handle("GET /late", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
			}))
			go func() { _, _ = srv.Client().Get(srv.URL + "/late") }() // that is what is tested
			synctest.Wait()
		},
		"a response of another server": func(t *testing.T, srv *ssetest.Server) {
			other := ssetest.NewServer(t, &ssetest.Config{Protocol: ssetest.HTTP1})
			srv.Handle("GET /go", http.RedirectHandler(other.URL+"/sse", http.StatusTemporaryRedirect))
			_, err := srv.Client().Get(srv.URL + "/go") // that is what is tested
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range protocols {
				if name == "a response of another server" && p != ssetest.HTTP1 {
					continue // they have other schemes, or certificates
				}
				synctest.Test(t, func(t *testing.T) { body(t, ssetest.NewServer(t, &ssetest.Config{Protocol: p})) })
			}
		})
	}
}

// TestClientsThatDoNotWaitAreStopped where the clock would stand still for ever.
func TestClientsThatDoNotWaitAreStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: ssetest.HTTP1})
			srv.Script("GET /feed", ssetest.Script{ssetest.Comment("x")})
			srv.Open(t, "/feed", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1}).ExpectData("never")
		})
		assert.Contains(t, failed.text(), "10000 attempts at one instant of virtual time")
	})
}

// TestAClientThatWantsASocket reads what to do, at once, in a bubble and outside of it.
func TestAClientThatWantsASocket(t *testing.T) {
	check := func(t *testing.T) {
		srv := ssetest.NewServer(t, &ssetest.Config{Network: ssetest.InMemory})
		transport := new(http.Transport)
		defer transport.CloseIdleConnections()
		_, err := (&http.Client{Transport: transport}).Get(srv.URL + "/sse")
		require.ErrorContains(t, err, "lookup in-memory!use-Server.Client: no such host")
		_, err = ssetest.Dial(t.Context(), srv.URL+"/sse", &ssetest.OpenConfig{Client: &http.Client{Transport: transport}, Reconnect: true})
		require.ErrorContains(t, err, "no such host", "and is not tried again and again")
	}
	check(t)
	synctest.Test(t, check)
}

// TestNetworkSettings are for a whole run.
func TestNetworkSettings(t *testing.T) {
	for value, memory := range map[string]bool{"": false, "loopback": false, "memory": true} {
		t.Setenv("SSETEST_NETWORK", value)
		srv := ssetest.NewServer(t, nil)
		assert.Equal(t, memory, strings.Contains(srv.URL, "in-memory"), srv.URL)
		ssetest.Open(t, strings.ToLower(srv.URL)+"/sse", nil).Next()
		assert.Contains(t, ssetest.NewServer(t, &ssetest.Config{Addr: "127.0.0.1:0"}).URL, "127.0.0.1")
		srv.Open(t, "/sse", nil).Next()
		assert.Contains(t, ssetest.NewServer(t, &ssetest.Config{Network: ssetest.Loopback}).URL, "127.0.0.1")
	}
	t.Setenv("SSETEST_NETWORK", "carrier pigeon")
	failed := attempt(t, func(t testing.TB) { ssetest.NewServer(t, nil) })
	assert.Equal(t, `ssetest: -ssetest.network, or SSETEST_NETWORK, is "carrier pigeon"; it must be memory or loopback`, failed.text())
	ssetest.NewServer(t, &ssetest.Config{Network: ssetest.InMemory})
	assert.Equal(t, "InMemory", ssetest.InMemory.String())
	assert.Equal(t, "Network(7)", ssetest.Network(7).String())
}

// TestATransportOfYourOwn is the one of the manual, in a bubble and outside of it, on both networks.
func TestATransportOfYourOwn(t *testing.T) {
	check := func(t *testing.T, network ssetest.Network) {
		srv := ssetest.NewServer(t, &ssetest.Config{Network: network})
		pool := x509.NewCertPool()
		pool.AddCert(srv.Certificate())
		transport := &http.Transport{DialContext: srv.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
		response, err := (&http.Client{Transport: transport}).Get(srv.URL + "/sse")
		require.NoError(t, err)
		assert.Equal(t, "HTTP/2.0", response.Proto)
		require.NoError(t, response.Body.Close())
		transport.CloseIdleConnections()
	}
	check(t, ssetest.Loopback)
	check(t, ssetest.InMemory)
	synctest.Test(t, func(t *testing.T) { check(t, ssetest.Auto) })
}

// TestYourTransportInABubble is a transport of the test's own, on the server's connections, and one that forgets a body: the test runs in a process of its own.
func TestYourTransportInABubble(t *testing.T) {
	forget := os.Getenv("SSETEST_FORGET")
	if forget == "" {
		for _, how := range []string{"nothing", "a body"} {
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestYourTransportInABubble$", "-test.timeout=30s")
			command.Env = append(os.Environ(), "SSETEST_FORGET="+how)
			output, err := command.CombinedOutput()
			var failed *exec.ExitError
			assert.Equal(t, how != "nothing", errors.As(err, &failed), string(output))
			if how == "a body" {
				assert.Contains(t, string(output), "ssetest: in this testing/synctest bubble, connections are open on their clients' side when the test ends")
				assert.Contains(t, string(output), "\n          connection 1, on which the last request was GET /sse HTTP/1.1 (connection 1, stream 1)\n")
				assert.Contains(t, string(output), "main bubble goroutine has exited")
			}
		}
		return
	}
	synctest.Test(t, func(t *testing.T) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: ssetest.HTTP1})
		mine := &http.Client{Transport: &http.Transport{DialContext: srv.DialContext}}
		response, err := mine.Get(srv.URL + "/sse") // it is, or it is what is tested
		require.NoError(t, err)
		if forget == "nothing" {
			require.NoError(t, response.Body.Close())
		}
	})
}
