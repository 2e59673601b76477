package ssetest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// 9.2.2 and 9.2.3: the state is CONNECTING until the response is there, and again from the moment the stream has broken; OPEN when it is announced;
// CLOSED when the connection has failed. The last event ID and the reconnection time are what has been read.
func TestStateAtEachStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(
			act{text: "id: 1\ndata: x\n\nretry: 5000\nid: 2\n", end: io.EOF, lasts: 10 * time.Second},
			act{err: errBroken},
			act{text: "id\n\nretry: 7000\n", end: errBroken, lasts: 10 * time.Second},
			act{mute: true})
		es, err := s.dial(t.Context(), ssetest.OpenConfig{LastEventID: "0", Timeout: time.Second})
		require.NoError(t, err)
		for _, c := range []struct {
			after        time.Duration // since the stage before
			state        ssetest.ReadyState
			id           string
			reconnection time.Duration
		}{
			{0, ssetest.StateOpen, "1", 5 * time.Second},
			{10*time.Second - 1, ssetest.StateOpen, "1", 5 * time.Second},
			{1, ssetest.StateConnecting, "1", 5 * time.Second},               // ended
			{5 * time.Second, ssetest.StateConnecting, "1", 5 * time.Second}, // failed
			{5*time.Second - 1, ssetest.StateConnecting, "1", 5 * time.Second},
			{1, ssetest.StateOpen, "", 7 * time.Second},
			{10 * time.Second, ssetest.StateConnecting, "", 7 * time.Second},  // broken
			{7 * time.Second, ssetest.StateConnecting, "", 7 * time.Second},   // connecting
			{8*time.Second - 1, ssetest.StateConnecting, "", 7 * time.Second}, // failed, after a second
			{1, ssetest.StateClosed, "", 7 * time.Second},                     // 204
		} {
			time.Sleep(c.after)
			synctest.Wait()
			at := time.Since(s.born)
			assert.Equal(t, c.state, es.ReadyState(), "the state after %v", at)
			assert.Equal(t, c.id, es.LastEventID(), "the last event ID after %v", at)
			assert.Equal(t, c.reconnection, es.ReconnectionTime(), "the reconnection time after %v", at)
		}
		es.Close()
	})
}

// 9.2.6: the last event ID string is set before the event is dispatched, and the reconnection time before that: who has the event sees both.
func TestWhoHasTheEventSeesItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 70_000 // it reads 65,536 ahead
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "id: %d\nretry: %d\ndata\n\n", i, i)
		}
		s := newStage(act{text: b.String()})
		es, err := s.dial(t.Context(), ssetest.OpenConfig{})
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, "65535", es.LastEventID())
		assert.GreaterOrEqual(t, es.ReconnectionTime(), 65536*time.Millisecond, "that of the event that has no room")
		assert.Less(t, es.ReconnectionTime(), (65536+64)*time.Millisecond, "or of one that has been read with it")
		es.Restart()
		for i := range 65536 {
			e, err := es.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i), e.ID)
		}
		_, err = drain(t, es)
		assert.Equal(t, http.StatusNoContent, refusedWith(err))
		assert.Equal(t, []string{"", "65535"}, s.lastIDs(), "an event that has arrived must not be asked for again")
		es.Close()
	})
}

// 9.2.3: open is fired when the connection is announced, and error when it is reestablished, among the events; so are the hooks called.
// What has ended it for good is Next's error.
func TestHooksAreCalledInOrder(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed",
			raw(": a\ndata: 1\n: b\n\n: c\ndata: 2\n\n:d\n"),
			ssetest.Script{ssetest.Response{Header: http.Header{"X-Stream": {"second"}}}, ssetest.Comment("e"), ssetest.Data("3"), ssetest.Abort()},
			ssetest.Script{ssetest.Comment("f")})
		var told []string
		tell := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
		cfg := again()
		cfg.OnOpen = func(r *http.Response) { tell("open %d %s", r.StatusCode, r.Header.Get("X-Stream")) }
		cfg.OnComment = func(text string) { tell("comment %s", text) }
		cfg.OnError = func(err error) { tell("error %v", errors.Is(err, io.EOF)) }
		es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", cfg)
		require.NoError(t, err)
		defer es.Close()
		for err == nil {
			var e ssetest.Event
			if e, err = es.Next(t.Context()); err == nil {
				tell("event %s", e.Data)
			}
		}
		assert.Equal(t, http.StatusNoContent, refusedWith(err))
		assert.Equal(t, []string{
			"open 200 ", "comment a", "comment b", "event 1", "comment c", "event 2", "comment d", "error true",
			"open 200 second", "comment e", "event 3", "error false",
			"open 200 ", "comment f", "error true",
		}, told)
	})
}

// The body of the response is the stream's: no hook can take an event away.
func TestHooksDoNotGetTheBody(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1")})
		s := srv.Open(t, "/feed", &ssetest.OpenConfig{OnOpen: func(r *http.Response) {
			_, there := r.Body.Read(make([]byte, 1))
			assert.Equal(t, io.EOF, there)
			r.Header.Set("X-Mine", "a copy")
		}})
		s.ExpectData("1")
		s.ExpectEnd()
	})
}

// A hook may close the stream, as a browser's handler may.
func TestAHookMayCloseTheStream(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1"), ssetest.Comment("close")})
		var es *ssetest.EventSource
		cfg := again()
		cfg.OnError = func(error) { es.Close() }
		es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", cfg)
		require.NoError(t, err)
		data, err := drain(t, es)
		assert.Equal(t, "1", data[0])
		require.ErrorIs(t, err, ssetest.ErrClosed)
	})
}

// Restart is a break like any other: the stream comes back after the reconnection time, with the last event ID, and what was unfinished is gone.
func TestRestart(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("GET /feed")
		es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", again())
		require.NoError(t, err)
		defer es.Close()
		for i := range 3 {
			s := feed.Accept(t)
			assert.Equal(t, strings.Repeat("x", i), s.LastEventID())
			s.Send(ssetest.Event{ID: strings.Repeat("x", i+1), Data: strconv.Itoa(i)}, ssetest.Raw("id: y\ndata: half\n"))
			e, err := es.Next(t.Context())
			require.NoError(t, err)
			assert.Equal(t, strconv.Itoa(i), e.Data)
			es.Restart()
			s.AwaitGone()
		}
	})
}

func TestRestartWhereThereIsNothingToRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(act{}, act{end: io.EOF}, act{mute: true})
		es, err := s.dial(t.Context(), ssetest.OpenConfig{ReconnectionTime: time.Second, Timeout: time.Minute})
		require.NoError(t, err)
		es.Restart() // open
		time.Sleep(2 * time.Second)
		es.Restart() // waiting
		time.Sleep(2 * time.Second)
		es.Restart() // connecting
		_, err = drain(t, es)
		assert.Equal(t, http.StatusNoContent, refusedWith(err))
		es.Restart() // closed
		const second = time.Second
		assert.Equal(t, []time.Duration{0, second, 2 * second, 63 * second}, s.times())
		es.Close()

		var p puppet
		once, err := ssetest.Dial(t.Context(), "http://puppet.test/", &ssetest.OpenConfig{Client: &http.Client{Transport: &p}})
		require.NoError(t, err)
		once.Restart()
		_, err = once.Next(t.Context())
		require.EqualError(t, err, "GET http://puppet.test/: ssetest: restarted")
		once.Close()
	})
}
