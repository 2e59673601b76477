package ssetest_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// withoutTimes is the text form of a transcript without the times in it.
func withoutTimes(t *testing.T, transcript *ssetest.Transcript) string {
	t.Helper()
	return ssetest.Untimed(transcript)
}

// TestClientsSeeTheEndingInTheirTranscript has every ending, and serves it again from the client's transcript: the client sees the same.
func TestClientsSeeTheEndingInTheirTranscript(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, c := range allEndings {
			if c.then != nil {
				continue // nothing that the server sends
			}
			name := fmt.Sprint(c.steps)
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Script("GET /feed", append(ssetest.Script{ssetest.Data("one"), ssetest.Raw("data: tw")}, c.steps...))
			view := func(path string) (string, error) {
				stream := srv.Open(t, path, nil)
				stream.ExpectData("one")
				var ended error
				for _, end := range []error{io.EOF, ssetest.ErrStreamAborted, ssetest.ErrConnectionReset, ssetest.ErrGoneAway} {
					if !attempt(t, func(tb testing.TB) { rebind(stream, tb).ExpectError(end) }).Failed() {
						ended = end
					}
				}
				return withoutTimes(t, stream.Transcript()), ended
			}
			text, err := view("/feed")
			require.Error(t, err, name)
			scripts, parseErr := ssetest.ParseScripts(strings.NewReader(text))
			require.NoError(t, parseErr, text)
			srv.Script("GET /again", scripts...)
			again, err2 := view("/again")
			assert.Equal(t, strings.Replace(text, "/feed", "/again", 1), again, name)
			assert.Equal(t, err, err2, name)
			assert.Contains(t, text, ":@ open GET /feed\ndata: one\n\n:@ raw \"data: tw\"\n:@ ", name)
		}
	})
}

// takeAll takes all events of a stream, to its end.
func takeAll(t *testing.T, stream *ssetest.Stream) {
	t.Helper()
	failed := attempt(t, func(tb testing.TB) { rebind(stream, tb).Take(1 << 20) })
	require.Contains(t, failed.text(), "but the stream ")
}

// TestReplayOfChaosIsTheClientsView has a client come back through chaos, and serves what it has seen again, with no chaos: it sees the same bytes.
func TestReplayOfChaosIsTheClientsView(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		cfg := &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1}
		chaotic := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		script := ssetest.Script{ssetest.Event{ID: "1", Data: "a\nb"}, ssetest.Comment("x"), ssetest.Raw("id: 2\r\ndata: c\r\n\r\n"), ssetest.Event{ID: "3", Data: "d"}}
		chaotic.Script("GET /feed", script, script, script, script, script, script, script, script)
		chaotic.Chaos(ssetest.Chaos{Seed: 5, Abort: 0.3, Split: 0.3, Duplicate: 0.3})
		first := chaotic.Open(t, "/feed", cfg)
		takeAll(t, first)

		path := filepath.Join(t.TempDir(), "seen.sse")
		text, err := first.Transcript().MarshalText()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		calm := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		var scripts []ssetest.Script
		for _, s := range ssetest.LoadScripts(t, path) {
			scripts = append(scripts, s.NoWaits())
		}
		assert.Len(t, scripts, 9, "eight streams, and 204")
		calm.Script("GET /feed", scripts...)
		second := calm.Open(t, "/feed", cfg)
		takeAll(t, second)
		assert.Equal(t, withoutTimes(t, first.Transcript()), withoutTimes(t, second.Transcript()))
		assert.Contains(t, withoutTimes(t, second.Transcript()), ":@ response 204\n:@ end\n")
		assert.Contains(t, withoutTimes(t, second.Transcript()), "open GET /feed Last-Event-ID: \"")
	})
}

