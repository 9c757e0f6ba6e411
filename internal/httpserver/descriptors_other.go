//go:build !unix

package httpserver

// descriptors is how many files this process may have open: these systems have no small limit.
func descriptors() uint64 { return mostConnections * descriptorShare }
