package ssetest_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestNetworkMistakes are refused, with what to do.
func TestNetworkMistakes(t *testing.T) {
	outside := ssetest.NewServer(t, &ssetest.Config{Timeout: time.Second})
	stream := outside.Open(t, "/post", nil)
	feed := outside.Feed("GET /feed")
	memory := ssetest.NewServer(t, &ssetest.Config{Network: ssetest.InMemory, Timeout: time.Second})
	var inside *ssetest.Server
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) { ssetest.NewServer(t, &ssetest.Config{Network: ssetest.Loopback}) })
		assert.Equal(t, "ssetest: Config.Network is Loopback, in a testing/synctest bubble, whose clock stands still while anybody waits for a socket; "+
			"leave it to Auto, which is InMemory there", failed.text())
		for _, srv := range []*ssetest.Server{outside, memory} {
			wanted := "ssetest: " + srv.URL + " was made outside of the testing/synctest bubble that uses it; make it in the bubble, with NewServer(t, nil)"
			for _, use := range []func(t testing.TB){
				func(t testing.TB) { srv.Open(t, "/sse", nil) },
				func(t testing.TB) { srv.AwaitSubscribers(t, 7) },
				func(t testing.TB) { srv.AwaitStreams(t, "/sse", 7) },
				func(t testing.TB) { srv.AwaitRequests(t, 7) },
			} {
				assert.Equal(t, wanted, attempt(t, use).text())
			}
			_, err := ssetest.Dial(t.Context(), srv.URL+"/sse", nil)
			require.ErrorContains(t, err, "was made outside of the testing/synctest bubble")
			_, err = srv.DialContext(t.Context(), "tcp", "127.0.0.1:1")
			require.EqualError(t, err, wanted)
		}
		assert.Contains(t, attempt(t, func(t testing.TB) { feed.Accept(t) }).text(), "was made outside of the testing/synctest bubble")
		failed = attempt(t, func(t testing.TB) { rebind(stream, t).Next() })
		assert.Contains(t, failed.text(), "/post: wanted an event, but the stream was opened on the other side of a testing/synctest bubble's wall")
		failed = attempt(t, func(t testing.TB) { rebind(stream, t).ExpectSilence(0) })
		assert.Contains(t, failed.text(), "on the other side of a testing/synctest bubble's wall")
		assert.Contains(t, panicText(outside.Down), "was made outside of the testing/synctest bubble")
		assert.Contains(t, panicText(outside.Close), "was made outside of the testing/synctest bubble")
		inside = ssetest.NewServer(t, nil)
		assert.Equal(t, 1, outside.Publish(ssetest.Data("x")), "what does not wait may be called")
	})
	stream.ExpectData("x")
	synctest.Test(t, func(t *testing.T) {
		_, err := inside.DialContext(t.Context(), "tcp", "127.0.0.1:1")
		assert.ErrorContains(t, err, "was made in another testing/synctest bubble than the one that uses it")
	})
	_, err := inside.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	require.ErrorContains(t, err, "was made in a testing/synctest bubble, and can't be used outside of it")

	_, err = memory.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	require.EqualError(t, err, "ssetest: "+memory.URL+" is on a network in memory, where there is no 127.0.0.1:1")
	_, err = memory.DialContext(t.Context(), "tcp", "www.example.com:443")
	require.NoError(t, err)
}

