package h2conn_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// A recorder is a connection that keeps what is written to it.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	out bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.Conn.Write(p)
	r.out.Write(p[:n])
	return n, err
}

// data is what has left in the DATA frames of each stream.
func (r *recorder) data() map[uint32]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	streams := make(map[uint32]string)
	f := http2.NewFramer(nil, bytes.NewReader(r.out.Bytes()))
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return streams // io.EOF, or in the middle of a frame that is still to leave
		}
		if d, ok := got.(*http2.DataFrame); ok {
			streams[d.StreamID] += string(d.Data())
		}
	}
}

// wrapped is a listener whose connections are a Conn each.
type wrapped struct {
	net.Listener
	group *h2conn.Group
}

func (l wrapped) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return h2conn.New(&recorder{Conn: c}, l.group), nil
}

type connKey struct{}

// connOf is the connection on which a request came.
func connOf(r *http.Request) *h2conn.Conn { return r.Context().Value(connKey{}).(*h2conn.Conn) }

// realServer runs net/http's server on Conns, and returns its URL, a client, and a function that waits until no stream is open:
// a client may have the end of one before the server has taken account of it.
func realServer(t *testing.T, handler http.HandlerFunc) (url string, client *http.Client, quiet func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:     handler,
		Protocols:   &p,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	changed := make(chan struct{}, 1)
	group := h2conn.NewGroup(func() {
		select {
		case changed <- struct{}{}:
		default: // somebody will look anyway
		}
	})
	quiet = func() {
		for group.Streams() != 0 {
			<-changed
		}
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(wrapped{l, group}) }()
	transport := &http.Transport{Protocols: &p}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		assert.NoError(t, server.Close())
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return "http://" + l.Addr().String(), &http.Client{Transport: transport}, quiet
}

// get is what a client gets: the body as far as it came, and the error that ended it.
func get(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// sightings is what handlers have learned about their streams.
type sightings struct {
	mu    sync.Mutex
	conns map[*h2conn.Conn]*sighting
}

type sighting struct {
	wrote    map[uint32]string
	ordinals map[int]bool
}

func (s *sightings) add(c *h2conn.Conn, id uint32, ordinal int, wrote string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c] == nil {
		s.conns[c] = &sighting{make(map[uint32]string), make(map[int]bool)}
	}
	s.conns[c].wrote[id] = wrote
	s.conns[c].ordinals[ordinal] = true
}

// check requires that each handler's stream has carried what that handler wrote, and returns how many handlers there were.
func (s *sightings) check(t *testing.T) int {
	t.Helper()
	n := 0
	for conn, sighting := range s.conns {
		assert.Equal(t, sighting.wrote, conn.Conn.(*recorder).data())
		for ordinal := range len(sighting.wrote) {
			assert.Contains(t, sighting.ordinals, ordinal+1)
		}
		n += len(sighting.wrote)
	}
	return n
}

// Each of many handlers that run at once learns the identifier of its own stream.
func TestHandlersKnowTheirStreams(t *testing.T) {
	const n = 300
	var arrived atomic.Int32
	all := make(chan struct{}) // closed when all of them run
	seen := sightings{conns: make(map[*h2conn.Conn]*sighting)}
	url, client, quiet := realServer(t, func(w http.ResponseWriter, r *http.Request) {
		id, ordinal := h2conn.TakeStream(r.Header)
		assert.NotContains(t, r.Header, "Ssetest-Stream")
		seen.add(connOf(r), id, ordinal, r.URL.Path)
		if arrived.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done(): // something has failed
		}
		fmt.Fprint(w, r.URL.Path)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := make(chan error, n)
	for i := range n {
		go func() {
			path := fmt.Sprintf("/%d", i)
			body, err := get(ctx, client, url+path)
			if err == nil && body != path {
				err = fmt.Errorf("%s got the response of %s", path, body)
			}
			results <- err
		}()
	}
	for range n {
		require.NoError(t, <-results)
	}
	assert.Equal(t, n, seen.check(t))
	quiet()
}

// A client that has got a code has got everything that was sent before it.
func TestClientGetsTheCode(t *testing.T) {
	url, client, quiet := realServer(t, func(w http.ResponseWriter, r *http.Request) {
		var code http2.ErrCode
		_, err := fmt.Sscanf(r.URL.Path, "/%d", &code)
		assert.NoError(t, err)
		conn := connOf(r)
		id, _ := h2conn.TakeStream(r.Header)
		fmt.Fprint(w, r.URL.Path)
		assert.NoError(t, http.NewResponseController(w).Flush())
		assert.True(t, conn.Stream(id).AwaitSent(int64(len(r.URL.Path))))
		conn.ResetWith(id, code)
		panic(http.ErrAbortHandler)
	})
	var clients sync.WaitGroup
	for _, code := range []http2.ErrCode{
		http2.ErrCodeNo, http2.ErrCodeInternal, http2.ErrCodeRefusedStream, http2.ErrCodeCancel,
		http2.ErrCodeEnhanceYourCalm, http2.ErrCodeHTTP11Required, odd,
	} {
		for range 10 {
			clients.Go(func() {
				path := fmt.Sprintf("/%d", code)
				body, err := get(t.Context(), client, url+path)
				var streamErr http2.StreamError
				if assert.ErrorAs(t, err, &streamErr) {
					assert.Equal(t, code, streamErr.Code)
				}
				assert.Equal(t, path, body)
			})
		}
	}
	clients.Wait()
	quiet()
}

// A client that is told to go away asks elsewhere from then on, and goes on to read the last. What it asks for before it has
// been told is refused, and it asks for that elsewhere too.
func TestClientGoesAway(t *testing.T) {
	gone, next := make(chan struct{}), make(chan struct{})
	conns := make(chan *h2conn.Conn, 10)
	url, client, quiet := realServer(t, func(w http.ResponseWriter, r *http.Request) {
		conn := connOf(r)
		id, ordinal := h2conn.TakeStream(r.Header)
		if ordinal == h2conn.Refused {
			panic(http.ErrAbortHandler)
		}
		assert.Equal(t, 1, ordinal, "the first on its connection")
		conns <- conn
		if r.URL.Path == "/first" {
			fmt.Fprint(w, "sent before, ")
			assert.NoError(t, http.NewResponseController(w).Flush())
			assert.True(t, conn.Stream(id).AwaitSent(1))
			assert.NoError(t, conn.GoAway(http2.ErrCodeNo))
			close(gone)
			<-next
		}
		fmt.Fprint(w, "sent behind")
	})
	whole := make(chan string, 1)
	go func() {
		body, err := get(t.Context(), client, url+"/first")
		whole <- fmt.Sprint(body, err)
	}()
	select {
	case <-gone:
	case got := <-whole:
		t.Fatal("over too early:", got)
	}
	body, err := get(t.Context(), client, url+"/second")
	close(next)
	require.NoError(t, err)
	assert.Equal(t, "sent behind", body)
	assert.Equal(t, "sent before, sent behind<nil>", <-whole)
	quiet()

	require.Len(t, conns, 2)
	first, second := <-conns, <-conns
	assert.NotSame(t, first, second)
}
