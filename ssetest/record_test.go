package ssetest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

// malformed is a stream with every line end, and with what no encoder would write.
const malformed = "\ufeff: one\r\n\ndata\r\rdata: \xc3\n\nid: \x00\n\n:@ not a directive\nretry: x\r\n\r\ndata: unfinished"

// TestRecordAndReplay gives back the bytes and the end, for every ending that a client can tell.
func TestRecordAndReplay(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for ending, seen := range map[ssetest.Step]error{
			ssetest.End(): io.EOF, ssetest.Abort(): ssetest.ErrStreamAborted, ssetest.ResetStream(http2.ErrCodeCancel): ssetest.ErrStreamAborted, ssetest.ResetConn(): ssetest.ErrConnectionReset,
		} {
			upstream := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			upstream.Script("GET /feed", ssetest.Script{
				ssetest.Response{Header: http.Header{"X-Feed": {"one"}, "Set-Cookie": {"session=secret"}}}, ssetest.Raw(malformed[:30]), ssetest.Wait(5 * time.Millisecond), ssetest.Raw(malformed[30:]), ending,
			})
			path := filepath.Join(t.TempDir(), "recorded", "x.sse")
			script := ssetest.Record(t, upstream.URL+"/feed?token=secret&n=1", path)

			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.NotContains(t, string(text), "secret")
			assert.True(t, strings.HasPrefix(string(text), ":@ +0s open GET /feed?token=REDACTED&n=1\n:@ response 200\n:@ header Cache-Control: no-store\n"+
				":@ header Content-Type: text/event-stream\n:@ header Set-Cookie: REDACTED\n:@ header X-Feed: one\n"), string(text))

			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Script("GET /feed", script)
			response := get(t, srv, "/feed")
			assert.Equal(t, "one", response.Header.Get("X-Feed"))
			body, err := io.ReadAll(response.Body)
			assert.Equal(t, malformed, string(body))
			assert.Equal(t, seen == io.EOF, err == nil)
			drained, err := ssetest.Dial(t.Context(), srv.URL+"/feed", nil)
			require.NoError(t, err)
			for err == nil {
				_, err = drained.Next(t.Context())
			}
			require.ErrorIs(t, err, seen)
			drained.Close()
		}
	})
}

// TestRecordingsAreKept asks nobody where there is a recording, and writes it anew where it shall.
func TestRecordingsAreKept(t *testing.T) {
	upstream := ssetest.NewServer(t, nil)
	upstream.Script("GET /feed", ssetest.Script{ssetest.Data("1")}, ssetest.Script{ssetest.Data("2")})
	path := filepath.Join(t.TempDir(), "x.sse")
	record := func() string {
		srv := ssetest.NewServer(t, nil)
		srv.Script("GET /feed", ssetest.Record(t, upstream.URL+"/feed", path))
		return readBody(t, get(t, srv, "/feed"))
	}
	assert.Equal(t, "data: 1\n\n", record())
	assert.Equal(t, "data: 1\n\n", record())
	assert.Len(t, upstream.Requests(), 1)
	t.Setenv("SSETEST_UPDATE", "1")
	assert.Equal(t, "data: 2\n\n", record())
	assert.Len(t, upstream.Requests(), 2)

	before, err := os.ReadFile(path)
	require.NoError(t, err)
	failed := attempt(t, func(t testing.TB) { ssetest.Record(t, upstream.URL+"/feed", path) }) // 204 by now
	assert.Contains(t, failed.text(), "ssetest: Record: opening GET "+upstream.URL+"/feed: the response has status 204")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after, "what could not be recorded anew stays")
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, files, 1)
}

func TestRecordWithYourOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := ssetest.NewServer(t, nil)
		upstream.Script("POST /v1/chat/completions", ssetest.Script{ssetest.Data("Hi"), ssetest.Hold()})
		path := filepath.Join(t.TempDir(), "chat.sse")
		script := ssetest.RecordWith(t, upstream.URL+"/v1/chat/completions", path, &ssetest.OpenConfig{
			Method: "POST", Header: http.Header{"Authorization": {"Bearer secret"}}, Body: []byte("a secret question"), Timeout: 300 * time.Millisecond,
		})
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "secret")
		assert.Contains(t, string(text), "open POST /v1/chat/completions\n")
		assert.Equal(t, ssetest.Hold(), script[len(script)-1], "it had not ended")
		assert.Equal(t, "a secret question", upstream.Requests()[0].Body)
	})
}

func TestRecordFails(t *testing.T) {
	ts := httptest.NewServer(http.NotFoundHandler())
	defer ts.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for path, wanted := range map[string]string{
		filepath.Join(dir, "new.sse"): "the response has status 404",
		dir:                           "is a directory",
		filepath.Join(file, "x.sse"):  "not a directory",
	} {
		failed := attempt(t, func(t testing.TB) { ssetest.Record(t, ts.URL, path) })
		assert.Contains(t, failed.text(), wanted)
	}
	_, err := os.Stat(filepath.Join(dir, "new.sse"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestFlagsAreThereWhenTheyAreAskedFor runs this test program again.
func TestFlagsAreThereWhenTheyAreAskedFor(t *testing.T) {
	if path := os.Getenv("SSETEST_GOLDEN_OF_TEST"); path != "" {
		srv := ssetest.NewServer(t, nil)
		srv.Open(t, "/post", nil).Transcript().ExpectGolden(t, path)
		return
	}
	for _, c := range []struct {
		flag    string
		written bool
	}{{"-ssetest.update", true}, {"--ssetest.update=true", true}, {"-ssetest.update=false", false}, {"-test.v", false}} {
		path := filepath.Join(t.TempDir(), "x.sse")
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFlagsAreThereWhenTheyAreAskedFor$", c.flag)
		command.Env = append(os.Environ(), "SSETEST_GOLDEN_OF_TEST="+path)
		output, err := command.CombinedOutput()
		assert.Equal(t, c.written, err == nil, string(output))
		_, err = os.Stat(path)
		assert.Equal(t, c.written, err == nil, c.flag)
	}
}
