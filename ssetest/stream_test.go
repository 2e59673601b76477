package ssetest_test

import (
	"context"
	"fmt"
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

// A puppet answers a client without a network, so that it works in a bubble: the test writes the body, when it likes.
type puppet struct {
	*io.PipeWriter
	request *http.Request
}

// open opens a stream whose other end is the puppet.
func (p *puppet) open(t testing.TB) *ssetest.Stream {
	return ssetest.Open(t, "http://puppet.test/feed", &ssetest.OpenConfig{Client: &http.Client{Transport: p}})
}

func (p *puppet) RoundTrip(r *http.Request) (*http.Response, error) {
	body, write := io.Pipe()
	p.PipeWriter, p.request = write, r
	context.AfterFunc(r.Context(), func() { _ = write.CloseWithError(r.Context().Err()) })
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"text/event-stream"}},
		Body:       body,
		Request:    r,
	}, nil
}

// say writes to the stream after a while.
func (p *puppet) say(after time.Duration, text string) {
	time.AfterFunc(after, func() { _, _ = io.WriteString(p, text) })
}

func TestExpectationsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p puppet
		s := p.open(t)
		p.say(time.Second, "data: 1\n\ndata: 2\n\nevent: x\nid: 7\nretry: 100\ndata: 3\n\ndata: {\"a\": 1, \"b\": 2}\n\n")
		s.ExpectData("1", "2")
		s.ExpectEvents(ssetest.Event{Type: "x", Data: "3"})
		s.ExpectJSON(`{"b":2,"a":1}`)
		p.say(time.Second, "id\ndata: 5\n\nevent: x\nid: 8\nretry: 100\ndata: 6\n\n")
		s.ExpectEvents(ssetest.Data("5"), ssetest.Event{Type: "x", Data: "6", ID: "8", Retry: 100 * time.Millisecond})
		p.say(time.Second, "data: 7\n\ndata: 8\n\n")
		assert.Equal(t, ssetest.Event{Type: "message", Data: "7", ID: "8"}, s.Next())
		assert.Len(t, s.Take(1), 1)
		assert.Empty(t, s.Take(0))
		s.ExpectSilence(time.Hour)
		require.NoError(t, p.Close())
		s.ExpectEnd()
		s.ExpectEnd()
	})
}

func TestSilenceEndsBeforeItsLastInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p puppet
		s := p.open(t)
		p.say(10*time.Second, "data: x\n\n")
		start := time.Now()
		s.ExpectSilence(10 * time.Second)
		assert.Equal(t, 10*time.Second, time.Since(start))
		s.ExpectData("x")
		s.ExpectSilence(0)
		s.ExpectSilence(-1)
	})
}

