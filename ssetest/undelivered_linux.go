package ssetest

import (
	"syscall"
	"unsafe"
)

// undelivered is how many bytes that were written to a socket its peer has not acknowledged.
func undelivered(socket syscall.RawConn) int {
	var bytes int32
	_ = socket.Control(func(fd uintptr) { // where it fails, the socket is closed, and nothing can be awaited
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&bytes)))
	})
	return int(bytes)
}
