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
	token string

	mu      sync.Mutex // guards what follows
	attempt int        // the newest that has been attached
	due     func() (n int64, ok bool)
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
func (a *account) attach(attempt int, due func() (n int64, ok bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempt, a.due = attempt, due
}

// total is how many events the client gets by an attempt. It reports false where that has no answer, as with the letters, which have no end,
// or with a stream that a fault has changed.
func (a *account) total(attempt int) (int64, bool) {
	a.mu.Lock()
	due := a.due
	if a.attempt != attempt {
		due = nil
	}
	a.mu.Unlock()
	if due == nil {
		return 0, false
	}
	return due()
}
