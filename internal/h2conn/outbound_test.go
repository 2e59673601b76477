package h2conn_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/go-ssetest/sse/internal/h2conn"
)

// odd is a code that has another byte at each place.
const odd = http2.ErrCode(0x91a2b3c4)

// lookalikes are frames of a stream that are as long as its RST_STREAM, and are not.
func lookalikes(id uint32) []frame {
	return []frame{data(id, "\x00\x00\x00\x02"), windowUpdate(id, uint32(http2.ErrCodeInternal)), response(id)}
}

func TestResetWith(t *testing.T) {
	around := func(code http2.ErrCode) []byte {
		fs := append(lookalikes(3), settingsAck, data(1, "before"), reset(3, code), data(5, "behind"), reset(5, http2.ErrCodeInternal))
		return frames(t, append(fs, pong)...)
	}
	sent, want := around(http2.ErrCodeInternal), around(odd)
	for cut := range len(sent) + 1 {
		h := newHarness(t, 1<<20)
		h.open(1, 3, 5)
		h.ResetWith(3, odd)
		given := bytes.Clone(sent)
		h.write(given[:cut])
		h.write(given[cut:])
		require.Equal(t, want, h.written(), "cut at %d", cut)
		require.Equal(t, sent, given, "what the writer has given")
		require.Equal(t, 1, h.group.Streams())
	}
	for _, piece := range pieces {
		h := newHarness(t, piece)
		h.open(1, 3, 5)
		h.ResetWith(3, odd)
		h.write(sent)
		require.Equal(t, want, h.written(), "pieces of %d", piece)
		h.send(sent) // the stream is over, and nothing else is asked for
	}
}

// What comes behind the end of a stream keeps its code, be it in the same write or in another.
func TestResetWithLeavesWhatIsBehindTheEnd(t *testing.T) {
	for name, c := range map[string]struct{ first, want frame }{
		"DATA":                     {lastData(1, ""), lastData(1, "")},
		"HEADERS":                  {request(1), request(1)},
		"HEADERS and CONTINUATION": {inTwo(opening(1), continuation(1, true, "")), inTwo(opening(1), continuation(1, true, ""))},
		"RST_STREAM":               {reset(1, http2.ErrCodeInternal), reset(1, odd)},
	} {
		for _, piece := range pieces {
			t.Run(fmt.Sprintf("%s in pieces of %d", name, piece), func(t *testing.T) {
				h := newHarness(t, piece)
				h.open(1, 3)
				h.ResetWith(1, odd)
				h.ResetWith(3, odd)
				h.write(frames(t, c.first, reset(1, http2.ErrCodeNo), reset(3, http2.ErrCodeNo)))
				assert.Equal(t, frames(t, c.want, reset(1, http2.ErrCodeNo), reset(3, odd)), h.written())
				assert.Zero(t, h.Codes())
			})
		}
	}
}

func TestResetWithForSeveralStreams(t *testing.T) {
	h := newHarness(t, 3)
	h.open(1, 3, 5)
	h.ResetWith(1, http2.ErrCodeNo)
	h.ResetWith(5, http2.ErrCodeEnhanceYourCalm)
	h.write(frames(t, reset(3, http2.ErrCodeCancel), reset(5, http2.ErrCodeInternal), reset(1, http2.ErrCodeInternal)))
	assert.Equal(t, frames(t, reset(3, http2.ErrCodeCancel), reset(5, http2.ErrCodeEnhanceYourCalm), reset(1, http2.ErrCodeNo)), h.written())
	assert.Zero(t, h.Codes())
}

func TestLastCodeCounts(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(1)
	h.ResetWith(1, odd)
	h.ResetWith(1, http2.ErrCodeNo)
	h.ResetWith(1, http2.ErrCodeConnect)
	assert.Equal(t, 1, h.Codes())
	h.write(frames(t, reset(1, http2.ErrCodeInternal)))
	assert.Equal(t, frames(t, reset(1, http2.ErrCodeConnect)), h.written())
	assert.Zero(t, h.Codes())
}

