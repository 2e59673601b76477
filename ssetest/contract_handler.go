package ssetest

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A HandlerContract is an endpoint under test, for [TestHandler]: one of New, Handler and URL, what to ask it, and what it claims to be able to.
type HandlerContract struct {
	_ [0]func() // may get fields that can't be compared

	// New makes a handler, and what has it emit, anew for each case: in a testing/synctest bubble, on virtual time, unless Without has CanVirtualTime.
	// What has to be closed in the end, is closed by t.Cleanup. Where emit is nil, the handler emits by itself.
	New func(t testing.TB) (handler http.Handler, emit func(e Event))

	// Handler is one handler for all cases, on real time.
	Handler http.Handler

	// URL is where a server runs that has the endpoint, and Client what reaches it, [http.DefaultClient] by default. What needs a handler in this process is skipped:
	// whether it returns, and how it is behind other handlers.
	URL    string
	Client *http.Client

	// Emit has a Handler, or the endpoint at URL, emit an event on every stream that is open. It may be called from any goroutine, and returns when
	// the event is on its way. Where the handler can't emit just any event, it emits one of its own, and Without says what gets lost: CanCarryData, CanCarryTypes, CanCarryIDs.
	// Nil: the handler emits by itself, the same events on every stream where CanResume is claimed.
	Emit func(e Event)

	// Method, Path, Header and Body are the request: GET and / by default. A URL has its own path.
	Method string
	Path   string
	Header http.Header
	Body   []byte

	// Heartbeat is the longest time for which a stream is promised to be silent. 0: nothing is promised. On real time, only up to a second is tried,
	// and a second more is borne.
	Heartbeat time.Duration

	// Without lists what the endpoint does not claim. The cases that need it are skipped, and say so.
	Without []Capability

	// Known lists the cases that it is known to fail, by name: "delivery/each event at once", or on one protocol alone "HTTP2/delivery/each event at once".
	// They are skipped where they fail, with what went wrong; one that passes fails the test, so that the list does not grow old.
	Known []string
}

// TestHandler tests an endpoint that serves an event stream against the WHATWG HTML standard, chapter Server-sent events, the standards of HTTP, and what the endpoint promises:
// its headers, whether each event is sent at once, what is on the wire, resuming, clients that leave, that are many, or do not read. Each case is a subtest, which -run and -skip can choose,
// and says what it rests on.
//
//	func TestNews(t *testing.T) {
//		ssetest.TestHandler(t, ssetest.HandlerContract{
//			New: func(t testing.TB) (http.Handler, func(ssetest.Event)) {
//				broker := NewBroker()
//				t.Cleanup(broker.Close)
//				return broker, func(e ssetest.Event) { broker.Publish(e.ID, e.Data) }
//			},
//			Without: []ssetest.Capability{ssetest.CanCarryTypes},
//		})
//	}
//
// It can't be called in a testing/synctest bubble: New is called in one.
func TestHandler(t *testing.T, c HandlerContract) {
	t.Helper()
	if c.given() != 1 {
		t.Fatal("ssetest: TestHandler: of HandlerContract's New, Handler and URL, one must be set, and no other")
	}
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		t.Fatalf("ssetest: TestHandler: HandlerContract.Path is %q; it must begin with a slash", c.Path)
	}
	if c.New != nil && c.Emit != nil {
		t.Fatal("ssetest: TestHandler: HandlerContract.Emit is for Handler and URL; New returns its own")
	}
	run := &contractRun{of: "handler", without: c.Without, known: c.Known}
	protocols := []Protocol{HTTP1, HTTP2}
	var names []string
	for _, p := range protocols {
		names = append(names, p.String())
	}
	if c.URL != "" {
		names = []string{"URL"}
	}
	run.check(t, handlerCapabilities, names, handlerCases(&c, HTTP1))
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			run.cases(t, name, c.virtual(), handlerCases(&c, protocols[i]))
		})
	}
}

var handlerCapabilities = []Capability{CanVirtualTime, CanResume, CanCarryData, CanCarryTypes, CanCarryIDs, CanRefuseMethods}

func (c *HandlerContract) given() int {
	n := 0
	for _, set := range []bool{c.New != nil, c.Handler != nil, c.URL != ""} {
		if set {
			n++
		}
	}
	return n
}

func (c *HandlerContract) virtual() bool { return c.New != nil && c.claims(CanVirtualTime) }

func (c *HandlerContract) claims(capability Capability) bool {
	return !slices.Contains(c.Without, capability)
}

// request is what the endpoint is asked.
func (c *HandlerContract) request(ctx context.Context, method, url string) (*http.Request, error) {
	var body []byte
	if method == c.method() {
		body = c.Body
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.Header != nil {
		r.Header = c.Header.Clone()
	}
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/event-stream")
	}
	return r, nil
}

func (c *HandlerContract) method() string {
	if c.Method == "" {
		return http.MethodGet
	}
	return c.Method
}

// A handlerCase is a contractCase of handlers.
type handlerCase struct {
	name  string
	rule  string
	needs []Capability
	emits bool // it needs a handler that emits when it is told to
	local bool // it needs a handler in this process
	try   func(c *handlerTry)
}

// handlerCases are all that there are.
func handlerCases(contract *HandlerContract, p Protocol) []contractCase {
	var cases []contractCase
	for _, all := range [][]handlerCase{responseCases(), deliveryCases(), wireCases(), resumeCases(), leaveCases()} {
		for _, c := range all {
			skip := ""
			if c.local && contract.URL != "" {
				skip = "it is for handlers in this process"
			}
			cases = append(cases, contractCase{name: c.name, rule: c.rule, needs: c.needs, skip: skip, try: func(t *contractT) {
				try := newHandlerTry(t, contract, p)
				if c.emits && try.emit == nil {
					t.skip("the handler emits by itself")
				}
				c.try(try)
			}})
		}
	}
	return cases
}
