package bench_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	anthropic "github.com/anthropics/anthropic-sdk-go/packages/ssestream"
	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	openai "github.com/openai/openai-go/v3/packages/ssestream"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/go-ssetest/sse/ssetest"
)

// A parsed stream is what the family Parse reads.
type parsed struct {
	name   string
	events []ssetest.Event // each with the last event ID
	stream []byte
}

// parsedStreams are the tokens of a language model, letters, and events of some kilobytes.
func parsedStreams() []parsed {
	var tokens, letters, large []ssetest.Event
	for i := range 2000 {
		tokens = append(tokens, ssetest.Data(`{"choices":[{"delta":{"content":"tok`+strconv.Itoa(i)+`"}}]}`))
		letters = append(letters, ssetest.Event{Type: "message", Data: `{"msg":"` + string(rune('a'+i%26)) + `"}`, ID: fmt.Sprintf("1b4e28ba-2fa1-4d2b-883f-%012d", i)})
	}
	for i := range 100 {
		large = append(large, ssetest.Event{Type: "page", Data: strings.Repeat("x"+strconv.Itoa(i), 4000)})
	}
	return []parsed{newParsed("tokens", tokens), newParsed("letters", letters), newParsed("large", large)}
}

func newParsed(name string, events []ssetest.Event) parsed {
	p := parsed{name: name}
	for _, e := range events {
		text, err := e.AppendText(p.stream)
		if err != nil {
			panic(err) // they are written above
		}
		p.stream = text
		if e.Type == "" {
			e.Type = "message"
		}
		p.events = append(p.events, e)
	}
	return p
}

// BenchmarkParse reads a stream that is in memory, to its end.
func BenchmarkParse(b *testing.B) {
	for _, p := range parsedStreams() {
		b.Run("stream="+p.name, func(b *testing.B) {
			var contenders []contender
			for _, d := range decoders {
				contenders = append(contenders, p.decoder(d.name, d.decode))
			}
			run(b, contenders)
		})
	}
}

// decoder is a contender that reads the stream, if it reads the data of all events. (Types and IDs are more than some of them give.)
func (p parsed) decoder(name string, decode func(r io.Reader, event func(data string)) error) contender {
	return contender{name, func(tb testing.TB) (func(), error) {
		var got []string
		err := decode(bytes.NewBuffer(p.stream), func(data string) { got = append(got, data) })
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(got) != len(p.events) {
			return nil, fmt.Errorf("%d events, and not %d", len(got), len(p.events))
		}
		for i, data := range got {
			if data != p.events[i].Data {
				return nil, fmt.Errorf("event %d is %.40q, and not %.40q", i, data, p.events[i].Data)
			}
		}
		return func() {
			events := 0
			_ = decode(bytes.NewBuffer(p.stream), func(string) { events++ }) // it has been seen to end well
			if events != len(p.events) {
				tb.Fatalf("%d events, and not %d", events, len(p.events))
			}
		}, nil
	}}
}

var decoders = []struct {
	name   string
	decode func(r io.Reader, event func(data string)) error
}{
	{"hand", handDecoder},
	{"limit", limitDecoder},
	{"ssetest", func(r io.Reader, event func(string)) error {
		d := ssetest.NewDecoder(r)
		for {
			e, err := d.Next()
			if err != nil {
				return err
			}
			event(e.Data)
		}
	}},
	{"tmaxmax", func(r io.Reader, event func(string)) error {
		for e, err := range tmaxmax.Read(r, &tmaxmax.ReadConfig{MaxEventSize: 1 << 20}) {
			if err != nil {
				return err
			}
			event(e.Data)
		}
		return nil
	}},
	{"donovanhide", func(r io.Reader, event func(string)) error {
		d := donovanhide.NewDecoder(r)
		for {
			e, err := d.Decode()
			if err != nil {
				return err
			}
			event(e.Data())
		}
	}},
	{"launchdarkly", func(r io.Reader, event func(string)) error {
		d := launchdarkly.NewDecoder(r)
		for {
			e, err := d.Decode()
			if err != nil {
				return err
			}
			event(e.Data())
		}
	}},
	{"openai", func(r io.Reader, event func(string)) error {
		d := openai.NewDecoder(response(r))
		for d.Next() {
			event(string(bytes.TrimSuffix(d.Event().Data, []byte("\n"))))
		}
		return d.Err()
	}},
	{"anthropic", func(r io.Reader, event func(string)) error {
		d := anthropic.NewDecoder(response(r))
		for d.Next() {
			event(string(bytes.TrimSuffix(d.Event().Data, []byte("\n"))))
		}
		return d.Err()
	}},
}

// response is one with an event stream.
func response(r io.Reader) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(r)}
}

// handDecoder is what people write.
func handDecoder(r io.Reader, event func(string)) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	var data []string
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case line == "":
			if data != nil {
				event(strings.Join(data, "\n"))
				data = nil
			}
		case strings.HasPrefix(line, "data:"):
			data = append(data, strings.TrimPrefix(strings.TrimPrefix(line, "data:"), " "))
		}
	}
	return scanner.Err()
}

// limitDecoder finds the lines, and makes a string of each event's data: nothing else, and not even reading.
func limitDecoder(r io.Reader, event func(string)) error {
	all := r.(*bytes.Buffer).Bytes()
	for len(all) > 0 {
		end := bytes.IndexByte(all, '\n')
		if data, ok := bytes.CutPrefix(all[:end], []byte("data: ")); ok {
			event(string(data))
		}
		all = all[end+1:]
	}
	return nil
}
