package ssetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func TestRequestIsThatOfAnEventSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p puppet
		p.open(t)
		assert.Equal(t, http.MethodGet, p.request.Method)
		assert.Equal(t, http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-cache"}, "Pragma": {"no-cache"}}, p.request.Header)

		ssetest.Open(t, "http://puppet.test/", &ssetest.OpenConfig{
			Client:      &http.Client{Transport: &p},
			Method:      http.MethodPost,
			Header:      http.Header{"accept": {"*/*"}, "X-More": {"1", "2"}, "Last-Event-ID": {"not this"}},
			Body:        []byte("ask"),
			LastEventID: "ü 7",
		})
		assert.Equal(t, http.MethodPost, p.request.Method)
		assert.Equal(t, http.Header{
			"Accept": {"*/*"}, "Cache-Control": {"no-cache"}, "Pragma": {"no-cache"}, "X-More": {"1", "2"}, "Last-Event-Id": {"ü 7"},
		}, p.request.Header)
		body, err := io.ReadAll(p.request.Body)
		require.NoError(t, err)
		assert.Equal(t, "ask", string(body))

		_, err = ssetest.Dial(t.Context(), "http://puppet.test/", &ssetest.OpenConfig{LastEventID: "a\x00b"})
		require.EqualError(t, err, `ssetest: opening a stream: OpenConfig.LastEventID is "a\x00b": a header can carry no control characters`)
	})
}

func TestLastEventIDStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p puppet
		s := ssetest.Open(t, "http://puppet.test/", &ssetest.OpenConfig{Client: &http.Client{Transport: &p}, LastEventID: "before"})
		p.say(0, "data: x\n\nid: 2\ndata: y\n\n")
		assert.Equal(t, "before", s.Next().ID)
		assert.Equal(t, "2", s.Next().ID)
	})
}

func TestDial(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		ctx, cancel := context.WithCancel(t.Context())
		es, err := ssetest.Dial(ctx, srv.URL+"/post", nil)
		require.NoError(t, err)
		srv.Publish(ssetest.Data("1"), ssetest.Data("2"), ssetest.Data("3"))
		e, err := es.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, ssetest.Event{Type: "message", Data: "1"}, e)

		done, finish := context.WithCancelCause(t.Context())
		finish(errBroken)
		e, err = es.Next(done)
		require.NoError(t, err, "what has arrived is given even where the context is done")
		assert.Equal(t, "2", e.Data)
		_, err = es.Next(t.Context())
		require.NoError(t, err)
		_, err = es.Next(done)
		require.ErrorIs(t, err, errBroken)

		cancel() // of Dial's context ends the stream
		_, err = es.Next(t.Context())
		require.ErrorIs(t, err, context.Canceled)
		es.Close()
		srv.AwaitSubscribers(t, 0)
	})
}

func TestEventSourceClose(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		es, err := ssetest.Dial(t.Context(), srv.URL+"/post", nil)
		require.NoError(t, err)
		waiting := make(chan error)
		go func() {
			_, err := es.Next(context.Background())
			waiting <- err
		}()
		es.Close()
		es.Close()
		require.ErrorIs(t, <-waiting, ssetest.ErrClosed)
		_, err = es.Next(t.Context())
		require.ErrorIs(t, err, ssetest.ErrClosed)
		srv.AwaitSubscribers(t, 0)
	})
}

func TestEventSourceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []error{io.EOF, errBroken} {
			p := &puppet{}
			es, err := ssetest.Dial(t.Context(), "http://puppet.test/", &ssetest.OpenConfig{Client: &http.Client{Transport: p}})
			require.NoError(t, err)
			p.say(0, "data: whole\n\ndata: half")
			synctest.Wait()
			_ = p.CloseWithError(end)
			synctest.Wait()
			e, err := es.Next(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "whole", e.Data)
			for range 2 {
				_, err = es.Next(t.Context())
				require.ErrorIs(t, err, end)
				assert.Equal(t, errors.Is(end, io.EOF), err == io.EOF, "a clean end is io.EOF itself")
			}
			es.Close()
		}
	})
}
