package ssetest_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

var rules = ssetest.Rules()

func message(data string) ssetest.Event { return ssetest.Event{Type: "message", Data: data} }

// delivery is a way for a stream to reach the decoder.
type delivery struct {
	name   string
	reader func(stream string) io.Reader
}

var deliveries = []delivery{
	{"whole", func(s string) io.Reader { return strings.NewReader(s) }},
	{"byte by byte", func(s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) }},
	{"DataErrReader", func(s string) io.Reader { return iotest.DataErrReader(strings.NewReader(s)) }},
	{"DataErrReader byte by byte", func(s string) io.Reader {
		return iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(s)))
	}},
	{"HalfReader", func(s string) io.Reader { return iotest.HalfReader(strings.NewReader(s)) }},
	{"reads of nothing between", func(s string) io.Reader {
		return split([]byte(s), []byte(strings.Repeat("\x00\x01", len(s))))
	}},
}

func TestDecoderRules(t *testing.T) {
	for _, c := range rules {
		t.Run(c.Name, func(t *testing.T) {
			t.Logf("the standard: %s", c.Sentence)
			require.Equal(t, c.Want, naiveDecode([]byte(c.Stream), c.Seed), "the naive decoder")
			for _, d := range deliveries {
				assert.Equal(t, c.Want, decode(t, d.reader(c.Stream), c.Seed), d.name)
				assert.Equal(t, c.Want, decodeSmall(t, d.reader(c.Stream), c.Seed), "%s, from a small buffer", d.name)
			}
			for i := range len(c.Stream) + 1 {
				halves := pieces{[]byte(c.Stream[:i]), []byte(c.Stream[i:])}
				assert.Equal(t, c.Want, decode(t, &halves, c.Seed), "split at byte %d", i)
			}
		})
	}
}

// A read error takes nothing from what was complete before it, be it whole, in pieces, or together with the last byte.
func TestDecoderRulesBeforeAReadError(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range rules {
		t.Run(c.Name, func(t *testing.T) {
			for _, d := range deliveries {
				r := iotest.DataErrReader(io.MultiReader(d.reader(c.Stream), iotest.ErrReader(broken)))
				got, err := decodeAll(ssetest.NewDecoder(r), c.Seed)
				require.ErrorIs(t, err, broken, d.name)
				assert.Equal(t, c.Want, got, d.name)
			}
		})
	}
}

func TestRuleNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range rules {
		assert.False(t, seen[c.Name], "%q comes twice", c.Name)
		assert.NotEmpty(t, c.Sentence)
		seen[c.Name] = true
	}
}
