package bench_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-ssetest/sse/internal/memnet"
	"github.com/go-ssetest/sse/ssetest"
)

// A fixture is a server of a test: it is started, a client opens a stream, one event is sent and read, and it is closed.
type fixture struct {
	name  string
	start func() fixtureServer
}

// A fixtureServer is one that is started.
type fixtureServer struct {
	client *http.Client
	url    string
	send   func() // an event to the stream that is open
	close  func()
}

// once is what a test does with a fixture at the least. What is read must be the event.
func (f fixture) once() error {
	s := f.start()
	defer s.close()
	response, err := s.client.Get(s.url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it is read as far as anybody wants
	s.send()
	if event, err := ssetest.NewDecoder(response.Body).Next(); err != nil || event.Data != "one" {
		return fmt.Errorf("read %v, and %v", event, err)
	}
	return nil
}

// BenchmarkFixture starts, connects, reads one event, and closes.
func BenchmarkFixture(b *testing.B) {
	for _, protocol := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTP1} {
		b.Run(fmt.Sprintf("protocol=%v", protocol), func(b *testing.B) {
			fixtures := []fixture{
				{"hand", func() fixtureServer { return handFixture(protocol) }},
				{"limit", func() fixtureServer { return bareFixture(protocol) }},
				{"ssetest", func() fixtureServer { return ourFixture(protocol, ssetest.Loopback) }},
				{"ssetest-memory", func() fixtureServer { return ourFixture(protocol, ssetest.InMemory) }},
			}
			for _, p := range publishers {
				// gin is an encoder, and the other two send no header before their first event.
				if !slices.Contains([]string{"hand", "limit", "ssetest", "gin", "tmaxmax", "alexandrevicenzi"}, p.name) {
					fixtures = append(fixtures, fixture{p.name, func() fixtureServer { return peerFixture(b, protocol, p.start) }})
				}
			}
			var contenders []contender
			for _, f := range fixtures {
				contenders = append(contenders, contender{f.name, func(tb testing.TB) (func(), error) {
					return func() {
						if err := f.once(); err != nil {
							tb.Fatal(err)
						}
					}, f.once()
				}})
			}
			run(b, contenders)
		})
	}
}

// ourFixture is what this project is about.
func ourFixture(protocol ssetest.Protocol, network ssetest.Network) fixtureServer {
	srv, err := ssetest.Start(&ssetest.Config{Protocol: protocol, Network: network})
	if err != nil {
		panic(err) // the address is one that is free
	}
	return fixtureServer{srv.Client(), srv.URL + "/post", func() { srv.Publish(ssetest.Data("one")) }, srv.Close}
}

// bareFixture is the least that serves a stream: the handler of handFixture, on the network in memory, without httptest.
func bareFixture(protocol ssetest.Protocol) fixtureServer {
	handler, send := oneByOne()
	l := memnet.Listen(memnet.Addr{Host: "127.0.0.1", Port: 1})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	server, transport := &http.Server{Handler: handler, ErrorLog: quiet}, &http.Transport{DialContext: dial}
	url := "http://127.0.0.1"
	if protocol == ssetest.HTTP2 {
		url = "https://127.0.0.1"
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{bareCertificate}}
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is in memory
		transport.ForceAttemptHTTP2 = true
		go func() { _ = server.ServeTLS(l, "", "") }() // it ends with ErrServerClosed
	} else {
		go func() { _ = server.Serve(l) }() // it ends with ErrServerClosed
	}
	return fixtureServer{&http.Client{Transport: transport}, url, send, func() {
		_ = server.Close() // whoever is there is cut off
		transport.CloseIdleConnections()
	}}
}

// bareCertificate costs as little to sign with as one can.
var bareCertificate = func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}()

// peerFixture is a library's server behind httptest.
func peerFixture(tb testing.TB, protocol ssetest.Protocol, start func(testing.TB, ssetest.Protocol) publisher) fixtureServer {
	p := start(tb, protocol)
	url := "http://"
	if protocol == ssetest.HTTP2 {
		url = "https://"
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // on loopback
	return fixtureServer{&http.Client{Transport: transport}, url + p.host + p.path, func() { p.publish("one") }, func() {
		p.close()
		transport.CloseIdleConnections()
	}}
}

// handFixture is what people write with httptest, when they have found out that Close waits for the streams.
func handFixture(protocol ssetest.Protocol) fixtureServer {
	handler, send := oneByOne()
	ts := httptest.NewUnstartedServer(handler)
	if protocol == ssetest.HTTP2 {
		ts.EnableHTTP2 = true
		ts.StartTLS()
	} else {
		ts.Start()
	}
	return fixtureServer{ts.Client(), ts.URL, send, func() {
		ts.CloseClientConnections()
		ts.Close()
	}}
}

// oneByOne is a handler for one stream, to which send sends an event.
func oneByOne() (handler http.Handler, send func()) {
	events := make(chan string)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for {
			select {
			case e := <-events:
				fmt.Fprintf(w, "data: %s\n\n", e)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}), func() { events <- "one" }
}
