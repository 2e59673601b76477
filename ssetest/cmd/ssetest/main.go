// Command ssetest is the server of package ssetest on a fixed address, for curl and for looking.
//
// -help says how.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-ssetest/sse/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
