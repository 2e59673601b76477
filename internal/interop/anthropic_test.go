package interop_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

const messagesPattern = "POST /v1/messages"

// anthropicMessage asks for a message. It returns what the SDK has accumulated of the stream, and the error of the stream.
func anthropicMessage(t *testing.T, srv *ssetest.Server, options ...option.RequestOption) (anthropic.Message, error) {
	t.Helper()
	client := anthropic.NewClient(append([]option.RequestOption{
		option.WithoutEnvironmentDefaults(),
		option.WithBaseURL(srv.URL),
		option.WithAPIKey("no-key"),
		option.WithHTTPClient(srv.Client()),
	}, options...)...)
	stream := client.Messages.NewStreaming(t.Context(), anthropic.MessageNewParams{
		Model:     "claude-test",
		MaxTokens: 100,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("The weather in Oslo?"))},
	})
	defer func() { _ = stream.Close() }() // nothing else closes the response
	var message anthropic.Message
	for stream.Next() {
		require.NoError(t, message.Accumulate(stream.Current()))
	}
	return message, stream.Err()
}

// assertAnthropicMessage asserts that a message is the whole of testdata/anthropic_messages.sse.
func assertAnthropicMessage(t *testing.T, message anthropic.Message) {
	t.Helper()
	assert.Equal(t, "msg_1", message.ID)
	assert.Equal(t, anthropic.Model("claude-test"), message.Model)
	assert.EqualValues(t, "assistant", message.Role)
	require.Len(t, message.Content, 2)
	assert.Equal(t, "Let me look, café ☕.", message.Content[0].AsText().Text)
	assert.Equal(t, "toolu_1", message.Content[1].AsToolUse().ID)
	assert.Equal(t, "weather", message.Content[1].AsToolUse().Name)
	assert.JSONEq(t, `{"city": "Oslo"}`, string(message.Content[1].AsToolUse().Input))
	assert.Equal(t, anthropic.StopReasonToolUse, message.StopReason)
	assert.EqualValues(t, 21, message.Usage.InputTokens)
	assert.EqualValues(t, 15, message.Usage.OutputTokens)
}

// halfMessage is how many steps of testdata/anthropic_messages.sse assertHalfAnthropicMessage is about.
const halfMessage = 4

// assertHalfAnthropicMessage asserts that a message has only the first delta of testdata/anthropic_messages.sse, and does not look like a finished one.
func assertHalfAnthropicMessage(t *testing.T, message anthropic.Message) {
	t.Helper()
	require.Len(t, message.Content, 1)
	assert.Equal(t, "Let me ", message.Content[0].Text)
	assert.Empty(t, message.StopReason)
	assert.EqualValues(t, 1, message.Usage.OutputTokens)
}

// A message of text and of a tool call whose input comes in pieces, with pings and heartbeats in between.
func TestAnthropicMessage(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(messagesPattern, ssetest.LoadScript(t, "testdata/anthropic_messages.sse"))
		message, err := anthropicMessage(t, srv)
		require.NoError(t, err)
		assertAnthropicMessage(t, message)

		requests := srv.Requests()
		require.Len(t, requests, 1)
		assert.Equal(t, http.MethodPost, requests[0].Method)
		assert.Equal(t, "/v1/messages", requests[0].URL.Path)
		assert.Equal(t, "no-key", requests[0].Header.Get("X-Api-Key"))
		assert.Equal(t, "application/json", requests[0].Header.Get("Content-Type"))
		assert.NotEmpty(t, requests[0].Header.Get("Anthropic-Version"))
		assert.JSONEq(t, `{
			"model": "claude-test",
			"max_tokens": 100,
			"messages": [{"role": "user", "content": [{"type": "text", "text": "The weather in Oslo?"}]}],
			"stream": true
		}`, requests[0].Body)
	})
}

// Each byte is a chunk, or a DATA frame, of its own, those of one character too.
func TestAnthropicMessageByteByByte(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(messagesPattern, before(ssetest.Split(1), ssetest.LoadScript(t, "testdata/anthropic_messages.sse")))
		message, err := anthropicMessage(t, srv)
		require.NoError(t, err)
		assertAnthropicMessage(t, message)
	})
}

// The SDK asks again after just the time that the server has said.
func TestAnthropicMessageIsAskedForAgain(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		overloaded := ssetest.Response{Status: 529, Header: http.Header{"Retry-After": {"7"}}}
		srv.Script(messagesPattern, ssetest.Script{overloaded}, ssetest.LoadScript(t, "testdata/anthropic_messages.sse"))
		start := time.Now()
		message, err := anthropicMessage(t, srv)
		require.NoError(t, err)
		assertAnthropicMessage(t, message)

		requests := srv.Requests()
		require.Len(t, requests, 2)
		assert.Equal(t, 7*time.Second, requests[1].Time.Sub(start))
		assert.Equal(t, "1", requests[1].Header.Get("X-Stainless-Retry-Count"))
		assert.Equal(t, requests[0].Body, requests[1].Body)
	})
}

// An error that comes as an event: its type is known, the status is that of the response, and nobody asks again.
func TestAnthropicMessageFails(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		failure := ssetest.Event{Type: "error", Data: `{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}`}
		srv.Script(messagesPattern, after(ssetest.LoadScript(t, "testdata/anthropic_messages.sse"), halfMessage, failure))
		message, err := anthropicMessage(t, srv)
		var failed *anthropic.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, anthropic.ErrorTypeOverloadedError, failed.Type())
		assert.Equal(t, http.StatusOK, failed.StatusCode)
		require.ErrorContains(t, err, "Overloaded")
		assertHalfAnthropicMessage(t, message)
		assert.Len(t, srv.Requests(), 1)
	})
}

