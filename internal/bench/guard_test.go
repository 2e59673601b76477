package bench_test

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// This file holds what does not depend on the machine: how often memory is allocated, how much of it, how often is flushed, and that nothing is left behind.

// TestEncodingAllocatesNothing, into a buffer that is large enough.
func TestEncodingAllocatesNothing(t *testing.T) {
	for _, c := range encoded {
		buf := make([]byte, 0, 1<<17)
		allocations := testing.AllocsPerRun(100, func() {
			if _, err := c.event.AppendText(buf); err != nil {
				panic(err)
			}
		})
		assert.Zero(t, allocations, c.name)
	}
}

// TestDecodingAllocatesLittle: short strings share blocks, and a large one is one allocation.
func TestDecodingAllocatesLittle(t *testing.T) {
	most := map[string]float64{"tokens": 0.1, "letters": 0.1, "large": 1.2} // per event
	for _, p := range parsedStreams() {
		events := 0
		allocations := testing.AllocsPerRun(10, func() {
			events = 0
			for _, err := range ssetest.Events(bytes.NewReader(p.stream)) {
				require.NoError(t, err)
				events++
			}
		})
		require.Len(t, p.events, events)
		assert.LessOrEqual(t, allocations/float64(events), most[p.name], p.name)
	}
}

// TestPublishingAllocatesLittle: a record for each event, and now and then a piece of memory in which their bytes lie. A large event has one by itself.
func TestPublishingAllocatesLittle(t *testing.T) {
	const events = 10_000
	srv := ssetest.NewServer(t, &ssetest.Config{History: -1})
	for _, c := range encoded {
		most := 1.1
		if c.name == "64k" {
			most = 3
		}
		allocations := testing.AllocsPerRun(1, func() {
			for range events {
				srv.Publish(c.event)
			}
		})
		assert.LessOrEqual(t, allocations/events, most, c.name)
	}
}

// A countingResponse counts what is done with a response. Before it writes, it waits for pass.
type countingResponse struct {
	http.ResponseWriter
	writes, flushes atomic.Int32
	writing         chan struct{}
	pass            chan struct{}
}

func (c *countingResponse) Write(p []byte) (int, error) {
	c.writes.Add(1)
	select {
	case c.writing <- struct{}{}:
	default: // nobody asks for more than the first
	}
	<-c.pass
	return c.ResponseWriter.Write(p)
}

func (c *countingResponse) FlushError() error {
	c.flushes.Add(1)
	return http.NewResponseController(c.ResponseWriter).Flush()
}

// TestFlushes: what has gathered for a stream is written once and flushed once, and each step of a script by itself.
func TestFlushes(t *testing.T) {
	for _, protocol := range bothProtocols {
		t.Run(protocol.String(), func(t *testing.T) {
			responses := make(chan *countingResponse, 1)
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: protocol, Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c := &countingResponse{ResponseWriter: w, writing: make(chan struct{}, 1), pass: make(chan struct{})}
					responses <- c
					next.ServeHTTP(c, r)
				})
			}})
			stream := srv.Open(t, "/post", nil)
			response := <-responses
			srv.Publish(ssetest.Data("first"))
			<-response.writing
			for range 100 {
				srv.Publish(ssetest.Data("x")) // while the first is being written
			}
			close(response.pass)
			stream.Take(101)
			assert.EqualValues(t, 2, response.writes.Load(), "writes of 101 events, of which 100 had gathered")
			assert.EqualValues(t, 3, response.flushes.Load(), "flushes of the header, and of each write")
			srv.Publish(make([]ssetest.Event, 10_000)...) // 70,000 bytes: a write for each piece of up to 64 KiB that they lie in
			stream.Take(10_000)
			assert.LessOrEqual(t, response.writes.Load(), int32(2+8), "writes of 10,000 events that have gathered")
			stream.Close()

			const steps = 10
			script := ssetest.Script{}
			for range steps {
				script = append(script, ssetest.Data("x"))
			}
			srv.Script("GET /feed", append(script, ssetest.Hold()))
			stream = srv.Open(t, "/feed", nil)
			response = <-responses
			close(response.pass)
			stream.Take(steps)
			assert.EqualValues(t, steps, response.writes.Load(), "writes of a script")
			stream.Close()
			assert.EqualValues(t, steps+1, response.flushes.Load(), "flushes of a script")
		})
	}
}

// TestIdleStreamsAreSmall: most of these bytes are net/http's own.
func TestIdleStreamsAreSmall(t *testing.T) {
	for protocol, most := range map[ssetest.Protocol]streamCost{
		ssetest.HTTP2: {16 << 10, 1.1},
		ssetest.HTTP1: {30 << 10, 2.1},
	} {
		cost := idleElsewhere(t, protocol, "ssetest")
		assert.LessOrEqual(t, cost.bytes, most.bytes, "bytes of a stream over %v", protocol)
		assert.Greater(t, cost.bytes, float64(4<<10), "a stream has a buffer of that size in net/http alone")
		assert.LessOrEqual(t, cost.goroutines, most.goroutines, "goroutines of a stream over %v", protocol)
		t.Logf("%v: %.0f bytes and %.2f goroutines a stream", protocol, cost.bytes, cost.goroutines)
	}
}

// TestAHundredFixturesAtOnce leave nothing behind.
func TestAHundredFixturesAtOnce(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("fixtures", func(t *testing.T) {
		for i := range 100 {
			protocol := []ssetest.Protocol{ssetest.HTTP1, ssetest.HTTPS1, ssetest.HTTP2, ssetest.H2C}[i%4]
			network := []ssetest.Network{ssetest.Loopback, ssetest.InMemory}[i/4%2]
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				f := fixture{"", func() fixtureServer { return ourFixture(protocol, network) }}
				assert.NoError(t, f.once(), "%v on %v", protocol, network)
			})
		}
	})
	// The goroutines of the clients' transports end when they have seen that their connections are closed.
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for runtime.NumGoroutine() > before {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("%d goroutines, of which %d were there before", runtime.NumGoroutine(), before)
		}
	}
}
