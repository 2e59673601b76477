package ssetest

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveInBubble has requests served one after the other, without a network, and returns the server's transcript.
func serveInBubble(t *testing.T, prepare func(s *Server), targets ...string) *Transcript {
	t.Helper()
	s, err := newServer(nil, t)
	require.NoError(t, err)
	prepare(s)
	for _, target := range targets {
		method, target, _ := strings.Cut(target, " ")
		r := httptest.NewRequestWithContext(s.base, method, target, nil)
		r.Header.Set("Last-Event-ID", r.URL.Query().Get("after"))
		func() {
			defer func() { _ = recover() }() // a stream that is broken off
			s.handler().ServeHTTP(httptest.NewRecorder(), r)
		}()
	}
	transcript := s.Transcript()
	s.cancel()
	return transcript
}

// TestTranscriptOfAServer has the text form and the timeline of three streams, to the letter.
func TestTranscriptOfAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transcript := serveInBubble(t, func(s *Server) {
			s.Script("GET /feed",
				Script{
					Event{ID: "1", Data: "one"},
					Wait(2 * time.Second), Comment("keep-alive"), Raw("retry: 5000\n\n"), Split(3), Raw("data: two\r\n\r\n"),
					Wait(1500 * time.Microsecond), Raw("data: ha"), Wait(time.Hour), Raw("lf\n"), Abort(),
				},
				Script{Response{Delay: time.Second, Status: 503, Body: "busy"}},
			)
		}, "GET /feed?token=x1&a=b", "GET /feed?after=1", "HEAD /nowhere")
		text, err := transcript.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, `:@ +0s open GET /feed?token=REDACTED&a=b
data: one
id: 1

:@ wait 2s
: keep-alive
retry: 5000

data: two\r
\r
:@ wait 2ms
:@ raw "data: ha"
:@ wait 1h0m0s
:@ raw "lf\n"
:@ abort

:@ +1h0m2.002s open GET /feed?after=1 Last-Event-ID: "1"
:@ response 503
:@ header Content-Type: text/plain; charset=utf-8
:@ delay 1s
:@ body "busy"
:@ end

:@ +1h0m3.002s open HEAD /nowhere
:@ response 404
:@ header Content-Type: text/plain; charset=utf-8
:@ header X-Content-Type-Options: nosniff
:@ end

`, strings.ReplaceAll(string(text), "\r\n", "\\r\n"))
		assert.Equal(t, `       +0s  stream 1  GET /feed?token=REDACTED&a=b
       +0s  stream 1    message one id=1
       +2s  stream 1    : keep-alive
       +2s  stream 1    retry=5s
       +2s  stream 1    message two
+1h0m2.0015s  stream 1    an unfinished event
+1h0m2.0015s  stream 1  abort: the stream is broken off
+1h0m2.0015s  stream 2  GET /feed?after=1 Last-Event-ID: "1"
+1h0m3.0015s  stream 2  response 503
+1h0m3.0015s  stream 2  body "busy"
+1h0m3.0015s  stream 2  end: the stream has ended
+1h0m3.0015s  stream 3  HEAD /nowhere
+1h0m3.0015s  stream 3  response 404
+1h0m3.0015s  stream 3  end: the stream has ended
`, transcript.String())
	})
}

// TestScriptsOfATranscriptKeepTime has what was served served again, from its transcript.
func TestScriptsOfATranscriptKeepTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := Script{Data("1"), Wait(2 * time.Second), Raw("data: 2"), Wait(3 * time.Millisecond), Raw("\n\n"), Wait(time.Hour), Abort()}
		first := serveInBubble(t, func(s *Server) { s.Script("GET /feed", script) }, "GET /feed")
		scripts := first.Scripts()
		require.Len(t, scripts, 1)
		second := serveInBubble(t, func(s *Server) { s.Script("GET /feed", scripts...) }, "GET /feed")
		assert.Equal(t, first.String(), second.String())
		assert.Equal(t, first.sent(1), second.sent(1))
		begin := time.Now()
		fast := serveInBubble(t, func(s *Server) { s.Script("GET /feed", scripts[0].NoWaits()) }, "GET /feed")
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, "data: 1\n\ndata: 2\n\n", fast.sent(1))
		assert.Equal(t, Script{Response{Status: 500}, Data("x")}, Script{Response{Status: 500, Delay: 1}, Data("x"), Wait(1)}.NoWaits())
	})
}

