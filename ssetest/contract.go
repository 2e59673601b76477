package ssetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// This file is what the contract suites have in common: cases that are tried, and judged by what is claimed and what is known.

// A Capability is what a client or a handler may have or not. A contract claims all of them, but for those in its Without.
type Capability int

// The capabilities of clients, for [ClientContract].
const (
	// CanTakeClient: it sends its requests with ConnectRequest.Client, or with that client's Transport.
	// Without it, the suite is on the loopback interface, on HTTP/1.1 without TLS, and on real time.
	CanTakeClient Capability = iota + 1

	// CanVirtualTime: it can live in a testing/synctest bubble, which is so for most code that does not hold a mutex while it waits, wait for a socket, or share
	// channels, timers and goroutines between its streams. Where a process ends with "fatal error: ... synctest channel from outside bubble", it is not so.
	// Without it, the suite is on real time, and takes some seconds, or for a client that fails much some minutes.
	CanVirtualTime

	// CanHTTP2: it can speak HTTP/2.
	CanHTTP2

	// CanReconnect: it comes back by itself when a stream has ended or broken.
	CanReconnect

	// CanResume: a client sends ConnectRequest.LastEventID with its first request; a handler sends to who comes with a Last-Event-ID what came after that event.
	CanResume

	// CanSetHeader: it sends ConnectRequest.Header.
	CanSetHeader

	// CanPost: it sends ConnectRequest.Method and Body.
	CanPost

	// CanReportIDs: its events have the last event ID (WHATWG HTML: the lastEventId attribute), also those that came without an id field.
	CanReportIDs

	// CanReportComments: it calls ConnectRequest.OnComment.
	CanReportComments

	// CanReportEnds: where a stream ends and it does not come back, Next returns [io.EOF], or an error that wraps it, after the clean end of the response, and another error after any other end.
	CanReportEnds

	// CanCancelNext: Next returns when its context is done, and loses no event by that.
	CanCancelNext

	// CanReadTimeout: it takes a stream for broken that is silent for as long as ConnectRequest.ReadTimeout.
	CanReadTimeout
)

// The capabilities of handlers, for [HandlerContract], which has CanVirtualTime and CanResume as well.
const (
	// CanCarryData: the data of what it emits is that of the event that it was given.
	CanCarryData Capability = iota + 101

	// CanCarryTypes: the type is, too.
	CanCarryTypes

	// CanCarryIDs: the ID is, too.
	CanCarryIDs

	// CanRefuseMethods: other methods than the contract's are answered with something that has an end, such as 405, and HEAD without a stream.
	// Many handlers leave that to a router in front of them.
	CanRefuseMethods
)

var capabilityNames = map[Capability]string{
	CanTakeClient: "CanTakeClient", CanVirtualTime: "CanVirtualTime", CanHTTP2: "CanHTTP2", CanReconnect: "CanReconnect", CanResume: "CanResume",
	CanSetHeader: "CanSetHeader", CanPost: "CanPost", CanReportIDs: "CanReportIDs", CanReportComments: "CanReportComments", CanReportEnds: "CanReportEnds",
	CanCancelNext: "CanCancelNext", CanReadTimeout: "CanReadTimeout", CanCarryData: "CanCarryData", CanCarryTypes: "CanCarryTypes", CanCarryIDs: "CanCarryIDs",
	CanRefuseMethods: "CanRefuseMethods",
}

// String returns the constant's name.
func (c Capability) String() string {
	if name, ok := capabilityNames[c]; ok {
		return name
	}
	return fmt.Sprintf("Capability(%d)", int(c))
}

// A contractCase is one thing that is checked.
type contractCase struct {
	name  string // "reconnecting/after an abort"
	rule  string // the sentence that it rests on, and where that stands
	needs []Capability
	skip  string // why it is not for this client or handler; "" where it is
	try   func(t *contractT)
}

// A contractRun is a suite that is being run.
type contractRun struct {
	of      string // "client" or "handler"
	without []Capability
	known   []string

	beside bool // on real time, cases run beside each other
	hung   bool // a bubble's clock stands still, and its goroutines are still there
}

