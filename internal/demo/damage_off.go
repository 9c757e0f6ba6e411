//go:build !weirfault

package demo

import "github.com/weirstream/weir/processors"

// damaged is the wire as the job gets it.
func damaged(w processors.Wire) processors.Wire { return w }
