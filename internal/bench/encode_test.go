package bench_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	alexandrevicenzi "github.com/alexandrevicenzi/go-sse"
	donovanhide "github.com/donovanhide/eventsource"
	gin "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/go-ssetest/sse/ssetest"
)

// encoded are the events of the family Encode: a token of a language model, a letter, one that has everything, and a large one.
var encoded = []struct {
	name  string
	event ssetest.Event
}{
	{"token", ssetest.Data(strings.Repeat("a", 20))},
	{"letter", ssetest.Event{Type: "message", Data: `{"msg":"a"}`, ID: "1b4e28ba-2fa1-4d2b-883f-b9a761bde3fb", Retry: 6 * time.Second}},
	{"lines", ssetest.Event{Type: "delta", Data: strings.Repeat("a", 30) + "\n" + strings.Repeat("b", 30), ID: "1234"}},
	{"64k", ssetest.Data(strings.Repeat("a", 64<<10))},
}

// BenchmarkEncode writes one event into a buffer that is there.
func BenchmarkEncode(b *testing.B) {
	for _, c := range encoded {
		b.Run("event="+c.name, func(b *testing.B) {
			var contenders []contender
			for _, e := range encoders {
				contenders = append(contenders, encoder(e.name, c.event, e.encode))
			}
			run(b, contenders)
		})
	}
}

// encoders write an event. Each is given the event once, and returns what writes it: what a program makes once for an event is not timed, where it can be kept.
var encoders = []struct {
	name   string
	encode func(e ssetest.Event) func(w *bytes.Buffer) error
}{
	{"hand", handEncoder},
	{"limit", limitEncoder},
	{"ssetest", func(e ssetest.Event) func(w *bytes.Buffer) error {
		return func(w *bytes.Buffer) error {
			text, err := e.AppendText(w.AvailableBuffer())
			_, _ = w.Write(text)
			return err
		}
	}},
	{"tmaxmax", func(e ssetest.Event) func(w *bytes.Buffer) error {
		return func(w *bytes.Buffer) error {
			m := &tmaxmax.Message{Retry: e.Retry}
			if e.Type != "" {
				m.Type = tmaxmax.Type(e.Type)
			}
			if e.ID != "" {
				m.ID = tmaxmax.ID(e.ID)
			}
			m.AppendData(e.Data)
			_, err := m.WriteTo(w)
			return err
		}
	}},
	{"donovanhide", func(e ssetest.Event) func(w *bytes.Buffer) error {
		return func(w *bytes.Buffer) error { return donovanhide.NewEncoder(w, false).Encode(publication{e}) }
	}},
	{"launchdarkly", func(e ssetest.Event) func(w *bytes.Buffer) error {
		return func(w *bytes.Buffer) error { return launchdarkly.NewEncoder(w, false).Encode(publication{e}) }
	}},
	{"alexandrevicenzi", func(e ssetest.Event) func(w *bytes.Buffer) error {
		return func(w *bytes.Buffer) error {
			_, err := w.Write(alexandrevicenzi.NewMessage(e.ID, e.Data, e.Type).Bytes())
			return err
		}
	}},
	{"gin", func(e ssetest.Event) func(w *bytes.Buffer) error {
		return func(w *bytes.Buffer) error {
			return gin.Encode(w, gin.Event{Event: e.Type, Id: e.ID, Retry: uint(e.Retry.Milliseconds()), Data: e.Data})
		}
	}},
}

// A publication is an event as donovanhide/eventsource, and what came of that, want it.
type publication struct{ e ssetest.Event }

func (p publication) Id() string    { return p.e.ID } //nolint:revive,staticcheck // the interface has it so
func (p publication) Event() string { return p.e.Type }
func (p publication) Data() string  { return p.e.Data }

// handEncoder is what people write.
func handEncoder(e ssetest.Event) func(w *bytes.Buffer) error {
	return func(w *bytes.Buffer) error {
		if e.Type != "" {
			fmt.Fprintf(w, "event: %s\n", e.Type)
		}
		for line := range strings.SplitSeq(e.Data, "\n") {
			fmt.Fprintf(w, "data: %s\n", line)
		}
		if e.ID != "" {
			fmt.Fprintf(w, "id: %s\n", e.ID)
		}
		if e.Retry > 0 {
			fmt.Fprintf(w, "retry: %d\n", e.Retry.Milliseconds())
		}
		_, err := fmt.Fprint(w, "\n")
		return err
	}
}

// limitEncoder appends parts that are known to be right, the lines of the data among them.
func limitEncoder(e ssetest.Event) func(w *bytes.Buffer) error {
	lines := strings.Split(e.Data, "\n")
	return func(w *bytes.Buffer) error {
		b := w.AvailableBuffer()
		if e.Type != "" {
			b = append(append(append(b, "event: "...), e.Type...), '\n')
		}
		for _, line := range lines {
			b = append(append(append(b, "data: "...), line...), '\n')
		}
		if e.ID != "" {
			b = append(append(append(b, "id: "...), e.ID...), '\n')
		}
		if e.Retry != 0 {
			b = append(strconv.AppendInt(append(b, "retry: "...), e.Retry.Milliseconds(), 10), '\n')
		}
		_, err := w.Write(append(b, '\n'))
		return err
	}
}

// encoder is a contender that writes an event, if what it writes is read as that.
func encoder(name string, e ssetest.Event, encode func(ssetest.Event) func(*bytes.Buffer) error) contender {
	return contender{name, func(testing.TB) (func(), error) {
		var w bytes.Buffer
		w.Grow(1 << 17)
		write := encode(e)
		if err := write(&w); err != nil {
			return nil, err
		}
		want := e
		if want.Type == "" {
			want.Type = "message"
		}
		if got, err := ssetest.NewDecoder(&w).Next(); err != nil || got != want {
			return nil, fmt.Errorf("it is read as %v, %v, and not as %v", got, err, want)
		}
		return func() {
			w.Reset()
			_ = write(&w) // it has been seen to write
		}, nil
	}}
}
