package cli_test

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-ssetest/sse/internal/cli"
)

func TestLeave(t *testing.T) {
	type at struct {
		after  time.Duration
		signal os.Signal
	}
	for name, c := range map[string]struct {
		signals []at
		code    int
		after   time.Duration
	}{
		"one signal, and something that does not end":  {[]at{{0, os.Interrupt}}, 0, 1900 * time.Millisecond},
		"the same again, as timeout sends it":          {[]at{{0, syscall.SIGTERM}, {time.Millisecond, syscall.SIGTERM}}, 0, 1900 * time.Millisecond},
		"the same again, by somebody who is impatient": {[]at{{0, os.Interrupt}, {500 * time.Millisecond, os.Interrupt}}, 130, 500 * time.Millisecond},
		"another":      {[]at{{0, os.Interrupt}, {0, syscall.SIGTERM}}, 130, 0},
		"twice, twice": {[]at{{0, os.Interrupt}, {0, os.Interrupt}, {time.Second, os.Interrupt}, {0, os.Interrupt}}, 130, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, 8)
				go func() {
					for _, s := range c.signals {
						time.Sleep(s.after)
						signals <- s.signal
					}
				}()
				stopped := false
				start := time.Now()
				assert.Equal(t, c.code, cli.Leave(signals, func() { stopped = true }))
				assert.True(t, stopped)
				assert.Equal(t, c.after, time.Since(start))
			})
		})
	}
}