// lacks returns a capability that a case needs and nobody claims.
func (r *contractRun) lacks(c contractCase) (Capability, bool) {
	for _, need := range c.needs {
		if slices.Contains(r.without, need) {
			return need, true
		}
	}
	return 0, false
}

// subtestName is a case's name as the testing package writes it.
func subtestName(name string) string { return strings.ReplaceAll(name, " ", "_") }

// isKnown reports whether a case is listed as failing, be it on one protocol or on all.
func (r *contractRun) isKnown(protocol, name string) bool {
	return slices.ContainsFunc(r.known, func(known string) bool {
		known = subtestName(known)
		return known == subtestName(name) || known == protocol+"/"+subtestName(name)
	})
}

// check fails a test where a capability is listed that is none here, or a name that is that of no case.
func (r *contractRun) check(t *testing.T, capabilities []Capability, protocols []string, cases []contractCase) {
	t.Helper()
	for _, c := range r.without {
		if !slices.Contains(capabilities, c) {
			t.Errorf("ssetest: Without has %v, which is no capability of a %s", c, r.of)
		}
	}
	for _, known := range r.known {
		if !slices.ContainsFunc(cases, func(c contractCase) bool {
			return subtestName(c.name) == subtestName(known) || slices.ContainsFunc(protocols, func(p string) bool { return p+"/"+subtestName(c.name) == subtestName(known) })
		}) {
			t.Errorf("ssetest: Known has %q, which is the name of no case; go test -v shows them, under their protocol", known)
		}
	}
}

// cases runs them, as subtests.
func (r *contractRun) cases(t *testing.T, protocol string, virtual bool, cases []contractCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.skip != "" {
				t.Skip("ssetest: " + c.skip)
			}
			if need, lacks := r.lacks(c); lacks {
				t.Skipf("ssetest: the %s does not claim %v", r.of, need)
			}
			if r.beside && !virtual {
				t.Parallel() // they wait most of the time
			}
			v := r.try(t, virtual, c)
			known := r.isKnown(protocol, c.name)
			switch {
			case v.skipped != "":
				t.Skip("ssetest: " + v.skipped)
			case v.failure == "" && known:
				t.Errorf("ssetest: %q is listed in Known, and passes: take it out", c.name)
			case v.failure != "" && known:
				t.Skipf("ssetest: known to fail: %s\nthe rule: %s", v.failure, c.rule)
			case v.failure != "":
				t.Errorf("ssetest: %s\nthe rule: %s\n%s", v.failure, c.rule, v.explanation)
			}
		})
	}
}

const (
	// hungAfter is how long a bubble may take, of real time.
	hungAfter = time.Minute

	// lingering is for what waits for a time that comes soon, and would be left in the bubble for ever.
	lingering = 30 * time.Second

	// maxContractLines bounds what a case says when it fails.
	maxContractLines = 40
)

// A verdict is what has become of a case.
type verdict struct {
	failure     string // "" is none
	explanation string // what may explain it: the server's timeline
	skipped     string // why it could not be tried; "" where it was
}

// try tries a case.
func (r *contractRun) try(t *testing.T, virtual bool, c contractCase) verdict {
	if !virtual {
		ct := &contractT{TB: t}
		ct.run(c.try)
		return ct.verdict()
	}
	if r.hung {
		return verdict{failure: "not tried, since the clock of another case stands still: see CanVirtualTime"}
	}
	ct := &contractT{virtual: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			// Goroutines of a client that are left when the bubble ends are what the cases are about that look for them.
			if value := recover(); value != nil && !strings.Contains(fmt.Sprint(value), "main bubble goroutine has exited") {
				ct.Errorf("%v", value)
			}
		}()
		synctest.Test(t, func(t *testing.T) {
			ct.TB = t
			ct.run(c.try)
			time.Sleep(lingering)
		})
	}()
	select {
	case <-done:
	case <-time.After(hungAfter):
		r.hung = true
		ct.Errorf("after %v of real time the clock of its testing/synctest bubble stands still: the %s is deadlocked by a mutex, waits for something that is not in the bubble, or never waits. "+
			"If it is no deadlock, list CanVirtualTime in Without", hungAfter, r.of)
	}
	return ct.verdict()
}

