package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// chaosValue is the flag -chaos.
type chaosValue struct {
	text  string
	chaos ssetest.Chaos
}

func (v *chaosValue) String() string { return v.text }

// Set reads faults: names and values with commas between them.
func (v *chaosValue) Set(text string) error {
	var chaos ssetest.Chaos
	probabilities := map[string]*float64{"abort": &chaos.Abort, "reset": &chaos.Reset, "split": &chaos.Split, "duplicate": &chaos.Duplicate}
	for _, setting := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(setting), "=")
		if !ok {
			return fmt.Errorf("%q has no value; it is written as in abort=0.1", setting)
		}
		var err error
		switch p := probabilities[name]; {
		case p != nil:
			*p, err = strconv.ParseFloat(value, 64)
			if err != nil || !(*p >= 0 && *p <= 1) { // NaN is neither
				return fmt.Errorf("%s is %q; a probability must be a number from 0 to 1", name, value)
			}
		case name == "delay":
			chaos.Delay, err = time.ParseDuration(value)
			if err != nil || chaos.Delay < 0 {
				return fmt.Errorf("delay is %q; it must be a time, as in delay=200ms", value)
			}
		case name == "seed":
			if chaos.Seed, err = strconv.ParseUint(value, 10, 64); err != nil {
				return fmt.Errorf("seed is %q; it must be a number, as in seed=7", value)
			}
		default:
			return fmt.Errorf("there is no fault %q; there are abort, reset, split, duplicate, delay, and the seed", name)
		}
	}
	if chaos.Abort+chaos.Reset > 1 {
		return errors.New("abort and reset are more than 1 together, but they exclude each other")
	}
	v.text, v.chaos = text, chaos
	return nil
}
