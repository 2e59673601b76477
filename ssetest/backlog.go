package ssetest

import "sync"

// A backlog has arrivals in their order. It is made of blocks, so that one that grows has nothing to move.
type backlog struct {
	size        int
	first, last *block // nil where it is empty
	taken       int    // of the first block
	filled      int    // of the last block
}

type block struct {
	arrivals [maxArrivals]arrival
	next     *block
}

// blocks are used again, by whatever stream.
var blocks = sync.Pool{New: func() any { return new(block) }}

func (b *backlog) push(a arrival) {
	if b.last == nil || b.filled == len(b.last.arrivals) {
		added := blocks.Get().(*block)
		if b.last == nil {
			b.first = added
		} else {
			b.last.next = added
		}
		b.last, b.filled = added, 0
	}
	b.last.arrivals[b.filled] = a
	b.filled++
	b.size++
}

// pop takes the first, which there must be.
func (b *backlog) pop() arrival {
	from := b.first
	a := from.arrivals[b.taken]
	from.arrivals[b.taken] = arrival{} // it is the caller's now
	b.taken++
	b.size--
	switch {
	case b.size == 0:
		*b = backlog{}
	case b.taken == len(from.arrivals):
		b.first, b.taken = from.next, 0
	default:
		return a
	}
	from.next = nil
	blocks.Put(from)
	return a
}

// all yields what is there, from the first.
func (b *backlog) all(yield func(*arrival) bool) {
	left, i := b.size, b.taken
	for from := b.first; left > 0; from, i = from.next, 0 {
		for ; i < len(from.arrivals) && left > 0; i++ {
			if left--; !yield(&from.arrivals[i]) {
				return
			}
		}
	}
}
