package ssetest_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// 9.2.2: a URL that can't be parsed is a mistake of the author's, thrown by the constructor; so are headers here. Nothing is asked, and nothing again.
func TestMistakesFailAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		url  string
		cfg  ssetest.OpenConfig
		text string
	}{
		"no URL":        {"", ssetest.OpenConfig{}, `the URL is ""; it must begin with http:// or https:// and a host`},
		"a path":        {"/feed", ssetest.OpenConfig{}, `the URL is "/feed"; it must begin with http:// or https:// and a host`},
		"no scheme":     {"localhost:80/feed", ssetest.OpenConfig{}, `the URL is "localhost:80/feed"; it must begin with http:// or https:// and a host`},
		"no host":       {"https:///feed", ssetest.OpenConfig{}, `the URL is "https:///feed"; it must begin with http:// or https:// and a host`},
		"other scheme":  {"ws://localhost/", ssetest.OpenConfig{}, `the URL is "ws://localhost/"; it must begin with http:// or https:// and a host`},
		"bad URL":       {"http://bad host/", ssetest.OpenConfig{}, `parse "http://bad host/": invalid character " " in host name`},
		"bad escape":    {"http://localhost/%zz", ssetest.OpenConfig{}, `parse "http://localhost/%zz": invalid URL escape "%zz"`},
		"method":        {"http://localhost/", ssetest.OpenConfig{Method: "G T"}, `net/http: invalid method "G T"`},
		"header name":   {"http://localhost/", ssetest.OpenConfig{Header: http.Header{"X Y": {"1"}}}, `OpenConfig.Header: "X Y" can't be the name of a header field`},
		"no name":       {"http://localhost/", ssetest.OpenConfig{Header: http.Header{"": {"1"}}}, `OpenConfig.Header: "" can't be the name of a header field`},
		"header value":  {"http://localhost/", ssetest.OpenConfig{Header: http.Header{"X-Y": {"1", "a\nb"}}}, `OpenConfig.Header: the field X-Y has a value that no header can carry`},
		"last event ID": {"http://localhost/", ssetest.OpenConfig{LastEventID: "a\nb"}, `OpenConfig.LastEventID is "a\nb": a header can carry no control characters`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c.cfg.Reconnect = true
				_, err := ssetest.Dial(t.Context(), c.url, &c.cfg)
				require.EqualError(t, err, "ssetest: opening a stream: "+c.text)
				assert.Zero(t, time.Since(start))
				if c.cfg.Header != nil || c.cfg.LastEventID != "" || c.cfg.Method != "" {
					s := newStage()
					_, err = s.dial(t.Context(), c.cfg)
					require.EqualError(t, err, "ssetest: opening a stream: "+c.text)
					assert.Empty(t, s.times())
				}
			})
		})
	}
}

// 9.2.3: a client may give up what it knows to be futile: a certificate that it does not trust will be the same next time.
func TestUntrustedCertificatesFailForGood(t *testing.T) {
	for _, p := range []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTPS1} {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		transport := &http.Transport{DialContext: srv.DialContext}
		cfg := again()
		cfg.Client = &http.Client{Transport: transport}
		_, err := ssetest.Dial(t.Context(), srv.URL+"/sse", cfg)
		require.ErrorContains(t, err, "certificate")
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		transport.CloseIdleConnections()
	}
}
