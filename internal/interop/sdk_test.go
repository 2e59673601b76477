// The tests of this package have clients that others have written read what ssetest serves.
package interop_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// onEveryProtocol runs a test once for each protocol, in a bubble, where the server is in memory and every wait is virtual and exact.
func onEveryProtocol(t *testing.T, test func(t *testing.T, srv *ssetest.Server)) {
	t.Helper()
	for _, protocol := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTPS1, ssetest.HTTP1, ssetest.H2C} {
		t.Run(protocol.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, ssetest.NewServer(t, &ssetest.Config{Protocol: protocol}))
			})
		})
	}
}

// inBubble runs a test in a bubble, over HTTP/2.
func inBubble(t *testing.T, test func(t *testing.T, srv *ssetest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, ssetest.NewServer(t, nil)) })
}

// parse reads a script that stands in a test.
func parse(t *testing.T, text string) ssetest.Script {
	t.Helper()
	script, err := ssetest.ParseScript(strings.NewReader(text))
	require.NoError(t, err)
	return script
}

// before puts a step before those of a script.
func before(step ssetest.Step, script ssetest.Script) ssetest.Script {
	return slices.Concat(ssetest.Script{step}, script)
}

// after puts steps after the first n of a script, in place of the others.
func after(script ssetest.Script, n int, steps ...ssetest.Step) ssetest.Script {
	return slices.Concat(script[:n], steps)
}

// assertAborted asserts that an error is what a client of net/http sees of Abort, over whatever protocol.
func assertAborted(t *testing.T, err error) {
	t.Helper()
	var reset http2.StreamError
	if errors.As(err, &reset) {
		assert.Equal(t, http2.ErrCodeInternal, reset.Code)
		return
	}
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