// sent is what was sent on a stream.
func (t *Transcript) sent(stream int) string {
	var b strings.Builder
	for _, e := range t.entries {
		if e.stream == stream && e.kind == entrySent {
			b.WriteString(e.text)
		}
	}
	return b.String()
}

func TestTranscriptsAreBounded(t *testing.T) {
	l := newTranscriptLog()
	l.most = 10_000
	for range 100 {
		l.add(1, entryAsked, "GET /feed")
		l.sent(1, []byte("data: x\n\n"))
	}
	transcript := l.transcript()
	assert.LessOrEqual(t, len(transcript.entries)*entryOverhead, l.most)
	assert.Greater(t, len(transcript.entries), 80)
	assert.Equal(t, 200, len(transcript.entries)+transcript.dropped)
	assert.True(t, strings.HasPrefix(transcript.String(), "… what was before has been dropped: "))
	l.sent(2, make([]byte, 20_000))
	transcript = l.transcript()
	require.Len(t, transcript.entries, 1)
	assert.Len(t, transcript.entries[0].text, 10_000)
	assert.True(t, transcript.incomplete())
	text, err := transcript.MarshalText()
	require.NoError(t, err)
	assert.Contains(t, string(text), "open\n: the beginning of this stream is not in the transcript\n")
	assert.NotPanics(t, func() { transcript.Scripts() })

	// Whatever has been dropped, there is a text.
	for most := range 12 {
		l := newTranscriptLog()
		l.most = most * (entryOverhead + 10)
		for range 3 {
			l.add(1, entryAsked, "POST /post")
			l.add(1, entryAnswered, ":@ response 303\n")
			l.add(1, entryAnswered, ":@ body \"x\"\n")
			l.add(1, entryEnded, "end\twhy")
		}
		assert.NotPanics(t, func() { l.transcript().Scripts() })
	}

	// A stream that has lost its beginning is still known by its request, until it has lost its end.
	l = newTranscriptLog()
	l.most = 1000
	for stream, path := range map[int]string{1: "/ended", 2: "/open"} {
		l.ask(stream, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}}, "GET "+path)
	}
	l.add(1, entryEnded, "end\tas it was told")
	for range 20 {
		l.sent(2, []byte("data: x\n\n"))
	}
	var known []string
	l.transcript().Only(func(method, path string) bool {
		known = append(known, method+" "+path)
		return true
	})
	assert.Equal(t, []string{"GET /open"}, known)
	assert.Len(t, l.asked, 1)

	var none *transcriptLog
	none.ask(1, nil, "x")
	none.add(1, entryAsked, "x")
	none.sent(1, []byte("x"))
	assert.Empty(t, none.transcript().String())
	assert.Empty(t, none.transcript().Scripts())
}

