package interop_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	donovanhide "github.com/donovanhide/eventsource"
	"github.com/gin-gonic/gin"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/starfederation/datastar-go/datastar"
	"github.com/stretchr/testify/require"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/go-ssetest/sse/ssetest"
)

// A handler is one that is tested, and what it does not claim.
type handler struct {
	name     string
	module   string
	contract ssetest.HandlerContract
}

var handlers = []handler{
	{"tmaxmax/go-sse", "github.com/tmaxmax/go-sse", ssetest.HandlerContract{New: newTmaxmax, Without: []ssetest.Capability{ssetest.CanRefuseMethods}}},
	{"r3labs/sse", "github.com/r3labs/sse/v2", ssetest.HandlerContract{
		New: newR3labs, Path: "/?stream=news",
		Without: []ssetest.Capability{ssetest.CanRefuseMethods, ssetest.CanCarryIDs}, // its IDs are its own, as long as it replays
	}},
	{"donovanhide/eventsource", "github.com/donovanhide/eventsource", ssetest.HandlerContract{New: newDonovanhide, Without: []ssetest.Capability{ssetest.CanRefuseMethods}}},
	{"gin-gonic/gin", "github.com/gin-gonic/gin", ssetest.HandlerContract{
		New:     newGin,
		Without: []ssetest.Capability{ssetest.CanCarryIDs, ssetest.CanResume},
	}},
	{"starfederation/datastar-go", "github.com/starfederation/datastar-go", ssetest.HandlerContract{
		New:     newDatastar,
		Without: []ssetest.Capability{ssetest.CanRefuseMethods, ssetest.CanResume},
	}},
	{"modelcontextprotocol/go-sdk", "github.com/modelcontextprotocol/go-sdk", ssetest.HandlerContract{
		New:     newMCP,
		Without: []ssetest.Capability{ssetest.CanResume, ssetest.CanCarryData, ssetest.CanCarryTypes, ssetest.CanCarryIDs},
	}},
}

func TestHandlers(t *testing.T) {
	for _, h := range handlers {
		t.Run(h.name, func(t *testing.T) {
			contract := h.contract
			contract.Known = subject{test: "TestHandlers", name: h.name}.names(t)
			ssetest.TestHandler(t, contract)
		})
	}
}

// TestOurs is the topic of a server, over its own network.
func TestOurs(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	ssetest.TestHandler(t, ssetest.HandlerContract{
		URL: srv.URL + "/post", Client: srv.Client(), Emit: func(e ssetest.Event) { srv.Publish(e) },
	})
}

func newTmaxmax(t testing.TB) (http.Handler, func(ssetest.Event)) {
	replayer, err := tmaxmax.NewFiniteReplayer(100, false)
	require.NoError(t, err)
	server := &tmaxmax.Server{Provider: &tmaxmax.Joe{Replayer: replayer}}
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	return server, func(e ssetest.Event) {
		message := &tmaxmax.Message{Type: tmaxmax.Type(e.Type), ID: tmaxmax.ID(e.ID)}
		message.AppendData(e.Data)
		_ = server.Publish(message) // after Shutdown
	}
}

func newR3labs(t testing.TB) (http.Handler, func(ssetest.Event)) {
	server := r3labs.New()
	server.SplitData = true
	server.CreateStream("news")
	t.Cleanup(server.Close)
	return server, func(e ssetest.Event) {
		server.Publish("news", &r3labs.Event{ID: []byte(e.ID), Event: []byte(e.Type), Data: []byte(e.Data)})
	}
}

// A publication is an event as donovanhide/eventsource wants it.
type publication struct{ e ssetest.Event }

func (p publication) Id() string    { return p.e.ID } //nolint:revive,staticcheck // the interface has it so
func (p publication) Event() string { return p.e.Type }
func (p publication) Data() string  { return p.e.Data }

// history is what donovanhide/eventsource replays.
type history struct {
	mu     sync.Mutex
	events []ssetest.Event
}

func (h *history) Replay(_, id string) chan donovanhide.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	missed := make(chan donovanhide.Event, len(h.events))
	for i, e := range h.events {
		if e.ID == id {
			for _, e := range h.events[i+1:] {
				missed <- publication{e}
			}
		}
	}
	close(missed)
	return missed
}

func newDonovanhide(t testing.TB) (http.Handler, func(ssetest.Event)) {
	server := donovanhide.NewServer()
	past := new(history)
	server.Register("news", past)
	t.Cleanup(server.Close)
	return server.Handler("news"), func(e ssetest.Event) {
		past.mu.Lock()
		past.events = append(past.events, e)
		past.mu.Unlock()
		server.Publish([]string{"news"}, publication{e})
	}
}

// A hub hands events to those who have joined.
type hub struct {
	mu   sync.Mutex
	here map[chan ssetest.Event]bool
}

func (h *hub) join() chan ssetest.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := make(chan ssetest.Event, 1000)
	if h.here == nil {
		h.here = make(map[chan ssetest.Event]bool)
	}
	h.here[events] = true
	return events
}

func (h *hub) leave(events chan ssetest.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.here, events)
}

func (h *hub) emit(e ssetest.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for events := range h.here {
		select {
		case events <- e:
		default: // it is too slow
		}
	}
}

func newGin(testing.TB) (http.Handler, func(ssetest.Event)) {
	gin.SetMode(gin.ReleaseMode)
	news := new(hub)
	engine := gin.New()
	engine.GET("/", func(c *gin.Context) {
		events := news.join()
		defer news.leave(events)
		c.Header("Content-Type", "text/event-stream")
		c.Header("Cache-Control", "no-cache") // which c.SSEvent would set, too, but not before the first event
		c.Writer.Flush()
		for {
			select {
			case e := <-events:
				c.SSEvent(e.Type, e.Data)
				c.Writer.Flush()
			case <-c.Request.Context().Done():
				return
			}
		}
	})
	return engine, news.emit
}

func newDatastar(testing.TB) (http.Handler, func(ssetest.Event)) {
	news := new(hub)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events := news.join()
		defer news.leave(events)
		sse := datastar.NewSSE(w, r)
		for {
			select {
			case e := <-events:
				_ = sse.Send(datastar.EventType(e.Type), strings.Split(e.Data, "\n"), datastar.WithSSEEventId(e.ID)) // the context says it, too
			case <-sse.Context().Done():
				return
			}
		}
	}), news.emit
}

// newMCP is the stream of a session's own messages (streamable HTTP, section "Listening for Messages from the Server"). A session has one of them:
// each request gets a session of its own, which ends with it.
func newMCP(t testing.TB) (http.Handler, func(ssetest.Event)) {
	server := mcp.NewServer(&mcp.Implementation{Name: "news", Version: "1"}, nil)
	endpoint := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	ask := func(method, session, body string) string {
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		return w.Header().Get("Mcp-Session-Id")
	}
	t.Cleanup(func() {
		for session := range server.Sessions() {
			_ = session.Close() // the test is over
		}
	})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := ask(http.MethodPost, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"news","version":"1"}}}`)
		ask(http.MethodPost, session, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		defer ask(http.MethodDelete, session, "")
		r.Header.Set("Mcp-Session-Id", session)
		endpoint.ServeHTTP(w, r)
	})
	return handler, func(e ssetest.Event) {
		for session := range server.Sessions() {
			_ = session.NotifyProgress(context.Background(), &mcp.ProgressNotificationParams{ProgressToken: "news", Message: e.Data}) // it may be over
		}
	}
}
