package cli

import (
	"os"
	"time"
)

const (
	// leavePatience is how long the process may take to end its streams: whatever holds it up, such as a log that nobody reads, it leaves then.
	leavePatience = 1900 * time.Millisecond

	// oneSignal is how long the same signal may come again and mean the same: whoever signals a process, and then its group, signals it twice.
	oneSignal = 100 * time.Millisecond
)

// Leave waits for a signal, and calls stop. It returns the exit code of a process that has to leave at once, which it has when another signal comes, or it takes too long.
func Leave(signals <-chan os.Signal, stop func()) int {
	first := <-signals
	stop()
	start := time.Now()
	timer := time.NewTimer(leavePatience)
	defer timer.Stop()
	for {
		select {
		case next := <-signals:
			if next != first || time.Since(start) > oneSignal {
				return ExitInterrupted
			}
		case <-timer.C:
			return exitOK
		}
	}
}
