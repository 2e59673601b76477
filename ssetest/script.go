package ssetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Script serves scripts to the requests that a pattern of [http.ServeMux] matches, such as "GET /feed" or
// "POST /v1/chat/completions". One script is served to every request. Of several, each is served to one request, in their order,
// and from then on the answer is 204, after which a conforming client does not come back.
// The pattern comes before the built-in endpoints: "GET /sse" replaces the letters.
//
// HEAD and OPTIONS use up no script: HEAD gets the headers of the next one, OPTIONS 204, or 405 where the pattern has another method.
// A request's body is read before anything is sent, up to Config.MaxBodyBytes; a larger one is answered with 413, and uses up no script either.
//
// Script panics where the pattern is malformed or conflicts with an earlier one, where there is no script, and where a step is wrong by itself
// or where it stands: a [Response] that is not the first, anything behind an ending.
func (s *Server) Script(pattern string, scripts ...Script) {
	if len(scripts) == 0 {
		panic(fmt.Sprintf("ssetest: Script(%q): there is no script", pattern))
	}
	endpoint := &scripted{srv: s, several: len(scripts) > 1}
	for i, script := range scripts {
		if err := script.check(); err != nil {
			which := ""
			if endpoint.several {
				which = fmt.Sprintf("script %d, ", i+1)
			}
			panic(fmt.Sprintf("ssetest: Script(%q): %s%v", pattern, which, err))
		}
		endpoint.scripts = append(endpoint.scripts, script.clone())
		endpoint.segments = append(endpoint.segments, script.segments())
	}
	s.serve("Script", pattern, endpoint.serve)
}

// clone returns a copy that the caller can't change any more.
func (s Script) clone() Script {
	c := slices.Clone(s)
	if len(c) > 0 {
		if r, ok := c[0].(Response); ok {
			r.Header = maps.Clone(r.Header)
			for name, values := range r.Header {
				r.Header[name] = slices.Clone(values)
			}
			c[0] = r
		}
	}
	return c
}

// serve registers an endpoint that streams.
func (s *Server) serve(method, pattern string, serve http.HandlerFunc) {
	for _, never := range []string{http.MethodHead, http.MethodOptions} {
		if strings.HasPrefix(pattern, never+" ") {
			panic(fmt.Sprintf("ssetest: %s(%q): a request with that method gets no stream", method, pattern))
		}
	}
	s.register(method, pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if s.readRequest(w, r) {
			serve(w, r)
		}
	}))
}

// readRequest reads a request's body, since nobody notices a client that leaves before it is read, and lets it be read again.
// It reports false where the request has been refused.
func (s *Server) readRequest(w http.ResponseWriter, r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	body, err := readAll(r, s.cfg.MaxBodyBytes)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		s.refuseRequest(w, r, refused)
		return false
	case err != nil:
		panic(http.ErrAbortHandler) // the client has stopped sending, and reads no answer
	}
	r.Body = newReadBody(body)
	return true
}

// A readBody is a request's body that has been read, and can be read again.
type readBody struct {
	*bytes.Reader
	all []byte
}

func newReadBody(all []byte) *readBody { return &readBody{bytes.NewReader(all), all} }

func (*readBody) Close() error { return nil }

// scripted is an endpoint that serves scripts.
type scripted struct {
	srv      *Server
	scripts  []Script
	segments [][]int64 // of each
	several  bool

	mu   sync.Mutex // guards next
	next int
}

func (e *scripted) serve(w http.ResponseWriter, r *http.Request) {
	i := e.take(r.Method != http.MethodHead)
	if i == len(e.scripts) {
		e.srv.noteOn(exchangeOf(r), "answered 204, since the scripts are used up")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p := newPlayer(w, r, e.segments[i])
	response, steps := e.scripts[i].split()
	if r.Method == http.MethodHead {
		_ = p.begin(Response{Status: response.Status, Header: response.Header}, true)
		return
	}
	err := p.begin(response, len(steps) == 0)
	if err == nil {
		err = p.play(steps)
	}
	p.conclude(err)
}

// take returns the number of the script for a request, which uses it up or not; where none is left, it is the number of all.
func (e *scripted) take(use bool) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.next
	if use && e.several && i < len(e.scripts) {
		e.next++
	}
	return i
}

// split returns how a script answers the request, and what it streams then.
func (s Script) split() (Response, []Step) {
	response, ok := Response{}, false
	if len(s) > 0 {
		response, ok = s[0].(Response)
	}
	if !ok {
		return Response{}, s
	}
	steps := []Step(s[1:])
	if len(steps) > 0 && steps[0] == End() {
		steps = nil
	}
	return response, steps
}
