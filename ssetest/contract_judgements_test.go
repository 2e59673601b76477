package ssetest_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// An adapted is a stream with something else in place of one of its methods.
type adapted struct {
	ssetest.ClientStream
	next  func(ctx context.Context) (ssetest.Event, error)
	close func()
}

func (a adapted) Next(ctx context.Context) (ssetest.Event, error) {
	if a.next != nil {
		return a.next(ctx)
	}
	return a.ClientStream.Next(ctx)
}

func (a adapted) Close() {
	a.ClientStream.Close()
	if a.close != nil {
		a.close()
	}
}

// connects is a contract whose Connect does something else first.
func connects(first func(ctx context.Context, r ssetest.ConnectRequest)) ssetest.ClientContract {
	sound := (&mutant{reconnect: true}).contract()
	return ssetest.ClientContract{Connect: func(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
		first(ctx, r)
		return sound.Connect(ctx, r)
	}}
}

// adapts is a contract whose streams are adapted.
func adapts(a adapted) ssetest.ClientContract {
	sound := (&mutant{reconnect: true}).contract()
	return ssetest.ClientContract{Connect: func(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
		stream, err := sound.Connect(ctx, r)
		return adapted{stream, a.next, a.close}, err
	}}
}

// listed is a contract with a list of what fails.
func listed(fault string, known ...string) ssetest.ClientContract {
	c := (&mutant{reconnect: true, faults: []string{fault}}).contract()
	c.Known = known
	return c
}

func without(c ssetest.ClientContract, capabilities ...ssetest.Capability) ssetest.ClientContract {
	c.Without = capabilities
	return c
}

