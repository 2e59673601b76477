package bench_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	alexandrevicenzi "github.com/alexandrevicenzi/go-sse"
	donovanhide "github.com/donovanhide/eventsource"
	gin "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/launchdarkly/go-test-helpers/v3/httphelpers"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/go-ssetest/sse/ssetest"
)

// A publisher is a server with one event stream.
type publisher struct {
	place
	publish func(data ...string) // to all who are subscribed
	close   func()
	clean   bool // close lets each stream end as it should, and does not cut it off
}

// maxStreams is more than any connection here has.
const maxStreams = 100_000

// publishers are the servers of the families Burst, Single, Latency and Memory. Whoever starts one closes the httptest server; of the libraries' own,
// two panic when they are closed while clients leave, and so none is.
var publishers = []struct {
	name  string
	start func(tb testing.TB, protocol ssetest.Protocol) publisher
}{
	{"hand", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		handler, publish := handHandler()
		return serve(protocol, handler, "/", publish)
	}},
	{"limit", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		handler, publish := limitHandler()
		p := serve(protocol, handler, "/", nil)
		p.publish = publish
		return p
	}},
	{"ssetest", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		return ours(tb, &ssetest.Config{Protocol: protocol, Network: ssetest.Loopback})
	}},
	{"tmaxmax", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		server := new(tmaxmax.Server)
		return serve(protocol, server, "/", func(data string) {
			message := new(tmaxmax.Message)
			message.AppendData(data)
			must(tb, server.Publish(message))
		})
	}},
	{"r3labs", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		server := r3labs.New()
		server.AutoReplay = false
		server.CreateStream("news")
		return serve(protocol, server, "/?stream=news", func(data string) { server.Publish("news", &r3labs.Event{Data: []byte(data)}) })
	}},
	{"donovanhide", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		server := donovanhide.NewServer()
		return serve(protocol, server.Handler("news"), "/", func(data string) { server.Publish([]string{"news"}, publication{ssetest.Data(data)}) })
	}},
	{"launchdarkly", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		server := launchdarkly.NewServer()
		return serve(protocol, server.Handler("news"), "/", func(data string) { server.Publish([]string{"news"}, publication{ssetest.Data(data)}) })
	}},
	{"go-test-helpers", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		handler, control := httphelpers.SSEHandler(nil)
		return serve(protocol, handler, "/", func(data string) { control.Send(httphelpers.SSEEvent{Data: data}) })
	}},
	{"alexandrevicenzi", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		server := alexandrevicenzi.NewServer(&alexandrevicenzi.Options{Logger: quiet})
		return serve(protocol, server, "/news", func(data string) { server.SendMessage("/news", alexandrevicenzi.SimpleMessage(data)) })
	}},
	{"gin", func(tb testing.TB, protocol ssetest.Protocol) publisher {
		news := newHub()
		return serve(protocol, news.handler(func(w http.ResponseWriter, data string) error { return gin.Encode(w, gin.Event{Data: data}) }), "/", news.send)
	}},
}

// serve starts a handler as a test does, with httptest. To close it does not wait for anybody.
func serve(protocol ssetest.Protocol, handler http.Handler, path string, publish func(data string)) publisher {
	ts := httptest.NewUnstartedServer(handler)
	ts.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams}
	ts.Config.ErrorLog = quiet
	if protocol == ssetest.HTTP2 {
		ts.EnableHTTP2 = true
		ts.StartTLS()
	} else {
		ts.Start()
	}
	stop := sync.OnceFunc(func() {
		ts.CloseClientConnections()
		ts.Close()
	})
	addr := ts.Listener.Addr().String()
	return publisher{place: place{protocol, loopback(addr), addr, path}, publish: func(data ...string) {
		for _, d := range data {
			publish(d)
		}
	}, close: stop}
}

// ours is the topic of a server of ours, to which each event is published by itself.
func ours(tb testing.TB, cfg *ssetest.Config) publisher {
	cfg.MaxConcurrentStreams, cfg.ErrorLog = maxStreams, quiet
	srv, err := ssetest.Start(cfg)
	must(tb, err)
	_, addr, _ := strings.Cut(srv.URL, "://")
	dial := loopback(addr)
	if cfg.Network == ssetest.InMemory {
		dial = func() (net.Conn, error) { return srv.DialContext(context.Background(), "tcp", addr) }
	}
	return publisher{place: place{cfg.Protocol, dial, addr, "/post"}, publish: func(data ...string) {
		for _, d := range data {
			srv.Publish(ssetest.Data(d))
		}
	}, close: srv.Close, clean: true}
}

// handHandler is what people write: a channel for each subscriber, and a flush for each event.
func handHandler() (http.Handler, func(data string)) {
	news := newHub()
	return news.handler(func(w http.ResponseWriter, data string) error {
		_, err := fmt.Fprintf(w, "data: %s\n\n", data)
		return err
	}), news.send
}

// A hub hands events to those who have joined.
type hub struct {
	mu   sync.Mutex
	here map[chan string]bool
}

func newHub() *hub { return &hub{here: make(map[chan string]bool)} }

func (h *hub) send(data string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for events := range h.here {
		events <- data // nobody leaves while it is timed
	}
}

// handler serves what is sent, each event written by write.
func (h *hub) handler(write func(w http.ResponseWriter, data string) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events := make(chan string, 16)
		h.mu.Lock()
		h.here[events] = true
		h.mu.Unlock()
		defer func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.here, events)
		}()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		w.(http.Flusher).Flush()
		for {
			select {
			case data := <-events:
				if err := write(w, data); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
}

// limitHandler writes what it is given in one piece that has been prepared, and flushes once. Nobody is told one by one that there is something:
// whoever waits for a round waits for its channel to be closed.
func limitHandler() (http.Handler, func(data ...string)) {
	type round struct {
		text []byte
		done chan struct{}
		next *round
	}
	var mu sync.Mutex
	newest := &round{done: make(chan struct{})}
	prepared := make(map[string][]byte) // by the last event
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		next := newest
		mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		w.(http.Flusher).Flush()
		for {
			select {
			case <-next.done:
				if _, err := w.Write(next.text); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				next = next.next
			case <-r.Context().Done():
				return
			}
		}
	})
	return handler, func(data ...string) {
		mu.Lock()
		defer mu.Unlock()
		key := data[len(data)-1]
		text, ok := prepared[key]
		if !ok {
			text = []byte("data: " + strings.Join(data, "\n\ndata: ") + "\n\n")
			prepared[key] = text
		}
		newest.text, newest.next = text, &round{done: make(chan struct{})}
		close(newest.done)
		newest = newest.next
	}
}
