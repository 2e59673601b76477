package ssetest_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestDeliveryFails shows what is said of each thing that can be wrong.
func TestDeliveryFails(t *testing.T) {
	one, two, three := numbered(1, 1)[0], numbered(2, 2)[0], numbered(3, 3)[0]
	for name, c := range map[string]struct {
		serve       func(t testing.TB, srv *ssetest.Server) *ssetest.Stream
		path        string
		exactlyOnce string
		atLeastOnce string // "": it holds
	}{
		"a script served again": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				srv.Script("GET /feed", steps(numbered(1, 2)), steps(numbered(1, 2), ssetest.Hold()))
				s := openReturning(t, srv, "/feed")
				s.Take(4)
				return s
			},
			"/feed",
			"of 2 events that the endpoint has published\nrepeated: 2 events:\n  message 1 id=1\n  message 2 id=2",
			"",
		},
		"a feed that sends again": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				s := openReturning(t, srv, "/feed")
				feed.Accept(t).Send(one, two, ssetest.Abort())
				feed.Accept(t).Send(two, three)
				s.Take(4)
				return s
			},
			"/feed",
			"of 3 events that the endpoint has published\nrepeated: 1 event:\n  message 2 id=2",
			"",
		},
		"chaos that duplicates": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				srv.Chaos(ssetest.Chaos{Duplicate: 1})
				s := openReturning(t, srv, "/post")
				srv.Publish(one, two)
				return s
			},
			"/post",
			"of 2 events that the endpoint has published\nrepeated: 2 events:\n  message 1 id=1\n  message 2 id=2",
			"",
		},
		"chaos that breaks off a feed": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				srv.Chaos(ssetest.Chaos{Abort: 1})
				s := openReturning(t, srv, "/feed")
				first := feed.Accept(t)
				srv.Chaos(ssetest.Chaos{})
				first.Send(one)
				feed.Accept(t).Send(two)
				return s
			},
			"/feed",
			"of 2 events that the endpoint has published\nlost: 1 event:\n  message 1 id=1",
			"of 2 events that the endpoint has published\nlost: 1 event:\n  message 1 id=1",
		},
		"a feed that sends what was lost too late": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				srv.Chaos(ssetest.Chaos{Abort: 1})
				s := openReturning(t, srv, "/feed")
				first := feed.Accept(t)
				srv.Chaos(ssetest.Chaos{})
				first.Send(one)
				feed.Accept(t).Send(two, one)
				return s
			},
			"/feed",
			"of 2 events that the endpoint has published\nout of order: 1 event:\n  message 1 id=1",
			"",
		},
		"all at once": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				srv.Chaos(ssetest.Chaos{Abort: 1})
				s := openReturning(t, srv, "/feed")
				stream := feed.Accept(t)
				stream.Send(one)
				stream = feed.Accept(t)
				srv.Chaos(ssetest.Chaos{})
				stream.Send(two)
				feed.Accept(t).Send(three, two, three)
				return s
			},
			"/feed",
			"of 3 events that the endpoint has published\nlost: 1 event:\n  message 1 id=1\nrepeated: 1 event:\n  message 3 id=3\n" +
				"out of order: 1 event:\n  message 2 id=2",
			"of 3 events that the endpoint has published\nlost: 1 event:\n  message 1 id=1\nrepeated: 1 event:\n  message 3 id=3\n" +
				"out of order: 1 event:\n  message 2 id=2",
		},
		"more than is shown": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				srv.Script("GET /feed", steps(numbered(1, 13)), steps(numbered(1, 13), ssetest.Hold()))
				s := openReturning(t, srv, "/feed")
				s.Take(26)
				return s
			},
			"/feed",
			"of 13 events that the endpoint has published\nrepeated: 13 events:\n  message 1 id=1\n  message 2 id=2\n  message 3 id=3\n" +
				"  message 4 id=4\n  message 5 id=5\n  message 6 id=6\n  message 7 id=7\n  message 8 id=8\n  message 9 id=9\n  message 10 id=10\n  … 3 more",
			"",
		},
		"what nobody has published": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				s := openThrough(t, srv, "/post", func(next http.RoundTripper) http.RoundTripper {
					return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
						response, err := next.RoundTrip(r)
						if err == nil {
							response.Body = prefixed{io.MultiReader(strings.NewReader("id: 9\ndata: 9\n\n"), response.Body), response.Body}
						}
						return response, err
					})
				})
				srv.Publish(one)
				s.Take(2)
				return s
			},
			"/post",
			"of 1 event that the endpoint has published\nnever published: 1 event:\n  message 9 id=9",
			"",
		},
		"a client that does not send its last event ID": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				srv.Script("GET /feed", steps(numbered(1, 2), ssetest.Abort()), steps(numbered(3, 3), ssetest.Hold()))
				s := openThrough(t, srv, "/feed", resumingBehind(func(h http.Header) { h.Del("Last-Event-ID") }))
				s.Take(3)
				return s
			},
			"/feed",
			"of 3 events that the endpoint has published\nwrong Last-Event-ID: 1 attempt:\n  attempt 2 asked with \"\", where the last event ID was \"2\"",
			"",
		},
		"a client that sends another last event ID": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				s := openThrough(t, srv, "/feed", resumingBehind(func(h http.Header) { h.Set("Last-Event-ID", h.Get("Last-Event-ID")+"0") }))
				for i := 1; i <= 12; i++ {
					feed.Accept(t).Send(steps(numbered(i, i), ssetest.Abort())...)
				}
				feed.Accept(t)
				return s
			},
			"/feed",
			"of 12 events that the endpoint has published\nwrong Last-Event-ID: 12 attempts:\n" +
				"  attempt 2 asked with \"10\", where the last event ID was \"1\"\n" +
				"  attempt 3 asked with \"20\", where the last event ID was \"2\"\n" +
				"  attempt 4 asked with \"30\", where the last event ID was \"3\"\n" +
				"  attempt 5 asked with \"40\", where the last event ID was \"4\"\n" +
				"  attempt 6 asked with \"50\", where the last event ID was \"5\"\n" +
				"  attempt 7 asked with \"60\", where the last event ID was \"6\"\n" +
				"  attempt 8 asked with \"70\", where the last event ID was \"7\"\n" +
				"  attempt 9 asked with \"80\", where the last event ID was \"8\"\n" +
				"  attempt 10 asked with \"90\", where the last event ID was \"9\"\n" +
				"  attempt 11 asked with \"100\", where the last event ID was \"10\"\n" +
				"  … 2 more",
			"",
		},
		"letters from the beginning": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				s := openThrough(t, srv, "/sse", resumingBehind(func(h http.Header) { h.Del("Last-Event-ID") }))
				srv.Tick(1)
				s.Take(1)
				srv.Down()
				srv.Up()
				s.ExpectReconnect(-1)
				srv.Tick(1)
				s.Take(1)
				return s
			},
			"/sse",
			"of 1 event that the endpoint has published\nrepeated: 1 event:\n  message {\"msg\":\"a\"} id=ID\n" +
				"wrong Last-Event-ID: 1 attempt:\n  attempt N asked with \"\", where the last event ID was \"ID\"",
			"",
		},
		"an event without an ID": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				s := openReturning(t, srv, "/post")
				srv.Publish(one, ssetest.Event{Type: "nameless", Data: "x"}, three)
				return s
			},
			"/post",
			"that can't be decided: nameless x has no ID",
			"",
		},
		"a feed's event without an ID": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				s := openReturning(t, srv, "/feed")
				feed.Accept(t).Send(one, ssetest.Data("x"))
				return s
			},
			"/feed",
			"that can't be decided: message x has no ID",
			"",
		},
		"an event that takes its ID away": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				s := openReturning(t, srv, "/feed")
				feed.Accept(t).Send(one, ssetest.Raw("id\ndata: x\n\n"))
				return s
			},
			"/feed",
			"that can't be decided: message x has no ID",
			"",
		},
		"two events with an ID": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				s := openReturning(t, srv, "/post")
				srv.Publish(one, two, ssetest.Event{ID: "1", Data: "other"})
				return s
			},
			"/post",
			"that can't be decided: message other id=1 has the ID of message 1 id=1",
			"",
		},
		"the same event twice": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				s := openReturning(t, srv, "/post")
				srv.Publish(one, one)
				return s
			},
			"/post",
			"that can't be decided: message 1 id=1 has the ID of message 1 id=1",
			"",
		},
		"IDs that a header can't tell apart": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				s := openReturning(t, srv, "/post")
				srv.Publish(one, ssetest.Event{ID: "1 ", Data: "x"})
				return s
			},
			"/post",
			"that can't be decided: message x id=\"1 \" has the ID of message 1 id=1",
			"",
		},
		"two events of a feed with an ID": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				feed := srv.Feed("GET /feed")
				s := openReturning(t, srv, "/feed")
				feed.Accept(t).Send(one, ssetest.Event{ID: "1", Data: "other"})
				return s
			},
			"/feed",
			"that can't be decided: message other id=1 has the ID of message 1 id=1",
			"",
		},
		"your own handler": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				srv.Handle("GET /mine", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}))
				return openReturning(t, srv, "/mine")
			},
			"/mine",
			"that can't be decided: it is not open at a topic, a script, a feed or the letters: " +
				"what a handler of yours should have sent, only your test can know",
			"that can't be decided: it is not open at a topic, a script, a feed or the letters: " +
				"what a handler of yours should have sent, only your test can know",
		},
		"another server": {
			func(t testing.TB, _ *ssetest.Server) *ssetest.Stream {
				return openReturning(t, ssetest.NewServer(t, nil), "/post")
			},
			"/post", "the stream is not one of URL", "the stream is not one of URL",
		},
		"a foreign server": {
			func(t testing.TB, _ *ssetest.Server) *ssetest.Stream {
				return ssetest.Open(t, "http://192.0.2.1:80/feed", &ssetest.OpenConfig{Client: &http.Client{Transport: new(puppet)}, Reconnect: true})
			},
			"/feed", "the stream is not one of URL", "the stream is not one of URL",
		},
		"a stream that is over for good": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream { return srv.Open(t, "/post", nil) },
			"/post", "it does not come back: set OpenConfig.Reconnect", "it does not come back: set OpenConfig.Reconnect",
		},
		"a stream that the test has closed": {
			func(t testing.TB, srv *ssetest.Server) *ssetest.Stream {
				s := openReturning(t, srv, "/post")
				s.Close()
				return s
			},
			"/post", "the test has closed the stream", "the test has closed the stream",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(expect func(*ssetest.Server, *ssetest.Stream), beginning, wanted string) {
				failed := attempt(t, func(t testing.TB) {
					srv := ssetest.NewServer(t, &ssetest.Config{LetterInterval: -1, Retry: -1})
					s := c.serve(t, srv)
					s.IgnoreRest()
					expect(srv, s)
				})
				if wanted != "" {
					wanted = fmt.Sprintf(beginning, c.path) + wanted
				}
				if strings.Contains(wanted, "does not come back") {
					wanted = strings.Replace(wanted, ", but", " across reconnects, but", 1)
				}
				text := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(verdict(failed), "ID")
				if c.path == "/sse" { // there are attempts that find the server down
					text = regexp.MustCompile(`attempt \d+`).ReplaceAllString(text, "attempt N")
				}
				assert.Equal(t, wanted, text)
			}
			check((*ssetest.Server).ExpectExactlyOnce, wantedExactlyOnce, c.exactlyOnce)
			check((*ssetest.Server).ExpectAtLeastOnce, wantedAtLeastOnce, c.atLeastOnce)
		})
	}
}

