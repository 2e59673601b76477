package ssetest_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// stands are the stages of a stream in which it can be closed: where it is after a time.
var stands = map[string]struct {
	acts  []act
	after time.Duration
	state ssetest.ReadyState
}{
	"while open":        {[]act{{}}, time.Minute, ssetest.StateOpen},
	"while reading":     {[]act{{text: "data: x"}}, time.Minute, ssetest.StateOpen},
	"while waiting":     {[]act{{end: io.EOF}}, time.Minute, ssetest.StateConnecting},
	"while connecting":  {[]act{{end: io.EOF}, {mute: true}}, 2 * time.Hour, ssetest.StateConnecting},
	"while backing off": {[]act{{end: io.EOF}, {err: errBroken}, {err: errBroken}}, 3 * time.Hour, ssetest.StateConnecting},
	"when it is over":   {[]act{{end: io.EOF}, {status: http.StatusNotFound}}, 2 * time.Hour, ssetest.StateClosed},
}

// 9.2.2: close aborts any fetch and sets the state to CLOSED. Here it does so at once, from any goroutine, as often as you like,
// and nothing of the stream is left: the bubble would say so.
func TestCloseEndsItAtOnce(t *testing.T) {
	for name, c := range stands {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				es, err := newStage(c.acts...).dial(t.Context(), ssetest.OpenConfig{ReconnectionTime: time.Hour, MaxBackoff: 2 * time.Hour, Timeout: -1})
				require.NoError(t, err)
				time.Sleep(c.after)
				synctest.Wait()
				require.Equal(t, c.state, es.ReadyState())
				start := time.Now()
				ended := make(chan error)
				go func() {
					_, err := es.Next(context.Background())
					ended <- err
				}()
				synctest.Wait()
				var closers sync.WaitGroup
				for range 3 {
					closers.Go(es.Close)
				}
				err = <-ended
				closers.Wait()
				es.Close()
				assert.Zero(t, time.Since(start))
				assert.Equal(t, ssetest.StateClosed, es.ReadyState())
				if c.state == ssetest.StateClosed {
					assert.Equal(t, http.StatusNotFound, refusedWith(err))
				} else {
					require.ErrorIs(t, err, ssetest.ErrClosed)
				}
			})
		})
	}
}

// The context of Dial ends it in the same way, and is what the stream ends with.
func TestTheContextEndsItAtOnce(t *testing.T) {
	for name, c := range stands {
		if c.state == ssetest.StateClosed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				s := newStage(c.acts...)
				es, err := s.dial(ctx, ssetest.OpenConfig{ReconnectionTime: time.Hour, MaxBackoff: 2 * time.Hour, Timeout: -1})
				require.NoError(t, err)
				time.Sleep(c.after)
				synctest.Wait()
				start, asked := time.Now(), len(s.times())
				cancel(errBroken)
				_, err = es.Next(t.Context())
				require.ErrorIs(t, err, errBroken)
				assert.Zero(t, time.Since(start))
				synctest.Wait() // its goroutine has ended without Close
				assert.Equal(t, ssetest.StateClosed, es.ReadyState())
				time.Sleep(24 * time.Hour)
				assert.Len(t, s.times(), asked)
				es.Close()
			})
		})
	}
}

// While Dial waits for the first response, its context is the only way out.
func TestTheContextEndsDialAtOnce(t *testing.T) {
	for name, acts := range map[string][]act{"while connecting": {{mute: true}}, "while waiting": {{err: syscall.ECONNREFUSED}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBroken)
				defer cancel()
				s := newStage(acts...)
				_, err := s.dial(ctx, ssetest.OpenConfig{})
				require.ErrorIs(t, err, errBroken)
				assert.Equal(t, time.Second, time.Since(s.born))

				_, err = s.dial(ctx, ssetest.OpenConfig{})
				require.ErrorIs(t, err, errBroken, "a context that is done already")
			})
		})
	}
}

// 9.2.2, on the network: what was open is closed, and what is asked next is never asked.
func TestCloseIsSeenByTheServer(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		mute := make(chan struct{})
		srv.Handle("GET /mute", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(mute)
			<-r.Context().Done()
		}))
		srv.Script("GET /once", ssetest.Script{ssetest.End()})
		first := true
		srv.Handle("GET /then-mute", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				w.Header().Set("Content-Type", "text/event-stream")
				return
			}
			http.Redirect(w, r, "/mute", http.StatusTemporaryRedirect)
		}))
		cfg := again()
		cfg.ReconnectionTime = time.Hour
		waiting, err := ssetest.Dial(t.Context(), srv.URL+"/once", cfg)
		require.NoError(t, err)
		connecting, err := ssetest.Dial(t.Context(), srv.URL+"/then-mute", again())
		require.NoError(t, err)
		<-mute
		open, err := ssetest.Dial(t.Context(), srv.URL+"/post", cfg)
		require.NoError(t, err)
		for _, es := range []*ssetest.EventSource{waiting, connecting, open} {
			es.Close()
			es.Close()
			_, err = es.Next(t.Context())
			require.ErrorIs(t, err, ssetest.ErrClosed)
		}
		srv.AwaitSubscribers(t, 0)
		assert.Len(t, srv.Requests(), 5)
		closeAtOnce(t, srv)
	})
}

// A stream that is silent for ReadTimeout, without a byte, is broken, and comes back.
func TestReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p puppet
		var failures []error
		es, err := ssetest.Dial(t.Context(), "http://puppet.test/", &ssetest.OpenConfig{
			Client:      &http.Client{Transport: &p},
			Reconnect:   true,
			ReadTimeout: 10 * time.Second,
			OnError:     func(err error) { failures = append(failures, err) },
		})
		require.NoError(t, err)
		for i, text := range []string{":", "\n", ": x\n", "data: 1\n", "da", "ta: 2\n", "\n", "id: 7\n\n", "data: half"} {
			p.say(time.Duration(i)*9*time.Second, text)
		}
		start := time.Now()
		e, err := es.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "1\n2", e.Data)
		assert.Equal(t, 54*time.Second, time.Since(start))
		time.Sleep(28*time.Second - 1) // until a nanosecond before the timeout
		synctest.Wait()
		assert.Equal(t, ssetest.StateOpen, es.ReadyState())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, ssetest.StateConnecting, es.ReadyState())
		time.Sleep(4 * time.Second) // it has come back after 3
		synctest.Wait()
		p.say(0, "data: 3\n\n")
		e, err = es.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, ssetest.Event{Type: "message", Data: "3", ID: "7"}, e)
		assert.Equal(t, "7", p.request.Header.Get("Last-Event-ID"))
		require.Len(t, failures, 1)
		require.ErrorIs(t, failures[0], ssetest.ErrReadTimeout)
		es.Close()
	})
}

// On the network a stalled connection is what the timeout is for. Without Reconnect it is the end.
func TestReadTimeoutBreaksAStalledConnectionOff(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Event{ID: "1", Data: "1"}, ssetest.Hold()}, ssetest.Script{ssetest.Data("2")})
		cfg := again()
		cfg.ReadTimeout = 200 * time.Millisecond
		s := srv.Open(t, "/feed", cfg)
		s.ExpectData("1", "2")
		s.ExpectEnd()
		assert.Equal(t, []string{"", "1", "1"}, askedIDs(srv))

		srv.Script("GET /stall", ssetest.Script{ssetest.Stall()})
		srv.Open(t, "/stall", &ssetest.OpenConfig{ReadTimeout: 200 * time.Millisecond}).ExpectError(ssetest.ErrReadTimeout)
	})
}