// FuzzTranscript has bytes written in two pieces, with or without time in between: what is read back is the same bytes and the same time.
func FuzzTranscript(f *testing.F) {
	for _, s := range []string{"data: 1\n\n", "\r", "\n", "\r\n", ":@ end\n", "\ufeffdata: x\n", "a\x00b\n", "data", "\xff\r\r\n", ":", "@"} {
		f.Add(s, "data: 2\r\n\r\n", uint16(3))
		f.Add(s, s, uint16(0))
	}
	f.Fuzz(func(t *testing.T, first, second string, ms uint16) {
		l := newTranscriptLog()
		l.add(1, entryAsked, "GET /feed")
		l.sent(1, []byte(first))
		l.sent(1, []byte(second))
		l.add(1, entryEnded, "abort\twhy")
		transcript := l.transcript()
		for i := range transcript.entries {
			transcript.entries[i].at = 0
			if transcript.entries[i].text == second && i == len(transcript.entries)-2 || i == len(transcript.entries)-1 {
				transcript.entries[i].at = time.Duration(ms) * time.Millisecond
			}
		}
		scripts := transcript.Scripts()
		require.Len(t, scripts, 1)
		var sent []byte
		var waited time.Duration
		for _, step := range scripts[0] {
			sent = append(sent, wire(step)...)
			if w, ok := step.(wait); ok {
				waited += time.Duration(w)
			}
		}
		assert.Equal(t, first+second, string(sent))
		assert.Equal(t, time.Duration(ms)*time.Millisecond, waited)
		assert.Equal(t, Abort(), scripts[0][len(scripts[0])-1])
	})
}

func TestRedactedTargets(t *testing.T) {
	for target, wanted := range map[string]string{
		"/":                              "/",
		"/feed?a=b&c":                    "/feed?a=b&c",
		"/feed?api_key=1&x=2":            "/feed?api_key=REDACTED&x=2",
		"/feed?acc%65ss_token=1":         "/feed?acc%65ss_token=REDACTED",
		"/feed?q=Bearer%20abc":           "/feed?q=REDACTED",
		"/feed?q=eyJhbGciOiJIUz.eyJzdWI": "/feed?q=REDACTED",
		"/feed?%zz=1&password=2":         "/feed?%zz=1&password=REDACTED",
		"/feed?pass=1;token=2&to%6ben=%7&ticket=3":  "/feed?pass=REDACTED;token=REDACTED&to%6ben=REDACTED&ticket=REDACTED",
		"/feed?sk-abcdefghijklmnopq&x":              "/feed?REDACTED&x",
		"/feed?next=https%3A%2F%2Fh%2F%3Ftoken%3Dx": "/feed?next=REDACTED",
		"/feed?passenger=1&barcode=2&keyword=3":     "/feed?passenger=1&barcode=2&keyword=3",
		"/a%2Fb?monkey=1":                           "/a%2Fb?monkey=1",
		"/feed/eyJhbGciOiJIUz.eyJzdWI/next":         "/feed/REDACTED/next",
		"/feed;jsessionid=1;v=2":                    "/feed;jsessionid=REDACTED;v=2",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		u := *r.URL
		u.RawQuery = ""
		path, query, _ := strings.Cut(target, "?")
		u.Path, u.RawPath = strings.ReplaceAll(path, "%2F", "/"), path
		u.RawQuery = query
		assert.Equal(t, wanted, redactTarget(&u), target)
	}
}

// TestPlainPathsHaveNoCredential has whatever a credential can begin with in paths that are not looked through.
func TestPlainPathsHaveNoCredential(t *testing.T) {
	const longest = "0123456789abcdef0123456789"
	for _, begin := range []string{"/", "//", "/eyj", "/a/eyj", "/sk", "/pk", "/ghp", "/xoxb", "/akia", "/bearer", "/basic", "/0"} {
		for n := range len(longest) {
			path := begin + longest[:n]
			if isPlainPath(path) {
				assert.False(t, credentialValue.MatchString(path), path)
				assert.Equal(t, path, redactPairs(path))
			}
		}
	}
	for _, path := range []string{"", "/a=b", "/a@b", "/eyj.a", "/a%20b", "/a b", "/a-b", "/123456789012"} {
		assert.False(t, isPlainPath(path), path)
	}
	assert.True(t, isPlainPath("/12345678901"))
	assert.Equal(t, "/a%2Fb", redactTarget(&url.URL{Path: "/a/b", RawPath: "/a%2Fb"}), "as it was asked for")
}

