package ssetest_test

import (
	"bufio"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// readBody reads a response to its end, and closes it.
func readBody(t *testing.T, r *http.Response) string {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(text)
}

func TestScriptOnTheWire(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{
			ssetest.Data("one"),
			ssetest.Comment("keep\nalive"),
			ssetest.Raw("data: half"),
			ssetest.Raw("\n\n"),
			ssetest.Wait(0),
			ssetest.Split(3),
			ssetest.Event{Type: "x", Data: "two", ID: "7", Retry: time.Second},
			ssetest.Cut(ssetest.Data("never whole"), 9),
		})
		for range 3 { // it serves every request
			response := get(t, srv, "/feed")
			assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
			assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
			assert.Equal(t, "data: one\n\n: keep\n: alive\ndata: half\n\nevent: x\ndata: two\nid: 7\nretry: 1000\n\ndata: nev", readBody(t, response))
		}
	})
}

func TestScriptsAreUsedUp(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1")}, ssetest.Script{ssetest.Data("2")})
		for _, method := range []string{"HEAD", "HEAD", "POST"} { // which use up none
			request(t, srv, method, "/feed")
		}
		srv.Open(t, "/feed", nil).ExpectData("1")
		srv.Open(t, "/feed", nil).ExpectData("2")
		for range 2 {
			response, text := request(t, srv, "GET", "/feed")
			assert.Equal(t, http.StatusNoContent, response.StatusCode)
			assert.Empty(t, text)
		}
		response, _ := request(t, srv, "HEAD", "/feed")
		assert.Equal(t, http.StatusNoContent, response.StatusCode)
	})
}

func TestUsedUpScriptsAreNoted(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		srv.Script("GET /feed", ssetest.Script{}, ssetest.Script{})
		srv.Open(t, "/feed", nil).ExpectEnd()
		srv.Open(t, "/feed", nil).ExpectEnd()
		srv.Open(t, "/feed", nil)
	})
	assert.Contains(t, failed.text(), "status 204")
	assert.Contains(t, failed.text(), "GET /feed HTTP/2.0 (stream 3): answered 204, since the scripts are used up")
}

// TestEachScriptServesOneStream has many clients that ask at once.
func TestEachScriptServesOneStream(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		const n = 50
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		scripts := make([]ssetest.Script, n)
		for i := range scripts {
			scripts[i] = ssetest.Script{ssetest.JSON(i)}
		}
		srv.Script("GET /feed", scripts...)
		var mu sync.Mutex
		seen := make(map[string]int)
		var clients sync.WaitGroup
		for range n + 10 {
			clients.Go(func() {
				response, err := srv.Client().Get(srv.URL + "/feed")
				if !assert.NoError(t, err) { //nolint:testifylint // not in the test's own goroutine
					return
				}
				defer func() { _ = response.Body.Close() }()
				text, err := io.ReadAll(response.Body)
				assert.NoError(t, err) //nolint:testifylint // not in the test's own goroutine
				mu.Lock()
				seen[string(text)]++
				mu.Unlock()
			})
		}
		clients.Wait()
		assert.Equal(t, 10, seen[""], "answers without a script")
		delete(seen, "")
		assert.Len(t, seen, n)
	})
}

func TestHeadAndOptionsUseUpNoScript(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("/feed",
			ssetest.Script{ssetest.Response{Status: 429, Header: http.Header{"Retry-After": {"1"}}, Body: "later"}},
			ssetest.Script{ssetest.Data("1")})
		for range 2 {
			response, text := request(t, srv, "HEAD", "/feed")
			assert.Equal(t, 429, response.StatusCode)
			assert.Equal(t, "1", response.Header.Get("Retry-After"))
			assert.Empty(t, text)
			response, _ = request(t, srv, "OPTIONS", "/feed")
			assert.Equal(t, http.StatusNoContent, response.StatusCode)
		}
		response, text := request(t, srv, "GET", "/feed")
		assert.Equal(t, 429, response.StatusCode)
		assert.Equal(t, "later", text)
		response, text = request(t, srv, "HEAD", "/feed")
		assert.Equal(t, 200, response.StatusCode)
		assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
		assert.Empty(t, text)
		srv.Open(t, "/feed", nil).ExpectData("1")
	})
}

