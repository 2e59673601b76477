package memnet

import (
	"net"
	"os"
	"sync"
	"time"
)

// A pipe is one direction of a connection. Who waits for it does so in a [sync.Cond], and holds nothing else: in a synctest bubble that is durably blocked,
// and lets the clock run.
type pipe struct {
	bound int

	mu       sync.Mutex // guards what follows; never held over a wait, other than that of changed
	changed  sync.Cond  // one of these has changed
	chunks   [][]byte   // what has been written and not been read, in pieces that are never moved
	size     int        // of them all
	readErr  error      // behind them
	writeErr error
	gone     error // what a read gives whose own end is closed, whatever there is to read

	readBy, writeBy deadline
}

func newPipe(bound int) *pipe {
	p := &pipe{bound: bound}
	p.changed.L = &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.gone != nil:
			return 0, p.gone
		case p.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case p.size > 0:
			return p.take(b), nil
		case p.readErr != nil:
			return 0, p.readErr
		}
		p.changed.Wait()
	}
}

// take moves as much as there is and fits.
func (p *pipe) take(b []byte) int {
	full := p.size >= p.bound
	n := 0
	for n < len(b) && len(p.chunks) > 0 {
		k := copy(b[n:], p.chunks[0])
		n += k
		switch p.chunks[0] = p.chunks[0][k:]; {
		case len(p.chunks[0]) > 0:
		case len(p.chunks) == 1:
			p.chunks[0] = nil
			p.chunks = p.chunks[:0] // and its place is used again
		default:
			p.chunks[0] = nil // the slice moves on over it
			p.chunks = p.chunks[1:]
		}
	}
	p.size -= n
	if full {
		p.changed.Broadcast()
	}
	return n
}

// put appends a copy.
func (p *pipe) put(b []byte) {
	const most = 64 << 10
	p.size += len(b)
	if last := len(p.chunks) - 1; last >= 0 {
		if room := cap(p.chunks[last]) - len(p.chunks[last]); room >= len(b) {
			p.chunks[last] = append(p.chunks[last], b...)
			return
		}
	}
	for len(b) > 0 {
		n := min(len(b), most)
		p.chunks = append(p.chunks, append([]byte(nil), b[:n]...))
		b = b[n:]
	}
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := 0
	for {
		switch {
		case p.writeErr != nil:
			return written, p.writeErr
		case p.writeBy.passed:
			return written, os.ErrDeadlineExceeded
		}
		if room := p.bound - p.size; room > 0 && written < len(b) {
			n := min(room, len(b)-written)
			p.put(b[written : written+n])
			written += n
			p.changed.Broadcast()
		}
		if written == len(b) {
			return written, nil
		}
		p.changed.Wait()
	}
}

// close ends what is written: later writes fail with one error, and reads give another behind what was written before.
// It reports whether nobody has done that before; the first to do so decides, but for a reset.
func (p *pipe) close(writeErr, readErr error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.writeErr != net.ErrClosed
	if first {
		p.writeErr = writeErr
	}
	if p.readErr == nil || isReset(readErr) {
		p.readErr = readErr
	}
	p.changed.Broadcast()
	return first
}

// abandon ends what is read: reads fail with one error, and writes with another.
func (p *pipe) abandon(readErr, writeErr error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = readErr
	p.chunks, p.size = nil, 0
	if p.writeErr == nil {
		p.writeErr = writeErr
	}
	p.changed.Broadcast()
}

// A deadline is that of reads or writes. The pipe's mutex guards it.
type deadline struct {
	timer  *time.Timer
	passed bool
}

func (p *pipe) setDeadline(d *deadline, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	left := time.Until(t)
	d.passed = !t.IsZero() && left <= 0
	if !t.IsZero() && left > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if d.timer == timer { // and not one that was set since
				d.passed = true
				p.changed.Broadcast()
			}
		})
		d.timer = timer
	}
	p.changed.Broadcast()
}
