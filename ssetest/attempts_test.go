package ssetest_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// 9.2.3: a network error reestablishes the connection, also before there was any response.
func TestANetworkErrorBeforeTheFirstResponseReconnects(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		aborted := false
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("x")})
		srv.Handle("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !aborted {
				aborted = true
				panic(http.ErrAbortHandler)
			}
			http.Redirect(w, r, "/feed", http.StatusFound)
		}))
		srv.Down()
		var failures []error
		cfg := again()
		cfg.OnError = func(err error) {
			failures = append(failures, err)
			srv.Up()
		}
		s := srv.Open(t, "/", cfg)
		s.ExpectData("x")
		require.GreaterOrEqual(t, len(failures), 2)
		require.ErrorIs(t, failures[0], syscall.ECONNREFUSED)
		require.ErrorIs(t, failures[len(failures)-1], ssetest.ErrStreamAborted)
		s.Close()
	})
}

// 9.2.3: the end of the body reestablishes the connection, be it clean, or broken off in whatever way. An event that is not complete by then is gone.
func TestEveryEndReconnects(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, c := range allEndings {
			seen := c.h1
			if isH2(p) {
				seen = c.h2
			}
			if c.then != nil && seen.ours == io.EOF {
				continue // the server's Close, from which nothing comes back
			}
			name := fmt.Sprint(c.steps)
			var failures []error
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Script("GET /feed",
				append(ssetest.Script{ssetest.Event{ID: "1", Data: "one"}, ssetest.Raw("id: 2\ndata: tw")}, c.steps...),
				ssetest.Script{ssetest.Data("two")})
			cfg := again()
			cfg.OnError = func(err error) { failures = append(failures, err) }
			s := srv.Open(t, "/feed", cfg)
			s.ExpectEvents(ssetest.Event{ID: "1", Data: "one"})
			if c.then != nil {
				srv.Down()
				srv.Up()
			}
			s.ExpectEvents(ssetest.Event{ID: "1", Data: "two"})
			s.ExpectEnd()
			require.NotEmpty(t, failures, name)
			if c.then == nil { // else the client may not have read all of it when its connection is reset
				require.ErrorIs(t, failures[0], seen.ours, name)
			}
			require.ErrorIs(t, failures[len(failures)-1], io.EOF, name)
			assert.Equal(t, []string{"", "1", "1"}, askedIDs(srv), name)
		}
	})
}

// 9.2.3: GOAWAY is no end of a stream; its client comes back on another connection, when the stream has ended.
func TestAReconnectAfterGoAwayHasAnotherConnection(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv, s := follow(t, p, ssetest.Script{ssetest.GoAway(http2.ErrCodeNo), ssetest.Data("1")}, ssetest.Script{ssetest.Data("2")})
		s.ExpectData("1", "2")
		s.ExpectEnd()
		requests := srv.Requests()
		require.Len(t, requests, 3)
		assert.Equal(t, 1, requests[0].Connection)
		assert.Equal(t, 2, requests[1].Connection)
	})
}

// 9.2.6: a retry field of ASCII digits sets the reconnection time, when its line ends; another value is ignored.
// It stays for the streams that follow.
func TestRetryCountsAtItsOwnLineEnd(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		time time.Duration
	}{
		"none":                     {"", 3 * time.Second},
		"its own block":            {"retry: 70\n\n", 70 * time.Millisecond},
		"without a blank line":     {"retry: 70\n", 70 * time.Millisecond},
		"in an unfinished event":   {"data: x\nretry:70\rdata: y", 70 * time.Millisecond},
		"without a line end":       {"retry: 70", 3 * time.Second},
		"the last one":             {"retry: 10\nretry: 70\n", 70 * time.Millisecond},
		"zero":                     {"retry: 0\n", 0},
		"leading zeros":            {"retry: 00070\n", 70 * time.Millisecond},
		"no number":                {"retry: 70\nretry\nretry:\nretry: 7x\nretry: -1\nretry: 1.5\nretry:  1\nretry: ٣\n", 70 * time.Millisecond},
		"a comment":                {": retry: 70\n:retry: 70\nRetry: 70\n", 3 * time.Second},
		"longer than a day":        {"retry: 100000000\n", 100_000 * time.Second},
		"CR as the last character": {"retry: 70\r", 70 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(act{text: c.text, end: io.EOF}, act{end: io.EOF})
				es, err := s.dial(t.Context(), ssetest.OpenConfig{})
				require.NoError(t, err)
				_, err = drain(t, es)
				assert.Equal(t, http.StatusNoContent, refusedWith(err))
				assert.Equal(t, c.time, es.ReconnectionTime())
				assert.Equal(t, []time.Duration{0, c.time, 2 * c.time}, s.times())
				es.Close()
			})
		})
	}
}