func TestResponses(t *testing.T) {
	for name, c := range map[string]struct {
		script ssetest.Script
		status int
		header map[string]string
		body   string
	}{
		"nothing": {ssetest.Script{}, 200, map[string]string{"Content-Type": "text/event-stream"}, ""},
		"zero":    {ssetest.Script{ssetest.Response{}}, 200, map[string]string{"Content-Type": "text/event-stream"}, ""},
		"header and events": {
			ssetest.Script{ssetest.Response{Header: http.Header{"x-mine": {"1"}, "Content-Type": {"text/event-stream; charset=utf-8"}}}, ssetest.Data("x")},
			200,
			map[string]string{"X-Mine": "1", "Content-Type": "text/event-stream; charset=utf-8"},
			"data: x\n\n",
		},
		"body and events": {ssetest.Script{ssetest.Response{Body: ": hello\n"}, ssetest.Data("x")}, 200, nil, ": hello\ndata: x\n\n"},
		"error": {
			ssetest.Script{ssetest.Response{Status: 503, Body: "busy"}},
			503,
			map[string]string{"Content-Type": "text/plain; charset=utf-8", "Content-Length": "4"},
			"busy",
		},
		"error and End": {ssetest.Script{ssetest.Response{Status: 500, Body: "x"}, ssetest.End()}, 500, map[string]string{"Content-Length": "1"}, "x"},
		"JSON": {
			ssetest.Script{ssetest.Response{Status: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: "{}"}},
			400,
			map[string]string{"Content-Type": "application/json"},
			"{}",
		},
		"no content": {ssetest.Script{ssetest.Response{Status: 204}}, 204, nil, ""},
		"redirect":   {ssetest.Script{ssetest.Response{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}}}, 307, map[string]string{"Location": "/elsewhere"}, ""},
		"an error's body that goes on": {
			ssetest.Script{ssetest.Response{Status: 500, Body: "a"}, ssetest.Raw("b")}, 500, nil, "ab",
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
				srv.Script("GET /feed", c.script)
				client := *srv.Client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				response, err := client.Get(srv.URL + "/feed")
				require.NoError(t, err)
				assert.Equal(t, c.body, readBody(t, response))
				assert.Equal(t, c.status, response.StatusCode)
				for name, value := range c.header {
					assert.Equal(t, value, response.Header.Get(name), name)
				}
			})
		})
	}
}

func TestHeadersGoOutAtOnce(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /hold", ssetest.Script{ssetest.Hold()})
		srv.Script("GET /wait", ssetest.Script{ssetest.Wait(time.Hour)})
		srv.Script("GET /said", ssetest.Script{ssetest.Response{}, ssetest.Hold()})
		var streams []*ssetest.Stream
		for _, path := range []string{"/hold", "/wait", "/said"} {
			streams = append(streams, srv.Open(t, path, nil)) // returns when they are there
		}
		closeAtOnce(t, srv)
		for _, s := range streams {
			s.ExpectEnd()
		}
	})
}

// TestScriptsAnswerAnyMethod is how the models are asked.
func TestScriptsAnswerAnyMethod(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, MaxBodyBytes: 100_000})
		srv.Script("POST /v1/{kind}/completions", ssetest.Script{ssetest.Data("Hel"), ssetest.Data("lo"), ssetest.Data("[DONE]")})
		stream := srv.Open(t, "/v1/chat/completions", &ssetest.OpenConfig{Method: "POST", Body: []byte(`{"stream":true}`)})
		stream.ExpectData("Hel", "lo", "[DONE]")
		stream.ExpectEnd()
		assert.JSONEq(t, `{"stream":true}`, srv.Requests()[0].Body)

		status, text := post(t, srv, "/v1/chat/completions", "application/json", strings.Repeat("x", 100_001))
		assert.Equal(t, http.StatusRequestEntityTooLarge, status)
		assert.Contains(t, text, "the body is larger than Config.MaxBodyBytes, which is 100000 bytes")
	})
}

