package ssetest_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

const chaoticText = "data: one\n\n: comment\n\nid: 2\r\ndata: two\r\n\r\ndata: three\n: comment\ndata: 3\n\ndata: four\r\rdata: five\n\n"

// chaoticStreams opens so many streams, each on a connection of its own, and returns how often each was seen: its text, and how it ended.
func chaoticStreams(t *testing.T, p ssetest.Protocol, chaos ssetest.Chaos, n int) map[string]int {
	t.Helper()
	srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
	srv.Script("GET /feed", ssetest.Script{ssetest.Raw(chaoticText[:20]), ssetest.Raw(chaoticText[20:])})
	srv.Chaos(chaos)
	transport := srv.Client().Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	client := &http.Client{Transport: transport}
	var mu sync.Mutex
	seen := make(map[string]int)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range n / 4 {
				how := "headers"
				response, err := client.Get(srv.URL + "/feed")
				if err == nil {
					var text []byte
					text, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
					how = string(text)
				}
				mu.Lock()
				seen[fmt.Sprintf("%s, broken %v", how, err != nil)]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	return seen
}

// TestChaosIsTheSameInEveryRun has three thousand streams, in two runs.
func TestChaosIsTheSameInEveryRun(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP1, ssetest.H2C} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			chaos := ssetest.Chaos{Seed: 7, Abort: 0.1, Reset: 0.02, Split: 0.3, Duplicate: 0.1}
			first := chaoticStreams(t, p, chaos, 1500)
			assert.Greater(t, len(first), 20)
			second := chaoticStreams(t, p, chaos, 1500)
			for transcript, n := range first {
				require.Equal(t, n, second[transcript], transcript)
			}
			assert.Len(t, second, len(first))
			chaos.Seed = 8
			other, again := chaoticStreams(t, p, chaos, 200), chaoticStreams(t, p, chaos, 200)
			assert.True(t, reflect.DeepEqual(other, again))
			chaos.Seed = 7
			assert.False(t, reflect.DeepEqual(other, chaoticStreams(t, p, chaos, 200)), "another seed")
		})
	}
}

// TestResetsDeliverWhatWasWritten has many connections reset on a busy machine, where a reset easily overtakes what was written before it.
func TestResetsDeliverWhatWasWritten(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		chaos := ssetest.Chaos{Seed: 7, Reset: 0.3, Split: 0.3}
		seen, again := chaoticStreams(t, p, chaos, 200), chaoticStreams(t, p, chaos, 200)
		assert.Equal(t, slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(again)))
		for transcript, n := range seen {
			assert.Equal(t, n, again[transcript], transcript)
			assert.NotContains(t, transcript, "headers")
		}
		assert.Greater(t, len(seen), 20)
	})
}

// TestChaosDoesNotDependOnWrites has a handler write the same in other pieces.
func TestChaosDoesNotDependOnWrites(t *testing.T) {
	for seed := range uint64(40) {
		var all []string
		for _, size := range []int{1, 3, 17, len(chaoticText)} {
			srv := ssetest.NewServer(t, nil)
			srv.Handle("GET /feed", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for rest := chaoticText; rest != ""; rest = rest[min(size, len(rest)):] {
					if _, err := io.WriteString(w, rest[:min(size, len(rest))]); err != nil {
						return
					}
					_ = http.NewResponseController(w).Flush()
				}
			}))
			srv.Chaos(ssetest.Chaos{Seed: seed, Abort: 0.2, Split: 0.3, Duplicate: 0.2})
			text, err := io.ReadAll(get(t, srv, "/feed").Body)
			all = append(all, fmt.Sprintf("%q broken %v", text, err != nil))
			srv.Close()
		}
		for _, other := range all[1:] {
			require.Equal(t, all[0], other, "seed %d", seed)
		}
	}
}

