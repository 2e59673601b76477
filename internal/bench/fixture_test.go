package bench_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-ssetest/sse/ssetest"
)

// A fixture is a server of a test: it is started, a client opens a stream, one event is sent and read, and it is closed.
type fixture struct {
	name  string
	start func() fixtureServer
}

// A fixtureServer is one that is started.
type fixtureServer struct {
	client *http.Client
	url    string
	send   func() // an event to the stream that is open
	close  func()
}

// once is what a test does with a fixture at the least. What is read must be the event.
func (f fixture) once() error {
	s := f.start()
	defer s.close()
	response, err := s.client.Get(s.url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it is read as far as anybody wants
	s.send()
	text := make([]byte, len(fixtureEvent))
	if _, err := io.ReadFull(response.Body, text); err != nil || !bytes.Equal(text, fixtureEvent) {
		return fmt.Errorf("read %q, and %v; want %q", text, err, fixtureEvent)
	}
	return nil
}

var fixtureEvent = []byte("data: one\n\n")

// BenchmarkFixture starts, connects, reads one event, and closes.
func BenchmarkFixture(b *testing.B) {
	for _, protocol := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTP1} {
		b.Run(fmt.Sprintf("protocol=%v", protocol), func(b *testing.B) {
			var contenders []contender
			for _, f := range []fixture{
				{"hand", func() fixtureServer { return handFixture(protocol) }},
				{"ssetest", func() fixtureServer { return ourFixture(protocol, ssetest.Loopback) }},
				{"ssetest-memory", func() fixtureServer { return ourFixture(protocol, ssetest.InMemory) }},
			} {
				contenders = append(contenders, contender{f.name, func(tb testing.TB) (func(), error) {
					return func() {
						if err := f.once(); err != nil {
							tb.Fatal(err)
						}
					}, f.once()
				}})
			}
			run(b, contenders)
		})
	}
}

// ourFixture is what this project is about.
func ourFixture(protocol ssetest.Protocol, network ssetest.Network) fixtureServer {
	srv, err := ssetest.Start(&ssetest.Config{Protocol: protocol, Network: network})
	if err != nil {
		panic(err) // the address is one that is free
	}
	return fixtureServer{srv.Client(), srv.URL + "/post", func() { srv.Publish(ssetest.Data("one")) }, srv.Close}
}

// handFixture is what people write with httptest, when they have found out that Close waits for the streams.
func handFixture(protocol ssetest.Protocol) fixtureServer {
	events := make(chan string)
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for {
			select {
			case e := <-events:
				fmt.Fprintf(w, "data: %s\n\n", e)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	if protocol == ssetest.HTTP2 {
		ts.EnableHTTP2 = true
		ts.StartTLS()
	} else {
		ts.Start()
	}
	return fixtureServer{ts.Client(), ts.URL, func() { events <- "one" }, func() {
		ts.CloseClientConnections()
		ts.Close()
	}}
}