// The code may be asked for when other bytes of the same frame have left, before its own.
func TestResetWithWhenItsHeaderHasLeft(t *testing.T) {
	text := frames(t, reset(1, http2.ErrCodeInternal))
	h := newHarness(t, 1<<20)
	h.open(1)
	h.write(text[:9])
	h.ResetWith(1, odd)
	h.write(text[9:])
	assert.Equal(t, frames(t, reset(1, odd)), h.written())
}

func TestResetWithForWhatIsOver(t *testing.T) {
	for name := range endings {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, 1<<20)
			h.open(1, 3)
			h.ResetWith(3, odd)
			require.Equal(t, 1, h.Codes())
			h.end(name)
			require.Zero(t, h.Codes(), "codes when the stream is over")

			h.ResetWith(3, odd)
			assert.Zero(t, h.Codes(), "codes for a stream that is over")
			h.send(frames(t, reset(3, http2.ErrCodeNo), reset(1, http2.ErrCodeNo)))
		})
	}
}

func TestResetWithForWhatNeverWas(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.ResetWith(0, odd)
	h.ResetWith(1, odd)
	assert.Zero(t, h.Codes())
	h.open(1)
	h.send(frames(t, reset(1, http2.ErrCodeNo)))
	h.open(3)
	h.ResetWith(3, odd)
	require.NoError(t, h.Close())
	h.ResetWith(3, odd)
	assert.Zero(t, h.Codes(), "codes of a connection that is closed")
}

// boundaries are the indices at which a frame of text ends.
func boundaries(text []byte) []int {
	ends := []int{0}
	for i := 0; i < len(text); {
		i += 9 + int(text[i])<<16 + int(text[i+1])<<8 + int(text[i+2])
		ends = append(ends, i)
	}
	return ends
}

// someFrames are of several lengths, one of them without a payload.
func someFrames(t *testing.T) []byte {
	return frames(t, response(1), data(1, "data: one\n\n"), settingsAck, lastData(3, "three"), reset(5, http2.ErrCodeCancel))
}

// At whatever place of what the server writes, GOAWAY comes behind the frame that has begun there.
func TestGoAwayComesBetweenFrames(t *testing.T) {
	text := someFrames(t)
	want := frames(t, goAway(5, http2.ErrCodeNo))
	ends := boundaries(text)
	for cut := range len(text) + 1 {
		for _, piece := range pieces {
			h := newHarness(t, piece)
			h.open(1, 3, 5)
			h.send(frames(t, settings))
			h.write(text[:cut])
			require.NoError(t, h.GoAway(http2.ErrCodeNo))
			at, atBoundary := slices.BinarySearch(ends, cut)
			end := ends[at]
			if atBoundary {
				require.Equal(t, slices.Concat(text[:cut], want), h.wire.outbound.Bytes(), "at %d, at once", cut)
			} else {
				require.Equal(t, text[:cut], h.wire.outbound.Bytes(), "at %d, within a frame", cut)
			}
			h.write(text[cut:])
			require.Equal(t, slices.Concat(text[:end], want, text[end:]), h.written(), "at %d, in pieces of %d", cut, piece)
			require.Equal(t, 1, h.group.Streams(), "it is among the frames, but is none of them")
		}
	}
}

// Nothing may come between the frames of a field block (RFC 9113, section 4.3).
func TestGoAwayWaitsForAllFramesOfAFieldBlock(t *testing.T) {
	for name, first := range map[string]frame{"HEADERS": unfinished(1), "HEADERS with END_STREAM": opening(1), "PUSH_PROMISE": promise(1, 2)} {
		block := frames(t, first, continuation(1, false, ""), continuation(1, false, "\x88"), continuation(1, true, "\x88"))
		text := slices.Concat(block, frames(t, pong))
		want := slices.Concat(block, frames(t, goAway(1, http2.ErrCodeNo), pong))
		for cut := 1; cut <= len(block); cut++ {
			for _, piece := range pieces {
				h := newHarness(t, piece)
				h.open(1)
				h.send(frames(t, settings))
				h.write(text[:cut])
				require.NoError(t, h.GoAway(http2.ErrCodeNo))
				h.write(text[cut:])
				require.Equal(t, want, h.written(), "%s, at %d, in pieces of %d", name, cut, piece)
			}
		}
	}
}