func TestChaosReachesEveryEndpoint(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1})
		feed := srv.Feed("GET /feed")
		calm := srv.Open(t, "/post", nil)
		open := func() map[string]*ssetest.Stream {
			streams := make(map[string]*ssetest.Stream)
			for _, path := range []string{"/feed", "/sse", "/post"} {
				streams[path] = srv.Open(t, path, nil)
			}
			return streams
		}
		send := func() {
			feed.Accept(t).Send(ssetest.Event{Data: "x", ID: "1"})
			srv.Tick(1)
			srv.Publish(ssetest.Data("x"))
			calm.ExpectData("x")
		}
		srv.Chaos(ssetest.Chaos{Duplicate: 1, Split: 1})
		streams := open()
		send()
		for path, s := range streams {
			twice := s.Take(2)
			assert.Equal(t, twice[0], twice[1], path)
			s.Close()
		}
		srv.Chaos(ssetest.Chaos{})
		streams = open()
		send()
		for _, s := range streams {
			s.Next()
			s.ExpectSilence(time.Millisecond)
			s.Close()
		}
		srv.Chaos(ssetest.Chaos{Abort: 1})
		aborted := srv.Open(t, "/post", nil)
		srv.AwaitSubscribers(t, 2)
		assert.Equal(t, 2, srv.Post(1))
		aborted.ExpectError(ssetest.ErrStreamAborted)
		calm.ExpectData("1")
		status, _ := post(t, srv, "/post", "application/json", "2") // no stream: no chaos
		assert.Equal(t, http.StatusSeeOther, status)
		calm.ExpectData("2")
	})
}

func TestChaosShowsItsPlan(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1"), ssetest.Data("2")})
		srv.Chaos(ssetest.Chaos{Seed: 7, Duplicate: 1})
		srv.Open(t, "/feed", nil).ExpectData("1", "1", "2", "3") // what differs is the last, so that both events have been disturbed
	})
	assert.Contains(t, failed.text(), "number 4 of 4 differs")
	assert.Contains(t, strings.Join(failed.logs, "\n"), "ssetest: chaos with seed 7: 2 events disturbed\n"+
		"  GET /feed, stream 1, event 1: sent twice\n  GET /feed, stream 1, event 2: sent twice\n")
}

func TestChaosDelays(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1"), ssetest.Data("2")})
		srv.Chaos(ssetest.Chaos{Delay: 3 * time.Millisecond})
		srv.Open(t, "/feed", nil).ExpectData("1", "2")
		srv.Chaos(ssetest.Chaos{Delay: 1000 * time.Hour})
		get(t, srv, "/feed")
		closeAtOnce(t, srv)
	})
}

// TestChaosPlansAreBounded has more than is shown.
func TestChaosPlansAreBounded(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		srv.Script("GET /feed", ssetest.Script{ssetest.Raw(strings.Repeat("data: x\n\n", 203))})
		srv.Chaos(ssetest.Chaos{Seed: 9, Duplicate: 1})
		assert.Len(t, srv.Open(t, "/feed", nil).Take(406), 406)
		t.Error("a failure")
	})
	log := strings.Join(failed.logs, "\n")
	assert.Contains(t, log, "chaos with seed 9: 203 events disturbed\n")
	assert.Equal(t, 200, strings.Count(log, ": sent twice\n"))
	assert.Contains(t, log, "GET /feed, stream 1, event 200: sent twice\n  … and 3 more\n")
}

// TestWhatChaosDisturbsMayBeLeft has events that nobody takes, which fails a test where nothing disturbs them.
func TestWhatChaosDisturbsMayBeLeft(t *testing.T) {
	for _, chaos := range []ssetest.Chaos{{}, {Duplicate: 1}} {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, nil)
			before := srv.Open(t, "/post", nil)
			srv.Chaos(chaos)
			srv.Open(t, "/post", nil)
			srv.Publish(ssetest.Data("one"))
			before.ExpectData("one")
		})
		assert.Equal(t, chaos.Duplicate == 0, failed.text() != "", failed.text())
	}
}

