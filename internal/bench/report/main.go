// Report reads what "go test -bench" has printed, in any number of rounds, and writes what the README has: for the families in which contenders stand beside each other
// the ratios of their medians to what people write by hand, and for those that grow a table. With -plot it draws how the family Scale grows, as an SVG.
package main

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	plot := flag.String("plot", "", "draw the growth of the family Scale into this `file`")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *plot); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(r io.Reader, w io.Writer, plot string) error {
	results, err := read(r)
	if err != nil {
		return err
	}
	writeRatios(w, results)
	writeGrowth(w, results)
	if plot == "" {
		return nil
	}
	return os.WriteFile(plot, []byte(drawScale(results)), 0o644) //nolint:gosec // it is for everybody
}

// A result is what one benchmark has measured, in all rounds.
type result struct {
	family    string               // with its conditions: "Burst/protocol=HTTP1/subscribers=1"
	contender string               // "" where there is only one
	values    map[string][]float64 // by unit
}

// median is that of all rounds.
func (r *result) median(unit string) (float64, bool) {
	values := slices.Sorted(slices.Values(r.values[unit]))
	if len(values) == 0 {
		return 0, false
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2, true
}

// processors is the number of them, which is left out where it is 1.
var processors = regexp.MustCompile(`-\d+$`)

// read collects the results, in the order in which they first came.
func read(r io.Reader) ([]*result, error) {
	var results []*result
	byName := make(map[string]*result)
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		name = processors.ReplaceAllString(name, "")
		found, ok := byName[name]
		if !ok {
			family, contender, _ := strings.Cut(name, "/contender=")
			found = &result{family, contender, make(map[string][]float64)}
			byName[name] = found
			results = append(results, found)
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", scanner.Text(), err)
			}
			found.values[fields[i+1]] = append(found.values[fields[i+1]], value)
		}
	}
	return results, scanner.Err()
}

// bases are the contenders that others are compared with: the first that is there.
var bases = []string{"hand", "limit"}

// writeRatios writes a table of the families with contenders. Where streams are measured it is their bytes, and else the time.
func writeRatios(w io.Writer, results []*result) {
	families, contenders := []string{}, slices.Clone(bases)
	table := make(map[[2]string]*result)
	for _, r := range results {
		if r.contender == "" {
			continue
		}
		if !slices.Contains(families, r.family) {
			families = append(families, r.family)
		}
		if !slices.Contains(contenders, r.contender) {
			contenders = append(contenders, r.contender)
		}
		table[[2]string{r.family, r.contender}] = r
	}
	if len(families) == 0 {
		return
	}
	slices.SortStableFunc(contenders, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	fmt.Fprintf(w, "| | %s | ssetest of limit |\n|---|%s\n", strings.Join(contenders, " | "), strings.Repeat("---|", len(contenders)+1))
	for _, family := range families {
		unit := "ns/op"
		var base float64
		for _, name := range slices.Backward(bases) {
			if r, ok := table[[2]string{family, name}]; ok {
				if _, ok := r.median("B/stream"); ok {
					unit = "B/stream"
				}
				base, _ = r.median(unit)
			}
		}
		fmt.Fprintf(w, "| %s |", family)
		for _, contender := range contenders {
			cell := ""
			if r, ok := table[[2]string{family, contender}]; ok && base > 0 {
				if value, ok := r.median(unit); ok {
					cell = fmt.Sprintf(" %.2f", value/base)
				}
			}
			fmt.Fprintf(w, "%s |", cell)
		}
		cell := ""
		if own, limit := table[[2]string{family, "ssetest"}], table[[2]string{family, "limit"}]; own != nil && limit != nil {
			value, _ := own.median(unit)
			base, _ := limit.median(unit)
			cell = fmt.Sprintf(" %.2f", value/base)
		}
		fmt.Fprintf(w, "%s |\n", cell)
	}
	fmt.Fprintln(w)
	writeFigures(w, results)
}

// goTests are the units that go test has by itself, which mean something only beside each other.
var goTests = []string{"ns/op", "B/op", "allocs/op"}

// writeFigures writes what contenders have measured that means something by itself.
func writeFigures(w io.Writer, results []*result) {
	heading := "| | contender | |\n|---|---|---|\n"
	for _, r := range results {
		if r.contender == "" {
			continue
		}
		var figures []string
		for _, unit := range slices.Sorted(maps.Keys(r.values)) {
			if value, _ := r.median(unit); !slices.Contains(goTests, unit) {
				figures = append(figures, short(value)+" "+unit)
			}
		}
		if len(figures) > 0 {
			fmt.Fprintf(w, "%s| %s | %s | %s |\n", heading, r.family, r.contender, strings.Join(figures, ", "))
			heading = ""
		}
	}
	if heading == "" {
		fmt.Fprintln(w)
	}
}

// rank has the bases first, then ssetest, then the others as they come.
func rank(contender string) int {
	switch {
	case slices.Contains(bases, contender):
		return 0
	case strings.HasPrefix(contender, "ssetest"):
		return 1
	default:
		return 2
	}
}

// writeGrowth writes what has no contenders, with all its figures.
func writeGrowth(w io.Writer, results []*result) {
	for group := range slices.Values(groups(results)) {
		units := []string{}
		for _, r := range group {
			for unit := range r.values {
				if value, _ := r.median(unit); value != 0 && !slices.Contains(units, unit) {
					units = append(units, unit)
				}
			}
		}
		slices.Sort(units)
		fmt.Fprintf(w, "| | %s |\n|---|%s\n", strings.Join(units, " | "), strings.Repeat("---|", len(units)))
		for _, r := range group {
			fmt.Fprintf(w, "| %s |", r.family)
			for _, unit := range units {
				cell := ""
				if value, ok := r.median(unit); ok {
					cell = " " + short(value)
				}
				fmt.Fprintf(w, "%s |", cell)
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
	}
}

// groups are the results without contenders, by the first part of their names.
func groups(results []*result) [][]*result {
	var groups [][]*result
	var last string
	for _, r := range results {
		if r.contender != "" {
			continue
		}
		first, _, _ := strings.Cut(r.family, "/")
		if first != last {
			groups, last = append(groups, nil), first
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], r)
	}
	return groups
}

// short is a number with three digits that mean something.
func short(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}
