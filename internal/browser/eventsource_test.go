package browser_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// byHand is a server whose letters come by Tick alone.
func byHand(t *testing.T) *ssetest.Server {
	t.Helper()
	return ssetest.NewServer(t, &ssetest.Config{Seed: 7, LetterInterval: -1})
}

func TestLettersInSeededOrder(t *testing.T) {
	t.Parallel()
	srv := byHand(t)
	p := openPage(t, srv)
	letters := p.eventSource(srv.URL + "/sse")
	letters.expect(opened)
	srv.Tick(20)
	for k := range 20 {
		letters.expect(dispatched(srv.Letter(k)))
	}
	requests := requestsOf(srv, "/sse")
	assert.Len(t, requests, 1)
	assert.Equal(t, "HTTP/2.0", requests[0].Proto)
	assert.Equal(t, "text/event-stream", requests[0].Header.Get("Accept"))
}

func TestPosts(t *testing.T) {
	t.Parallel()
	srv := ssetest.NewServer(t, nil)
	p := openPage(t, srv)
	posts := p.eventSource(srv.URL + "/post")
	posts.expect(opened)
	assert.Equal(t, answer{Status: http.StatusSeeOther, Text: "broadcasted"}, p.fetch(srv.URL+"/post", jsonPost(`{"text": "<b>7 °C</b>"}`)))
	got := posts.take(1)[0]
	assert.JSONEq(t, `{"text":"<b>7 °C</b>"}`, got.Data)
	assert.NotEmpty(t, got.ID)
	srv.Publish(ssetest.Data("from the test\nitself"))
	posts.expect(message("from the test\nitself", got.ID))
}

// An answer is what fetch has got; Error where it has got none.
type answer struct {
	Status int
	Text   string
	Error  string
}

// fetch has the page fetch.
func (p *tab) fetch(url string, init map[string]any) answer {
	p.t.Helper()
	const fetch = `async (url, init) => {
		try {
			const r = await fetch(url, init);
			return { status: r.status, text: await r.text() };
		} catch (e) {
			return { error: String(e) };
		}
	}`
	return ask[answer](p, "the answer to fetch", fetch, url, init)
}

// jsonPost is a post of JSON, for which a server of another origin is asked before.
func jsonPost(body string) map[string]any {
	return map[string]any{"method": http.MethodPost, "headers": map[string]string{"Content-Type": "application/json"}, "body": body}
}

// notFetched is what fetch has where there is nothing that the page may read.
var notFetched = answer{Error: "TypeError: Failed to fetch"}

// TestOtherCertificates shows that the browser trusts the certificate of our servers, and not any.
func TestOtherCertificates(t *testing.T) {
	t.Parallel()
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake
	other.StartTLS()
	t.Cleanup(other.Close)
	ours := ssetest.NewServer(t, nil)
	p := openPage(t, ssetest.NewServer(t, nil))
	opaque := map[string]any{"mode": "no-cors"}
	assert.Equal(t, notFetched, p.fetch(other.URL, opaque))
	assert.Equal(t, answer{}, p.fetch(ours.URL, opaque)) // there is one, which says nothing
}
