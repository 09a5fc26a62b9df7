//go:build !unix

package h1

// alive cannot be known here before the connection is used.
func (c *conn) alive() bool { return true }
