// The stories of this file are there to be copied: go test -v . runs them.
package ssetest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// A test publishes, and a stream has it.
func TestPublish(t *testing.T) {
	srv := ssetest.NewServer(t, nil)       // HTTP/2 over TLS, closed when the test ends
	stream := srv.Open(t, "/post", nil)    // subscribed as soon as it is open: no sleep
	srv.Publish(ssetest.Data("hello"))     // reaches every open stream
	stream.ExpectData("hello")             // waits for it; what nobody takes fails the test
	stream.ExpectSilence(time.Millisecond) // nothing else came
}

// The letters are the same in every run. This test does not wait for them: it asks for three.
func TestLetters(t *testing.T) {
	srv := ssetest.NewServer(t, &ssetest.Config{Seed: 42, LetterInterval: -1})
	stream := srv.Open(t, "/sse", nil)
	srv.Tick(3)
	stream.ExpectJSON(`{"msg": "a"}`, `{"msg": "x"}`, `{"msg": "a"}`)

	srv.Tick(1)
	stream.ExpectEvents(srv.Letter(3))
}

// What is posted comes out of every open stream, with an ID and a reconnection time.
func TestPostAndReceive(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	stream := srv.Open(t, "/post", nil)

	response, err := srv.Client().Post(srv.URL+"/post", "application/json", strings.NewReader(`{"test": "sent me via SSE"}`))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusSeeOther, response.StatusCode)

	event := stream.Next()
	assert.JSONEq(t, `{"test": "sent me via SSE"}`, event.Data)
	assert.Len(t, event.ID, 36) // a UUID
	assert.Equal(t, 6*time.Second, event.Retry)
}

// A hundred subscribers get everything, in order.
func TestPublishToAHundred(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	streams := make([]*ssetest.Stream, 100)
	for i := range streams {
		streams[i] = srv.Open(t, "/post", nil)
	}
	srv.AwaitSubscribers(t, 100)
	assert.Equal(t, 100, srv.Publish(ssetest.Data("one"), ssetest.Data("two")))
	for _, stream := range streams {
		stream.ExpectData("one", "two")
	}
}

// A client that comes back with the last event ID gets what it has missed.
func TestResume(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	stream := srv.Open(t, "/post", nil)
	srv.Publish(ssetest.Event{ID: "1", Data: "seen"})
	last := stream.Next()
	stream.Close()
	srv.AwaitSubscribers(t, 0)

	srv.Publish(ssetest.Event{ID: "2", Data: "missed"})
	resumed := srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: last.ID})
	resumed.ExpectEvents(ssetest.Event{ID: "2", Data: "missed"})
}

// ticker is a handler as you may have written it: it streams for as long as the client stays.
func ticker(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 1; ; i++ {
		fmt.Fprintf(w, "event: tick\nid: %d\ndata: {\"n\": %d}\n\n", i, i)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

// Your handler under test, on a server of any kind.
func TestYourHandler(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(ticker))
	t.Cleanup(ts.Close) // not defer: that comes before the stream is closed, and httptest waits for it

	stream := ssetest.Open(t, ts.URL, nil)
	stream.ExpectEvents(
		ssetest.Event{Type: "tick", ID: "1", Data: `{"n": 1}`},
		ssetest.Event{Type: "tick", ID: "2", Data: `{"n": 2}`},
	)
	stream.ExpectJSON(`{"n":3}`)
}

// headlines is a client as you may have written it: it collects what a feed says, until the feed ends.
func headlines(ctx context.Context, client *http.Client, url string) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var all []string
	for event, err := range ssetest.Events(response.Body) {
		if err != nil {
			return all, err
		}
		all = append(all, event.Data)
	}
	return all, nil
}

// Your client under test, against a topic of its own.
func TestYourClient(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	news := srv.Topic("/news")
	got := make(chan []string, 1)
	go func() {
		all, err := headlines(t.Context(), srv.Client(), srv.URL+"/news")
		assert.NoError(t, err)
		got <- all
	}()
	news.AwaitSubscribers(t, 1)
	news.Publish(ssetest.Data("rain"), ssetest.Data("more rain"))
	srv.Close() // ends the stream behind the last event, cleanly
	assert.Equal(t, []string{"rain", "more rain"}, <-got)
}

// follow is a client as you may have written it: where the stream breaks, it asks again for what came after the last event.
func follow(ctx context.Context, client *http.Client, url string, got chan<- string) {
	last := ""
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return
		}
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		response, err := client.Do(request)
		if err != nil {
			continue
		}
		for event, err := range ssetest.Events(response.Body) {
			if err != nil {
				break
			}
			last = event.ID
			got <- event.Data
		}
		response.Body.Close()
	}
}

