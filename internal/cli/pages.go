package cli

import (
	"embed"
	"net/http"

	"github.com/go-ssetest/sse/ssetest"
)

// page is what is shown at /: no build step, and nothing of another host.
//
//go:embed page
var page embed.FS

// contentPolicy lets the page's own files, and requests to its own server, do everything that the page does, and nothing else anything.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ownPaths are the paths of what is here and no stream, which a transcript does not tell of.
var ownPaths = map[string]bool{"/": true, "/page/page.css": true, "/page/page.js": true, "/healthz": true, "/transcript": true}

// handlePages serves what the command has beside the streams.
func handlePages(srv *ssetest.Server) {
	for path, file := range map[string]string{"/{$}": "page/index.html", "/page/page.css": "page/page.css", "/page/page.js": "page/page.js"} {
		srv.Handle("GET "+path, pageFile(file))
	}
	srv.Handle("GET /healthz", plainText(func(*http.Request) ([]byte, error) { return []byte("ok\n"), nil }))
	srv.Handle("GET /transcript", plainText(func(r *http.Request) ([]byte, error) {
		query := r.URL.Query()
		return srv.Transcript().Only(func(method, path string) bool {
			wanted := func(name, value string) bool { return !query.Has(name) || query.Get(name) == value }
			return !ownPaths[path] && wanted("method", method) && wanted("path", path)
		}).MarshalText()
	}))
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

// plainText serves a text that is made for each request.
func plainText(text func(*http.Request) ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := text(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body) // where it fails, the client is gone
	})
}
