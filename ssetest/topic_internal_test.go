package ssetest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stuckWriter is a response whose client does not read, until it is released.
type stuckWriter struct {
	*httptest.ResponseRecorder
	writes  int
	stuck   chan struct{} // closed when it is
	release chan struct{}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes == 1 {
		close(w.stuck)
		<-w.release
	}
	return w.ResponseRecorder.Write(p)
}

func TestStreamThatFallsTooFarBehindIsAborted(t *testing.T) {
	s, err := newServer(nil, nil)
	require.NoError(t, err)
	s.post.maxBehindBytes = 1000
	stuck := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), stuck: make(chan struct{}), release: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	s.cfg.Wrap = func(next http.Handler) http.Handler { // as people write it, who keep a panic to themselves
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { _ = recover() }()
			next.ServeHTTP(w, r)
		})
	}
	aborted := make(chan any)
	go func() {
		defer func() { aborted <- recover() }()
		s.handler().ServeHTTP(stuck, httptest.NewRequestWithContext(ctx, "GET", "/post", nil))
	}()
	s.post.AwaitSubscribers(t, 1)
	require.Equal(t, 1, s.post.Publish(Data("first")))
	<-stuck.stuck

	// Each counts 64 bytes more than it has. What is behind is counted before the next is added.
	payload := strings.Repeat("x", 400)
	require.Equal(t, 1, s.post.Publish(Data(payload), Data(payload), Data(payload)))
	require.Equal(t, 0, s.post.Publish(Data("too much")), "streams that took it")
	close(stuck.release)
	assert.NotNil(t, <-aborted, "the handler aborts its response")
	assert.Equal(t, "data: first\n\n", stuck.Body.String(), "what was sent, whole")
	assert.Contains(t, s.describe(), "GET /post HTTP/1.1 (stream 1) of topic /post was aborted: it was 1")
	assert.Empty(t, s.trouble, "a slow client is no failure")
}

func TestHistoryIsBounded(t *testing.T) {
	s, err := newServer(&Config{History: 3}, nil)
	require.NoError(t, err)
	for _, id := range []string{"a", "b", "c", "b", "d"} {
		s.post.Publish(Event{ID: id})
	}
	assert.Equal(t, 3, s.post.kept)
	assert.Len(t, s.post.byID, 3, "c, the second b, and d")
	assert.EqualValues(t, 4, s.post.byID["b"].number)

	s.post.maxHistoryBytes = 1000
	large := strings.Repeat("x", 500)
	for _, id := range []string{"e", "f", "g"} {
		s.post.Publish(Event{ID: id, Data: large})
	}
	assert.Equal(t, 1, s.post.kept, "two of them are over the bound")
	assert.Len(t, s.post.byID, 1)
	s.post.Publish(Event{ID: "h", Data: large + large})
	assert.Zero(t, s.post.kept, "one that is over it by itself")
	assert.Empty(t, s.post.byID)
}

func TestWhatHasGatheredGoesOutInOnePiece(t *testing.T) {
	s, err := newServer(nil, nil)
	require.NoError(t, err)
	sub := s.post.subscribe(&exchange{srv: s}, "")
	assert.NotNil(t, s.post.take(sub).grown)

	s.post.Publish(Data("one"))
	p := s.post.take(sub)
	assert.Equal(t, "data: one\n\n", string(p.wire))
	assert.Same(t, &s.post.last.wire[0], &p.wire[0], "one event is not copied")

	s.post.Publish(Data("two"), Data("three"))
	p = s.post.take(sub)
	assert.Equal(t, "data: two\n\ndata: three\n\n", string(p.wire))
	assert.Equal(t, 2, p.events)

	half := strings.Repeat("x", maxPieceBytes/2)
	s.post.Publish(Data(half), Data(half), Data(half+half), Data("last"))
	var events []int
	var all strings.Builder
	for p = s.post.take(sub); p.events > 0; p = s.post.take(sub) {
		events = append(events, p.events)
		all.Write(p.wire)
	}
	assert.Equal(t, []int{1, 1, 1, 1}, events, "no piece is larger than the bound, but for one event")
	assert.Equal(t, 5, strings.Count(all.String(), "data: ")+1)
}

func TestExpiredStreamDoesNotTakeHoldOfTheLogAgain(t *testing.T) {
	s, err := newServer(nil, nil)
	require.NoError(t, err)
	sub := s.post.subscribe(&exchange{srv: s}, "")
	s.post.Publish(Data("one"), Data("two"))
	from := sub.at.Load()

	// It expires while take is between reading the log and moving on.
	s.post.maxBehindBytes, s.post.check = 1, 0
	s.post.Publish(Data("three"))
	assert.True(t, sub.expired.Load())
	assert.False(t, sub.advance(from, from.next))
	assert.Nil(t, sub.at.Load().next, "the place that it has holds nothing of the log")
	assert.True(t, s.post.take(sub).expired)
}

func TestStreamThatHasLeftHoldsNothingOfTheLog(t *testing.T) {
	s, err := newServer(nil, nil)
	require.NoError(t, err)
	sub := s.post.subscribe(&exchange{srv: s}, "")
	s.post.Publish(Data("one"))
	s.post.take(sub)
	s.post.unsubscribe(sub)
	s.post.Publish(Data("two"))
	assert.Nil(t, sub.at.Load().next)
	assert.EqualValues(t, 1, s.post.due(sub), "events that it was sent")
}

func TestPostToAClosedTopicIsNotAccepted(t *testing.T) {
	s, err := newServer(nil, nil)
	require.NoError(t, err)
	s.post.close()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/post", strings.NewReader("1"))
	r.Header.Set("Content-Type", "application/json")
	s.handler().ServeHTTP(w, r)
	assert.Equal(t, 503, w.Code)
}

// TestEventsOfAllSizesLieInPieces looks at what is sent, and that what is held for it is accounted for.
func TestEventsOfAllSizesLieInPieces(t *testing.T) {
	s, err := newServer(nil, nil)
	require.NoError(t, err)
	sub := s.post.subscribe(&exchange{srv: s}, "")
	var want, got strings.Builder
	for i, size := range []int{1, 100, 5000, 1, 3000, maxPieceBytes / 2, 1, 40_000, 70_000, 1, 1 << 20, 10, 10} {
		for _, data := range []string{strings.Repeat("x", size), strings.Repeat("\n", size/8)} { // the second is larger than it looks
			e := Event{ID: strconv.Itoa(i), Data: data}
			text, err := e.AppendText(nil)
			require.NoError(t, err)
			want.Write(text)
			s.post.Publish(e)
		}
	}
	for p := s.post.take(sub); p.events > 0; p = s.post.take(sub) {
		got.Write(p.wire)
		assert.True(t, p.events == 1 || len(p.wire) <= maxPieceBytes)
	}
	assert.Equal(t, want.String(), got.String())
	assert.LessOrEqual(t, s.post.last.end, int64(3*want.Len()))
	assert.GreaterOrEqual(t, s.post.last.end, int64(want.Len()))
}

// TestLargeEventsAreNotCopied: an event takes the memory that it needs, and little more.
func TestLargeEventsAreNotCopied(t *testing.T) {
	s, err := newServer(&Config{History: -1}, nil)
	require.NoError(t, err)
	for _, size := range []int{40_000, 1 << 20} {
		e := Data(strings.Repeat("x", size))
		s.post.Publish(e)
		assert.LessOrEqual(t, cap(s.post.last.wire), size+2*recordOverhead)
		assert.LessOrEqual(t, testing.AllocsPerRun(10, func() { s.post.Publish(e) }), 3.0)
	}
}
