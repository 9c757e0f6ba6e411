//go:build !weirfault

package processors

// sabotaged is the wire as it is.
func sabotaged(w Wire) Wire { return w }
