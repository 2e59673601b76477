package interop_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// This file is what is known to fail, and the table of it: README.md. SSETEST_UPDATE=1 finds out anew, by the suites without Known, in a process of their own.

const (
	knownDir = "testdata/known"
	table    = "README.md"
)

// A knownFailure is a case that a client or handler fails.
type knownFailure struct {
	name string // of the case, with the protocol where it fails on one alone
	says string // what the suite says of it
}

// A subject is what a suite is run on.
type subject struct {
	test    string // TestClients, TestHandlers
	name    string
	module  string // where its version is found
	without string
}

func (s subject) file() string {
	return filepath.Join(knownDir, strings.TrimPrefix(s.test, "Test")+"-"+strings.ReplaceAll(s.name, "/", "-")+".txt")
}

// unknown has the suites run without what is known.
var unknown = os.Getenv("INTEROP_UNKNOWN") != ""

// known are the failures that are written down.
func (s subject) known(t *testing.T) []knownFailure {
	t.Helper()
	text, err := os.ReadFile(s.file())
	require.NoError(t, err)
	var failures []knownFailure
	for line := range strings.Lines(string(text)) {
		name, says, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		failures = append(failures, knownFailure{name, says})
	}
	return failures
}

// names are those of the known failures, for a contract.
func (s subject) names(t *testing.T) []string {
	t.Helper()
	if unknown {
		return nil
	}
	var names []string
	for _, k := range s.known(t) {
		names = append(names, k.name)
	}
	return names
}

var (
	begun = regexp.MustCompile(`^=== (?:RUN|NAME|CONT)\s+(\S+)`)
	said  = regexp.MustCompile(`^\s+contract\.go:\d+: ssetest: (.*)`)
	ended = regexp.MustCompile(`^\s*--- FAIL: (\S+) \(`)
)

// find runs a suite without what is known, and returns what fails.
func (s subject) find(t *testing.T) []knownFailure {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+s.test+"$/^"+strings.ReplaceAll(s.name, "/", "$/^")+"$", "-test.v", "-test.timeout=5m")
	command.Env = append(os.Environ(), "INTEROP_UNKNOWN=1", "SSETEST_UPDATE=")
	output, _ := command.CombinedOutput() // it fails
	require.NotContains(t, string(output), "\npanic:", s.name)
	prefix := s.test + "/" + s.name + "/"
	says := make(map[string]string)
	protocols := make(map[string][]string) // by case
	current := ""
	for line := range strings.Lines(string(bytes.ToValidUTF8(output, []byte("?")))) {
		if m := begun.FindStringSubmatch(line); m != nil {
			current = m[1]
		}
		if m := said.FindStringSubmatch(line); m != nil && says[current] == "" {
			says[current] = m[1]
		}
		if m := ended.FindStringSubmatch(line); m != nil && says[m[1]] != "" {
			protocol, name, _ := strings.Cut(strings.TrimPrefix(m[1], prefix), "/")
			protocols[name] = append(protocols[name], protocol)
			says[name] = cmp.Or(says[name], says[m[1]])
		}
	}
	all := s.protocols(string(output))
	require.NotEmpty(t, all, string(output))
	var failures []knownFailure
	for name, on := range protocols {
		if len(on) == len(all) {
			failures = append(failures, knownFailure{name, says[name]})
			continue
		}
		for _, protocol := range on {
			failures = append(failures, knownFailure{protocol + "/" + name, says[name]})
		}
	}
	slices.SortFunc(failures, func(a, b knownFailure) int { return strings.Compare(a.name, b.name) })
	return failures
}

// protocols are those that a suite has run on, of those that the case exists on. A case of HTTP/2 alone is named with it.
func (s subject) protocols(output string) []string {
	var all []string
	for _, p := range []string{"HTTP1", "HTTP2", "URL"} {
		if strings.Contains(output, "=== RUN   "+s.test+"/"+s.name+"/"+p+"\n") {
			all = append(all, p)
		}
	}
	return all
}

// subjects are all that the suites are run on.
func subjects() []subject {
	var all []subject
	for _, c := range clients {
		all = append(all, subject{"TestClients", c.name, c.module, fmt.Sprint(c.contract.Without)})
	}
	for _, h := range handlers {
		all = append(all, subject{"TestHandlers", h.name, h.module, fmt.Sprint(h.contract.Without)})
	}
	return all
}

// TestWhatIsKnown sees that the table says what is known, and that it has been decided for each failure whose fault it is.
func TestWhatIsKnown(t *testing.T) {
	if unknown {
		t.Skip("it is being found out")
	}
	if os.Getenv("SSETEST_UPDATE") != "" {
		require.NoError(t, os.MkdirAll(knownDir, 0o700))
		for _, s := range subjects() {
			var text strings.Builder
			for _, k := range s.find(t) {
				fmt.Fprintf(&text, "%s\t%s\n", k.name, k.says)
			}
			require.NoError(t, os.WriteFile(s.file(), []byte(text.String()), 0o600))
		}
		require.NoError(t, os.WriteFile(table, []byte(render(t)), 0o600))
	}
	written, err := os.ReadFile(table)
	require.NoError(t, err)
	assert.Equal(t, render(t), string(written), "SSETEST_UPDATE=1 go test writes it anew")
}

// render is the table.
func render(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(introduction)
	kind := ""
	for _, s := range subjects() {
		if s.test != kind {
			kind = s.test
			fmt.Fprintf(&b, "\n## %s\n", strings.TrimPrefix(kind, "Test"))
		}
		failures := s.known(t)
		fmt.Fprintf(&b, "\n### %s\n", strings.TrimSpace(s.name+" "+version(t, s.module)))
		if without := strings.Trim(s.without, "[]"); without != "" {
			fmt.Fprintf(&b, "\nNot claimed: %s.\n", without)
		}
		if len(failures) == 0 {
			b.WriteString("\nPasses every case that it claims.\n")
			continue
		}
		b.WriteString("\n| case | why |\n|---|---|\n")
		for _, k := range failures {
			reason := why(s, k.name)
			assert.NotEmpty(t, reason, "%s of %s: whose fault is it? verdicts_test.go", k.name, s.name)
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(k.name, "|", `\|`), reason)
		}
	}
	return b.String()
}

// version is that of a module, by go.mod.
func version(t *testing.T, module string) string {
	t.Helper()
	if module == "" {
		return ""
	}
	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(module) + ` (\S+)`).FindSubmatch(text)
	require.NotNil(t, m, module)
	return string(m[1])
}