// TestAClientThatLeavesIsSeenWhateverItHasSent has requests with bodies, behind which net/http sees nothing until they are read.
func TestAClientThatLeavesIsSeenWhateverItHasSent(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		feed := srv.Feed("/feed")
		for _, method := range []string{"GET", "POST"} {
			stream := srv.Open(t, "/feed", &ssetest.OpenConfig{Method: method, Body: make([]byte, 1<<20)})
			s := feed.Accept(t)
			stream.Close()
			s.AwaitGone()
		}
	})
}

func TestScriptsComeBeforeTheBuiltInEndpoints(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /sse", ssetest.Script{ssetest.Data("mine")})
		srv.Script("POST /post", ssetest.Script{ssetest.Response{Status: 418}})
		stream := srv.Open(t, "/sse", nil)
		stream.ExpectData("mine")
		stream.ExpectEnd()
		status, _ := post(t, srv, "/post", "application/json", "1")
		assert.Equal(t, 418, status)
		srv.Open(t, "/post", nil) // is still the topic
	})
}

// TestScriptsAreCopied changes what was given.
func TestScriptsAreCopied(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	header := http.Header{"X-Mine": {"1"}}
	script := ssetest.Script{ssetest.Response{Header: header}, ssetest.Data("1")}
	srv.Script("GET /feed", script)
	header["X-Mine"][0] = "2"
	script[1] = ssetest.Data("2")
	response := get(t, srv, "/feed")
	assert.Equal(t, "1", response.Header.Get("X-Mine"))
	assert.Equal(t, "data: 1\n\n", readBody(t, response))
}

// TestSplitSendsPieces looks at the wire: each piece is a chunk, or a DATA frame.
func TestSplitSendsPieces(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		wire := "data: " + strings.Repeat("x", 12) + "\n\n"
		srv.Script("GET /feed", ssetest.Script{
			ssetest.Data("1"), ssetest.Split(7), ssetest.Raw(wire), ssetest.Split(1000), ssetest.Raw(wire), ssetest.Data("2"),
		})
		pieces := []string{"data: 1\n\n", "data: x", "xxxxxxx", "xxxx\n\n", wire, "data: 2\n\n"}
		conn := dialRaw(t, srv)
		defer func() { _ = conn.Close() }()
		require.NoError(t, startStream(conn, p, "/feed"))
		assert.Equal(t, pieces, readPieces(t, conn, p, len(pieces)))
	})
}

// readPieces reads so many DATA frames, or chunks, of the response to startStream.
func readPieces(t *testing.T, conn io.Reader, p ssetest.Protocol, n int) []string {
	t.Helper()
	var pieces []string
	if p == ssetest.HTTP2 || p == ssetest.H2C {
		frames := http2.NewFramer(io.Discard, conn)
		for len(pieces) < n {
			frame, err := frames.ReadFrame()
			require.NoError(t, err)
			if data, ok := frame.(*http2.DataFrame); ok {
				pieces = append(pieces, string(data.Data()))
			}
		}
		return pieces
	}
	lines := bufio.NewReader(conn)
	for { // the header
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if line == "\r\n" {
			break
		}
	}
	for len(pieces) < n {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		require.NoError(t, err)
		chunk := make([]byte, size+2) // and its line end
		_, err = io.ReadFull(lines, chunk)
		require.NoError(t, err)
		pieces = append(pieces, string(chunk[:size]))
	}
	return pieces
}

