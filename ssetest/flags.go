package ssetest

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The flags; nil where the command line has none of ours.
var (
	update      *bool
	networkFlag *string
	serveFlag   *string
)

// The flags exist only where the command line has one of them, so that they are in nobody's way.
func init() {
	for _, argument := range os.Args {
		if name := strings.TrimLeft(argument, "-"); name != argument && strings.HasPrefix(name, "ssetest.") {
			update = flag.Bool("ssetest.update", false, "write recordings and golden transcripts anew")
			networkFlag = flag.String("ssetest.network", "", "the `network` of servers whose Config.Network is Auto: memory or loopback")
			serveFlag = flag.String("ssetest.serve", "", "hold the first server that a test starts open, at this `host:port`, when the test is over")
			return
		}
	}
}

// updating reports whether recordings and golden transcripts are to be written anew: by the flag -ssetest.update, or SSETEST_UPDATE=1 in the environment,
// which is for "go test ./...", since packages without this one refuse the flag.
func updating(t testing.TB) bool {
	t.Helper()
	if update != nil && *update {
		return true
	}
	value := os.Getenv("SSETEST_UPDATE")
	if value == "" {
		return false
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		t.Fatalf("ssetest: the environment has SSETEST_UPDATE=%q; it must be 1 or 0", value)
	}
	return on
}
