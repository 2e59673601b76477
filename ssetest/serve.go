package ssetest

import (
	"fmt"
	"os"
	ossignal "os/signal"
	"sync/atomic"
	"syscall"
)

// heldServer is set when the process has the server that -ssetest.serve asks for. Others are as always.
var heldServer atomic.Bool

// heldOpen returns the configuration of a test's server, and whether it is the one that is to be held open: the first that is not in a bubble, which nobody can reach.
func heldOpen(cfg *Config) (*Config, bool) {
	addr := setting(serveFlag, "SSETEST_SERVE")
	if addr == "" || inBubble() || !heldServer.CompareAndSwap(false, true) {
		return cfg, false
	}
	var held Config
	if cfg != nil {
		held = *cfg
	}
	held.Addr, held.Network = addr, Loopback
	return &held, true
}

// sayHeld says where the server is: on standard error, since nothing else is seen while a test runs.
func (s *Server) sayHeld() {
	fmt.Fprintf(os.Stderr, "ssetest: %s: serving on %s\n", s.test.Name(), s.URL)
}

// hold keeps the server open, as the test has left it, until the process is interrupted.
func (s *Server) hold() {
	interrupted := make(chan os.Signal, 1)
	ossignal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer ossignal.Stop(interrupted)
	result := "is done with its server"
	if s.test.Failed() {
		result = "has failed"
	}
	fmt.Fprintf(os.Stderr, "ssetest: %s %s; %s stays open until Ctrl-C: curl -kN %s/sse\n", s.test.Name(), result, s.URL, s.URL)
	<-interrupted
}
