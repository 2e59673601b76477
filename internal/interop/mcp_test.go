package interop_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// legacy is the last version of the protocol that has sessions, initialize, and streams that resume.
const legacy = "2025-11-25"

// The answers to initialize and to the notification behind it. The SDK numbers its calls from 1.
var (
	initialized = fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":%q,"capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}}`, legacy)
	asJSON      = ssetest.Script{ssetest.Response{Header: http.Header{"Content-Type": {"application/json"}, "Mcp-Session-Id": {"session-1"}}, Body: initialized}}
	asStream    = ssetest.Script{ssetest.Response{Header: http.Header{"Mcp-Session-Id": {"session-1"}}}, ssetest.Data(initialized)}
	accepted    = ssetest.Script{ssetest.Response{Status: http.StatusAccepted}}
)

// The first call of a session behind initialize: its progress, and its result.
const (
	progress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"token-1","progress":1,"total":2,"message":"half of it"}}`
	result   = `{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"7 °C, rain"}]}}`
)

// serveMCP has the server answer a session: initialize, as the script says, and what is posted after it. The session may be deleted.
func serveMCP(srv *ssetest.Server, initialize ssetest.Script, calls ...ssetest.Script) {
	srv.Script("POST /mcp", slices.Concat([]ssetest.Script{initialize, accepted}, calls)...)
	srv.Script("DELETE /mcp", ssetest.Script{ssetest.Response{Status: http.StatusNoContent}})
}

// connectMCP makes a session, which is closed before the server is. The client has no stream of its own, unless listen says so.
func connectMCP(t *testing.T, srv *ssetest.Server, listen bool, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "interop", Version: "1"}, options)
	transport := &mcp.StreamableClientTransport{Endpoint: srv.URL + "/mcp", HTTPClient: srv.Client(), DisableStandaloneSSE: !listen}
	session, err := client.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: legacy})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, session.Close()) })
	assert.Equal(t, "session-1", session.ID())
	assert.Equal(t, "fake", session.InitializeResult().ServerInfo.Name)
	return session
}

// callMCP calls the tool, and returns the text of the result.
func callMCP(ctx context.Context, session *mcp.ClientSession) (string, error) {
	params := &mcp.CallToolParams{Name: "weather", Arguments: map[string]any{"city": "Oslo"}}
	params.SetProgressToken("token-1")
	answer, err := session.CallTool(ctx, params)
	if err != nil {
		return "", err
	}
	if len(answer.Content) != 1 {
		return "", fmt.Errorf("%d contents", len(answer.Content))
	}
	return answer.Content[0].(*mcp.TextContent).Text, nil
}

// resumptions are the requests that have come back for a stream.
func resumptions(srv *ssetest.Server) []ssetest.Request {
	return slices.DeleteFunc(srv.Requests(), func(r ssetest.Request) bool { return r.Method != http.MethodGet })
}

// assertMCPBroken asserts that a session has been given up: it is ended at the server, and a further call does not even ask.
func assertMCPBroken(t *testing.T, srv *ssetest.Server, session *mcp.ClientSession) {
	t.Helper()
	synctest.Wait()
	requests := srv.Requests()
	assert.Equal(t, http.MethodDelete, requests[len(requests)-1].Method)
	_, err := callMCP(t.Context(), session)
	require.Error(t, err)
	assert.Len(t, srv.Requests(), len(requests))
}

