package ssetest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// untaken is what is said of events that a stream got and nobody took: nothing where there is none.
func untaken(path string, events ...string) string {
	switch n := len(events); n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("ssetest: GET URL%s: the server sent 1 event that nobody took:\n  %s\ntake them, or call IgnoreRest", path, events[0])
	default:
		return fmt.Sprintf("ssetest: GET URL%s: the server sent %d events that nobody took:\n  %s\ntake them, or call IgnoreRest", path, n, strings.Join(events, "\n  "))
	}
}

// left is what a test says in the end that was otherwise fine.
func left(t *testing.T, cfg *ssetest.Config, body func(t testing.TB, srv *ssetest.Server)) string {
	failed := attempt(t, func(t testing.TB) { body(t, ssetest.NewServer(t, cfg)) })
	return serverURL.ReplaceAllString(failed.text(), "URL")
}

// TestScriptsThatNobodyTook has scripts of which the test takes the first event, and closes the stream at once, wherever the script is.
func TestScriptsThatNobodyTook(t *testing.T) {
	one, two, three := ssetest.Data("1"), ssetest.Data("2"), ssetest.Data("3")
	wait, hold := ssetest.Wait(time.Hour), ssetest.Hold()
	for name, c := range map[string]struct {
		script ssetest.Script
		left   []string
	}{
		"nothing":                  {ssetest.Script{one}, nil},
		"before the end":           {ssetest.Script{one, two, three}, []string{"message 2", "message 3"}},
		"before End":               {ssetest.Script{one, two, ssetest.End()}, []string{"message 2"}},
		"before Hold":              {ssetest.Script{one, two, hold}, []string{"message 2"}},
		"before Abort":             {ssetest.Script{one, two, ssetest.Abort()}, []string{"message 2"}},
		"before and after a wait":  {ssetest.Script{one, two, wait, three}, []string{"message 2"}},
		"after a wait":             {ssetest.Script{one, wait, two, three}, nil},
		"after a wait of no time":  {ssetest.Script{one, ssetest.Wait(0), two, hold}, []string{"message 2"}},
		"between waits":            {ssetest.Script{ssetest.Wait(1), one, two, wait, three}, []string{"message 2"}},
		"raw":                      {ssetest.Script{one, ssetest.Raw("event: e\nid: 7\nretry: 8\ndata: 2\n\n"), wait}, []string{"e 2 id=7 retry=8ms"}},
		"several in one raw":       {ssetest.Script{ssetest.Raw("data: 1\n\ndata: 2\r\n\r\ndata: 3\r\r"), wait}, []string{"message 2", "message 3"}},
		"raw in pieces":            {ssetest.Script{one, ssetest.Raw("da"), ssetest.Raw("ta: 2\n"), ssetest.Raw("\n"), wait}, []string{"message 2"}},
		"raw around a wait":        {ssetest.Script{ssetest.Raw("data: 1\n"), ssetest.Wait(1), ssetest.Raw("\ndata: 2\n\n"), wait, three}, []string{"message 2"}},
		"raw that is not complete": {ssetest.Script{one, ssetest.Raw("data: 2\n"), wait, ssetest.Raw("\n")}, nil},
		"CR and LF in pieces":      {ssetest.Script{one, ssetest.Raw("data: 2\r"), ssetest.Raw("\n\r"), ssetest.Raw("\ndata: 3\r\n"), wait}, []string{"message 2"}},
		"a byte order mark":        {ssetest.Script{ssetest.Raw("\xEF\xBB"), ssetest.Raw("\xBFdata: 1\n\n"), two, wait}, []string{"message 2"}},
		"cut":                      {ssetest.Script{one, ssetest.Cut(two, 4), wait}, nil},
		"cut at its last byte":     {ssetest.Script{one, ssetest.Cut(two, len("data: 2\n")), wait}, nil},
		"cut, and an event behind": {ssetest.Script{one, ssetest.Cut(two, len("data: 2\n")), three, wait}, []string{`message "2\n3"`}},
		"split":                    {ssetest.Script{one, ssetest.Split(1), two, wait, three}, []string{"message 2"}},
		"comments":                 {ssetest.Script{ssetest.Comment("x"), one, ssetest.Comment("data: 2"), ssetest.Raw(": y\n\n"), wait}, nil},
		"a comment in an event":    {ssetest.Script{one, ssetest.Raw("data: 2\n"), ssetest.Comment("x"), ssetest.Raw("\n"), wait}, []string{"message 2"}},
		"what is no event":         {ssetest.Script{one, ssetest.Raw("id: 5\n\nevent: e\n\nretry: 5\n\n"), wait}, nil},
		"in a body":                {ssetest.Script{ssetest.Response{Body: "data: 1\n\ndata: 2\n\n"}}, []string{"message 2"}},
		"in a body and steps":      {ssetest.Script{ssetest.Response{Body: "data: 1\n\nda", Delay: 1}, ssetest.Raw("ta: 2\n\n"), wait, three}, []string{"message 2"}},
		"in a body before a wait":  {ssetest.Script{ssetest.Response{Body: "data: 1\n\ndata: 2\n"}, wait, ssetest.Raw("\n")}, nil},
		"in a body before End":     {ssetest.Script{ssetest.Response{Body: "data: 1\n\ndata: 2\n\n"}, ssetest.End()}, []string{"message 2"}},
		"in a body before Abort":   {ssetest.Script{ssetest.Response{Body: "data: 1\n\ndata: 2\n\n"}, ssetest.Abort()}, []string{"message 2"}},
		"cut off by End":           {ssetest.Script{one, ssetest.Raw("data: 2\n"), ssetest.End()}, nil},
		"cut off by Abort, split":  {ssetest.Script{ssetest.Split(2), one, two, ssetest.Cut(three, 8), ssetest.Abort()}, []string{"message 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				text := left(t, &ssetest.Config{Protocol: p}, func(t testing.TB, srv *ssetest.Server) {
					srv.Script("GET /feed", c.script)
					srv.Open(t, "/feed", nil).ExpectData("1")
				})
				assert.Equal(t, untaken("/feed", c.left...), text)
			})
		})
	}
}

