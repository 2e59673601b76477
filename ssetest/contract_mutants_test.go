package ssetest_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// A setting is how a client is tried.
type setting struct {
	reconnect bool
	protocol  ssetest.Protocol
}

func (s setting) String() string {
	if s.reconnect {
		return "reconnecting, " + s.protocol.String()
	}
	return "not reconnecting, " + s.protocol.String()
}

// The settings that there are. Most mutants are tried in the first alone.
var (
	back1  = setting{true, ssetest.HTTP1}
	back2  = setting{true, ssetest.HTTP2}
	alone1 = setting{false, ssetest.HTTP1}
	alone2 = setting{false, ssetest.HTTP2}

	// settings are those of the suite.
	settings = []setting{back1, back2, alone1, alone2}
)

// try runs the cases that are wanted.
func (s setting) try(t *testing.T, faults []string, wanted func(name string) bool) map[string]string {
	m := &mutant{reconnect: s.reconnect, faults: faults}
	return ssetest.TryClient(t, m.contract(), s.protocol, wanted)
}

// A mutation is a client with a fault, or with several where one hides the other, and the cases that it is tried in.
type mutation struct {
	faults []string
	in     setting
	about  []string // how the names of the cases begin
}

func (m mutation) isAbout(name string) bool {
	return slices.ContainsFunc(m.about, func(beginning string) bool { return strings.HasPrefix(name, beginning) })
}

func (m mutation) String() string {
	name := strings.Join(m.faults, ", ")
	if m.in != back1 {
		name += " (" + m.in.String() + ")"
	}
	return name
}

// each makes mutations of one fault each.
func each(in setting, about string, faults ...string) []mutation {
	all := make([]mutation, len(faults))
	for i, fault := range faults {
		all[i] = together(in, about, fault)[0]
	}
	return all
}

// together makes one mutation of several faults.
func together(in setting, about string, faults ...string) []mutation {
	return []mutation{{faults: faults, in: in, about: strings.Split(about, ", ")}}
}

// mutations are all that are tried.
func mutations() []mutation {
	return slices.Concat(parsingMutations(), httpMutations(), returnMutations(), endMutations(), lifeMutations())
}

