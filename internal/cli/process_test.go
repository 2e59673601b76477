package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/internal/cli"
	"github.com/go-ssetest/sse/ssetest"
)

// ldflags leave out what a debugger would want.
const ldflags = "-s -w"

// binaryDir is where the binary goes.
var binaryDir string

// binary builds the command once, as the Dockerfile does.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaryDir, "ssetest")
	cmd := exec.Command("go", "build", "-ldflags="+ldflags, "-o", path, "github.com/go-ssetest/sse/ssetest/cmd/ssetest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

func TestMain(m *testing.M) {
	var err error
	if binaryDir, err = os.MkdirTemp("", "ssetest"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(binaryDir) // what is left is a temporary folder
	os.Exit(code)
}

// A process is the command in one of its own.
type process struct {
	*exec.Cmd
	url  string
	errs *buffer
	out  *bufio.Reader
}

// launch starts the binary, prepared by the caller, and waits until it serves.
func launch(t *testing.T, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, path, args...), errs: new(buffer)}
	p.Stderr = p.errs
	if prepare != nil {
		prepare(p.Cmd)
	}
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { _, _ = p.Process.Kill(), p.Wait() }) // where it has not ended by itself
	p.out = bufio.NewReader(out)
	line, err := p.out.ReadString('\n')
	require.NoError(t, err, p.errs.String())
	p.url = strings.TrimSuffix(strings.TrimPrefix(line, "ssetest: serving on "), "\n")
	return p
}

// wait returns the exit code, and how long it took to come to it.
func (p *process) wait() (code int, took time.Duration) {
	start := time.Now()
	_ = p.Wait() // the exit code says it
	return p.ProcessState.ExitCode(), time.Since(start)
}

// TestSignals has a process end by each of the signals, within two seconds, with streams that are open.
func TestSignals(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := launch(t, nil, "-addr", "127.0.0.1:0", "-interval", "1h")
			c := command{t: t, url: p.url}
			letters, posts := c.open("/sse"), c.open("/post")
			letters.ExpectJSON(`{"msg":"a"}`)
			require.NoError(t, p.Process.Signal(signal))
			for _, stream := range []*ssetest.Stream{letters, posts} {
				stream.ExpectComment("the server has been stopped")
				stream.ExpectEnd()
			}
			code, took := p.wait()
			assert.Zero(t, code)
			assert.Less(t, took, 2*time.Second)
			assert.Empty(t, p.errs.String())
		})
	}
}

// launchDeaf starts the command, and a client that does not read what it asks for.
func launchDeaf(t *testing.T) *process {
	t.Helper()
	feed := write(t, "feed.sse", strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n\n", 20_000))
	p := launch(t, nil, "-addr", "127.0.0.1:0", "-script", "GET /feed="+feed)
	c := command{t: t, url: p.url}
	response, err := c.client().Get(p.url + "/feed")
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() }) // which nobody has read
	return p
}

// TestClientsThatDoNotReadHoldNothingUp: they are cut, in time.
func TestClientsThatDoNotReadHoldNothingUp(t *testing.T) {
	t.Parallel()
	p := launchDeaf(t)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	code, took := p.wait()
	assert.Zero(t, code)
	assert.Less(t, took, 2*time.Second)
}

// TestASecondSignalLeavesAtOnce with a code of its own, while clients that do not read are still waited for.
func TestASecondSignalLeavesAtOnce(t *testing.T) {
	t.Parallel()
	p := launchDeaf(t)
	require.NoError(t, p.Process.Signal(os.Interrupt))
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	code, _ := p.wait()
	assert.Equal(t, 130, code)
}

