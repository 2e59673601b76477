package ssetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDrainBytes and drainPatience bound how much of a body that is refused is read all the same, so that its connection can be used again.
// net/http would close it, and linger there for a while.
const (
	maxDrainBytes = 64 << 20
	drainPatience = 100 * time.Millisecond
)

// receive is POST on the topic's path.
func (t *Topic) receive(w http.ResponseWriter, r *http.Request) {
	payload, err := readPayload(r, t.srv.cfg.MaxBodyBytes)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		t.srv.refuseRequest(w, r, refused)
	case err != nil:
		panic(http.ErrAbortHandler) // the client has stopped sending, and reads no answer
	default:
		if _, ok := t.broadcast(payload); !ok {
			http.Error(w, closedText, http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusSeeOther)
		_, _ = io.WriteString(w, "broadcasted")
	}
}

// refuseRequest answers a request that is refused.
func (s *Server) refuseRequest(w http.ResponseWriter, r *http.Request, why *refusal) {
	s.note("%s: answered %d: %s", requestLine(r), why.status, why.why)
	drain(w, r)
	http.Error(w, "ssetest: "+why.why, why.status)
}

// drain reads what is left of a body, for a while. Where that does not come to its end, the deadline stays:
// net/http would wait for the rest as well.
func drain(w http.ResponseWriter, r *http.Request) {
	response := http.NewResponseController(w)
	_ = response.SetReadDeadline(time.Now().Add(drainPatience)) // where it can't be set, net/http has its own bounds
	if _, err := io.CopyN(io.Discard, r.Body, maxDrainBytes); errors.Is(err, io.EOF) {
		_ = response.SetReadDeadline(time.Time{})
	}
}

// A refusal is why a request's body is not taken.
type refusal struct {
	status int
	why    string
}

func (r *refusal) Error() string { return r.why }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// readPayload returns what a POST wants broadcast, as compact JSON.
func readPayload(r *http.Request, limit int64) (string, error) {
	contentType := r.Header.Get("Content-Type")
	mediaType := essence(contentType)
	isText := strings.HasPrefix(mediaType, "text/")
	if !isText && mediaType != "application/json" {
		return "", refuse(http.StatusUnsupportedMediaType, "the Content-Type is %.100q; it must be application/json, or text/* with the payload in the query", contentType)
	}
	body, err := readAll(r, limit)
	if err != nil {
		return "", err
	}
	if isText {
		return queryPayload(r.URL.RawQuery)
	}
	return compactJSON(body)
}

// readAll reads a request's body. A negative limit is none.
func readAll(r *http.Request, limit int64) ([]byte, error) {
	if limit < 0 || limit == math.MaxInt64 {
		return io.ReadAll(r.Body)
	}
	tooLarge := refuse(http.StatusRequestEntityTooLarge, "the body is larger than Config.MaxBodyBytes, which is %d bytes", limit)
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		return nil, tooLarge
	}
	return body, err
}

// queryPayload is a query's parameters as an object of strings. Of a name that is given twice the last value counts.
func queryPayload(query string) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", refuse(http.StatusBadRequest, "the query is malformed: %v", err)
	}
	object := make(map[string]string, len(values))
	for name, all := range values {
		if !utf8.ValidString(name + all[len(all)-1]) {
			return "", refuse(http.StatusBadRequest, "the query is malformed: %q is ill-formed UTF-8", name+"="+all[len(all)-1])
		}
		object[name] = all[len(all)-1]
	}
	return JSON(object).Data, nil
}

// compactJSON removes the white space between the tokens of one JSON value, and leaves all else as it is.
func compactJSON(body []byte) (string, error) {
	// Compact's own errors do not say where.
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return "", refuse(http.StatusBadRequest, "the body is not JSON: %v, at byte %d", err, errorPosition(err, body))
	}
	if at := firstIllFormed(body); at >= 0 {
		return "", refuse(http.StatusBadRequest, "the body is not JSON: ill-formed UTF-8, at byte %d", at)
	}
	var compact bytes.Buffer
	compact.Grow(len(body))
	if err := json.Compact(&compact, body); err != nil {
		return "", refuse(http.StatusBadRequest, "the body is not JSON: %v", err)
	}
	return compact.String(), nil
}

// errorPosition is the index of the byte that a JSON error is about, counted from 0. At the body's end it is its length.
func errorPosition(err error, body []byte) int64 {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return int64(len(body))
	}
	if strings.HasPrefix(syntax.Error(), "unexpected end") {
		return int64(len(body))
	}
	return syntax.Offset - 1 // Offset counts the byte itself
}

// firstIllFormed returns the index of the first byte that is not UTF-8, or -1.
func firstIllFormed(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
