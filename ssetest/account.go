package ssetest

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
)

// tokenHeader tells the server which of its own clients a request comes from. The server removes it before
// anybody sees it, and a token that it has not given out means nothing to it.
const tokenHeader = "Ssetest-Token"

// An account is what connects a [Stream] with the streams that its server sends, one for each of its attempts:
// how many events it has been sent or will be, which only the server knows.
type account struct {
	token  string
	ledger *ledger // of a stream that reconnects; nil else

	mu       sync.Mutex // guards what follows
	exchange *exchange  // the newest that has been attached
	due      func() int64
}

// openAccount gives out a token.
func (s *Server) openAccount(reconnects bool) *account {
	a := &account{token: rand.Text()}
	if reconnects {
		a.ledger = newLedger()
	}
	s.mu.Lock()
	s.accounts[a.token] = a
	s.mu.Unlock()
	return a
}

func (s *Server) closeAccount(a *account) {
	s.mu.Lock()
	delete(s.accounts, a.token)
	s.mu.Unlock()
	if a.ledger != nil {
		a.ledger.close()
	}
}

// header is what an attempt sends, so that the server knows it.
func (a *account) header(attempt int) string { return a.token + " " + strconv.Itoa(attempt) }

// accountOf finds the account of an attempt, and its number. s.mu is held.
func (s *Server) accountOf(header string) (*account, int) {
	token, number, _ := strings.Cut(header, " ")
	attempt, _ := strconv.Atoi(number)
	return s.accounts[token], attempt
}

// attach connects the account with a stream that its client has opened. Where the client's transport has asked twice,
// the last answer is the one that is read.
func (a *account) attach(x *exchange, due func() int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.exchange, a.due = x, due
}

// total is how many events the client gets by an attempt. It reports false where that has no answer, as with the letters, which have no end,
// or with a stream that a fault has changed.
func (a *account) total(attempt int) (int64, bool) {
	x, due := a.of(attempt)
	if x == nil || x.endless || x.disturbed.Load() || x.broken() {
		return 0, false
	}
	return due(), true
}

// quiet reports whether everything has arrived, of an attempt of which so many events have, that the server has to send as things stand; and whether
// the connection is stuck, so that nothing will. A stream that the server has ended, or that it has seen the client leave, is not quiet: another follows it, or its end.
func (a *account) quiet(attempt int, received int64) (quiet, stuck bool) {
	x, due := a.of(attempt)
	switch {
	case x == nil:
		return false, false
	case x.broken():
		return false, true
	}
	x.srv.mu.Lock()
	open := x.srv.streams[x]
	x.srv.mu.Unlock()
	there := due() <= received-x.repeated.Load()
	return open && there && !x.left.Load(), false // in this order: one that leaves in between is not owed what is published next
}

// answeredBefore reports whether it is an earlier attempt that had the last answer, of an endpoint whose events are counted.
func (a *account) answeredBefore(attempt int) bool {
	a.mu.Lock()
	x := a.exchange
	a.mu.Unlock()
	return x != nil && x.attempt < attempt && !x.endless && !x.disturbed.Load() && !x.broken()
}

// answers reports whether the server has begun to answer an attempt.
func (a *account) answers(attempt int) bool {
	x, _ := a.of(attempt)
	return x != nil
}

func (a *account) of(attempt int) (*exchange, func() int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.exchange == nil || a.exchange.attempt != attempt {
		return nil, nil
	}
	return a.exchange, a.due
}
