package ssetest_test

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

var errBroken = errors.New("broken on purpose")

// failing is a reader that breaks.
type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errBroken }

// request sends a request without a body and returns the response, its body read.
func request(t *testing.T, srv *ssetest.Server, method, path string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
	require.NoError(t, err)
	response, err := srv.Client().Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text)
}

func TestWrongMethods(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Topic("/news")
		srv.Handle("PUT /sse", http.NotFoundHandler())
		srv.Handle("REPORT /mine", http.NotFoundHandler())
		for path, allow := range map[string]string{
			"/sse":  "GET, HEAD, PUT",
			"/post": "GET, HEAD, POST",
			"/news": "GET, HEAD, POST",
			"/mine": "REPORT",
		} {
			for _, method := range []string{"DELETE", "OPTIONS", "PATCH"} {
				response, _ := request(t, srv, method, path)
				assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode, "%s %s", method, path)
				assert.Equal(t, allow, response.Header.Get("Allow"), "%s %s", method, path)
			}
		}
		response, _ := request(t, srv, "GET", "/nowhere")
		assert.Equal(t, http.StatusNotFound, response.StatusCode)
	})
}

func TestHeadIsNoStream(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		for _, path := range []string{"/sse", "/post"} {
			response, text := request(t, srv, "HEAD", path)
			assert.Equal(t, 200, response.StatusCode)
			assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
			assert.Empty(t, text)
		}
		srv.AwaitSubscribers(t, 0)
	})
}

func TestHandleComesFirst(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Handle("GET /users/{name}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Pattern+" "+r.PathValue("name"))
		}))
		srv.Handle("GET /sse", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Proto)
			if (r.TLS != nil) != strings.HasPrefix(srv.URL, "https:") {
				t.Errorf("Request.TLS is %v", r.TLS)
			}
		}))
		_, text := request(t, srv, "GET", "/users/ann")
		assert.Equal(t, "GET /users/{name} ann", text)
		_, text = request(t, srv, "GET", "/sse")
		assert.Equal(t, map[ssetest.Protocol]string{
			ssetest.HTTP2: "HTTP/2.0", ssetest.H2C: "HTTP/2.0", ssetest.HTTPS1: "HTTP/1.1", ssetest.HTTP1: "HTTP/1.1",
		}[p], text)
		assert.Panics(t, func() { srv.Handle("GET /sse", http.NotFoundHandler()) }, "the same pattern again")
		assert.Panics(t, func() { srv.Handle("GET", http.NotFoundHandler()) }, "a malformed pattern")
	})
}

func TestExactPathsComeBeforeSlashRedirects(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Handle("/post/", http.NotFoundHandler())
	srv.Handle("/mine/", http.NotFoundHandler())
	srv.Open(t, "/post", nil)
	response, _ := request(t, srv, "GET", "/mine")
	assert.Equal(t, "/mine/", response.Request.URL.Path, "where a ServeMux sends one")
	response, _ = request(t, srv, "GET", "/post/")
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestTokenIsSeenByNobody(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		var inWrap, inHandler http.Header
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inWrap = r.Header.Clone()
				next.ServeHTTP(w, r)
			})
		}})
		srv.Handle("GET /mine", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inHandler = r.Header.Clone()
			w.Header().Set("Content-Type", "text/event-stream")
		}))
		srv.Open(t, "/mine", nil).ExpectEnd()
		wanted := http.Header{
			"Accept": {"text/event-stream"}, "Cache-Control": {"no-cache"}, "Pragma": {"no-cache"},
			"Accept-Encoding": {"gzip"}, "User-Agent": inWrap["User-Agent"],
		}
		assert.Equal(t, wanted, inWrap)
		assert.Equal(t, wanted, inHandler)
	})
}

func TestHTTP1ClientsAreServedToo(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.H2C} {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		transport := srv.Client().Transport.(*http.Transport).Clone()
		defer transport.CloseIdleConnections()
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP1(true)
		if transport.TLSClientConfig != nil {
			transport.TLSClientConfig.NextProtos = nil
		}
		stream := srv.Open(t, "/post", &ssetest.OpenConfig{Client: &http.Client{Transport: transport}})
		assert.Contains(t, describeByTimeout(t, srv), "GET /post HTTP/1.1 (stream 1)")
		srv.Publish(ssetest.Data("x"))
		stream.ExpectData("x")
	}
}

// describeByTimeout makes a wait fail, for what it says of the server.
func describeByTimeout(t *testing.T, srv *ssetest.Server) string {
	return attempt(t, func(t testing.TB) {
		srv.Open(t, "/nowhere", nil)
	}).text()
}

func TestWrapGoesAroundAll(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer secret" {
					http.Error(w, "who are you?", http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		}})
		srv.Topic("/news")
		srv.Handle("GET /mine", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Text/Event-Stream; a=1; a=2")
			_, _ = io.WriteString(w, "data: mine\n\n")
		}))
		authorized := &ssetest.OpenConfig{Header: http.Header{"authorization": {"Bearer secret"}}}
		for _, path := range []string{"/sse", "/post", "/news", "/mine"} {
			_, err := ssetest.Dial(t.Context(), srv.URL+path, nil)
			var refused *ssetest.ResponseError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, http.StatusUnauthorized, refused.StatusCode)
			assert.Equal(t, "who are you?\n", string(refused.Body))
			srv.Open(t, path, authorized).IgnoreRest()
		}
		srv.Open(t, "/mine", authorized).ExpectData("mine")
	})
}

