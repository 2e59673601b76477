package h2conn

// Codes is the number of streams that Write looks for. One that stayed behind would have each write copied.
func (c *Conn) Codes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codes
}
