package ssetest_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// redirecting is a server whose /from leads to a location.
func redirecting(t *testing.T, p ssetest.Protocol, status int, location string) *ssetest.Server {
	srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
	srv.Handle("/from", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Location"] = []string{location}
		w.WriteHeader(status)
	}))
	return srv
}

// Fetch, HTTP-redirect fetch: 301, 302, 303, 307 and 308 are followed, to the Location as it is resolved. A POST becomes a GET without a body
// at 301, 302 and 303; at 307 and 308 it stays what it is.
// 9.2.3: a reconnect fetches the request as it is now: from the URL that the redirect has led to.
func TestRedirects(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			assert.Equal(t, []sent{
				{"GET", "/from", ""}, {"GET", "/to?x=1", ""}, {"GET", "/to?x=1", ""}, {"GET", "/to?x=1", ""},
			}, redirect(t, p, status, "GET", ""), "%d", status)
			then := sent{"GET", "/to?x=1", ""}
			if status > 303 {
				then = sent{"POST", "/to?x=1", "ask"}
			}
			assert.Equal(t, []sent{{"POST", "/from", "ask"}, then, then, then}, redirect(t, p, status, "POST", "ask"), "%d", status)
		}
	})
}

// Fetch, HTTP-redirect fetch: of the methods other than GET and HEAD, all become GET at 303, and none but POST at 301 and 302.
func TestRedirectsKeepOtherMethods(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			then := sent{"REPORT", "/to?x=1", "ask"}
			if status == 303 {
				then = sent{"GET", "/to?x=1", ""}
			}
			assert.Equal(t, []sent{{"REPORT", "/from", "ask"}, then, then, then}, redirect(t, p, status, "REPORT", "ask"), "%d", status)
		}
	})
}

// sent is what a redirect keeps of a request, or changes.
type sent struct{ method, target, body string }

// redirect opens a stream that is redirected, and comes back twice, and returns what was asked.
func redirect(t *testing.T, p ssetest.Protocol, status int, method, body string) []sent {
	srv := redirecting(t, p, status, "../to?x=1#y")
	srv.Script("/to", ssetest.Script{ssetest.Event{ID: "1", Data: "1"}}, ssetest.Script{ssetest.Data("2")})
	cfg := again()
	cfg.Method, cfg.Body = method, []byte(body)
	s := srv.Open(t, "/from", cfg)
	s.ExpectData("1", "2")
	s.ExpectEnd()
	var all []sent
	for _, r := range srv.Requests() {
		all = append(all, sent{r.Method, r.URL.RequestURI(), r.Body})
	}
	assert.Equal(t, []string{"", "", "1", "1"}, askedIDs(srv))
	return all
}

// Fetch, HTTP-redirect fetch: where a redirect takes the body off the request, it takes the headers off that describe it. They are not there
// when the request is sent again.
func TestARedirectToAGetTakesTheBodysHeadersOff(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for status, then := range map[int]string{301: "", 302: "", 303: "", 307: "text/plain", 308: "text/plain"} {
			srv := redirecting(t, p, status, "/to")
			srv.Script("/to", ssetest.Script{ssetest.Data("1")}, ssetest.Script{ssetest.Data("2")})
			cfg := again()
			cfg.Method, cfg.Body = http.MethodPost, []byte("ask")
			cfg.Header = http.Header{"X-Mine": {"kept"}}
			for _, name := range []string{"Content-Type", "Content-Language", "Content-Location"} {
				cfg.Header.Set(name, "text/plain")
			}
			s := srv.Open(t, "/from", cfg)
			s.ExpectData("1", "2")
			s.ExpectEnd()
			for i, r := range srv.Requests() {
				assert.Equal(t, "kept", r.Header.Get("X-Mine"))
				for _, name := range []string{"Content-Type", "Content-Language", "Content-Location"} {
					if i == 0 {
						assert.Equal(t, "text/plain", r.Header.Get(name))
					} else {
						assert.Equal(t, then, r.Header.Get(name), "%s of request %d, after %d", name, i+1, status)
					}
				}
			}
		}
	})
}

// Fetch, HTTP-redirect fetch: a redirect to another origin takes Authorization off the request, and so it is not there when that is sent again.
func TestARedirectToAnotherOriginTakesTheCredentialsOff(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		var elsewhere string
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Handle("GET /from", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusFound)
		}))
		srv.Script("GET /to", ssetest.Script{ssetest.Data("1")}, ssetest.Script{ssetest.Data("2")})
		scheme, _, _ := strings.Cut(srv.URL, ":")
		elsewhere = scheme + "://example.com/to" // which is another name of the server's
		cfg := again()
		cfg.Header = http.Header{"Authorization": {"Bearer secret"}}
		s := srv.Open(t, "/from", cfg)
		s.ExpectData("1", "2")
		s.ExpectEnd()
		var tokens []string
		for _, r := range srv.Requests() {
			tokens = append(tokens, r.Header.Get("Authorization"))
		}
		assert.Equal(t, []string{"Bearer secret", "", "", ""}, tokens)
	})
}

// Fetch, HTTP-redirect fetch: a redirect without a Location is a response like any other, and one whose Location is no HTTP(S) URL is a network error,
// which 9.2.3 allows to be given up where it is futile.
func TestRedirectsThatLeadNowhereFailForGood(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, location := range []string{"", "mailto:x@example.com", "data:text/event-stream,data:x", "ftp://example.com/", "http://[::1", "%zz", "http://", "//"} {
			for _, status := range []int{301, 302, 303, 307, 308} {
				name := fmt.Sprintf("%d to %q", status, location)
				srv := redirecting(t, p, status, location)
				cfg := again()
				cfg.Timeout = time.Second
				_, err := ssetest.Dial(t.Context(), srv.URL+"/from", cfg)
				require.Equal(t, status, refusedWith(err), "%s: %v", name, err)
				require.ErrorContains(t, err, fmt.Sprintf("the Location %q", location), name)
				assert.Len(t, srv.Requests(), 1, name)
			}
		}
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Response{Status: 307}}) // without the field
		_, err := ssetest.Dial(t.Context(), srv.URL+"/feed", again())
		assert.Equal(t, 307, refusedWith(err))
		assert.Len(t, srv.Requests(), 1)
	})
}

// Fetch, HTTP-redirect fetch: 20 redirects are followed, and the next is a network error.
func TestTwentyRedirectsAreFollowed(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /hop/0", ssetest.Script{ssetest.Hold()})
		srv.Handle("GET /hop/{n}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.PathValue("n"))
			http.Redirect(w, r, strconv.Itoa(n-1), http.StatusFound)
		}))
		srv.Open(t, "/hop/20", nil).Close()
		assert.Len(t, srv.Requests(), 21)
		_, err := ssetest.Dial(t.Context(), srv.URL+"/hop/21", nil)
		require.ErrorContains(t, err, "stopped after 20 redirects")
		assert.Len(t, srv.Requests(), 42)

		// An attempt goes on from where the one before was led to.
		srv.Open(t, "/hop/30", again()).Close()
	})
}
