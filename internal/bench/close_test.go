package bench_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// BenchmarkClose ends a server that has a thousand streams open. The time is that of Close alone.
func BenchmarkClose(b *testing.B) {
	for _, protocol := range bothProtocols {
		b.Run(fmt.Sprintf("protocol=%v", protocol), func(b *testing.B) {
			for _, c := range []struct {
				name  string
				start func() publisher
			}{
				{"hand", func() publisher {
					handler, publish := handHandler()
					return serve(protocol, handler, "/", publish)
				}},
				{"ssetest", func() publisher { return ours(b, &ssetest.Config{Protocol: protocol, Network: ssetest.Loopback}) }},
				{"ssetest-memory", func() publisher { return ours(b, &ssetest.Config{Protocol: protocol, Network: ssetest.InMemory}) }},
			} {
				b.Run("contender="+c.name, func(b *testing.B) {
					var closing time.Duration
					for b.Loop() {
						server := c.start()
						crowd, err := newCrowd(server.place, 1000, 1000)
						must(b, err)
						must(b, crowd.awaitOpen())
						crowd.expectEnd()
						start := time.Now()
						server.close()
						closing += time.Since(start)
						if server.clean {
							must(b, crowd.awaitEnded())
						}
						crowd.close()
					}
					b.ReportMetric(float64(closing)/float64(b.N), "ns/op")
					b.ReportMetric(closing.Seconds()*1000/float64(b.N), "close-ms")
				})
			}
		})
	}
}
