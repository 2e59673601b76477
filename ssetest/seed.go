package ssetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"

	"github.com/google/uuid"
)

// A seed is where everything comes from that is random elsewhere.
type seed uint64

// seed has a source give the random numbers for the n-th thing of one use. Each use, and each thing, has numbers of its own:
// a new use never shifts an old one, and the n-th is found without the n-1 before it.
func (s seed) seed(source *rand.ChaCha8, use string, n uint64) {
	var room [64]byte
	key := append(append(room[:0], use...), 0)
	key = binary.LittleEndian.AppendUint64(key, uint64(s))
	key = binary.LittleEndian.AppendUint64(key, n)
	source.Seed(sha256.Sum256(key))
}

// uuid returns the version 4 UUID (RFC 9562, section 5.4) of the n-th thing of one use.
func (s seed) uuid(use string, n uint64) string {
	var random [len(uuid.UUID{})]byte
	var source rand.ChaCha8
	s.seed(&source, use, n)
	_, _ = source.Read(random[:]) // it never fails
	id, err := uuid.NewRandomFromReader(bytes.NewReader(random[:]))
	if err != nil {
		panic(fmt.Sprintf("ssetest: a UUID of %d bytes: %v", len(random), err)) // there are as many as it reads
	}
	return id.String()
}

// letter returns the n-th letter: 'a' first, then any of a to z.
func (s seed) letter(n uint64) byte {
	if n == 0 {
		return 'a'
	}
	// The high word of the product is the letter. rand's own bounded numbers may change from release to release.
	var source rand.ChaCha8
	s.seed(&source, "letter", n)
	high, _ := bits.Mul64(source.Uint64(), 26)
	return 'a' + byte(high)
}