// The write that lets GOAWAY in is the one that puts in a code: both at the right place.
func TestGoAwayAndACode(t *testing.T) {
	text, coded := someFrames(t), bytes.Replace(someFrames(t), frames(t, reset(5, http2.ErrCodeCancel)), frames(t, reset(5, odd)), 1)
	want := frames(t, goAway(5, http2.ErrCodeNo))
	ends := boundaries(text)
	for cut := range text {
		h := newHarness(t, 1<<20)
		h.open(1, 3, 5)
		h.send(frames(t, settings))
		h.ResetWith(5, odd)
		h.write(text[:cut])
		require.NoError(t, h.GoAway(http2.ErrCodeNo))
		given := bytes.Clone(text[cut:])
		h.write(given)
		at, _ := slices.BinarySearch(ends, cut)
		require.Equal(t, slices.Concat(coded[:ends[at]], want, coded[ends[at]:]), h.written(), "at %d", cut)
		require.Equal(t, text[cut:], given, "what the writer has given")
	}
}

// The first frame of a server is its SETTINGS: nothing may come before.
func TestGoAwayWaitsForTheFirstFrame(t *testing.T) {
	text := frames(t, settings, pong)
	first := boundaries(text)[1]
	want := slices.Concat(text[:first], frames(t, goAway(0, http2.ErrCodeNo), goAway(0, odd)), text[first:])
	for cut := range first {
		for _, piece := range pieces {
			h := newHarness(t, piece)
			_, err := h.Write(nil) // is none
			require.NoError(t, err)
			require.NoError(t, h.GoAway(http2.ErrCodeNo))
			require.Empty(t, h.wire.outbound.Bytes(), "before the first frame")
			h.write(text[:cut])
			require.NoError(t, h.GoAway(odd))
			require.Equal(t, string(text[:cut]), h.wire.outbound.String(), "within the first frame")
			h.write(text[cut:])
			require.Equal(t, want, h.written())
		}
	}
}

func TestGoAwayNamesTheHighestStream(t *testing.T) {
	for _, code := range []http2.ErrCode{http2.ErrCodeNo, http2.ErrCodeEnhanceYourCalm, odd} {
		h := newHarness(t, 1<<20)
		h.send(frames(t, settings))
		for _, c := range []struct {
			opens []uint32
			last  uint32
		}{{nil, 0}, {[]uint32{1}, 1}, {[]uint32{3, 9}, 9}} {
			other := newHarness(t, 1<<20) // one on which GoAway has not been called before
			other.open(c.opens...)
			other.send(frames(t, settings))
			require.NoError(t, other.GoAway(code))
			assert.Equal(t, frames(t, goAway(c.last, code)), other.written())
		}
		h.open(1, 5, 7)
		h.send(frames(t, reset(7, http2.ErrCodeNo), lastData(5, "")))
		h.receive(frames(t, request(3), reset(1, http2.ErrCodeNo))) // 3 is too late
		require.NoError(t, h.GoAway(code))
		assert.Equal(t, frames(t, goAway(7, code)), h.written(), "streams that are over count")
	}
}

// takeStream reads the request that the client sends now, and returns what it says.
func (h *harness) takeStream(id uint32) (uint32, int) {
	h.t.Helper()
	h.wire.inbound.Write(frames(h.t, request(id)))
	return h2conn.TakeStream(header(readHeaders(h.t, serverFramer(h.Conn)).Fields))
}

