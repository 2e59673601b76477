// Command ssetest is the server of package ssetest on a fixed address, for curl, for browsers, and for programs in other languages.
//
// -help says how. The first SIGINT or SIGTERM ends every stream, and then the process; a second one ends that at once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-ssetest/sse/internal/cli"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { os.Exit(cli.Leave(signals, stop)) }()
	os.Exit(cli.Run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
