package ssetest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/go-ssetest/sse/ssetest"
)

// A fakeT is a testing.TB that keeps what it is told, so that failures can be tested.
type fakeT struct {
	testing.TB // for what is not overridden

	mu       sync.Mutex
	failures []string
	logs     []string
	cleanups []func()

	artifacts string // the directory; "" for one of the test's own
}

// attempt runs a test body that is expected to fail, with its cleanups, and returns what it said.
func attempt(t *testing.T, body func(t testing.TB)) *fakeT {
	f := &fakeT{TB: t}
	inGoroutine(func() { body(f) })
	for len(f.cleanups) > 0 {
		last := len(f.cleanups) - 1
		clean := f.cleanups[last]
		f.cleanups = f.cleanups[:last]
		inGoroutine(clean)
	}
	return f
}

// inGoroutine lets f end by FailNow.
func inGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// text is all that was said of failures.
func (f *fakeT) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.failures, "\n")
}

func (f *fakeT) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.failures) > 0
}

func (f *fakeT) add(to *[]string, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*to = append(*to, text)
}

func (f *fakeT) ArtifactDir() string {
	if f.artifacts != "" {
		return f.artifacts
	}
	return f.TB.ArtifactDir()
}

// rebind is a stream whose failures go to another test.
func rebind(s *ssetest.Stream, t testing.TB) *ssetest.Stream { return ssetest.Rebind(s, t) }

func (f *fakeT) Helper()                           {}
func (f *fakeT) Cleanup(c func())                  { f.cleanups = append(f.cleanups, c) }
func (f *fakeT) Log(args ...any)                   { f.add(&f.logs, fmt.Sprint(args...)) }
func (f *fakeT) Logf(format string, args ...any)   { f.add(&f.logs, fmt.Sprintf(format, args...)) }
func (f *fakeT) Error(args ...any)                 { f.add(&f.failures, fmt.Sprint(args...)) }
func (f *fakeT) Errorf(format string, args ...any) { f.add(&f.failures, fmt.Sprintf(format, args...)) }
func (f *fakeT) FailNow()                          { runtime.Goexit() }
func (f *fakeT) Fatal(args ...any)                 { f.Error(args...); f.FailNow() }
func (f *fakeT) Fatalf(format string, args ...any) { f.Errorf(format, args...); f.FailNow() }