// TestTranscriptOfChaos has in the server's what was really sent, and not what the endpoint has written.
func TestTranscriptOfChaos(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Compress: true})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1"), ssetest.Data("2")})
		srv.Chaos(ssetest.Chaos{Duplicate: 1})
		srv.Open(t, "/feed", nil).ExpectData("1", "1", "2", "2")
		srv.AwaitStreams(t, "/feed", 0)
		assert.Equal(t, ":@ open GET /feed\ndata: 1\n\ndata: 1\n\ndata: 2\n\ndata: 2\n\n:@ end\n\n", withoutTimes(t, srv.Transcript()))
		srv.Chaos(ssetest.Chaos{Abort: 1})
		srv.Open(t, "/feed", nil).ExpectError(ssetest.ErrStreamAborted)
		srv.AwaitStreams(t, "/feed", 0)
		assert.Contains(t, srv.Transcript().String(), "abort: the stream is broken off\n")
	})
}

// TestTranscriptSaysWhoEnded has the ends that are not the script's.
func TestTranscriptSaysWhoEnded(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1})
		srv.Open(t, "/sse", nil).Close()
		srv.AwaitStreams(t, "/sse", 0)
		assert.Regexp(t, `stream 1  left: the client has left\n$`, srv.Transcript())
		srv.Open(t, "/post", nil)
		assert.Regexp(t, `stream 2  GET /post\n$`, srv.Transcript())
		assert.Contains(t, withoutTimes(t, srv.Transcript()), ":@ open GET /post\n:@ hold\n", "it is still open")
		status, _ := post(t, srv, "/post", "text/plain", "")
		require.Equal(t, http.StatusSeeOther, status)
		srv.Down()
		assert.Regexp(t, `stream 2  reset-conn: the connection is reset\n`, srv.Transcript())
		assert.Regexp(t, `stream 3  response 303\n`, srv.Transcript())
		srv.Up()
		fresh := &http.Client{Transport: srv.Client().Transport.(*http.Transport).Clone()}
		defer fresh.CloseIdleConnections()
		last := srv.Open(t, "/sse", &ssetest.OpenConfig{Client: fresh})
		srv.Tick(1)
		srv.Close()
		last.Next()
		last.ExpectEnd()
		assert.Regexp(t, `stream 4  end: the server is closed\n$`, srv.Transcript())
		assert.Regexp(t, `stream 1    message \{"msg":"a"\} id=[0-9a-f-]{36} retry=6s\n.*stream 1  end: the stream has ended\n$`, last.Transcript())
	})
}

// TestFailuresShowWhatHappened looks at the logs of a test that has failed.
func TestFailuresShowWhatHappened(t *testing.T) {
	fail := func(many int) *fakeT {
		return attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, nil)
			srv.Script("GET /feed", ssetest.Script{ssetest.Data("one"), ssetest.Raw(strings.Repeat("data: "+strings.Repeat("x", 80)+"\n\n", many))})
			stream := srv.Open(t, "/feed", nil)
			stream.Take(1 + many)
			stream.ExpectEnd()
			srv.Open(t, "/feed", nil).ExpectData("two")
		})
	}
	short := fail(0)
	logs := strings.Join(short.logs, "\n")
	assert.NotContains(t, logs, "timeline of GET", "the client has seen the same")
	assert.Regexp(t, `(?s)ssetest: timeline of https?://[^ /]+:\n.*stream 2  GET /feed\n.*stream 2    message one\n`, logs, "the server's")
	assert.Regexp(t, `ssetest: transcript of https?://[^ /]+, which ParseScripts reads; run the test with -artifacts to keep all of it\n:@ \+\d+m?s open GET /feed\n(:@ wait .*\n)?data: one\n\n:@ `, logs)

	long := fail(100)
	logs = strings.Join(long.logs, "\n")
	assert.Regexp(t, `without 1 earlier stream; run the test with -artifacts to keep all of it\n:@ open\n: the beginning of this stream is not in the transcript\n\n?data: x`, logs)
	assert.Regexp(t, `\n… \d+ earlier lines\n`, logs)
	for _, log := range long.logs {
		if strings.HasPrefix(log, "ssetest: timeline") {
			assert.LessOrEqual(t, strings.Count(log, "\n"), 43)
		}
		assert.Less(t, len(log), 8<<10)
	}
	foreign := attempt(t, func(t testing.TB) {
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: one\n\n")
		}))
		t.Cleanup(ts.Close)
		ssetest.Open(t, ts.URL+"/feed", nil).ExpectData("two")
	})
	assert.Regexp(t, `(?s)ssetest: timeline of GET http://[^ ]+/feed:\n +\+[^ ]+  stream 1  GET /feed\n.*stream 1    message one\n`, strings.Join(foreign.logs, "\n"))
	passed := attempt(t, func(t testing.TB) { ssetest.NewServer(t, nil).Open(t, "/post", nil) })
	assert.Empty(t, passed.logs)
}

