package ssetest

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A clockedWriter is a response that keeps when each piece was flushed, and can be slow.
type clockedWriter struct {
	header  http.Header
	piece   bytes.Buffer
	start   time.Time
	flushed []clocked
	delay   func(i int) time.Duration // how long the i-th flush takes
}

type clocked struct {
	after time.Duration
	text  string
}

func (w *clockedWriter) Header() http.Header         { return w.header }
func (w *clockedWriter) WriteHeader(int)             {}
func (w *clockedWriter) Write(p []byte) (int, error) { return w.piece.Write(p) }

func (w *clockedWriter) Flush() {
	w.flushed = append(w.flushed, clocked{time.Since(w.start), w.piece.String()})
	w.piece.Reset()
	if w.delay != nil {
		time.Sleep(w.delay(len(w.flushed) - 1)) // in a bubble
	}
}

// serveLetters lets a client have the letters for as long as stay, in a bubble, and returns what was flushed and when.
func serveLetters(t *testing.T, cfg *Config, w *clockedWriter, lastEventID string, stay time.Duration) {
	t.Helper()
	s, err := newServer(cfg, t)
	require.NoError(t, err)
	serveLettersOf(t, s, w, lastEventID, stay)
}

func serveLettersOf(t *testing.T, s *Server, w *clockedWriter, lastEventID string, stay time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stay)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/sse", nil)
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	w.header = make(http.Header)
	w.start = time.Now()
	s.handler().ServeHTTP(w, r)
	require.Equal(t, stay, time.Since(w.start), "how long the handler stayed")
}

// letterTexts are the letters from..to-1 on the wire.
func letterTexts(t *testing.T, s *Server, from, to int) []string {
	t.Helper()
	var texts []string
	for k := from; k < to; k++ {
		text, err := s.Letter(k).AppendText(nil)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	return texts
}

func TestLettersKeepTime(t *testing.T) {
	for name, c := range map[string]struct{ interval, wanted time.Duration }{
		"default":  {0, 5 * time.Second},
		"shorter":  {7 * time.Millisecond, 7 * time.Millisecond},
		"one hour": {time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 500
				s, err := newServer(&Config{LetterInterval: c.interval}, t)
				require.NoError(t, err)
				var w clockedWriter
				serveLettersOf(t, s, &w, "", (n-1)*c.wanted+c.wanted/2)

				require.Len(t, w.flushed, 1+n)
				require.Equal(t, clocked{0, ""}, w.flushed[0], "the headers")
				for k, text := range letterTexts(t, s, 0, n) {
					require.Equal(t, clocked{time.Duration(k) * c.wanted, text}, w.flushed[1+k], "letter %d", k)
				}
				assert.Equal(t, "text/event-stream", w.header.Get("Content-Type"))
				assert.Equal(t, "no-store", w.header.Get("Cache-Control"))
			})
		})
	}
}

func TestSlowClientDoesNotMakeLettersDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := clockedWriter{delay: func(i int) time.Duration {
			if i == 3 { // letter 2, at 10 s, is taken at 22 s
				return 12 * time.Second
			}
			return 0
		}}
		serveLetters(t, nil, &w, "", 31*time.Second)
		var times []time.Duration
		for _, f := range w.flushed[1:] {
			times = append(times, f.after)
		}
		second := time.Second
		assert.Equal(t, []time.Duration{0, 5 * second, 10 * second, 22 * second, 22 * second, 25 * second, 30 * second}, times)
	})
}

func TestResumedLettersGoOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newServer(nil, t)
		require.NoError(t, err)
		var first, second clockedWriter
		serveLettersOf(t, s, &first, "", 21*time.Second) // letters 0 to 4
		serveLettersOf(t, s, &second, s.Letter(3).ID, 11*time.Second)
		texts := letterTexts(t, s, 4, 7)
		assert.Equal(t, []clocked{{0, ""}, {0, texts[0]}, {5 * time.Second, texts[1]}, {10 * time.Second, texts[2]}}, second.flushed)
	})
}
