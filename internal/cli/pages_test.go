package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPages(t *testing.T) {
	c := start(t)
	for path, contentType := range map[string]string{"/": "text/html; charset=utf-8", "/page/page.css": "text/css; charset=utf-8", "/page/page.js": "text/javascript; charset=utf-8"} {
		response, text := c.ask("GET", path, "")
		assert.Equal(t, http.StatusOK, response.StatusCode, path)
		assert.Equal(t, contentType, response.Header.Get("Content-Type"))
		assert.Equal(t, "no-cache", response.Header.Get("Cache-Control"))
		assert.Equal(t, "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			response.Header.Get("Content-Security-Policy"))
		assert.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
		file := filepath.Join("page", strings.TrimPrefix(path, "/page/"))
		if path == "/" {
			file = "page/index.html"
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(want), text)
	}
	response, text := c.ask("GET", "/healthz", "")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	assert.Equal(t, "ok\n", text)
	for _, path := range []string{"/nowhere", "/page", "/page/", "/page/nothing.js"} {
		response, _ = c.ask("GET", path, "")
		assert.Equal(t, http.StatusNotFound, response.StatusCode, path)
	}
	response, _ = c.ask("POST", "/healthz", "")
	assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

// TestPageAsksNobodyElse: whatever it names is here, or is no request.
func TestPageAsksNobodyElse(t *testing.T) {
	for _, file := range []string{"index.html", "page.css", "page.js"} {
		text, err := os.ReadFile(filepath.Join("page", file))
		require.NoError(t, err)
		for _, url := range regexp.MustCompile(`(https?:)?//[a-zA-Z0-9.-]+\.[a-z]+[^\s"'<]*`).FindAllString(string(text), -1) {
			assert.Equal(t, "http://www.w3.org/2000/svg", url, "%s: a name, and no address", file)
		}
	}
}

// TestTranscriptBecomesAScript has what somebody clicked served again, by another command.
func TestTranscriptBecomesAScript(t *testing.T) {
	c := start(t)
	posts := c.open("/post")
	c.post(`{"n": 1}`)
	c.post(`{"n": 2}`)
	want := posts.Take(2)
	posts.Close()
	for _, path := range []string{"/", "/healthz", "/transcript", "/page/page.js", "/page/page.css", "/favicon.ico"} {
		c.ask("GET", path, "")
	}
	c.ask("HEAD", "/post", "")
	c.ask("GET", "/nowhere", "")
	response, all := c.ask("GET", "/transcript", "")
	assert.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	assert.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
	assert.Equal(t, []string{"GET /post", "GET /nowhere"}, opens(all), "no page, and nothing but GET: %s", all)
	_, made := c.ask("GET", "/transcript?method=POST", "")
	assert.Equal(t, []string{"POST /post", "POST /post"}, opens(made))
	_, posted := c.ask("GET", "/transcript?path=/post", "")
	assert.Equal(t, []string{"GET /post"}, opens(posted))
	_, none := c.ask("GET", "/transcript?path=/sse", "")
	assert.Empty(t, none)

	again := start(t, "-script", "GET /feed="+write(t, "feed.sse", posted))
	feed := again.open("/feed")
	feed.ExpectEvents(want...)
}

// opens are the requests of a transcript.
func opens(transcript string) []string {
	var requests []string
	for _, match := range regexp.MustCompile(`(?m)^:@ \+\S+ open (.*)$`).FindAllStringSubmatch(transcript, -1) {
		requests = append(requests, match[1])
	}
	return requests
}