// Your client under test, on streams that the test drives, and breaks.
func TestYourClientComesBack(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	feed := srv.Feed("GET /feed")
	got := make(chan string, 2)
	go follow(t.Context(), srv.Client(), srv.URL+"/feed", got)

	s := feed.Accept(t)                                                                   // the client is there
	s.Send(ssetest.Event{ID: "1", Data: "one"}, ssetest.Raw("data: tw"), ssetest.Abort()) // in the middle of an event
	s = feed.Accept(t)                                                                    // and has come back
	assert.Equal(t, "1", s.LastEventID())
	s.Send(ssetest.Event{ID: "2", Data: "two"})
	assert.Equal(t, "one", <-got)
	assert.Equal(t, "two", <-got)
}

// complete asks a language model, as you may have written it: once more where it is told to.
func complete(ctx context.Context, client *http.Client, url, prompt string) (string, error) {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(prompt))
		if err != nil {
			return "", err
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests {
			continue
		}
		answer := ""
		for event, err := range ssetest.Events(response.Body) {
			if err != nil {
				return answer, err
			}
			if event.Data == "[DONE]" {
				return answer, nil
			}
			answer += event.Data
		}
		return answer, io.ErrUnexpectedEOF
	}
}

// The streams of a language model, which answer a POST, from a script: refused, then answered.
func TestYourModel(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Script("POST /v1/chat/completions",
		ssetest.Script{ssetest.Response{Status: 429, Header: http.Header{"Retry-After": {"1"}}}},
		ssetest.Script{ssetest.Data("Hel"), ssetest.Comment("busy"), ssetest.Data("lo"), ssetest.Data("[DONE]")},
	)
	answer, err := complete(t.Context(), srv.Client(), srv.URL+"/v1/chat/completions", `{"prompt": "hi"}`)
	require.NoError(t, err)
	assert.Equal(t, "Hello", answer)

	requests := srv.Requests()
	require.Len(t, requests, 2)
	assert.JSONEq(t, `{"prompt": "hi"}`, requests[1].Body)
}

// An unreliable server, the same in every run.
func TestChaos(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Script("GET /feed", ssetest.Script{ssetest.Data("one"), ssetest.Data("two"), ssetest.Data("three")})
	srv.Chaos(ssetest.Chaos{Seed: 7, Abort: 0.3, Split: 0.5})
	whole := 0
	for range 20 {
		text, err := headlines(t.Context(), srv.Client(), srv.URL+"/feed")
		assert.Subset(t, []string{"one", "two", "three"}, text) // never half an event
		if err == nil {
			whole++
		}
	}
	assert.Equal(t, 7, whole) // of 20, whatever the protocol and the machine
}

// An event stream that comes back: nothing is lost, and nothing comes twice.
func TestExactlyOnce(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	stream := srv.Open(t, "/post", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: time.Millisecond})
	srv.Publish(ssetest.Event{ID: "1", Data: "one"})
	stream.ExpectData("one")
	srv.Down()
	srv.Publish(ssetest.Event{ID: "2", Data: "two"}) // when nobody is there
	srv.Up()
	srv.AwaitSubscribers(t, 1)
	srv.Publish(ssetest.Event{ID: "3", Data: "three"})
	srv.ExpectExactlyOnce(stream) // else it says what was lost, repeated, or out of order
	stream.ExpectData("two", "three")
}

// numbers is a handler as you may have written it: it counts to ten, and goes on behind the last event that a client has had.
func numbers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	_ = http.NewResponseController(w).Flush() // the client is to know that it is connected
	last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	for i := last + 1; i <= 10; i++ {
		fmt.Fprintf(w, "id: %d\ndata: %d\n\n", i, i)
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
}

// Your handler under test, on a network that breaks off, and a client that comes back: what it has missed must come, and nothing twice.
func TestYourHandlerResumes(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Handle("GET /numbers", http.HandlerFunc(numbers))
	srv.Chaos(ssetest.Chaos{Seed: 1, Abort: 0.3})
	stream := srv.Open(t, "/numbers", &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: time.Millisecond})
	stream.ExpectData("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
	assert.Greater(t, len(srv.Requests()), 1)
}

// A reconnection time that the server has set, and a client that is told not to come back.
func TestReconnects(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	srv.Script("GET /feed",
		ssetest.Script{ssetest.Event{ID: "1", Data: "one", Retry: 50 * time.Millisecond}, ssetest.Raw("data: tw"), ssetest.ResetConn()},
		ssetest.Script{ssetest.Comment("hello again"), ssetest.Data("two")},
	)
	stream := srv.Open(t, "/feed", &ssetest.OpenConfig{Reconnect: true})
	stream.ExpectData("one")
	stream.ExpectReconnect(50 * time.Millisecond)
	stream.ExpectComment("hello again")
	stream.ExpectEvents(ssetest.Event{ID: "1", Data: "two"}) // the last event ID stays
	stream.ExpectEnd()                                       // the scripts are used up: 204
}

// A stream that is recorded once, and served again from then on.
func TestRecorded(t *testing.T) {
	live := ssetest.NewServer(t, nil) // in place of a real one
	live.Script("GET /feed", ssetest.Script{ssetest.Data("one"), ssetest.Data("two"), ssetest.Abort()})

	srv := ssetest.NewServer(t, nil)
	path := filepath.Join(t.TempDir(), "feed.sse") // testdata/feed.sse, with you
	srv.Script("GET /feed", ssetest.Record(t, live.URL+"/feed", path))
	stream := srv.Open(t, "/feed", nil)
	stream.ExpectData("one", "two")
	stream.ExpectError(ssetest.ErrStreamAborted)
}

