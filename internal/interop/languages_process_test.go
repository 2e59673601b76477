package interop_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a process may live. It ends what would hang, and measures nothing.
const patience = time.Minute

// A process is a program that a test has started. After patience it is killed, so that whoever waits for what it says, or for its end, sees that end.
type process struct {
	t    *testing.T
	ctx  context.Context
	cmd  *exec.Cmd
	out  *bufio.Reader
	errs string // the file that has its standard error
}

// start starts a program in a folder, with more in its environment than the test has. At the end of the test it is killed.
func start(t *testing.T, dir string, env []string, program string, args ...string) *process {
	t.Helper()
	errs, err := os.CreateTemp(t.TempDir(), "stderr-*")
	require.NoError(t, err)
	defer func() { _ = errs.Close() }() // the process has its own

	ctx, kill := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // not before Cleanup, where it may have to end well
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), errs
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		kill()
		_ = cmd.Wait() // it has been killed, or waited for before
	})
	require.NoError(t, cmd.Start())
	return &process{t, ctx, cmd, bufio.NewReader(out), errs.Name()}
}

// line waits for the next line on standard output.
func (p *process) line(wanted string) string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	p.mustHave(err, wanted, line)
	return strings.TrimSuffix(line, "\n")
}

// bytes waits for the next n bytes on standard output.
func (p *process) bytes(n int, wanted string) string {
	p.t.Helper()
	all := make([]byte, n)
	got, err := io.ReadFull(p.out, all)
	p.mustHave(err, wanted, string(all[:got]))
	return string(all)
}

// exit waits for the end, and returns what has come until then on standard output, and the exit code.
func (p *process) exit() (out string, code int) {
	p.t.Helper()
	all, err := io.ReadAll(p.out)
	p.mustHave(err, "its end", string(all))
	_ = p.cmd.Wait() // the code says more
	p.mustHave(p.ctx.Err(), "its end", string(all))
	return string(all), p.cmd.ProcessState.ExitCode()
}

// lines is exit, for a program that has to end well, and writes lines.
func (p *process) lines() []string {
	p.t.Helper()
	out, code := p.exit()
	require.Zero(p.t, code, "%s\n%s", out, p.said())
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// said is what has come on standard error.
func (p *process) said() string {
	all, err := os.ReadFile(p.errs)
	require.NoError(p.t, err)
	return string(all)
}

// mustHave ends the test where something that it waits for has not come.
func (p *process) mustHave(err error, wanted, got string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("waited for %s of %s, at most %v, and got %q: %v\n%s", wanted, p, patience, got, err, p.said())
	}
}

func (p *process) String() string {
	return fmt.Sprint(filepath.Base(p.cmd.Path), p.cmd.Args[1:])
}
