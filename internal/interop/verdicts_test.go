package interop_test

import (
	"regexp"
	"strings"
)

// introduction stands over the table.
const introduction = `# ssetest with real software

Three things are tried here, in a module of its own, so that nobody who imports ssetest downloads any of it:

- clients through ` + "`ssetest.TestClient`" + `, and handlers through ` + "`ssetest.TestHandler`" + `: what they fail is pinned by name in [testdata/known](testdata/known), and listed below;
- SDKs (openai-go, anthropic-sdk-go, modelcontextprotocol/go-sdk) on scripted streams, by what they make of them. Where one deviates from the standard, a test whose name says "Deviation" has it.
- clients in other languages (the npm packages eventsource, eventsource-parser and undici, and curl) on the command ssetest, each in a process of its own, over TLS, on HTTP/1.1 and HTTP/2: letters, posts,
  and a feed, through aborts. They need Node.js 20.18.1 or newer, npm and curl; what javascript/package-lock.json pins is installed into a temporary folder.

` + "`go test ./...`" + ` runs all of it, and fails where something that is known to fail passes, or something else fails. ` + "`SSETEST_UPDATE=1 go test -run TestWhatIsKnown .`" + ` finds out anew, and writes this
table; whose fault each failure is has to be decided, in verdicts_test.go.

A case has the name of its protocol in front where it fails on that one alone.
`

// A reason is whose fault a failure is, and why.
type reason struct {
	of   string // the subject; "" for all
	test string // Clients or Handlers; "" for both
	name string // of the cases: a regular expression
	why  string
}

