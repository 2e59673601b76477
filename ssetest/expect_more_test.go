package ssetest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func TestExpectUnordered(t *testing.T) {
	e := func(data, id string) ssetest.Event { return ssetest.Event{Data: data, ID: id} }
	for _, c := range []struct {
		stream string
		wanted []ssetest.Event
		said   string // "" where all are there
	}{
		{"", nil, ""},
		{"data: a\n\ndata: b\n\n", []ssetest.Event{e("b", ""), e("a", "")}, ""},
		{"data: a\n\ndata: a\n\n", []ssetest.Event{e("a", ""), e("a", "")}, ""},
		{"data: a\n\ndata: a\n\n", []ssetest.Event{e("a", ""), e("b", "")}, "there were missing:\n  message b\nand in their place:\n  message a\n"},
		// The one without an ID must leave to the other the only one that it can have.
		{"id: 1\ndata: a\n\nid: 2\ndata: a\n\n", []ssetest.Event{e("a", ""), e("a", "1")}, ""},
		{"id: 1\ndata: a\n\nid: 2\ndata: a\n\n", []ssetest.Event{e("a", ""), e("a", ""), e("a", "1")}[1:], ""},
		{"id: 1\ndata: a\n\nid: 2\ndata: a\n\n", []ssetest.Event{e("a", "3"), e("b", "1")}, "there were missing:\n  message a id=3\n  message b id=1\nand in their place:\n  message a id=1\n  message a id=2\n"},
		{"retry: 5\ndata: a\n\n", []ssetest.Event{{Data: "a", Retry: time.Second}}, "there were missing:\n  message a retry=1s\nand in their place:\n  message a retry=5ms\n"},
		{"event: x\ndata: a\n\n", []ssetest.Event{e("a", "")}, "there were missing:\n  message a\nand in their place:\n  x a\n"},
		{"data: a\n\n", []ssetest.Event{e("a", ""), e("b", "")}, "the stream has ended\n"},
	} {
		failed := attempt(t, func(t testing.TB) { ssetest.Read(t, strings.NewReader(c.stream)).ExpectUnordered(c.wanted...) })
		assert.Equal(t, c.said != "", failed.Failed(), failed.text())
		assert.Contains(t, failed.text(), c.said)
	}
}

func TestExpectUntil(t *testing.T) {
	s := ssetest.Read(t, strings.NewReader("data: 1\n\ndata: 2\n\ndata: [DONE]\n\ndata: 3\n\n"))
	isDone := func(e ssetest.Event) bool { return e.Data == "[DONE]" }
	assert.Len(t, s.ExpectUntil(isDone), 3)
	failed := attempt(t, func(t testing.TB) { rebind(s, t).ExpectUntil(isDone) })
	assert.Equal(t, "ssetest: the reader: wanted an event that ends the wait, but the stream has ended\ntaken from the stream: 4 events, 1 by this call:\n"+
		"  message 1\n  message 2\n  message [DONE]\n  message 3\n", failed.text())
}

func TestNextJSON(t *testing.T) {
	s := ssetest.Read(t, strings.NewReader("data: {\"n\": 1, \"more\": 2}\n\ndata: [1,2]\n\ndata: x\n\ndata: {\"n\": \"1\"}\n\n"))
	type point struct{ N int }
	assert.Equal(t, point{1}, ssetest.NextJSON[point](s))
	assert.Equal(t, []int{1, 2}, ssetest.NextJSON[[]int](s))
	failed := attempt(t, func(t testing.TB) { ssetest.NextJSON[point](rebind(s, t)) })
	assert.Contains(t, failed.text(), "wanted an event whose data is JSON of a ssetest_test.point, but its data is not: invalid character 'x'")
	failed = attempt(t, func(t testing.TB) { ssetest.NextJSON[point](rebind(s, t)) })
	assert.Contains(t, failed.text(), "cannot unmarshal string")
}

func TestReadRecorder(t *testing.T) {
	w := httptest.NewRecorder()
	http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, ": hello\ndata: 1\n\ndata: 2\n\ndata: ha")
	}).
		ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	s := ssetest.Read(t, w.Body)
	s.ExpectComment("hello")
	s.ExpectData("1", "2")
	s.ExpectEnd()
	assert.Nil(t, s.Response())
	assert.Equal(t, ssetest.StateClosed, s.ReadyState())
	assert.Contains(t, s.Transcript().String(), "stream 1    an unfinished event\n")
}

func TestReadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe() // which Close closes
		s := ssetest.Read(t, r)
		_, err := io.WriteString(w, "data: 1\n\n")
		require.NoError(t, err)
		s.ExpectData("1")
		s.ExpectSilence(time.Hour)
		s.Close()
		_, err = io.WriteString(w, "data: 2\n\n")
		require.ErrorIs(t, err, io.ErrClosedPipe)

		r, w = io.Pipe()
		s = ssetest.Read(t, struct{ io.Reader }{r}) // which nothing can close
		s.Close()
		require.NoError(t, w.Close())

		s = ssetest.Read(t, iotest.ErrReader(errBroken))
		s.ExpectError(errBroken)
		s = ssetest.Read(t, strings.NewReader("data: 1\n\n"))
		s.Close() // what is left is nobody's
	})
}

// TestResponseIsTheNewest and belongs to the caller.
func TestResponseIsTheNewest(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		answer := func(n string) ssetest.Script {
			return ssetest.Script{ssetest.Response{Header: http.Header{"X-N": {n}}}, ssetest.Data(n)}
		}
		srv.Script("GET /feed", answer("1"), answer("2"))
		s := srv.Open(t, "/feed", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1})
		s.ExpectData("1", "2")
		s.ExpectEnd()
		response := s.Response()
		assert.Equal(t, http.StatusOK, response.StatusCode)
		assert.Equal(t, "2", response.Header.Get("X-N"))
		response.Header.Set("X-N", "3")
		assert.Equal(t, "2", s.Response().Header.Get("X-N"))
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Empty(t, body)
	})
}

// TestReadOfBadReaders fails the test that reads, and no other.
func TestReadOfBadReaders(t *testing.T) {
	for _, n := range []int{-1, 1 << 30} {
		failed := attempt(t, func(t testing.TB) {
			ssetest.Read(t, readerFunc(func([]byte) (int, error) { return n, nil })).Next()
		})
		assert.Contains(t, failed.text(), "the reader returned an impossible count")
	}
	assert.Equal(t, "ssetest: Read: the reader is nil", attempt(t, func(t testing.TB) { ssetest.Read(t, nil) }).text())
}
