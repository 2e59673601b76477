package ssetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// This file is what holds the attempts of an EventSource together: WHATWG HTML, section 9.2.3, Processing model.

// maxAttemptsAtOnce is for a bubble, whose clock stands still while somebody has something to do.
const maxAttemptsAtOnce = 10_000

// run makes one attempt, or as many as it takes, and records how that ended.
func (es *EventSource) run(ctx context.Context) {
	defer close(es.done)
	var g gap
	failures := 0 // in a row
	var instant time.Time
	together := 0 // attempts at that instant
	for {
		if now := time.Now(); now.Equal(instant) {
			together++
		} else {
			instant, together = now, 1
		}
		if together > maxAttemptsAtOnce {
			es.end(ctx, fmt.Errorf("%d attempts at one instant of virtual time, whose clock would never go on; set OpenConfig.ReconnectionTime", maxAttemptsAtOnce))
			return
		}
		wasOpen, err := es.attempt(ctx, g)
		if wasOpen {
			g, failures = gap{since: time.Now()}, 0
		} else {
			failures++
		}
		switch {
		case ctx.Err() != nil, !es.cfg.Reconnect, errors.As(err, new(final)):
			es.end(ctx, err)
			return
		case es.cfg.MaxAttempts > 0 && failures >= es.cfg.MaxAttempts:
			es.end(ctx, fmt.Errorf("%s in a row failed, the last with: %w", count(failures, "attempt"), err))
			return
		}
		if errors.Is(err, ErrReadTimeout) || errors.Is(err, errNoResponse) {
			es.cfg.Client.CloseIdleConnections() // the connection may be dead, which HTTP/2 would not notice
		}
		delay := es.breaks(ctx, err, failures)
		g.planned += delay
		if !sleep(ctx, delay) {
			es.end(ctx, err)
			return
		}
	}
}

// breaks takes note that the stream has broken, or an attempt has failed, and returns for how long to wait.
func (es *EventSource) breaks(ctx context.Context, err error, failures int) time.Duration {
	if err == io.EOF {
		err = fmt.Errorf("%s: the stream has ended: %w", es.name, err)
	} else {
		err = fmt.Errorf("%s: %w", es.name, err)
	}
	es.mu.Lock()
	es.state = StateConnecting
	es.ended = es.attempts
	es.failure = err
	reconnection := es.reconnection
	es.mu.Unlock()
	es.put(ctx, arrival{at: time.Now(), what: &happening{kind: failed, err: err}})
	return es.cfg.delay(reconnection, failures)
}

// delay is for how long to wait before the next attempt: the reconnection time, and more where attempts keep failing.
func (c *OpenConfig) delay(reconnection time.Duration, failures int) time.Duration {
	d := reconnection
	if failures > 1 && c.MaxBackoff >= 0 {
		d = max(d, time.Millisecond) // or it could not grow
	}
	for range failures - 1 {
		if d >= c.MaxBackoff-d {
			return max(reconnection, c.MaxBackoff)
		}
		d *= 2
	}
	return d
}

// sleep waits, and reports false where the context is done first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// end records how the stream ended.
func (es *EventSource) end(ctx context.Context, err error) {
	var last final
	if errors.As(err, &last) {
		err = last.error
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	if es.err != nil {
		return
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		if es.failure != nil && !es.begun && !errors.Is(err, errNoResponse) {
			err = fmt.Errorf("%w; the last of %s has failed: %w", err, count(es.attempts, "attempt"), es.failure)
		}
	}
	switch {
	case errors.Is(err, ErrClosed), err == io.EOF:
	case !es.begun:
		err = fmt.Errorf("ssetest: opening %s: %w", es.name, err)
	case ctx.Err() != nil:
		err = fmt.Errorf("ssetest: %s: %w", es.name, err)
	default:
		err = fmt.Errorf("%s: %w", es.name, err)
	}
	es.err = err
	es.state = StateClosed
	es.changed.raise()
}