func TestStreamsBehindAGoAwayAreRefused(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.send(frames(t, settings))
	id, ordinal := h.takeStream(1)
	assert.Equal(t, []any{uint32(1), 1}, []any{id, ordinal})
	require.NoError(t, h.GoAway(http2.ErrCodeNo))
	for _, late := range []uint32{3, 5} {
		id, ordinal = h.takeStream(late)
		assert.Equal(t, []any{late, h2conn.Refused}, []any{id, ordinal})
	}
	require.NoError(t, h.GoAway(http2.ErrCodeCancel))
	assert.Equal(t, frames(t, goAway(1, http2.ErrCodeNo), goAway(1, http2.ErrCodeCancel)), h.written(), "both exclude what has been refused")

	assert.Equal(t, 3, h.group.Streams(), "until they are reset they are open")
	assert.Equal(t, 2, h.Codes())
	h.write(frames(t, reset(3, http2.ErrCodeInternal), reset(1, http2.ErrCodeInternal), reset(5, http2.ErrCodeCancel)))
	assert.Equal(t, frames(t, reset(3, http2.ErrCodeRefusedStream), reset(1, http2.ErrCodeInternal), reset(5, http2.ErrCodeRefusedStream)), h.written())
	assert.Equal(t, 0, h.group.Streams())
	assert.Zero(t, h.Codes())
}

// A GOAWAY that waits refuses what is opened from now on, as one that has left does.
func TestGoAwayRefusesBeforeItHasLeft(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.open(1)
	require.NoError(t, h.GoAway(http2.ErrCodeNo))
	_, ordinal := h.takeStream(3)
	assert.Equal(t, h2conn.Refused, ordinal)
	h.write(frames(t, settings))
	assert.Equal(t, frames(t, settings, goAway(1, http2.ErrCodeNo)), h.written())
}

func TestGoAwayOnAConnectionThatFails(t *testing.T) {
	h := newHarness(t, 1<<20)
	h.send(frames(t, settings))
	h.wire.fail = io.ErrClosedPipe
	require.ErrorIs(t, h.GoAway(http2.ErrCodeNo), io.ErrClosedPipe)
}

// Streams that are read when the connection is closed leave nothing behind, be they refused.
func TestRefusedAfterClose(t *testing.T) {
	h := newHarness(t, 1<<20)
	require.NoError(t, h.GoAway(http2.ErrCodeNo))
	h.open(1)
	require.NoError(t, h.Close())
	assert.Zero(t, h.Codes())
	h.open(3)
	assert.Zero(t, h.Codes())
	assert.Equal(t, 0, h.group.Streams())
}

func TestGoAwayAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where everybody is blocked, the bubble fails
		client, server := net.Pipe()
		defer func() { _ = client.Close() }()
		conn := h2conn.New(server, h2conn.NewGroup(func() {}))
		go func() { _, _ = io.CopyN(io.Discard, client, 9) }()
		_, err := conn.Write(frames(t, settings))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.ErrorIs(t, conn.GoAway(http2.ErrCodeNo), io.ErrClosedPipe)

		_, server = net.Pipe()
		conn = h2conn.New(server, h2conn.NewGroup(func() {}))
		require.NoError(t, conn.Close())
		require.NoError(t, conn.GoAway(http2.ErrCodeNo), "it waits for the first frame, and nobody waits for it")
	})
}

// Close ends a write that the client does not read, and what waits for it.
func TestCloseWhileGoAwayWaitsForAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer func() { _ = client.Close() }()
		conn := h2conn.New(server, h2conn.NewGroup(func() {}))
		go func() { _, _ = io.CopyN(io.Discard, client, 9) }()
		_, err := conn.Write(frames(t, settings))
		require.NoError(t, err)

		text := frames(t, pong)
		wrote, went := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := conn.Write(text)
			wrote <- err
		}()
		synctest.Wait()
		go func() { went <- conn.GoAway(http2.ErrCodeNo) }()
		synctest.Wait()
		assert.Empty(t, wrote)
		assert.Empty(t, went)
		require.NoError(t, conn.Close())
		require.ErrorIs(t, <-wrote, io.ErrClosedPipe)
		require.ErrorIs(t, <-went, io.ErrClosedPipe)
	})
}