// 9.2.3: the wait is as long as the reconnection time, which is a few seconds at first, and where the attempt before has failed it may be longer.
func TestWaitsBetweenAttempts(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	ends, fails := act{end: io.EOF, lasts: s}, act{err: errBroken}
	for name, c := range map[string]struct {
		cfg  ssetest.OpenConfig
		acts []act
		at   []time.Duration
	}{
		"3 s by default":        {ssetest.OpenConfig{}, []act{ends, ends}, []time.Duration{0, 4 * s, 8 * s}},
		"configured":            {ssetest.OpenConfig{ReconnectionTime: 5 * s}, []act{ends, ends}, []time.Duration{0, 6 * s, 12 * s}},
		"none":                  {ssetest.OpenConfig{ReconnectionTime: -1}, []act{ends, fails, fails, ends}, []time.Duration{0, s, s, s + 2*ms, 2*s + 2*ms}},
		"none, nor back-off":    {ssetest.OpenConfig{ReconnectionTime: -1, MaxBackoff: -1}, []act{ends, fails, fails, ends}, []time.Duration{0, s, s, s, 2 * s}},
		"the server's word":     {ssetest.OpenConfig{ReconnectionTime: time.Hour}, []act{{text: "retry: 2000\n", end: io.EOF}, ends}, []time.Duration{0, 2 * s, 5 * s}},
		"twice as long":         {ssetest.OpenConfig{}, []act{fails, fails, fails, fails, fails, fails}, []time.Duration{0, 3 * s, 9 * s, 21 * s, 45 * s, 75 * s, 105 * s}},
		"a success resets it":   {ssetest.OpenConfig{ReconnectionTime: s}, []act{fails, fails, ends, fails, fails}, []time.Duration{0, 1 * s, 3 * s, 5 * s, 6 * s, 8 * s}},
		"bounded":               {ssetest.OpenConfig{MaxBackoff: 10 * s}, []act{fails, fails, fails, fails}, []time.Duration{0, 3 * s, 9 * s, 19 * s, 29 * s}},
		"switched off":          {ssetest.OpenConfig{MaxBackoff: -1}, []act{fails, fails, fails, fails}, []time.Duration{0, 3 * s, 6 * s, 9 * s, 12 * s}},
		"never less than it is": {ssetest.OpenConfig{ReconnectionTime: 40 * s}, []act{fails, fails, fails}, []time.Duration{0, 40 * s, 80 * s, 120 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.cfg.Timeout = -1
				stage := newStage(c.acts...)
				es, err := stage.dial(t.Context(), c.cfg)
				if err == nil {
					_, err = drain(t, es)
					es.Close()
				}
				assert.Equal(t, http.StatusNoContent, refusedWith(err), "%v", err)
				assert.Equal(t, c.at, stage.times())
			})
		})
	}
}

// 9.2.6: the ID counts at the blank line, also that of a block without data, and stays until another comes. One with a NULL is ignored.
// 9.2.3: Last-Event-ID is not sent where the string is empty, as an id field without a value makes it.
func TestLastEventIDs(t *testing.T) {
	for name, c := range map[string]struct{ text, id string }{
		"of an event":                     {"id: 1\ndata: x\n\n", "1"},
		"the newest":                      {"id: 1\ndata: x\n\nid: 2\ndata: y\n\n", "2"},
		"stays":                           {"id: 1\ndata: x\n\ndata: y\n\n", "1"},
		"of a block without data":         {"id: 1\ndata: x\n\nid: 2\n\n", "2"},
		"of a block with only a type":     {"id: 2\nevent: x\n\n", "2"},
		"not of an unfinished event":      {"id: 1\ndata: x\n\nid: 2\ndata: y\n", "1"},
		"not of an unfinished block":      {"id: 1\ndata: x\n\nid: 2\n", "1"},
		"not of an unfinished line":       {"id: 1\ndata: x\n\nid: 2", "1"},
		"not of an unfinished block only": {"id: 2\n", "before"},
		"empty":                           {"id: 1\ndata: x\n\nid\ndata: y\n\n", ""},
		"empty, with a colon":             {"id: 1\ndata: x\n\nid:\n\n", ""},
		"empty, in an unfinished block":   {"id: 1\ndata: x\n\nid\n", "1"},
		"with a NULL":                     {"id: 1\ndata: x\n\nid: 2\x00\ndata: y\n\n", "1"},
		"a comment":                       {"id: 1\n\n:id: 2\n\nID: 3\n\n", "1"},
		"none":                            {"data: x\n\n", "before"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(act{text: c.text, end: io.EOF}, act{text: "data: later\n\n", end: errBroken})
				es, err := s.dial(t.Context(), ssetest.OpenConfig{LastEventID: "before"})
				require.NoError(t, err)
				defer es.Close()
				for {
					e, err := es.Next(t.Context())
					require.NoError(t, err)
					if e.Data == "later" {
						assert.Equal(t, c.id, e.ID, "what the next stream begins with")
						break
					}
				}
				_, err = drain(t, es)
				assert.Equal(t, http.StatusNoContent, refusedWith(err))
				assert.Equal(t, []string{"before", c.id, c.id}, s.lastIDs())
				assert.Equal(t, c.id, es.LastEventID())
			})
		})
	}
}