func parsingMutations() []mutation {
	return slices.Concat(
		// Bytes and characters.
		each(back1, "parsing/BOM", "keeps the BOM", "drops every BOM at the beginning", "drops a BOM at the beginning of a line", "drops every BOM", "ends the stream at a BOM"),
		each(back1, "parsing/UTF-8, parsing/BOM: half, parsing/BOM: of", "does not decode", "replaces each byte that is ill-formed", "replaces bytes that are ill-formed together",
			"drops bytes that are ill-formed", "takes the stream for Latin-1", "drops the byte behind a cut sequence"),
		each(back1, "parsing/UTF-8", "decodes each read by itself"),
		each(back1, "parsing/UTF-8", "drops NUL", "drops what is not in the Basic Multilingual Plane", "takes overlong sequences", "takes surrogates", "takes what is past U+10FFFF", "ends lines as Unicode does"),

		// Lines.
		each(back1, "parsing/line ends, parsing/BOM, parsing/end, parsing/each", "ends lines with LF alone"),
		each(back1, "parsing/line ends, parsing/BOM: before, parsing/end", "ends lines with LF and CRLF", "drops every CR", "ends two lines at a CRLF",
			"ends one line at LF CR", "takes CR CRLF for one line end", "waits for what is behind a CR"),
		each(back1, "parsing/line ends", "forgets a CR from one read to the next"),
		each(back1, "parsing/an event of, parsing/a thousand", "takes 64 KiB of a line", "takes 64 KiB of an event"),
		each(back1, "parsing/each, parsing/comments", "waits until a buffer is full"),

		// Fields.
		each(back1, "parsing/field, parsing/example", "trims lines", "takes the last colon of a line", "ends a value at a second colon", "wants a space behind the colon", "wants a colon",
			"takes a line without a colon for data", "ignores the case of names", "trims names", "trims names on the left", "trims names on the right", "compares the beginning of names",
			"completes names", "keeps the space behind the colon", "trims values", "trims values on the left", "trims values on the right", "drops a tab behind the colon",
			"ends the stream at an unknown field", "takes an unknown field for data"),
		each(back1, "parsing/comment, parsing/field: empty, parsing/UTF-8: in a, parsing/data: lines, parsing/end: in a", "takes the second field of a comment", "ends an event at a comment",
			"takes an empty comment for a blank line", "keeps the space of a comment", "trims comments", "gives no comments", "gives no empty comments", "ends the stream at a comment"),

		// Events.
		each(back1, "parsing/data, parsing/example, parsing/UTF-8: NUL", "drops empty lines of data", "takes the last line of data", "takes the first line of data", "puts nothing between lines of data",
			"puts a space between lines of data", "ends data at NUL", "makes an event of each line of data", "makes no events of empty data", "drops every LF at the end of data", "trims data",
			"takes no field behind data", "ends an event at an unknown field"),
		each(back1, "parsing/data, parsing/example, parsing/a thousand", "keeps the last LF of data"),
		each(back1, "parsing/comment, parsing/data, parsing/line ends, parsing/type, parsing/example", "makes events without data"),
		each(back1, "parsing/end, parsing/type", "gives an empty event at the end of a response"),
		each(back1, "parsing/data, parsing/type", "makes events of a type without data", "makes events of an ID without data"),
		together(back1, "parsing/BOM", "keeps the BOM", "takes an event without its end", "takes a line without a colon for data"),
		each(back1, "parsing/type, parsing/data: none", "keeps the first type", "ignores an empty type", "ignores types", "keeps the type for the next event", "keeps the type where there is no data",
			"calls an event without a type event", "trims types", "cuts types", "drops events of type error"),
		each(back1, "parsing/id, parsing/comment, parsing/data", "cuts IDs", "cuts comments", "unescapes data", "drops [DONE]"),
		each(back1, "parsing/id, reconnecting/last, http/last", "takes an ID with NUL", "ends an ID at NUL", "takes an ID with NUL for none", "keeps the first ID", "ignores an empty ID",
			"ignores an ID that is no number", "ignores an ID without data", "forgets the ID behind its event", "gives an event its own ID alone", "gives no IDs", "gives the ID of the event before",
			"does not give the ID to begin with", "takes an ID at its line"),
		each(back1, "parsing/retry, reconnecting/the last, reconnecting/retry", slices.DeleteFunc(slices.Sorted(maps.Keys(wrongRetries)), func(fault string) bool { return fault == "reads retry in seconds" })...),
		each(back1, "parsing/retry, reconnecting/the last, reconnecting/retry", "takes retry with its event", "takes retry with data alone", "keeps the first retry",
			"goes back to its own time after an invalid retry"),
		each(back1, "parsing/end, parsing/id: cut, parsing/id: of the previous, parsing/retry: not, parsing/retry: counts, reconnecting/", "takes a line without its end", "takes an event without its end",
			"takes an ID without its event"),
	)
}

func httpMutations() []mutation {
	return slices.Concat(
		each(back1, "http/accept, http/cache, http/method, http/post, http/header, http/gzip", "accepts JSON alone", "lets caches answer", "asks by GET alone", "asks by POST alone", "sends no body",
			"sends a body with GET", "sends none of the headers", "sends one value of each header", "asks for gzip and does not decode it"),
		each(back1, "http/redirect", "follows no redirect", "follows no 307 and 308", "follows no 303", "loses the query in a redirect", "loses its headers in a redirect",
			"asks by GET after every redirect", "loses its body in a redirect", "asks by the same method after every redirect", "follows redirects without end", "follows three redirects at most"),
		each(back1, "http/", "takes every status for 200"),
		together(back1, "http/", "takes every status for 200", "ignores the content type"),
		together(back1, "http/", "takes every 2xx for 200", "ignores the content type"),
		together(back1, "http/", "takes every status below 400 for 200", "ignores the content type"),
		together(back1, "http/", "takes 206 for 200", "ignores the content type"),
		together(back1, "http/20", "takes every 2xx for 200", "ignores the content type", "gives an empty event at the end of a response"),
		each(back1, "http/content type, http/no content", "ignores the content type", "compares all of the content type", "compares the content type's beginning", "looks for the content type anywhere",
			"wants the content type in lower case", "wants no space behind the content type", "wants the content type's parameters well-formed", "wants the charset UTF-8", "wants a charset",
			"decodes as the charset says", "takes all text for event streams", "takes JSON for event streams", "takes no content type for ours"),
	)
}

