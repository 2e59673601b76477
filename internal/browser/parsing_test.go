package browser_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// streams are some whose bytes are taken in different ways by parsers that have bugs.
var streams = []string{
	"data: one\n\ndata: two\n\n",
	"\ufeffdata: behind a byte order mark\n\n\ufeffdata: no field\n\n",
	"data: \ufeffwithin\n\n",
	"data: a\rdata: b\r\rdata: c\r\ndata: d\r\n\r\n",
	"data:no space\n\ndata:  two spaces\n\ndata:\ttab\n\ndata: space behind \n\n",
	"data\n\ndata:\n\ndata\ndata\n\n",
	"event: tick\ndata: 1\n\ndata: 2\n\nevent\ndata: 3\n\nevent: tick\nevent:\ndata: 4\n\n",
	"event: open\ndata: 1\n\nevent: error\ndata: 2\n\n",
	"event: nothing\n\ndata: not of that type\n\n",
	"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: 2\n\ndata: d\n\nid: 3\x004\ndata: e\n\n",
	"id: unfinished\ndata: x",
	"id: 1\ndata: x\n",
	": comment\n:\ndata: x\n: within\ndata: y\n\n",
	"unknown: x\nDATA: x\ndata : x\n data: x\n\ndata: y\n\n",
	"data: 7 °C \xff\xc3 \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 end\n\n",
	"data: a\x00b\n\n",
	"retry: x\nretry: 1000000\nretry\ndata: x\n\n",
	"\n\n\r\r\r\n\r\ndata: x\n\n",
	"",
}

// TestParsing has Chromium and ssetest's Decoder read the same bytes, in one piece and in many.
func TestParsing(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, nil)
	p := openPage(t, srv)
	for i, wire := range append(streams, randomStreams(100)...) {
		path := fmt.Sprintf("/wire/%d", i)
		srv.Script("GET "+path, ssetest.Script{ssetest.Raw(wire)}, ssetest.Script{ssetest.Split(1 + i%3), ssetest.Raw(wire)})
		want := []record{opened}
		var types []string
		for e, err := range ssetest.Events(strings.NewReader(wire)) {
			require.NoError(t, err)
			want = append(want, dispatched(e))
			types = append(types, e.Type)
		}
		for range 2 {
			assert.Equal(t, want, p.stream(srv.URL+path, types...), "%q", wire)
		}
	}
}

// randomStreams are made of what is special in a stream.
func randomStreams(n int) []string {
	pieces := []string{
		"data", "event", "id", "retry", "data: x", "data:", "event: a", "id: 1", "retry: 9", ":", " ", "x",
		"\n", "\n", "\n\n", "\n\n", "\r", "\r\n", "\x00", "\ufeff", "é", "\xe2\x82", "\xff",
	}
	random := rand.New(rand.NewPCG(8, 0))
	all := make([]string, n)
	for i := range all {
		var b strings.Builder
		for range 5 + random.IntN(60) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		all[i] = b.String()
	}
	return all
}
