// Package cli is the command ssetest, as a function of its arguments, its environment and its output.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2

	// ExitInterrupted is for a process that is told to leave at once: 128 and the number of SIGINT, as shells have it.
	ExitInterrupted = 130
)

// A mistake is in how the command was called. It is a line that says what to do.
type mistake string

func (m mistake) Error() string { return string(m) }

func mistakef(format string, args ...any) error { return mistake(fmt.Sprintf(format, args...)) }

// Run serves until ctx is done, and returns the exit code. Where the server is goes to out, and what went wrong to errs, in one line;
// with -log, the log does as well. Env looks up the environment, as [os.Getenv] does.
func Run(ctx context.Context, args []string, env func(string) string, out, errs io.Writer) int {
	err := run(ctx, args, env, out, errs)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(errs, "ssetest: %s\n", oneLine.Replace(err.Error()))
	if errors.As(err, new(mistake)) {
		return exitUsage
	}
	return exitError
}

// oneLine has a message stay one line, whatever it quotes.
var oneLine = strings.NewReplacer("\n", `\n`, "\r", `\r`)

func run(ctx context.Context, args []string, env func(string) string, out, errs io.Writer) error {
	o, err := parse(args, env)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return printUsage(out)
	case err != nil:
		return err
	case o.version:
		_, err := fmt.Fprintln(out, version())
		return err
	case o.probe:
		return probe(ctx, o)
	default:
		return serve(ctx, o, out, errs)
	}
}