// TestConnectionsAcrossABubblesWall are refused to requests, also those that wait in a transport for another one.
func TestConnectionsAcrossABubblesWall(t *testing.T) {
	refused := func(t *testing.T, client *http.Client, srv *ssetest.Server, wanted string) {
		t.Helper()
		for range 3 { // whatever has become of the connection
			_, err := client.Post(srv.URL+"/post", "text/plain", strings.NewReader("x")) // there is none
			require.ErrorContains(t, err, wanted)
		}
	}
	t.Run("made outside", func(t *testing.T) {
		for _, n := range []ssetest.Network{ssetest.Loopback, ssetest.InMemory} {
			for _, p := range protocols {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Network: n})
				client := srv.Client()
				request(t, srv, "GET", "/nowhere") // after which the connection waits for another request
				synctest.Test(t, func(t *testing.T) {
					refused(t, client, srv, "was made outside of the testing/synctest bubble that uses it")
					refused(t, srv.Client(), srv, "was made outside of the testing/synctest bubble that uses it")
				})
				srv.Open(t, "/sse", nil).Next()
			}
		}
	})
	t.Run("made outside, with other streams", func(t *testing.T) {
		srv := ssetest.NewServer(t, nil)
		conn, err := srv.DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "https://"))
		require.NoError(t, err)
		wanted := "ssetest: " + srv.URL + " was made outside of the testing/synctest bubble that uses it; make it in the bubble, with NewServer(t, nil)"
		synctest.Test(t, func(t *testing.T) {
			_, err := conn.Write([]byte("x"))
			require.EqualError(t, err, wanted)
			_, err = conn.Read(make([]byte, 1))
			require.EqualError(t, err, wanted)
			require.EqualError(t, conn.SetDeadline(time.Now()), wanted)
			require.EqualError(t, conn.SetReadDeadline(time.Now()), wanted)
			require.EqualError(t, conn.SetWriteDeadline(time.Now()), wanted)
		})
		stream := srv.Open(t, "/post", nil)
		synctest.Test(t, func(t *testing.T) {
			refused(t, srv.Client(), srv, wanted)
			assert.Equal(t, wanted, panicText(func() { _, _ = conn.Write([]byte("x")) }), "net/http would end the other stream, and the runtime the process")
		})
		require.NoError(t, conn.SetDeadline(time.Time{}))
		require.NoError(t, conn.Close())
		srv.Publish(ssetest.Data("x"))
		stream.ExpectData("x")
	})
	t.Run("made inside", func(t *testing.T) {
		outside := make(chan func()) // what is called out there
		defer close(outside)
		called := make(chan struct{})
		go func() {
			for call := range outside {
				call()
				called <- struct{}{}
			}
		}()
		const wanted = "was made in a testing/synctest bubble, and can't be used outside of it"
		for _, p := range protocols {
			synctest.Test(t, func(t *testing.T) {
				srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
				client := srv.Client()
				request(t, srv, "GET", "/nowhere")
				outside <- func() {
					refused(t, client, srv, wanted)
					refused(t, srv.Client(), srv, wanted)
				}
				<-called
				srv.Open(t, "/sse", nil).Next()
			})
		}
	})
}

// TestATestThatOutlivesItsBubble closes nothing in time.
func TestATestThatOutlivesItsBubble(outer *testing.T) {
	synctest.Test(outer, func(t *testing.T) {
		for method, use := range map[string]func(t testing.TB){
			"NewServer": func(t testing.TB) { ssetest.NewServer(t, nil) },
			"Open":      func(t testing.TB) { ssetest.Open(t, "http://127.0.0.1:1", nil) },
			"Read":      func(t testing.TB) { ssetest.Read(t, strings.NewReader("")) },
		} {
			failed := attempt(t, func(t testing.TB) { use(timedT{t, outer}) })
			assert.Equal(t, "ssetest: "+method+", in a testing/synctest bubble, was given the t of a test that goes on when the bubble has ended, "+
				"and whose Cleanup comes too late; give it the t of the bubble", failed.text())
		}
	})
}

// A timedT has the deadline of another test.
type timedT struct {
	testing.TB
	of interface{ Deadline() (time.Time, bool) }
}

func (t timedT) Deadline() (time.Time, bool) { return t.of.Deadline() }

// TestAConnectionOfItsOwn can be ended in half, and reset, on both networks.
func TestAConnectionOfItsOwn(t *testing.T) {
	for _, n := range []ssetest.Network{ssetest.Loopback, ssetest.InMemory} {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: ssetest.HTTP1, Network: n})
		conn, err := srv.DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET /nowhere HTTP/1.0\r\n\r\n")
		require.NoError(t, err)
		half := conn.(interface{ CloseWrite() error })
		require.NoError(t, half.CloseWrite())
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Contains(t, string(answer), "404 Not Found")
		require.NoError(t, conn.(interface{ SetLinger(sec int) error }).SetLinger(0))
		require.NoError(t, conn.Close())
	}
}

// TestNamesCanBeLookedUpAfterABubble in which one was: in a process of its own, where nobody has looked one up before.
func TestNamesCanBeLookedUpAfterABubble(t *testing.T) {
	if os.Getenv("SSETEST_LOOKUP") == "" {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNamesCanBeLookedUpAfterABubble$")
		command.Env = append(os.Environ(), "SSETEST_LOOKUP=1")
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
		return
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := http.Get(ssetest.NewServer(t, nil).URL + "/sse") // there is no response
		require.ErrorContains(t, err, "no such host")
	})
	_, err := net.LookupHost("in-memory!nowhere")
	require.ErrorContains(t, err, "no such host")
}
