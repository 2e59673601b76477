package ssetest

import (
	"bytes"
	"io"
	"unicode/utf8"
)

const (
	firstBuffer   = 8 << 10 // bytes
	maxEmptyReads = 100     // as in package bufio
)

var bom = []byte("\uFEFF")

// input reads a stream and splits it into lines, by the rules of 9.2.5, Parsing an event stream: an optional byte
// order mark, then lines that end at CRLF, LF or CR. It also holds the data of the event in progress, so that what is
// in the buffer need not be copied out of it before the event is complete.
//
// The buffer holds, in this order and with gaps between them: kept, which has been parsed and is still needed;
// buf[pos:end], which has not been parsed.
type input struct {
	r    io.Reader
	buf  []byte
	kept []byte // its capacity reaches to the buffer's end

	pos, end int
	searched int // buf[pos:searched] has no LF
	cr       int // where the first CR in buf[pos:end] is, or end: looked for once a read, and not once a line

	wellFormed bool // everything that the buffer still needs is UTF-8
	started    bool // the byte order mark, if there was one, has been dropped
	skipLF     bool // the last line ended at a CR that was the last byte so far: an LF that follows belongs to it
}

// line returns the next complete line without its end, or false if there is none in the buffer.
func (in *input) line() ([]byte, bool) {
	start := in.pos
	if i := bytes.IndexByte(in.buf[in.searched:in.cr], '\n'); i >= 0 {
		end := in.searched + i
		in.pos, in.searched = end+1, end+1
		return in.buf[start:end], true
	}
	if in.cr == in.end {
		in.searched = in.end
		return nil, false
	}
	end := in.cr
	in.pos = end + 1
	if in.pos == in.end {
		in.skipLF = true
	} else if in.buf[in.pos] == '\n' {
		in.pos++
	}
	in.searched = in.pos
	in.findCR(in.pos)
	return in.buf[start:end], true
}

func (in *input) findCR(from int) {
	in.cr = in.end
	if i := bytes.IndexByte(in.buf[from:in.end], '\r'); i >= 0 {
		in.cr = from + i
	}
}

// unfinished returns what there is of the line in progress. It may only be called when line has returned false.
func (in *input) unfinished() []byte {
	if !in.started {
		return nil // what there is may yet be a part of a byte order mark
	}
	return in.buf[in.pos:in.end]
}

// discard drops whatever has not been parsed.
func (in *input) discard() {
	in.pos, in.searched, in.cr = in.end, in.end, in.end
}

// keep makes value, a part of the line that was returned last, the kept bytes.
func (in *input) keep(value []byte) {
	in.kept = value
}

// keepLine appends an LF and value, a part of the line that was returned last, to the kept bytes.
// They are joined where they are: the line's own field name has left room for the LF, and nothing is allocated.
func (in *input) keepLine(value []byte) {
	in.kept = append(append(in.kept, '\n'), value...)
}

// text returns b, a part of the buffer, as text.
func (in *input) text(b []byte) string {
	if in.wellFormed {
		return string(b)
	}
	return decodeUTF8(b)
}

// fill reads once, or as often as the reader returns nothing at all. It may only be called when line has returned
// false. An error does not mean that nothing was read.
func (in *input) fill() error {
	in.makeRoom()
	for range maxEmptyReads {
		n, err := in.r.Read(in.buf[in.end:])
		if n < 0 || n > len(in.buf)-in.end {
			return errBadRead
		}
		if n > 0 {
			in.added(n)
		}
		if n > 0 || err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom moves what is still needed to the front, into a larger buffer if it takes more than half of this one.
func (in *input) makeRoom() {
	unread := in.buf[in.pos:in.end]
	needed := len(in.kept) + len(unread)
	if needed == 0 {
		in.wellFormed = true
	}
	if in.buf == nil || needed > len(in.buf)/2 {
		in.buf = make([]byte, max(firstBuffer, 2*len(in.buf)))
	}
	in.pos = copy(in.buf, in.kept)
	in.kept = in.buf[:in.pos]
	in.end = in.pos + copy(in.buf[in.pos:], unread)
	in.searched, in.cr = in.end, in.end
}

// added takes note of n bytes that were read to the buffer's end.
func (in *input) added(n int) {
	from := in.end
	in.end += n
	in.wellFormed = in.wellFormed && utf8.Valid(in.buf[from:in.end])
	if in.skipLF && in.buf[from] == '\n' {
		in.pos, from = from+1, from+1
	}
	in.skipLF = false
	in.searched = from
	in.findCR(from)
	if !in.started {
		in.dropBOM()
	}
}

// dropBOM drops the byte order mark that the stream begins with, once enough has been read to tell.
func (in *input) dropBOM() {
	unread := in.buf[in.pos:in.end]
	switch {
	case bytes.HasPrefix(unread, bom):
		in.pos += len(bom)
		in.searched = in.pos
	case bytes.HasPrefix(bom, unread):
		return
	}
	in.started = true
}