// bare is a ResponseWriter that hides what it could do.
type bare struct{ http.ResponseWriter }

// unwrapping lets http.ResponseController find what is beneath.
type unwrapping struct{ bare }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// TestWrapSeesThePattern behind the endpoint, as behind any ServeMux.
func TestWrapSeesThePattern(t *testing.T) {
	patterns := make(chan string, 3)
	srv := ssetest.NewServer(t, &ssetest.Config{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			patterns <- r.Pattern
		})
	}})
	srv.Handle("GET /mine/{name}", http.NotFoundHandler())
	request(t, srv, "HEAD", "/post")
	request(t, srv, "HEAD", "/sse")
	request(t, srv, "HEAD", "/mine/a")
	assert.Equal(t, []string{"GET /post", "GET /sse", "GET /mine/{name}"}, []string{<-patterns, <-patterns, <-patterns})
}

func TestWrapMustBeAbleToFlush(t *testing.T) {
	wrap := func(around func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(around(w), r) })
		}
	}
	run(t, func(t *testing.T, p ssetest.Protocol) {
		good := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Wrap: wrap(func(w http.ResponseWriter) http.ResponseWriter {
			return unwrapping{bare{w}}
		})})
		good.Open(t, "/sse", nil).ExpectEvents(good.Letter(0))

		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Wrap: wrap(func(w http.ResponseWriter) http.ResponseWriter {
				return bare{w}
			})})
			response, err := srv.Client().Get(srv.URL + "/post")
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusInternalServerError {
				t.Errorf("status %d", response.StatusCode)
			}
		})
		protocol := map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[p == ssetest.HTTP2 || p == ssetest.H2C]
		assert.Equal(t, "ssetest: GET /post "+protocol+" (stream 1): the response can't be flushed: "+
			"the ResponseWriter that Config.Wrap passes on has neither a Flush nor an Unwrap method", failed.text())
	})
}

func TestPanicFailsTheTestWithItsStack(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Handle("GET /panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panicHere() }))
			for _, path := range []string{"/panic?and=query", "/post"} {
				response, err := srv.Client().Get(srv.URL + path)
				if err == nil {
					_ = response.Body.Close()
				}
				if (err != nil) != (path != "/post") {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
		assert.Regexp(t, `^ssetest: panic in the handler of GET /panic\?and=query HTTP/[12]\.[01] \(stream 1\): out of cheese\n\n`, failed.text())
		_, stack, _ := strings.Cut(failed.text(), "\n\n")
		assert.True(t, strings.HasPrefix(stack, "github.com/go-ssetest/sse/ssetest_test.panicHere("), stack)
		assert.Len(t, failed.failures, 1)
	})
}

func panicHere() { panic("out of cheese") }

func TestAbortIsNoFailure(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Handle("GET /abort", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		_, err := ssetest.Dial(t.Context(), srv.URL+"/abort", nil)
		require.Error(t, err)
	})
}

func TestGoexitInAHandlerIsNamed(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
			srv.Handle("GET /require", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }))
			if _, err := ssetest.Dial(t.Context(), srv.URL+"/require", nil); err == nil {
				t.Error("no error")
			}
		})
		assert.Regexp(t, `^ssetest: the handler of GET /require HTTP/.* was ended by runtime.Goexit; has it called FailNow, Fatal or require\?$`, failed.text())
	})
}

func TestLostContextIsNamed(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, &ssetest.Config{Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r.WithContext(t.Context())) })
		}})
		_, _ = ssetest.Dial(t.Context(), srv.URL+"/post", nil)
	})
	assert.Contains(t, failed.text(), "Config.Wrap must derive the one that it passes on from the one that it got")
}

func TestBadPatterns(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	h := http.NotFoundHandler()
	for wanted, f := range map[string]func(){
		`ssetest: Handle("get /feed"): the method is "get", which no request has; methods are written in capital letters`: func() { srv.Handle("get /feed", h) },
		`ssetest: Script("GET https://x/feed"): a pattern has no scheme; it is written as in GET /feed`:                   func() { srv.Script("GET https://x/feed", ssetest.Script{}) },
		`ssetest: Feed(""): invalid pattern`:                                     func() { srv.Feed("") },
		`ssetest: Handle("/x"): nil handler`:                                     func() { srv.Handle("/x", nil) },
		`ssetest: Feed("HEAD /feed"): a request with that method gets no stream`: func() { srv.Feed("HEAD /feed") },
	} {
		assert.Equal(t, wanted, panicText(f))
	}
	srv.Handle("example.com/feed", h) // a host is no mistake
	srv.Topic("/feed2")
}

// TestCloseNotify is for handlers of old, which know of no context.
func TestCloseNotify(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		noticed := make(chan bool)
		srv.Handle("GET /old", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			gone := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush() // who has the headers may have left when it returns
			noticed <- <-gone
		}))
		srv.Open(t, "/old", nil).Close()
		assert.True(t, <-noticed)
	})
}
