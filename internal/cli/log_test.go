package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func TestLogAsText(t *testing.T) {
	c := start(t, "-log", "text")
	stream := ssetest.Open(t, c.url+"/sse", &ssetest.OpenConfig{Client: c.client(), LastEventID: "seven"})
	stream.Next()
	assert.Regexp(t, `^time=\S+ level=INFO msg=request number=1 method=GET path=/sse protocol=HTTP/2.0 host=127\.0\.0\.1:\d+ from=127\.0\.0\.1:\d+ last_event_id=seven\n$`, c.errs.String())
	c.ask("GET", "/nowhere", "")
	c.end() // what is over has been logged then
	lines := strings.Split(strings.TrimSpace(c.errs.String()), "\n")
	require.Len(t, lines, 4)
	assert.Regexp(t, `msg=request number=2 method=GET path=/nowhere`, lines[1])
	assert.Regexp(t, `msg=done number=2 status=404 bytes=19 after=\S+$`, lines[2])
	assert.Regexp(t, `msg=done number=1 status=200 bytes=1\d\d after=\S+$`, lines[3])
}

func TestLogAsJSON(t *testing.T) {
	c := start(t, "-log", "json", "-chaos", "abort=1")
	c.open("/sse").ExpectError(ssetest.ErrStreamAborted)
	c.end()
	var messages []string
	for line := range strings.Lines(c.errs.String()) {
		var record struct {
			Level, Msg, Path string
			Status           int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		messages = append(messages, record.Msg)
		if record.Msg == "done" {
			assert.Equal(t, 200, record.Status, "a stream that is broken off is over as well")
		}
	}
	assert.Equal(t, []string{"request", "done"}, messages)
}

// TestNoLogUnlessAsked but for what is wrong.
func TestNoLogUnlessAsked(t *testing.T) {
	c := start(t)
	c.open("/sse").Next()
	c.end()
	assert.Empty(t, c.errs.String())
}
