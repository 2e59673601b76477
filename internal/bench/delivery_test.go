package bench_test

import (
	"fmt"
	"io"
	"log"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// quiet takes what servers say of connections that are cut.
var quiet = log.New(io.Discard, "", 0)

// bothProtocols are those that are timed.
var bothProtocols = []ssetest.Protocol{ssetest.HTTP1, ssetest.HTTP2}

// burst is so many events, tokens as a language model sends them, each with the mark by which they are counted.
func burst(events int) []string {
	data := make([]string, events)
	for i := range data {
		data[i] = `{"choices":[{"delta":{"content":"tok` + string(mark) + strconv.Itoa(i) + `"}}]}`
	}
	return data
}

// BenchmarkBurst publishes a hundred events, one by one, and waits until everybody has got them.
func BenchmarkBurst(b *testing.B) {
	for _, protocol := range bothProtocols {
		for _, subscribers := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("protocol=%v/subscribers=%d", protocol, subscribers), func(b *testing.B) {
				run(b, deliverers(protocol, subscribers, burst(100)))
			})
		}
	}
}

// BenchmarkSingle publishes one event: nothing gathers.
func BenchmarkSingle(b *testing.B) {
	for _, protocol := range bothProtocols {
		for _, subscribers := range []int{10, 1000} {
			b.Run(fmt.Sprintf("protocol=%v/subscribers=%d", protocol, subscribers), func(b *testing.B) {
				run(b, deliverers(protocol, subscribers, burst(1)))
			})
		}
	}
}

// BenchmarkLatency is how long an event takes to one subscriber, with nothing else going on. The time is the median.
func BenchmarkLatency(b *testing.B) {
	for _, protocol := range bothProtocols {
		b.Run(fmt.Sprintf("protocol=%v", protocol), func(b *testing.B) {
			for _, c := range deliverers(protocol, 1, burst(1)) {
				b.Run("contender="+c.name, func(b *testing.B) {
					do := c.ready(b)
					var times []time.Duration
					for b.Loop() {
						start := time.Now()
						do()
						times = append(times, time.Since(start))
					}
					slices.Sort(times)
					b.ReportMetric(float64(times[len(times)/2]), "ns/op")
				})
			}
		})
	}
}

// deliverers are the contenders that publish to a crowd, if everybody gets everything.
func deliverers(protocol ssetest.Protocol, subscribers int, data []string) []contender {
	var contenders []contender
	for _, p := range publishers {
		contenders = append(contenders, contender{p.name, func(tb testing.TB) (func(), error) {
			server := p.start(tb, protocol)
			crowd, err := newCrowd(server.place, subscribers, subscribers)
			if err != nil {
				server.close()
				return nil, err
			}
			tb.Cleanup(server.close)
			tb.Cleanup(crowd.close)
			if err := crowd.join(func(data string) { server.publish(data) }); err != nil {
				return nil, err
			}
			crowd.expect(len(data))
			server.publish(data...)
			if err := crowd.awaitEvents(); err != nil {
				return nil, err
			}
			for i := range subscribers {
				if got, err := crowd.got(i); err != nil || !slices.Equal(got, data) {
					return nil, fmt.Errorf("subscriber %d has got %d events, %.100q…, %v", i, len(got), got, err)
				}
			}
			crowd.forget()
			return func() {
				crowd.expect(len(data))
				server.publish(data...)
				must(tb, crowd.awaitEvents())
			}, nil
		}})
	}
	return contenders
}
