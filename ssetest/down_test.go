package ssetest_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func TestDownAndUp(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		url, certificate := srv.URL, srv.Certificate()
		stream := srv.Open(t, "/post", nil)
		srv.Publish(ssetest.Event{ID: "1", Data: "one"})
		stream.ExpectData("one")
		for range 2 {
			srv.Down()
		}
		stream.ExpectError(ssetest.ErrConnectionReset)
		srv.AwaitSubscribers(t, 0)
		_, err := ssetest.Dial(t.Context(), srv.URL+"/post", nil)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		_, addr, _ := strings.Cut(srv.URL, "://")
		taken, err := net.Listen("tcp", addr)
		if err == nil { // a listener with SO_REUSEADDR may; then it must not be there for long
			require.NoError(t, taken.Close())
		}
		assert.Zero(t, srv.Publish(ssetest.Event{ID: "2", Data: "two"}))
		for range 2 {
			srv.Up()
		}
		assert.Equal(t, url, srv.URL)
		assert.Same(t, certificate, srv.Certificate())
		again := srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: "1"})
		again.ExpectData("two")
	})
}

func TestDownIsNotInTheWayOfTheEnd(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Up()
		srv.Open(t, "/sse", nil).Next()
		srv.Down()
		closeAtOnce(t, srv)
		srv.Down()
		srv.Up()
	})
}

// TestDownAndUpAgainAndAgain has clients that connect all the while.
func TestDownAndUpAgainAndAgain(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-t.Context().Done():
						return
					default:
					}
					if stream, err := ssetest.Dial(t.Context(), srv.URL+"/sse", nil); err == nil {
						_, _ = stream.Next(t.Context())
						stream.Close()
					}
				}
			})
		}
		for range 20 {
			srv.Down()
			srv.Up()
			fresh := &http.Client{Transport: srv.Client().Transport.(*http.Transport).Clone()} // no connection of its is broken
			stream := srv.Open(t, "/sse", &ssetest.OpenConfig{Client: fresh})
			stream.Next()
			stream.Close()
			fresh.CloseIdleConnections()
		}
		close(stop)
		clients.Wait()
		closeAtOnce(t, srv)
	})
}