// A GOAWAY that is asked for during a write comes behind it, or into the next one.
func TestGoAwayDuringAWrite(t *testing.T) {
	text := frames(t, data(1, "data: one\n\n"), pong)
	end := boundaries(text)[1]
	want := frames(t, goAway(1, http2.ErrCodeNo))
	for cut, out := range map[int][]byte{end: slices.Concat(text[:end], want, text[end:]), end + 5: slices.Concat(text, want)} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, 1<<20)
			h.open(1)
			h.send(frames(t, settings))
			release := h.hold()
			h.startWrite(text[:cut])
			go func() { assert.NoError(t, h.GoAway(http2.ErrCodeNo)) }()
			synctest.Wait()
			require.Empty(t, h.wire.outbound.Bytes(), "the write holds everything up")
			release()
			synctest.Wait()
			h.write(text[cut:])
			assert.Equal(t, out, h.written(), "cut at %d", cut)
		})
	}
}

// hold lets writes wait until release is called.
func (h *harness) hold() (release func()) {
	held := make(chan struct{})
	h.wire.during = func() { <-held }
	return func() {
		close(held)
		synctest.Wait()
		h.wire.during = nil
	}
}

// startWrite lets the server write p at once, and returns when that is blocked or done.
func (h *harness) startWrite(p []byte) {
	go func() {
		_, err := h.Write(p)
		assert.NoError(h.t, err)
	}()
	synctest.Wait()
}

// await starts an AwaitSent, and returns what it has returned, or "waiting".
func (h *harness) await(id uint32, n int64) (state func() string) {
	result := make(chan bool, 1)
	go func() { result <- h.Stream(id).AwaitSent(n) }()
	synctest.Wait() // otherwise it could begin when what it is to wait for has come already
	last := "waiting"
	return func() string {
		h.t.Helper()
		synctest.Wait()
		if len(result) > 0 {
			last = strconv.FormatBool(<-result)
		}
		return last
	}
}

func TestAwaitSent(t *testing.T) {
	for _, piece := range pieces {
		t.Run(fmt.Sprintf("in pieces of %d", piece), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, piece)
				h.open(1, 3)
				none, ten, eleven := h.await(1, 0), h.await(1, 10), h.await(1, 11)
				h.send(frames(t, settings, windowUpdate(1, 3), response(3)))
				assert.Equal(t, "waiting", none(), "its HEADERS have not left")
				h.send(frames(t, unfinished(1)))
				assert.Equal(t, "waiting", none(), "not all of its field block has left")
				h.send(frames(t, continuation(1, true, "\x88")))
				assert.Equal(t, "true", none())
				h.send(frames(t, data(3, "0123456789"), data(1, "012345678"), windowUpdate(1, 3)))
				assert.Equal(t, "waiting", ten(), "nine bytes have left")
				h.send(frames(t, data(1, "9")))
				assert.Equal(t, "true", ten())
				assert.Equal(t, "true", h.await(1, 10)(), "what has left already")
				assert.Equal(t, "waiting", eleven())
				h.send(frames(t, data(1, "more than enough")))
				assert.Equal(t, "true", eleven())
			})
		})
	}
}

// Bytes that are being written have not left, nor have those whose write fails.
func TestAwaitSentWaitsForTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, 1<<20)
		h.open(1)
		h.send(frames(t, response(1)))
		five, six := h.await(1, 5), h.await(1, 6)
		release := h.hold()
		h.startWrite(frames(t, data(1, "12345")))
		assert.Equal(t, "waiting", five(), "during the write")
		release()
		assert.Equal(t, "true", five())

		h.wire.fail = io.ErrClosedPipe
		_, err := h.Write(frames(t, data(1, "6")))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		assert.Equal(t, "waiting", six(), "after a write that failed")
		require.NoError(t, h.Close())
		assert.Equal(t, "false", six())
	})
}

