package cli_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBehindProxy(t *testing.T) {
	const hsts = "max-age=31536000"
	proxied := start(t, "-http", "-behind-proxy")
	for name, c := range map[string]struct {
		headers  []string
		status   int
		location string
		hsts     string
	}{
		"over https":                 {[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "sse.example"}, 200, "", hsts},
		"over http":                  {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example"}, 301, "https://sse.example/healthz?a=%20b&c", ""},
		"in capitals":                {[]string{"X-Forwarded-Proto", "HTTP", "X-Forwarded-Host", "sse.example"}, 301, "https://sse.example/healthz?a=%20b&c", ""},
		"the usual port of http":     {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example", "X-Forwarded-Port", "80"}, 301, "https://sse.example/healthz?a=%20b&c", ""},
		"another port":               {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example", "X-Forwarded-Port", "8443"}, 301, "https://sse.example:8443/healthz?a=%20b&c", ""},
		"a port in the host":         {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example:8443"}, 301, "https://sse.example:8443/healthz?a=%20b&c", ""},
		"a port, and another":        {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example:8080", "X-Forwarded-Port", "443"}, 301, "https://sse.example/healthz?a=%20b&c", ""},
		"an address":                 {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "[::1]:8080", "X-Forwarded-Port", "443"}, 301, "https://[::1]/healthz?a=%20b&c", ""},
		"the request's own host":     {[]string{"X-Forwarded-Proto", "http", "Host", "own.example"}, 301, "https://own.example/healthz?a=%20b&c", ""},
		"several proxies":            {[]string{"X-Forwarded-Proto", "http, https", "X-Forwarded-Host", "sse.example, inner.example"}, 301, "https://sse.example/healthz?a=%20b&c", ""},
		"no proxy":                   {nil, 200, "", ""},
		"a host that is none":        {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example/path"}, 400, "", ""},
		"a user in the host":         {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example@evil.example"}, 400, "", ""},
		"a port that is none":        {[]string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example", "X-Forwarded-Port", "http"}, 400, "", ""},
		"a scheme that nobody knows": {[]string{"X-Forwarded-Proto", "gopher"}, 200, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, text := proxied.ask("GET", "/healthz?a=%20b&c", "", c.headers...)
			assert.Equal(t, c.status, response.StatusCode, text)
			assert.Equal(t, c.location, response.Header.Get("Location"))
			assert.Equal(t, c.hsts, response.Header.Get("Strict-Transport-Security"))
		})
	}

	response, _ := proxied.ask("GET", "/a%2Fb/%20c", "", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "sse.example")
	assert.Equal(t, "https://sse.example/a%2Fb/%20c", response.Header.Get("Location"), "as it was escaped")
	for _, request := range []string{"GET /healthz HTTP/1.0\r\n\r\n", "GET /healthz HTTP/1.0\r\nX-Forwarded-Proto: https\r\n\r\n"} { // as balancers ask
		assert.Contains(t, raw(t, strings.TrimPrefix(proxied.url, "http://"), request), "200 OK")
	}

	// The host counts for patterns, too.
	feed := write(t, "feed.sse", "data: one\n\n")
	hosts := start(t, "-http", "-behind-proxy", "-script", "GET sse.example/feed="+feed)
	response, _ = hosts.ask("GET", "/feed", "", "X-Forwarded-Host", "sse.example")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	response, _ = hosts.ask("GET", "/feed", "")
	assert.Equal(t, http.StatusNotFound, response.StatusCode)

	// Without the flag, anybody could say anything.
	open := start(t, "-http")
	response, text := open.ask("GET", "/healthz", "", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "ok\n", text)
	response, _ = open.ask("GET", "/healthz", "", "X-Forwarded-Proto", "https")
	assert.Empty(t, response.Header.Get("Strict-Transport-Security"))
}

// TestPlainHTTPWhereTLSIs gets an answer that says so.
func TestPlainHTTPWhereTLSIs(t *testing.T) {
	c := start(t)
	answer := raw(t, strings.TrimPrefix(c.url, "https://"), "GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
	assert.Equal(t, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", answer)
	c.end()
	assert.Regexp(t, `^ssetest: http: TLS handshake error from 127\.0\.0\.1:\d+: client sent an HTTP request to an HTTPS server\n$`, c.errs.String(), "and so is whoever runs it")
}

// raw sends a request as it is, and returns all that comes back until the server closes the connection.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}