func TestStepsArePlainValues(t *testing.T) {
	event := ssetest.Event{Type: "x", Data: "y"}
	for text, make := range map[string]func() ssetest.Step{
		"x y":                          func() ssetest.Step { return event },
		"Wait(2s)":                     func() ssetest.Step { return ssetest.Wait(2 * time.Second) },
		`Comment("a\nb")`:              func() ssetest.Step { return ssetest.Comment("a\nb") },
		`Raw("data: x\n")`:             func() ssetest.Step { return ssetest.Raw("data: x\n") },
		`Split(3)`:                     func() ssetest.Step { return ssetest.Split(3) },
		`Cut(x y, 4)`:                  func() ssetest.Step { return ssetest.Cut(event, 4) },
		"End()":                        ssetest.End,
		"Abort()":                      ssetest.Abort,
		"ResetStream(REFUSED_STREAM)":  func() ssetest.Step { return ssetest.ResetStream(http2.ErrCodeRefusedStream) },
		"GoAway(ENHANCE_YOUR_CALM)":    func() ssetest.Step { return ssetest.GoAway(http2.ErrCodeEnhanceYourCalm) },
		"ResetConn()":                  ssetest.ResetConn,
		"Stall()":                      ssetest.Stall,
		"Hold()":                       ssetest.Hold,
		"Response 200":                 func() ssetest.Step { return ssetest.Response{} },
		`Response 503 after 1s "busy"`: func() ssetest.Step { return ssetest.Response{Status: 503, Delay: time.Second, Body: "busy"} },
		"Response 429 with 1 header field": func() ssetest.Step {
			return ssetest.Response{Status: 429, Header: http.Header{"Retry-After": {"1"}}}
		},
		`Raw("` + strings.Repeat("x", 60) + `"… (61 bytes))`: func() ssetest.Step { return ssetest.Raw(strings.Repeat("x", 61)) },
	} {
		assert.Equal(t, text, make().String())
		assert.True(t, reflect.DeepEqual(make(), make()), text)
	}
	assert.NotEqual(t, ssetest.Wait(1), ssetest.Wait(2))
	assert.NotEqual(t, ssetest.GoAway(1), ssetest.ResetStream(1))
}

// panicText is what f panics with.
func panicText(f func()) (text string) {
	defer func() {
		text, _ = recover().(string)
	}()
	f()
	return ""
}

