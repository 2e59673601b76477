package ssetest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

func TestPublishIsExactlyAsGiven(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		response := get(t, srv, "/post")
		require.Equal(t, 1, srv.Publish(
			ssetest.Data("alone"),
			ssetest.Event{Type: "delta", Data: "two\nlines", ID: "7", Retry: 1500e6},
			ssetest.Event{},
		))
		srv.Close()
		wire, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, "data: alone\n\nevent: delta\ndata: two\ndata: lines\nid: 7\nretry: 1500\n\ndata: \n\n", string(wire))
		assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
		assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	})
}

func TestPostHasTheFormOfLetters(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		posts := func(seed uint64) []ssetest.Event {
			srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Seed: seed})
			stream := srv.Open(t, "/post", nil)
			other := srv.Topic("/other")
			otherStream := srv.Open(t, "/other", nil)
			require.Equal(t, 1, srv.Post(map[string]string{"html": "<b>&"}))
			require.Equal(t, 1, srv.Post([]int{1}))
			require.Equal(t, 1, other.Post(nil))
			return append(stream.Take(2), otherStream.Next())
		}
		events := posts(1)
		wanted := []string{`{"html":"<b>&"}`, `[1]`, `null`}
		ids := map[string]bool{}
		for i, e := range events {
			assert.Equal(t, ssetest.Event{Type: "message", Data: wanted[i], ID: e.ID, Retry: 6e9}, e)
			id, err := uuid.Parse(e.ID)
			require.NoError(t, err)
			assert.Equal(t, uuid.Version(4), id.Version())
			assert.Equal(t, uuid.RFC4122, id.Variant())
			ids[e.ID] = true
		}
		assert.Len(t, ids, len(events), "every event has an ID of its own")
		assert.Equal(t, events, posts(1), "the same seed")
		assert.NotEqual(t, events[0].ID, posts(2)[0].ID, "another seed")
	})
}

func TestPublishRefusesWhatCannotBeSent(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	stream := srv.Open(t, "/post", nil)
	assert.PanicsWithValue(t,
		`ssetest: Publish: event 2 of 2, message x id="a\nb": the event's ID has a line end: "a\nb"`,
		func() { srv.Publish(ssetest.Data("good"), ssetest.Event{Data: "x", ID: "a\nb"}) })
	assert.Panics(t, func() { srv.Post(make(chan int)) })
	srv.Publish(ssetest.Data("next"))
	stream.ExpectData("next")
}

// TestAThousandSubscribersGetEverythingInOrder is the test for events that get lost, doubled or out of order.
func TestAThousandSubscribersGetEverythingInOrder(t *testing.T) {
	const subscribers, events = 1000, 50
	srv := ssetest.NewServer(t, nil)
	streams := make([]*ssetest.EventSource, subscribers)
	for i := range streams {
		es, err := ssetest.Dial(t.Context(), srv.URL+"/post", nil)
		require.NoError(t, err)
		defer es.Close()
		streams[i] = es
	}
	srv.AwaitSubscribers(t, subscribers)

	var readers sync.WaitGroup
	for _, es := range streams {
		readers.Go(func() {
			for i := range events {
				e, err := es.Next(t.Context())
				if err != nil || e.Data != strconv.Itoa(i) {
					t.Errorf("event %d: %v, %v", i, e, err)
					return
				}
			}
		})
	}
	for i := range events {
		require.Equal(t, subscribers, srv.Publish(ssetest.Data(strconv.Itoa(i))))
	}
	readers.Wait()
}

func TestPublishFromSeveralGoroutines(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		const publishers, each = 8, 100
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		streams := []*ssetest.Stream{srv.Open(t, "/post", nil), srv.Open(t, "/post", nil)}
		var wg sync.WaitGroup
		for i := range publishers {
			wg.Go(func() {
				for j := range each {
					srv.Publish(ssetest.Data(fmt.Sprintf("%d %d", i, j)))
				}
			})
		}
		wg.Wait()
		first := streams[0].Take(publishers * each)
		assert.Equal(t, first, streams[1].Take(publishers*each), "all streams have one order")
		next := make([]int, publishers)
		for _, e := range first {
			var i, j int
			_, err := fmt.Sscan(e.Data, &i, &j)
			require.NoError(t, err)
			require.Equal(t, next[i], j, "each publisher's own order")
			next[i]++
		}
	})
}

func TestTopicResumes(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, History: 5})
		event := func(id, data string) ssetest.Event { return ssetest.Event{ID: id, Data: data} }
		srv.Publish(event("1", "gone"), event("2", "two"), event("", "no ID"), event("3", "three"), event("3", "three again"), event("4", "four"))
		for id, wanted := range map[string][]string{
			"2":       {"no ID", "three", "three again", "four"},
			"3":       {"four"}, // the newer of the two
			"4":       {},
			"1":       {}, // has left the history
			"unknown": {},
			"":        {},
		} {
			stream := srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: id})
			srv.Publish(ssetest.Data("new"))
			stream.ExpectData(append(wanted, "new")...)
			stream.Close()
			srv.AwaitSubscribers(t, 0)
			// History goes on to grow; begin again with the same five.
			srv.Publish(event("2", "two"), event("", "no ID"), event("3", "three"), event("3", "three again"), event("4", "four"))
		}
	})
}

