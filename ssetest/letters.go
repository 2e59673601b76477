package ssetest

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

const lettersPath = "/sse"

// letters is GET /sse. What it sends is a pure function of the seed; all that it keeps is how far it has got.
type letters struct {
	srv *Server

	mu      sync.Mutex // guards what follows, and the fields of the streams
	owed    signal     // raised when streams are owed letters
	sent    signal     // raised when a stream has sent a letter that it owed, or has ended
	streams map[*letterStream]bool
	newest  []letter // made, by their numbers; empty until there is one
	top     int      // one more than the highest letter sent to anyone
}

// maxNewest is how many letters are kept, which most servers have no use for.
const maxNewest = 64

// A letterStream is one stream of GET /sse.
type letterStream struct {
	*exchange
	next  int // the letter that it sends next
	begun int // one more than the letter that it has begun to send
	owed  int // with letters by hand: the letter that it shall get to; next catches up
	gone  bool
}

func newLetters(s *Server) *letters {
	return &letters{srv: s, streams: make(map[*letterStream]bool)}
}

// Letter returns the k-th letter's event, from 0: what GET /sse sends at k intervals after the stream has opened, or with letters by hand
// at the k+1-th tick.
// It depends on Config.Seed, Config.Retry and k alone. It panics where k is negative.
func (s *Server) Letter(k int) Event {
	if k < 0 {
		panic(fmt.Sprintf("ssetest: Letter(%d): letters are counted from 0", k))
	}
	return s.letters.made(k).event
}

// A letter is one that has been made, which many streams send at the same time.
type letter struct {
	number int // from 1
	event  Event
	wire   []byte // shared by all streams
}

// made returns a letter, and keeps it for those who want it, too.
func (l *letters) made(k int) letter {
	l.mu.Lock()
	if l.newest == nil {
		l.newest = make([]letter, maxNewest)
	}
	kept := l.newest[k%maxNewest]
	l.mu.Unlock()
	if kept.number == k+1 {
		return kept
	}
	e := Event{
		Type:  "message",
		Data:  `{"msg":"` + string(l.srv.seed.letter(uint64(k))) + `"}`,
		ID:    l.srv.letterID(k),
		Retry: l.srv.cfg.Retry,
	}
	wire, err := e.AppendText(make([]byte, 0, 128)) // which it fits
	if err != nil {
		panic(fmt.Sprintf("ssetest: letter %d: %v", k, err)) // it is made of nothing that could be refused
	}
	made := letter{k + 1, e, wire}
	l.mu.Lock()
	l.newest[k%maxNewest] = made
	l.mu.Unlock()
	return made
}

func (s *Server) letterID(k int) string { return s.seed.uuid("letter id", uint64(k)) }

// Tick sends the next n letters to every open stream of GET /sse, and returns when they are flushed.
// The first letter of a stream is "a"; one that has resumed with Last-Event-ID goes on from there.
// Streams that end meanwhile are not waited for. One that has not taken its n letters within Config.Timeout fails the server's test.
//
// It panics where n is negative (or over a billion), and where Config.LetterInterval is not, since letters then come by themselves.
func (s *Server) Tick(n int) {
	if s.cfg.LetterInterval >= 0 {
		panic("ssetest: Tick is for letters by hand: set Config.LetterInterval to a negative number")
	}
	if n < 0 || n > maxTick {
		panic(fmt.Sprintf("ssetest: Tick(%d): the number of letters must be 0 to %d", n, maxTick))
	}
	s.letters.tick(n)
}

// maxTick is more than anybody waits for.
const maxTick = 1 << 30

func (l *letters) tick(n int) {
	l.mu.Lock()
	targets := make(map[*letterStream]int, len(l.streams))
	for ls := range l.streams {
		ls.owed += n
		targets[ls] = ls.owed
	}
	l.owed.raise()
	l.mu.Unlock()

	flushed := func() bool {
		for ls, target := range targets {
			if !ls.gone && ls.next < target {
				return false
			}
			delete(targets, ls)
		}
		return true
	}
	if !await(&l.mu, &l.sent, l.srv.cfg.Timeout, flushed) {
		for ls := range targets {
			l.srv.fail("Tick: %v has not taken its letters within %v", ls, l.srv.cfg.Timeout)
		}
	}
}

