package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/internal/cli"
	"github.com/go-ssetest/sse/ssetest"
)

// patience is how long anything may take, on a machine that is busy with everything else.
const patience = 20 * time.Second

// A command is one that runs in this process.
type command struct {
	t    *testing.T
	url  string
	stop context.CancelFunc
	code chan int
	errs *buffer
}

// A buffer may be read while it is written to.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// environment is one that has nothing but what it is given: names and values, with an = between them.
func environment(variables ...string) func(string) string {
	return func(name string) string {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// start runs the command at a port that is free.
func start(t *testing.T, args ...string) *command {
	return startWith(t, environment("PORT=0"), args...)
}

func startWith(t *testing.T, env func(string) string, args ...string) *command {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &command{t: t, stop: stop, code: make(chan int, 1), errs: new(buffer)}
	said, out := io.Pipe()
	go func() {
		c.code <- cli.Run(ctx, args, env, out, c.errs)
		_ = out.Close()
	}()
	t.Cleanup(func() { c.end() })
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err, c.errs.String())
	url, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "ssetest: serving on ")
	require.True(t, ok, line)
	c.url = url
	return c
}

// end stops the command, and returns its exit code.
func (c *command) end() int {
	c.stop()
	select {
	case code := <-c.code:
		c.code <- code // for whoever asks again
		return code
	case <-time.After(patience):
		c.t.Fatalf("the command has not ended within %v", patience)
		return 0
	}
}

// client is one that takes whatever certificate the command has, as curl -k does.
func (c *command) client() *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// open opens a stream of the command.
func (c *command) open(path string) *ssetest.Stream {
	c.t.Helper()
	return ssetest.Open(c.t, c.url+path, &ssetest.OpenConfig{Client: c.client()})
}

// ask sends a request, and returns the response, which has been read. Headers come in pairs of name and value.
func (c *command) ask(method, path, body string, headers ...string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(c.t, err)
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := c.client().Do(r)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response, string(text)
}

// post posts JSON to /post.
func (c *command) post(body string) {
	c.t.Helper()
	response, text := c.ask("POST", "/post", body, "Content-Type", "application/json")
	require.Equal(c.t, http.StatusSeeOther, response.StatusCode)
	require.Equal(c.t, "broadcasted", text)
}

// write writes a file of the test's own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// golden compares a text with a file, or writes that anew where SSETEST_UPDATE is set.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if os.Getenv("SSETEST_UPDATE") == "1" {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, "SSETEST_UPDATE=1 writes %s anew", path)
}

func TestServes(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "cert.pem")
	c := start(t, "-cert-out", cert, "-seed", "42", "-interval", "1ms")

	// As curl --cacert does it: nothing is known of the server but the file.
	pem, err := os.ReadFile(cert)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		url := strings.Replace(c.url, "127.0.0.1", host, 1)
		stream := ssetest.Open(t, url+"/sse", &ssetest.OpenConfig{Client: &http.Client{Transport: transport}})
		stream.ExpectJSON(`{"msg":"a"}`, `{"msg":"x"}`, `{"msg":"a"}`)
		assert.Equal(t, "HTTP/2.0", stream.Response().Proto)
	}
	posts := c.open("/post")
	c.post(`{"test": "sent me via SSE"}`)
	posts.ExpectJSON(`{"test":"sent me via SSE"}`)
	assert.Zero(t, c.end())
	posts.ExpectComment("the server has been stopped")
	posts.ExpectEnd()
	assert.Empty(t, c.errs.String())
}