// A stream that breaks within an event is an error, whatever it breaks by, and not a short message; and nobody asks again behind the caller's back.
func TestAnthropicMessageBreaks(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		script := ssetest.LoadScript(t, "testdata/anthropic_messages.sse")
		half := ssetest.Raw("event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"look`)
		srv.Script(messagesPattern,
			after(script, halfMessage, half, ssetest.Abort()),
			after(script, halfMessage, half, ssetest.ResetStream(http2.ErrCodeEnhanceYourCalm)),
			after(script, halfMessage, half, ssetest.ResetConn()),
		)
		message, err := anthropicMessage(t, srv)
		assertAborted(t, err)
		assertHalfAnthropicMessage(t, message)
		for range 2 {
			message, err = anthropicMessage(t, srv)
			require.Error(t, err)
			assertHalfAnthropicMessage(t, message)
		}
		assert.Len(t, srv.Requests(), 3)
	})
}

// Wherever in an event the stream breaks, the event does not count, up to the very last byte.
func TestAnthropicMessageBreaksAtEachByte(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		script := ssetest.LoadScript(t, "testdata/anthropic_messages.sse")
		const event = "event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}` + "\n\n"
		var scripts []ssetest.Script
		for n := range len(event) {
			scripts = append(scripts, after(script, halfMessage, ssetest.Raw(event[:n]), ssetest.Abort()))
		}
		srv.Script(messagesPattern, scripts...)
		for range scripts {
			message, err := anthropicMessage(t, srv)
			assertAborted(t, err)
			assertHalfAnthropicMessage(t, message)
		}
	})
}

// The SDK's timeout ends a stream that says nothing any more.
func TestAnthropicMessageStalls(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(messagesPattern, after(ssetest.LoadScript(t, "testdata/anthropic_messages.sse"), halfMessage, ssetest.Stall()))
		start := time.Now()
		message, err := anthropicMessage(t, srv, option.WithRequestTimeout(time.Minute))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(start))
		assertHalfAnthropicMessage(t, message)
	})
}

// Deviation: a stream that ends cleanly in the middle of the message, without message_stop, is no error. Only the stop reason, which is missing, tells.
func TestAnthropicDeviationNothingMissesMessageStop(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(messagesPattern, after(ssetest.LoadScript(t, "testdata/anthropic_messages.sse"), halfMessage, ssetest.End()))
		message, err := anthropicMessage(t, srv)
		require.NoError(t, err)
		assertHalfAnthropicMessage(t, message)
	})
}

// Deviation: what is no event stream, by its content type or its status, must fail the connection (WHATWG HTML, 9.2.3). Here it is an empty message without an error:
// that of a captive portal, and the 204 that tells clients not to come back.
func TestAnthropicDeviationWhatIsNoStreamIsEmpty(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(messagesPattern,
			ssetest.Script{ssetest.Response{Header: http.Header{"Content-Type": {"text/html"}}, Body: "<h1>Please log in</h1>\n\n"}},
			ssetest.Script{ssetest.Response{Status: http.StatusNoContent}},
		)
		for range 2 {
			message, err := anthropicMessage(t, srv)
			require.NoError(t, err)
			assert.Empty(t, message.ID)
			assert.Empty(t, message.Content)
		}
	})
}

// Deviation: an event stream is asked for with Accept: text/event-stream (WHATWG HTML, 9.2.2). The SDK asks for JSON.
func TestAnthropicDeviationAcceptsJSON(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(messagesPattern, ssetest.LoadScript(t, "testdata/anthropic_messages.sse"))
		_, err := anthropicMessage(t, srv)
		require.NoError(t, err)
		assert.Equal(t, []string{"application/json"}, srv.Requests()[0].Header["Accept"])
	})
}

// Deviation: lines may end with a CR alone, and a stream may begin with a byte order mark (WHATWG HTML, 9.2.5). Here, the one makes an empty message,
// and the other takes the type from the first event, which is ignored then: with message_start, all that it says is lost.
func TestAnthropicDeviationLineEndsAndByteOrderMark(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		const stream = "event: message_start\n" + `data: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":21}}}` + "\n\n" +
			"event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}` + "\n\n" +
			"event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n"
		srv.Script(messagesPattern,
			ssetest.Script{ssetest.Raw(stream)},
			ssetest.Script{ssetest.Raw(strings.ReplaceAll(stream, "\n", "\r\n"))},
			ssetest.Script{ssetest.Raw(strings.ReplaceAll(stream, "\n", "\r"))},
			ssetest.Script{ssetest.Raw("\ufeff" + stream)},
		)
		for _, wanted := range []struct {
			id     string
			reason anthropic.StopReason
		}{
			{"msg_1", anthropic.StopReasonEndTurn},
			{"msg_1", anthropic.StopReasonEndTurn},
			{"", ""},
			{"", anthropic.StopReasonEndTurn},
		} {
			message, err := anthropicMessage(t, srv)
			require.NoError(t, err)
			assert.Equal(t, wanted.id, message.ID)
			assert.Equal(t, wanted.reason, message.StopReason)
		}
	})
}