func TestTopicResumesBehindIDsWithBlanks(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		first := srv.Open(t, "/post", nil)
		srv.Publish(ssetest.Event{ID: " seven\t"}, ssetest.Data("missed"))
		id := first.Take(2)[0].ID
		require.Equal(t, " seven\t", id)
		srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: id}).ExpectData("missed")
	})
}

func TestTopicResumesBehindIDsThatAreNotUTF8(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	first := srv.Open(t, "/post", nil)
	srv.Publish(ssetest.Event{ID: "\xe2\x82x"}, ssetest.Data("missed"))
	id := first.Take(2)[0].ID
	require.Equal(t, "\uFFFDx", id)
	srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: id}).ExpectData("missed")
}

func TestTopicWithoutHistory(t *testing.T) {
	srv := ssetest.NewServer(t, &ssetest.Config{History: -1})
	srv.Publish(ssetest.Event{ID: "1"}, ssetest.Event{ID: "2"})
	stream := srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: "1"})
	srv.Publish(ssetest.Data("new"))
	stream.ExpectData("new")
}

func TestPostedIDsResume(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	first := srv.Open(t, "/post", nil)
	for i := range 4 {
		srv.Post(i)
	}
	seen := first.Take(4)
	srv.Open(t, "/post", &ssetest.OpenConfig{LastEventID: seen[1].ID}).ExpectEvents(seen[2:]...)
}

func TestTopicsAreSeparate(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		news := srv.Topic("/rooms/news")
		assert.Same(t, news, srv.Topic("/rooms/news"))
		a, b := srv.Open(t, "/post", nil), srv.Open(t, "/rooms/news", nil)
		news.AwaitSubscribers(t, 1)
		require.Equal(t, 1, srv.Topic("/post").Publish(ssetest.Data("post")))
		require.Equal(t, 1, news.Publish(ssetest.Data("news")))
		response, err := srv.Client().Post(srv.URL+"/rooms/news", "application/json", body(`"posted"`))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		a.ExpectData("post")
		b.ExpectData("news", `"posted"`)
	})
}

func TestTopicRefusesBadPaths(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	for _, path := range []string{"", "news", "/{room}", "/a b", "GET /news", "/a?b", "/a#b", "/sse", "/a\n", "/%zz", "/a%20b"} {
		assert.Panics(t, func() { srv.Topic(path) }, "%q", path)
	}
	srv.Handle("GET /taken", http.NotFoundHandler())
	srv.Handle("POST /half", http.NotFoundHandler())
	assert.Panics(t, func() { srv.Topic("/taken") })
	assert.Panics(t, func() { srv.Topic("/half") })
	srv.Handle("/any", http.NotFoundHandler())
	assert.PanicsWithValue(t, `ssetest: Topic("/any"): there is a handler, script or feed for "/any" already`, func() { srv.Topic("/any") })
	assert.Equal(t, http.StatusMethodNotAllowed, get(t, srv, "/half").StatusCode, "no half of a topic is left")
	assert.Zero(t, srv.Topic("/dir/").Publish(ssetest.Data("x")))
	assert.Equal(t, 404, get(t, srv, "/dir/below").StatusCode, "a path that ends with a slash is no subtree")
}

func TestAwaitSubscribersSeesJoinersAndLeavers(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.AwaitSubscribers(t, 0)
		a, b := srv.Open(t, "/post", nil), srv.Open(t, "/post", nil)
		srv.AwaitSubscribers(t, 2)
		a.Close()
		srv.AwaitSubscribers(t, 1)
		require.Equal(t, 1, srv.Publish(ssetest.Data("x")))
		b.ExpectData("x")
		joined := make(chan *ssetest.EventSource)
		go func() {
			es, err := ssetest.Dial(context.Background(), srv.URL+"/post", nil)
			assert.NoError(t, err)
			joined <- es
		}()
		srv.AwaitSubscribers(t, 2)
		(<-joined).Close()
	})
}

func TestEventsThatNobodyHeardAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(t testing.TB) {
			srv := ssetest.NewServer(t, &ssetest.Config{Timeout: 50 * time.Millisecond})
			srv.Topic("/quiet")
			srv.Publish(ssetest.Data("too early"))
			srv.Open(t, "/post", nil).ExpectData("too early")
		})
		assert.Contains(t, failed.text(), "published to /post while nobody was subscribed: 1 event\n")
		assert.NotContains(t, failed.text(), "/quiet")
	})
}

func TestOpenBodiesAreSuspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := attempt(t, func(tb testing.TB) {
			srv := ssetest.NewServer(tb, &ssetest.Config{Timeout: 50 * time.Millisecond})
			get(t, srv, "/post")
			srv.AwaitSubscribers(tb, 0)
		})
		assert.Contains(t, failed.text(), "after 50ms there were 1; is the body of a response still open?\n")
	})
}