// TestFailures shows what each assertion says when it fails.
func TestFailures(t *testing.T) {
	many := strings.Repeat("data: x\n\n", 12)
	for name, c := range map[string]struct {
		say    string
		expect func(s *ssetest.Stream)
		end    error // how the stream ends after a second; nil: not at all
		text   string
	}{
		"nothing comes": {"", func(s *ssetest.Stream) { s.Next() }, nil, `
ssetest: GET http://puppet.test/feed: wanted an event, but nothing more arrived within 24h0m0s
taken from the stream: 0 events
`},
		"too few come": {"data: 1\n\ndata: 2\nid: 5\n\n", func(s *ssetest.Stream) { s.Next(); s.ExpectData("2", "3") }, nil, `
ssetest: GET http://puppet.test/feed: wanted the data '2', '3', but nothing more arrived within 24h0m0s
taken from the stream: 2 events, 1 by this call:
  message 1
  message 2 id=5
`},
		"only the newest are shown": {many, func(s *ssetest.Stream) { s.Take(13) }, nil, `
ssetest: GET http://puppet.test/feed: wanted 13 events, but nothing more arrived within 24h0m0s
taken from the stream: 12 events, 12 by this call:
  … 2 more` + strings.Repeat("\n  message x", 10) + "\n"},
		"it ends": {"data: 1\n\n", func(s *ssetest.Stream) { s.ExpectJSON("1", "2", "3", "4", "5", "6", "7") }, io.EOF, `
ssetest: GET http://puppet.test/feed: wanted the JSON '1', '2', '3', '4', '5' and 2 more, but the stream has ended
taken from the stream: 1 event, 1 by this call:
  message 1
`},
		"it breaks": {"data: 1\n\ndata: 2", func(s *ssetest.Stream) { s.ExpectEvents(ssetest.Data("1"), ssetest.Data("2")) }, errBroken, `
ssetest: GET http://puppet.test/feed: wanted the events message 1, message 2, but the stream broke: GET http://puppet.test/feed: ssetest: reading the event stream: broken on purpose
taken from the stream: 1 event, 1 by this call:
  message 1
`},
		"no silence": {"data: 1\n\n", func(s *ssetest.Stream) { s.ExpectSilence(time.Minute) }, nil, `
ssetest: GET http://puppet.test/feed: wanted silence for 1m0s, but after 0s there was message 1
taken from the stream: 0 events
`},
		"no silence, but the end": {"", func(s *ssetest.Stream) { s.ExpectSilence(time.Minute) }, io.EOF, `
ssetest: GET http://puppet.test/feed: wanted silence for 1m0s, but the stream has ended
taken from the stream: 0 events
`},
		"no end": {"data: 1\n\n", func(s *ssetest.Stream) { s.Next(); s.ExpectEnd() }, nil, `
ssetest: GET http://puppet.test/feed: wanted the end of the stream, but nothing more arrived within 24h0m0s
taken from the stream: 1 event:
  message 1
`},
		"an event before the end": {"data: 1\n\n", func(s *ssetest.Stream) { s.ExpectEnd() }, io.EOF, `
ssetest: GET http://puppet.test/feed: wanted the end of the stream, but there was message 1
taken from the stream: 1 event, 1 by this call:
  message 1
`},
		"no clean end": {"", func(s *ssetest.Stream) { s.ExpectEnd() }, errBroken, `
ssetest: GET http://puppet.test/feed: wanted the end of the stream, but the stream broke: GET http://puppet.test/feed: ssetest: reading the event stream: broken on purpose
taken from the stream: 0 events
`},
		"after Close": {"data: 1\n\n", func(s *ssetest.Stream) { s.Close(); s.Next() }, nil, `
ssetest: GET http://puppet.test/feed: wanted an event, but the test has closed the stream`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := attempt(t, func(t testing.TB) {
					var p puppet
					s := p.open(t)
					p.say(0, c.say)
					if c.end != nil {
						time.AfterFunc(time.Second, func() { _ = p.CloseWithError(c.end) })
					}
					synctest.Wait()
					c.expect(s)
					t.Error("it went on")
				})
				wanted := strings.ReplaceAll(strings.TrimPrefix(c.text, "\n"), "'", "`")
				assert.Equal(t, wanted, failed.text())
			})
		})
	}
}

// TestDifferences shows what is said of an event that is not the wanted one.
func TestDifferences(t *testing.T) {
	const taken = "\ntaken from the stream: 1 event, 1 by this call:\n  t d id=i retry=7ms\n"
	event := func(change func(e *ssetest.Event)) func(s *ssetest.Stream) {
		e := ssetest.Event{Type: "t", Data: "d", ID: "i", Retry: 7 * time.Millisecond}
		change(&e)
		return func(s *ssetest.Stream) { s.ExpectEvents(e, ssetest.Data("never looked at")) }
	}
	for name, c := range map[string]struct {
		expect func(s *ssetest.Stream)
		wanted string
		shown  []string
	}{
		"data": {
			func(s *ssetest.Stream) { s.ExpectData("e", "`", "") },
			"the data `e`, \"`\", ``, but number 1 of 3 differs: ",
			[]string{`expected: "e"`, `actual : "d"`},
		},
		"JSON": {
			func(s *ssetest.Stream) { s.ExpectJSON(`{"a": 1}`) },
			"the JSON `{\"a\": 1}`, but number 1 of 1 differs: ",
			[]string{"its data is not JSON: invalid character 'd' looking for beginning of value"},
		},
		"type":                                   {event(func(e *ssetest.Event) { e.Type = "u" }), "the events u d id=i retry=7ms, message never looked at, but number 1 of 2 differs: ", []string{`- Type: (string) (len=1) "u"`, `+ Type: (string) (len=1) "t"`}},
		"no type":                                {event(func(e *ssetest.Event) { e.Type = "" }), "", []string{`- Type: (string) (len=7) "message"`}},
		"event's data":                           {event(func(e *ssetest.Event) { e.Data = "" }), "", []string{`- Data: (string) ""`}},
		"ID":                                     {event(func(e *ssetest.Event) { e.ID = "j" }), "", []string{`- ID: (string) (len=1) "j"`, `+ ID: (string) (len=1) "i"`}},
		"retry":                                  {event(func(e *ssetest.Event) { e.Retry = time.Second }), "", []string{`- Retry: (time.Duration) 1000000000`}},
		"what is not compared is shown as it is": {event(func(e *ssetest.Event) { e.Data, e.ID = "", "" }), "", []string{`ID:"i"`}},
	} {
		t.Run(name, func(t *testing.T) {
			failed := attempt(t, func(t testing.TB) {
				var p puppet
				s := p.open(t)
				go func() { _, _ = io.WriteString(p, "event: t\ndata: d\nid: i\nretry: 7\n\n") }()
				c.expect(s)
				t.Error("it went on")
			})
			require.Len(t, failed.failures, 1)
			text := failed.text()
			assert.True(t, strings.HasPrefix(text, "ssetest: GET http://puppet.test/feed: wanted "+c.wanted), text)
			assert.True(t, strings.HasSuffix(text, taken), text)
			assert.NotContains(t, text, "Error Trace")
			// The spaces of a difference vary.
			text = strings.Join(strings.Fields(text), " ")
			for _, shown := range c.shown {
				assert.Contains(t, text, shown)
			}
		})
	}
}

