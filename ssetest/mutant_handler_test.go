package ssetest_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// A broker is a handler as many are: what is emitted goes to every stream that is open, and has a history. It can be broken in one point.
type broker struct {
	fault string

	mu      sync.Mutex
	history []ssetest.Event
	streams map[chan ssetest.Event]bool
}

func (b *broker) has(fault string) bool { return b.fault == fault }

// brokerContract is that of brokers with a fault; "" is none.
func brokerContract(fault string) ssetest.HandlerContract {
	return ssetest.HandlerContract{
		New: func(testing.TB) (http.Handler, func(ssetest.Event)) {
			b := &broker{fault: fault, streams: make(map[chan ssetest.Event]bool)}
			return b, b.emit
		},
		Heartbeat: 15 * time.Second,
	}
}

func (b *broker) emit(e ssetest.Event) {
	if b.has("the data are trimmed") {
		e.Data = strings.TrimSpace(e.Data)
	}
	if b.has("a client that does not read holds up all others") {
		late, cancel := context.WithTimeout(context.Background(), 25*time.Second) // longer than anybody waits for it
		defer cancel()
		for _, stream := range b.open() {
			select {
			case stream <- e:
			case <-late.Done():
			}
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.has("no IDs"):
		e.ID = ""
	case b.has("the same ID for all"):
		e.ID = "1"
	case b.has("IDs that are numbers alone"):
		if strings.Trim(e.ID, "0123456789") != "" {
			e.ID = ""
		}
	}
	b.history = append(b.history, e)
	for stream := range b.streams {
		select {
		case stream <- e:
		default: // it is too slow, and has to come back
			delete(b.streams, stream)
			close(stream)
		}
	}
}

func (b *broker) knows(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.history, func(e ssetest.Event) bool { return e.ID == id })
}

// open are the streams at this moment.
func (b *broker) open() []chan ssetest.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.streams))
}

func (b *broker) subscribe(lastEventID string) (stream chan ssetest.Event, missed []ssetest.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := 300
	switch {
	case b.has("room for one event"):
		room = 1
	case b.has("a client that does not read holds up all others"):
		room = 0
	}
	stream = make(chan ssetest.Event, room)
	b.streams[stream] = true
	for i, e := range b.history {
		if e.ID == lastEventID && lastEventID != "" {
			missed = slices.Clone(b.history[i+1:])
			if b.has("resuming repeats an event") {
				missed = slices.Clone(b.history[i:])
			}
			if b.has("resuming loses an event") && len(missed) > 0 {
				missed = missed[1:]
			}
		}
	}
	if b.has("all of the history for everybody") {
		missed = slices.Clone(b.history)
	}
	if b.has("no history") {
		missed = nil
	}
	if b.has("a history that is used up") && len(missed) > 0 {
		b.history = nil
	}
	return stream, missed
}

func (b *broker) unsubscribe(stream chan ssetest.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, stream)
	if b.has("a client that leaves takes another with it") {
		for other := range b.streams {
			delete(b.streams, other)
			close(other)
			return
		}
	}
}

