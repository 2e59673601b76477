package ssetest_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestCompression has each event arrive, compressed, before the next is sent, and the stream end as gzip has to.
func TestCompression(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Compress: true})
		feed := srv.Feed("GET /feed")
		stream := srv.Open(t, "/feed", nil) // Go's transport takes the compression away again
		s := feed.Accept(t)
		s.Send(ssetest.Data("1"))
		stream.ExpectData("1")
		s.Send(ssetest.Data("2"), ssetest.Abort())
		stream.ExpectData("2")
		stream.ExpectError(ssetest.ErrStreamAborted)

		for accepted, compressed := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "*": true, "gzip;q=0, *": false, "br": false, "": false} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/feed", nil)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", accepted)
			response, err := srv.Client().Do(r)
			require.NoError(t, err)
			assert.Equal(t, "Accept-Encoding", response.Header.Get("Vary"))
			assert.Equal(t, compressed, response.Header.Get("Content-Encoding") == "gzip", accepted)
			s := feed.Accept(t)
			s.Send(ssetest.Data("1"))
			text := io.Reader(response.Body)
			if compressed {
				text, err = gzip.NewReader(text)
				require.NoError(t, err)
			}
			first := make([]byte, len("data: 1\n\n"))
			_, err = io.ReadFull(text, first)
			require.NoError(t, err)
			s.Send(ssetest.Data("2"), ssetest.End())
			rest, err := io.ReadAll(text)
			require.NoError(t, err)
			assert.Equal(t, "data: 1\n\ndata: 2\n\n", string(first)+string(rest))
			require.NoError(t, response.Body.Close())
		}
	})
}

func TestOnlyStreamsAreCompressed(t *testing.T) {
	srv := ssetest.NewServer(t, &ssetest.Config{Compress: true})
	srv.Script("GET /error", ssetest.Script{ssetest.Response{Status: 500, Body: "x"}})
	srv.Handle("GET /mine", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "identity")
		_, _ = io.WriteString(w, "data: x\n\n")
	}))
	for path, text := range map[string]string{"/error": "x", "/mine": "data: x\n\n"} {
		response := get(t, srv, path)
		assert.False(t, response.Uncompressed, path)
		assert.Equal(t, text, readBody(t, response))
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, srv.URL+"/sse", nil)
	require.NoError(t, err)
	r.Header.Set("Accept-Encoding", "gzip") // Go's transport asks for it with other methods only
	response, err := srv.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
	srv.Chaos(ssetest.Chaos{Duplicate: 1})
	stream := srv.Open(t, "/post", nil)
	srv.Publish(ssetest.Data("x"))
	stream.ExpectData("x", "x")
}

// TestAbortedCompressionHasNoEnd has chaos break a compressed stream off, which must not look like one that is complete.
func TestAbortedCompressionHasNoEnd(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Protocol: p, Compress: true})
		srv.Script("GET /feed", ssetest.Script{ssetest.Data("1")})
		srv.Chaos(ssetest.Chaos{Abort: 1})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/feed", nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Encoding", "gzip")
		response, err := srv.Client().Do(r)
		require.NoError(t, err)
		compressed, err := io.ReadAll(response.Body)
		require.Error(t, err)
		require.NoError(t, response.Body.Close())
		text, err := gzip.NewReader(bytes.NewReader(compressed))
		require.NoError(t, err)
		_, err = io.ReadAll(text)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}