// returnMutations are about coming back.
func returnMutations() []mutation {
	return slices.Concat(
		each(back1, "http/, reconnecting/", "comes back after every refusal", "waits in Next when it was refused"),
		each(back1, "http/204, http/404, http/429, http/5, http/content type text/plain, reconnecting/204, reconnecting/404, reconnecting/500, reconnecting/another", "comes back after 204", "comes back after 404",
			"comes back after 429 and 503", "comes back after 5xx", "comes back after another content type", "comes back after a refusal if it had a stream"),
		each(back1, "reconnecting/, life/read", "does not come back where no response comes", "does not come back after the clean end", "does not come back after io.ErrUnexpectedEOF",
			"does not come back after a reset of the connection", "does not come back after a broken event", "does not come back after silence", "comes back three times and no more",
			"does not come back after a broken stream", "does not wait before it comes back", "waits for half a minute at most", "waits nine tenths of the time", "forgets the reconnection time",
			"keeps the rest of a broken event", "loses its headers when it comes back", "loses its body when it comes back", "loses its query when it comes back", "drops an event that nobody takes soon"),
		each(back2, "reconnecting/, life/read", "does not come back after RST_STREAM", "does not come back after the clean end", "does not come back after a broken stream",
			"does not come back after a broken event", "stays on a connection that is silent"),
		each(back1, "reconnecting/last, reconnecting/nothing, http/last, http/no last", "never sends the last event ID", "does not send the last event ID to begin with",
			"forgets the last event ID to begin with", "keeps the last event ID for one request", "escapes the last event ID", "sends the last event ID in Latin-1",
			"adds the last event ID to those before", "sends an empty last event ID", "sends the last event ID until there is another"),
	)
}

func endMutations() []mutation {
	return slices.Concat(
		each(alone1, "parsing/end, ends/", "gives an empty event at the end"),
		each(alone1, "ends/", "takes every end for the clean one", "takes io.ErrUnexpectedEOF for the clean end", "takes a reset of the connection for the clean end",
			"takes an end between events for the clean one", "takes an end within an event for the clean one", "takes the clean end for another", "gives the end once alone"),
		each(alone2, "ends/", "takes every end for the clean one", "takes RST_STREAM for the clean end", "takes RST_STREAM(NO_ERROR) for the clean end", "takes RST_STREAM(CANCEL) for the clean end",
			"takes an end between events for the clean one", "takes an end within an event for the clean one", "takes the clean end for another"),
	)
}

// lifeMutations are about Close, contexts, and being left alone.
func lifeMutations() []mutation {
	return slices.Concat(
		each(back1, "life/close, life/several", "opens a stream with its first event", "hangs in Close when a response has ended", "waits for another event in Close",
			"reads the response to its end in Close", "hands over its event though it was closed"),
		// Where the server is away, it may do so at the very moment of Close.
		each(back1, "life/close before, life/close on, life/close with, life/close while silent, life/close while it", "comes back when it was closed"),
		each(back1, "life/", "ends a stream when it opens another", "ignores the context of Next", "loses an event when the context of Next is done", "ends the stream when the context of Next is done",
			"waits in Next when it was closed"),
		each(back1, "life/events that nobody", "drops events when 16 are waiting"),
		each(back1, "life/a context", "ignores its context", "minds no context while it waits"),
		// Where the server is away, or does not answer, this one would wait for ever.
		together(back1, "life/close before, life/close on, life/close with, life/close ends, life/several", "leaves the response open in Close", "ignores its context"),
		each(back1, "life/close", "leaves the response open in Close"),
		each(back1, "life/read", "halves the read timeout", "has no read timeout", "counts the read timeout from the beginning", "hears nothing but events"),
		each(alone1, "life/read", "has no read timeout", "halves the read timeout"),
	)
}

// allowed are faults that are none: the suite must not be stricter than its rules.
var allowed = slices.Concat(
	each(back1, "http/, life/, reconnecting/", "opens a stream before it asks"),
	each(back1, "http/", "does not say what it accepts"),
	each(back1, "parsing/retry: in, parsing/id, reconnecting/", "waits ten times as long", "reads retry in seconds"),
)

