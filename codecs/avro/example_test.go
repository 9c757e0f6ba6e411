package avro_test

import (
	"log"
	"os"
	"strings"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/registry"
	"github.com/weirstream/weir/topology"
)

type OrderPlaced struct {
	OrderID     string `avro:"order_id"`
	CustomerID  string `avro:"customer_id"`
	AmountCents int64  `avro:"amount_cents"`
}

func program() {
	schemas, err := registry.New(registry.Config{URLs: []string{"http://127.0.0.1:8081"}})
	if err != nil {
		log.Fatal(err)
	}
	defer schemas.Close()
	placed := topology.Stream("order.placed.v1", avro.Bound[OrderPlaced](schemas, registry.Binding{}))
	large := topology.Stream("order.found_large.v1", avro.Bound[OrderPlaced](schemas, registry.Binding{}))
	weir.Main(topology.Define("large", topology.Node("find",
		topology.On(placed, func(ctx topology.Context, key string, o OrderPlaced) error {
			if o.AmountCents < 1000 {
				return ctx.Drop(topology.Filtered)
			}
			large.Emit(ctx, key, o)
			return nil
		}), topology.Emits(large))))
}

// What docs/schemas.md shows is what stands here, compiled.
func TestThePageShowsWhatCompiles(t *testing.T) {
	page, err1 := os.ReadFile("../../docs/schemas.md")
	file, err2 := os.ReadFile("example_test.go")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	_, after, ok := strings.Cut(string(page), "```go\n")
	code, _, _ := strings.Cut(after, "```")
	_ = program
	if !ok || !strings.Contains(string(file), strings.TrimSpace(code)) {
		t.Errorf("docs/schemas.md shows code that this file does not have:\n%s", code)
	}
}
