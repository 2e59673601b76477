package ssetest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"
)

// OpenConfig is how a stream shall be opened. Nil and the zero value are good; a number that is 0 is the default,
// a negative one means none. The calls that take one copy it.
type OpenConfig struct {
	_ [0]func() // may get fields that can't be compared

	// Client sends the request. By default it is that of the [Server] of this process that the URL belongs to,
	// and for any other URL [http.DefaultClient]. Its Timeout, where it has one, ends the stream.
	// Redirects are followed as its CheckRedirect says, and where that is nil 20 of them.
	Client *http.Client

	// Method is GET by default.
	Method string

	// Header is added to the request, in place of what an EventSource sends by itself
	// (Accept: text/event-stream, Cache-Control: no-cache, Pragma: no-cache) where it has the same names.
	Header http.Header

	// Body is the request's body, which every attempt sends, unless a redirect has made a GET of the request.
	// Its Content-Type is for Header to say, and its Method for Method.
	Body []byte

	// LastEventID is where to resume: the last event ID that an earlier stream ended with.
	// It is sent where it is not empty, over a Last-Event-ID in Header (which is the same), and is the ID of events that come without one.
	LastEventID string

	// Timeout is how long to wait for the response, with Reconnect for the first one that opens the stream, however many attempts that takes,
	// and of each later attempt for its own. It is also how long each of the Stream's methods may wait.
	// By default it is the server's Config.Timeout, and with a foreign server 30 s, or in a testing/synctest bubble 24 h. Negative: no limit.
	Timeout time.Duration

	// Reconnect has the stream come back when it has ended or broken, or could not be opened: see [EventSource].
	// By default the end is the end, so that no test is fooled by a client that hides a broken stream.
	Reconnect bool

	// ReconnectionTime is for how long to wait before the next attempt, 3 s by default, until the server says something else,
	// with a retry field. Negative: not at all.
	ReconnectionTime time.Duration

	// MaxBackoff bounds the time between attempts that keep failing: from the second failure in a row on each wait is twice as long as the one before,
	// and two milliseconds at least, up to this, 30 s by default, or up to the reconnection time where that is longer. Negative: every wait is the reconnection time.
	MaxBackoff time.Duration

	// MaxAttempts is after how many attempts in a row that could not open the stream it ends. By default there is no such number.
	MaxAttempts int

	// ReadTimeout is how long an open stream may be silent, without a single byte, before it is broken off with [ErrReadTimeout].
	// By default it may be silent for ever.
	ReadTimeout time.Duration

	// OnOpen is called with each response that has opened the stream, OnComment with each comment's text, and OnError with what the stream broke by,
	// or an attempt failed by, that another attempt is to follow. They may be nil. They are called by [Dial], [EventSource.Next] and the methods of [Stream],
	// in the goroutine that calls those, and in the order in which things arrived among the events.
	OnOpen    func(response *http.Response)
	OnComment func(text string)
	OnError   func(err error)

	recordHeader bool // the transcript has the headers of responses
	anyEventSize bool // no event is too large
}

const (
	defaultReconnectionTime = 3 * time.Second
	defaultMaxBackoff       = 30 * time.Second
)

// withDefaults returns a copy in which no field is zero that means something else.
func (c *OpenConfig) withDefaults(url string) *OpenConfig {
	var full OpenConfig
	if c != nil {
		full = *c
	}
	server := serverOf(url)
	if full.Client == nil {
		full.Client = http.DefaultClient
		if server != nil {
			full.Client = server.Client()
		}
	}
	if full.Method == "" {
		full.Method = http.MethodGet
	}
	if full.Timeout == 0 {
		full.Timeout = timeoutOfClock()
		if server != nil {
			full.Timeout = server.cfg.Timeout
		}
	}
	full.ReconnectionTime = max(orDefault(full.ReconnectionTime, defaultReconnectionTime), 0)
	full.MaxBackoff = orDefault(full.MaxBackoff, defaultMaxBackoff)
	full.Header = full.Header.Clone()
	if id := full.Header.Get("Last-Event-ID"); id != "" { // where it begins, and not what every attempt sends
		full.LastEventID = cmp.Or(full.LastEventID, id)
	}
	full.Header.Del("Last-Event-ID")
	return &full
}

// check says what is wrong with a request that could not be sent.
func (c *OpenConfig) check(address string) error {
	if _, err := http.NewRequest(c.Method, address, nil); err != nil {
		return err
	}
	if _, std := c.Client.Transport.(*http.Transport); std || c.Client.Transport == nil {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		if !isStreamURL(u) {
			return fmt.Errorf("the URL is %q; it must begin with http:// or https:// and a host", address)
		}
	}
	if err := checkLastEventID(c.LastEventID); err != nil {
		return fmt.Errorf("OpenConfig.LastEventID is %q: %w", c.LastEventID, err)
	}
	for name, values := range c.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("OpenConfig.Header: %q can't be the name of a header field", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("OpenConfig.Header: the field %s has a value that no header can carry", name) // it may be a secret
			}
		}
	}
	return nil
}

var errControlCharacter = errors.New("a header can carry no control characters")

// checkLastEventID says what is wrong with a last event ID, which no header could carry.
func checkLastEventID(id string) error {
	if !httpguts.ValidHeaderFieldValue(id) {
		return errControlCharacter
	}
	return nil
}