// serve is GET /sse.
func (l *letters) serve(w http.ResponseWriter, r *http.Request) {
	x, ok := eventStream(w, r)
	if !ok {
		return
	}
	ls := l.join(x, lastEventID(r))
	defer l.leave(ls)
	if !x.open() {
		return
	}
	if interval := l.srv.cfg.LetterInterval; interval < 0 {
		l.serveByHand(ls, r.Context().Done())
	} else {
		l.serveByTime(ls, interval, r.Context().Done())
	}
}

// serveByTime sends the i-th letter of the stream at i intervals after now: a late one does not delay the next.
func (l *letters) serveByTime(ls *letterStream, interval time.Duration, done <-chan struct{}) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 1; ; i++ {
		select {
		case <-timer.C:
		case <-done:
			return
		}
		if !l.send(ls) {
			return
		}
		timer.Reset(time.Until(start.Add(time.Duration(i) * interval)))
		l.made(ls.next) // now, while the client is busy with this one
	}
}

// serveByHand sends a letter whenever one is owed.
func (l *letters) serveByHand(ls *letterStream, done <-chan struct{}) {
	for {
		l.mu.Lock()
		owed := ls.next < ls.owed
		more := l.owed.next()
		l.mu.Unlock()
		if owed {
			if !l.send(ls) {
				return
			}
			continue
		}
		select {
		case <-more:
		case <-done:
			return
		}
	}
}

// send sends the stream's next letter, and reports false where the client is gone.
func (l *letters) send(ls *letterStream) bool {
	letter := l.made(ls.next)
	l.mu.Lock()
	ls.begun = ls.next + 1
	l.top = max(l.top, ls.begun) // before it is on the wire: a client may come back with it at once
	l.mu.Unlock()
	if books := ls.books(); books != nil {
		books.send(letter.event)
	}
	if !ls.write(letter.wire, 1) {
		return false
	}
	l.mu.Lock()
	ls.next++
	l.sent.raise()
	l.mu.Unlock()
	return true
}

// join registers a stream, which begins behind the letter that the client had last.
func (l *letters) join(x *exchange, lastID string) *letterStream {
	first := l.after(x, lastID)
	ls := &letterStream{exchange: x, next: first, begun: first, owed: first}
	l.mu.Lock()
	l.streams[ls] = true
	l.mu.Unlock()
	if x.account != nil {
		x.endless = true
		x.account.attach(x, func() int64 { return int64(l.sentBy(ls) - first) })
	}
	if books := x.books(); books != nil {
		books.keepBooks()
	}
	return ls
}

// sentBy is one more than the newest letter that a stream has sent, or is about to send.
func (l *letters) sentBy(ls *letterStream) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ls.begun
}

func (l *letters) leave(ls *letterStream) {
	l.mu.Lock()
	delete(l.streams, ls)
	ls.gone = true
	l.sent.raise()
	l.mu.Unlock()
}

// maxLookBack is how many of the newest letters a client can go on behind: by default, those of four days.
const maxLookBack = 1 << 16

// after returns the letter that comes after the one with an ID; after an ID that none of the newest letters has, it is the first.
// IDs are made again one after the other, so that no table of them grows for as long as the server lives.
func (l *letters) after(x *exchange, id string) int {
	if id == "" {
		return 0
	}
	l.mu.Lock()
	top := l.top
	l.mu.Unlock()
	for k := top - 1; k >= max(0, top-maxLookBack); k-- { // a client that comes back has seen a late one
		if l.srv.letterID(k) == id {
			return k + 1
		}
	}
	l.srv.noteOn(x, "no letter that was sent has that ID; it gets them from the beginning")
	return 0
}
