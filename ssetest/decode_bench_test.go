package ssetest_test

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// corpus is a stream that the benchmarks read, with the events that it has.
type corpus struct {
	name    string
	stream  []byte
	events  []ssetest.Event
	perRead bool // each Read gives one event
}

func (c *corpus) reader() io.Reader {
	if !c.perRead {
		return bytes.NewReader(c.stream)
	}
	return &eventReader{rest: c.stream}
}

// eventReader gives one event a Read, as a server does that flushes each of its events.
type eventReader struct {
	rest []byte
}

func (r *eventReader) Read(b []byte) (int, error) {
	i := bytes.Index(r.rest, []byte("\n\n"))
	if i < 0 {
		return 0, io.EOF
	}
	n := copy(b, r.rest[:i+2])
	r.rest = r.rest[n:]
	return n, nil
}

// corpora makes the benchmarks' streams: always the same, since the generator is seeded.
func corpora(tb testing.TB) []*corpus {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + rng.IntN(26))
		}
		return string(b)
	}
	token := func() ssetest.Event { return ssetest.Data(letters(20)) }
	full := func() ssetest.Event {
		return ssetest.Event{
			Type:  []string{"delta", "update", "tool_call"}[rng.IntN(3)],
			Data:  letters(30) + "\n" + letters(30),
			ID:    strconv.FormatUint(rng.Uint64(), 36),
			Retry: 3 * time.Second,
		}
	}
	comments := ": " + strings.Repeat(letters(60)+"\n: ", 19) + "keep-alive\n"

	all := []*corpus{
		newCorpus(tb, "tokens", 2000, token),
		newCorpus(tb, "full", 1000, full),
		newCorpus(tb, "lines64k", 40, func() ssetest.Event { return ssetest.Data(letters(64 << 10)) }),
		newCorpus(tb, "comments", 200, token),
		newCorpus(tb, "crlf", 1000, full),
		newCorpus(tb, "crlftokens", 2000, token),
		newCorpus(tb, "utf8", 1000, func() ssetest.Event { return ssetest.Data(strings.Repeat("\u3042\u00E9 ", 10)) }),
		newCorpus(tb, "perread", 1000, token),
	}
	for _, c := range all {
		switch c.name {
		case "comments":
			c.stream = bytes.ReplaceAll(c.stream, []byte("data: "), []byte(comments+"data: "))
		case "crlf", "crlftokens":
			c.stream = bytes.ReplaceAll(c.stream, []byte("\n"), []byte("\r\n"))
		case "perread":
			c.perRead = true
		}
	}
	return all
}

func newCorpus(tb testing.TB, name string, n int, event func() ssetest.Event) *corpus {
	c := &corpus{name: name}
	for range n {
		e := event()
		stream, err := e.AppendText(c.stream)
		require.NoError(tb, err)
		if e.Type == "" {
			e.Type = "message"
		}
		c.stream, c.events = stream, append(c.events, e)
	}
	return c
}

// A loop reads a stream to its end and hands over its events.
type loop func(r io.Reader, yield func(ssetest.Event)) error

func decoderLoop(r io.Reader, yield func(ssetest.Event)) error {
	d := ssetest.NewDecoder(r)
	for {
		e, err := d.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		yield(e)
	}
}

// scannerLoop is what people write, with what they get wrong left in: the byte order mark, lone CRs, ill-formed UTF-8,
// IDs with a NUL, retries with a sign or too large, and lines longer than the Scanner's limit.
func scannerLoop(r io.Reader, yield func(ssetest.Event)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	e, hasData := ssetest.Event{Type: "message"}, false
	for sc.Scan() {
		line := sc.Text()
		if line == "" {
			if hasData {
				yield(e)
			}
			e, hasData = ssetest.Event{Type: "message", ID: e.ID}, false
			continue
		}
		if strings.HasPrefix(line, ":") {
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.Type = value
		case "data":
			if hasData {
				e.Data += "\n"
			}
			e.Data += value
			hasData = true
		case "id":
			e.ID = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				e.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return sc.Err()
}

// thriftyScannerLoop is the same by somebody who counts allocations: it works on the Scanner's bytes, and makes
// strings only of what it returns.
func thriftyScannerLoop(r io.Reader, yield func(ssetest.Event)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	e, hasData := ssetest.Event{Type: "message"}, false
	var data []byte
	for sc.Scan() {
		line := sc.Bytes()
		if len(line) == 0 {
			if hasData {
				e.Data = string(data)
				yield(e)
			}
			e, hasData = ssetest.Event{Type: "message", ID: e.ID}, false
			data = data[:0]
			continue
		}
		if line[0] == ':' {
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.Type = string(value)
		case "data":
			if hasData {
				data = append(data, '\n')
			}
			data = append(data, value...)
			hasData = true
		case "id":
			e.ID = string(value)
		case "retry":
			if ms, err := strconv.Atoi(string(value)); err == nil {
				e.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return sc.Err()
}

var loops = []struct {
	name string
	loop loop
}{
	{"ssetest", decoderLoop},
	{"scanner", scannerLoop},
	{"thrifty", thriftyScannerLoop},
}

// check makes sure that a loop gets the corpus right before anybody times it.
func (c *corpus) check(tb testing.TB, l loop) {
	tb.Helper()
	var got []ssetest.Event
	require.NoError(tb, l(c.reader(), func(e ssetest.Event) { got = append(got, e) }))
	require.Equal(tb, c.events, got)
}

// run is what is timed: how many events and bytes of data come back is all that it looks at.
func (c *corpus) run(tb testing.TB, l loop) {
	events, size := 0, 0
	err := l(c.reader(), func(e ssetest.Event) {
		events++
		size += len(e.Data)
	})
	if err != nil || events != len(c.events) || size == 0 {
		tb.Fatalf("%d events of %d bytes, %v; want %d", events, size, err, len(c.events))
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range corpora(b) {
		for _, l := range loops {
			b.Run(c.name+"/"+l.name, func(b *testing.B) {
				c.check(b, l.loop)
				b.SetBytes(int64(len(c.stream)))
				b.ReportAllocs()
				for b.Loop() {
					c.run(b, l.loop)
				}
				perEvent := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(len(c.events))
				b.ReportMetric(perEvent, "ns/event")
			})
		}
	}
}

// BenchmarkDecodeRatio gives the Decoder's time as a share of each Scanner loop's. They take turns, and the medians are
// compared, so that a noisy machine is noisy for all of them.
//
//	go test ./ssetest -run '^$' -bench DecodeRatio -benchtime 30x
func BenchmarkDecodeRatio(b *testing.B) {
	for _, c := range corpora(b) {
		b.Run(c.name, func(b *testing.B) {
			for _, l := range loops {
				c.check(b, l.loop)
			}
			times := make([][]float64, len(loops))
			for round := 0; b.Loop(); round++ {
				for i := range loops {
					turn := (round + i) % len(loops)
					times[turn] = append(times[turn], c.time(b, loops[turn].loop))
				}
			}
			b.ReportMetric(0, "ns/op") // the time of all loops together says nothing
			for i, l := range loops[1:] {
				b.ReportMetric(median(times[0])/median(times[i+1]), "of-"+l.name)
			}
		})
	}
}

// time times some megabytes from a clean start, so that a loop's garbage is collected at its own expense.
func (c *corpus) time(tb testing.TB, l loop) float64 {
	runtime.GC()
	start := time.Now()
	for range max(1, 8<<20/len(c.stream)) {
		c.run(tb, l)
	}
	return float64(time.Since(start))
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
