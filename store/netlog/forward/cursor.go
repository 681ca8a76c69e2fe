package forward

// Overlap is how many records a new connection repeats: those that may have been in the buffers of the one before. A
// record is about a kilobyte, so they are about a megabyte, which is what the two kernels hold between them by default.
const Overlap = 1024

// gap is the records [from, to).
type gap struct{ from, to uint64 }

// cursor is where the forwarding is in the log.
type cursor struct {
	next  uint64 // the record to write next
	high  uint64 // records below were written at least once, or skipped
	floor uint64 // nothing below is sent again: before the first record, or skipped
	gap   gap    // the last one skipped, with what was unsure in front of it
}

func newCursor(from uint64) cursor { return cursor{next: from, high: from, floor: from} }

// unsure is the first record that the collector may not have got.
func (c *cursor) unsure() uint64 { return max(c.floor, c.high-min(c.high, Overlap)) }

// rewind goes to where a new connection begins. It returns the gap right in front, whose message may be among what was
// lost, or a zero one.
func (c *cursor) rewind() gap {
	c.next = c.unsure()
	if c.next == c.gap.to {
		return c.gap
	}
	return gap{}
}

// wrote notes that the record at next was written.
func (c *cursor) wrote() {
	c.next++
	c.high = max(c.high, c.next)
}

// skip goes on at to. It returns the gap for the collector to be told of, and how many records were never written.
func (c *cursor) skip(to uint64) (told gap, lost uint64) {
	told, lost = gap{c.next, to}, to-min(c.high, to)
	from := c.unsure()
	if c.gap.to > 0 && from == c.gap.to {
		from = c.gap.from
	}
	c.gap = gap{from, to}
	c.next, c.floor, c.high = to, to, max(c.high, to)
	return told, lost
}

// behind is where to skip to when the log has size records, or 0 when the lag is within its bound. Half of the bound is
// left: skipping one record at a time would make a message of each.
func (c *cursor) behind(size, maxLag uint64) uint64 {
	if size-min(c.next, size) <= maxLag {
		return 0
	}
	return size - maxLag/2
}
