package cli_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestTenThousandStreams are held open by one process, on one connection, while letters go out to all of them, and all of them end cleanly.
func TestTenThousandStreams(t *testing.T) {
	many := 10_000
	if raceDetector { // which makes this side of it slow
		many = 500
	}
	p := launch(t, nil, "-addr", "127.0.0.1:0", "-interval", "1s", "-max-streams", "0")
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
		HTTP2:             &http.HTTP2Config{StrictMaxConcurrentRequests: true}, // no second connection
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	var lettered, ended sync.WaitGroup // who has had two letters, and who its end
	ends := make([]error, many)
	opening := make(chan struct{}, 100)
	for i := range many {
		opening <- struct{}{}
		lettered.Add(1)
		ended.Go(func() {
			response, err := client.Get(p.url + "/sse")
			<-opening
			had := 0
			if err == nil {
				had, err = letters(response, lettered.Done)
			}
			if had < 2 {
				lettered.Done() // its end says what is wrong
			}
			ends[i] = err
		})
	}
	waitFor(t, &lettered, "two letters on every stream")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	code, took := p.wait()
	assert.Zero(t, code)
	assert.Less(t, took, 2*time.Second)
	waitFor(t, &ended, "the end of every stream")
	for _, err := range ends {
		require.Equal(t, io.EOF, err)
	}
}

// letters reads letters to the end of a stream. It calls two when there have been two.
func letters(response *http.Response, two func()) (had int, err error) {
	defer func() { _ = response.Body.Close() }()
	decoder := ssetest.NewDecoder(response.Body)
	for {
		if _, err := decoder.Next(); err != nil {
			return had, err
		}
		if had++; had == 2 {
			two()
		}
	}
}

func waitFor(t *testing.T, all *sync.WaitGroup, what string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		require.NoError(t, errors.New("it has not come"), "waited %v for %s", patience, what)
	}
}
