// Package docs_test holds the documentation and the layout to what is true.
package docs_test

import (
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

const root = "../../"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(root + name)
	require.NoError(t, err)
	return string(text)
}

// TestSnippetsOfTheREADMEAreCompiled requires each Go snippet to stand, to the letter, in examples_test.go, or where other modules are needed for it.
func TestSnippetsOfTheREADMEAreCompiled(t *testing.T) {
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	require.NotEmpty(t, snippets)
	examples := read(t, "examples_test.go") + read(t, "internal/interop/clients_test.go")
	for _, snippet := range snippets {
		assert.Contains(t, examples, snippet[1])
	}
}

// TestManualBeginsWithAnExample requires the example of doc.go to be the first lines of one that runs.
func TestManualBeginsWithAnExample(t *testing.T) {
	_, after, ok := strings.Cut(read(t, "ssetest/doc.go"), "//\tfunc TestPublish")
	require.True(t, ok)
	example, _, ok := strings.Cut("func TestPublish"+after, "//\t}")
	require.True(t, ok)
	comment := regexp.MustCompile(`\s+//.*`)
	examples := comment.ReplaceAllString(read(t, "examples_test.go"), "")
	for line := range strings.Lines(strings.ReplaceAll(example, "//\t", "")) {
		assert.Contains(t, examples, strings.TrimSuffix(line, "\n"))
	}
}

// TestVisibleTopLevel looks at what could be a part of the project: folders, code and documents.
func TestVisibleTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	var visible []string
	for _, e := range entries {
		part := e.IsDir() || slices.Contains([]string{".go", ".mod", ".sum", ".md", ""}, filepath.Ext(e.Name()))
		if part && !strings.HasPrefix(e.Name(), ".") {
			visible = append(visible, e.Name())
		}
	}
	assert.ElementsMatch(t, []string{"LICENSE", "README.md", "examples_test.go", "go.mod", "go.sum", "internal", "ssetest"}, visible)
}

func TestDirectDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{if not .Indirect}}{{.Path}}{{end}}", "all").Output()
	require.NoError(t, err)
	direct := strings.Fields(string(out))
	slices.Sort(direct)
	assert.Equal(t, []string{
		"github.com/go-ssetest/sse",
		"github.com/google/uuid",
		"github.com/stretchr/testify",
		"golang.org/x/net",
	}, direct)
}
