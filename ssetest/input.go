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
	cr       int // where the next CR without an LF is, or end: looked for once a read, and not once a line

	valid   bool // all that the buffer holds is UTF-8: looked at once a read, and not once a field
	started bool // the byte order mark, if there was one, has been dropped
	skipLF  bool // the last line ended at a CR that was the last byte so far: an LF that follows belongs to it

	texts texts
}

// line returns the next complete line without its end, or false if there is none in the buffer.
func (in *input) line() ([]byte, bool) {
	start := in.pos
	if i := bytes.IndexByte(in.buf[in.searched:in.cr], '\n'); i >= 0 {
		end := in.searched + i
		in.pos, in.searched = end+1, end+1
		if end > start && in.buf[end-1] == '\r' {
			end--
		}
		return in.buf[start:end], true
	}
	if in.cr < in.end {
		end := in.cr
		in.passCR()
		return in.buf[start:end], true
	}
	in.searched = in.end
	return nil, false
}

// blankLine goes on after a blank line, and reports whether there was one: false does not yet mean that there is none.
func (in *input) blankLine() bool {
	switch rest := in.buf[in.pos:in.end]; {
	case len(rest) == 0:
		return false
	case rest[0] == '\n':
		in.pos++
	case in.pos == in.cr:
		in.passCR()
	case rest[0] == '\r':
		in.pos += len("\r\n")
	default:
		return false
	}
	in.searched = in.pos
	return true
}

// skipComments goes on after the comment lines that follow, as far as they are complete and end at LF.
// It does nothing that line could not do, but streams of keep-alives are mostly comments.
func (in *input) skipComments() {
	pos := in.pos
	for pos < in.cr && in.buf[pos] == ':' {
		i := bytes.IndexByte(in.buf[pos:in.cr], '\n')
		if i < 0 {
			break
		}
		pos += i + 1
	}
	in.pos, in.searched = pos, pos
}

// passCR goes on after the line that ends at the next lone CR.
func (in *input) passCR() {
	in.pos, in.searched = in.cr+1, in.cr+1
	in.skipLF = in.pos == in.end
	in.findCR(in.pos)
}

// findCR looks for the next lone CR. One that is the last byte so far has to count as alone, or else the event that it
// may end would have to wait for the next byte.
func (in *input) findCR(from int) {
	for {
		i := bytes.IndexByte(in.buf[from:in.end], '\r')
		if i < 0 {
			in.cr = in.end
			return
		}
		from += i
		if from+1 == in.end || in.buf[from+1] != '\n' {
			in.cr = from
			return
		}
		from += 2
		from += pairedCRs(in.buf[from:in.end])
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
	return in.texts.decode(b, in.valid)
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

// makeRoom moves what is still needed to the front, into a larger buffer if it takes more than three quarters of this one.
func (in *input) makeRoom() {
	unread := in.buf[in.pos:in.end]
	needed := len(in.kept) + len(unread)
	if needed == 0 {
		in.valid = true
	}
	if needed >= len(in.buf)/4*3 {
		in.buf = make([]byte, grown(len(in.buf)))
	}
	in.pos = copy(in.buf, in.kept)
	in.kept = in.buf[:in.pos]
	in.end = in.pos + copy(in.buf[in.pos:], unread)
	in.searched, in.cr = in.end, in.end
}

// grown returns the size of the buffer after one of size n: four times as large at first, since a stream that has
// outgrown the first buffer has long lines, and about twice as large later.
func grown(n int) int {
	if n == 0 {
		return firstBuffer
	}
	return 2*n + min(2*n, 1<<20)
}

// added takes note of n bytes that were read to the buffer's end.
func (in *input) added(n int) {
	from := in.end
	in.end += n
	in.valid = in.valid && utf8.Valid(in.buf[from:in.end])
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
