package topology

import "github.com/weirstream/weir/internal/plan"

// NewContext makes a Context that is valid for ever.
func NewContext(run plan.Runtime) Context { return Context{plan.NewScope(run, 0, nil).Begin()} }