// TestClientMutants sees that the suite for clients passes one without faults, that it fails one with any fault, and that each of its cases fails one.
func TestClientMutants(t *testing.T) {
	t.Parallel()
	all := someOf(mutations())
	results := make([]map[string]string, len(all)) // failures by the names of cases
	sound := make([]map[string]string, len(settings))
	t.Run("tried", func(t *testing.T) {
		for i, s := range settings {
			if !allMutants && i > 0 {
				break
			}
			t.Run("without faults, "+s.String(), func(t *testing.T) {
				t.Parallel()
				sound[i] = s.try(t, nil, func(string) bool { return true })
				assert.Empty(t, failed(sound[i]))
			})
		}
		for _, m := range someOf(allowed) {
			t.Run(m.String(), func(t *testing.T) {
				t.Parallel()
				assert.Empty(t, failed(m.in.try(t, m.faults, m.isAbout)))
			})
		}
		for i, m := range all {
			t.Run(m.String(), func(t *testing.T) {
				t.Parallel()
				results[i] = m.in.try(t, m.faults, m.isAbout)
				assert.NotEmpty(t, failed(results[i]), "the fault is found by no case")
			})
		}
	})
	if !allMutants {
		return
	}
	sameAsFile(t, "testdata/contract/client_mutants.txt", listMutants(all, results))
	for i, s := range settings {
		t.Run("every case, "+s.String(), func(t *testing.T) {
			t.Parallel()
			for _, name := range slices.Sorted(maps.Keys(sound[i])) {
				assert.True(t, failsSome(t, s, name, all, results), "no fault trips %q", name)
			}
		})
	}
}

// allMutants has all mutants tried, and our client on real time, which takes a while. Otherwise it is one of twenty, and their table is not looked at.
var allMutants = os.Getenv("SSETEST_MUTANTS") == "all"

// someOf are the mutants that are tried.
func someOf[M any](all []M) []M {
	if allMutants {
		return all
	}
	var some []M
	for i := 0; i < len(all); i += 20 {
		some = append(some, all[i])
	}
	return some
}

// failed are the names of the cases that have failed.
func failed(result map[string]string) []string {
	var names []string
	for name, failure := range result {
		if failure != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// failsSome reports whether a case fails some mutant in a setting. If none was tried there, those are that it fails in another.
func failsSome(t *testing.T, s setting, name string, all []mutation, results []map[string]string) bool {
	for i, m := range all {
		if m.in == s && results[i][name] != "" {
			return true
		}
	}
	for i, m := range all {
		if m.in != s && results[i][name] != "" && s.try(t, m.faults, func(other string) bool { return other == name })[name] != "" {
			return true
		}
	}
	return false
}

// listMutants is the table of faults, and of what they trip.
func listMutants(all []mutation, results []map[string]string) string {
	var table strings.Builder
	for i, m := range all {
		fmt.Fprintf(&table, "%v\n", m)
		for _, line := range compact(results[i]) {
			fmt.Fprintf(&table, "\t%s\n", line)
		}
	}
	return table.String()
}

// compact lists the cases that have failed, but counts them where there are many of a kind.
func compact(result map[string]string) []string {
	const many = 15
	kind := func(name string) string { return name[:strings.Index(name, "/")+1] }
	tried, tripped := make(map[string]int), make(map[string]int)
	for name, failure := range result {
		tried[kind(name)]++
		if failure != "" {
			tripped[kind(name)]++
		}
	}
	lines := failed(result)
	for i, name := range lines {
		if k := kind(name); tripped[k] > many {
			lines[i] = fmt.Sprintf("%s*: %d of %d", k, tripped[k], tried[k])
		}
	}
	return slices.Compact(lines)
}

// TestEveryFaultIsTried sees that no fault of the mutant's was forgotten.
func TestEveryFaultIsTried(t *testing.T) {
	var source []byte
	for _, name := range []string{"mutant_client_test.go", "mutant_parser_test.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		source = append(source, text...)
	}
	there := slices.AppendSeq(slices.Collect(maps.Keys(wrongDecoders)), maps.Keys(wrongRetries))
	for _, match := range regexp.MustCompile(`\.has\("([^"]+)"\)`).FindAllStringSubmatch(string(source), -1) {
		there = append(there, match[1])
	}
	var tried []string
	for _, m := range slices.Concat(mutations(), allowed) {
		tried = append(tried, m.faults...)
	}
	unique := func(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }
	assert.Equal(t, unique(there), unique(tried))
}
