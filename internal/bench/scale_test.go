package bench_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// BenchmarkScale has ever more streams over HTTP/2: how long it takes to open them all, to send one event to all, and to close the server with a clean end of each,
// and what a stream occupies (B/stream), with the little that the client has of it in the same process. Up to 10,000 share one connection, 50,000 have ten.
// The times are those for all streams, in milliseconds.
func BenchmarkScale(b *testing.B) {
	for _, network := range []ssetest.Network{ssetest.Loopback, ssetest.InMemory} {
		for _, streams := range []int{1, 10, 100, 1_000, 10_000, 50_000} {
			b.Run(fmt.Sprintf("network=%v/streams=%d", network, streams), func(b *testing.B) {
				var opening, event, closing time.Duration
				var bytes float64
				for b.Loop() {
					server := ours(b, &ssetest.Config{Protocol: ssetest.HTTP2, Network: network})
					perConn := streams
					if streams > 10_000 {
						perConn = streams / 10
					}
					before := occupied()
					start := time.Now()
					crowd, err := newCrowd(server.place, streams, perConn)
					must(b, err)
					must(b, crowd.awaitOpen())
					opening += time.Since(start)
					bytes += occupied().bytes - before.bytes

					crowd.expect(1)
					start = time.Now()
					server.publish(burst(1)...)
					must(b, crowd.awaitEvents())
					event += time.Since(start)

					crowd.expectEnd()
					start = time.Now()
					server.close()
					closing += time.Since(start)
					must(b, crowd.awaitEnded())
					crowd.close()
				}
				n := float64(b.N)
				b.ReportMetric(opening.Seconds()*1000/n, "open-ms")
				b.ReportMetric(event.Seconds()*1000/n, "event-ms")
				b.ReportMetric(closing.Seconds()*1000/n, "close-ms")
				b.ReportMetric(bytes/n/float64(streams), "B/stream")
				b.ReportMetric(0, "ns/op") // is of no interest
				runtime.GC()               // what is left must not be counted with the next
			})
		}
	}
}

// BenchmarkHistory has ever more events in a topic's history, up to as many small ones as its 64 MiB hold: publishing another one, and opening a stream that has missed some, and reads them.
func BenchmarkHistory(b *testing.B) {
	for _, history := range []int{1, 10, 100, 1_000, 10_000, 100_000, 700_000} {
		b.Run(fmt.Sprintf("events=%d", history), func(b *testing.B) {
			srv, err := ssetest.Start(&ssetest.Config{Network: ssetest.InMemory, History: history, ErrorLog: quiet})
			must(b, err)
			defer srv.Close()
			for i := range history {
				srv.Publish(ssetest.Event{ID: fmt.Sprint(i), Data: "x"})
			}
			b.Run("do=publish", func(b *testing.B) {
				next := history
				for b.Loop() {
					srv.Publish(ssetest.Event{ID: fmt.Sprint(next), Data: "x"})
					next++
				}
				for i := range history { // as it was
					srv.Publish(ssetest.Event{ID: fmt.Sprint(i), Data: "x"})
				}
			})
			for _, missed := range []int{0, 10, 100, 1000} {
				if missed >= history {
					continue
				}
				b.Run(fmt.Sprintf("do=resume/missed=%d", missed), func(b *testing.B) {
					for b.Loop() {
						es, err := ssetest.Dial(b.Context(), srv.URL+"/post", &ssetest.OpenConfig{LastEventID: fmt.Sprint(history - 1 - missed)})
						must(b, err)
						for i := range missed {
							e, err := es.Next(b.Context())
							must(b, err)
							if want := fmt.Sprint(history - missed + i); e.ID != want {
								b.Fatalf("event %s, and not %s", e.ID, want)
							}
						}
						es.Close()
					}
				})
			}
		})
	}
}
