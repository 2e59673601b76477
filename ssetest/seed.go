package ssetest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"

	"github.com/google/uuid"
)

// A seed is where everything comes from that is random elsewhere.
type seed uint64

// source returns the random numbers for the n-th thing of one use. Each use, and each thing, has numbers of its own:
// a new use never shifts an old one, and the n-th is found without the n-1 before it.
func (s seed) source(use string, n uint64) *rand.ChaCha8 {
	key := append([]byte(use), 0)
	key = binary.LittleEndian.AppendUint64(key, uint64(s))
	key = binary.LittleEndian.AppendUint64(key, n)
	return rand.NewChaCha8(sha256.Sum256(key))
}

// uuid returns the version 4 UUID (RFC 9562, section 5.4) of the n-th thing of one use.
func (s seed) uuid(use string, n uint64) string {
	id, err := uuid.NewRandomFromReader(s.source(use, n))
	if err != nil {
		panic(fmt.Sprintf("ssetest: a ChaCha8 source failed to read: %v", err)) // it never does
	}
	return id.String()
}

// letter returns the n-th letter: 'a' first, then any of a to z.
func (s seed) letter(n uint64) byte {
	if n == 0 {
		return 'a'
	}
	// The high word of the product is the letter. rand's own bounded numbers may change from release to release.
	high, _ := bits.Mul64(s.source("letter", n).Uint64(), 26)
	return 'a' + byte(high)
}