func TestRecordedHeader(t *testing.T) {
	assert.Equal(t, `:@ header Authorization: REDACTED
:@ header Cache-Control: no-store
:@ header Content-Type: text/event-stream
:@ header Link: <https://h/?page=2&access_token=REDACTED>; rel="next"
:@ header Refresh: 5; url=https://REDACTED@h/x
:@ header Set-Cookie: REDACTED
:@ header Set-Cookie: REDACTED
:@ header X-Any: REDACTED
:@ header X-Api-Key: REDACTED
:@ header X-Lines: a  :@ abort
:@ header X-Request-Id: 85954420-66e1-4933-ab28-18d3d6a86355
`, strings.Join(recordedHeader(http.Header{
		"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-store"}, "Set-Cookie": {"a=1", "b=2"}, "Authorization": {"x"}, "X-Api-Key": {"y"},
		"Link": {`<https://h/?page=2&access_token=x>; rel="next"`}, "Refresh": {"5; url=https://u:p@h/x"},
		"X-Any": {"sk-abcdefghijklmnop"}, "X-Request-Id": {"85954420-66e1-4933-ab28-18d3d6a86355"}, "Date": {"now"}, "Content-Length": {"3"}, "X-Lines": {"a\r\n:@ abort"},
		"Access-Control-Allow-Origin": {"https://app.example"}, "Access-Control-Allow-Credentials": {"true"},
	}), ""))
}

// TestNothingStandsBehindNoContent has time go by behind a response that has no body, where no step can stand.
func TestNothingStandsBehindNoContent(t *testing.T) {
	for _, status := range []string{"204", "304"} {
		l := newTranscriptLog()
		l.add(1, entryAsked, "GET /feed")
		l.add(1, entryAnswered, ":@ response "+status+"\n")
		l.add(1, entryEnded, "abort\twhy")
		transcript := l.transcript()
		transcript.entries[1].at, transcript.entries[2].at = time.Second, time.Minute
		text, err := transcript.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, ":@ +0s open GET /feed\n:@ response "+status+"\n:@ delay 1s\n:@ end\n\n", string(text))
		assert.Len(t, transcript.Scripts()[0], 2)
	}
}

// TestEveryStateOfAnAnswerHasAText also where a response without a body has not ended yet.
func TestEveryStateOfAnAnswerHasAText(t *testing.T) {
	l := newTranscriptLog()
	l.add(1, entryAsked, "GET /feed")
	l.add(1, entryAnswered, ":@ response 204\n")
	assert.Equal(t, Script{Response{Status: 204}, End()}, l.transcript().Scripts()[0])
}

// TestLongTargetsCostLittle, whatever there is to find in them.
func TestLongTargetsCostLittle(t *testing.T) {
	u := &url.URL{Path: "/feed", RawQuery: strings.Repeat("a=http://u:p@h/?x=y;", 50_000)}
	assert.Less(t, len(redactTarget(u)), 8<<10)
}

// TestBodiesOfAnswers quote what was asked, and no credentials.
func TestBodiesOfAnswers(t *testing.T) {
	for body, want := range map[string]string{
		`<a href="/sse?token=S3CRET">`:          `:@ body "<a href=\"/sse?token=REDACTED\">"`,
		"the Content-Type is x/y; token=S3CRET": `:@ body "the Content-Type is x/y; token=REDACTED"`,
		`{"a":"b=c"}`:                           `:@ body "{\"a\":\"b=c\"}"`,
	} {
		assert.Equal(t, want+"\n", bodyText([]byte(body)))
	}
}

// TestLettersLookBack so far and no further: a client could have all letters that were ever sent be made again, for every request.
func TestLettersLookBack(t *testing.T) {
	s, err := newServer(&Config{Network: InMemory}, nil)
	require.NoError(t, err)
	defer s.cancel()
	s.letters.top = maxLookBack + 10
	assert.Equal(t, 11, s.letters.after(&exchange{srv: s}, s.letterID(10)))
	assert.Equal(t, 0, s.letters.after(&exchange{srv: s}, s.letterID(9)))
}
