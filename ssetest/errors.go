package ssetest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"golang.org/x/net/http2"
)

// How a stream can end other than by its clean end, which is [io.EOF]. The errors of [EventSource.Next] and [Dial] wrap one of these, where it is one
// of these, and are the same over every protocol; the transport's own error is wrapped as well.
var (
	// ErrClosed is the end of a stream that was closed on this side, by [EventSource.Close].
	ErrClosed = errors.New("ssetest: stream closed")

	// ErrStreamAborted is the end of a stream that its server has broken off. Over HTTP/1.1, that is a connection closed within the body.
	// Over HTTP/2 it is a RST_STREAM, whose code [errors.As] finds as an [http2.StreamError], or a connection closed without one.
	ErrStreamAborted = errors.New("ssetest: stream aborted")

	// ErrConnectionReset is the end of a stream whose connection was broken off by a TCP RST. With clients other than [Server.Client]
	// it can be ErrStreamAborted over HTTP/2: see [ResetConn].
	ErrConnectionReset = errors.New("ssetest: connection reset")

	// ErrGoneAway is the end of a stream that a server did not answer or finish after its GOAWAY.
	ErrGoneAway = errors.New("ssetest: server gone away")

	// ErrReadTimeout is the end of a stream that was silent for longer than OpenConfig.ReadTimeout.
	ErrReadTimeout = errors.New("ssetest: read timeout")
)

// broken wraps the error that broke a stream with the one that says in what way; where that is none of ours, it is returned as it is.
func broken(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // without the URL, which may say anything
	}
	kind := error(nil)
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		kind = ErrConnectionReset
	case strings.Contains(err.Error(), "GOAWAY"): // net/http has no error that could be asked for
		kind = ErrGoneAway
	case errors.As(err, new(http2.StreamError)), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		kind = ErrStreamAborted
	default:
		return err
	}
	if cause := errors.Unwrap(err); cause != nil {
		err = cause // who read it has nothing to add
	}
	return fmt.Errorf("%w: %w", kind, err)
}

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
	if isRedirectStatus(e.StatusCode) {
		text += fmt.Sprintf(" and the Location %q", redact("Location", e.Header.Get("Location")))
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

// errOtherBubble is what a stream is told that is used on the other side of a testing/synctest bubble's wall, where nobody could wait for it.
var errOtherBubble = errors.New("ssetest: the stream was opened on the other side of a testing/synctest bubble's wall; open it in the bubble that uses it, with a server that was made there")

// errBadRead is what a reader earns that claims to have read more than it was given room for, or less than nothing.
var errBadRead = errors.New("the reader returned an impossible count")