// TestChaosTellsHandlersThatTheStreamIsOver has one that does not look at what its writes return.
func TestChaosTellsHandlersThatTheStreamIsOver(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		left := make(chan struct{})
		srv.Handle("GET /feed", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: x\n\n")
			<-r.Context().Done()
			close(left)
		}))
		srv.Chaos(ssetest.Chaos{Abort: 1})
		srv.Open(t, "/feed", nil).ExpectError(ssetest.ErrStreamAborted)
		<-left
	})
}

// TestChaosBreaksFeeds has Send on a stream that chaos breaks off, and after it.
func TestChaosBreaksFeeds(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("GET /feed")
		srv.Chaos(ssetest.Chaos{Abort: 1})
		stream := srv.Open(t, "/feed", nil)
		feed.Accept(t).Send(ssetest.Data("x")) // which breaks it off, as it shall
		stream.ExpectError(ssetest.ErrStreamAborted)
		srv.Open(t, "/feed", nil)
		failed := attempt(t, func(t testing.TB) {
			s := feed.Accept(t)
			s.Send(ssetest.Data("x"))
			<-s.Done()
			s.Send(ssetest.Data("y"))
		})
		assert.Contains(t, failed.text(), "Send: chaos has broken the stream off\n")

		srv.Chaos(ssetest.Chaos{})
		srv.Open(t, "/feed", nil)
		failed = attempt(t, func(t testing.TB) {
			s := feed.Accept(t)
			srv.Down()
			s.Send(ssetest.Data("y"))
		})
		assert.Contains(t, failed.text(), "Send: its connection has been reset\n")
	})
}

// TestSendWaitsForChaos has events that chaos holds back for longer than anything may wait.
func TestSendWaitsForChaos(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssetest.NewServer(t, &ssetest.Config{Timeout: 30 * time.Millisecond})
		feed := srv.Feed("GET /feed")
		srv.Chaos(ssetest.Chaos{Seed: 1, Delay: 100 * time.Millisecond})
		stream := srv.Open(t, "/feed", &ssetest.OpenConfig{Timeout: time.Minute})
		feed.Accept(t).Send(ssetest.Data("1"), ssetest.Data("2"), ssetest.Data("3"))
		stream.ExpectData("1", "2", "3")
	})
}

// TestChaosExplainsItselfWithoutATest has a server that no test shows the notes of.
func TestChaosExplainsItselfWithoutATest(t *testing.T) {
	srv, err := ssetest.Start(nil)
	require.NoError(t, err)
	defer srv.Close()
	srv.Script("GET /feed", ssetest.Script{ssetest.Data("1")})
	srv.Chaos(ssetest.Chaos{Seed: 7, Abort: 1})
	failed := attempt(t, func(t testing.TB) { srv.Open(t, "/feed", nil).ExpectData("1") })
	assert.Contains(t, failed.text(), "chaos with seed 7: 1 event disturbed\n  GET /feed, stream 1, event 1: stream aborted after ")
}

// TestChaosSendsUnfinishedEvents has one that it holds back until its end, which does not come.
func TestChaosSendsUnfinishedEvents(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Script("GET /feed", ssetest.Script{ssetest.Raw("data: 1\n\ndata: half")})
	srv.Chaos(ssetest.Chaos{Duplicate: 1})
	assert.Equal(t, "data: 1\n\ndata: 1\n\ndata: half", readBody(t, get(t, srv, "/feed")))
}

// TestChaosEndsTheHandlersContext also where Config.Wrap has taken the request's end from it.
func TestChaosEndsTheHandlersContext(t *testing.T) {
	srv := ssetest.NewServer(t, &ssetest.Config{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
		})
	}})
	ended := make(chan struct{})
	srv.Handle("GET /feed", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { close(ended) })
	}))
	srv.Chaos(ssetest.Chaos{Duplicate: 0.5})
	get(t, srv, "/feed")
	<-ended
}
