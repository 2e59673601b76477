package ssetest

import (
	"crypto/rand"
	"sync"
)

// tokenHeader tells the server which of its own clients a request comes from. The server removes it before
// anybody sees it, and a token that it has not given out means nothing to it.
const tokenHeader = "Ssetest-Token"

// An account is what connects a [Stream] with the stream that its server sends:
// how many events it has been sent or will be, which only the server knows.
type account struct {
	token string

	mu  sync.Mutex // guards due
	due func() (n int64, ok bool)
}

// openAccount gives out a token.
func (s *Server) openAccount() *account {
	a := &account{token: rand.Text()}
	s.mu.Lock()
	s.accounts[a.token] = a
	s.mu.Unlock()
	return a
}

func (s *Server) closeAccount(a *account) {
	s.mu.Lock()
	delete(s.accounts, a.token)
	s.mu.Unlock()
}

// attach connects the account with a stream that its client has opened. Where the client's transport has asked twice,
// the last answer is the one that is read.
func (a *account) attach(due func() (n int64, ok bool)) {
	a.mu.Lock()
	a.due = due
	a.mu.Unlock()
}

// total is how many events the client gets. It reports false where that has no answer, as with the letters, which have no end,
// or with a stream that a fault has changed.
func (a *account) total() (int64, bool) {
	a.mu.Lock()
	due := a.due
	a.mu.Unlock()
	if due == nil {
		return 0, false
	}
	return due()
}
