package ssetest

// Down takes the server off the network: new connections are refused, and those that are open are reset, with every stream on them.
// It returns when their handlers have returned. The port stays the server's. What is published meanwhile goes to the topics' histories.
// Where the server is down already, Down does nothing. It must not be called by a handler, for which it would wait.
func (s *Server) Down() {
	s.panicAcrossBubbles()
	s.listener.down()
	s.listener.sockets.reset(func(*socket) bool { return true })
	s.Client().CloseIdleConnections() // it has not heard of it yet
	looks := deafLooks
	s.patiently(deafLooks, &looks, func() bool { return len(s.streams) == 0 })
}

// Up brings the server back after [Server.Down], at the same address, with the same certificate. When it returns, clients can connect.
// Where the server is not down, Up does nothing. That the address can't be had any more fails the server's test.
func (s *Server) Up() {
	s.panicAcrossBubbles()
	if err := s.listener.up(); err != nil {
		s.fail("Up: %v", err)
	}
}
