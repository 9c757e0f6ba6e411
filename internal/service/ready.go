package service

import "github.com/weirstream/weir/processors"

// ready answers probes for what is ready as long as it runs.
type ready struct{}

func (ready) Live() bool                   { return true }
func (ready) Unready() []string            { return nil }
func (ready) Health() []processors.Problem { return nil }
