// The benchmarks of this package hold ssetest side by side with what people write by hand, with the least that can be done, and with other libraries.
//
// Times mean nothing on a machine that is shared; the script run has the contenders take turns, and gives ratios.
package bench_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// A contender is one way to do what a family of benchmarks is about.
type contender struct {
	name string

	// prepare makes what is timed. It does the thing once before, and looks at the outcome. A wrong one is an error: it is reported, and not timed,
	// and of ours, and of those that others are compared with, it fails the benchmark.
	prepare func(tb testing.TB) (do func(), wrong error)
}

// run times the contenders. The name of a sub-benchmark is made for benchstat.
func run(b *testing.B, contenders []contender) {
	b.Helper()
	for _, c := range contenders {
		b.Run("contender="+c.name, func(b *testing.B) {
			do := c.ready(b)
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

// ready returns what is timed, or ends the benchmark where its outcome is wrong.
func (c contender) ready(b *testing.B) func() {
	do, wrong := c.prepare(b)
	switch {
	case wrong == nil:
		return do
	case slices.Contains([]string{"hand", "limit"}, c.name) || strings.HasPrefix(c.name, "ssetest"):
		b.Fatalf("the outcome is wrong: %v", wrong)
	default:
		fmt.Fprintf(os.Stderr, "%s: not timed, since the outcome is wrong: %.200v\n", b.Name(), wrong)
		b.SkipNow()
	}
	return nil
}