// TestScriptsAreCheckedWhereverTheyAre closes the streams at once, whatever has arrived, and whatever the script has come to.
func TestScriptsAreCheckedWhereverTheyAre(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, script := range []ssetest.Script{
			steps(numbered(1, 9)), steps(numbered(1, 9), ssetest.Hold()), steps(numbered(1, 9), ssetest.Abort()),
			steps(numbered(1, 9), ssetest.Wait(time.Hour), ssetest.Data("x")),
			append(ssetest.Script{ssetest.Split(1)}, steps(numbered(1, 9), ssetest.Hold())...),
			{ssetest.Raw("id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\nid: 4\ndata: 4\n\nid: 5\ndata: 5\n\n" +
				"id: 6\ndata: 6\n\nid: 7\ndata: 7\n\nid: 8\ndata: 8\n\nid: 9\ndata: 9\n\n")},
		} {
			for range 5 {
				text := left(t, &ssetest.Config{Protocol: p}, func(t testing.TB, srv *ssetest.Server) {
					srv.Script("GET /feed", script)
					srv.Open(t, "/feed", nil).Close()
				})
				require.Equal(t, untaken("/feed", "message 1 id=1", "message 2 id=2", "message 3 id=3", "message 4 id=4", "message 5 id=5",
					"message 6 id=6", "message 7 id=7", "message 8 id=8", "message 9 id=9"), text, "%v", script)
			}
		}
	})
}

