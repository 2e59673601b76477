package ssetest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/ssetest"
)

func TestData(t *testing.T) {
	assert.Equal(t, ssetest.Event{Data: "a"}, ssetest.Data("a"))
}

func TestJSON(t *testing.T) {
	assert.Equal(t, ssetest.Data(`{"html":"<a href=\"/?a&b\">"}`), ssetest.JSON(map[string]string{"html": `<a href="/?a&b">`}))
	assert.Equal(t, ssetest.Data("null"), ssetest.JSON(nil))
	assert.Equal(t, ssetest.Data(`"a\nb"`), ssetest.JSON("a\nb"))
	assert.PanicsWithValue(t, "ssetest: JSON of a chan int: json: unsupported type: chan int", func() {
		ssetest.JSON(make(chan int))
	})
}

func TestEventString(t *testing.T) {
	long := strings.Repeat("a", 201)
	for _, c := range []struct {
		event ssetest.Event
		text  string
	}{
		{ssetest.Event{}, `message ""`},
		{ssetest.Event{Data: `{"a":1}`, ID: "7", Retry: 6 * time.Second}, `message {"a":1} id=7 retry=6s`},
		{ssetest.Event{Type: "update", Data: "two words"}, `update two words`},
		{ssetest.Event{Type: "a type", Data: "é 日本"}, `"a type" é 日本`},
		{ssetest.Event{Data: "a\nb"}, `message "a\nb"`},
		{ssetest.Event{Data: "a\x00\u200b"}, `message "a\x00\u200b"`},
		{ssetest.Event{Data: "\xff"}, `message "\xff"`},
		{ssetest.Event{Data: " a"}, `message " a"`},
		{ssetest.Event{Data: "a "}, `message "a "`},
		{ssetest.Event{Data: `"a"`}, `message "\"a\""`},
		{ssetest.Event{Data: "a id=7"}, `message "a id=7"`},
		{ssetest.Event{Data: "a", ID: "a b"}, `message a id="a b"`},
		{ssetest.Event{Data: "a", ID: "\n", Retry: -time.Second}, `message a id="\n" retry=-1s`},
		{ssetest.Event{Data: long[1:]}, "message " + long[1:]},
		{ssetest.Event{Data: long, ID: "7"}, "message " + long[1:] + "… (201 bytes) id=7"},
		{ssetest.Event{Data: long[2:] + "é\n"}, "message " + long[2:] + "… (202 bytes)"},
		{ssetest.Event{Data: "\n" + long}, `message "\n` + long[2:] + `"… (202 bytes)`},
		{ssetest.Event{Data: strings.Repeat("\x80", 300)}, `message "` + strings.Repeat(`\x80`, 200) + `"… (300 bytes)`},
	} {
		assert.Equal(t, c.text, c.event.String())
		assert.NotContains(t, c.event.String(), "\n")
	}
}
