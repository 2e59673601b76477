package interop_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestLanguages has clients in other languages read what the command serves, each of them a process of its own, over TLS.
// What they get is compared with what a server in this process writes, which has the same seed, or with what stands in the script.
func TestLanguages(t *testing.T) {
	k := newKit(t)
	for name, test := range map[string]func(*testing.T, *kit){
		"Letters":                testLetters,
		"LettersAborted":         testLettersAborted,
		"Posts":                  testPosts,
		"PostsAborted":           testPostsAborted,
		"Feed":                   testFeed,
		"CurlLetters":            testCurlLetters,
		"CurlPosts":              testCurlPosts,
		"CurlFeed":               testCurlFeed,
		"DeviationIDs":           testDeviationIDs,
		"DeviationLeavesAlone":   testDeviationLeavesAlone,
		"DeviationCurlComesBack": testDeviationCurlComesBack,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// overBoth runs a test over both protocols.
func overBoth(t *testing.T, test func(t *testing.T, protocol string)) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			t.Parallel()
			test(t, protocol)
		})
	}
}

// ofEach runs a test for each of the packages' clients, over both protocols.
func ofEach(t *testing.T, test func(t *testing.T, program, protocol string)) {
	t.Helper()
	for _, program := range []string{"eventsource", "eventsource-parser", "undici"} {
		t.Run(program, func(t *testing.T) {
			overBoth(t, func(t *testing.T, protocol string) { test(t, program, protocol) })
		})
	}
}

// node starts one of the programs in javascript, for so many events, or until it is told not to come back.
func (k *kit) node(t *testing.T, c *command, program, protocol, path, count string) *process {
	t.Helper()
	return start(t, k.programs, []string{"NODE_EXTRA_CA_CERTS=" + c.cert}, "node", program+".mjs", c.url+path, protocol, count)
}

// What a program says, but for events.
const (
	saysBroken = "broken"
	saysClosed = "closed"
)

func saysOpen(protocol string) string { return "open " + protocol }

// tells is what a program says of an event.
func tells(e ssetest.Event) string {
	line, err := json.Marshal(struct {
		Type string `json:"type"`
		Data string `json:"data"`
		ID   string `json:"id"`
	}{e.Type, e.Data, e.ID})
	if err != nil {
		panic(err) // of three strings
	}
	return string(line)
}

func tellsAll(events []ssetest.Event) []string {
	var lines []string
	for _, e := range events {
		lines = append(lines, tells(e))
	}
	return lines
}

func testLetters(t *testing.T, k *kit) {
	ofEach(t, func(t *testing.T, program, protocol string) {
		got := k.node(t, k.serve(t), program, protocol, "/sse", "20").lines()
		assert.Equal(t, slices.Concat([]string{saysOpen(protocol)}, tellsAll(letters(t, 20))), got)
	})
}

// Streams are aborted again and again, within letters. Each time, a client comes back with the ID of the last letter that it has had whole:
// no letter is lost, and none comes twice.
func testLettersAborted(t *testing.T, k *kit) {
	ofEach(t, func(t *testing.T, program, protocol string) {
		c := k.serve(t, "-retry", "10ms", "-chaos", "abort=0.2,seed=8")
		got := k.node(t, c, program, protocol, "/sse", "20").lines()
		assert.Equal(t, resumed(t, got, letters(t, 20), protocol), c.asked(t, "/sse"))
	})
}

// resumed requires what a program has said to be all events, each of them once, through aborts. It returns the last event IDs that it must have asked with.
func resumed(t *testing.T, said []string, want []ssetest.Event, protocol string) (asked []string) {
	t.Helper()
	asked = []string{""}
	told := 0
	for _, line := range said {
		switch line {
		case saysOpen(protocol):
		case saysBroken:
			require.NotZero(t, told, "the retry field comes with an event; before that, nobody knows when to come back")
			asked = append(asked, want[told-1].ID)
		default:
			require.Less(t, told, len(want), said)
			assert.Equal(t, tells(want[told]), line)
			told++
		}
	}
	assert.Len(t, want, told)
	assert.Greater(t, len(asked), 2, "nothing was aborted")
	return asked
}

func testPosts(t *testing.T, k *kit) {
	ofEach(t, func(t *testing.T, program, protocol string) {
		c := k.serve(t)
		p := k.node(t, c, program, protocol, "/post", "3")
		require.Equal(t, saysOpen(protocol), p.line("that it is open")) // so that it is subscribed
		for _, body := range bodies {
			c.post(t, body)
		}
		assert.Equal(t, tellsAll(posts(t, bodies)), p.lines())
	})
}

// Posts are aborted as letters are. What is posted while nobody is there, the history has for whoever comes back.
func testPostsAborted(t *testing.T, k *kit) {
	many := slices.Repeat(bodies, 4)
	ofEach(t, func(t *testing.T, program, protocol string) {
		c := k.serve(t, "-retry", "10ms", "-chaos", "abort=0.2,seed=2")
		p := k.node(t, c, program, protocol, "/post", strconv.Itoa(len(many)))
		require.Equal(t, saysOpen(protocol), p.line("that it is open"))
		for _, body := range many {
			c.post(t, body)
		}
		assert.Equal(t, resumed(t, p.lines(), posts(t, many), protocol), c.asked(t, "/post"))
	})
}

// The first stream of the feed breaks within an event, the second ends, and to the third request the answer is 204.
func testFeed(t *testing.T, k *kit) {
	ofEach(t, func(t *testing.T, program, protocol string) {
		c := k.serve(t, "-script", "GET /feed=testdata/languages/feed.sse")
		got := k.node(t, c, program, protocol, "/feed", "0").lines()
		assert.Equal(t, []string{
			saysOpen(protocol),
			tells(ssetest.Event{Type: "message", Data: "one", ID: "1"}),
			tells(ssetest.Event{Type: "tick", Data: "two\nlines", ID: "2"}),
			saysBroken,
			saysOpen(protocol),
			tells(ssetest.Event{Type: "message", Data: "three", ID: "3"}),
			tells(ssetest.Event{Type: "message", Data: "café ☕", ID: "4"}),
			saysBroken,
			saysClosed,
		}, got)
		assert.Equal(t, []string{"", "2", "4"}, c.asked(t, "/feed"))
	})
}
