package ssetest_test

import (
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func body(s string) io.Reader { return strings.NewReader(s) }

// post sends a body and returns the status and the text of the answer.
func post(t *testing.T, srv *ssetest.Server, target, contentType, content string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+target, body(content))
	require.NoError(t, err)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := srv.Client().Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func TestPostBroadcasts(t *testing.T) {
	for name, c := range map[string]struct{ target, contentType, body, wanted string }{
		"object":         {"/post", "application/json", `{"test": "sent me via SSE"}`, `{"test":"sent me via SSE"}`},
		"white space":    {"/post", "application/json", " [ 1 ,\r\n\t2 ] \n", `[1,2]`},
		"number":         {"/post", "application/json", `1.50e+3`, `1.50e+3`},
		"string":         {"/post", "application/json", `"line\nend <&>"`, `"line\nend <&>"`},
		"null":           {"/post", "application/json", `null`, `null`},
		"order, twice":   {"/post", "application/json", `{"b":1,"a":2,"b":3}`, `{"b":1,"a":2,"b":3}`},
		"charset":        {"/post", "application/json; charset=utf-8", `"ü"`, `"ü"`},
		"capitals":       {"/post", "Application/JSON;Charset=UTF-8", `1`, `1`},
		"bad parameter":  {"/post", "application/json; charset", `1`, `1`},
		"charset twice":  {"/post", "application/json; charset=a; charset=b", `1`, `1`},
		"query is data":  {"/post?b=2&a=1%20x", "text/plain", "", `{"a":"1 x","b":"2"}`},
		"last one wins":  {"/post?a=1&a=<2>", "text/plain; charset=utf-8", "ignored", `{"a":"<2>"}`},
		"no query":       {"/post", "text/html", "", `{}`},
		"JSON and query": {"/post?a=1", "application/json", "2", `2`},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
				stream := srv.Open(t, "/post", nil)
				status, text := post(t, srv, c.target, c.contentType, c.body)
				assert.Equal(t, http.StatusSeeOther, status)
				assert.Equal(t, "broadcasted", text)
				stream.ExpectData(c.wanted)
			})
		})
	}
}

func TestPostRefuses(t *testing.T) {
	large := `"` + strings.Repeat("x", 100) + `"`
	for name, c := range map[string]struct {
		target, contentType, body string
		status                    int
		text                      string
	}{
		"empty":              {"/post", "application/json", "", 400, "the body is not JSON: unexpected end of JSON input, at byte 0"},
		"blank":              {"/post", "application/json", "  ", 400, "the body is not JSON: unexpected end of JSON input, at byte 2"},
		"cut off":            {"/post", "application/json", `{"a":`, 400, "the body is not JSON: unexpected end of JSON input, at byte 5"},
		"first byte":         {"/post", "application/json", `hello`, 400, "the body is not JSON: invalid character 'h' looking for beginning of value, at byte 0"},
		"in the middle":      {"/post", "application/json", `{"a" 1}`, 400, "the body is not JSON: invalid character '1' after object key, at byte 5"},
		"two values":         {"/post", "application/json", `{} {}`, 400, "the body is not JSON: invalid character '{' after top-level value, at byte 3"},
		"ill-formed UTF-8":   {"/post", "application/json", "\"a\xff\"", 400, "the body is not JSON: ill-formed UTF-8, at byte 2"},
		"form":               {"/post", "application/x-www-form-urlencoded", "a=1", 415, `the Content-Type is "application/x-www-form-urlencoded"; it must be application/json, or text/* with the payload in the query`},
		"no type":            {"/post", "", "1", 415, `the Content-Type is ""; it must be application/json, or text/* with the payload in the query`},
		"malformed type":     {"/post", "application/json/x", "1", 415, `the Content-Type is "application/json/x"; it must be application/json, or text/* with the payload in the query`},
		"too large":          {"/post", "application/json", large, 413, "the body is larger than Config.MaxBodyBytes, which is 99 bytes"},
		"too large, no JSON": {"/post", "text/plain", large, 413, "the body is larger than Config.MaxBodyBytes, which is 99 bytes"},
		"ill-formed query":   {"/post?a=%ff", "text/plain", "", 400, `the query is malformed: "a=\xff" is ill-formed UTF-8`},
		"malformed query":    {"/post?a=%zz", "text/plain", "", 400, `the query is malformed: invalid URL escape "%zz"`},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, MaxBodyBytes: 99})
				stream := srv.Open(t, "/post", nil)
				status, text := post(t, srv, c.target, c.contentType, c.body)
				assert.Equal(t, c.status, status)
				assert.Equal(t, "ssetest: "+c.text+"\n", text)

				// The stream goes on, and got nothing of it.
				srv.Publish(ssetest.Data("next"))
				stream.ExpectData("next")
			})
		})
	}
}

// chunked hides how long a body is.
type chunked struct{ io.Reader }

func TestPostOfUnknownLength(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, MaxBodyBytes: 10})
		for content, wanted := range map[string]int{`"12345678"`: 303, `"123456789"`: 413, `"` + strings.Repeat("x", 1<<20) + `"`: 413} {
			response, err := srv.Client().Post(srv.URL+"/post", "application/json", chunked{body(content)})
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, wanted, response.StatusCode)
		}
	})
}

func TestRefusedBodyLeavesItsConnectionUsable(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, MaxBodyBytes: 10})
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
		for range 2 {
			content := chunked{body(`"` + strings.Repeat("x", 1<<20) + `"`)}
			request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, srv.URL+"/post", content)
			require.NoError(t, err)
			request.Header.Set("Content-Type", "application/json")
			response, err := srv.Client().Do(request)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, 413, response.StatusCode)
		}
		assert.True(t, reused)
	})
}

func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} { // HTTP/1.1 clients send all of it first
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		content, send := io.Pipe()
		response, err := srv.Client().Post(srv.URL+"/post", "image/png", content)
		require.NoError(t, err)
		assert.Equal(t, http.StatusUnsupportedMediaType, response.StatusCode)
		require.NoError(t, response.Body.Close())
		require.NoError(t, send.Close())
	}
}

func TestBodyLimits(t *testing.T) {
	content := func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
	byDefault := ssetest.NewServer(t, nil)
	status, _ := post(t, byDefault, "/post", "application/json", content(8_000_000))
	assert.Equal(t, 303, status)
	status, _ = post(t, byDefault, "/post", "application/json", content(8_000_001))
	assert.Equal(t, 413, status)

	for _, limit := range []int64{-1, math.MaxInt64} {
		unlimited := ssetest.NewServer(t, &ssetest.Config{MaxBodyBytes: limit})
		status, _ = post(t, unlimited, "/post", "application/json", content(8_000_001))
		assert.Equal(t, 303, status)
	}
}

func TestPostThatIsCutOff(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		stream := srv.Open(t, "/post", nil)
		broken := io.MultiReader(body(`"begun`), &failing{})
		_, err := srv.Client().Post(srv.URL+"/post", "application/json", broken)
		require.ErrorIs(t, err, errBroken)
		srv.Publish(ssetest.Data("next"))
		stream.ExpectData("next")
	})
}
