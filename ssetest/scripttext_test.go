package ssetest_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

const everyDirective = ":@ response 200\n:@ header X-Feed: one: two\n:@header X-Feed: three\n:@ body \"\\ufeff\"\n:@ delay 1ms\n" +
	": hello\nid: 1\ndata: one\n\n\n:@ wait 1.5s\r\ndata: \xff\r\n\r\ndata: b\r\rda\n:@ raw \"ta: \\x00\"\n:@  raw  `:@ x`  \n" +
	":@ split 3\n:@ go-away ENHANCE_YOUR_CALM\n:@ go-away 0x1ff\nlast line\n:@ reset-stream CANCEL\n"

func TestParseScript(t *testing.T) {
	script, err := ssetest.ParseScript(iotest.OneByteReader(strings.NewReader(everyDirective)))
	require.NoError(t, err)
	assert.Equal(t, ssetest.Script{
		ssetest.Response{
			Status: 200, Header: http.Header{"X-Feed": {"one: two", "three"}}, Body: "\ufeff", Delay: time.Millisecond,
		},
		ssetest.Raw(": hello\nid: 1\ndata: one\n\n"), ssetest.Raw("\n"), ssetest.Wait(1500 * time.Millisecond),
		ssetest.Raw("data: \xff\r\n\r\n"), ssetest.Raw("data: b\r\r"), ssetest.Raw("da\n"), ssetest.Raw("ta: \x00"), ssetest.Raw(":@ x"),
		ssetest.Split(3), ssetest.GoAway(http2.ErrCodeEnhanceYourCalm), ssetest.GoAway(0x1ff), ssetest.Raw("last line\n"),
		ssetest.ResetStream(http2.ErrCodeCancel),
	}, script)
	for text, step := range map[string]ssetest.Step{
		"end": ssetest.End(), "abort": ssetest.Abort(), "reset-conn": ssetest.ResetConn(), "stall": ssetest.Stall(), "hold": ssetest.Hold(),
	} {
		script, err := ssetest.ParseScript(strings.NewReader("unfinished\n:@ " + text + "\n\n\r\n"))
		require.NoError(t, err)
		assert.Equal(t, ssetest.Script{ssetest.Raw("unfinished\n"), step}, script)
	}
	script, err = ssetest.ParseScript(strings.NewReader(":@ response 0\n:@ body \"\""))
	require.NoError(t, err)
	assert.Equal(t, ssetest.Script{ssetest.Response{}}, script)
	script, err = ssetest.ParseScript(strings.NewReader(""))
	require.NoError(t, err)
	assert.Empty(t, script)
}

// TestScriptIsServedAsItWasWritten has a stream without directives.
func TestScriptIsServedAsItWasWritten(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		const text = "\ufeff: one\r\n\ndata\r\rdata: \xc3\n\nid: 1\n\n\n\nretry: x\r\n\r\n: @\ndata: unfinished"
		path := filepath.Join(t.TempDir(), "feed.sse")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.LoadScript(t, path))
		assert.Equal(t, text, readBody(t, get(t, srv, "/feed")))
	})
}

var badScripts = map[string]struct {
	text, want string
}{
	"unknown":            {"data: x\n\n:@ sleep 1s\n", `line 3: there is no directive "sleep", only open, response, header, body, delay, wait, raw, split, go-away, reset-stream, reset-conn, end, abort, stall, hold; a comment that begins with ":@" has to be written as in :@ raw ":@…\n"`},
	"nothing":            {":@\n", `line 1: there is no directive "", only open, response, header, body, delay, wait, raw, split, go-away, reset-stream, reset-conn, end, abort, stall, hold; a comment that begins with ":@" has to be written as in :@ raw ":@…\n"`},
	"no duration":        {"\r\n\r:@ wait 5", `line 3: wait: "5" is no duration; one is written as in 1.5s`},
	"negative":           {"data: x\n:@ wait -1s\n", "line 2: Wait(-1s): the time must not be negative"},
	"no pieces":          {":@ split 0", "line 1: Split(0): the size of a piece must be positive"},
	"no number":          {":@ split x", `line 1: split: "x" is no number`},
	"behind an ending":   {":@ abort\n\r\ndata: x\n", `line 3: Raw("data: x\n"): nothing can follow Abort()`},
	"argument":           {":@ abort now", `line 1: abort takes no argument, and has "now"`},
	"no code":            {":@ go-away HOME", `line 1: go-away: "HOME" is no error code; one is written as in CANCEL, or 0x8`},
	"large code":         {":@ reset-stream 0x100000000", `line 1: reset-stream: "0x100000000" is no error code; one is written as in CANCEL, or 0x8`},
	"no string":          {":@ raw data: x", `line 1: raw: data: x is no string of Go; one is written as in "one\n"`},
	"a rune":             {":@ raw 'x'", `line 1: raw: 'x' is no string of Go; one is written as in "one\n"`},
	"no string at all":   {":@ raw", `line 1: raw:  is no string of Go; one is written as in "one\n"`},
	"late response":      {"\n:@ response 200", "line 2: Response 200: a Response can only be the first step"},
	"status":             {":@ response 99", "line 1: Response 99: the status must be 200 to 999"},
	"no status":          {":@ response OK", `line 1: response: "OK" is no number`},
	"no response":        {":@ header X: y", "line 1: header has to stand directly behind a response"},
	"late header":        {":@ response 200\n\n:@ header X: y", "line 3: header has to stand directly behind a response"},
	"no field":           {":@ response 200\n:@ header X", `line 2: header: "X" is no field; one is written as in Retry-After: 3`},
	"bad field":          {":@ response 200\n:@ header X Y: z", `line 2: header: "X Y" can't be the name of a header field`},
	"body of none":       {":@ response 204\n:@ body \"x\"", "line 2: body: a response with status 204 has no body"},
	"negative delay":     {":@ response 200\n:@ delay -1s", "line 2: delay: the delay must not be negative"},
	"binary":             {"PNG\r\n\n\x00\x01", `line 3: there is a control character, 0x00, so that this is no text; where a stream shall have one, write it as in :@ raw "id: \x00\n"`},
	"a step with events": {"data: 1\n\ndata: 2\n\n:@ end\n:@ hold", "line 6: Hold(): nothing can follow End()"},
}

func TestBadScriptsNameTheLine(t *testing.T) {
	for name, bad := range badScripts {
		t.Run(name, func(t *testing.T) {
			script, err := ssetest.ParseScript(strings.NewReader(bad.text))
			require.EqualError(t, err, "ssetest: script, "+bad.want)
			assert.Nil(t, script)
			path := filepath.Join(t.TempDir(), "bad.sse")
			require.NoError(t, os.WriteFile(path, []byte(bad.text), 0o600))
			_, what, _ := strings.Cut(bad.want, " ")
			failed := attempt(t, func(t testing.TB) { ssetest.LoadScript(t, path) })
			assert.Equal(t, "ssetest: LoadScript: "+path+":"+what, strings.TrimSpace(failed.text()))
		})
	}
}

func TestScriptsThatCannotBeRead(t *testing.T) {
	broken := errors.New("broken")
	_, err := ssetest.ParseScript(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
	_, err = ssetest.ParseScript(io.LimitReader(endless("", 'x'), 64<<20+1))
	require.EqualError(t, err, "ssetest: script: it has more than 67108864 bytes")
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing.sse")} {
		failed := attempt(t, func(t testing.TB) { ssetest.LoadScript(t, path) })
		assert.Contains(t, failed.text(), "ssetest: LoadScript: ")
		assert.Contains(t, failed.text(), path)
	}
}
