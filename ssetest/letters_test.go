package ssetest_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what came with a file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), path)
}

func TestLettersOnTheWire(t *testing.T) {
	for _, seed := range []uint64{0, 1, 42} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				srv := ssetest.NewServer(t, &ssetest.Config{Seed: seed, Protocol: p, LetterInterval: -1})
				response := get(t, srv, "/sse")
				srv.Tick(10)
				srv.Close()
				wire, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				golden(t, fmt.Sprintf("letters-seed-%d.sse", seed), wire)
			})
		})
	}
}

// get opens a stream with a plain client.
func get(t *testing.T, srv *ssetest.Server, path string) *http.Response {
	t.Helper()
	response, err := srv.Client().Get(srv.URL + path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestLettersAreThoseOfLetter(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Seed: 7, Protocol: p, LetterInterval: -1})
		stream := srv.Open(t, "/sse", nil)
		srv.Tick(1)
		srv.Tick(0)
		srv.Tick(29)
		for k, e := range stream.Take(30) {
			require.Equal(t, srv.Letter(k), e)
		}
		require.Equal(t, "message", srv.Letter(0).Type)
	})
}

func TestSeedReachesEverything(t *testing.T) {
	letters := func(seed uint64) []byte {
		srv := ssetest.NewServer(t, &ssetest.Config{Seed: seed})
		var b bytes.Buffer
		for k := range 200 {
			fmt.Fprintln(&b, srv.Letter(k))
		}
		return b.Bytes()
	}
	three := letters(3)
	assert.Equal(t, three, letters(3))
	assert.NotEqual(t, three, letters(4))
}

func TestLettersResume(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1})
		first := srv.Open(t, "/sse", nil)
		srv.Tick(5)
		seen := first.Take(5)

		resumed := srv.Open(t, "/sse", &ssetest.OpenConfig{LastEventID: seen[2].ID})
		foreign := srv.Open(t, "/sse", &ssetest.OpenConfig{LastEventID: "1b4e28ba-2fa1-4d2b-883f-b9a761bde3fb"})
		unsent := srv.Open(t, "/sse", &ssetest.OpenConfig{LastEventID: srv.Letter(5).ID})
		srv.Tick(3)
		first.ExpectEvents(srv.Letter(5), srv.Letter(6), srv.Letter(7))
		resumed.ExpectEvents(srv.Letter(3), srv.Letter(4), srv.Letter(5))
		foreign.ExpectEvents(srv.Letter(0), srv.Letter(1), srv.Letter(2))
		unsent.ExpectEvents(srv.Letter(0), srv.Letter(1), srv.Letter(2))

		late := srv.Open(t, "/sse", &ssetest.OpenConfig{LastEventID: srv.Letter(7).ID})
		srv.Tick(1)
		late.ExpectEvents(srv.Letter(8))
	})
}

func TestFirstLetterComesAtOnce(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: time.Hour})
		srv.Open(t, "/sse", nil).ExpectJSON(`{"msg":"a"}`)
		srv.Open(t, "/sse", &ssetest.OpenConfig{LastEventID: srv.Letter(0).ID}).ExpectEvents(srv.Letter(1))
	})
}

func TestRetryIsAnnounced(t *testing.T) {
	for retry, wanted := range map[time.Duration]time.Duration{0: 6 * time.Second, -1: 0, 250 * time.Millisecond: 250 * time.Millisecond} {
		srv := ssetest.NewServer(t, &ssetest.Config{Retry: retry, LetterInterval: -1})
		letters := srv.Open(t, "/sse", nil)
		posts := srv.Open(t, "/post", nil)
		srv.Tick(1)
		srv.Post(1)
		srv.Publish(ssetest.Data("as given"))
		assert.Equal(t, wanted, letters.Next().Retry)
		assert.Equal(t, wanted, posts.Next().Retry)
		assert.Zero(t, posts.Next().Retry)
	}
}

func TestLettersRefuse(t *testing.T) {
	byHand := ssetest.NewServer(t, &ssetest.Config{LetterInterval: -1})
	byTime := ssetest.NewServer(t, nil)
	assert.PanicsWithValue(t, "ssetest: Tick(-1): the number of letters must be 0 to 1073741824", func() { byHand.Tick(-1) })
	assert.PanicsWithValue(t, "ssetest: Letter(-1): letters are counted from 0", func() { byHand.Letter(-1) })
	assert.PanicsWithValue(t, "ssetest: Tick is for letters by hand: set Config.LetterInterval to a negative number",
		func() { byTime.Tick(1) })
	byHand.Tick(3) // nobody listens
}

// A gate is a Config.Wrap that lets responses flush only as often as the test allows, after their headers.
type gate struct {
	http.ResponseWriter
	pass    <-chan struct{}
	flushes int
}

func (g *gate) FlushError() error {
	if g.flushes++; g.flushes > 1 {
		<-g.pass
	}
	return http.NewResponseController(g.ResponseWriter).Flush()
}

func gated(pass <-chan struct{}) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&gate{ResponseWriter: w, pass: pass}, r)
		})
	}
}

func TestTickReturnsWhenLettersAreFlushed(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		pass := make(chan struct{})
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1, Wrap: gated(pass)})
		stream := srv.Open(t, "/sse", nil)
		ticked := make(chan struct{})
		go func() {
			defer close(ticked)
			srv.Tick(2)
		}()
		for range 2 {
			select {
			case <-ticked:
				t.Fatal("Tick has returned before its letters were flushed")
			case pass <- struct{}{}:
			}
		}
		<-ticked
		stream.ExpectEvents(srv.Letter(0), srv.Letter(1))
	})
}

func TestTickFailsWhereLettersAreNotTaken(t *testing.T) {
	pass := make(chan struct{})
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, &ssetest.Config{LetterInterval: -1, Wrap: gated(pass), Timeout: 20 * time.Millisecond})
		srv.Open(t, "/sse", &ssetest.OpenConfig{Timeout: -1})
		srv.Tick(1)
		close(pass)
	})
	assert.Equal(t, "ssetest: Tick: GET /sse HTTP/2.0 (stream 1) has not taken its letters within 20ms", failed.text())
}

func TestTickDoesNotWaitForStreamsThatEnd(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		pass := make(chan struct{})
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1, Wrap: gated(pass)})
		stream := srv.Open(t, "/sse", nil)
		ticked := make(chan struct{})
		go func() {
			defer close(ticked)
			srv.Tick(1000)
		}()
		pass <- struct{}{} // Tick is at work
		stream.Close()
		close(pass)
		<-ticked
	})
}