// TestFlagsReachTheServer looks at what is served.
func TestFlagsReachTheServer(t *testing.T) {
	t.Run("retry and history", func(t *testing.T) {
		c := start(t, "-retry", "1500ms", "-history", "2")
		first := c.open("/post")
		c.post(`1`)
		c.post(`2`)
		one, two := first.Next(), first.Next()
		assert.Equal(t, 1500*time.Millisecond, one.Retry)
		c.post(`3`)
		first.ExpectData("3")
		behindTwo := ssetest.Open(t, c.url+"/post", &ssetest.OpenConfig{Client: c.client(), LastEventID: two.ID})
		behindTwo.ExpectData("3")
		behindOne := ssetest.Open(t, c.url+"/post", &ssetest.OpenConfig{Client: c.client(), LastEventID: one.ID})
		c.post(`4`)
		behindOne.ExpectData("4") // it is forgotten what was behind 1
		behindTwo.ExpectData("4")
		first.ExpectData("4")
	})
	t.Run("no retry, no history", func(t *testing.T) {
		c := start(t, "-retry", "0", "-history", "0")
		first := c.open("/post")
		c.post(`1`)
		one := first.Next()
		assert.Zero(t, one.Retry)
		c.post(`2`)
		first.ExpectData("2")
		again := ssetest.Open(t, c.url+"/post", &ssetest.OpenConfig{Client: c.client(), LastEventID: one.ID})
		c.post(`3`)
		again.ExpectData("3")
		first.ExpectData("3")
	})
	t.Run("without TLS", func(t *testing.T) {
		c := start(t, "-http", "-interval", "1ms")
		assert.True(t, strings.HasPrefix(c.url, "http://127.0.0.1:"), c.url)
		stream := c.open("/sse")
		stream.ExpectJSON(`{"msg":"a"}`)
		assert.Equal(t, "HTTP/1.1", stream.Response().Proto)
		var prior http.Protocols
		prior.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: &prior}
		defer transport.CloseIdleConnections()
		stream = ssetest.Open(t, c.url+"/sse", &ssetest.OpenConfig{Client: &http.Client{Transport: transport}})
		stream.ExpectJSON(`{"msg":"a"}`)
		assert.Equal(t, "HTTP/2.0", stream.Response().Proto)
	})
	t.Run("compress", func(t *testing.T) {
		c := start(t, "-compress")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/sse", nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Encoding", "gzip")
		response, err := c.client().Do(r)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		assert.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
	})
	t.Run("chaos", func(t *testing.T) {
		c := start(t, "-chaos", "abort=1,seed=7")
		c.open("/sse").ExpectError(ssetest.ErrStreamAborted)
	})
	t.Run("origin", func(t *testing.T) {
		c := start(t, "-origin", "http://localhost:5173", "-origin", "https://app.example")
		for origin, status := range map[string]int{"http://localhost:5173": 204, "https://app.example": 204, "https://evil.example": 403} {
			response, _ := c.ask("OPTIONS", "/post", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
			assert.Equal(t, status, response.StatusCode)
		}
	})
	t.Run("scripts", func(t *testing.T) {
		feed := write(t, "feed.sse", "data: one\n\n:@ abort\n\n:@ open\ndata: two\n\n")
		c := start(t, "-script", "GET /feed="+feed, "-script", "POST /v1/chat="+write(t, "chat.sse", "data: [DONE]\n\n"))
		first := c.open("/feed")
		first.ExpectData("one")
		first.ExpectError(ssetest.ErrStreamAborted)
		second := c.open("/feed")
		second.ExpectData("two")
		second.ExpectEnd()
		response, _ := c.ask("GET", "/feed", "")
		assert.Equal(t, http.StatusNoContent, response.StatusCode)
		_, text := c.ask("POST", "/v1/chat", "{}")
		assert.Equal(t, "data: [DONE]\n\n", text)
	})
	t.Run("max-streams", func(t *testing.T) {
		c := start(t, "-max-streams", "2")
		client := c.client()
		client.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true}
		for range 2 {
			stream := ssetest.Open(t, c.url+"/post", &ssetest.OpenConfig{Client: client})
			defer stream.Close()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // for what does not happen
		defer cancel()
		_, err := ssetest.Dial(ctx, c.url+"/post", &ssetest.OpenConfig{Client: client})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
