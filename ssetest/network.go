package ssetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ssetest/sse/internal/memnet"
)

// Network is what a [Server] is on.
type Network int

// The networks. InMemory is one in the process, which needs no port, is faster, and works in a testing/synctest bubble, on virtual time.
const (
	Auto     Network = iota // InMemory in a testing/synctest bubble, otherwise what SSETEST_NETWORK or -ssetest.network say, and else Loopback
	Loopback                // TCP, on the loopback interface
	InMemory
)

var networkNames = [...]string{Auto: "Auto", Loopback: "Loopback", InMemory: "InMemory"}

// String returns the constant's name.
func (n Network) String() string {
	if !n.valid() {
		return fmt.Sprintf("Network(%d)", int(n))
	}
	return networkNames[n]
}

func (n Network) valid() bool { return n >= 0 && int(n) < len(networkNames) }

// bubble names the testing/synctest bubble that the caller is in; "" is none. The runtime tells it in the first line of a stack, and tells all of that,
// however much there is room for: a goroutine of its own, which belongs to the same bubble, has a short one.
func bubble() string {
	now := time.Now()
	if !timeless(now) && !young(now) {
		return "" // which costs least to tell
	}
	var buf [128]byte
	read := make(chan int)
	go func() { read <- runtime.Stack(buf[:], false) }()
	line, _, _ := strings.Cut(string(buf[:<-read]), "\n")
	_, id, _ := strings.Cut(line, "synctest bubble ")
	if id = strings.TrimRight(id, "]:"); id == "" && young(now) {
		return "?" // should it not do so any more
	}
	return id
}

// inBubble reports whether the caller is in a bubble. It costs less.
func inBubble() bool {
	now := time.Now()
	return young(now) || timeless(now) && bubble() != ""
}

// young reports whether a time can only be a bubble's, whose clock begins in the year 2000.
func young(now time.Time) bool { return now.Year() < 2020 }

// timeless reports whether a time has no monotonic reading, as none in a bubble has.
func timeless(now time.Time) bool { return now == now.Round(0) } //nolint:staticcheck // Equal does not see the reading

// autoNetwork is what Auto means for the servers of a test, outside of a bubble.
var autoNetwork = func(testing.TB) (Network, error) { return networkSetting(setting(networkFlag, "SSETEST_NETWORK")) }

func networkSetting(value string) (Network, error) {
	switch value {
	case "", "loopback":
		return Loopback, nil
	case "memory":
		return InMemory, nil
	default:
		return 0, fmt.Errorf("-ssetest.network, or SSETEST_NETWORK, is %q; it must be memory or loopback", value)
	}
}

// resolve decides what Auto is.
func (n Network) resolve(t testing.TB) (Network, error) {
	switch {
	case n == Loopback && inBubble():
		return 0, errors.New("Config.Network is Loopback, in a testing/synctest bubble, whose clock stands still while anybody waits for a socket; " +
			"leave it to Auto, which is InMemory there")
	case n != Auto:
		return n, nil
	case inBubble():
		return InMemory, nil
	default:
		return autoNetwork(t)
	}
}

// The resolver of package net has a channel that is made when it is first used. In a bubble it would belong to that, and whoever looked a name up elsewhere
// later would end the process: a client that wants a socket is enough.
func init() {
	if testing.Testing() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = net.DefaultResolver.LookupHost(ctx, memoryHost) // it is cancelled
	}
}

// memoryHost is where servers in memory are. It is no name that anybody could look up, so that who tries to reach one by a socket fails at once,
// and reads what to do.
const memoryHost = "in-memory!use-Server.Client"

var (
	lastMemoryPort atomic.Int64
	inMemory       sync.Map // the servers that are in memory, by address
)

// memoryAddr returns an address that no other server has.
func memoryAddr() memnet.Addr {
	const ports = 1<<16 - 1
	for {
		addr := memnet.Addr{Host: memoryHost, Port: 1 + int(lastMemoryPort.Add(1)-1)%ports}
		if _, taken := inMemory.Load(memoryKey(addr.String())); !taken {
			return addr
		}
	}
}

// memoryKey is an address as inMemory has it: hosts have no case.
func memoryKey(addr string) string { return strings.ToLower(addr) }

// DialContext connects to the server, on whatever network it is. It is for a transport of your own:
//
//	transport := &http.Transport{DialContext: srv.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
//
// where the pool has [Server.Certificate]. The address is that of the server's URL, or of another server of this process that is in memory as well.
// A server that was made in a testing/synctest bubble can't be reached from outside of it, nor the other way round: that is an error.
// It may be called from several goroutines.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := s.checkBubble(); err != nil {
		return nil, err
	}
	if s.memory == nil {
		return s.wall(s.dialLoopback(ctx, network, addr))
	}
	to := s
	if other, ok := inMemory.Load(memoryKey(addr)); ok {
		to = other.(*Server)
	} else if host, _, err := net.SplitHostPort(addr); err != nil || host != "example.com" && !strings.HasSuffix(host, ".example.com") {
		return nil, fmt.Errorf("ssetest: %s is on a network in memory, where there is no %s", s.URL, addr)
	}
	if err := to.checkBubble(); err != nil {
		return nil, err
	}
	return to.wall(to.memory.DialContext(ctx))
}

// checkBubble says what is wrong where a server and who uses it are not in the same bubble, or both in none: goroutines can't wait for each other across its wall.
func (s *Server) checkBubble() error {
	if s.bubble == "" && !inBubble() {
		return nil // which costs least
	}
	switch here := bubble(); {
	case here == s.bubble:
		return nil
	case here == "":
		return fmt.Errorf("ssetest: %s was made in a testing/synctest bubble, and can't be used outside of it", s.URL)
	case s.bubble == "":
		return fmt.Errorf("ssetest: %s was made outside of the testing/synctest bubble that uses it; make it in the bubble, with NewServer(t, nil)", s.URL)
	default:
		return fmt.Errorf("ssetest: %s was made in another testing/synctest bubble than the one that uses it", s.URL)
	}
}

// mustShareBubble fails a test that can't wait for the server.
func (s *Server) mustShareBubble(t testing.TB) {
	t.Helper()
	if err := s.checkBubble(); err != nil {
		t.Fatal(err)
	}
}

// setting is the value of a flag, or of the environment where the command line has none of our flags, or not this one.
func setting(flag *string, variable string) string {
	if flag != nil && *flag != "" {
		return *flag
	}
	return os.Getenv(variable)
}

// panicAcrossBubbles panics where a method has no t to fail.
func (s *Server) panicAcrossBubbles() {
	if err := s.checkBubble(); err != nil {
		panic(err.Error())
	}
}