// TestArtifactsHaveTheWholeTranscript is not parallel to others, since it sets a flag of package testing.
func TestArtifactsHaveTheWholeTranscript(t *testing.T) {
	artifacts := flag.Lookup("test.artifacts")
	require.NotNil(t, artifacts)
	was := artifacts.Value.String()
	require.NoError(t, artifacts.Value.Set("true"))
	defer func() { require.NoError(t, artifacts.Value.Set(was)) }()
	dir := t.TempDir()
	var srv *ssetest.Server
	failed := attempt(t, func(tb testing.TB) {
		tb.(*fakeT).artifacts = dir
		srv = ssetest.NewServer(tb, nil)
		srv.Script("GET /feed", ssetest.Script{ssetest.Raw(strings.Repeat("data: x\n\n", 1000))})
		srv.Open(tb, "/feed", nil).Take(1001)
	})
	name := "server-" + strings.NewReplacer(":", "-", "!", "-").Replace(strings.TrimPrefix(srv.URL, "https://")) + ".sse"
	assert.Contains(t, strings.Join(failed.logs, "\n"), "all of it is in "+filepath.Join(dir, name))
	script := ssetest.LoadScript(t, filepath.Join(dir, name))
	again := ssetest.NewServer(t, nil)
	again.Script("GET /feed", script.NoWaits())
	again.Open(t, "/feed", nil).Take(1000)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 1)
	attempt(t, func(tb testing.TB) {
		tb.(*fakeT).artifacts = dir
		for range 3 {
			ssetest.Read(tb, strings.NewReader("data: x\n\n"))
		}
		tb.Error("failed on purpose")
	})
	files, err = os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 4, "none takes another's place")
}

func TestFailuresAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Timeout: 50 * time.Millisecond})
			for i := range 20 {
				_, _ = ssetest.Dial(t.Context(), fmt.Sprintf("%s/nope%d", srv.URL, i), nil)
				srv.Open(t, "/sse", nil)
			}
			srv.Chaos(ssetest.Chaos{Duplicate: 1, Split: 1})
			srv.Script("GET /feed", ssetest.Script{ssetest.Raw(strings.Repeat("data: x\n\n", 20))})
			srv.Open(t, "/feed", nil).Take(100)
		})
		assert.Len(t, strings.Split(strings.TrimSuffix(failed.failures[0], "\n"), "\n"), 39)
		assert.Regexp(t, `\n… \d+ more lines\n$`, failed.failures[0])
	})
}

func TestExpectGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "golden", "feed.sse")
	open := func(tb testing.TB, data string) *ssetest.Transcript {
		srv := ssetest.NewServer(tb, nil)
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("one"), ssetest.Wait(3 * time.Millisecond), ssetest.Data(data), ssetest.Abort()})
		stream := srv.Open(tb, "/feed", nil)
		stream.Take(2)
		stream.ExpectError(ssetest.ErrStreamAborted)
		return stream.Transcript()
	}
	failed := attempt(t, func(t testing.TB) { open(t, "two").ExpectGolden(t, path) })
	assert.Contains(t, failed.text(), "no such file or directory; run the test with -ssetest.update, or SSETEST_UPDATE=1, to write it")
	t.Setenv("SSETEST_UPDATE", "1")
	open(t, "two").ExpectGolden(t, path)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, ":@ open GET /feed\ndata: one\n\ndata: two\n\n:@ reset-stream INTERNAL_ERROR\n\n", string(text))
	t.Setenv("SSETEST_UPDATE", "0")
	open(t, "two").ExpectGolden(t, path)
	failed = attempt(t, func(t testing.TB) { open(t, "three").ExpectGolden(t, path) })
	assert.True(t, strings.HasPrefix(failed.text(), "ssetest: ExpectGolden: "+path+`:4: wanted "data: two\n", but there was "data: three\n"`+
		"\nthe lines around it:\n:@ open GET /feed\ndata: one\n\ndata: three\n"), failed.text())
	failed = attempt(t, func(t testing.TB) { open(t, "two").ExpectGolden(t, filepath.Dir(path)) })
	assert.Contains(t, failed.text(), "is a directory")
	t.Setenv("SSETEST_UPDATE", "yes")
	failed = attempt(t, func(t testing.TB) { open(t, "two").ExpectGolden(t, path) })
	assert.Equal(t, `ssetest: the environment has SSETEST_UPDATE="yes"; it must be 1 or 0`, failed.text())
}

func TestTranscriptIsATextAppender(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	status, _ := post(t, srv, "/post", "application/json", "1")
	require.Equal(t, http.StatusSeeOther, status)
	srv.AwaitRequests(t, 1)
	srv.Close()
	text, err := srv.Transcript().MarshalText()
	require.NoError(t, err)
	appended, err := srv.Transcript().AppendText([]byte("before "))
	require.NoError(t, err)
	assert.True(t, bytes.HasSuffix(appended, text))
	assert.True(t, bytes.HasPrefix(appended, []byte("before :@ +")))
}

// TestTranscriptHasNotes for people, which are no part of the text form.
func TestTranscriptHasNotes(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Script("GET /feed", ssetest.Script{}, ssetest.Script{})
	for range 3 {
		request(t, srv, "GET", "/feed")
	}
	srv.Feed("GET /fed")
	srv.Open(t, "/fed", nil)
	srv.Close()
	assert.Regexp(t, `stream 3  note: answered 204, since the scripts are used up\n`, srv.Transcript())
	assert.Regexp(t, `stream 4  note: nobody has accepted it\n`, srv.Transcript())
	assert.Contains(t, withoutTimes(t, srv.Transcript()), ":@ open GET /feed\n:@ response 204\n:@ end\n\n:@ open GET /fed\n:@ end\n")
}

// TestOnlySomeStreams of a transcript, by method and path.
func TestOnlySomeStreams(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Script("/feed", ssetest.Script{ssetest.Data("one")})
	for _, target := range []string{"GET /feed?token=secret", "POST /feed", "GET /feed%20me"} {
		method, path, _ := strings.Cut(target, " ")
		request(t, srv, method, path)
	}
	srv.AwaitStreams(t, "/feed", 0)
	all := srv.Transcript()
	var asked []string
	gets := all.Only(func(method, path string) bool {
		asked = append(asked, method+" "+path)
		return method == "GET" && path == "/feed"
	})
	assert.Equal(t, []string{"GET /feed", "POST /feed", "GET /feed me"}, asked, "each stream once")
	assert.Equal(t, ":@ open GET /feed?token=REDACTED\ndata: one\n\n:@ end\n\n", withoutTimes(t, gets))
	assert.Len(t, gets.Scripts(), 1)
	assert.Len(t, all.Scripts(), 3, "what it is taken of stays as it is")
	assert.Empty(t, all.Only(func(string, string) bool { return false }).Scripts())
}