// A session whose every answer is an event stream, whole and byte by byte: what tools there are, and one that is called, with its progress.
func TestMCPTools(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asStream,
			parse(t, ": working\n\nevent: message\n"+
				`data: {"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"weather","description":"of a city","inputSchema":{"type":"object"}}]}}`+"\n\n"),
			ssetest.Script{
				ssetest.Split(1), ssetest.Data(progress), ssetest.Comment("working"), ssetest.Wait(time.Hour),
				ssetest.Data(strings.Replace(result, `"id":2`, `"id":3`, 1)),
			},
		)
		messages := make(chan string, 1)
		session := connectMCP(t, srv, false, &mcp.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { messages <- r.Params.Message },
		})
		tools, err := session.ListTools(t.Context(), nil)
		require.NoError(t, err)
		require.Len(t, tools.Tools, 1)
		assert.Equal(t, "weather", tools.Tools[0].Name)
		assert.Equal(t, "of a city", tools.Tools[0].Description)

		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		assert.Equal(t, "half of it", <-messages)

		require.NoError(t, session.Close())
		requests := srv.Requests()
		require.Len(t, requests, 5) // initialize, initialized, tools/list, tools/call, and the end of the session
		assert.Empty(t, requests[0].Header.Get("Mcp-Session-Id"))
		for _, request := range requests[1:] {
			assert.Equal(t, "session-1", request.Header.Get("Mcp-Session-Id"))
			assert.Equal(t, legacy, request.Header.Get("Mcp-Protocol-Version"))
		}
		call := requests[3]
		assert.Equal(t, "application/json, text/event-stream", call.Header.Get("Accept"))
		assert.Equal(t, "application/json", call.Header.Get("Content-Type"))
		assert.JSONEq(t, `{
			"jsonrpc": "2.0", "id": 3, "method": "tools/call",
			"params": {"name": "weather", "arguments": {"city": "Oslo"}, "_meta": {"progressToken": "token-1"}}
		}`, call.Body)
		assert.Equal(t, http.MethodDelete, requests[4].Method)
	})
}

// The protocol behind that, without sessions, initialize, and resuming, which the SDK tries first unless it is told otherwise.
func TestMCPWithoutSession(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		const version = "2026-07-28"
		srv.Script("POST /mcp",
			ssetest.Script{ssetest.Data(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":[%q],"capabilities":{"tools":{}}}}`, version))},
			ssetest.Script{ssetest.Comment("working"), ssetest.Data(result)},
		)
		client := mcp.NewClient(&mcp.Implementation{Name: "interop", Version: "1"}, nil)
		session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: srv.URL + "/mcp", HTTPClient: srv.Client()}, nil)
		require.NoError(t, err)
		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		require.NoError(t, session.Close())

		requests := srv.Requests()
		require.Len(t, requests, 2) // there is no session to end, and no stream to listen to
		for i, method := range []string{"server/discover", "tools/call"} {
			assert.Equal(t, version, requests[i].Header.Get("Mcp-Protocol-Version"))
			assert.Equal(t, method, requests[i].Header.Get("Mcp-Method"))
			assert.Contains(t, requests[i].Body, fmt.Sprintf(`"method":%q`, method))
		}
	})
}

// The stream of a call breaks within the event behind the first. The client comes back when the server has said, with the ID of the event that it has,
// and gets what it has missed.
func TestMCPResumes(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON, ssetest.Script{
			ssetest.Event{ID: "call-2:0", Data: progress, Retry: 40 * time.Second},
			ssetest.Cut(ssetest.Event{ID: "call-2:1", Data: result}, 60), // in the middle of its data
			ssetest.Abort(),
		})
		srv.Script("GET /mcp", ssetest.Script{ssetest.Event{ID: "call-2:1", Data: result}})
		messages := make(chan string, 2)
		session := connectMCP(t, srv, false, &mcp.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { messages <- r.Params.Message },
		})
		start := time.Now()
		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		assert.Equal(t, "half of it", <-messages)
		assert.Empty(t, messages) // which comes once

		back := resumptions(srv)
		require.Len(t, back, 1)
		assert.Equal(t, "call-2:0", back[0].LastEventID)
		assert.Equal(t, 40*time.Second, back[0].Time.Sub(start))
		assert.Equal(t, []string{"text/event-stream"}, back[0].Header["Accept"])
		assert.Equal(t, "session-1", back[0].Header.Get("Mcp-Session-Id"))
		assert.Empty(t, back[0].Body)
	})
}

