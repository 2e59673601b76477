package interop_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/ssetest"
)

const (
	chatPattern      = "POST /v1/chat/completions"
	responsesPattern = "POST /v1/responses"
)

// openaiClient is the SDK's client of a server, whatever the environment says.
func openaiClient(t *testing.T, srv *ssetest.Server, options ...option.RequestOption) openai.Client {
	t.Helper()
	t.Setenv("OPENAI_CUSTOM_HEADERS", "") // the only one that no option overrides
	return openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(srv.URL + "/v1"),
		option.WithAPIKey("no-key"),
		option.WithHTTPClient(srv.Client()),
	}, options...)...)
}

// openaiChat asks for a completion. It returns what the SDK's accumulator has made of the stream, and the error of the stream.
func openaiChat(t *testing.T, srv *ssetest.Server, options ...option.RequestOption) (openai.ChatCompletion, error) {
	t.Helper()
	client := openaiClient(t, srv, options...)
	stream := client.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{
		Model:         "gpt-test",
		Messages:      []openai.ChatCompletionMessageParamUnion{openai.UserMessage("The weather in Oslo?")},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	})
	var answer openai.ChatCompletionAccumulator
	for stream.Next() {
		assert.True(t, answer.AddChunk(stream.Current()), stream.Current().RawJSON())
	}
	return answer.ChatCompletion, stream.Err()
}

// assertOpenAIChat asserts that an answer is the whole of testdata/openai_chat.sse.
func assertOpenAIChat(t *testing.T, answer openai.ChatCompletion) {
	t.Helper()
	assert.Equal(t, "chatcmpl-1", answer.ID)
	assert.Equal(t, "gpt-test", answer.Model)
	require.Len(t, answer.Choices, 1)
	choice := answer.Choices[0]
	assert.EqualValues(t, "assistant", choice.Message.Role)
	assert.Equal(t, "Let me look, café ☕.", choice.Message.Content)
	assert.Equal(t, "tool_calls", choice.FinishReason)
	require.Len(t, choice.Message.ToolCalls, 1)
	assert.Equal(t, "call_1", choice.Message.ToolCalls[0].ID)
	assert.Equal(t, "weather", choice.Message.ToolCalls[0].Function.Name)
	assert.JSONEq(t, `{"city": "Oslo"}`, choice.Message.ToolCalls[0].Function.Arguments)
	assert.EqualValues(t, 11, answer.Usage.PromptTokens)
	assert.EqualValues(t, 7, answer.Usage.CompletionTokens)
	assert.EqualValues(t, 18, answer.Usage.TotalTokens)
}

// assertHalfOpenAIChat asserts that an answer has only the first two events of testdata/openai_chat.sse, and does not look like a finished one.
func assertHalfOpenAIChat(t *testing.T, answer openai.ChatCompletion) {
	t.Helper()
	require.Len(t, answer.Choices, 1)
	assert.Equal(t, "Let me ", answer.Choices[0].Message.Content)
	assert.Empty(t, answer.Choices[0].FinishReason)
	assert.Zero(t, answer.Usage.TotalTokens)
}

// An answer of text, of a tool call whose arguments come in pieces, and of the usage, with heartbeats in between.
func TestOpenAIChat(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(chatPattern, ssetest.LoadScript(t, "testdata/openai_chat.sse"))
		answer, err := openaiChat(t, srv)
		require.NoError(t, err)
		assertOpenAIChat(t, answer)

		requests := srv.Requests()
		require.Len(t, requests, 1)
		assert.Equal(t, http.MethodPost, requests[0].Method)
		assert.Equal(t, "/v1/chat/completions", requests[0].URL.Path)
		assert.Equal(t, "Bearer no-key", requests[0].Header.Get("Authorization"))
		assert.Equal(t, "application/json", requests[0].Header.Get("Content-Type"))
		assert.JSONEq(t, `{
			"model": "gpt-test",
			"messages": [{"role": "user", "content": "The weather in Oslo?"}],
			"stream": true,
			"stream_options": {"include_usage": true}
		}`, requests[0].Body)
	})
}

// Each byte is a chunk, or a DATA frame, of its own, those of one character too.
func TestOpenAIChatByteByByte(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(chatPattern, before(ssetest.Split(1), ssetest.LoadScript(t, "testdata/openai_chat.sse")))
		answer, err := openaiChat(t, srv)
		require.NoError(t, err)
		assertOpenAIChat(t, answer)
	})
}