func (b *broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch streams := r.Method == http.MethodGet || b.has("every method streams") || b.has(r.Method+" streams"); {
	case streams:
	case r.Method == http.MethodHead:
		b.header(w)
		return
	default:
		if !b.has("405 without Allow") {
			w.Header().Set("Allow", "GET, HEAD")
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	flush := http.NewResponseController(w).Flush
	switch {
	case b.has("it insists on a Flusher"):
		f, ok := w.(http.Flusher)
		if !ok {
			http.Error(w, "no Flusher", http.StatusInternalServerError)
			return
		}
		flush = func() error { f.Flush(); return nil }
	case b.has("it flushes where it can"):
		flush = func() error { _ = http.NewResponseController(w).Flush(); return nil }
	case b.has("it panics where it can't flush"):
		flush = func() error { w.(http.Flusher).Flush(); return nil }
	case b.has("nothing is flushed"):
		flush = func() error { return nil }
	}
	if b.has("a goroutine is left") {
		go time.Sleep(25 * time.Second) // longer than anybody looks for it
	}
	b.serve(w, r, flush)
}

func (b *broker) header(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	switch b.fault {
	case "another content type":
		w.Header().Set("Content-Type", "text/plain")
	case "another status":
		w.WriteHeader(http.StatusCreated)
	case "it may be cached":
		w.Header().Del("Cache-Control")
	case "a Content-Length":
		w.Header().Set("Content-Length", "1000000")
	}
}

func (b *broker) serve(w http.ResponseWriter, r *http.Request, flush func() error) {
	if id := r.Header.Get("Last-Event-ID"); b.has("an unknown ID is an error") && id != "" && !b.knows(id) || b.has("sixty-four streams at most") && len(b.open()) >= 64 {
		http.Error(w, "no", http.StatusInternalServerError)
		return
	}
	stream, missed := b.subscribe(r.Header.Get("Last-Event-ID"))
	defer b.unsubscribe(stream)
	b.header(w)
	if !b.has("headers with the first event") {
		if err := flush(); err != nil {
			w.Header().Set("Content-Type", "text/plain")
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for _, e := range missed {
		b.write(w, e)
		_ = flush()
	}
	b.follow(r.Context(), w, stream, flush)
}

func (b *broker) follow(ctx context.Context, w http.ResponseWriter, stream chan ssetest.Event, flush func() error) {
	if b.has("the context is not watched") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
	}
	beats := 10 * time.Second
	if b.has("heartbeats are late") {
		beats = 20 * time.Second
	}
	heartbeat := time.NewTicker(beats)
	defer heartbeat.Stop()
	written := 0
	for n := 0; ; n++ {
		select {
		case e, ok := <-stream:
			written++
			if !ok {
				if b.has("no blank line at the end") {
					_, _ = fmt.Fprint(w, "data: bye\n")
				}
				return
			}
			b.write(w, e)
			if b.has("events leave in twos") && n%2 == 0 {
				continue
			}
			if b.has("it ends in the middle") && n == 2 {
				_, _ = fmt.Fprint(w, "data: bye\n")
				return
			}
		case <-heartbeat.C:
			switch {
			case b.has("heartbeats end with the first event") && written > 0:
			case b.has("heartbeats are events"):
				_, _ = fmt.Fprint(w, "data: ping\n\n")
			default:
				_, _ = fmt.Fprint(w, ":\n\n")
			}
		case <-ctx.Done():
			return
		}
		_ = flush()
	}
}

func (b *broker) write(w http.ResponseWriter, e ssetest.Event) {
	wire, err := e.AppendText(nil)
	if err != nil {
		panic(err)
	}
	text := string(wire)
	switch b.fault {
	case "line ends break the data":
		text = fmt.Sprintf("event: %s\nid: %s\ndata: %s\n\n", e.Type, e.ID, e.Data)
	case "the types are lost":
		e.Type = ""
		wire, _ = e.AppendText(nil)
		text = string(wire)
	case "a CR as it is":
		text = fmt.Sprintf("event: %s\nid: %s\ndata: %s\n\n", e.Type, e.ID, strings.ReplaceAll(e.Data, "\n", "\ndata: "))
	case "Latin-1":
		text = strings.ReplaceAll(text, "\u00FC", "\xFC")
	case "a byte order mark before each event":
		text = "\uFEFF" + text
	case "IDs with NUL":
		text = strings.Replace(text, "id: ", "id: \x00", 1)
	case "retry in Go's notation":
		text = "retry: 3s\n" + text
	case "a type and no data":
		text = "event: hello\n\n" + text
	case "each event twice":
		text += text
	case "bytes are lost":
		text = strings.Replace(text, "event ", "event", 1)
	}
	_, _ = fmt.Fprint(w, text)
}

// handlerFaults are what brokers can be broken in.
var handlerFaults = []string{
	"another content type", "another status", "it may be cached", "a Content-Length", "headers with the first event",
	"HEAD streams", "every method streams", "405 without Allow",
	"nothing is flushed", "events leave in twos", "room for one event", "each event twice", "a client that does not read holds up all others",
	"sixty-four streams at most", "an unknown ID is an error", "IDs that are numbers alone", "a history that is used up", "heartbeats are events", "heartbeats end with the first event", "a CR as it is",
	"it insists on a Flusher", "it flushes where it can", "it panics where it can't flush",
	"line ends break the data", "the data are trimmed", "the types are lost", "Latin-1", "a byte order mark before each event", "IDs with NUL", "retry in Go's notation", "a type and no data",
	"bytes are lost", "it ends in the middle", "heartbeats are late",
	"no IDs", "the same ID for all", "no history", "all of the history for everybody", "resuming repeats an event", "resuming loses an event",
	"the context is not watched", "a goroutine is left", "a client that leaves takes another with it",
}

// TestEveryHandlerCaseCanFail has each case fail for a handler that is broken in its point, and shows which other cases the same fault trips.
func TestEveryHandlerCaseCanFail(t *testing.T) {
	t.Parallel()
	for name, failure := range ssetest.TryHandler(t, brokerContract(""), ssetest.HTTP2) {
		assert.Empty(t, failure, name)
	}
	sound := ssetest.TryHandler(t, brokerContract(""), ssetest.HTTP1)
	var mu sync.Mutex
	tripped := make(map[string][]string) // cases, by fault
	t.Run("faults", func(t *testing.T) {
		for _, fault := range someOf(handlerFaults) {
			t.Run(fault, func(t *testing.T) {
				t.Parallel()
				var names []string
				for name, failure := range ssetest.TryHandler(t, brokerContract(fault), ssetest.HTTP1) {
					if failure != "" {
						names = append(names, name)
					}
				}
				assert.NotEmpty(t, names, "the fault is found by no case")
				slices.Sort(names)
				mu.Lock()
				defer mu.Unlock()
				tripped[fault] = names
			})
		}
	})
	if !allMutants {
		return
	}
	can := make(map[string]bool)
	var table strings.Builder
	for _, fault := range slices.Sorted(maps.Keys(tripped)) {
		fmt.Fprintf(&table, "%s\n", fault)
		for _, name := range tripped[fault] {
			can[name] = true
			if name == "leaving/while events are emitted" {
				continue // it is a race, which some faults win now and then
			}
			fmt.Fprintf(&table, "\t%s\n", name)
		}
	}
	for name, failure := range sound {
		assert.Empty(t, failure, name)
		assert.True(t, can[name], "no fault trips %q", name)
	}
	sameAsFile(t, "testdata/contract/handler_mutants.txt", table.String())
}

// sameAsFile compares a text with a file, or with SSETEST_UPDATE writes it.
func sameAsFile(t *testing.T, path, text string) {
	t.Helper()
	if os.Getenv("SSETEST_UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}
