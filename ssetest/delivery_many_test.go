package ssetest_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestDeliveryOfMoreThanIsReadAhead has events that nobody takes, so that the stream stops reading.
func TestDeliveryOfMoreThanIsReadAhead(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	s := openReturning(t, srv, "/post")
	srv.Publish(numbered(1, 70_000)...) // a stream reads 65,536 ahead
	failed := attempt(t, func(t testing.TB) { srv.ExpectExactlyOnce(rebind(s, t)) })
	assert.Equal(t, fmt.Sprintf(wantedExactlyOnce, "/post")+
		"it has stopped reading, since 65536 events that have arrived were not taken: take them first", verdict(failed))
	s.Take(10_000) // and there is room for the others
	srv.ExpectExactlyOnce(s)
	s.IgnoreRest()
}

func TestDeliveryIsComparedUpToALimit(t *testing.T) {
	const most = 131_072
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		s := openReturning(t, srv, "/post")
		for i := 0; i <= most; i += 1 << 15 {
			events := numbered(i, min(i+1<<15-1, most))
			srv.Publish(events...)
			s.Take(len(events))
		}
		srv.ExpectExactlyOnce(s)
	})
	assert.Equal(t, fmt.Sprintf(wantedExactlyOnce, "/post")+
		"that can't be decided: there were more than 131072 events, or 64 MiB of them, which is as many as are compared", verdict(failed))
}

// TestAThousandReconnects has a server that aborts at random places, with a history. The seed decides how often.
func TestAThousandReconnects(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTP1} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			const n = 1100
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, History: n + 1})
			srv.Chaos(ssetest.Chaos{Seed: 1, Abort: 0.5})
			srv.Publish(numbered(0, 0)...)
			s := openReturningBehind(t, srv, "/post", "0")
			for _, e := range numbered(1, n) {
				srv.Publish(e)
			}
			srv.ExpectExactlyOnce(s)
			s.ExpectEvents(numbered(1, n)...)
			assert.Greater(t, len(srv.Requests()), 1000)
		})
	}
}

// TestAThousandReconnectsWithoutAHistory has the events named that were lost.
func TestAThousandReconnectsWithoutAHistory(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTP1} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			failed := attempt(t, func(tb testing.TB) {
				broken := make(chan struct{}, 1)
				srv := ssetest.NewServer(tb, &ssetest.Config{Protocol: p, History: -1, Wrap: func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						defer func() { broken <- struct{}{} }()
						next.ServeHTTP(w, r)
					})
				}})
				srv.Chaos(ssetest.Chaos{Seed: 1, Abort: 0.6})
				s := openReturning(tb, srv, "/post")
				n := 0
				for range 1000 {
					srv.AwaitSubscribers(t, 1)
					srv.Publish(numbered(n+1, n+12)...) // with this seed none of the streams gets over that
					n += 12
					<-broken
				}
				inGoroutine(func() { srv.ExpectExactlyOnce(s) })
				assert.Equal(t, lostByTaking(t, tb.(*fakeT), s, n), verdict(tb.(*fakeT)))
				assert.Len(t, srv.Requests(), 1001)
			})
			assert.Len(t, failed.failures, 1)
		})
	}
}

// lostByTaking takes what there is of n numbered events, and returns what should have been said of the rest. How many those are it takes from what was said:
// if there are more, or fewer, something else is wrong in the end.
func lostByTaking(t *testing.T, failed *fakeT, s *ssetest.Stream, n int) string {
	t.Helper()
	said := regexp.MustCompile(`\nlost: (\d+) events:\n`).FindStringSubmatch(failed.text())
	require.Len(t, said, 2, failed.text())
	lost, err := strconv.Atoi(said[1])
	require.NoError(t, err)
	require.Less(t, lost, n)
	got := make(map[string]bool)
	for _, e := range s.Take(n - lost) {
		assert.False(t, got[e.ID], "%v comes again", e)
		got[e.ID] = true
	}
	s.ExpectSilence(0)
	var names []string
	for _, e := range numbered(1, n) {
		if !got[e.ID] {
			names = append(names, fmt.Sprintf("  message %s id=%s\n", e.Data, e.ID))
		}
	}
	require.Len(t, names, lost)
	return fmt.Sprintf(wantedExactlyOnce+"of %d events that the endpoint has published\nlost: %d events:\n%s  … %d more",
		"/post", n, lost, strings.Join(names[:10], ""), lost-10)
}

// TestDeliveryIsAskedForDuringReconnects asks while the stream is opened again and again.
func TestDeliveryIsAskedForDuringReconnects(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Chaos(ssetest.Chaos{Seed: 2, Abort: 0.5})
		srv.Publish(numbered(0, 0)...)
		s := openReturningBehind(t, srv, "/post", "0")
		for _, e := range numbered(1, 200) {
			srv.Publish(e)
			srv.ExpectExactlyOnce(s)
		}
		s.ExpectEvents(numbered(1, 200)...)
	})
}
