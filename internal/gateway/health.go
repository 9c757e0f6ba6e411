package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/processors"
)

// The kinds of problems of a gateway.
const (
	problemPeer     = "peer"     // the gateway that owns the ids lives, and cannot be asked
	problemRegistry = "registry" // the schema registry cannot be asked
	problemIssuer   = "issuer"   // the keys of the tokens' issuer cannot be had
)

// Watch looks until ctx ends whether the gateway can reach what it needs, also while no events come.
func (g *Gateway) Watch(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		g.Look(ctx)
		if c := g.clients.Load(); c != nil && c.JWT != nil && c.JWT.troubled() != nil {
			c.Check(ctx, g.Log)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Look asks the schema registry whether it is there, if nobody else has lately.
func (g *Gateway) Look(ctx context.Context) { g.schemas.look(ctx) }

// Live says whether the process can go on as it is: what it waits for is outside, and no restart mends that.
func (g *Gateway) Live() bool { return true }

// Unready is why no event of a topic with a schema would be taken: the registry has not answered since the start, so no schema is known. Later the known ones are used.
func (g *Gateway) Unready() []string {
	if why, _, never := g.schemas.silent(); why != nil && never {
		return []string{fmt.Sprintf("the schema registry has not answered yet: %v", why)}
	}
	return nil
}

// Health is what a person should look at. Empty is healthy.
func (g *Gateway) Health() (list []processors.Problem) {
	if e := g.once.estranged(); e != nil {
		list = append(list, processors.Problem{Kind: problemPeer, Cause: "events of topics that take each id once are refused: " + e.Error(), Remedy: e.remedy})
	}
	if why, since, never := g.schemas.silent(); why != nil {
		effect := "schemas that are known stay in use"
		if never {
			effect = "it has not answered since the start, so no schema is known, and events are refused"
		}
		list = append(list, processors.Problem{Kind: problemRegistry, Cause: fmt.Sprintf("the schema registry cannot be asked, since %s: %v; %s", since.UTC().Format(time.RFC3339), why, effect),
			Remedy: "look whether it runs and can be reached from here, and at --registry and the flags that begin with --registry-"})
	}
	if c := g.clients.Load(); c != nil && c.JWT != nil {
		if err := c.JWT.troubled(); err != nil {
			list = append(list, processors.Problem{Kind: problemIssuer, Cause: fmt.Sprintf("the keys of the issuer %s cannot be had: %s", c.JWT.issuer, shortened(err.Error())),
				Remedy: "look at issuer and jwks in the file of clients, and whether they can be reached from here"})
		}
	}
	return list
}
