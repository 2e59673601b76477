package memnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/go-ssetest/sse/internal/memnet"
)

var somewhere = memnet.Addr{Host: "somewhere", Port: 7}

// connect returns both ends of a connection of a listener.
func connect(t *testing.T, l *memnet.Listener) (client, server net.Conn) {
	t.Helper()
	client, err := l.DialContext(t.Context())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	return client, server
}

// TestConn is the contract of connections, of both ends.
func TestConn(t *testing.T) {
	for name, swap := range map[string]bool{"client and server": false, "server and client": true} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				// Both directions have the bound of the narrower: the contract writes until it is stopped.
				a, b := memnet.Pipe(memnet.Addr{Host: "a"}, memnet.Addr{Host: "b"}, 256<<10, 256<<10)
				if swap {
					a, b = b, a
				}
				return a, b, func() { _, _ = a.Close(), b.Close() }, nil
			})
		})
	}
}

func TestWhatWasWrittenArrivesBeforeTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(c net.Conn)
		want error
	}{
		"close":      {func(c net.Conn) { _ = c.Close() }, nil},
		"half close": {func(c net.Conn) { _ = c.(interface{ CloseWrite() error }).CloseWrite() }, nil},
		"reset": {func(c net.Conn) {
			_ = c.(interface{ SetLinger(int) error }).SetLinger(0)
			_ = c.Close()
		}, syscall.ECONNRESET},
		"half close and reset": {func(c net.Conn) {
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
			_ = c.(interface{ SetLinger(int) error }).SetLinger(0)
			_ = c.Close()
		}, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := connect(t, memnet.Listen(somewhere))
			text := strings.Repeat("x", 100_000)
			_, err := io.WriteString(server, text)
			require.NoError(t, err)
			c.end(server)
			got, err := io.ReadAll(client)
			assert.Equal(t, text, string(got))
			require.ErrorIs(t, err, c.want)
			_, err = client.Write([]byte("x"))
			switch {
			case name == "half close":
				require.NoError(t, err, "the other half goes on")
				one := make([]byte, 1)
				_, err = server.Read(one)
				require.NoError(t, err)
				_, err = server.Write(one)
				require.ErrorIs(t, err, syscall.EPIPE)
			case c.want != nil:
				require.ErrorIs(t, err, syscall.ECONNRESET)
			default:
				require.ErrorIs(t, err, syscall.EPIPE)
			}
			if name != "half close" {
				_, err = server.Read(make([]byte, 1))
				require.ErrorIs(t, err, net.ErrClosed)
				_, err = server.Write([]byte("x"))
				require.ErrorIs(t, err, net.ErrClosed)
				require.ErrorIs(t, server.Close(), net.ErrClosed)
			}
			require.NoError(t, client.Close())
		})
	}
}

// TestTheServerIsHeldUp by a client that does not read, and the client by nothing that it would ever meet.
func TestTheServerIsHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t, memnet.Listen(somewhere))
		_, err := client.Write(make([]byte, 32<<20))
		require.NoError(t, err)
		require.NoError(t, server.SetWriteDeadline(time.Now().Add(time.Hour)))
		start := time.Now()
		n, err := server.Write(make([]byte, 5<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 4<<20, n)
		assert.Equal(t, time.Hour, time.Since(start), "on virtual time")

		require.NoError(t, server.SetWriteDeadline(time.Time{}))
		written := make(chan int)
		go func() {
			n, _ := server.Write(make([]byte, 1<<20))
			written <- n
		}()
		got, err := io.ReadFull(client, make([]byte, 5<<20))
		require.NoError(t, err)
		assert.Equal(t, 5<<20, got)
		assert.Equal(t, 1<<20, <-written)
		require.NoError(t, server.Close())
		require.NoError(t, client.Close())
	})
}

// TestEveryWaitIsDurablyBlocking has a goroutine in each place where one can wait: the clock runs all the same.
func TestEveryWaitIsDurablyBlocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(somewhere)
		client, server := connect(t, l)
		other, full := connect(t, memnet.Listen(somewhere))
		ended := make(chan error, 3)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		go func() {
			_, err := client.Read(make([]byte, 1))
			ended <- err
		}()
		go func() {
			time.AfterFunc(48*time.Hour, func() { _ = other.Close() })
			_, err := full.Write(make([]byte, 5<<20))
			ended <- err
		}()
		start := time.Now()
		time.Sleep(24 * time.Hour)
		assert.Equal(t, 24*time.Hour, time.Since(start))
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, io.EOF)
		require.ErrorIs(t, <-ended, syscall.EPIPE)
		require.NoError(t, client.Close())
	})
}

func TestListener(t *testing.T) {
	l := memnet.Listen(somewhere)
	assert.Equal(t, "somewhere:7", l.Addr().String())
	assert.Equal(t, "memory", l.Addr().Network())
	client, server := connect(t, l)
	assert.Equal(t, client.LocalAddr(), server.RemoteAddr())
	assert.Equal(t, l.Addr(), client.RemoteAddr())
	assert.Len(t, l.Clients(), 1)
	require.NoError(t, server.Close())
	assert.Len(t, l.Clients(), 1, "the client's end is open")
	require.NoError(t, client.Close())
	assert.Empty(t, l.Clients())

	cause := errors.New("no time")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := l.DialContext(ctx)
	require.ErrorIs(t, err, cause)

	waiting, err := l.DialContext(t.Context()) // which nobody accepts
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), net.ErrClosed)
	_, err = waiting.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.NoError(t, waiting.Close())
	_, err = l.DialContext(t.Context())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.EqualError(t, err, "dial memory somewhere:7: connection refused")
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
