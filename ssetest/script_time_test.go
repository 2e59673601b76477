package ssetest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveScript has a script served in a bubble, and returns what was flushed and when.
func serveScript(t *testing.T, script Script, leave time.Duration) *clockedWriter {
	t.Helper()
	s, err := newServer(nil, t)
	require.NoError(t, err)
	s.Script("GET /feed", script)
	r := httptest.NewRequestWithContext(s.base, http.MethodGet, "/feed", nil)
	w := &clockedWriter{header: make(http.Header), start: time.Now()}
	time.AfterFunc(leave, s.cancel)
	s.handler().ServeHTTP(w, r)
	s.cancel()
	return w
}

func TestScriptsKeepTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := serveScript(t, Script{
			Response{Delay: time.Minute}, Data("1"), Wait(2 * time.Second), Data("2"), Comment("x"), Wait(time.Hour), Raw("y"),
		}, 24*time.Hour)
		assert.Equal(t, []clocked{
			{time.Minute, ""},
			{time.Minute, "data: 1\n\n"},
			{time.Minute + 2*time.Second, "data: 2\n\n"},
			{time.Minute + 2*time.Second, ": x\n"},
			{time.Hour + time.Minute + 2*time.Second, "y"},
		}, w.flushed)
	})
}

func TestTheEndOfTheServerEndsWaitsAndHolds(t *testing.T) {
	for name, script := range map[string]Script{
		"wait": {Data("1"), Wait(time.Hour), Data("2")},
		"hold": {Data("1"), Hold()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := serveScript(t, script, time.Minute)
				assert.Equal(t, time.Minute, time.Since(start))
				assert.Equal(t, []clocked{{0, ""}, {0, "data: 1\n\n"}}, w.flushed)
			})
		})
	}
}

// TestChaosCountsRequests has two streams whose headers come in the order of their requests, and in the other.
func TestChaosCountsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen [2][2]string
		for i := range seen {
			s, err := newServer(nil, t)
			require.NoError(t, err)
			script := func(delay int) Script {
				return Script{Response{Delay: time.Duration(delay) * time.Second}, Data("1"), Data("2")}
			}
			s.Script("GET /feed", script(1+i), script(2-i))
			s.Chaos(Chaos{Seed: 4, Duplicate: 0.5})
			var requests sync.WaitGroup
			for k := range seen[i] {
				w := httptest.NewRecorder()
				requests.Go(func() {
					s.handler().ServeHTTP(w, httptest.NewRequestWithContext(s.base, http.MethodGet, "/feed", nil))
					seen[i][k] = w.Body.String()
				})
				synctest.Wait()
			}
			requests.Wait()
			s.cancel()
		}
		assert.Equal(t, seen[0], seen[1])
		assert.NotEqual(t, seen[0][0], seen[0][1])
	})
}
