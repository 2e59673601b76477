package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The plot has one panel for each figure, with both scales logarithmic: what grows with the streams alone is a straight line at 45 degrees, and what is the same for each
// stream is a level one.
const (
	panelWidth, panelHeight = 340, 260
	marginLeft, marginTop   = 62, 34
	marginRight, marginFoot = 30, 40
)

var panels = []struct{ unit, title string }{
	{"open-ms", "opening them all, ms"},
	{"event-ms", "one event to all, ms"},
	{"close-ms", "closing, ms"},
	{"B/stream", "bytes of each stream"},
}

var colours = map[string]string{"Loopback": "#1f6feb", "InMemory": "#bf5700"}

// drawScale draws the family Scale.
func drawScale(results []*result) string {
	type point struct{ x, y float64 }
	lines := make(map[string]map[string][]point) // by unit and network
	for _, r := range results {
		parts := strings.Split(r.family, "/")
		if parts[0] != "Scale" || len(parts) != 3 {
			continue
		}
		network := strings.TrimPrefix(parts[1], "network=")
		streams, err := strconv.ParseFloat(strings.TrimPrefix(parts[2], "streams="), 64)
		if err != nil || streams <= 0 {
			continue
		}
		for _, p := range panels {
			if value, ok := r.median(p.unit); ok && value > 0 { // nothing else has a place on such a scale
				if lines[p.unit] == nil {
					lines[p.unit] = make(map[string][]point)
				}
				lines[p.unit][network] = append(lines[p.unit][network], point{streams, value})
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", 2*panelWidth, 2*panelHeight)
	fmt.Fprintf(&b, "<title>How the server grows with its streams</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n")
	for i, p := range panels {
		low, high := math.Inf(1), math.Inf(-1)
		for _, line := range lines[p.unit] {
			for _, at := range line {
				low, high = min(low, math.Floor(math.Log10(at.y))), max(high, math.Ceil(math.Log10(at.y)))
			}
		}
		if low > high {
			continue
		}
		high = max(high, low+1)
		left, top := float64(i%2*panelWidth+marginLeft), float64(i/2*panelHeight+marginTop)
		width, height := float64(panelWidth-marginLeft-marginRight), float64(panelHeight-marginTop-marginFoot)
		const most = 5 // 100,000 streams
		x := func(streams float64) float64 { return left + width*math.Log10(streams)/most }
		y := func(value float64) float64 { return top + height*(high-math.Log10(value))/(high-low) }
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" font-weight="bold">%s</text>`+"\n", left, top-14, p.title)
		for power := 0; power <= most; power++ {
			at := x(math.Pow10(power))
			fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f" stroke="#dddddd"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", at, top, top+height, at, top+height+16, power10(power))
		}
		for power := int(low); power <= int(high); power++ {
			at := y(math.Pow10(power))
			fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1f" stroke="#dddddd"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", left, at, left+width, left-6, at+4, power10(power))
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">streams</text>`+"\n", left+width/2, top+height+32)
		for j, network := range []string{"Loopback", "InMemory"} {
			if len(lines[p.unit][network]) == 0 {
				continue
			}
			var path strings.Builder
			for k, at := range lines[p.unit][network] {
				fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(k, 1)], x(at.x), y(at.y))
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(at.x), y(at.y), colours[network])
			}
			fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colours[network])
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", left+8, top+16+float64(16*j), colours[network], network)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// power10 is a power of ten as people write it.
func power10(power int) string {
	switch {
	case power < 0:
		return strconv.FormatFloat(math.Pow10(power), 'f', -power, 64)
	case power < 3:
		return strconv.Itoa(int(math.Pow10(power)))
	case power < 6:
		return strconv.Itoa(int(math.Pow10(power-3))) + ",000"
	default:
		return strconv.Itoa(int(math.Pow10(power-6))) + ",000,000"
	}
}