func TestExpectJSONComparesValues(t *testing.T) {
	for _, c := range []struct {
		wanted, got string
		same        bool
	}{
		{`{"a": 1, "b": [true, null]}`, `{"b":[true,null],"a":1.0e0}`, true},
		{`1e400`, `1e400`, true},
		{`"\u00fc"`, `"ü"`, true},
		{`12345678901234567890`, `12345678901234567890`, true},
		{`{"id":9007199254740993}`, `{"id":9007199254740992}`, false},
		{`[1, 2]`, `[2, 1]`, false},
		{`1`, `"1"`, false},
		{`{}`, `{"a":null}`, false},
	} {
		failed := attempt(t, func(t testing.TB) {
			var p puppet
			s := p.open(t)
			go func() { _, _ = io.WriteString(p, "data: "+c.got+"\n\n") }()
			s.ExpectJSON(c.wanted)
		})
		assert.Equal(t, !c.same, failed.Failed(), "%s and %s: %s", c.wanted, c.got, failed.text())
	}
}

func TestBadNumbersFailAtOnce(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	failed := attempt(t, func(t testing.TB) { srv.Open(t, "/post", nil).Take(-1) })
	assert.Equal(t, "ssetest: Take(-1): the number of events must not be negative", failed.text())
	failed = attempt(t, func(t testing.TB) { srv.AwaitSubscribers(t, -1) })
	assert.Equal(t, "ssetest: AwaitSubscribers(-1): there can't be fewer than none", failed.text())
}

func TestNewestNotesAreKept(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, &ssetest.Config{Timeout: time.Second})
		for i := range 120 {
			_, _ = ssetest.Dial(t.Context(), fmt.Sprintf("%s/nope%d?\u202e=%%0A", srv.URL, i), nil)
		}
		srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: "unknown"})
		srv.AwaitSubscribers(t, 2)
	})
	assert.Contains(t, failed.text(), ": 121\n")
	assert.NotContains(t, failed.text(), "/nope110?")
	assert.Contains(t, failed.text(), "  GET \"/nope111?\\u202e=%0A\" HTTP/2.0: answered 404, since there is no such path\n")
	assert.Contains(t, failed.text(), "topic /post has no event with that ID")
}

func TestExpectJSONWantsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			var p puppet
			p.open(t).ExpectJSON("1", "{a}")
		})
		assert.Equal(t, "ssetest: ExpectJSON: argument 2 of 2 is `{a}`, which is not JSON: invalid character 'a' looking for beginning of object key string", failed.text())
	})
}