// TestArticle asks as the article does that the mock is known from, with curl.
func TestArticle(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	require.NoError(t, err, "curl is missing; on Debian, apt-get install curl")
	cert := filepath.Join(t.TempDir(), "cert.pem")
	p := launch(t, nil, "-addr", "127.0.0.1:0", "-cert-out", cert, "-interval", "1h")
	url := strings.Replace(p.url, "127.0.0.1", "localhost", 1)
	for _, trust := range [][]string{{"-k"}, {"--cacert", cert}} {
		sse := exec.Command(curl, append(trust, "-sN", url+"/sse")...)
		out, err := sse.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, sse.Start())
		letter := ssetest.NewDecoder(out)
		e, err := letter.Next()
		require.NoError(t, err)
		assert.JSONEq(t, `{"msg":"a"}`, e.Data)
		assert.Equal(t, 6*time.Second, e.Retry)
		_, _ = sse.Process.Kill(), sse.Wait() // it has no end of its own

		post, err := exec.Command(curl, append(trust, "-s", "-H", "Content-type: application/json", "-d", `{"test": "sent me via SSE"}`, url+"/post")...).Output()
		require.NoError(t, err)
		assert.Equal(t, "broadcasted", string(post))
	}
}

// TestProbe is what a container's health check calls.
func TestProbe(t *testing.T) {
	t.Parallel()
	for _, plain := range [][]string{nil, {"-http"}} {
		p := launch(t, nil, append(plain, "-addr", "0.0.0.0:0")...)
		_, port, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(p.url, "https://"), "http://"), ":")
		path, err := binary()
		require.NoError(t, err)
		probe := func() (string, int) {
			cmd := exec.CommandContext(t.Context(), path, append(plain, "-probe")...)
			cmd.Env = []string{"SSETEST_ADDR=0.0.0.0", "PORT=" + port} // as in the container
			text, _ := cmd.CombinedOutput()
			return string(text), cmd.ProcessState.ExitCode()
		}
		text, code := probe()
		assert.Zero(t, code, text)
		assert.Empty(t, text)
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		code, _ = p.wait()
		assert.Zero(t, code)
		text, code = probe()
		assert.Equal(t, 1, code)
		assert.Contains(t, text, "connection refused")
	}
}

// TestProbeOfSomethingElse is not taken in by a server that is none, or not well.
func TestProbeOfSomethingElse(t *testing.T) {
	t.Parallel()
	for answer, status := range map[string]int{"ok\n": http.StatusServiceUnavailable, "hello\n": http.StatusOK, "elsewhere": http.StatusFound} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/well" {
				_, _ = io.WriteString(w, "ok\n")
				return
			}
			w.Header().Set("Location", "/well")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer)
		}))
		defer other.Close()
		var out, errs buffer
		assert.Equal(t, 1, cli.Run(t.Context(), []string{"-http", "-probe", "-addr", other.Listener.Addr().String()}, environment(), &out, &errs))
		assert.Equal(t, fmt.Sprintf("ssetest: %s/healthz has answered %d: it is not well, or no ssetest\n", other.URL, status), errs.String())
	}
}

// TestContainer builds the binary as the Dockerfile does, and runs it with nothing else: as nobody, in an empty root.
func TestContainer(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../../ssetest/cmd/ssetest/Dockerfile")
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(dockerfile)) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	assert.Subset(t, lines, []string{
		`RUN CGO_ENABLED=0 go build -ldflags="` + ldflags + `" -o /ssetest ./ssetest/cmd/ssetest`,
		"FROM scratch", "COPY --from=build /ssetest /ssetest", "USER 65532:65532", "ENV SSETEST_ADDR=0.0.0.0", "EXPOSE 4043", `ENTRYPOINT ["/ssetest"]`,
		`HEALTHCHECK --interval=10s --timeout=3s --start-period=1s CMD ["/ssetest", "-probe"]`,
	})
	path, err := binary()
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(10_000_000))

	root := t.TempDir()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "ssetest"), text, 0o755))
	for dir := root; dir != "/" && dir != "."; dir = filepath.Dir(dir) { // nobody has to come there
		if strings.HasPrefix(dir, os.TempDir()+"/") {
			require.NoError(t, os.Chmod(dir, 0o755))
		}
	}
	p := launch(t, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args[0] = "/ssetest", "/ssetest"
		cmd.Dir = "/"
		cmd.Env = []string{"SSETEST_ADDR=0.0.0.0", "PORT=0"}
		confine(cmd, root)
	})
	c := command{t: t, url: p.url}
	c.open("/sse").ExpectJSON(`{"msg":"a"}`)
	response, page := c.ask("GET", "/", "")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Contains(t, page, "<title>ssetest</title>")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	code, _ := p.wait()
	assert.Zero(t, code, p.errs.String())
}
