package ssetest_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// open opens a stream on the stage that comes back.
func (s *stage) open(t testing.TB, cfg ssetest.OpenConfig) *ssetest.Stream {
	cfg.Client = &http.Client{Transport: s}
	cfg.Reconnect = true
	return ssetest.Open(t, "http://stage.test/", &cfg)
}

func TestExpectReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := time.Second
		s := newStage(
			act{text: "data: 1\n\n: bye\n", end: io.EOF, lasts: 10 * second},
			act{text: "retry: 5000\n", end: errBroken, lasts: second},
			act{err: errBroken},
			act{text: ": hello\ndata: 2\n\n", end: io.EOF},
			act{err: errBroken, lasts: 7 * second},
			act{},
		).open(t, ssetest.OpenConfig{})
		s.ExpectData("1")
		s.ExpectReconnect(3 * second)
		s.ExpectReconnect(10 * second)
		s.ExpectComment("hello")
		s.ExpectData("2")
		s.ExpectReconnect(10 * second) // which are 17 with the attempt in between
	})
}

func TestExpectReconnectOnTheNetwork(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed",
			ssetest.Script{ssetest.Event{ID: "1", Data: "1", Retry: 20 * time.Millisecond}, ssetest.Abort()},
			ssetest.Script{ssetest.Comment("again"), ssetest.Data("2")})
		s := srv.Open(t, "/feed", again())
		s.ExpectData("1")
		s.ExpectReconnect(20 * time.Millisecond)
		s.ExpectComment("again")
		s.ExpectData("2")
		s.ExpectEnd()
	})
}

// TestReconnectFailures shows what is said where a stream does not come back as expected.
func TestReconnectFailures(t *testing.T) {
	const second = time.Second
	ends := act{text: "data: 1\n\n", end: io.EOF, lasts: second}
	for name, c := range map[string]struct {
		acts   []act
		cfg    ssetest.OpenConfig
		expect func(s *ssetest.Stream)
		text   string
	}{
		"too early": {[]act{{end: io.EOF}, {}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectReconnect(4 * second) }, `
wanted the stream to be opened again after 4s, but that was after 3s, of which it has waited 3s
taken from the stream: 0 events
`},
		"too late": {[]act{{end: io.EOF}, {}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectReconnect(2 * second) }, `
wanted the stream to be opened again after 2s, but that was after 3s, of which it has waited 3s
taken from the stream: 0 events
`},
		"after attempts that failed": {[]act{{end: io.EOF}, {mute: true}, {}}, ssetest.OpenConfig{Timeout: second}, func(s *ssetest.Stream) { s.ExpectReconnect(8 * second) }, `
wanted the stream to be opened again after 8s, but that was after 7s, of which it has waited 6s
taken from the stream: 0 events
`},
		"an event comes before": {[]act{ends, {}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectReconnect(3 * second) }, `
wanted the stream to be opened again after 3s, but there was message 1
taken from the stream: 1 event, 1 by this call:
  message 1
`},
		"it stays open": {[]act{{}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectReconnect(3 * second) }, `
wanted the stream to be opened again after 3s, but it was not, within 24h0m3s
taken from the stream: 0 events
`},
		"it is told to stop": {[]act{ends}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.Next(); s.ExpectReconnect(3 * second) }, `
wanted the stream to be opened again after 3s, but the stream has ended, with status 204
taken from the stream: 1 event:
  message 1
`},
		"it is refused": {[]act{{end: io.EOF}, {status: 500}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectReconnect(3 * second) }, `
wanted the stream to be opened again after 3s, but the stream broke: GET http://stage.test/: the response has status 500 Internal Server Error, where an event stream has status 200 and content type text/event-stream
taken from the stream: 0 events
`},
		"no attempt is left": {[]act{{end: io.EOF}, {err: errBroken}}, ssetest.OpenConfig{MaxAttempts: 1}, func(s *ssetest.Stream) { s.ExpectReconnect(3 * second) }, `
wanted the stream to be opened again after 3s, but the stream broke: GET http://stage.test/: 1 attempt in a row failed, the last with: broken on purpose
taken from the stream: 0 events
`},
		"no end, but attempts that fail": {[]act{{end: io.EOF}, {err: io.EOF}}, ssetest.OpenConfig{MaxAttempts: 1}, func(s *ssetest.Stream) { s.ExpectEnd() }, `
wanted the end of the stream, but the stream broke: GET http://stage.test/: 1 attempt in a row failed, the last with: ssetest: stream aborted: EOF
taken from the stream: 0 events
`},
		"no end, but a refusal": {[]act{{end: io.EOF}, {status: 410}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectEnd() }, `
wanted the end of the stream, but the stream broke: GET http://stage.test/: the response has status 410 Gone, where an event stream has status 200 and content type text/event-stream
taken from the stream: 0 events
`},
		"no end, but an event after a reconnect": {[]act{{end: io.EOF}, ends}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectEnd() }, `
wanted the end of the stream, but there was message 1
taken from the stream: 1 event, 1 by this call:
  message 1
`},
		"no silence across a reconnect": {[]act{{end: io.EOF}, ends}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectSilence(4 * second) }, `
wanted silence for 4s, but after 3s there was message 1
taken from the stream: 0 events
`},
		"another comment": {[]act{{text: ": x\n"}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectComment("y") }, `
wanted the comment 'y', but there was the comment 'x'
taken from the stream: 0 events
`},
		"an event before the comment": {[]act{{text: "data: 1\n\n: y\n"}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectComment("y") }, `
wanted the comment 'y', but there was message 1
taken from the stream: 1 event, 1 by this call:
  message 1
`},
		"no comment": {[]act{{}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.ExpectComment("y") }, `
wanted the comment 'y', but nothing more arrived within 24h0m0s
taken from the stream: 0 events
`},
		"closed": {[]act{{}}, ssetest.OpenConfig{}, func(s *ssetest.Stream) { s.Close(); s.ExpectReconnect(second) }, `
wanted the stream to be opened again after 1s, but the test has closed the stream`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := attempt(t, func(t testing.TB) {
					s := newStage(c.acts...).open(t, c.cfg)
					synctest.Wait()
					c.expect(s)
					t.Error("it went on")
				})
				wanted := strings.ReplaceAll(strings.TrimPrefix(c.text, "\n"), "'", "`")
				assert.Equal(t, "ssetest: GET http://stage.test/: "+wanted, failed.text())
			})
		})
	}
}

func TestExpectReconnectWantsAStreamThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			var p puppet
			p.open(t).ExpectReconnect(time.Second)
		})
		assert.Equal(t, "ssetest: GET http://puppet.test/feed: wanted the stream to be opened again after 1s, but it does not come back: "+
			"set OpenConfig.Reconnect", failed.text())
	})
}

func TestExpectCommentPassesOverNothing(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		_, s := follow(t, p,
			ssetest.Script{ssetest.Comment("a\nb"), ssetest.Comment(""), ssetest.Data("1"), ssetest.Comment("passed over"), ssetest.Data("2")},
			ssetest.Script{ssetest.Comment("c")})
		s.ExpectComment("a")
		s.ExpectComment("b")
		s.ExpectComment("")
		s.ExpectData("1", "2")
		s.ExpectComment("c") // across a reconnect, which is neither event nor comment
		s.ExpectEnd()
	})
}

// TestSilenceGoesOnAcrossReconnects has a stream that ends, and fails, and is open again all the while.
func TestSilenceGoesOnAcrossReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(
			act{text: ": x\n", end: io.EOF, lasts: time.Second},
			act{err: errBroken},
			act{text: ": y\nid: 2\n\n", end: errBroken, lasts: time.Second},
			act{text: "data: 1\n\n"},
		).open(t, ssetest.OpenConfig{})
		start := time.Now()
		s.ExpectSilence(11 * time.Second) // 1 + 3 + 3 + 1 + 3, which is just when the event comes
		assert.Equal(t, 11*time.Second, time.Since(start))
		s.ExpectEvents(ssetest.Event{ID: "2", Data: "1"})
	})
}

// TestSilenceThenDown has nothing that could arrive, as the server is gone.
func TestSilenceThenDown(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		s := srv.Open(t, "/post", again())
		srv.Down()
		s.ExpectSilence(10 * time.Millisecond)
		srv.Up()
		srv.AwaitSubscribers(t, 1)
		srv.Publish(ssetest.Data("x"))
		s.ExpectData("x")
	})
}

func TestAStreamComesBackWhenItsServerDoes(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		cfg := again()
		cfg.MaxBackoff = -1
		s := srv.Open(t, "/post", cfg)
		for i := range 5 {
			srv.AwaitSubscribers(t, 1)
			srv.Publish(ssetest.Event{ID: strconv.Itoa(i), Data: strconv.Itoa(i)})
			s.ExpectData(strconv.Itoa(i))
			srv.Down()
			assert.Zero(t, srv.Publish(ssetest.Event{ID: strconv.Itoa(i) + " missed", Data: "missed"}))
			srv.Up()
			s.ExpectData("missed")
		}
		assert.Equal(t, []string{"", "0", "1", "2", "3", "4"}, askedIDs(srv))
		srv.ExpectExactlyOnce(s)
	})
}

// TestAStreamEndsOnceItsServerSaysSo has 204 after a while in which the server is down.
func TestAStreamEndsOnceItsServerSaysSo(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1"), ssetest.Hold()}, ssetest.Script{ssetest.Response{Status: 204}})
		s := srv.Open(t, "/feed", again())
		s.ExpectData("1")
		srv.Down()
		srv.Up()
		s.ExpectEnd()
		s.ExpectEnd()
		assert.Len(t, srv.Requests(), 2)
	})
}

// TestAStreamThatIsClosedWhileDown needs no server for that.
func TestAStreamThatIsClosedWhileDown(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		s := srv.Open(t, "/post", again())
		srv.Down()
		start := time.Now()
		s.Close()
		assert.Less(t, time.Since(start), 10*time.Second)
		require.Empty(t, attempt(t, func(t testing.TB) { s.Close() }).text())
		closeAtOnce(t, srv)
	})
}

// TestWithoutReconnectTheEndIsTheEnd is the default: no test is fooled by a client that hides a broken stream.
func TestWithoutReconnectTheEndIsTheEnd(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Event{ID: "1", Retry: time.Millisecond}, ssetest.Abort()}, ssetest.Script{ssetest.Data("never")})
		s := srv.Open(t, "/feed", &ssetest.OpenConfig{ReconnectionTime: time.Millisecond, MaxAttempts: 3})
		s.Next()
		s.ExpectError(ssetest.ErrStreamAborted)
		s.ExpectError(ssetest.ErrStreamAborted)
		assert.Len(t, srv.Requests(), 1)
	})
}