func TestFailureShowsTheServer(t *testing.T) {
	var url string
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, &ssetest.Config{Timeout: time.Second, LetterInterval: -1})
		url = srv.URL
		srv.Open(t, "/sse", &ssetest.OpenConfig{LastEventID: "foreign", Timeout: time.Hour})
		srv.Tick(1)
		srv.Open(t, "/post", &ssetest.OpenConfig{Timeout: time.Hour})
		srv.AwaitSubscribers(t, 7)
	})
	lines := strings.Split(failed.text(), "\n")
	require.Len(t, lines, 7, failed.text())
	for i, wanted := range []string{
		`^ssetest: waited for exactly 7 open streams of GET /post; after 1s there were 1$`,
		`^open streams of ` + url + `: 2$`,
		`^  GET /sse HTTP/2.0 Last-Event-ID: "foreign" \(stream 1\), open for [\d.]+m?s, 1 event sent$`,
		`^  GET /post HTTP/2.0 \(stream 2\), open for [\d.]+m?s, 0 events sent$`,
		`^notes of ` + url + `: 1$`,
		`^  GET /sse HTTP/2.0 Last-Event-ID: "foreign" \(stream 1\): no letter that was sent has that ID; it gets them from the beginning$`,
		`^$`,
	} {
		assert.Regexp(t, wanted, lines[i])
	}
}

func TestAwaitSubscribersFailsWhenTheServerIsClosed(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	failed := attempt(t, func(t testing.TB) {
		go srv.Close()
		srv.AwaitSubscribers(t, 1)
	})
	assert.Contains(t, failed.text(), "when the server was closed there were 0")
}

func TestEventsThatNobodyTookFailTheTest(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		const n = 13
		open := func(t testing.TB, then func(srv *ssetest.Server, s *ssetest.Stream)) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			s := srv.Open(t, "/post", nil)
			for i := range n {
				srv.Publish(ssetest.Data(strconv.Itoa(i)))
			}
			then(srv, s)
		}
		left := func(then func(srv *ssetest.Server, s *ssetest.Stream)) string {
			return attempt(t, func(t testing.TB) { open(t, then) }).text()
		}
		assert.Regexp(t, `^ssetest: GET https?://[^ /]+/post: the server sent 3 events that nobody took:
  message 10
  message 11
  message 12
take them, or call IgnoreRest$`, left(func(_ *ssetest.Server, s *ssetest.Stream) { s.Take(10) }), "at the test's end")
		assert.Contains(t, left(func(*ssetest.Server, *ssetest.Stream) {}), "  message 9\n  … 3 more\ntake them")
		assert.Contains(t, left(func(_ *ssetest.Server, s *ssetest.Stream) { s.Take(12); s.Close() }), "the server sent 1 event that", "at Close")
		assert.Contains(t, left(func(srv *ssetest.Server, s *ssetest.Stream) { s.Take(12); srv.Close() }), "the server sent 1 event that", "after the server's Close")

		assert.Empty(t, left(func(_ *ssetest.Server, s *ssetest.Stream) { s.Take(13) }))
		assert.Empty(t, left(func(_ *ssetest.Server, s *ssetest.Stream) { s.IgnoreRest() }))
		assert.Equal(t, "another failure", attempt(t, func(t testing.TB) {
			open(t, func(*ssetest.Server, *ssetest.Stream) { t.Error("another failure") })
		}).text(), "a test that has failed")
	})
}

func TestRestIsCheckedOnResumedStreams(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		srv.Publish(ssetest.Event{ID: "1"}, ssetest.Event{ID: "2"}, ssetest.Event{ID: "3"})
		srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: "1"})
	})
	assert.Contains(t, failed.text(), "the server sent 2 events that nobody took")
}

func TestRestThatDoesNotArriveIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&swallowing{ResponseWriter: w}, r) })
			}})
			s := srv.Open(t, "/post", &ssetest.OpenConfig{Timeout: 50 * time.Millisecond})
			srv.Publish(ssetest.Data("1"), ssetest.Data("2"))
			_ = s
		})
		assert.Contains(t, failed.text(), "/post: 2 of the 2 events that the server sent did not arrive: nothing more arrived within 50ms\nopen streams of ")
	})
}

// swallowing is a ResponseWriter that sends nothing but headers.
type swallowing struct{ http.ResponseWriter }

func (s *swallowing) Unwrap() http.ResponseWriter          { return s.ResponseWriter }
func (s *swallowing) Write(p []byte) (int, error)          { return len(p), nil }
func (s *swallowing) WriteString(text string) (int, error) { return len(text), nil }

// twice is a transport that asks again, from further on, and gives the second answer.
type twice struct{ http.RoundTripper }

func (tr twice) RoundTrip(r *http.Request) (*http.Response, error) {
	first, err := tr.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	_ = first.Body.Close()
	again := r.Clone(r.Context())
	again.Header.Set("Last-Event-ID", "2")
	return tr.RoundTripper.RoundTrip(again)
}