func TestBadScriptsPanic(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Script("GET /taken", ssetest.Script{})
	srv.Topic("/topic")
	one := ssetest.Data("1")
	for text, f := range map[string]func(){
		`ssetest: Script("GET /x"): there is no script`:                                func() { srv.Script("GET /x") },
		`ssetest: Script("GET /x"): step 1, Wait(-1ns): the time must not be negative`: func() { srv.Script("GET /x", ssetest.Script{ssetest.Wait(-1)}) },
		`ssetest: Script("GET /x"): step 2, Split(0): the size of a piece must be positive`: func() {
			srv.Script("GET /x", ssetest.Script{one, ssetest.Split(0)})
		},
		`ssetest: Script("GET /x"): script 2, step 2, message 1: nothing can follow End()`: func() {
			srv.Script("GET /x", ssetest.Script{one}, ssetest.Script{ssetest.End(), one})
		},
		`ssetest: Script("GET /x"): step 3, Abort(): nothing can follow ResetStream(CANCEL)`: func() {
			srv.Script("GET /x", ssetest.Script{one, ssetest.ResetStream(http2.ErrCodeCancel), ssetest.Abort()})
		},
		`ssetest: Script("GET /x"): step 2, Comment("x"): nothing can follow Hold()`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Hold(), ssetest.Comment("x")})
		},
		`ssetest: Script("GET /x"): step 2, Response 200: a Response can only be the first step`: func() {
			srv.Script("GET /x", ssetest.Script{one, ssetest.Response{}})
		},
		`ssetest: Script("GET /x"): step 1, Response 99: the status must be 200 to 999`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Response{Status: 99}})
		},
		`ssetest: Script("GET /x"): step 1, Response 204 "x": a response with status 204 has no body`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Response{Status: 204, Body: "x"}})
		},
		`ssetest: Script("GET /x"): step 2, message 1: nothing but End() can follow a response with status 304, which has no body`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Response{Status: 304}, one})
		},
		`ssetest: Script("GET /x"): step 1, Response 200 after -1s: the delay must not be negative`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Response{Delay: -time.Second}})
		},
		`ssetest: Script("GET /x"): step 1, Response 200 with 1 header field: "A B" can't be the name of a header field`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Response{Header: http.Header{"A B": {"x"}}}})
		},
		`ssetest: Script("GET /x"): step 1, Response 200 with 1 header field: the header field A can't have the value "x\ny"`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Response{Header: http.Header{"A": {"x\ny"}}}})
		},
		`ssetest: Script("GET /x"): step 1, message 1 id="a\nb": the event's ID has a line end: "a\nb"`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Event{Data: "1", ID: "a\nb"}})
		},
		`ssetest: Script("GET /x"): step 1, Cut(message 1, -1): the number of bytes must not be negative`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Cut(one, -1)})
		},
		`ssetest: Script("GET /x"): step 1, Cut(message 1, 10): the event has only 9 bytes`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Cut(one, 10)})
		},
		`ssetest: Script("GET /x"): step 1, Cut(message 1 retry=-1s, 1): the event's Retry is negative: -1s`: func() {
			srv.Script("GET /x", ssetest.Script{ssetest.Cut(ssetest.Event{Data: "1", Retry: -time.Second}, 1)})
		},
		`ssetest: Script("GET /x"): step 2, nil: there is no step`: func() { srv.Script("GET /x", ssetest.Script{one, nil}) },
		`ssetest: Script("GET /x"): step 1, message 1: it must be given as a value, not by a pointer`: func() {
			srv.Script("GET /x", ssetest.Script{&one})
		},
		`ssetest: Script("GET"): parsing "GET": at offset 0: host/path missing /`: func() { srv.Script("GET", ssetest.Script{}) },
		"ssetest: Script(\"GET /taken\"): pattern \"GET /taken\" conflicts with pattern \"GET /taken\":\nGET /taken matches the same requests as GET /taken": func() {
			srv.Script("GET /taken", ssetest.Script{})
		},
		"ssetest: Feed(\"GET /topic\"): pattern \"GET /topic\" conflicts with pattern \"GET /topic\":\nGET /topic matches the same requests as GET /topic": func() {
			srv.Feed("GET /topic")
		},
		`ssetest: Feed("HEAD /x"): a request with that method gets no stream`:                   func() { srv.Feed("HEAD /x") },
		`ssetest: Topic("/taken"): there is a handler, script or feed for "GET /taken" already`: func() { srv.Topic("/taken") },
		`ssetest: Chaos: Abort is 1.1; a probability must be 0 to 1`:                            func() { srv.Chaos(ssetest.Chaos{Abort: 1.1}) },
		`ssetest: Chaos: Split is NaN; a probability must be 0 to 1`:                            func() { srv.Chaos(ssetest.Chaos{Split: math.NaN()}) },
		`ssetest: Chaos: Abort and Reset together is 1.2; a probability must be 0 to 1`: func() {
			srv.Chaos(ssetest.Chaos{Abort: 0.6, Reset: 0.6})
		},
		`ssetest: Chaos: Delay must not be negative`: func() { srv.Chaos(ssetest.Chaos{Delay: -1}) },
	} {
		assert.Equal(t, text, panicText(f))
	}
	srv.Script("GET /x", ssetest.Script{one}) // nothing has been left of all that
	srv.Open(t, "/x", nil).ExpectData("1")
}

func TestTooManyRequestsThenSuccess(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed",
			ssetest.Script{ssetest.Response{Status: http.StatusTooManyRequests, Header: http.Header{"retry-after": {"7"}}, Body: "slowly"}},
			ssetest.Script{ssetest.Data("at last")},
		)
		_, err := ssetest.Dial(t.Context(), srv.URL+"/feed", &ssetest.OpenConfig{Client: srv.Client()})
		var refused *ssetest.ResponseError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, http.StatusTooManyRequests, refused.StatusCode)
		assert.Equal(t, "7", refused.Header.Get("Retry-After"))
		assert.Equal(t, "slowly", string(refused.Body))
		s := srv.Open(t, "/feed", nil)
		s.ExpectData("at last")
		s.ExpectEnd()
	})
}

// TestAContentLengthThatIsTooSmall ends the stream, and holds nobody up.
func TestAContentLengthThatIsTooSmall(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Response{Header: http.Header{"Content-Length": {"5"}}}, ssetest.Data("too long"), ssetest.Hold()})
		response, err := srv.Client().Get(srv.URL + "/feed")
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		_, err = io.ReadAll(response.Body)
		require.Error(t, err, "what was announced has not come")
		srv.AwaitStreams(t, "/feed", 0)
	})
}
