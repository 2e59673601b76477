package bench_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-ssetest/sse/internal/memnet"
	"github.com/go-ssetest/sse/ssetest"
)

// What can only be measured in a test is measured in one, in another process, which says how long it took.
const (
	measureVariable = "SSETEST_BENCH_MEASURE" // is set there
	measured        = "measured: "
)

// measure runs a test in another process, and returns how long it took by its own account.
func measure(b *testing.B, test string) time.Duration {
	took, err := time.ParseDuration(account(b, test))
	must(b, err)
	return took
}

// account runs a test in another process, and returns what that says it has measured.
func account(tb testing.TB, test string) string {
	cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(test, "/", "$/^")+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), measureVariable+"=1")
	out, err := cmd.CombinedOutput()
	_, text, ok := strings.Cut(string(out), measured)
	text, _, _ = strings.Cut(text, "\n")
	if err != nil || !ok {
		tb.Fatalf("%s: %v\n%.2000s", test, err, out)
	}
	return text
}

// measuring has a test measured. Where nobody has asked for that, it is skipped.
func measuring(t *testing.T, do func()) {
	if os.Getenv(measureVariable) == "" {
		t.Skip("a benchmark runs it")
	}
	start := time.Now()
	do()
	fmt.Printf("%s%v\n", measured, time.Since(start))
}

const (
	virtualDay = 24 * time.Hour
	interval   = 5 * time.Second // of letters
)

// BenchmarkVirtualTime is a day of letters, every five seconds, over HTTP/2 and TLS in a testing/synctest bubble, and an hour with a hundred clients.
// The limit is a handler that writes a prepared event, without anything else around it, read by a scanner. (What people write by hand takes the whole day.)
func BenchmarkVirtualTime(b *testing.B) {
	for _, c := range []struct {
		name, contender string
		virtual         time.Duration
	}{
		{"streams=1", "limit", virtualDay},
		{"streams=1", "ssetest", virtualDay},
		{"streams=100", "limit", time.Hour},
		{"streams=100", "ssetest", time.Hour},
	} {
		b.Run(c.name+"/contender="+c.contender, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				took += measure(b, "TestVirtualTime/"+c.name+"/"+c.contender)
			}
			b.ReportMetric(float64(took)/float64(b.N), "ns/op")
			b.ReportMetric(c.virtual.Seconds()*float64(b.N)/took.Seconds(), "virtual-s/s")
		})
	}
}

// TestVirtualTime is what BenchmarkVirtualTime measures.
func TestVirtualTime(t *testing.T) {
	for name, read := range map[string]func(t *testing.T, streams, letters int){"limit": bareLetters, "ssetest": ourLetters} {
		t.Run("streams=1/"+name, func(t *testing.T) {
			measuring(t, func() { synctest.Test(t, func(t *testing.T) { read(t, 1, int(virtualDay/interval)) }) })
		})
		t.Run("streams=100/"+name, func(t *testing.T) {
			measuring(t, func() { synctest.Test(t, func(t *testing.T) { read(t, 100, int(time.Hour/interval)) }) })
		})
	}
}

// ourLetters reads letters, and looks at each.
func ourLetters(t *testing.T, streams, letters int) {
	start := time.Now()
	srv := ssetest.NewServer(t, nil)
	var all sync.WaitGroup
	for range streams {
		stream := srv.Open(t, "/sse", nil)
		all.Go(func() {
			for k := range letters {
				if got, want := stream.Next(), srv.Letter(k); got != want {
					t.Errorf("letter %d is %v, and not %v", k, got, want)
				}
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took != time.Duration(letters-1)*interval { // the first comes at once
		t.Errorf("it took %v", took)
	}
}

// bareLetters has the same from a handler that does nothing else.
func bareLetters(t *testing.T, streams, letters int) {
	l := memnet.Listen(memnet.Addr{Host: "127.0.0.1", Port: 1})
	ts := &httptest.Server{Listener: l, EnableHTTP2: true, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_, _ = io.WriteString(w, "data: x\n\n") // the context says it, too
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})}}
	ts.StartTLS()
	transport := ts.Client().Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is in memory
	var all sync.WaitGroup
	var bodies []io.Closer
	for range streams {
		response, err := ts.Client().Get(ts.URL)
		must(t, err)
		bodies = append(bodies, response.Body)
		all.Go(func() {
			scanner := bufio.NewScanner(response.Body)
			read := 0
			for read < letters && scanner.Scan() {
				if scanner.Text() == "data: x" {
					read++
				}
			}
			if read != letters {
				t.Errorf("%d letters, and not %d", read, letters)
			}
		})
	}
	all.Wait()
	for _, body := range bodies {
		_ = body.Close() // it has been read as far as anybody wants
	}
	transport.CloseIdleConnections()
	ts.CloseClientConnections()
	ts.Close()
}

// BenchmarkSuites is how long the contract suites take for our own client and our own server, in memory.
func BenchmarkSuites(b *testing.B) {
	for _, suite := range []string{"TestClient", "TestHandler"} {
		b.Run("suite="+suite, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				took += measure(b, "TestSuites/"+suite)
			}
			b.ReportMetric(float64(took)/float64(b.N), "ns/op")
		})
	}
}

// TestSuites is what BenchmarkSuites measures.
func TestSuites(t *testing.T) {
	t.Run("TestClient", func(t *testing.T) {
		measuring(t, func() { ssetest.TestClient(t, ssetest.ClientContract{Connect: dialOurs}) })
	})
	t.Run("TestHandler", func(t *testing.T) {
		srv := ssetest.NewServer(t, &ssetest.Config{Network: ssetest.InMemory})
		measuring(t, func() {
			ssetest.TestHandler(t, ssetest.HandlerContract{URL: srv.URL + "/post", Client: srv.Client(), Emit: func(e ssetest.Event) { srv.Publish(e) }})
		})
	})
}

// dialOurs is our own client, as the suite wants it.
func dialOurs(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
	return ssetest.Dial(ctx, r.URL, &ssetest.OpenConfig{
		Client: r.Client, Method: r.Method, Header: r.Header, Body: r.Body, LastEventID: r.LastEventID,
		Reconnect: true, ReconnectionTime: r.ReconnectionTime, ReadTimeout: r.ReadTimeout, OnComment: r.OnComment,
	})
}