// The last byte of a frame decides, in whichever write it is.
func TestAwaitSentWaitsForAllOfTheFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := frames(t, data(1, "12345"))
		h := newHarness(t, 1<<20)
		h.open(1)
		h.send(frames(t, response(1)))
		five := h.await(1, 5)
		h.send(text[:len(text)-1])
		assert.Equal(t, "waiting", five())
		h.send(text[len(text)-1:])
		assert.Equal(t, "true", five())
	})
}

func TestAwaitSentOfWhatEnds(t *testing.T) {
	for name := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, 1<<20)
				h.open(1, 3)
				waiters := []func() string{h.await(3, 100), h.await(3, 101), h.await(3, 100)}
				other := h.await(1, 100)
				h.end(name)
				for _, state := range waiters {
					assert.Equal(t, "false", state())
				}
				assert.Equal(t, "false", h.await(3, 1)(), "a stream that is over")
				assert.Equal(t, "false", h.await(5, 1)(), "a stream that never was")
				assert.Equal(t, "false", h.await(0, 0)(), "no stream")

				assert.Equal(t, "waiting", other(), "another stream")
				require.NoError(t, h.Close())
				assert.Equal(t, "false", other())
				assert.Equal(t, "false", h.await(1, 0)(), "when the connection is closed")
			})
		})
	}
}

// What a client has reset because of the bytes that are being written has left all the same.
func TestAwaitSentOfWhatTheClientEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, 1<<20)
		h.open(1)
		h.send(frames(t, response(1)))
		five, six := h.await(1, 5), h.await(1, 6)
		release := h.hold()
		h.startWrite(frames(t, data(1, "12345")))
		h.receive(frames(t, reset(1, http2.ErrCodeCancel)))
		assert.Equal(t, "waiting", five())
		release()
		assert.Equal(t, "true", five())
		assert.Equal(t, "false", six())
	})
}

// An interim response is not the one that is awaited, also where its status is in the encoder's table.
func TestAwaitSentPassesOverInterimResponses(t *testing.T) {
	for _, piece := range pieces {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, piece)
			h.open(1, 3)
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			begin := func(id uint32, status string, both bool) []byte {
				block.Reset()
				require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: ":status", Value: status}))
				require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: "x-status", Value: status}))
				return frames(t, func(f *http2.Framer) error {
					n := block.Len()
					if both {
						n /= 2
					}
					err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes()[:n], EndHeaders: !both})
					if err == nil && both {
						err = f.WriteContinuation(id, true, block.Bytes()[n:])
					}
					return err
				})
			}
			one, three := h.await(1, 0), h.await(3, 0)
			h.send(begin(1, "100", false))
			h.send(begin(3, "100", true))
			h.send(begin(1, "103", true))
			assert.Equal(t, "waiting", one())
			assert.Equal(t, "waiting", three())
			h.send(begin(1, "299", true))
			assert.Equal(t, "true", one())
			assert.Equal(t, "waiting", three())
			h.send(begin(3, "299", false))
			assert.Equal(t, "true", three())
		})
	}
}

// Ended is closed with the end of the stream, and not before.
func TestEnded(t *testing.T) {
	for name := range endings {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, 1<<20)
			h.open(1, 3, 5)
			one, three := h.Stream(1), h.Stream(3)
			isClosed := func(c <-chan struct{}) bool {
				select {
				case <-c:
					return true
				default:
					return false
				}
			}
			before, other := three.Ended(), one.Ended()
			assert.False(t, isClosed(before))
			h.end(name)
			assert.True(t, isClosed(before))
			assert.True(t, isClosed(three.Ended()))
			assert.True(t, isClosed(h.Stream(3).Ended()), "of none")
			assert.False(t, isClosed(other))
			require.NoError(t, h.Close())
			assert.True(t, isClosed(other))
		})
	}
}
