package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/internal/cli"
)

func TestUsage(t *testing.T) {
	for _, flag := range []string{"-help", "-h", "--help"} {
		var out, errs bytes.Buffer
		assert.Zero(t, cli.Run(t.Context(), []string{flag}, environment(), &out, &errs))
		golden(t, "testdata/usage.txt", out.String())
		assert.Empty(t, errs.String())
	}
}

func TestVersion(t *testing.T) {
	var out, errs bytes.Buffer
	assert.Zero(t, cli.Run(t.Context(), []string{"-version"}, environment(), &out, &errs))
	assert.Regexp(t, `^ssetest \S+, built with go1\.\d+\S*( .*)?\n$`, out.String())
	assert.Empty(t, errs.String())
}

// TestMistakes has everything that can be wrong: each is one line, and an exit code.
func TestMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, nobody.Close())
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.sse"), []byte("data: one\n\n:@ wait long\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "good.sse"), []byte("data: one\n\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("no certificate"), 0o600))
	mistakes, err := filepath.Abs("testdata/mistakes.txt")
	require.NoError(t, err)
	t.Chdir(dir)

	var all strings.Builder
	for _, c := range []struct {
		env  []string
		args string // with | between them
	}{
		{nil, "-nonsense"},
		{nil, "serve"},
		{nil, "-seed|x"},
		{nil, "-seed|-1"},
		{nil, "-seed"},
		{nil, "-http=maybe"},
		{nil, "-interval|0s"},
		{nil, "-interval|5"},
		{nil, "-retry|-1s"},
		{nil, "-retry|1500us"},
		{nil, "-history|-1"},
		{nil, "-history|many"},
		{nil, "-max-streams|-1"},
		{nil, "-max-streams|4294967297"},
		{nil, "-log|xml"},
		{nil, "-cert|cert.pem"},
		{nil, "-key|key.pem"},
		{nil, "-http|-cert|cert.pem|-key|key.pem"},
		{nil, "-http|-cert-out|cert.pem"},
		{nil, "-addr|localhost:http"},
		{nil, "-addr|localhost:70000"},
		{nil, "-addr|70000"},
		{nil, "-addr|https://localhost:4043"},
		{nil, "-script|GET /feed=no\nwhere.sse"},
		{nil, "-origin|app.example"},
		{nil, "-origin|https://app.example/"},
		{nil, "-chaos|abort"},
		{nil, "-chaos|abort=2"},
		{nil, "-chaos|abort=often"},
		{nil, "-chaos|abort=0.7,reset=0.7"},
		{nil, "-chaos|delay=-1s"},
		{nil, "-chaos|seed=x"},
		{nil, "-chaos|explode=1"},
		{nil, "-script|GET /feed"},
		{nil, "-script|GET /feed="},
		{nil, "-script|=good.sse"},
		{nil, "-script|feed=good.sse"},
		{nil, "-script|get /feed=good.sse"},
		{nil, "-script|GET /healthz=good.sse"},
		{nil, "-script|GET /feed=good.sse|-script|GET /feed=good.sse"},
		{[]string{"PORT=http"}, ""},
		{[]string{"SSETEST_SEED=x"}, ""},
		{[]string{"SSETEST_HTTP=perhaps"}, ""},
		{[]string{"SSETEST_CHAOS=abort"}, ""},
		{[]string{"SSETEST_MAX_STREAMS=-1"}, ""},
		{nil, "-script|GET /feed=nowhere.sse"},
		{nil, "-script|GET /feed=."},
		{nil, "-script|GET /feed=bad.sse"},
		{nil, "-cert|nowhere.pem|-key|key.pem"},
		{nil, "-cert|cert.pem|-key|cert.pem"},
		{nil, "-cert-out|nowhere/cert.pem"},
		{nil, "-addr|" + taken.Addr().String()},
		{nil, "-addr|192.0.2.1:4043"}, // nobody's own (RFC 5737)
		{nil, "-probe|-addr|" + nobody.Addr().String()},
	} {
		var args []string
		if c.args != "" {
			args = strings.Split(c.args, "|")
		}
		var out, errs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), patience) // should it serve
		code := cli.Run(ctx, args, environment(append(c.env, "PORT=0")...), &out, &errs)
		cancel()
		assert.Empty(t, out.String(), c.args)
		assert.Equal(t, 1, strings.Count(errs.String(), "\n"), "one line: %s", errs.String())
		for i, arg := range args {
			if args[i] = strings.ReplaceAll(arg, "\n", `\n`); strings.Contains(arg, " ") {
				args[i] = "'" + args[i] + "'"
			}
		}
		fmt.Fprintf(&all, "$ %s\n%d %s", strings.Join(append(c.env, append([]string{"ssetest"}, args...)...), " "), code, errs.String())
	}
	text := strings.NewReplacer(taken.Addr().String(), "127.0.0.1:TAKEN", nobody.Addr().String(), "127.0.0.1:NOBODY").Replace(all.String())
	golden(t, mistakes, text)
}

// TestClosedOutput: nobody would know where the server is.
func TestClosedOutput(t *testing.T) {
	out, err := os.Open(os.DevNull) // which can't be written to
	require.NoError(t, err)
	defer func() { _ = out.Close() }()
	var errs bytes.Buffer
	assert.Equal(t, 1, cli.Run(t.Context(), nil, environment("PORT=0"), out, &errs))
	assert.Equal(t, "ssetest: saying where the server is: write /dev/null: bad file descriptor\n", errs.String())
}
