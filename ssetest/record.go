package ssetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Record records the event stream at url in a file, and returns it as a script to be served by [Server.Script]. Where the file exists, it is read instead,
// and url is asked for nothing: a test that has recorded a live stream once runs without it from then on. The flag -ssetest.update, or SSETEST_UPDATE=1
// in the environment, records it anew.
//
// A recording has the bytes as they came, malformed ones included, the time between them, the header of the response, and how the stream ended.
// What looks like a credential in the header or in the query of the URL is not written; the stream itself is. One that goes on for longer
// than 30 seconds is recorded up to there, and held open behind that.
//
// It fails t where there is no event stream to be had, or the file can't be written or read. Call it from the test's own goroutine.
func Record(t testing.TB, url, path string) Script {
	t.Helper()
	return RecordWith(t, url, path, nil)
}

// RecordWith is [Record] with a method, a header, a body and a client of your own, as a model's API asks for. OpenConfig.Timeout is for how long to record,
// and the stream does not reconnect. The request's header and body are not written.
func RecordWith(t testing.TB, url, path string, cfg *OpenConfig) Script {
	t.Helper()
	_, err := os.Stat(path)
	switch {
	case err == nil && !updating(t):
		return LoadScript(t, path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		t.Fatalf("ssetest: Record: %v", err)
	}
	text, err := recordText(url, cfg)
	var script Script
	if err == nil {
		script, err = ParseScript(bytes.NewReader(text)) // before there is a file that nobody could read
	}
	if err == nil {
		err = writeFile(path, text)
	}
	if err != nil {
		t.Fatalf("ssetest: Record: %s", strings.TrimPrefix(err.Error(), "ssetest: "))
	}
	return script
}

// recordText returns the text form of a stream.
func recordText(url string, cfg *OpenConfig) ([]byte, error) {
	full := cfg.withDefaults(url)
	full.Reconnect = false
	full.recordHeader = true
	full.anyEventSize = true
	log := newTranscriptLog()
	log.most = maxScriptSize
	ctx := context.Background()
	if full.Timeout >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, full.Timeout)
		defer cancel()
	}
	source, err := dial(ctx, full, url, nil, log)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	for {
		if _, err := source.arrive(ctx); err != nil {
			break // it has ended in one way or another, which is in the transcript
		}
	}
	source.Close()
	transcript := log.transcript()
	if transcript.incomplete() {
		return nil, errors.New("the stream is larger than a recording can be, 64 MiB")
	}
	return transcript.MarshalText()
}

// incomplete reports whether a transcript lacks anything of its streams.
func (t *Transcript) incomplete() bool {
	return t.dropped > 0
}

// writeFile writes a file, in one go: where it fails, what was there before is there still.
func writeFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if other := f.Close(); err == nil {
		err = other
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// ExpectGolden requires that a transcript is the one in a file, but for times, and fails t with the first line that differs.
// The flag -ssetest.update, or SSETEST_UPDATE=1 in the environment, writes the file anew. Call it from the test's own goroutine.
func (t *Transcript) ExpectGolden(tb testing.TB, path string) {
	tb.Helper()
	got := bytes.Join(t.sections(false), nil)
	if updating(tb) {
		if err := writeFile(path, got); err != nil {
			tb.Fatalf("ssetest: ExpectGolden: %v", err)
		}
		return
	}
	wanted, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		tb.Fatalf("ssetest: ExpectGolden: %v; run the test with -ssetest.update, or SSETEST_UPDATE=1, to write it", err)
	case err != nil:
		tb.Fatalf("ssetest: ExpectGolden: %v", err)
	}
	if line, a, b := firstDifference(wanted, got); line > 0 {
		tb.Fatalf("ssetest: ExpectGolden: %s:%d: wanted %q, but there was %q\nthe lines around it:\n%s"+
			"run the test with -ssetest.update, or SSETEST_UPDATE=1, to make them the wanted ones", path, line, a, b, around(got, line))
	}
}

// around returns the lines of a text around one of them.
func around(text []byte, line int) string {
	const before, after = 4, 4
	lines := strings.SplitAfter(string(text), "\n")
	from := max(line-1-before, 0)
	return strings.Join(lines[min(from, len(lines)):min(line+after, len(lines))], "")
}

// firstDifference returns the number of the first line, from 1, in which two texts differ, and what it is in both. It is 0 where there is none.
func firstDifference(a, b []byte) (line int, inA, inB string) {
	for len(a) > 0 || len(b) > 0 {
		line++
		n, m := lineLen(a), lineLen(b)
		if !bytes.Equal(a[:n], b[:m]) {
			return line, string(a[:n]), string(b[:m])
		}
		a, b = a[n:], b[m:]
	}
	return 0, "", ""
}
