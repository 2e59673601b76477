package ssetest

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-ssetest/sse/internal/h2conn"
	"github.com/go-ssetest/sse/internal/memnet"
)

// A Server is a fake that serves event streams, in the process of the test that uses it.
// Make one with [NewServer], or with [Start] where there is no test. All methods may be called from several goroutines.
type Server struct {
	// URL is where the server is, "https://127.0.0.1:40123", without a slash at the end. It must not be changed.
	URL string

	cfg     *Config
	seed    seed
	test    testing.TB // nil with Start
	letters *letters
	post    *Topic

	custom *http.ServeMux // what Handle and Topic were given

	memory       *memnet.Listener // where it listens; nil on loopback
	bubble       string           // the testing/synctest bubble that it was made in; "" for none
	bodies       *bodies          // of Client's responses, in a bubble; nil elsewhere
	dialLoopback func(ctx context.Context, network, addr string) (net.Conn, error)

	front    *httptest.Server
	h2       *http.Server  // serves HTTP/2 behind the TLS of front; nil with other protocols
	h2queue  *queue        // hands connections to h2
	h2served chan struct{} // closed when h2 has stopped serving
	wire     *h2conn.Group // the HTTP/2 connections, and the streams that are open on their wires
	listener *listener     // where connections are accepted

	base   context.Context // of every request; cancelled by Close
	cancel context.CancelFunc
	once   sync.Once // of Close
	held   bool      // Close holds it open

	log      *transcriptLog
	progress atomic.Int64 // grows with whatever is read or written; Close watches it

	mu       sync.Mutex // guards what follows; never held over I/O, a wait or a call of foreign code
	changed  signal     // raised when one of these has changed
	closing  bool
	opened   int                // requests so far
	streams  map[*exchange]bool // requests that are being answered
	requests requestLog         // the newest of them
	topics   map[string]*Topic  // by path
	feeds    []*Feed
	chaos    *chaos              // in force; nil: none
	chaosRun []*chaos            // that was or is in force: the newest
	patterns []string            // given to Handle, Script and Feed
	accounts map[string]*account // by token, of the streams that were opened with Open
	trouble  []string            // what fails the test
	notes    []string            // what may explain why it failed
	dropped  int                 // notes that were too many

	moreTrouble int // than is kept
}

// NewServer starts a server that is closed by t.Cleanup. Nil for cfg is the default [Config].
// What goes wrong on the server's side, such as a panic in a handler, fails t when the server is closed.
//
// It may be made in a test whose parallel subtests use it: what they call takes their own t.
// Each of them then wants a [Server.Topic] of its own, or it would see what the others publish.
// In a testing/synctest bubble, t is the bubble's.
func NewServer(t testing.TB, cfg *Config) *Server {
	t.Helper()
	mustEndInTime(t, "NewServer")
	s, err := start(cfg, t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Helper()
		s.Close()
		s.leaveBubble()
		if t.Failed() {
			s.logExplanation(t)
		}
	})
	return s
}

// Start starts a server without a test: in TestMain, in an example, in a command. It must be closed with [Server.Close].
// In a testing/synctest bubble, what NewServer closes when the test ends has to be closed before as well.
// What goes wrong on the server's side goes to Config.ErrorLog. The error says which field of cfg is wrong,
// or that the address can't be had.
func Start(cfg *Config) (*Server, error) { return start(cfg, nil) }

func start(cfg *Config, test testing.TB) (*Server, error) {
	held := false
	if test != nil {
		cfg, held = heldOpen(cfg)
	}
	s, err := newServer(cfg, test)
	if err != nil {
		return nil, err
	}
	s.held = held
	if err := s.listen(); err != nil {
		s.cancel()
		if held {
			err = fmt.Errorf("-ssetest.serve, or SSETEST_SERVE: %w", err)
		}
		return nil, fmt.Errorf("ssetest: starting the server: %w", err)
	}
	running.Store(strings.ToLower(s.URL), s)
	if held {
		s.sayHeld()
	}
	return s, nil
}

// newServer makes a server that does not listen yet.
func newServer(cfg *Config, test testing.TB) (*Server, error) {
	full, err := cfg.withDefaults()
	if full.Network == Auto && full.Addr != "" && !inBubble() {
		full.Network = Loopback // it is asked for by its address
	}
	if err == nil {
		full.Network, err = full.Network.resolve(test)
	}
	if err != nil {
		return nil, fmt.Errorf("ssetest: %w", err)
	}
	s := &Server{
		bubble:   bubble(),
		cfg:      full,
		seed:     seed(full.Seed),
		test:     test,
		log:      newTranscriptLog(),
		custom:   http.NewServeMux(),
		streams:  make(map[*exchange]bool),
		topics:   make(map[string]*Topic),
		accounts: make(map[string]*account),
	}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.letters = newLetters(s)
	s.post = s.newTopic(postPath)
	return s, nil
}

// builtinMux has what every server serves. It is made once, since that takes longer than to start a server; which one a request is for, its exchange tells.
var builtinMux = newBuiltinMux()

func newBuiltinMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+lettersPath, func(w http.ResponseWriter, r *http.Request) { exchangeOf(r).srv.letters.serve(w, r) })
	mux.HandleFunc("GET "+postPath, func(w http.ResponseWriter, r *http.Request) { exchangeOf(r).srv.post.serve(w, r) })
	mux.HandleFunc("POST "+postPath, func(w http.ResponseWriter, r *http.Request) { exchangeOf(r).srv.post.receive(w, r) })
	return mux
}

// running has the servers of this process, by URL in lower case: [Open] and [Dial] know their own.
var running sync.Map

// serverOf returns the running server that a URL belongs to, or nil. The host may be localhost as well.
func serverOf(address string) *Server {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	if s, ok := running.Load(strings.ToLower(u.Scheme + "://" + u.Host)); ok {
		return s.(*Server)
	}
	if u.Hostname() == "localhost" {
		for _, loopback := range []string{"127.0.0.1", "::1"} {
			if s, ok := running.Load(u.Scheme + "://" + net.JoinHostPort(loopback, u.Port())); ok {
				return s.(*Server)
			}
		}
	}
	return nil
}

// Client returns a client that trusts the server's certificate and speaks its protocol. It is closed with the server.
// In a testing/synctest bubble its Transport closes bodies that a test has forgotten, when the test ends; elsewhere it is an [*http.Transport].
// On the other side of a bubble's wall, every request of it is an error.
func (s *Server) Client() *http.Client {
	if err := s.checkBubble(); err != nil {
		return &http.Client{Transport: refusingTransport{err}}
	}
	return s.front.Client()
}

// Certificate returns the certificate that the server shows, or nil where it has no TLS.
// That is Config.Certificate, or one that is made anew for each process, and is its own authority: for localhost, 127.0.0.1, ::1 and example.com.
func (s *Server) Certificate() *x509.Certificate { return s.front.Certificate() }

// Handle serves any handler of yours beside the built-in endpoints, and before them: the one under test, a token endpoint.
// Patterns are those of [http.ServeMux]; one that is malformed, or conflicts with an earlier one, panics.
// Config.Wrap goes around it.
func (s *Server) Handle(pattern string, h http.Handler) { s.register("Handle", pattern, h) }

// register serves a handler. What is wrong with the pattern is said in the name of the method that was called.
func (s *Server) register(method, pattern string, h http.Handler) {
	defer func() {
		if value := recover(); value != nil {
			text := registeredAt.ReplaceAllString(fmt.Sprint(value), "")
			panic(fmt.Sprintf("ssetest: %s(%q): %s", method, pattern, strings.TrimPrefix(text, "http: ")))
		}
	}()
	switch verb, _, ok := strings.Cut(pattern, " "); {
	case strings.Contains(pattern, "://"):
		panic("a pattern has no scheme; it is written as in GET /feed")
	case ok && verb != strings.ToUpper(verb):
		panic(fmt.Sprintf("the method is %q, which no request has; methods are written in capital letters", verb))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.custom.Handle(pattern, h)
	s.patterns = append(s.patterns, pattern)
}

// registeredAt is where a ServeMux was given a pattern: always in this package.
var registeredAt = regexp.MustCompile(` \(registered at [^)]*\)`)

// Topic returns the topic with a path of its own: POST publishes there and GET streams, as with /post,
// which is the topic that the server begins with. The same path gives the same topic.
// It panics where the path has no leading slash, where it has a wildcard, a query or a blank, where it is that of the letters,
// and where [Server.Handle], [Server.Script] or [Server.Feed] have been given it, with whatever method.
func (s *Server) Topic(path string) *Topic {
	if path == s.post.path {
		return s.post
	}
	checkTopicPath(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.topics[path]
	if !known {
		t = s.newTopic(path)
		t.closed = s.closing
		s.checkFree(path)
		t.register(s.custom)
		s.topics[path] = t
	}
	return t
}

// checkFree panics where Handle, Script or Feed have been given a path, with whatever method.
func (s *Server) checkFree(path string) {
	for _, pattern := range s.patterns {
		if i := strings.IndexByte(pattern, '/'); i >= 0 && pattern[i:] == path {
			panic(fmt.Sprintf("ssetest: Topic(%q): there is a handler, script or feed for %q already", path, pattern))
		}
	}
}

// Publish sends events to every open stream of GET /post, each exactly as given: no ID and no retry but its own.
// It returns how many streams took them; it does not wait until they are written.
// Whoever has the headers of a response is subscribed, and misses nothing from there on.
//
// It panics where an event can't be encoded, and publishes none of them then. After [Server.Close] nobody takes anything.
func (s *Server) Publish(events ...Event) int { return s.post.Publish(events...) }

// Post does what POST /post does with v's JSON as its body: the event has an ID from the seed and announces Config.Retry.
// It returns how many streams took it, and panics where v can't be marshalled.
func (s *Server) Post(v any) int { return s.post.Post(v) }

// AwaitSubscribers waits until GET /post has exactly n open streams, joiners and leavers alike.
// It fails t after Config.Timeout. Call it from the test's own goroutine.
func (s *Server) AwaitSubscribers(t testing.TB, n int) {
	t.Helper()
	s.post.AwaitSubscribers(t, n)
}