// judgements are contracts, and what TestClient says of them.
var judgements = map[string]struct {
	contract ssetest.ClientContract
	run      string // of the subtests
	fails    bool
	says     []string
	not      string // what it does not say; "" is nothing
}{
	"a failure": {
		listed("does not come back after a broken stream"), "HTTP/^reconnecting$/^after_an_abort$", true,
		[]string{
			"--- FAIL: TestJudgements/HTTP1/reconnecting/after_an_abort ", "--- FAIL: TestJudgements/HTTP2/reconnecting/after_an_abort ",
			`ssetest: wanted event 2 to be message two id=1, but Next has failed: the stream has broken: unexpected EOF`, "\n        the rule: WHATWG HTML, section 9.2, 9.2.2: processEventSourceEndOfBody",
		},
		"",
	},
	"a failure that is known": {
		listed("does not come back after a broken stream", "reconnecting/after an abort"), "HTTP/^reconnecting$/^after_an_abort$", false,
		[]string{
			"--- SKIP: TestJudgements/HTTP1/reconnecting/after_an_abort ", "--- SKIP: TestJudgements/HTTP2/reconnecting/after_an_abort ",
			`ssetest: known to fail: wanted event 2 to be message two id=1, but Next has failed: `, "\n        the rule: ",
		},
		"",
	},
	"a failure that is known by its subtest's name": {
		listed("does not come back after a broken stream", "reconnecting/after_an_abort"), "HTTP/^reconnecting$/^after_an_abort$", false,
		[]string{"--- SKIP: TestJudgements/HTTP1/reconnecting/after_an_abort ", "--- SKIP: TestJudgements/HTTP2/reconnecting/after_an_abort "},
		"",
	},
	"a failure that is known on one protocol": {
		listed("does not come back after io.ErrUnexpectedEOF", "HTTP1/reconnecting/after an abort"), "HTTP/^reconnecting$/^after_an_abort$", false,
		[]string{"--- SKIP: TestJudgements/HTTP1/reconnecting/after_an_abort ", "--- PASS: TestJudgements/HTTP2/reconnecting/after_an_abort "},
		"",
	},
	"a failure that is known on one protocol by its subtest's name": {
		listed("does not come back after io.ErrUnexpectedEOF", "HTTP1/reconnecting/after_an_abort"), "HTTP/^reconnecting$/^after_an_abort$", false,
		[]string{"--- SKIP: TestJudgements/HTTP1/reconnecting/after_an_abort ", "--- PASS: TestJudgements/HTTP2/reconnecting/after_an_abort "},
		"",
	},
	"a failure that is known on the other protocol": {
		listed("does not come back after io.ErrUnexpectedEOF", "HTTP2/reconnecting/after an abort"), "HTTP/^reconnecting$/^after_an_abort$", true,
		[]string{"--- FAIL: TestJudgements/HTTP1/reconnecting/after_an_abort ", `ssetest: "reconnecting/after an abort" is listed in Known, and passes: take it out`},
		"",
	},
	"no failure, though it is known": {
		listed("", "reconnecting/after an abort"), "HTTP/^reconnecting$/^after_an_abort$", true,
		[]string{"--- FAIL: TestJudgements/HTTP2/reconnecting/after_an_abort ", `ssetest: "reconnecting/after an abort" is listed in Known, and passes: take it out`},
		"",
	},
	"no case": {
		listed("", "reconnecting/after a nap", "H2C/reconnecting/after an abort"), "none", true,
		[]string{
			`ssetest: Known has "reconnecting/after a nap", which is the name of no case`, `ssetest: Known has "H2C/reconnecting/after an abort", which is the name of no case`,
			"--- FAIL: TestJudgements ",
		},
		"",
	},
	"not claimed": {
		without(listed(""), ssetest.CanPost), "HTTP/^http$/^post$", false,
		[]string{"--- SKIP: TestJudgements/HTTP1/http/post ", "ssetest: the client does not claim CanPost\n"},
		"",
	},
	"without HTTP/2": {
		without(listed(""), ssetest.CanHTTP2), "HTTP/^http$/^post$", false,
		[]string{"--- PASS: TestJudgements/HTTP1/http/post ", "--- SKIP: TestJudgements/HTTP2 ", "ssetest: the client does not claim CanTakeClient and CanHTTP2\n"},
		"",
	},
	"on a socket": {
		without(listed(""), ssetest.CanTakeClient), "HTTP/^http$/^post$", false,
		[]string{"--- PASS: TestJudgements/HTTP1/http/post ", "--- SKIP: TestJudgements/HTTP2 "},
		"",
	},
	"another's capability": {
		without(listed(""), ssetest.CanCarryIDs), "none", true,
		[]string{"ssetest: Without has CanCarryIDs, which is no capability of a client\n"},
		"",
	},
	"a client that has its own way": {
		connects(func(context.Context, ssetest.ConnectRequest) { panic("not reached") }), "none", true,
		[]string{"ssetest: panic: not reached\n"},
		"http/",
	},
	"another client than the one that it was given": {
		ssetest.ClientContract{Connect: func(ctx context.Context, r ssetest.ConnectRequest) (ssetest.ClientStream, error) {
			return ssetest.Dial(ctx, r.URL, &ssetest.OpenConfig{Client: http.DefaultClient})
		}},
		"HTTP1/^http$/^(post|accept)$", true,
		[]string{"ssetest: no request of the client has reached the server (Connect: ", "no such host", "; if it takes neither ConnectRequest.Client nor its Transport, list CanTakeClient in Without\n"},
		"http/post",
	},
	"a test that is ended in Connect": {
		connects(func(context.Context, ssetest.ConnectRequest) { runtime.Goexit() }), "HTTP1/^http$/^post$", true,
		[]string{"ssetest: the goroutine was ended by runtime.Goexit: has it called FailNow, Fatal or Skip of another test?\n"},
		"http/post",
	},
	"on real time": {
		without(listed("does not come back after a broken stream"), ssetest.CanVirtualTime), "HTTP1/^(http|reconnecting)$/^(post|after_an_abort)$", true,
		[]string{"--- PASS: TestJudgements/HTTP1/http/post ", "--- FAIL: TestJudgements/HTTP1/reconnecting/after_an_abort "},
		"",
	},
	"no Connect": {
		ssetest.ClientContract{},
		"HTTP", true,
		[]string{"ssetest: TestClient: ClientContract.Connect is nil; it must open a stream with the client under test"},
		"HTTP",
	},
	"neither a stream nor an error": {
		ssetest.ClientContract{Connect: func(context.Context, ssetest.ConnectRequest) (ssetest.ClientStream, error) { return nil, nil }},
		"HTTP1/^http$/^post$", true,
		[]string{"ssetest: no request of the client has reached the server (Connect: it has returned neither a stream nor an error); "},
		"",
	},
	"an error of Connect": {
		ssetest.ClientContract{Connect: func(context.Context, ssetest.ConnectRequest) (ssetest.ClientStream, error) { return nil, errBroken }},
		"HTTP1/^http$/^post$", true,
		[]string{"ssetest: no request of the client has reached the server (Connect: broken on purpose); "},
		"",
	},
	"a panic in Connect": {
		connects(func(context.Context, ssetest.ConnectRequest) { panic("in Connect") }), "HTTP1/^http$/^(post|accept)$", true,
		[]string{"ssetest: panic: in Connect\n"},
		"http/post",
	},
	"a panic in Next": {
		adapts(adapted{next: func(context.Context) (ssetest.Event, error) { panic("in Next") }}), "HTTP1/^http$/^(post|accept)$", true,
		[]string{"ssetest: panic: in Next\n"},
		"http/post",
	},
	"a panic in Close": {
		adapts(adapted{close: func() { panic("in Close") }}), "HTTP1/^http$/^post$", true,
		[]string{"ssetest: panic: in Close\n"},
		"http/post",
	},
	"a Connect that does not return": {
		connects(func(context.Context, ssetest.ConnectRequest) { select {} }), "HTTP1/^http$/^(post|accept)$", true,
		[]string{"ssetest: Connect has not returned within 48h0m0s, though its context was done after 24h0m0s\n"},
		"http/post",
	},
	"a Connect that returns when its context is done": {
		connects(func(ctx context.Context, _ ssetest.ConnectRequest) { <-ctx.Done() }), "HTTP1/^http$/^post$", true,
		[]string{"ssetest: Connect has not returned within 24h0m0s\n"},
		"http/post",
	},
	"a Next that does not return": {
		adapts(adapted{next: func(context.Context) (ssetest.Event, error) { select {} }}), "HTTP1/^http$/^(post|accept)$", true,
		[]string{"ssetest: Next has not returned within 24h1m0s, though its context was done after 1m0s\n"},
		"http/post",
	},
	"a Next without an event": {
		adapts(adapted{next: func(ctx context.Context) (ssetest.Event, error) { <-ctx.Done(); return ssetest.Event{}, ctx.Err() }}), "HTTP1/^http$/^post$", true,
		[]string{"ssetest: the client gives no event within 24h0m0s, and no error\n"},
		"",
	},
	"a Close that does not return": {
		adapts(adapted{close: func() { select {} }}), "HTTP1/^http$/^(post|accept)$", true,
		[]string{"ssetest: Close has not returned within 10s\n"},
		"http/post",
	},
	"a goroutine that is left": {
		connects(func(context.Context, ssetest.ConnectRequest) { go func() { select {} }() }), "HTTP1/^(http|life)$/^(post|close_while_silent)$", true,
		[]string{
			"--- PASS: TestJudgements/HTTP1/http/post ", "--- FAIL: TestJudgements/HTTP1/life/close_while_silent ",
			"ssetest: 5s after the last stream was closed, a goroutine is left that it has started:\n",
		},
		"",
	},
	"a connection that is left": {
		connects(leaveConnection), "HTTP1/^(http|life)$/^(post|close_while_silent)$", true,
		[]string{
			"--- PASS: TestJudgements/HTTP1/http/post ", "--- FAIL: TestJudgements/HTTP1/life/close_while_silent ",
			"ssetest: 5s after the last stream was closed, 1 connection left, of which connection 1 is one\n",
		},
		"",
	},
}

