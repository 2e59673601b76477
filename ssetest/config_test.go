package ssetest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func newLogger(w io.Writer) *log.Logger { return log.New(w, "", 0) }

func TestConfigIsChecked(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	for wanted, cfg := range map[string]*ssetest.Config{
		"ssetest: starting the server: Config.Wrap has returned nil":                                                        {Wrap: func(http.Handler) http.Handler { return nil }},
		"ssetest: Config.Protocol is Protocol(9); it must be HTTP2, HTTPS1, HTTP1 or H2C":                                   {Protocol: 9},
		"ssetest: Config.Protocol is Protocol(-1); it must be HTTP2, HTTPS1, HTTP1 or H2C":                                  {Protocol: -1},
		"ssetest: Config.Network is Network(7); it must be Auto, Loopback or InMemory":                                      {Network: 7},
		"ssetest: Config.Retry is 1.5ms; it must be whole milliseconds, which is what a retry field can say":                {Retry: 1500 * time.Microsecond},
		fmt.Sprintf("ssetest: starting the server: Config.Addr: listen tcp %v: bind: address already in use", taken.Addr()): {Addr: taken.Addr().String(), Network: ssetest.Loopback},
		"ssetest: starting the server: Config.Addr: listen tcp: address here: missing port in address":                      {Addr: "here", Network: ssetest.Loopback},
	} {
		srv, err := ssetest.Start(cfg)
		assert.Nil(t, srv)
		require.EqualError(t, err, wanted)
		failed := attempt(t, func(t testing.TB) { ssetest.NewServer(t, cfg) })
		assert.Equal(t, wanted, failed.text())
	}
}

func TestConfigIsCopied(t *testing.T) {
	cfg := &ssetest.Config{LetterInterval: -1}
	srv := ssetest.NewServer(t, cfg)
	before := srv.Letter(1)
	cfg.Seed, cfg.Retry = 99, time.Second
	assert.Equal(t, before, srv.Letter(1))
}

func TestAddrOfAllInterfacesIsReachable(t *testing.T) {
	addrs := []string{":0", "0.0.0.0:0"}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil { // a container may have no IPv6
		_ = l.Close()
		addrs = append(addrs, "[::]:0")
	}
	for _, addr := range addrs {
		srv := ssetest.NewServer(t, &ssetest.Config{Addr: addr})
		assert.True(t, strings.HasPrefix(srv.URL, "https://127.0.0.1:"), srv.URL)
		srv.Open(t, "/sse", nil).Next()
	}
}

func TestCertificate(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		cert := srv.Certificate()
		if !strings.HasPrefix(srv.URL, "https:") {
			assert.Nil(t, cert)
			return
		}
		for _, host := range []string{"localhost", "127.0.0.1", "::1", "example.com"} {
			require.NoError(t, cert.VerifyHostname(host))
		}
		assert.True(t, cert.NotBefore.Before(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
	})
}

// TestCertificateOfYours is shown by the server, and trusted by its client.
func TestCertificateOfYours(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(7),
			NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
			DNSNames:     []string{"in-memory!use-Server.Client"},
			IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}})
		srv.Open(t, "/sse", nil).ExpectJSON(`{"msg":"a"}`)
		if strings.HasPrefix(srv.URL, "https:") {
			assert.Equal(t, der, srv.Certificate().Raw)
		}
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	const incomplete = "ssetest: Config.Certificate has no certificate, or no key; tls.LoadX509KeyPair reads both"
	for want, bad := range map[string][]*tls.Certificate{
		incomplete: {{}, {PrivateKey: key}, {Certificate: [][]byte{{1}}}},
		"ssetest: Config.Certificate: x509: malformed certificate": {{Certificate: [][]byte{{1}}, PrivateKey: key}},
	} {
		for _, c := range bad {
			_, err := ssetest.Start(&ssetest.Config{Certificate: c})
			require.EqualError(t, err, want)
		}
	}
}

func TestClientWithoutTheCertificateIsNoted(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, &ssetest.Config{Network: ssetest.Loopback})
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if !strings.Contains(string(answer), "HTTP request to an HTTPS server") {
			t.Errorf("%s", answer)
		}
		srv.Close()
		t.Error("failed on purpose")
	})
	assert.Equal(t, "failed on purpose", failed.text())
	assert.Contains(t, strings.Join(failed.logs, "\n"), "http: TLS handshake error from 127.0.0.1:")
}
