// Package cli is the command ssetest, as a function of its arguments and its output.
package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// options are what the flags say.
type options struct {
	addr     string
	certOut  string
	interval time.Duration
	seed     uint64
}

// Run serves until ctx is done, and returns the exit code. Where it is and how to reach it goes to out, what went wrong to errs.
func Run(ctx context.Context, args []string, out, errs io.Writer) int {
	o, err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage // the flag package has said why
	}
	if err := serve(ctx, o, out); err != nil {
		fmt.Fprintln(errs, err)
		return exitError
	}
	return exitOK
}

func parse(args []string, errs io.Writer) (*options, error) {
	var o options
	flags := flag.NewFlagSet("ssetest", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:4043", "`host:port` to listen on")
	flags.StringVar(&o.certOut, "cert-out", "", "write the server's certificate to this `file`, for curl --cacert")
	flags.DurationVar(&o.interval, "interval", 5*time.Second, "`time` between two letters")
	flags.Uint64Var(&o.seed, "seed", 0, "`number` that letters and IDs are made from")
	flags.Usage = func() {
		fmt.Fprint(errs, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("ssetest: there are no arguments but flags, and %q is none", flags.Arg(0))
	case o.interval <= 0:
		err = fmt.Errorf("ssetest: -interval is %v; it must be more than nothing", o.interval)
	}
	if err != nil {
		fmt.Fprintln(errs, err)
	}
	return &o, err
}

const usage = `ssetest serves Server-Sent Events to try a client on: letters at /sse, and at /post what is posted there.

    ssetest -cert-out cert.pem
    curl -N --cacert cert.pem https://localhost:4043/sse
    curl -N --cacert cert.pem https://localhost:4043/post

Flags:
`

func serve(ctx context.Context, o *options, out io.Writer) error {
	srv, err := ssetest.Start(&ssetest.Config{Addr: o.addr, Network: ssetest.Loopback, LetterInterval: o.interval, Seed: o.seed})
	if err != nil {
		return err
	}
	defer srv.Close()
	if o.certOut != "" {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}
		if err := os.WriteFile(o.certOut, pem.EncodeToMemory(block), 0o644); err != nil {
			return fmt.Errorf("ssetest: writing the certificate: %w", err)
		}
	}
	fmt.Fprintf(out, "ssetest: serving on %s\n", srv.URL)
	<-ctx.Done()
	return nil
}
