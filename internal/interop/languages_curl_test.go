package interop_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// What testdata/languages/feed.sse has the server write.
const (
	feedAborted = "retry: 10\n\nid: 1\ndata: one\n\nevent: tick\nid: 2\ndata: two\ndata: lines\n\n: what follows is half an event\nid: 3\ndata: thre"
	feedGoesOn  = "id: 3\ndata: three\n\nid: 4\ndata: café ☕\n\n"
)

// farewell is what the command says to streams that are open when it leaves.
const farewell = ": the server has been stopped\n"

// A curlProtocol is what curl says of a protocol.
type curlProtocol struct {
	flag    string
	status  string // of a response that is fine
	version string
	aborted int // the exit code
}

var curlProtocols = map[string]curlProtocol{
	"HTTP/1.1": {"--http1.1", "HTTP/1.1 200 OK", "1.1", 18}, // CURLE_PARTIAL_FILE
	"HTTP/2":   {"--http2", "HTTP/2 200 ", "2", 92},         // CURLE_HTTP2_STREAM
}

// onCurl runs a test with curl over both protocols.
func onCurl(t *testing.T, test func(t *testing.T, curl curlProtocol)) {
	t.Helper()
	overBoth(t, func(t *testing.T, protocol string) { test(t, curlProtocols[protocol]) })
}

// wireOf is what a server writes of events.
func wireOf(t *testing.T, events []ssetest.Event) string {
	t.Helper()
	var wire []byte
	for _, e := range events {
		var err error
		wire, err = e.AppendText(wire)
		require.NoError(t, err)
	}
	return string(wire)
}

// curl gets letters until the server leaves, which is a clean end.
func testCurlLetters(t *testing.T, k *kit) {
	onCurl(t, func(t *testing.T, curl curlProtocol) {
		c := k.serve(t)
		p := c.curl(t, "/sse", curl.flag)
		want := wireOf(t, letters(t, 20))
		require.Equal(t, want, p.bytes(len(want), "letters"))

		c.leave()
		rest, code := p.exit()
		assert.Zero(t, code, p.said())
		assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(curl.version)+` 200$`, p.said())
		all := want + rest
		n := strings.Count(all, "data:")
		assert.Equal(t, wireOf(t, letters(t, n))+farewell, all)
	})
}

func testCurlPosts(t *testing.T, k *kit) {
	onCurl(t, func(t *testing.T, curl curlProtocol) {
		c := k.serve(t)
		p := c.curl(t, "/post", curl.flag, "-D", "-")
		require.Equal(t, curl.status, strings.TrimSuffix(p.line("a status"), "\r"))
		for p.line("the headers") != "\r" { // behind which it is subscribed
		}
		for _, body := range bodies {
			c.post(t, body)
		}
		want := wireOf(t, posts(t, bodies))
		assert.Equal(t, want, p.bytes(len(want), "posts"))
	})
}

// curl gives the bytes as they are, the half event too, and says by its exit code that the stream was broken. It is up to whoever calls it to go on from there.
func testCurlFeed(t *testing.T, k *kit) {
	onCurl(t, func(t *testing.T, curl curlProtocol) {
		c := k.serve(t, "-script", "GET /feed=testdata/languages/feed.sse")
		for _, step := range []struct {
			lastEventID string
			out         string
			code        int
			status      string
		}{
			{"", feedAborted, curl.aborted, "200"},
			{"2", feedGoesOn, 0, "200"},
			{"4", "", 0, "204"},
		} {
			args := []string{curl.flag, "--retry", "3"} // which helps against other errors
			if step.lastEventID != "" {
				args = append(args, "-H", "Last-Event-ID: "+step.lastEventID)
			}
			p := c.curl(t, "/feed", args...)
			out, code := p.exit()
			assert.Equal(t, step.out, out)
			assert.Equal(t, step.code, code, p.said())
			assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(curl.version)+` `+step.status+`$`, p.said())
		}
		assert.Equal(t, []string{"", "2", "4"}, c.asked(t, "/feed"))
	})
}

// Deviation: a client that comes back says with Last-Event-ID what it has had last, and an event that is cut off is nothing (WHATWG HTML, 9.2.3 and 9.2.6).
// curl knows of no events: with --retry-all-errors it asks from the beginning, and what it gets then stands directly behind the half event,
// which makes an event of both that nobody has sent.
func testDeviationCurlComesBack(t *testing.T, k *kit) {
	onCurl(t, func(t *testing.T, curl curlProtocol) {
		c := k.serve(t, "-script", "GET /feed=testdata/languages/feed.sse")
		p := c.curl(t, "/feed", curl.flag, "--retry", "1", "--retry-delay", "1", "--retry-all-errors")
		out, code := p.exit()
		assert.Zero(t, code, p.said())
		assert.Equal(t, feedAborted+feedGoesOn, out)
		assert.Equal(t, []string{"", ""}, c.asked(t, "/feed"))

		events := decode(t, out)
		require.Len(t, events, 4)
		assert.Equal(t, ssetest.Event{Type: "message", Data: "threid: 3\nthree", ID: "3"}, events[2])
	})
}

// decode reads an event stream.
func decode(t *testing.T, text string) []ssetest.Event {
	t.Helper()
	var all []ssetest.Event
	for e, err := range ssetest.Events(strings.NewReader(text)) {
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}
