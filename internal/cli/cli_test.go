package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/internal/cli"
	"github.com/go-ssetest/sse/ssetest"
)

func TestServes(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "cert.pem")
	ctx, stop := context.WithCancel(t.Context())
	said, out := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int)
	go func() {
		code <- cli.Run(ctx, []string{"-addr", "127.0.0.1:0", "-cert-out", cert, "-seed", "42", "-interval", "1ms"}, out, &errs)
	}()
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ssetest: serving on ")
	require.True(t, ok, line)

	// As curl --cacert does it: nothing is known of the server but the file.
	pem, err := os.ReadFile(cert)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	stream := ssetest.Open(t, url+"/sse", &ssetest.OpenConfig{Client: &http.Client{Transport: transport}})
	stream.ExpectJSON(`{"msg":"a"}`, `{"msg":"x"}`, `{"msg":"a"}`)

	stop()
	assert.Zero(t, <-code)
	assert.Empty(t, errs.String())
}

func TestRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	for name, c := range map[string]struct {
		args []string
		code int
		errs string // the first line
	}{
		"help":         {[]string{"-help"}, 0, "ssetest serves Server-Sent Events to try a client on: letters at /sse, and at /post what is posted there."},
		"unknown flag": {[]string{"-nonsense"}, 2, "flag provided but not defined: -nonsense"},
		"bad value":    {[]string{"-seed", "x"}, 2, `invalid value "x" for flag -seed: parse error`},
		"argument":     {[]string{"serve"}, 2, `ssetest: there are no arguments but flags, and "serve" is none`},
		"no interval":  {[]string{"-interval", "0s"}, 2, "ssetest: -interval is 0s; it must be more than nothing"},
		"taken port": {
			[]string{"-addr", taken.Addr().String()},
			1,
			"ssetest: starting the server: Config.Addr: listen tcp " + taken.Addr().String() + ": bind: address already in use",
		},
		"no folder": {
			[]string{"-addr", "127.0.0.1:0", "-cert-out", "nowhere/cert.pem"},
			1,
			"ssetest: writing the certificate: open nowhere/cert.pem: no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			assert.Equal(t, c.code, cli.Run(t.Context(), c.args, &out, &errs))
			first, _, _ := strings.Cut(errs.String(), "\n")
			assert.Equal(t, c.errs, first)
			assert.Empty(t, out.String())
		})
	}
}
