package ssetest

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Chaos makes a server unreliable, in a way that can be repeated. [Server.Chaos] puts it in force.
//
// The probabilities are between 0 and 1, and hold for each event of each stream. An event is what begins with a line that is no comment,
// and ends with a blank line.
type Chaos struct {
	_ [0]func() // may get fields that can't be compared

	// Seed is what every draw is made from. 0 is a seed like any other.
	Seed uint64

	// Abort is how probable it is that the stream is broken off within the event, as by [Abort].
	// Less than the whole event is sent, in many cases nothing of it.
	Abort float64

	// Reset is how probable it is that the connection is broken off within the event, as by [ResetConn].
	// Abort and Reset exclude each other, and must not be more than 1 together.
	Reset float64

	// Split is how probable it is that the event is sent in small pieces, each of them flushed, as by [Split].
	Split float64

	// Duplicate is how probable it is that the event is sent twice.
	Duplicate float64

	// Delay is how long an event may be held back at most. Each is, for a time that is drawn.
	Delay time.Duration
}

func (c Chaos) check() error {
	for _, p := range []struct {
		name  string
		value float64
	}{{"Abort", c.Abort}, {"Reset", c.Reset}, {"Split", c.Split}, {"Duplicate", c.Duplicate}, {"Abort and Reset together", c.Abort + c.Reset}} {
		if !(p.value >= 0 && p.value <= 1) { // NaN is neither
			return fmt.Errorf("%s is %v; a probability must be 0 to 1", p.name, p.value)
		}
	}
	return notNegative("Delay", c.Delay)
}

// Chaos makes every endpoint of the server unreliable from now on: letters, topics, scripts, feeds and event streams of your own handlers.
// Streams that are open already stay as they are. A later call takes the place of an earlier one; the zero Chaos ends it.
//
// What happens to an event depends on the seed, the pattern of the endpoint, the number of the request on that pattern since the call (but for HEAD; one that gets
// no stream counts, too), and the number of the event on the stream, and on nothing else: the same requests get the same faults. A test that has failed shows
// the seed and what was done to which event.
//
// An event that is to be broken off or sent twice is held back until it is complete. What is disturbed is not checked for
// events that nobody took: see [Stream]. Chaos panics where a field is out of its range.
func (s *Server) Chaos(c Chaos) {
	if err := c.check(); err != nil {
		panic(fmt.Sprintf("ssetest: Chaos: %v", err))
	}
	var next *chaos
	if c.Abort+c.Reset+c.Split+c.Duplicate > 0 || c.Delay > 0 {
		next = &chaos{Chaos: c, streams: make(map[string]uint64)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chaos = next
	if next != nil {
		s.chaosRun = append(s.chaosRun, next)
		s.chaosRun = s.chaosRun[max(0, len(s.chaosRun)-maxListed):]
	}
}

// chaos is a Chaos in force.
type chaos struct {
	Chaos

	mu      sync.Mutex // guards what follows
	streams map[string]uint64
	plan    []string // what was done
	more    int      // than is kept
}

// maxPlan bounds what is kept of the plan.
const maxPlan = 200

// next numbers a request, by the pattern that it is answered by.
func (c *chaos) next(pattern string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[pattern]++
	return c.streams[pattern]
}

// record adds to the plan.
func (c *chaos) record(d *disturbance, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.plan) == maxPlan {
		c.more++
		return
	}
	c.plan = append(c.plan, fmt.Sprintf("%s, stream %d, event %d: %s", d.outlet.pattern, d.number, d.event, what))
}

// describe is the seed and the plan, for a test that has failed.
func (c *chaos) describe(most int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "chaos with seed %d: %s disturbed\n", c.Seed, count(len(c.plan)+c.more, "event"))
	shown := c.plan[:min(len(c.plan), most)]
	for _, line := range shown {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if more := len(c.plan) - len(shown) + c.more; more > 0 {
		fmt.Fprintf(&b, "  … and %d more\n", more)
	}
	return b.String()
}

// A fate is what happens to one event.
type fate struct {
	abort, reset bool
	at           uint64 // where it is broken off, in parts of 2^64 of its length
	piece        int    // how large its pieces are; 0: it is not split
	twice        bool
	delay        time.Duration
}

// maxPiece is the largest piece that a split event is sent in.
const maxPiece = 16

// fate draws what happens to an event. All draws are made in any case, so that none of them depends on another's probability.
func (c *chaos) fate(pattern string, stream, event uint64) fate {
	source := new(rand.ChaCha8)
	seed(c.Seed).seed(source, fmt.Sprintf("chaos %d %s", stream, pattern), event)
	end, at := draw(source), source.Uint64()
	divided, piece := draw(source) < c.Split, scale(source, maxPiece)
	f := fate{abort: end < c.Abort, at: at, twice: draw(source) < c.Duplicate, delay: time.Duration(scale(source, uint64(c.Delay)))}
	f.reset = !f.abort && end < c.Abort+c.Reset
	if divided {
		f.piece = int(piece) + 1
	}
	return f
}

// draw returns a number from 0 to 1, without the latter. rand's own may change from release to release.
func draw(source *rand.ChaCha8) float64 { return float64(source.Uint64()>>11) / (1 << 53) }

// scale returns a number from 0 to n, without the latter.
func scale(source *rand.ChaCha8, n uint64) uint64 {
	high, _ := bits.Mul64(source.Uint64(), n)
	return high
}

// String says what happens to an event, as the plan does; "" where nothing does.
func (f fate) String() string {
	var all []string
	if f.delay > 0 {
		all = append(all, fmt.Sprintf("held back for %v", f.delay))
	}
	if f.piece > 0 {
		all = append(all, fmt.Sprintf("sent in pieces of %d", f.piece))
	}
	if f.twice && !f.abort && !f.reset {
		all = append(all, "sent twice")
	}
	return strings.Join(all, ", ")
}
