package ssetest_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

// TestHistoryDecidesWhatIsLost publishes while the client is away.
func TestHistoryDecidesWhatIsLost(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, c := range []struct {
			history int
			lost    string
		}{
			{0, ""},
			{3, ""},
			{2, "lost: 2 events:\n  message 2 id=2\n  message 3 id=3"}, // 1, which the client names, is gone
			{-1, "lost: 2 events:\n  message 2 id=2\n  message 3 id=3"},
		} {
			for _, expect := range []func(*ssetest.Server, *ssetest.Stream){(*ssetest.Server).ExpectExactlyOnce, (*ssetest.Server).ExpectAtLeastOnce} {
				failed := attempt(t, func(t testing.TB) {
					srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, History: c.history})
					s := openReturning(t, srv, "/post")
					srv.Publish(numbered(1, 1)...)
					s.Take(1)
					srv.Down()
					srv.Publish(numbered(2, 3)...)
					srv.Up()
					s.IgnoreRest()
					expect(srv, s)
				})
				_, lost, _ := strings.Cut(verdict(failed), "published\n")
				assert.Equal(t, c.lost, lost, "a history of %d: %s", c.history, failed.text())
			}
		}
	})
}

func TestAnyEventsAreDeliveredAtLeastOnce(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		s := openReturning(t, srv, "/post")
		published := []ssetest.Event{
			ssetest.Data("x"), ssetest.Data("x"), {ID: "1", Data: "y"}, {ID: "1", Data: "y"}, {Type: "t"}, {ID: "1", Data: "y", Retry: time.Millisecond}, ssetest.Data("a\nb\r"),
		}
		for range 3 {
			srv.Publish(published...)
			srv.ExpectAtLeastOnce(s)
		}
		s.Take(3 * len(published))
	})
}

// TestAnEventWithoutAnIDHasTheOneBefore publishes events that look the same to the client, which knows the last event ID alone.
func TestAnEventWithoutAnIDHasTheOneBefore(t *testing.T) {
	srv := ssetest.NewServer(t, nil)
	s := openReturning(t, srv, "/post")
	srv.Publish(ssetest.Event{ID: "1", Data: "ping"}, ssetest.Data("ping"))
	s.ExpectData("ping", "ping")
	srv.ExpectAtLeastOnce(s)
}

// TestLostTwins has events that look the same, of which some are lost.
func TestLostTwins(t *testing.T) {
	failed := attempt(t, func(t testing.TB) {
		srv := ssetest.NewServer(t, nil)
		s := openReturning(t, srv, "/post")
		srv.Publish(ssetest.Data("x"), ssetest.Data("x"))
		s.Take(2)
		srv.Down()
		srv.Publish(ssetest.Data("x"), ssetest.Data("y"))
		srv.Up()
		srv.ExpectAtLeastOnce(s)
	})
	attempts := regexp.MustCompile(`attempt \d+`) // some may have failed
	assert.Equal(t, fmt.Sprintf(wantedAtLeastOnce, "/post")+
		"of 4 events that the endpoint has published\nlost: 2 events:\n  message x\n  message y\nattempt N came back without a last event ID, since no event with one had arrived: what had been published is not sent again then", attempts.ReplaceAllString(verdict(failed), "attempt N"))
}

// TestDeliveryOfScriptsAndFeeds has what they send on to a client that comes back.
func TestDeliveryOfScriptsAndFeeds(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, LetterInterval: -1, Retry: -1})
		srv.Script("GET /script", steps(numbered(1, 3), ssetest.Cut(numbered(4, 4)[0], 7), ssetest.Abort()),
			steps(numbered(4, 6), ssetest.ResetConn()),
			ssetest.Script{ssetest.Raw("id: 7\ndata: 7\n\nid: 8\nda"), ssetest.Split(1), ssetest.Raw("ta: 8\n\n: x\n"), ssetest.Comment("y"), ssetest.End()},
			ssetest.Script{ssetest.Response{Body: "id: 9\ndata: 9\n\n"}, ssetest.Wait(0), ssetest.Hold()})
		s := openReturning(t, srv, "/script")
		s.ExpectEvents(numbered(1, 9)...)
		srv.ExpectExactlyOnce(s)

		feed := srv.Feed("GET /feed")
		s = openReturning(t, srv, "/feed")
		for i := 1; i <= 9; i += 3 {
			feed.Accept(t).Send(steps(numbered(i, i+2), ssetest.Abort())...)
		}
		srv.ExpectExactlyOnce(s)
		s.ExpectEvents(numbered(1, 9)...)

		s = openReturning(t, srv, "/sse")
		for range 3 {
			srv.Tick(2)
			srv.ExpectExactlyOnce(s)
			s.Take(2)
			srv.Down()
			srv.Up()
			s.ExpectReconnect(-1)
		}
		srv.ExpectExactlyOnce(s)
	})
}

// TestDeliveryOfAScriptThatIsAllInItsResponse has no steps.
func TestDeliveryOfAScriptThatIsAllInItsResponse(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", ssetest.Script{ssetest.Response{Body: "id: 1\ndata: 1\n\n"}}, ssetest.Script{ssetest.Response{Status: http.StatusNoContent}})
		s := openReturning(t, srv, "/feed")
		s.ExpectData("1")
		s.ExpectEnd()
		srv.ExpectExactlyOnce(s)
	})
}

// TestDeliveryThatHasEnded has a stream whose server has told it not to come back.
func TestDeliveryThatHasEnded(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /feed", steps(numbered(1, 2)), steps(numbered(3, 4)))
		s := openReturning(t, srv, "/feed")
		s.Take(4)
		s.ExpectEnd()
		srv.ExpectExactlyOnce(s)
	})
}
