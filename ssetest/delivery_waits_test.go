package ssetest_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestDeliveryIsAwaited asks as soon as something is published.
func TestDeliveryIsAwaited(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		topic := srv.Topic("/prices")
		for range 10 {
			s := openReturning(t, srv, "/prices")
			for i := range 20 {
				topic.Post(i)
				srv.ExpectExactlyOnce(s)
			}
			s.Take(20)
			s.Close()
		}
	})
}

// TestScriptsAreAwaited asks while they are still being served: what is sent meanwhile is neither lost nor unknown.
func TestScriptsAreAwaited(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", steps(numbered(1, 50), ssetest.Hold()))
		for range 10 {
			s := openReturning(t, srv, "/feed")
			srv.ExpectExactlyOnce(s)
			s.Take(50)
			s.Close()
		}
	})
}

// TestEventsMayBePublishedMeanwhile has another goroutine publish while the test asks.
func TestEventsMayBePublishedMeanwhile(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		s := openReturning(t, srv, "/post")
		s.IgnoreRest()
		published := make(chan struct{})
		go func() {
			defer close(published)
			for _, e := range numbered(1, 2000) {
				srv.Publish(e)
			}
		}()
		for done := false; !done; {
			select {
			case <-published:
				done = true
			default:
			}
			srv.ExpectExactlyOnce(s)
			srv.ExpectAtLeastOnce(s)
		}
		s.ExpectEvents(numbered(1, 2000)...)
	})
}

// TestWhatIsRepeatedIsAwaited asks as soon as a feed has sent everything again, of which nothing may have arrived.
func TestWhatIsRepeatedIsAwaited(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for range 20 {
			failed := attempt(t, func(t testing.TB) {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
				feed := srv.Feed("GET /feed")
				s := openReturning(t, srv, "/feed")
				feed.Accept(t).Send(steps(numbered(1, 2), ssetest.Abort())...)
				feed.Accept(t).Send(steps(numbered(1, 2))...)
				srv.ExpectExactlyOnce(s)
			})
			require.Equal(t, fmt.Sprintf(wantedExactlyOnce, "/feed")+
				"of 2 events that the endpoint has published\nrepeated: 2 events:\n  message 1 id=1\n  message 2 id=2", verdict(failed))
		}
	})
}

// TestDuplicatesAreAwaited has chaos send events twice, byte by byte.
func TestDuplicatesAreAwaited(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for seed := range uint64(10) {
			failed := attempt(t, func(t testing.TB) {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
				srv.Chaos(ssetest.Chaos{Seed: seed, Duplicate: 1, Split: 1})
				s := openReturning(t, srv, "/post")
				srv.Publish(numbered(1, 2)...)
				srv.ExpectExactlyOnce(s)
			})
			require.Equal(t, fmt.Sprintf(wantedExactlyOnce, "/post")+
				"of 2 events that the endpoint has published\nrepeated: 2 events:\n  message 1 id=1\n  message 2 id=2", verdict(failed))
		}
	})
}

// A lateEnd is a body that hides its end until somebody opens the gate.
type lateEnd struct {
	io.ReadCloser
	gate <-chan struct{}
}

func (b lateEnd) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		<-b.gate
	}
	return n, err
}

// endingLate is a transport whose bodies hide their ends.
func endingLate(gate <-chan struct{}) func(next http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			if err == nil {
				response.Body = lateEnd{response.Body, gate}
			}
			return response, err
		})
	}
}

// TestAStreamThatIsOverIsNoVerdict has a client that takes a stream for open which its server has lost.
func TestAStreamThatIsOverIsNoVerdict(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for range 10 {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			gate := make(chan struct{})
			s := openThrough(t, srv, "/post", endingLate(gate))
			srv.Publish(numbered(1, 1)...)
			s.ExpectData("1")
			srv.Down()
			srv.Publish(numbered(2, 2)...)
			srv.Up()
			go close(gate)
			srv.ExpectExactlyOnce(s)
			s.ExpectData("2")
		}
	})
}

// TestDeliveryToAClientThatIsLeaving publishes between the moment in which the server has seen a client leave, and the one in which it is done with its request.
func TestDeliveryToAClientThatIsLeaving(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		slow := make(chan struct{}) // until it is closed, neither side comes to an end
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				<-slow
			})
		}})
		s := openThrough(t, srv, "/post", endingLate(slow))
		srv.Publish(numbered(1, 1)...)
		s.ExpectData("1")
		s.Restart()
		srv.AwaitSubscribers(t, 0)
		srv.Publish(numbered(2, 2)...)
		time.AfterFunc(time.Second, func() { close(slow) })
		srv.ExpectExactlyOnce(s)
		s.ExpectData("2")
	})
}

// TestDeliveryAfterARestart has a client that breaks its stream off by itself.
func TestDeliveryAfterARestart(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		s := openReturning(t, srv, "/post")
		srv.Publish(numbered(0, 0)...)
		s.ExpectData("0")
		for i := 1; i <= 100; i++ {
			s.Restart()
			srv.Publish(numbered(i, i)...)
			srv.ExpectExactlyOnce(s)
		}
		s.ExpectEvents(numbered(1, 100)...)
	})
}

// TestDeliveryWaitsForTheServer asks while it is down, and when it has just come back.
func TestDeliveryWaitsForTheServer(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		s := srv.Open(t, "/post", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: time.Millisecond})
		srv.Publish(numbered(0, 0)...)
		s.ExpectData("0")
		const n = 30
		for i := 1; i <= n; i += 3 {
			srv.Publish(numbered(i, i)...) // it may arrive before the server is down or after
			srv.Down()
			srv.Publish(numbered(i+1, i+1)...)
			srv.Up()
			srv.ExpectExactlyOnce(s)

			srv.Down()
			srv.Publish(numbered(i+2, i+2)...)
			up := make(chan struct{})
			go func() { srv.Up(); close(up) }()
			srv.ExpectExactlyOnce(s)
			<-up
		}
		s.ExpectEvents(numbered(1, n)...)
	})
}

// TestDeliveryDoesNotWaitForever has a server that stays away.
func TestDeliveryDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, nil)
			s := srv.Open(t, "/post", &ssetest.OpenConfig{Reconnect: true, Timeout: 50 * time.Millisecond})
			srv.Publish(numbered(1, 1)...)
			s.ExpectData("1")
			srv.Down()
			srv.Publish(numbered(2, 2)...)
			srv.ExpectExactlyOnce(s)
		})
		assert.Equal(t, fmt.Sprintf(wantedExactlyOnce, "/post")+"of 2 events that the endpoint has published\nlost: 1 event:\n  message 2 id=2", verdict(failed))
	})
}