// TestAFailedDeliveryExplainsItself shows the whole text.
func TestAFailedDeliveryExplainsItself(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, &ssetest.Config{History: -1})
		s := openReturning(t, srv, "/post")
		srv.Publish(numbered(1, 2)...)
		s.Take(2)
		srv.Down()
		srv.Publish(numbered(3, 3)...)
		srv.Up()
		s.ExpectReconnect(-1)
		srv.ExpectExactlyOnce(s)
	})
	lines := strings.Split(serverURL.ReplaceAllString(failed.text(), "URL"), "\n")
	require.Len(t, lines, 12, failed.text())
	for i, wanted := range []string{
		`^ssetest: GET URL/post: wanted every event exactly once, but of 3 events that the endpoint has published$`,
		`^lost: 1 event:$`,
		`^  message 3 id=3$`,
		`^taken from the stream: 2 events:$`,
		`^  message 1 id=1$`,
		`^  message 2 id=2$`,
		`^open streams of URL: 1$`,
		`^  GET /post HTTP/2.0 Last-Event-ID: "2" \(stream 2\), open for [\d.]+[mµ]?s, 0 events sent$`,
		`^published to /post while nobody was subscribed: 1 event$`,
		`^notes of URL: 1$`,
		`^  GET /post HTTP/2.0 Last-Event-ID: "2" \(stream 2\): topic /post has no event with that ID in its history; nothing is sent again$`,
		`^$`,
	} {
		assert.Regexp(t, wanted, lines[i])
	}
}