// A server that closes the stream of a call on purpose, behind an event that has an ID and no data: the client polls.
// Without a reconnection time it waits for one second up to two.
func TestMCPPolls(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON, parse(t, "id: 1\ndata:\n\n"))
		srv.Script("GET /mcp",
			parse(t, "id: 2\ndata:\n\n"),
			ssetest.Script{ssetest.Event{ID: "3", Data: result}},
		)
		session := connectMCP(t, srv, false, nil)
		start := time.Now()
		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		back := resumptions(srv)
		require.Len(t, back, 2)
		assert.Equal(t, "1", back[0].LastEventID)
		assert.Equal(t, "2", back[1].LastEventID)
		for _, request := range back {
			assert.GreaterOrEqual(t, request.Time.Sub(start), time.Second)
			assert.Less(t, request.Time.Sub(start), 2*time.Second)
			start = request.Time
		}
	})
}

// A server that is gone for ten seconds while a call is under way: the client tries until it is back, and nobody who called notices.
func TestMCPOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON, ssetest.Script{ssetest.Event{ID: "1", Data: progress}, ssetest.Hold()})
		srv.Script("GET /mcp", ssetest.Script{ssetest.Event{ID: "2", Data: result}})
		session := connectMCP(t, srv, false, nil)
		go func() {
			time.Sleep(time.Hour)
			srv.Down()
			time.Sleep(10 * time.Second)
			srv.Up()
		}()
		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		back := resumptions(srv)
		require.Len(t, back, 1)
		assert.Equal(t, "1", back[0].LastEventID)
	})
}

// Where no event had an ID there is nothing to come back for: the call fails, and the session goes on.
func TestMCPCallIsLost(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON,
			ssetest.Script{ssetest.Data(progress), ssetest.Cut(ssetest.Data(result), 30), ssetest.Abort()},
			ssetest.Script{ssetest.Data(strings.Replace(result, `"id":2`, `"id":3`, 1))},
		)
		session := connectMCP(t, srv, false, nil)
		_, err := callMCP(t.Context(), session)
		require.ErrorContains(t, err, "request terminated without response")
		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		assert.Empty(t, resumptions(srv))
	})
}

