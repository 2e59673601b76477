package ssetest

import (
	"crypto/tls"
	"fmt"
	"log"
	"math"
	"net/http"
	"time"
)

// Protocol is what a [Server] and its [Server.Client] speak.
type Protocol int

// The protocols. A server with HTTP2 or H2C answers HTTP/1.1 as well, to a client that asks for nothing better.
const (
	HTTP2  Protocol = iota // HTTP/2 over TLS
	HTTPS1                 // HTTP/1.1 over TLS
	HTTP1                  // HTTP/1.1 without TLS
	H2C                    // HTTP/2 without TLS, with prior knowledge (RFC 9113, section 3.3)
)

var protocolNames = [...]string{HTTP2: "HTTP2", HTTPS1: "HTTPS1", HTTP1: "HTTP1", H2C: "H2C"}

// String returns the constant's name.
func (p Protocol) String() string {
	if !p.valid() {
		return fmt.Sprintf("Protocol(%d)", int(p))
	}
	return protocolNames[p]
}

func (p Protocol) valid() bool { return p >= 0 && int(p) < len(protocolNames) }

// Config is how a [Server] shall be. Nil and the zero value are good; a number that is 0 is the default,
// a negative one means none. [NewServer] and [Start] copy it: what is changed afterwards has no effect.
type Config struct {
	_ [0]func() // may get fields that can't be compared

	// Seed is what letters and IDs are made from. The same seed gives the same bytes, on every machine and
	// in every release. 0 is a seed like any other.
	Seed uint64

	// LetterInterval is the time between two letters of GET /sse, 5 s by default.
	// Negative: no letter comes by itself, only by [Server.Tick].
	LetterInterval time.Duration

	// Retry is the reconnection time that letters and posts announce, in whole milliseconds, 6 s by default.
	// Negative: they announce none.
	Retry time.Duration

	// History is how many events a topic keeps for clients that come back with Last-Event-ID, 1024 by default.
	// Of very large events it keeps fewer: at most 64 MiB. Negative: it keeps none.
	History int

	// MaxBodyBytes is the largest body of a request that topics, scripts and feeds take, 8 MB (8,000,000 bytes) by default. Negative: no limit.
	MaxBodyBytes int64

	// Protocol is HTTP2 by default.
	Protocol Protocol

	// Network is Auto by default: in memory in a testing/synctest bubble, and else the loopback interface.
	// With InMemory, Addr is without effect; Auto with an Addr is Loopback, but for a bubble.
	Network Network

	// MaxConcurrentStreams is how many streams a client may have open on one HTTP/2 connection (RFC 9113, section 5.1.2),
	// 250 by default. With one more, the client waits, or opens another connection: that is for the client to decide.
	// Negative: as many as the protocol has numbers for.
	MaxConcurrentStreams int

	// Compress has event streams compressed with gzip for clients that accept it, as Go's transport does unless told otherwise.
	// Whatever is flushed, is flushed through the compression. A response that has a Content-Encoding already is left as it is.
	Compress bool

	// Addr is the "host:port" to listen on. By default it is a free port of the loopback interface, 127.0.0.1:0.
	Addr string

	// AllowedOrigins are those whose pages a browser lets read the responses (CORS), such as https://app.example or http://localhost:5173.
	// By default there is none, and no response says anything of it. Each may send any method that an endpoint has, any header, and credentials.
	// "*" is any origin, without credentials. The preflight of an origin that is not allowed is answered with 403.
	AllowedOrigins []string

	// Certificate is shown in place of the server's own, which is good for localhost, 127.0.0.1 and ::1, and is made when the process needs one.
	// [Server.Client] trusts it, but asks for the host of the server's URL. Without TLS it is without effect.
	Certificate *tls.Certificate

	// Farewell is a comment with which [Server.Close] ends the event streams that are open then; by default they end without a word.
	Farewell string

	// Wrap goes around every endpoint, the built-in ones and those of [Server.Handle], [Server.Script] and [Server.Feed]: for authorization, logging, latency.
	// The ResponseWriter that it passes on must be able to flush, by itself or by an Unwrap method
	// as [http.ResponseController] asks for; else the streams answer 500 and the test fails.
	// One that holds back what is written, to compress it, needs a Flush of its own, or nobody gets anything.
	Wrap func(http.Handler) http.Handler

	// Timeout is how long anything that waits for the server or for an event may wait before it fails the test,
	// 30 s by default: longer than any default interval. A test that passes never pays for it. Negative: no limit.
	// In a testing/synctest bubble it is 24 h by default, of its virtual time: a wait for what never comes is over at once. (With no limit, the
	// runtime calls such a wait a deadlock.)
	Timeout time.Duration

	// ErrorLog takes what goes wrong on the server's side, what net/http logs, and preflights that are refused, where there is no test to fail:
	// of a server of [Start].
	// Nil is the log package's standard logger, as with [http.Server].
	ErrorLog *log.Logger
}

const (
	defaultLetterInterval = 5 * time.Second
	defaultRetry          = 6 * time.Second
	defaultHistory        = 1024
	defaultMaxBodyBytes   = 8_000_000
	defaultTimeout        = 30 * time.Second
	defaultVirtualTimeout = 24 * time.Hour // in a bubble

	defaultMaxConcurrentStreams = 250 // net/http's
)

// withDefaults returns a copy in which no number is 0 that means something else, or says which field is wrong.
func (c *Config) withDefaults() (*Config, error) {
	var full Config
	if c != nil {
		full = *c
	}
	full.LetterInterval = orDefault(full.LetterInterval, defaultLetterInterval)
	full.Retry = max(orDefault(full.Retry, defaultRetry), 0)
	full.History = max(orDefault(full.History, defaultHistory), 0)
	full.MaxBodyBytes = orDefault(full.MaxBodyBytes, defaultMaxBodyBytes)
	full.Timeout = orDefault(full.Timeout, timeoutOfClock())
	full.MaxConcurrentStreams = orDefault(full.MaxConcurrentStreams, defaultMaxConcurrentStreams)
	if n := full.MaxConcurrentStreams; n < 0 || int64(n) > math.MaxInt32 {
		full.MaxConcurrentStreams = math.MaxInt32
	}
	if full.ErrorLog == nil {
		full.ErrorLog = log.Default()
	}
	var err error
	if full.AllowedOrigins, err = parseOrigins(full.AllowedOrigins); err != nil {
		return &full, err
	}
	return &full, full.check()
}

func (c *Config) check() error {
	if !c.Protocol.valid() {
		return fmt.Errorf("Config.Protocol is %v; it must be HTTP2, HTTPS1, HTTP1 or H2C", c.Protocol)
	}
	if !c.Network.valid() {
		return fmt.Errorf("Config.Network is %v; it must be Auto, Loopback or InMemory", c.Network)
	}
	if c.Certificate != nil {
		if err := checkCertificate(c.Certificate); err != nil {
			return err
		}
	}
	if c.Retry%time.Millisecond != 0 {
		return fmt.Errorf("Config.Retry is %v; it must be whole milliseconds, which is what a retry field can say", c.Retry)
	}
	return nil
}

// timeoutOfClock is the default timeout, by the clock that is in force.
func timeoutOfClock() time.Duration {
	if inBubble() {
		return defaultVirtualTimeout
	}
	return defaultTimeout
}

func orDefault[N int | int64 | time.Duration](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}
