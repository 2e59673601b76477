package ssetest_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// appendPrepared is the least that AppendText could do: the parts, the lines of the data among them, are known to be right,
// and only appended.
func appendPrepared(b []byte, e ssetest.Event, lines []string) []byte {
	if e.Type != "" {
		b = append(b, "event: "...)
		b = append(b, e.Type...)
		b = append(b, '\n')
	}
	for _, line := range lines {
		b = append(b, "data: "...)
		b = append(b, line...)
		b = append(b, '\n')
	}
	if e.ID != "" {
		b = append(b, "id: "...)
		b = append(b, e.ID...)
		b = append(b, '\n')
	}
	if e.Retry != 0 {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, e.Retry.Milliseconds(), 10)
		b = append(b, '\n')
	}
	return append(b, '\n')
}

var encodeCases = []struct {
	name  string
	event ssetest.Event
}{
	{"token", ssetest.Data(strings.Repeat("a", 20))},
	{"letter", ssetest.Event{Type: "message", Data: `{"msg":"a"}`, ID: "1b4e28ba-2fa1-4d2b-883f-b9a761bde3fb", Retry: 6 * time.Second}},
	{"lines", ssetest.Data(strings.Repeat("a", 30) + "\n" + strings.Repeat("b", 30))},
	{"full", ssetest.Event{Type: "delta", Data: strings.Repeat("a", 30) + "\n" + strings.Repeat("b", 30), ID: "1234", Retry: 6 * time.Second}},
	{"1k", ssetest.Data(strings.Repeat("a", 1<<10))},
	{"64k", ssetest.Data(strings.Repeat("a", 64<<10))},
}

// BenchmarkAppendText gives AppendText's time, and how many times that of appending prepared parts it is.
func BenchmarkAppendText(b *testing.B) {
	for _, c := range encodeCases {
		b.Run(c.name, func(b *testing.B) {
			lines := strings.Split(c.event.Data, "\n")
			want := appendPrepared(nil, c.event, lines)
			got, err := c.event.AppendText(nil)
			require.NoError(b, err)
			require.Equal(b, string(want), string(got))

			runtime.GC()
			buf := make([]byte, 0, 2*len(want))
			n := max(10, 1<<16/len(want))
			var ours, prepared []float64
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				for range n {
					buf, _ = c.event.AppendText(buf[:0])
				}
				middle := time.Now()
				for range n {
					buf = appendPrepared(buf[:0], c.event, lines)
				}
				ours = append(ours, float64(middle.Sub(start)))
				prepared = append(prepared, float64(time.Since(middle)))
			}
			b.ReportMetric(median(ours)/float64(n), "ns/event")
			b.ReportMetric(median(ours)/median(prepared), "of-prepared")
			b.ReportMetric(0, "ns/op")
		})
	}
}
