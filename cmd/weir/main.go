// Weir is the framework's own command line, around the reference job customer-totals, with a demo that needs no Kafka:
//
//	go run ./cmd/weir demo
package main

import (
	"os"

	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/demo"
	"github.com/weirstream/weir/internal/dev"
	event "github.com/weirstream/weir/internal/event/command"
	gateway "github.com/weirstream/weir/internal/gateway/command"
	"github.com/weirstream/weir/internal/registry/command"
	_ "github.com/weirstream/weir/replay/cel"
	"github.com/weirstream/weir/topology"
)

func main() {
	root := cli.Program{Name: "weir", Topologies: []*topology.Topology{orders.Totals}, Examples: true}.Command()
	root.AddCommand(demo.Command(), dev.Command(), gateway.Gateway(), event.Event(), command.Registry(), command.Schema())
	os.Exit(cli.Main(root))
}