// The SDK asks again after just the time that the server has said.
func TestOpenAIChatIsAskedForAgain(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		refusal := ssetest.Response{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}}
		srv.Script(chatPattern, ssetest.Script{refusal}, ssetest.LoadScript(t, "testdata/openai_chat.sse"))
		start := time.Now()
		answer, err := openaiChat(t, srv)
		require.NoError(t, err)
		assertOpenAIChat(t, answer)

		requests := srv.Requests()
		require.Len(t, requests, 2)
		assert.Equal(t, 7*time.Second, requests[1].Time.Sub(start))
		assert.Equal(t, "1", requests[1].Header.Get("X-Stainless-Retry-Count"))
		assert.Equal(t, requests[0].Body, requests[1].Body)
	})
}

// By default it asks three times in all.
func TestOpenAIChatIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(chatPattern, ssetest.Script{ssetest.Response{
			Status: http.StatusTooManyRequests,
			Header: http.Header{"Retry-After": {"1"}, "Content-Type": {"application/json"}},
			Body:   `{"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}`,
		}})
		_, err := openaiChat(t, srv)
		var refused *openai.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, http.StatusTooManyRequests, refused.StatusCode)
		assert.Equal(t, "rate_limit_exceeded", refused.Code)
		assert.Len(t, srv.Requests(), 3)
	})
}

// A stream that breaks within an event is an error, whatever it breaks by, and not a short answer; and nobody asks again behind the caller's back.
func TestOpenAIChatBreaks(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		chat := ssetest.LoadScript(t, "testdata/openai_chat.sse")
		half := ssetest.Raw(`data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"look`)
		srv.Script(chatPattern,
			after(chat, 2, half, ssetest.Abort()),
			after(chat, 2, half, ssetest.ResetStream(http2.ErrCodeEnhanceYourCalm)),
			after(chat, 2, half, ssetest.ResetConn()),
		)
		answer, err := openaiChat(t, srv)
		assertAborted(t, err)
		assertHalfOpenAIChat(t, answer)
		for range 2 {
			answer, err = openaiChat(t, srv)
			require.Error(t, err)
			assertHalfOpenAIChat(t, answer)
		}
		assert.Len(t, srv.Requests(), 3)
	})
}

// Wherever in an event the stream breaks, the event does not count, up to the very last byte.
func TestOpenAIChatBreaksAtEachByte(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		chat := ssetest.LoadScript(t, "testdata/openai_chat.sse")
		const event = `data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"look"}}]}` + "\n\n"
		var scripts []ssetest.Script
		for n := range len(event) {
			scripts = append(scripts, after(chat, 2, ssetest.Raw(event[:n]), ssetest.Abort()))
		}
		srv.Script(chatPattern, scripts...)
		for range scripts {
			answer, err := openaiChat(t, srv)
			assertAborted(t, err)
			assertHalfOpenAIChat(t, answer)
		}
	})
}

// The SDK's timeout ends a stream that says nothing any more.
func TestOpenAIChatStalls(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(chatPattern, after(ssetest.LoadScript(t, "testdata/openai_chat.sse"), 2, ssetest.Stall()))
		start := time.Now()
		answer, err := openaiChat(t, srv, option.WithRequestTimeout(time.Minute))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(start))
		assertHalfOpenAIChat(t, answer)
	})
}

// An error that comes as an event.
func TestOpenAIChatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		failure := ssetest.Data(`{"error": {"message": "The server had an error", "type": "server_error"}}`)
		srv.Script(chatPattern, after(ssetest.LoadScript(t, "testdata/openai_chat.sse"), 2, failure, ssetest.Data("[DONE]")))
		answer, err := openaiChat(t, srv)
		var failed *ssestream.StreamError
		require.ErrorAs(t, err, &failed)
		assert.Contains(t, failed.Message, "The server had an error")
		assertHalfOpenAIChat(t, answer)
	})
}

// openaiResponse asks for a response. It returns the text of the deltas, the response of the last event that has one, the types of all events, and the stream's error.
func openaiResponse(t *testing.T, srv *ssetest.Server) (text string, response responses.Response, types []string, err error) {
	t.Helper()
	client := openaiClient(t, srv)
	stream := client.Responses.NewStreaming(t.Context(), responses.ResponseNewParams{
		Model: "gpt-test",
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Hello?")},
	})
	for stream.Next() {
		event := stream.Current()
		types = append(types, event.Type)
		switch event := event.AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			text += event.Delta
		case responses.ResponseCreatedEvent:
			response = event.Response
		case responses.ResponseCompletedEvent:
			response = event.Response
		}
	}
	return text, response, types, stream.Err()
}