// reasons are the first that fit.
var reasons = []reason{
	{"", "Clients", `parsing/UTF-8:`, "The bytes are passed on as they came. The standard decodes them, with U+FFFD for what is ill-formed; a Go string that is no UTF-8 breaks later, in JSON or a database."},
	{"", "Clients", `parsing/BOM:_leading`, "A byte order mark is part of the first field's name, and its line is lost."},
	{"tmaxmax/go-sse", "Clients", `parsing/BOM:`, "A byte order mark is looked for behind blank lines, too."},
	{"tmaxmax/go-sse", "Clients", `parsing/data:_none,`, "A block with a type and no data is given as an event."},
	{"tmaxmax/go-sse", "Clients", `parsing/data:_none_but`, "A block with an ID or a reconnection time and no data is given as an event."},
	{"", "Clients", `parsing/data:`, "A block without data is given as an event."},
	{"tmaxmax/go-sse", "Clients", `parsing/id:_of_the_previous|to_begin_with`, "There is no way to say where to begin, but for a header, which is lost with the next request."},
	{"", "Clients", `parsing/id:_(empty|of_the_previous_connection,_reset)|example:_four|last_event_ID_is_reset`, "An empty ID does not reset the last event ID: the server is asked to resume where it said not to."},
	{"r3labs/sse", "Clients", `id:_with_NUL`, "An ID with NUL is taken, which no header can carry."},
	{"r3labs/sse", "Clients", `parsing/(end|id:_cut)|within_an_event|unfinished|nothing_lost`, "An event that is cut off is given, and its ID taken: the rest of it is lost."},
	{"r3labs/sse", "Clients", `parsing/(example:_empty|field:_no_colon|type:)`, "A line without a colon is no field, and an event whose data are empty is dropped."},
	{"r3labs/sse", "Clients", `parsing/line_ends`, "LF CR, which is two line ends, and so a blank line, is taken for one."},
	{"r3labs/sse", "Clients", `after_the_clean_end`, "It does not come back after a clean end."},
	{"r3labs/sse", "Clients", `header_with_two`, "It has one value for each header."},
	{"r3labs/sse", "Clients", `retry|reconnection_time`, "The retry field is read and not used: it waits as its own strategy says."},
	{"", "Clients", `parsing/retry:_(2|one_more|the_longest|a_thousand_digits$)`, "The number overflows, and the client comes back at once, again and again, where it was told to stay away for long."},
	{"", "Clients", `parsing/retry:_signs`, "A sign is taken for a part of the number."},
	{"", "Clients", `parsing/retry:|valid_retry|retry_of_an_unfinished|retry_without_an_event`, "A retry field counts when an event is given, and not when its line ends; one that is no number takes the last one away."},
	{"tmaxmax/go-sse", "Clients", `not_before_the_reconnection_time`, "It waits for as little as half of the time, by chance; a Jitter of -1, which turns that off by its documentation, is overwritten with the default."},
	{"tmaxmax/go-sse", "Clients", `retry_of_an_earlier_stream`, "The reconnection time is forgotten with each new stream."},
	{"tmaxmax/go-sse", "Clients", `cache-control`, "The header is sent under another name, Cache."},
	{"", "Clients", `http/.*content_type`, "The content type is not looked at: a page of HTML, such as that of a captive portal, is read as a stream of nothing."},
	{"r3labs/sse", "Clients", `http/.*is_the_end|reconnecting/.*is_the_end`, "It asks again whatever the status, 204 included, with which a server tells its clients to stop."},
	{"", "Clients", `reconnecting/.*is_the_end`, "By design: once it has been open, it asks again whatever the answer. A server has no way to make it stop."},
	{"launchdarkly/eventsource", "Clients", `on_a_connection_that_stalls`, "Over HTTP/2 it asks again on the connection that is dead, since it does not close it, and waits for ever."},
	{"launchdarkly/eventsource", "Clients", `life/close_with_events`, "A goroutine that hands over an event is not woken by Close: it, and the request, are left."},
	{"donovanhide/eventsource", "Clients", `with_the_same_body`, "The body is read once: an attempt that follows has none, and fails."},
	{"launchdarkly/eventsource", "Clients", `a_context_that_is_cancelled`, "The context of its request is that of one attempt: it goes on to ask, again and again, until it is closed."},
	{"donovanhide/eventsource", "Clients", `life/a_context`, "It has no context: the adapter withholds it, since a request that is cancelled can make it panic (send on closed channel)."},
	{"donovanhide/eventsource", "Clients", `life/`, "Close ends neither the request nor the goroutine that reads it: they last as long as the server likes."},

	{"r3labs/sse", "Handlers", `wire/data`, "A CR in the data is written as it is. It ends a line: whoever writes the data can add fields, and events."},
	{"donovanhide/eventsource", "Handlers", `wire/data`, "A CR in the data is written as it is. It ends a line: whoever writes the data can add fields, and events."},
	{"starfederation/datastar-go", "Handlers", `wire/data`, "A CR in a line of the data is written as it is. It ends the line: whoever writes the data can add fields, and events."},
	{"gin-gonic/gin", "Handlers", `wire/data`, "There is no space behind the colon of data, so that a space that the data begin with is taken for it."},
	{"tmaxmax/go-sse", "Handlers", `wire/data`, "A line end at the end of the data is taken for the end of the last line."},
	{"tmaxmax/go-sse", "Handlers", `response/headers`, "The headers leave with the first event: until then the client does not know that it is connected."},
	{"tmaxmax/go-sse", "Handlers", `response/caching`, "Left to the user: it sets the content type alone."},
	{"", "Handlers", `response/HEAD`, "It streams to HEAD, too, and its response over HTTP/1.1 is over before its handler is: the connection is blocked. Left to the router."},
	{"", "Handlers", `response/`, "It streams whatever the method. Left to the router."},
	{"r3labs/sse", "Handlers", `resuming/`, "The event with the ID that a client comes back with is sent again."},
	{"", "Handlers", `that_can't_flush`, "It panics, or says nothing, where it can't flush."},
	{"", "Handlers", `with_Unwrap`, "It asks the ResponseWriter for Flush (or CloseNotify) itself, and does not look behind it, as http.ResponseController does."},
	{"", "Handlers", `a_client_that_does_not_read`, "Whoever emits waits for the slowest client."},
}

// why says whose fault a failure is, and "" where that has not been decided.
func why(s subject, name string) string {
	for _, r := range reasons {
		if (r.of == "" || r.of == s.name) && (r.test == "" || r.test == strings.TrimPrefix(s.test, "Test")) && regexp.MustCompile(r.name).MatchString(name) {
			return r.why
		}
	}
	return ""
}
