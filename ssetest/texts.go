package ssetest

import (
	"strings"
	"unicode/utf8"
)

const (
	maxSharing = 128  // bytes
	textBlock  = 1024 // bytes
)

// texts makes strings of what is in a buffer. Short ones share blocks of memory, since most of a small event's time
// would otherwise go into allocating its few bytes; a string that somebody holds on to holds one block at most.
type texts struct {
	block strings.Builder // never grown in place: it is filled, and then left to those who have strings of it
}

// decode returns b as text; valid says that it is known to be UTF-8.
func (t *texts) decode(b []byte, valid bool) string {
	if !valid && !utf8.Valid(b) {
		return replaceIllFormed(b)
	}
	return t.keep(b)
}

// keep returns b as it is.
func (t *texts) keep(b []byte) string {
	if len(b) > maxSharing {
		return string(b)
	}
	if t.block.Cap()-t.block.Len() < len(b) {
		t.block.Reset()
		t.block.Grow(textBlock)
	}
	n := t.block.Len()
	t.block.Write(b)
	return t.block.String()[n:]
}
