package ssetest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestServed is what TestServe runs in a process of its own: the first server outside of a bubble is held open.
func TestServed(t *testing.T) {
	if os.Getenv("SSETEST_SERVED") == "" {
		t.Skip("it is for TestServe, with -ssetest.serve")
	}
	synctest.Test(t, func(t *testing.T) { ssetest.NewServer(t, nil) })
	srv := ssetest.NewServer(t, &ssetest.Config{Seed: 42, Network: ssetest.InMemory})
	another := ssetest.NewServer(t, nil)
	srv.Script("GET /feed", ssetest.Script{ssetest.Data("scripted")})
	fmt.Printf("another %s\n", another.URL)
	if os.Getenv("SSETEST_SERVED") == "failing" {
		t.Fatal("as it was to")
	}
}

// TestServe has a test held open by the flag, and by its variable, and pokes its server.
func TestServe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    []string
		env     string
		outcome string
		result  string
		code    int
	}{
		"flag, passing":     {[]string{"-ssetest.serve=127.0.0.1:0"}, "SSETEST_SERVE=", "passing", "is done with its server", 0},
		"variable, failing": {nil, "SSETEST_SERVE=127.0.0.1:0", "failing", "has failed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), atOnce+25*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"-test.run=^TestServed$"}, c.args...)...)
			cmd.Env = append(os.Environ(), c.env, "SSETEST_SERVED="+c.outcome)
			var out bytes.Buffer
			cmd.Stdout = &out
			errs, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(errs)
			require.True(t, lines.Scan())
			url, ok := strings.CutPrefix(lines.Text(), "ssetest: TestServed: serving on ")
			require.True(t, ok, lines.Text())
			require.True(t, lines.Scan())
			assert.Equal(t, fmt.Sprintf("ssetest: TestServed %s; %s stays open until Ctrl-C: curl -kN %[2]s/sse", c.result, url), lines.Text())

			// As with curl -k.
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			stream := ssetest.Open(t, url+"/sse", &ssetest.OpenConfig{Client: client})
			stream.ExpectJSON(`{"msg":"a"}`)
			response, err := client.Get(url + "/feed")
			require.NoError(t, err)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, "data: scripted\n\n", string(text))

			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
			stream.ExpectEnd()
			for lines.Scan() {
				assert.NotContains(t, lines.Text(), "serving on", "the other server is not held open")
			}
			_ = cmd.Wait()
			assert.Equal(t, c.code, cmd.ProcessState.ExitCode(), out.String())
			assert.Contains(t, out.String(), "another https://127.0.0.1:")
		})
	}
}
