package ssetest_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// TestMain fails the run where a goroutine is left when all tests are done.
func TestMain(m *testing.M) {
	// Many tests wait for nobody's processor: more of them than processors run beside each other, unless the command line has it otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	code := m.Run()
	if left := leaked(10 * time.Second); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines are left after all tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of the goroutines that are still there when the limit has passed, other than the caller's own.
// The client's side of a connection that has been closed takes a moment to find out.
func leaked(limit time.Duration) []string {
	deadline := time.Now().Add(limit)
	for {
		left := goroutines()
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		runtime.Gosched()
	}
}

// goroutines returns the stacks of the goroutines that a test could have started: all but those that run tests, and that of fuzzing which listens for signals.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var left []string
	for _, stack := range strings.Split(strings.TrimSpace(string(buf)), "\n\n")[1:] { // the first is the caller's
		if !strings.Contains(stack, "testing.tRunner(") && !strings.Contains(stack, "testing.(*M).") && !strings.Contains(stack, "os/signal.") {
			left = append(left, stack)
		}
	}
	return left
}

var protocols = []ssetest.Protocol{ssetest.HTTP2, ssetest.HTTPS1, ssetest.HTTP1, ssetest.H2C}

// run runs one test body on every protocol and both networks, as parallel subtests of a parallel test.
func run(t *testing.T, body func(t *testing.T, p ssetest.Protocol)) {
	runOn(t, []ssetest.Network{ssetest.Loopback, ssetest.InMemory}, body)
}

// runOn runs one test body on every protocol and some networks. The servers of a subtest whose Config.Network is Auto are on the network of its name.
func runOn(t *testing.T, networks []ssetest.Network, body func(t *testing.T, p ssetest.Protocol)) {
	t.Parallel()
	for _, n := range networks {
		for _, p := range protocols {
			t.Run(fmt.Sprintf("%v on %v", p, n), func(t *testing.T) {
				t.Parallel()
				body(t, p)
			})
		}
	}
}