// 9.2.3: the header is not there where the string is empty: not "there, and empty".
func TestAnEmptyIDIsNoHeader(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv, s := follow(t, p, raw("id: 1\ndata: 1\n\n"), raw("id\ndata: 2\n\n"), raw("data: 3\n\n"))
		s.ExpectData("1", "2", "3")
		s.ExpectEnd()
		requests := srv.Requests()
		assert.Equal(t, []string{"", "1", "", ""}, askedIDs(srv))
		for _, i := range []int{0, 2, 3} {
			assert.NotContains(t, requests[i].Header, "Last-Event-Id")
		}
	})
}

// 9.2.5: each stream is decoded by itself: it may begin with a byte order mark, and what the one before has left, of a line, of a type, of data,
// is gone. The last event ID stays.
func TestTheDecoderStartsAfresh(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		_, s := follow(t, p,
			raw("\uFEFFid: 1\ndata: 1\n\ndata: da"),
			raw("\uFEFFdata: 2\n\nevent: typ\ndata: lost\n"),
			raw("data: 3\r\n\r\nretry: 1\nevent: typ\rdata: lost\r"),
			raw("\ndata: 4\n\n\xE2\x82"),
			raw("\xACdata: no field\ndata: 5\n\n\xEF\xBB"),
			raw("\xBFdata: no mark\ndata: 6\n\n"))
		for i, id := range []string{"1", "1", "1", "1", "1", "1"} {
			assert.Equal(t, ssetest.Event{Type: "message", Data: strconv.Itoa(i + 1), ID: id}, s.Next())
		}
		s.ExpectEnd()
	})
}

// 9.2.3 leaves it to the client to give up: after MaxAttempts attempts in a row that did not open the stream.
func TestMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := act{err: errBroken}
		s := newStage(fails, fails, fails)
		_, err := s.dial(t.Context(), ssetest.OpenConfig{MaxAttempts: 3})
		require.ErrorIs(t, err, errBroken)
		require.EqualError(t, err, "ssetest: opening GET http://stage.test/: 3 attempts in a row failed, the last with: broken on purpose")
		assert.Len(t, s.times(), 3)

		s = newStage(fails, fails, act{text: "data: 1\n\n", end: errBroken}, fails, act{end: io.EOF}, act{end: io.EOF}, act{end: io.EOF}, fails, fails, fails)
		es, err := s.dial(t.Context(), ssetest.OpenConfig{MaxAttempts: 3})
		require.NoError(t, err)
		data, err := drain(t, es)
		assert.Equal(t, []string{"1"}, data)
		require.ErrorIs(t, err, errBroken)
		require.EqualError(t, err, "GET http://stage.test/: 3 attempts in a row failed, the last with: broken on purpose")
		assert.Len(t, s.times(), 10)
		assert.Equal(t, ssetest.StateClosed, es.ReadyState())
		es.Close()
	})
}

// Until the stream is open for the first time, Timeout bounds all attempts together; then each of them by itself, as a network error.
func TestAttemptsTakeAsLongAsTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(act{err: errBroken}, act{err: errBroken}, act{mute: true})
		_, err := s.dial(t.Context(), ssetest.OpenConfig{Timeout: time.Minute})
		require.ErrorContains(t, err, "ssetest: opening GET http://stage.test/: no response within 1m0s; the last of ")
		require.ErrorIs(t, err, errBroken)
		assert.Equal(t, time.Minute, time.Since(s.born))

		s = newStage(act{end: io.EOF}, act{mute: true}, act{mute: true}, act{text: "data: 1\n\n", end: io.EOF, lasts: time.Hour})
		es, err := s.dial(t.Context(), ssetest.OpenConfig{Timeout: time.Minute, ReconnectionTime: time.Second})
		require.NoError(t, err)
		data, err := drain(t, es)
		assert.Equal(t, []string{"1"}, data)
		assert.Equal(t, http.StatusNoContent, refusedWith(err))
		const s1, m = time.Second, time.Minute
		assert.Equal(t, []time.Duration{0, s1, m + 2*s1, 2*m + 4*s1, 2*m + 5*s1 + time.Hour}, s.times())
		es.Close()
	})
}
