package ssetest

// A signal wakes everybody who waits for a change of what a mutex guards. Its methods are called with that mutex held.
type signal struct{ c chan struct{} }

// next returns a channel that the next raise closes.
func (s *signal) next() <-chan struct{} {
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

// awaited reports whether anybody may wait.
func (s *signal) awaited() bool { return s.c != nil }

// raise wakes all who wait. It costs nothing where nobody does.
func (s *signal) raise() {
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}
