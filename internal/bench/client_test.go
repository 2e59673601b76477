package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	anthropic "github.com/anthropics/anthropic-sdk-go/packages/ssestream"
	launchdarkly "github.com/launchdarkly/eventsource"
	openai "github.com/openai/openai-go/v3/packages/ssestream"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/go-ssetest/sse/ssetest"
)

// clientEvents is how many events a client reads.
const clientEvents = 10_000

// clients open a stream, and read so many events, up to its end; those who would come back then leave at the last event. (donovanhide/eventsource is not among them: it panics when it is closed while a stream is open.)
var clients = []struct {
	name string
	read func(ctx context.Context, c *http.Client, url string, event func(data string) (more bool)) error
}{
	{"hand", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		return readResponse(ctx, c, url, func(r *http.Response) error {
			return handDecoder(r.Body, func(data string) { event(data) })
		})
	}},
	{"limit", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		return readResponse(ctx, c, url, func(r *http.Response) error {
			buf, lines := make([]byte, 64<<10), 0
			for {
				n, err := r.Body.Read(buf)
				lines += bytes.Count(buf[:n], []byte("\n")) // and nothing is done with them
				if err != nil {
					break
				}
			}
			for i := range lines / 3 {
				event(clientData[i])
			}
			return nil
		})
	}},
	{"ssetest", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		es, err := ssetest.Dial(ctx, url, &ssetest.OpenConfig{Client: c})
		if err != nil {
			return err
		}
		defer es.Close()
		for {
			e, err := es.Next(ctx)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			event(e.Data)
		}
	}},
	{"openai", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		return readResponse(ctx, c, url, func(r *http.Response) error {
			d := openai.NewDecoder(r)
			for d.Next() {
				event(string(bytes.TrimSuffix(d.Event().Data, []byte("\n"))))
			}
			return d.Err()
		})
	}},
	{"anthropic", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		return readResponse(ctx, c, url, func(r *http.Response) error {
			d := anthropic.NewDecoder(r)
			for d.Next() {
				event(string(bytes.TrimSuffix(d.Event().Data, []byte("\n"))))
			}
			return d.Err()
		})
	}},
	{"tmaxmax", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		connection := (&tmaxmax.Client{HTTPClient: c}).NewConnection(request)
		connection.SubscribeToAll(func(e tmaxmax.Event) {
			if !event(e.Data) {
				cancel()
			}
		})
		if err := connection.Connect(); ctx.Err() == nil {
			return err
		}
		return nil
	}},
	{"launchdarkly", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		stream, err := launchdarkly.SubscribeWith("", c, request)
		if err != nil {
			return err
		}
		defer stream.Close()
		for e := range stream.Events {
			if !event(e.Data()) {
				break
			}
		}
		return nil
	}},
	{"r3labs", func(ctx context.Context, c *http.Client, url string, event func(string) bool) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		client := r3labs.NewClient(url)
		client.Connection = c
		err := client.SubscribeRawWithContext(ctx, func(e *r3labs.Event) {
			if !event(string(e.Data)) {
				cancel()
			}
		})
		if ctx.Err() == nil {
			return err
		}
		return nil
	}},
}

// readResponse asks, and reads what is answered.
func readResponse(ctx context.Context, c *http.Client, url string, read func(r *http.Response) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it is read as far as anybody wants
	return read(response)
}

var clientData = func() (data [clientEvents]string) {
	for i := range data {
		data[i] = fmt.Sprintf(`{"choices":[{"delta":{"content":"tok%d"}}]}`, i)
	}
	return data
}()

// BenchmarkClient opens a stream and reads ten thousand events, which the server has all at once.
func BenchmarkClient(b *testing.B) {
	var stream bytes.Buffer
	for i := range clientEvents {
		fmt.Fprintf(&stream, "id: %d\ndata: %s\n\n", i, clientData[i])
	}
	for _, protocol := range bothProtocols {
		b.Run(fmt.Sprintf("protocol=%v", protocol), func(b *testing.B) {
			ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.Copy(w, bytes.NewReader(stream.Bytes())) // some clients leave when they have what they want
			}))
			ts.Config.ErrorLog = quiet
			if protocol == ssetest.HTTP2 {
				ts.EnableHTTP2 = true
				ts.StartTLS()
			} else {
				ts.Start()
			}
			defer ts.Close()
			var contenders []contender
			for _, c := range clients {
				contenders = append(contenders, contender{c.name, func(tb testing.TB) (func(), error) {
					var wrong error
					read := func(check bool) int {
						events := 0
						err := c.read(tb.Context(), ts.Client(), ts.URL, func(data string) bool {
							if check && data != clientData[events] {
								wrong = fmt.Errorf("event %d is %q", events, data)
							}
							events++
							return events < clientEvents
						})
						must(tb, err)
						return events
					}
					if n := read(true); wrong == nil && n != clientEvents {
						wrong = fmt.Errorf("%d events, and not %d", n, clientEvents)
					}
					return func() {
						if n := read(false); n != clientEvents {
							tb.Fatalf("%d events, and not %d", n, clientEvents)
						}
					}, wrong
				}})
			}
			run(b, contenders)
		})
	}
}
