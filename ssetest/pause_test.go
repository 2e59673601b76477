package ssetest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// Pause stops reading, so that the server's writes wait; Resume reads on where it was. Time that was paused is no silence.
func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p puppet
		es, err := ssetest.Dial(t.Context(), "http://puppet.test/", &ssetest.OpenConfig{Client: &http.Client{Transport: &p}, ReadTimeout: time.Minute})
		require.NoError(t, err)
		es.Pause()
		var written atomic.Int32
		go func() {
			for i := range 10 {
				_, err := fmt.Fprintf(p, "data: %d\n\n", i)
				assert.NoError(t, err)
				written.Add(1)
			}
			_ = p.Close()
		}()
		time.Sleep(time.Hour)
		assert.LessOrEqual(t, written.Load(), int32(1), "what a read that was under way has taken")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = es.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, ssetest.StateOpen, es.ReadyState())
		es.Resume()
		data, err := drain(t, es)
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, data)
		es.Close()
	})
}

// On the network the server sees a client that does not read, and nothing is lost.
func TestPauseReachesTheServer(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		const n = 16 // MiB, more than any buffer on the way has
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Timeout: 200 * time.Millisecond})
		feed := srv.Feed("GET /feed")
		es, err := ssetest.Dial(t.Context(), srv.URL+"/feed", &ssetest.OpenConfig{Timeout: time.Minute})
		require.NoError(t, err)
		defer es.Close()
		es.Pause()
		steps := make([]ssetest.Step, 0, n+1)
		for i := range n {
			steps = append(steps, ssetest.Data(strconv.Itoa(i)+strings.Repeat(" ", 1<<20)))
		}
		failed := attempt(t, func(tb testing.TB) { feed.Accept(tb).Send(append(steps, ssetest.End())...) })
		require.Contains(t, failed.text(), "Send: the client has not taken what was sent within 200ms; does it read?")
		es.Resume()
		data, err := drain(t, es)
		require.ErrorIs(t, err, io.EOF)
		require.Len(t, data, n)
		for i, d := range data {
			require.Equal(t, strconv.Itoa(i), strings.TrimSpace(d))
		}
	})
}

// A paused stream can be closed, restarted, and resumed after a restart, which loses nothing.
func TestPausedStreamsCanBeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(act{text: "id: 1\ndata: 1\n\n"}, act{text: "id: 2\ndata: 2\n\n", end: io.EOF})
		es, err := s.dial(t.Context(), ssetest.OpenConfig{})
		require.NoError(t, err)
		synctest.Wait()
		es.Pause()
		es.Restart()
		time.Sleep(time.Minute)
		assert.Equal(t, ssetest.StateOpen, es.ReadyState())
		es.Resume()
		data, err := drain(t, es)
		assert.Equal(t, http.StatusNoContent, refusedWith(err))
		assert.Equal(t, []string{"1", "2"}, data)
		assert.Equal(t, []string{"", "1", "2"}, s.lastIDs())
		es.Close()

		es, err = newStage(act{text: "data: 1\n\n"}).dial(t.Context(), ssetest.OpenConfig{})
		require.NoError(t, err)
		es.Pause()
		es.Close()
		assert.Equal(t, ssetest.StateClosed, es.ReadyState())
	})
}

// What a pause has held back, and a restart has dropped, is asked for again.
func TestWhatAPauseHoldsBackHasNotArrived(t *testing.T) {
	bubble(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		s := openReturning(t, srv, "/post")
		srv.Publish(numbered(1, 1)...)
		s.ExpectData("1")
		synctest.Wait() // it reads
		s.Pause()
		srv.Publish(numbered(2, 3)...)
		synctest.Wait()
		assert.Equal(t, "1", s.LastEventID())
		s.Restart()
		synctest.Wait()
		assert.Equal(t, "1", s.LastEventID())
		s.Resume()
		srv.ExpectExactlyOnce(s)
		s.ExpectData("2", "3")
	})
}

// Comments that nobody has asked for make room for what comes behind them, wherever in a batch the bound is reached.
func TestCommentsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssetest.NewServer(t, nil)
		feed := srv.Feed("GET /feed")
		s := srv.Open(t, "/feed", nil)
		out := feed.Accept(t)
		out.Send(ssetest.Comment("a batch of one"))
		synctest.Wait()
		out.Send(ssetest.Raw(strings.Repeat(": c\n", 70_000)), ssetest.Event{ID: "1", Data: "x"})
		synctest.Wait()
		assert.Equal(t, "1", s.LastEventID())
		s.ExpectData("x")
	})
}
