package ssetest_test

import (
	"context"
	"testing"

	"github.com/go-ssetest/sse/ssetest"
)

// own is the client of this package, as it is tested.
func own(reconnect bool) ssetest.ClientContract {
	return ssetest.ClientContract{Connect: func(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
		return ssetest.Dial(ctx, r.URL, &ssetest.OpenConfig{
			Client: r.Client, Method: r.Method, Header: r.Header, Body: r.Body, LastEventID: r.LastEventID,
			Reconnect: reconnect, ReconnectionTime: r.ReconnectionTime, ReadTimeout: r.ReadTimeout, OnComment: r.OnComment,
		})
	}}
}

func TestOurClient(t *testing.T) {
	t.Parallel()
	t.Run("that comes back", func(t *testing.T) {
		t.Parallel()
		ssetest.TestClient(t, own(true))
	})
	t.Run("that does not", func(t *testing.T) {
		t.Parallel()
		contract := own(false)
		contract.Without = []ssetest.Capability{ssetest.CanReconnect}
		ssetest.TestClient(t, contract)
	})
	if !allMutants {
		return // what follows takes real time, since each case waits for its reconnects
	}
	t.Run("on sockets, and real time", func(t *testing.T) {
		t.Parallel()
		contract := own(true)
		contract.Without = []ssetest.Capability{ssetest.CanTakeClient}
		ssetest.TestClient(t, contract)
	})
}
