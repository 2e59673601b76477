package ssetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// await waits until done, which is called with mu held, reports true. It looks again whenever changed is raised,
// and reports false when the limit has passed. A negative limit is none.
func await(mu sync.Locker, changed *signal, limit time.Duration, done func() bool) bool {
	var expired <-chan time.Time
	for {
		mu.Lock()
		if done() {
			mu.Unlock()
			return true
		}
		next := changed.next()
		mu.Unlock()
		if limit >= 0 && expired == nil {
			timer := time.NewTimer(limit)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-next:
		case <-expired:
			return false
		}
	}
}

const (
	// maxNotes bounds what the server keeps to explain a failure.
	maxNotes = 100

	// maxNoteBytes bounds one note; a client can make it long.
	maxNoteBytes = 1000

	// maxTrouble bounds what the server reports as failed.
	maxTrouble = 10
)

// raise wakes those who wait for a change on the server.
func (s *Server) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.raise()
}

// answering reports whether a request is being answered.
func (s *Server) answering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams) > 0
}

// fail records what fails the test. It may be called in any goroutine: the test hears of it when the server is closed.
// Where there is no test it is logged at once.
func (s *Server) fail(format string, args ...any) {
	trouble := fmt.Sprintf("ssetest: "+format, args...)
	if s.test == nil {
		s.cfg.ErrorLog.Print(trouble)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.trouble) < maxTrouble {
		s.trouble = append(s.trouble, trouble)
	} else {
		s.moreTrouble++
	}
}

// report fails the server's test with what went wrong.
func (s *Server) report() {
	if s.test == nil {
		return
	}
	s.test.Helper()
	s.mu.Lock()
	trouble, more := s.trouble, s.moreTrouble
	s.trouble, s.moreTrouble = nil, 0
	s.mu.Unlock()
	for _, what := range trouble {
		s.test.Error(what)
	}
	if more > 0 {
		s.test.Errorf("ssetest: … and %d more of the like", more)
	}
}

// note records what is no failure, but may explain one.
func (s *Server) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if len(note) > maxNoteBytes {
		note = note[:maxNoteBytes] + "…"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes = append(s.notes, note); len(s.notes) > maxNotes {
		s.notes = s.notes[1:] // the newest explain most
		s.dropped++
	}
}

// warn is a note that whoever runs a server without a test reads at once.
func (s *Server) warn(format string, args ...any) {
	s.note(format, args...)
	if s.test == nil {
		s.cfg.ErrorLog.Printf(format, args...)
	}
}

// noteOn is a note about an exchange, which its transcript has as well.
func (s *Server) noteOn(x *exchange, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.note("%v: %s", x, text)
	s.log.add(x.number, entryNoted, "note: "+text)
}

// noteWriter takes what net/http logs.
type noteWriter struct{ s *Server }

func (w noteWriter) Write(p []byte) (int, error) {
	w.s.warn("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// logExplanation shows what may explain why a test has failed.
func (s *Server) logExplanation(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	run := s.chaosRun
	s.mu.Unlock()
	for _, c := range run {
		t.Log("ssetest: " + c.describe(maxPlan))
	}
	if notes := s.describeNotes(maxNotes); notes != "" {
		t.Log("ssetest: " + notes)
	}
	s.Transcript().logTo(t, s.URL, fileName("server", s.URL))
}

// fatal ends a test with what went wrong and what the server has to say of it.
func (s *Server) fatal(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Fatal(clip(fmt.Sprintf(format, args...)+"\n"+s.describe(), maxFailureLines))
}

// describe is what a failure says of the server.
func (s *Server) describe() string {
	var trouble strings.Builder
	s.mu.Lock()
	for _, what := range s.trouble {
		first, _, _ := strings.Cut(what, "\n") // all of it follows when the server is closed
		trouble.WriteString(first + "\n")
	}
	if s.chaos != nil {
		trouble.WriteString(s.chaos.describe(maxListed))
	}
	topics := []*Topic{s.post}
	for _, path := range slices.Sorted(maps.Keys(s.topics)) {
		topics = append(topics, s.topics[path])
	}
	s.mu.Unlock()
	listed := 0
	for _, t := range topics {
		if text := t.describe(); text != "" && listed < maxListed {
			trouble.WriteString(text)
			listed++
		}
	}
	return s.describeStreams() + trouble.String() + s.describeNotes(maxListed)
}

// count says how many of something there are.
func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// describeNotes lists the newest notes.
func (s *Server) describeNotes(most int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.notes) == 0 {
		return ""
	}
	shown := s.notes[max(len(s.notes)-most, 0):]
	return fmt.Sprintf("notes of %s: %d\n  %s\n", s.URL, len(s.notes)+s.dropped, strings.Join(shown, "\n  "))
}