// TestFeedsThatNobodyTook has what was sent with one Send or several, up to the stream's end.
func TestFeedsThatNobodyTook(t *testing.T) {
	one, two, three := ssetest.Data("1"), ssetest.Data("2"), ssetest.Data("3")
	for name, c := range map[string]struct {
		sent [][]ssetest.Step
		left []string
	}{
		"nothing sent":                 {nil, nil},
		"one Send":                     {[][]ssetest.Step{{one, two, three}}, []string{"message 1", "message 2", "message 3"}},
		"several Sends":                {[][]ssetest.Step{{one}, {two, three}, {}}, []string{"message 1", "message 2", "message 3"}},
		"an event in pieces":           {[][]ssetest.Step{{one, ssetest.Raw("data: ")}, {ssetest.Raw("2\n")}, {ssetest.Raw("\n")}}, []string{"message 1", "message 2"}},
		"half an event":                {[][]ssetest.Step{{one, ssetest.Raw("data: ")}, {ssetest.Cut(two, 4)}, {ssetest.Comment("x")}}, []string{"message 1"}},
		"several in one raw":           {[][]ssetest.Step{{ssetest.Raw("data: 1\n\ndata: 2\n\nda")}, {ssetest.Raw("ta: 3\r\n\r\n")}}, []string{"message 1", "message 2", "message 3"}},
		"with a wait":                  {[][]ssetest.Step{{one, ssetest.Wait(1), two}}, []string{"message 1", "message 2"}},
		"split":                        {[][]ssetest.Step{{ssetest.Split(1), one}, {two}}, []string{"message 1", "message 2"}},
		"and an end":                   {[][]ssetest.Step{{one}, {two, ssetest.End()}}, []string{"message 1", "message 2"}},
		"and an end, by itself":        {[][]ssetest.Step{{one}, {ssetest.End()}}, []string{"message 1"}},
		"and broken off":               {[][]ssetest.Step{{one}, {two, ssetest.Cut(three, 3), ssetest.Abort()}}, []string{"message 1", "message 2"}},
		"and held":                     {[][]ssetest.Step{{one, ssetest.Hold()}}, []string{"message 1"}},
		"comments, and no event":       {[][]ssetest.Step{{ssetest.Comment("x")}, {ssetest.Raw("id: 1\n\n")}}, nil},
		"half an event, and the rest":  {[][]ssetest.Step{{ssetest.Cut(one, 8)}, {ssetest.Raw("\n")}, {ssetest.Raw("data: 2")}}, []string{"message 1"}},
		"events that are sent again":   {[][]ssetest.Step{{one}, {one}}, []string{"message 1", "message 1"}},
		"an event without any content": {[][]ssetest.Step{{ssetest.Event{}}}, []string{`message ""`}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				for _, when := range []string{"at the test's end", "at Close", "ignored"} {
					text := left(t, &ssetest.Config{Protocol: p}, func(t testing.TB, srv *ssetest.Server) {
						feed := srv.Feed("GET /feed")
						s := srv.Open(t, "/feed", nil)
						stream := feed.Accept(t)
						for _, steps := range c.sent {
							stream.Send(steps...)
						}
						switch when {
						case "at Close":
							s.Close()
						case "ignored":
							s.IgnoreRest()
						}
					})
					if when == "ignored" {
						assert.Empty(t, text)
					} else {
						assert.Equal(t, untaken("/feed", c.left...), text, when)
					}
				}
			})
		})
	}
}

func TestWhatWasTakenOfScriptsAndFeedsIsFine(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p})
		srv.Script("GET /script", steps(numbered(1, 3), ssetest.Wait(time.Hour), ssetest.Data("x")))
		srv.Open(t, "/script", nil).Take(3)
		feed := srv.Feed("GET /feed")
		s := srv.Open(t, "/feed", nil)
		feed.Accept(t).Send(numbered(1, 1)[0], ssetest.Cut(ssetest.Data("x"), 3), ssetest.Abort())
		s.ExpectData("1")
		s.ExpectError(ssetest.ErrStreamAborted)
	})
}

// A gatedBody is read when somebody has opened the gate.
type gatedBody struct {
	io.ReadCloser
	gate <-chan struct{}
}

func (b gatedBody) Read(p []byte) (int, error) {
	<-b.gate
	return b.ReadCloser.Read(p)
}

// TestWhatIsOnItsWayIsAwaited closes streams of which nothing has arrived.
func TestWhatIsOnItsWayIsAwaited(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, path := range []string{"/script", "/feed", "/post"} {
			text := left(t, &ssetest.Config{Protocol: p}, func(t testing.TB, srv *ssetest.Server) {
				gate := make(chan struct{})
				srv.Script("GET /script", steps(numbered(1, 2), ssetest.Wait(time.Hour), ssetest.Data("x")))
				feed := srv.Feed("GET /feed")
				s := srv.Open(t, path, &ssetest.OpenConfig{Client: &http.Client{Transport: roundTripperFunc(func(r *http.Request) (*http.Response, error) {
					response, err := srv.Client().Transport.RoundTrip(r)
					if err == nil {
						response.Body = gatedBody{response.Body, gate}
					}
					return response, err
				})}})
				switch path {
				case "/feed":
					feed.Accept(t).Send(steps(numbered(1, 2))...)
				case "/post":
					srv.Publish(numbered(1, 2)...)
				}
				go close(gate)
				s.Close()
			})
			assert.Equal(t, untaken(path, "message 1 id=1", "message 2 id=2"), text)
		}
	})
}