// A contractT is the test of one case. It keeps what is said, so that it can be judged.
type contractT struct {
	testing.TB // for what is not overridden
	virtual    bool

	mu       sync.Mutex // guards what follows
	failures []string
	logs     []string
	cleanups []func()
	skipped  string // why; "" where it is not
	context  context.Context
	cancel   context.CancelFunc
}

// run runs a case, and its cleanups.
func (t *contractT) run(try func(t *contractT)) {
	t.context, t.cancel = context.WithCancel(context.Background())
	t.guard(func() { try(t) })
	t.cancel() // before the cleanups, as with any test
	for {
		t.mu.Lock()
		last := len(t.cleanups) - 1
		if last < 0 {
			t.mu.Unlock()
			return
		}
		clean := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		t.mu.Unlock()
		t.guard(clean)
	}
}

// guard calls a function that may end by FailNow or a panic.
func (t *contractT) guard(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				t.Errorf("panic: %v\n%s", value, panicStack())
			}
		}()
		f()
	}()
	<-done
}

// verdict is what has become of the case so far.
func (t *contractT) verdict() verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failures) == 0 {
		return verdict{skipped: t.skipped}
	}
	for i, failure := range t.failures {
		t.failures[i] = strings.TrimPrefix(failure, "ssetest: ")
	}
	return verdict{
		failure:     strings.TrimSuffix(clip(strings.Join(t.failures, "\n")+"\n", maxContractLines), "\n"),
		explanation: clip(strings.Join(t.logs, "\n"), maxContractLines),
	}
}

// skip ends a case that can't be tried.
func (t *contractT) skip(why string) {
	t.mu.Lock()
	t.skipped = why
	t.mu.Unlock()
	runtime.Goexit()
}

// Failed reports whether something was wrong.
func (t *contractT) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.failures) > 0
}

func (t *contractT) add(to *[]string, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*to = append(*to, text)
}

func (t *contractT) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *contractT) Helper()                         {}
func (t *contractT) Log(args ...any)                 { t.add(&t.logs, fmt.Sprint(args...)) }
func (t *contractT) Logf(format string, args ...any) { t.add(&t.logs, fmt.Sprintf(format, args...)) }
func (t *contractT) Error(args ...any)               { t.add(&t.failures, fmt.Sprint(args...)) }
func (t *contractT) Errorf(format string, args ...any) {
	t.add(&t.failures, fmt.Sprintf(format, args...))
}
func (t *contractT) Context() context.Context          { return t.context }
func (t *contractT) Skip(args ...any)                  { t.skip(fmt.Sprint(args...)) }
func (t *contractT) Skipf(format string, args ...any)  { t.skip(fmt.Sprintf(format, args...)) }
func (t *contractT) SkipNow()                          { t.skip("skipped") }
func (t *contractT) Fatal(args ...any)                 { t.Error(args...); t.FailNow() }
func (t *contractT) Fatalf(format string, args ...any) { t.Errorf(format, args...); t.FailNow() }

// Fail fails the case, with nothing to say where nothing has been said.
func (t *contractT) Fail() {
	if !t.Failed() {
		t.Error("it has failed, without a word")
	}
}

// FailNow ends the case.
func (t *contractT) FailNow() {
	t.Fail()
	runtime.Goexit()
}

// limit is how long a case waits for what must come.
func (t *contractT) limit() time.Duration {
	if t.virtual {
		return defaultVirtualTimeout
	}
	return 10 * time.Second
}

// unit is a time that is worth waiting for, so that one can tell a wait from none.
func (t *contractT) unit() time.Duration {
	if t.virtual {
		return time.Second
	}
	return 10 * time.Millisecond
}

// within calls a function in a goroutine of its own, and reports false where it has not returned within a limit. Where it ends without returning, so does the case.
func (t *contractT) within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	returned := false
	go func() {
		defer close(done)
		defer func() {
			switch value := recover(); {
			case value != nil:
				t.Errorf("panic: %v\n%s", value, panicStack())
			case !returned:
				t.Errorf("the goroutine was ended by runtime.Goexit: has it called FailNow, Fatal or Skip of another test?")
			}
		}()
		f()
		returned = true
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		if !returned {
			t.FailNow()
		}
		return true
	case <-timer.C:
		return false
	}
}
