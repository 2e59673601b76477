package ssetest

import (
	"net/http"
	"net/http/httptest"
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
