package h2conn_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// settle starts an AwaitSettled, and returns whether it has returned.
func (h *harness) settle() (done func() bool) {
	returned := make(chan struct{})
	go func() {
		h.AwaitSettled(time.Hour)
		close(returned)
	}()
	synctest.Wait() // until it waits
	return func() bool {
		synctest.Wait()
		select {
		case <-returned:
			return true
		default:
			return false
		}
	}
}

func TestAwaitSettled(t *testing.T) {
	for _, piece := range pieces {
		t.Run(fmt.Sprintf("in pieces of %d", piece), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, piece)
				one, other := h.settle(), h.settle()
				// The client's own SETTINGS tell nothing, nor do other frames with the same flag, nor what the server writes.
				h.receive(frames(t, settings, pong))
				h.send(frames(t, settings, settingsAck))
				h.open(1)
				assert.False(t, one())
				h.receive(frames(t, settingsAck))
				assert.True(t, one())
				assert.True(t, other())
				assert.True(t, h.settle()(), "what is settled already")
				h.receive(frames(t, settingsAck)) // of other SETTINGS, or by mistake
			})
		})
	}
}

func TestAwaitSettledHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, 1<<20)
		begin := time.Now()
		h.AwaitSettled(time.Minute)
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}

func TestCloseEndsAwaitSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, 1<<20)
		done := h.settle()
		require.False(t, done())
		require.NoError(t, h.Close())
		assert.True(t, done())
	})
}

func TestAwaitSettledWithoutHTTP2(t *testing.T) {
	for name, first := range map[string]string{
		"another protocol":  "GET / HTTP/1.1\r\n\r\n",
		"nothing yet":       "",
		"half of a preface": http2.ClientPreface[:10],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{piece: 1 << 20}
				h := &harness{Conn: h2conn.New(w, h2conn.NewGroup(func() {})), t: t, wire: w}
				h.read([]byte(first))
				begin := time.Now()
				h.AwaitSettled(time.Hour)
				assert.Zero(t, time.Since(begin))
			})
		})
	}
}

// net/http's client acknowledges the SETTINGS of net/http's server.
func TestClientSettles(t *testing.T) {
	url, client, _ := realServer(t, func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		connOf(r).AwaitSettled(time.Hour)
		fmt.Fprint(w, time.Since(begin) < time.Hour)
	})
	body, err := get(t.Context(), client, url)
	require.NoError(t, err)
	assert.Equal(t, "true", body)
}
