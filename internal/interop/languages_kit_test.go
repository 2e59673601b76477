package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// languagesSeed is that of the command, and of a server in the test that says what the command has to write.
const languagesSeed = 42

// A kit is what the tests of other languages need, made once.
type kit struct {
	ssetest  string // the command
	programs string // the folder javascript, with its packages
}

// newKit builds the command, and installs what javascript/package-lock.json pins into a copy of that folder: nothing is left in the checkout.
func newKit(t *testing.T) *kit {
	t.Helper()
	for program, install := range map[string]string{
		"node": "Node.js 20.18.1 or newer",
		"npm":  "npm, which comes with Node.js",
		"curl": "curl, with HTTP/2 (apt-get install curl)",
	} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "to try clients in other languages, install %s", install)
	}
	dir := t.TempDir()
	k := &kit{ssetest: filepath.Join(dir, "ssetest"), programs: filepath.Join(dir, "javascript")}
	mustRun(t, ".", "go", "build", "-o", k.ssetest, "github.com/go-ssetest/sse/ssetest/cmd/ssetest")
	require.NoError(t, os.CopyFS(k.programs, os.DirFS("javascript")))
	mustRun(t, k.programs, "npm", "ci", "--engine-strict", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
	return k
}

func mustRun(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	p := start(t, dir, nil, program, args...)
	out, code := p.exit()
	require.Zero(t, code, "%s\n%s%s", p, out, p.said())
}

// A command is the server as a process.
type command struct {
	*process
	url  string
	cert string // the file
	left bool
}

// serve starts the command. At the end of the test it is told to leave, and has to leave well.
func (k *kit) serve(t *testing.T, flags ...string) *command {
	t.Helper()
	c := &command{cert: filepath.Join(t.TempDir(), "cert.pem")}
	flags = append([]string{"-addr", "127.0.0.1:0", "-cert-out", c.cert, "-seed", strconv.Itoa(languagesSeed), "-interval", "1ms"}, flags...)
	c.process = start(t, ".", nil, k.ssetest, flags...)
	line := c.line("where it serves")
	url, ok := strings.CutPrefix(line, "ssetest: serving on ")
	require.True(t, ok, line)
	c.url = url
	t.Cleanup(c.leave)
	return c
}

// leave tells the command to leave, and waits until it has. After a failure, which may be that its time is over, it is killed.
func (c *command) leave() {
	c.t.Helper()
	if c.left || c.t.Failed() {
		return
	}
	c.left = true
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGTERM))
	_, code := c.exit()
	assert.Zero(c.t, code, c.said())
}

// curl starts curl on a path. Its protocol and the status that it got are the last line on standard error.
func (c *command) curl(t *testing.T, path string, args ...string) *process {
	t.Helper()
	args = append([]string{"-q", "--noproxy", "*", "-sS", "-N", "-w", `%{stderr}%{http_version} %{response_code}\n`, "--cacert", c.cert}, args...)
	return start(t, ".", nil, "curl", append(args, c.url+path)...)
}

// post has curl post JSON, as anybody would.
func (c *command) post(t *testing.T, body string) {
	t.Helper()
	p := c.curl(t, "/post", "-H", "Content-type: application/json", "-d", body)
	assert.Equal(t, []string{"broadcasted"}, p.lines())
	assert.Regexp(t, ` 303\n$`, p.said())
}

// asked are the last event IDs that a path has been asked with, in their order, by the transcript; "" where there was none.
func (c *command) asked(t *testing.T, path string) []string {
	t.Helper()
	transcript := strings.Join(c.curl(t, "/transcript").lines(), "\n")
	request := regexp.MustCompile(`(?m)^:@ \+\S+ open GET ` + regexp.QuoteMeta(path) + `(?: Last-Event-ID: "(.*)")?$`)
	var ids []string
	for _, m := range request.FindAllStringSubmatch(transcript, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// letters are the first n that the command sends, by a server in this process.
func letters(t *testing.T, n int) []ssetest.Event {
	t.Helper()
	srv := ssetest.NewServer(t, &ssetest.Config{Seed: languagesSeed, Network: ssetest.InMemory})
	all := make([]ssetest.Event, n)
	for k := range all {
		all[k] = srv.Letter(k)
	}
	return all
}

// bodies are posted to the command.
var bodies = []string{`{"test": "sent me via SSE"}`, `"a text\nof two lines"`, `[1, {"ä": "☕"}]`}

// posts are the events that the command makes of bodies that are posted to it, by a server in this process.
func posts(t *testing.T, bodies []string) []ssetest.Event {
	t.Helper()
	srv := ssetest.NewServer(t, &ssetest.Config{Seed: languagesSeed, Network: ssetest.InMemory})
	stream := srv.Open(t, "/post", nil)
	for _, body := range bodies {
		response, err := srv.Client().Post(srv.URL+"/post", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	return stream.Take(len(bodies))
}
