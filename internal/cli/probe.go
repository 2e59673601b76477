package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

// probePatience is how long a server that is well takes at most.
const probePatience = 2 * time.Second

// probe asks the server that runs at the address whether it is well.
func probe(ctx context.Context, o *options) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	scheme := "https"
	if o.plain {
		scheme = "http"
	}
	url := scheme + "://" + local(o.addr) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("probing %s: %w", url, err)
	}
	// It looks at its own machine, whose certificate it can't know, and sends nothing.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("probing: %w; does the server run, and with this -addr, and -http or not?", err)
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(response.Body, 100))
	if err != nil || response.StatusCode != http.StatusOK || string(body) != "ok\n" {
		return fmt.Errorf("%s has answered %d: it is not well, or no ssetest", url, response.StatusCode)
	}
	return nil
}

// version is which one this is, as far as its build has told it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "ssetest, of an unknown version"
	}
	return fmt.Sprintf("ssetest %s, built with %s", info.Main.Version, info.GoVersion)
}
