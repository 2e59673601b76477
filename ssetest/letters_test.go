package ssetest_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what came with a file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), path)
}

func TestLettersOnTheWire(t *testing.T) {
	for _, seed := range []uint64{0, 1, 42} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			run(t, func(t *testing.T, p ssetest.Protocol) {
				srv := ssetest.NewServer(t, &ssetest.Config{Seed: seed, Protocol: p, LetterInterval: -1})
				response := get(t, srv, "/sse")
				srv.Tick(10)
				srv.Close()
				wire, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				golden(t, fmt.Sprintf("letters-seed-%d.sse", seed), wire)
			})
		})
	}
}

// get opens a stream with a plain client.
func get(t *testing.T, srv *ssetest.Server, path string) *http.Response {
	t.Helper()
	response, err := srv.Client().Get(srv.URL + path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestLettersAreThoseOfLetter(t *testing.T) {
	run(t, func(t *testing.T, p ssetest.Protocol) {
		srv := ssetest.NewServer(t, &ssetest.Config{Seed: 7, Protocol: p, LetterInterval: -1})
		stream := srv.Open(t, "/sse", nil)
		srv.Tick(1)
		srv.Tick(0)
		srv.Tick(29)
		for k, e := range stream.Take(30) {
			require.Equal(t, srv.Letter(k), e)
		}
		require.Equal(t, `{"msg":"a"}`, srv.Letter(0).Data)
	})
}

func TestSeedReachesEverything(t *testing.T) {
	letters := func(seed uint64) []byte {
		srv := ssetest.NewServer(t, &ssetest.Config{Seed: seed})
		var b bytes.Buffer
		for k := range 200 {
			fmt.Fprintln(&b, srv.Letter(k))
		}
		return b.Bytes()
	}
	assert.Equal(t, letters(3), letters(3))
	assert.NotEqual(t, letters(3), letters(4))
}
