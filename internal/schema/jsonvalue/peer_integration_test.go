//go:build integration && unix

package jsonvalue_test

import (
	_ "embed"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

var (
	pairs = flag.Int("pairs", 5000, "how many schemas and documents another implementation is asked about")
	seed  = flag.Uint64("seed", 1, "what the schemas and documents are made from; 0: the time")
)

//go:embed testdata/peer.py
var peer string

// What is valid here is valid for another implementation, that of Python, and the other way round: over schemas and documents that are made up
// of each other's parts, so that some fit and some do not.
//
// Mutations seen to fail it: Parse without enumsOnce; without refsAlone.
func TestAnotherImplementationSaysTheSame(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	g := generator{rand.New(rand.NewPCG(*seed, 0)), true}
	var all [][2]json.RawMessage // a schema and a document
	for range *pairs {
		all = append(all, [2]json.RawMessage{g.json(g.whole(3)), g.json(g.document(3))})
	}
	answers := strings.Fields(registrytest.Ask(t, registrytest.Confluent(t, peer), all).String())
	if len(answers) != len(all) {
		t.Fatalf("%d answers to %d questions", len(answers), len(all))
	}
	count, differ := map[string]int{}, 0
	for i, p := range all {
		verdict := "true"
		if schema, err := jsonvalue.Compile(string(p[0]), nil); err != nil {
			verdict = "null"
		} else if schema.Check(p[1]) != nil {
			verdict = "false"
		}
		count[verdict]++
		if verdict != answers[i] {
			if differ++; differ <= 10 {
				t.Errorf("%s by %s: %s, and the other says %s", p[1], p[0], verdict, answers[i])
			}
		}
	}
	t.Logf("seed %d: %v, %d differ", *seed, count, differ)
	if count["true"] < len(all)/10 || count["false"] < len(all)/10 {
		t.Errorf("%v: nothing is shown by documents of which nearly all have one verdict", count)
	}
}
