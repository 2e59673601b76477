package h2conn_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// dataErr is a connection that reads from elsewhere.
type dataErr struct {
	net.Conn
	r io.Reader
}

func (d dataErr) Read(p []byte) (int, error) { return d.r.Read(p) }

// An error can come with the last bytes of a payload, before the added field has been read.
func TestErrorsComeBehindTheAddedField(t *testing.T) {
	sent := http2.ClientPreface + string(frames(t, request(1)))
	conn := h2conn.New(dataErr{r: iotest.DataErrReader(strings.NewReader(sent))}, h2conn.NewGroup(func() {}))
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, http2.ClientPreface+string(frames(t, opened(1, 1))), string(got))
}

func TestGoAwayAfterFinishSendsNothing(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.send(frames(t, settings))
	h.group.Finish()
	require.NoError(t, h.GoAway(http2.ErrCodeNo))
	assert.Empty(t, h.written())
}