func TestRestIsThatOfTheAnswerThatIsRead(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Publish(ssetest.Event{ID: "1"}, ssetest.Event{ID: "2"}, ssetest.Data("missed"))
		client := &http.Client{Transport: twice{srv.Client().Transport}}
		srv.Open(t, "/post", &ssetest.OpenConfig{Client: client, LastEventID: "1"}).ExpectData("missed")
	})
}

func TestLettersMayBeLeft(t *testing.T) {
	srv := ssetest.NewServer(t, &ssetest.Config{LetterInterval: -1})
	srv.Open(t, "/sse", nil)
	srv.Tick(3)
}

func TestYourHandlersEventsMayBeLeft(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Handle("GET /mine", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
	}))
	srv.Open(t, "/mine", nil)
	srv.Open(t, "/mine", nil).ExpectData("1")
}

// TestStreamThatIsNotReadKeepsEverything publishes more than an EventSource reads ahead.
func TestStreamThatIsNotReadKeepsEverything(t *testing.T) {
	const n = 80_000 // it reads 65,536 ahead
	srv := ssetest.NewServer(t, nil)
	s := srv.Open(t, "/post", nil)
	events := make([]ssetest.Event, n)
	for i := range events {
		events[i] = ssetest.Data(strconv.Itoa(i))
	}
	srv.Publish(events...)
	for i, e := range s.Take(n) {
		require.Equal(t, strconv.Itoa(i), e.Data)
	}

	failed := attempt(t, func(t testing.TB) {
		srv.Open(t, "/post", nil)
		srv.Publish(events...)
	})
	s.Take(n)
	assert.Contains(t, failed.text(), "the server sent 65536 events that nobody took", "as many as it had read")
}

func TestOpenFails(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Handle("GET /plain", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "data: x\n\n") }))
	srv.Handle("GET /silent", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	srv.Handle("GET /endless", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: x\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	for path, wanted := range map[string]string{
		"/nowhere": "the response has status 404 Not Found, where an event stream has status 200 and content type text/event-stream; " +
			`its body begins "404 page not found\n"`,
		"/plain": `the response has content type "text/plain; charset=utf-8", where an event stream has status 200 and content type text/event-stream; ` +
			`its body begins "data: x\n\n"`,
		"/endless": `the response has content type "text/plain; charset=utf-8", where an event stream has status 200 and content type text/event-stream; ` +
			`its body begins "data: x\n\n"`,
		"/silent": "no response within 50ms",
	} {
		cfg := &ssetest.OpenConfig{Timeout: 50 * time.Millisecond}
		if !strings.Contains(wanted, "50ms") {
			cfg = nil
		}
		failed := attempt(t, func(t testing.TB) { srv.Open(t, path, cfg) })
		first, rest, _ := strings.Cut(failed.text(), "\n")
		assert.Equal(t, "ssetest: opening GET "+srv.URL+path+": "+wanted, first)
		assert.Contains(t, rest, "open streams of "+srv.URL)
	}
	assert.Equal(t, `ssetest: Open: the path is "sse"; it must begin with a slash`, attempt(t, func(t testing.TB) { srv.Open(t, "sse", nil) }).text())
	assert.Contains(t, attempt(t, func(t testing.TB) { ssetest.Open(t, "http://bad host/", nil) }).text(), `ssetest: opening a stream: parse "http://bad host/"`)
}

func TestStreamsHaveTheServersTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Timeout: 300 * time.Millisecond})
			srv.Open(t, "/post", nil).Next()
		})
		assert.Contains(t, failed.text(), "nothing more arrived within 300ms")
	})
}

func TestOpenIsEveryURLOfTheServer(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	s := ssetest.Open(t, srv.URL+"/post", nil) // with its client, and its check
	srv.Publish(ssetest.Data("x"))
	s.ExpectData("x")
	failed := attempt(t, func(t testing.TB) {
		ssetest.Open(t, srv.URL+"/post?some=query", nil)
		srv.Publish(ssetest.Data("y"))
	})
	s.ExpectData("y")
	assert.Contains(t, failed.text(), "the server sent 1 event that nobody took")
	failed = attempt(t, func(t testing.TB) {
		ssetest.Open(t, strings.Replace(srv.URL, "https://127.0.0.1", "HTTPS://localhost", 1)+"/post#fragment", nil)
		srv.Publish(ssetest.Data("z"))
	})
	s.ExpectData("z")
	assert.Contains(t, failed.text(), "the server sent 1 event that nobody took")
}
