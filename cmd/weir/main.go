// Weir is the framework's own command line, around the reference job customer-totals, with a demo that needs no Kafka:
//
//	go run ./cmd/weir demo
package main

import (
	"os"

	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/demo"
)

func main() {
	root := cli.New("weir", orders.Totals)
	root.AddCommand(demo.Command())
	os.Exit(cli.Main(root))
}
