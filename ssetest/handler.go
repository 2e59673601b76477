package ssetest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const closedText = "ssetest: the server is closed"

// handler is what every request goes through: accounting, then CORS, then Config.Wrap, then the endpoint.
// It is nil where Config.Wrap has returned that.
func (s *Server) handler() http.Handler {
	var h http.Handler = http.HandlerFunc(s.route)
	if s.cfg.Wrap != nil {
		if h = s.cfg.Wrap(h); h == nil {
			return nil
		}
	}
	return s.account(s.cors(h))
}

// What a stream needs of the stack while it is idle decides whether it fits into 4 KiB, or takes 8. What comes before the endpoint, enter and endpoint and newOutlet, are therefore
// functions that have returned by then.

// account knows of every request that is being answered, and records the trouble that it ends in.
func (s *Server) account(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := s.enter(w, r)
		if x == nil {
			return
		}
		defer s.leave(x)
		next.ServeHTTP(countingWriter{w, x}, r)
		x.returned = true
	})
}

// enter takes note of a request, of which the exchange is a part from then on. Where the server is closed it answers that, and returns nil.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) *exchange {
	token := r.Header.Get(tokenHeader)
	r.Header.Del(tokenHeader) // nobody shall see what is between Open and us
	x := &exchange{srv: s, since: time.Now()}
	ordinal, ok := x.identify(r)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	if x.stream != 0 {
		r.TLS = x.conn.tls
	}
	x.request = requestLine(r)
	x.asked = askedLine(r)
	x.path = r.URL.Path
	x.record = newRequestRecord(r, x, ordinal)
	if !s.begin(x, r, token) {
		if x.conn != nil && x.conn.socket.doomed.Load() {
			panic(http.ErrAbortHandler) // the client is about to see its connection reset, and asks again
		}
		http.Error(w, closedText, http.StatusServiceUnavailable)
		return nil
	}
	x.ctx, x.header = r.Context(), w.Header()
	*r = *r.WithContext(withExchange(x.ctx, x)) // in its place, since there is nobody who could need the other one
	return x
}

// leave takes note of how a handler has ended. It is deferred.
func (s *Server) leave(x *exchange) {
	defer s.end(x)
	switch {
	case !x.returned:
		s.recordPanic(x, recover())
	case x.aborted.Load():
		panic(http.ErrAbortHandler) // again, should Config.Wrap have recovered it
	}
}

// recordPanic records how a handler ended without returning, and lets the client see that its stream is broken.
func (s *Server) recordPanic(x *exchange, value any) {
	switch err, _ := value.(error); {
	case value == nil:
		// Goexit can't be stopped from here. net/http breaks the stream.
		x.aborted.Store(true)
		s.fail("the handler of %s was ended by runtime.Goexit; has it called FailNow, Fatal or require?", x)
		return
	case errors.Is(err, http.ErrAbortHandler):
	default:
		s.fail("panic in the handler of %s: %v\n\n%s", x, value, panicStack())
	}
	x.aborted.Store(true)
	panic(http.ErrAbortHandler)
}

// panicStack is the stack of a panic that has just been recovered, from the function that panicked.
func panicStack() string {
	stack := string(debug.Stack())
	if _, below, ok := strings.Cut(stack, "\npanic("); ok {
		_, below, _ = strings.Cut(below, "\n") // panic's own arguments
		_, below, _ = strings.Cut(below, "\n") // and where it is
		return below
	}
	return stack
}

// route serves a request by the user's patterns, and where none matches by the built-in ones.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	endpoint, pattern := s.endpoint(r)
	o := s.newOutlet(w, r, pattern)
	defer o.release()
	endpoint.ServeHTTP(o, o.request)
	o.finish()
}

// endpoint finds what serves a request, and its pattern.
func (s *Server) endpoint(r *http.Request) (http.Handler, string) {
	custom, pattern := s.custom.Handler(r)
	handler, builtin := builtinMux.Handler(r)
	switch {
	case builtin != "" && (pattern == "" || isRedirect(custom)):
		r.Pattern = builtin // as the mux would set it, which would look for it once more
		return handler, builtin
	case pattern != "":
		return s.custom, pattern
	}
	return http.HandlerFunc(s.refuseTarget), ""
}

// refuseTarget answers a request for which there is no endpoint.
func (s *Server) refuseTarget(w http.ResponseWriter, r *http.Request) {
	allow := s.allowed(r)
	if len(allow) == 0 {
		s.note("%s: answered 404, since there is no such path", requestLine(r))
		http.NotFound(w, r)
		return
	}
	s.note("%s: answered 405, since only %s is allowed there", requestLine(r), strings.Join(allow, ", "))
	w.Header().Set("Allow", strings.Join(allow, ", "))
	http.Error(w, fmt.Sprintf("%s is not allowed here, only %s", r.Method, strings.Join(allow, ", ")), http.StatusMethodNotAllowed)
}

// isRedirect reports whether a handler is the one with which a ServeMux sends a client to a path with a slash more:
// an endpoint at the very path comes before that.
func isRedirect(h http.Handler) bool {
	return reflect.TypeOf(h) == reflect.TypeOf(http.RedirectHandler("", http.StatusMovedPermanently))
}

// allowed returns the methods that either mux has for a path, which each of them tells by itself in its own 405.
func (s *Server) allowed(r *http.Request) []string {
	var methods []string
	for _, mux := range []*http.ServeMux{s.custom, builtinMux} {
		refusal, pattern := mux.Handler(r)
		if pattern != "" {
			continue // registered just now; an endpoint is not run to see what it says
		}
		answer := httptest.NewRecorder()
		refusal.ServeHTTP(answer, r)
		if allow := answer.Header().Get("Allow"); allow != "" {
			methods = append(methods, strings.Split(allow, ", ")...)
		}
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}