// The stream on which the server speaks unasked, driven by hand: broken off, and resumed.
func TestMCPListens(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON)
		feed := srv.Feed("GET /mcp")
		changed := make(chan struct{}, 2)
		connectMCP(t, srv, true, &mcp.ClientOptions{
			ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} },
		})
		const notification = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`

		stream := feed.Accept(t)
		assert.Empty(t, stream.LastEventID())
		stream.Send(ssetest.Comment("heartbeat"), ssetest.Event{ID: "7", Data: notification})
		<-changed
		stream.Send(ssetest.Raw("data: {"), ssetest.Abort())

		stream = feed.Accept(t)
		assert.Equal(t, "7", stream.LastEventID())
		stream.Send(ssetest.Event{ID: "8", Data: notification})
		<-changed
		synctest.Wait()
		assert.Empty(t, changed)
	})
}

// Deviation: the last event ID outlives a stream on which no event had one (WHATWG HTML, 9.2.3). Here it is forgotten:
// where a stream that was resumed breaks before its first event, the call is lost.
func TestMCPDeviationForgetsTheLastEventID(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON, ssetest.Script{ssetest.Event{ID: "1", Data: progress}, ssetest.Abort()})
		srv.Script("GET /mcp", ssetest.Script{ssetest.Abort()}, ssetest.Script{ssetest.Event{ID: "2", Data: result}})
		session := connectMCP(t, srv, false, nil)
		_, err := callMCP(t.Context(), session)
		require.ErrorContains(t, err, "request terminated without response")
		back := resumptions(srv)
		require.Len(t, back, 1) // where it could have come again, with the same ID
		assert.Equal(t, "1", back[0].LastEventID)
	})
}

// Deviation: the reconnection time outlives the stream that has set it (WHATWG HTML, 9.2.3). Here it is forgotten: the next time, the client comes back after its own.
func TestMCPDeviationForgetsTheReconnectionTime(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON, ssetest.Script{ssetest.Event{ID: "1", Data: progress, Retry: 40 * time.Second}})
		srv.Script("GET /mcp",
			ssetest.Script{ssetest.Event{ID: "2", Data: progress}},
			ssetest.Script{ssetest.Event{ID: "3", Data: result}},
		)
		session := connectMCP(t, srv, false, nil)
		_, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		back := resumptions(srv)
		require.Len(t, back, 2)
		assert.Less(t, back[1].Time.Sub(back[0].Time), 2*time.Second)
	})
}

// Deviation: an event that the end of the stream cuts off must be dropped (WHATWG HTML, 9.2.6). After a clean end it is taken here:
// a line without the blank line behind it is the result, and half a line breaks the session for good, though the stream could have been resumed.
func TestMCPDeviationTakesUnfinishedEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON,
			ssetest.Script{ssetest.Raw("data: " + result)},
			ssetest.Script{ssetest.Event{ID: "1", Data: progress}, ssetest.Raw("data: " + result[:30])},
		)
		session := connectMCP(t, srv, false, nil)
		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)

		_, err = callMCP(t.Context(), session)
		require.ErrorContains(t, err, "failed to decode event")
		assertMCPBroken(t, srv, session)
		assert.Empty(t, resumptions(srv))
	})
}

// Deviation: a line without a colon is a field without a value, and one that nobody knows is ignored (WHATWG HTML, 9.2.6). Here it breaks the session.
func TestMCPDeviationLineWithoutColon(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON, ssetest.Script{ssetest.Raw("heartbeat\n"), ssetest.Data(result)})
		session := connectMCP(t, srv, false, nil)
		_, err := callMCP(t.Context(), session)
		require.ErrorContains(t, err, `malformed line in SSE stream: "heartbeat"`)
		assertMCPBroken(t, srv, session)
	})
}

// Deviation: lines may end with a CR alone, and a stream may begin with a byte order mark (WHATWG HTML, 9.2.5). Here, the one loses all events but the first,
// since what stands behind the first one's JSON is ignored, and the other loses the first.
func TestMCPDeviationLineEndsAndByteOrderMark(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		stream := func(id string) string {
			return "data: " + progress + "\n\ndata: " + strings.Replace(result, `"id":2`, `"id":`+id, 1) + "\n\n"
		}
		serveMCP(srv, asJSON,
			ssetest.Script{ssetest.Raw(strings.ReplaceAll(stream("2"), "\n", "\r\n"))},
			ssetest.Script{ssetest.Raw(strings.ReplaceAll(stream("3"), "\n", "\r"))},
			ssetest.Script{ssetest.Raw("\ufeff" + stream("4"))},
		)
		messages := make(chan string, 3)
		session := connectMCP(t, srv, false, &mcp.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { messages <- r.Params.Message },
		})
		text, err := callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		synctest.Wait()
		assert.Len(t, messages, 1)

		_, err = callMCP(t.Context(), session)
		require.ErrorContains(t, err, "request terminated without response")
		synctest.Wait()
		assert.Len(t, messages, 2)

		text, err = callMCP(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, "7 °C, rain", text)
		synctest.Wait()
		assert.Len(t, messages, 2)
	})
}

// Deviation: by the SDK's own word, errors such as 503 do not break the connection. One that answers a client that comes back does, at once and for good.
func TestMCPDeviationGivesUpWhereBusy(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		serveMCP(srv, asJSON, ssetest.Script{ssetest.Event{ID: "1", Data: progress}, ssetest.Abort()})
		srv.Script("GET /mcp",
			ssetest.Script{ssetest.Response{Status: http.StatusServiceUnavailable}},
			ssetest.Script{ssetest.Event{ID: "2", Data: result}},
		)
		session := connectMCP(t, srv, false, nil)
		_, err := callMCP(t.Context(), session)
		require.ErrorContains(t, err, "Service Unavailable")
		assertMCPBroken(t, srv, session)
		assert.Len(t, resumptions(srv), 1)
	})
}