// listen is a client as you may have written it: when it fails, it waits for a second, then twice as long each time, up to a minute, and a bit longer by chance.
func listen(ctx context.Context, client *http.Client, url string, got chan<- string) {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		all, err := headlines(ctx, client, url)
		for _, data := range all {
			got <- data
			wait = time.Second
		}
		if err == nil {
			return // the feed has ended
		}
		time.Sleep(wait + rand.N(wait/10))
	}
}

// Ten minutes of outage, on virtual time: they take a millisecond.
func TestTenMinutesOfOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssetest.NewServer(t, nil) // in memory, since it is in a bubble, with TLS and HTTP/2 all the same
		got := make(chan string, 1)
		go listen(t.Context(), srv.Client(), srv.URL+"/post", got)
		srv.AwaitSubscribers(t, 1)
		srv.Down()
		time.Sleep(10 * time.Minute)
		srv.Up()
		up := time.Now()
		srv.AwaitSubscribers(t, 1)
		assert.LessOrEqual(t, time.Since(up), 66*time.Second)
		srv.Publish(ssetest.Data("still here"))
		srv.Close()
		assert.Equal(t, "still here", <-got)
	})
}

var errSilent = errors.New("not even a heartbeat")

// watch is a client as you may have written it: it reads until the feed has been silent for too long.
func watch(ctx context.Context, client *http.Client, url string, patience time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	watchdog := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer watchdog.Stop()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		watchdog.Reset(patience)
	}
	return context.Cause(ctx)
}

// A watchdog, to the second: heartbeats keep it quiet, and a connection that is dead does not.
func TestYourWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := ssetest.NewServer(t, nil)
		heartbeat, pause := ssetest.Comment("heartbeat"), ssetest.Wait(15*time.Second)
		srv.Script("GET /feed", ssetest.Script{heartbeat, pause, heartbeat, pause, heartbeat, ssetest.Stall()})
		start := time.Now()
		require.ErrorIs(t, watch(t.Context(), srv.Client(), srv.URL+"/feed", 20*time.Second), errSilent)
		assert.Equal(t, 50*time.Second, time.Since(start))
	})
}

// What a handler has written, without a server.
func TestYourHandlerWithoutAServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	recorder := httptest.NewRecorder()
	ticker(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))

	type tick struct{ N int }
	stream := ssetest.Read(t, recorder.Body)
	assert.Equal(t, tick{1}, ssetest.NextJSON[tick](stream))
}

// Without a test there are Start and Dial.
func Example() {
	srv, err := ssetest.Start(&ssetest.Config{Seed: 42, LetterInterval: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()

	ctx := context.Background()
	letters, err := ssetest.Dial(ctx, srv.URL+"/sse", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer letters.Close()
	for range 3 {
		letter, err := letters.Next(ctx)
		fmt.Println(letter.Data, err)
	}
	// Output:
	// {"msg":"a"} <nil>
	// {"msg":"x"} <nil>
	// {"msg":"a"} <nil>
}

// A once is a client as you may have written it: it reads one stream, and does not come back.
type once struct {
	body   io.Closer
	events *ssetest.Decoder
}

func connect(ctx context.Context, client *http.Client, request *http.Request) (*once, error) {
	response, err := client.Do(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || mediaType != "text/event-stream" {
		return nil, errors.Join(fmt.Errorf("%s, %s", response.Status, mediaType), response.Body.Close())
	}
	return &once{response.Body, ssetest.NewDecoder(response.Body)}, nil
}

func (o *once) Next(context.Context) (ssetest.Event, error) { return o.events.Next() }
func (o *once) Close()                                      { _ = o.body.Close() }

// Your client under test, by everything that the standard says of clients.
func TestYourClientsContract(t *testing.T) {
	ssetest.TestClient(t, ssetest.ClientContract{
		Connect: func(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
			request, err := r.Request(ctx)
			if err != nil {
				return nil, err
			}
			return connect(ctx, r.Client, request)
		},
		Without: []ssetest.Capability{ssetest.CanReconnect, ssetest.CanResume, ssetest.CanReadTimeout, ssetest.CanReportComments},
		Known:   []string{"http/cache-control", "life/a context of Next's"}, // to be mended one day; then the test asks to take them out
	})
}

// Your handler under test, by everything that clients and networks ask of handlers.
func TestYourHandlersContract(t *testing.T) {
	ssetest.TestHandler(t, ssetest.HandlerContract{
		New: func(testing.TB) (http.Handler, func(ssetest.Event)) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /numbers", numbers)
			return mux, nil // it emits by itself
		},
		Path:  "/numbers",
		Known: []string{"HTTP1/response/HEAD"}, // it counts on, for nobody
	})
}