// assertOpenAIResponse asserts that a response is the whole of testdata/openai_responses.sse.
func assertOpenAIResponse(t *testing.T, srv *ssetest.Server) {
	t.Helper()
	text, response, types, err := openaiResponse(t, srv)
	require.NoError(t, err)
	assert.Equal(t, "Good morning.", text)
	assert.Equal(t, []string{
		"response.created", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.delta", "response.output_text.delta",
		"response.output_text.done", "response.completed",
	}, types)
	assert.Equal(t, "resp_1", response.ID)
	assert.EqualValues(t, "completed", response.Status)
	assert.Equal(t, "Good morning.", response.OutputText())
	assert.EqualValues(t, 13, response.Usage.TotalTokens)
}

// The responses API, whose events have types.
func TestOpenAIResponses(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		script := ssetest.LoadScript(t, "testdata/openai_responses.sse")
		srv.Script(responsesPattern, script, before(ssetest.Split(1), script))
		assertOpenAIResponse(t, srv)
		assertOpenAIResponse(t, srv) // byte by byte

		requests := srv.Requests()
		require.Len(t, requests, 2)
		assert.JSONEq(t, `{"model": "gpt-test", "input": "Hello?", "stream": true}`, requests[0].Body)
	})
}

// A response that breaks within the event that would have completed it is not complete.
func TestOpenAIResponsesBreak(t *testing.T) {
	onEveryProtocol(t, func(t *testing.T, srv *ssetest.Server) {
		script := ssetest.LoadScript(t, "testdata/openai_responses.sse")
		half := ssetest.Raw("event: response.completed\n" + `data: {"type":"response.completed","response":{"id":"resp_1","status":"completed"`)
		srv.Script(responsesPattern, after(script, len(script)-1, half, ssetest.Abort()))
		text, response, _, err := openaiResponse(t, srv)
		assertAborted(t, err)
		assert.Equal(t, "Good morning.", text)
		assert.EqualValues(t, "in_progress", response.Status)
		assert.Empty(t, response.OutputText())
	})
}

// Deviation: a stream that ends cleanly in the middle of the answer, without the [DONE] that the API promises, is no error.
// Only the finish reason, which is missing, tells.
func TestOpenAIDeviationNothingMissesDone(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(chatPattern, after(ssetest.LoadScript(t, "testdata/openai_chat.sse"), 2, ssetest.End()))
		answer, err := openaiChat(t, srv)
		require.NoError(t, err)
		assertHalfOpenAIChat(t, answer)
	})
}

// Deviation: what is no event stream, by its content type or its status, must fail the connection (WHATWG HTML, 9.2.3). Here it is an empty answer without an error:
// that of a captive portal, and the 204 that tells clients not to come back.
func TestOpenAIDeviationWhatIsNoStreamIsEmpty(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(chatPattern,
			ssetest.Script{ssetest.Response{Header: http.Header{"Content-Type": {"text/html"}}, Body: "<h1>Please log in</h1>\n\n"}},
			ssetest.Script{ssetest.Response{Status: http.StatusNoContent}},
		)
		for range 2 {
			answer, err := openaiChat(t, srv)
			require.NoError(t, err)
			assert.Empty(t, answer.Choices)
		}
	})
}

// Deviation: an event stream is asked for with Accept: text/event-stream (WHATWG HTML, 9.2.2). The SDK asks for JSON.
func TestOpenAIDeviationAcceptsJSON(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		srv.Script(chatPattern, ssetest.LoadScript(t, "testdata/openai_chat.sse"))
		_, err := openaiChat(t, srv)
		require.NoError(t, err)
		assert.Equal(t, []string{"application/json"}, srv.Requests()[0].Header["Accept"])
	})
}

// Deviation: lines may end with a CR alone, and a stream may begin with a byte order mark (WHATWG HTML, 9.2.5). Here, the one makes an empty answer,
// and the other loses the first event.
func TestOpenAIDeviationLineEndsAndByteOrderMark(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *ssetest.Server) {
		const stream = `data: {"choices":[{"index":0,"delta":{"content":"one"}}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{"content":"two"}}]}` + "\n\n" + "data: [DONE]\n\n"
		srv.Script(chatPattern,
			ssetest.Script{ssetest.Raw(stream)},
			ssetest.Script{ssetest.Raw(strings.ReplaceAll(stream, "\n", "\r\n"))},
			ssetest.Script{ssetest.Raw(strings.ReplaceAll(stream, "\n", "\r"))},
			ssetest.Script{ssetest.Raw("\ufeff" + stream)},
		)
		for _, wanted := range []string{"onetwo", "onetwo", "", "two"} {
			answer, err := openaiChat(t, srv)
			require.NoError(t, err)
			if wanted == "" {
				assert.Empty(t, answer.Choices)
				continue
			}
			require.Len(t, answer.Choices, 1)
			assert.Equal(t, wanted, answer.Choices[0].Message.Content)
		}
	})
}
