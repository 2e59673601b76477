package cli

import (
	"cmp"
	"embed"
	"io"
	"net/http"
	"net/url"

	"github.com/go-ssetest/sse/ssetest"
)

// page is what is shown at /: no build step, and nothing of another host.
//
//go:embed page
var page embed.FS

// contentPolicy lets the page's own files, and requests to its own server, do everything that the page does, and nothing else anything.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ownPaths are the paths of what is here and no stream, or what browsers ask for by themselves, which a transcript does not tell of.
var ownPaths = map[string]bool{"/": true, "/page/page.css": true, "/page/page.js": true, "/healthz": true, "/transcript": true, "/favicon.ico": true}

// handlePages serves what the command has beside the streams.
func handlePages(srv *ssetest.Server) {
	for path, file := range map[string]string{"/{$}": "page/index.html", "/page/page.css": "page/page.css", "/page/page.js": "page/page.js"} {
		srv.Handle("GET "+path, pageFile(file))
	}
	srv.Handle("GET /healthz", plainText(func(*http.Request) string { return "ok\n" }))
	srv.Handle("GET /transcript", plainText(func(r *http.Request) string { return transcript(srv, r.URL.Query()) }))
}

func pageFile(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-cache")
		header.Set("Content-Security-Policy", contentPolicy)
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, page, name)
	})
}

// transcript is what was sent, as a text that -script serves again: of GET requests, or of another method's, and of one path where the query has one.
// Other requests would stand among the streams as answers that clients do not expect.
func transcript(srv *ssetest.Server, query url.Values) string {
	wantedMethod := cmp.Or(query.Get("method"), http.MethodGet)
	wantedPath := query.Get("path")
	text, err := srv.Transcript().Only(func(method, path string) bool {
		return !ownPaths[path] && method == wantedMethod && (wantedPath == "" || path == wantedPath)
	}).MarshalText()
	if err != nil {
		panic(err) // there is none
	}
	return string(text)
}

// plainText serves a text that is made for each request.
func plainText(text func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, text(r)) // where it fails, the client is gone
	})
}
