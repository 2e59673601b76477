package ssetest

import (
	"errors"
	"fmt"
	"net/http"
)

// ErrClosed is how a stream ended that was closed on this side, by [EventSource.Close].
var ErrClosed = errors.New("ssetest: stream closed")

// A ResponseError is the error of a response that is not an event stream: one whose status is not 200,
// or whose content type is not text/event-stream (WHATWG HTML, section 9.2.3, Processing model).
type ResponseError struct {
	StatusCode  int
	ContentType string
	Header      http.Header
	Body        []byte // the first KiB
}

// Error says what came and what it should have been.
func (e *ResponseError) Error() string {
	text := fmt.Sprintf("the response has status %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if e.StatusCode == http.StatusOK {
		text = fmt.Sprintf("the response has content type %q", e.ContentType)
	}
	text += ", where an event stream has status 200 and content type text/event-stream"
	if len(e.Body) > 0 {
		text += fmt.Sprintf("; its body begins %.200q", e.Body)
	}
	return text
}

// ErrEventTooLarge is what the errors of a [Decoder] wrap when an event, or a comment that somebody asked for,
// is larger than the limit. The error's text names the limit; see [Decoder.SetMaxEventSize].
var ErrEventTooLarge = errors.New("ssetest: event too large")

// errBadRead is what a reader earns that claims to have read more than it was given room for, or less than nothing.
var errBadRead = errors.New("the reader returned an impossible count")