// TestPausedStreamsAreCheckedToo closes streams that have stopped reading, so that what was sent lies somewhere on the way.
func TestPausedStreamsAreCheckedToo(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		for _, path := range []string{"/script", "/feed", "/post"} {
			text := left(t, &ssetest.Config{Protocol: p}, func(t testing.TB, srv *ssetest.Server) {
				srv.Script("GET /script", steps(numbered(1, 2), ssetest.Wait(time.Hour), ssetest.Data("x")))
				feed := srv.Feed("GET /feed")
				s := srv.Open(t, path, nil)
				s.Pause()
				switch path {
				case "/feed":
					feed.Accept(t).Send(steps(numbered(1, 2))...)
				case "/post":
					srv.Publish(numbered(1, 2)...)
				}
			})
			assert.Equal(t, untaken(path, "message 1 id=1", "message 2 id=2"), text)
		}
	})
}

// TestStreamsThatComeBackAreCheckedToo has events of several attempts, of which the test takes some. The server has sent them all, whatever became of its streams since.
func TestStreamsThatComeBackAreCheckedToo(t *testing.T) {
	one, two, three := ssetest.Data("1"), ssetest.Data("2"), ssetest.Data("3")
	again := &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: -1}
	later := &ssetest.OpenConfig{Reconnect: true, ReconnectionTime: time.Hour}
	for name, c := range map[string]struct {
		body func(t testing.TB, srv *ssetest.Server)
		left []string
	}{
		"the second is open": {func(t testing.TB, srv *ssetest.Server) {
			srv.Script("GET /feed", ssetest.Script{one}, ssetest.Script{two, three, ssetest.Wait(time.Hour), one})
			srv.Open(t, "/feed", again).ExpectData("1", "2")
		}, []string{"message 3"}},
		"the second has sent nothing": {func(t testing.TB, srv *ssetest.Server) {
			feed := srv.Feed("GET /feed")
			s := srv.Open(t, "/feed", again)
			feed.Accept(t).Send(one, two, ssetest.Abort())
			feed.Accept(t)
			s.ExpectData("1")
		}, []string{"message 2"}},
		"both have something left": {func(t testing.TB, srv *ssetest.Server) {
			feed := srv.Feed("GET /feed")
			s := srv.Open(t, "/feed", again)
			feed.Accept(t).Send(one, two, ssetest.Abort())
			feed.Accept(t).Send(three)
			s.ExpectData("1")
		}, []string{"message 2", "message 3"}},
		"nothing is left": {func(t testing.TB, srv *ssetest.Server) {
			feed := srv.Feed("GET /feed")
			s := srv.Open(t, "/feed", again)
			feed.Accept(t).Send(one, ssetest.Abort())
			feed.Accept(t).Send(two)
			s.ExpectData("1", "2")
		}, nil},
		"it waits to come back": {func(t testing.TB, srv *ssetest.Server) {
			srv.Script("GET /feed", ssetest.Script{one, two})
			srv.Open(t, "/feed", later).ExpectData("1")
		}, []string{"message 2"}},
		"it has been told not to": {func(t testing.TB, srv *ssetest.Server) {
			srv.Script("GET /feed", ssetest.Script{one}, ssetest.Script{two, three})
			s := srv.Open(t, "/feed", again)
			s.ExpectData("1", "2")
			srv.AwaitRequests(t, 3) // the last of which gets 204
		}, []string{"message 3"}},
		"it is refused": {func(t testing.TB, srv *ssetest.Server) {
			srv.Script("GET /feed", ssetest.Script{one, two, three}, ssetest.Script{ssetest.Response{Status: http.StatusNotFound}})
			s := srv.Open(t, "/feed", again)
			s.ExpectData("1")
			srv.AwaitRequests(t, 2)
		}, []string{"message 2", "message 3"}},
		"it waits for the answer": {func(t testing.TB, srv *ssetest.Server) {
			srv.Script("GET /feed", ssetest.Script{one, two}, ssetest.Script{ssetest.Response{Delay: time.Hour}})
			s := srv.Open(t, "/feed", again)
			s.ExpectData("1")
			srv.AwaitRequests(t, 2)
		}, []string{"message 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				assert.Equal(t, untaken("/feed", c.left...), left(t, &ssetest.Config{Protocol: p}, c.body))
			})
		})
	}
}
