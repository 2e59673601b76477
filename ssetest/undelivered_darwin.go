package ssetest

import "syscall"

// undelivered is how many bytes that were written to a socket its peer has not acknowledged.
func undelivered(socket syscall.RawConn) int {
	bytes := 0
	_ = socket.Control(func(fd uintptr) { // where it fails, the socket is closed, and nothing can be awaited
		bytes, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_NWRITE)
	})
	return bytes
}
