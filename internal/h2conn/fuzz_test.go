package h2conn_test

import (
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// naiveRead is what a server reads of what a client sends, made from all of it at once, and how many streams are open then.
func naiveRead(t testing.TB, sent []byte) (read []byte, open int) {
	t.Helper()
	var highest uint32
	field := "" // is to go behind the fields of the next frame that ends a field block
	streams, ordinal := make(map[uint32]bool), 0
	for len(sent) >= 9 { // a header that is cut short is no use to anybody
		length := int(binary.BigEndian.Uint32(append([]byte{0}, sent[:3]...)))
		id := binary.BigEndian.Uint32(sent[5:]) & (1<<31 - 1)
		typ, whole := http2.FrameType(sent[3]), 9+length <= len(sent)
		text := slices.Clone(sent[:min(9+length, len(sent))])
		sent = sent[len(text):]

		opens := typ == http2.FrameHeaders && id > highest
		if opens {
			highest, ordinal, streams[id] = id, ordinal+1, true
			field = added(id, ordinal)
		}
		if typ == http2.FrameRSTStream && whole {
			delete(streams, id)
		}
		if ends := text[4]&4 != 0; ends && field != "" && (typ == http2.FrameHeaders || typ == http2.FrameContinuation) {
			begin, padding := 9, 0
			if opens && text[4]&8 != 0 && length > 0 {
				if len(text) == 9 { // that of the padding is missing
					delete(streams, id)
					break
				}
				begin, padding = 10, int(text[9])
			}
			if typ == http2.FrameHeaders && text[4]&32 != 0 {
				begin += 5
			}
			lacksPadding := typ == http2.FrameHeaders && text[4]&8 != 0 && length == 0 // not even its length is there
			if end := 9 + length - padding; end >= begin && !lacksPadding {
				binary.BigEndian.PutUint32(text, uint32(length+len(field))<<8|uint32(text[3]))
				if end <= len(text) {
					text = slices.Insert(text, end, []byte(field)...)
				}
			}
			field = ""
		}
		read = append(read, text...)
	}
	return read, len(streams)
}

// readAll reads to the end, into a buffer of so many bytes.
func readAll(r io.Reader, size int) ([]byte, error) {
	var all []byte
	for buf := make([]byte, size); ; {
		n, err := r.Read(buf)
		if all = append(all, buf[:n]...); err != nil {
			return all, err
		}
	}
}

// FuzzRead: whatever a client sends behind the preface, in whatever pieces, all of it reaches the server in order,
// with a field for each stream that it opens.
func FuzzRead(f *testing.F) {
	for _, s := range shapes {
		block := newEncoder().block(f, usual)
		f.Add(slices.Concat(s.frames(f, 1, block), s.frames(f, 3, block), s.frames(f, 1, block)), uint8(0), uint8(0))
	}
	mixed := frames(f, settings, request(1), data(1, "a body"), reset(1, odd), request(1<<31-1), request(5), settingsAck, settingsAck, pong)
	for cut := range uint8(12) {
		f.Add(mixed[:len(mixed)-int(cut)], cut, 2*cut)
	}
	f.Add([]byte{0, 0, 0, 1, 4 | 8, 0, 0, 0, 1}, uint8(0), uint8(0))                                                   // padding without its length
	f.Add(frames(f, opening(1), opening(3), continuation(1, true, ""), continuation(3, true, "")), uint8(7), uint8(1)) // a mistake of the client
	// More padding than there is room for, from some length on.
	for padding := range byte(12) {
		f.Add([]byte{0, 0, 7, 1, 4 | 8 | 32, 0, 0, 0, 1, padding, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 4, 1, 0, 0, 0, 0}, uint8(8), uint8(0))
		f.Add([]byte{0, 0, 3, 1, 4 | 8, 0, 0, 0, 1, padding, 0x82, 0x84, 0, 0, 0, 4, 1, 0, 0, 0, 0}, uint8(0), uint8(30))
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece, size uint8) {
		w := &wire{piece: len(http2.ClientPreface)}
		group := h2conn.NewGroup(func() {})
		conn := h2conn.New(w, group)
		w.inbound.WriteString(http2.ClientPreface)
		_, err := readAll(conn, 100)
		require.Equal(t, io.EOF, err)

		w.piece = int(piece) + 1
		w.inbound.Write(sent)
		got, err := readAll(conn, int(size)+1)
		require.Equal(t, io.EOF, err)
		want, open := naiveRead(t, sent)
		assert.Equal(t, want, got)
		assert.Equal(t, open, group.Streams())
		require.NoError(t, conn.Close())
		assert.Equal(t, 0, group.Streams())
	})
}