// leaveConnection opens a stream that nobody closes, in a goroutine that can't be told to be the client's.
func leaveConnection(ctx context.Context, r ssetest.ConnectRequest) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(context.Background())
		request, err := r.Request(context.WithoutCancel(ctx))
		if err == nil {
			request.URL.Path = "/sse"
			_, _ = r.Client.Do(request) //nolint:bodyclose // which is what is tested
		}
	}()
	<-done
}

// TestJudgements runs the suite in processes of their own, since it has to fail there.
func TestJudgements(t *testing.T) {
	if name := os.Getenv("SSETEST_JUDGEMENT"); name != "" {
		ssetest.TestClient(t, judgements[name].contract)
		return
	}
	t.Parallel()
	for name, j := range judgements {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, passed := judge(t, name, j.run)
			assert.Equal(t, j.fails, !passed, output)
			for _, text := range j.says {
				assert.Contains(t, output, text)
			}
			if j.not != "" {
				assert.NotContains(t, output, j.not)
			}
		})
	}
}

// judge runs some subtests of a judgement, and returns what they say. It does not wait for the end of the process, which looks for goroutines that are left: there are some.
func judge(t *testing.T, name, subtests string) (output string, passed bool) {
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestJudgements$/"+subtests, "-test.timeout=50s")
	command.Env = append(os.Environ(), "SSETEST_JUDGEMENT="+name)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	}()
	var all strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line := lines.Text()
		if line == "PASS" || line == "FAIL" {
			return all.String(), line == "PASS"
		}
		fmt.Fprintln(&all, line)
	}
	t.Fatalf("it has not come to its end:\n%s", all.String())
	return "", false
}
