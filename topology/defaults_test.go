package topology_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// Parts beside the nodes hold for the nodes that say nothing of their kind, wherever they stand, and for no others.
//
// Mutations seen to fail it: said that returns the defaults first; add without each of the three.
func TestWhatHoldsForEveryNode(t *testing.T) {
	nothing := func(topology.Context, string, string) error { return nil }
	on := func(name string) topology.Part { return topology.On(topology.Stream(name, codecs.String()), nothing) }
	p, err := topology.Define("t",
		topology.Node("silent", on("a.one.v1")),
		topology.Retry(topology.Backoff{Attempts: 9}),
		topology.DeadLetter("a.all.v1"),
		topology.PassHeaders("x"),
		topology.Node("speaks", on("a.two.v1"), topology.Retry(topology.Backoff{Attempts: 2, First: time.Second}), topology.DeadLetter("a.mine.v1"), topology.PassHeaders("y", "z")),
		topology.Node("half", on("a.three.v1"), topology.Retry(topology.Backoff{})),
	).Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range p.Subgraphs {
		n := g.Nodes[0]
		got = append(got, fmt.Sprintf("%s tries %d times, then %s, passes %v", n.Name, n.Retry.Attempts, p.DeadLetter(n, &plan.Stream{Name: "in"}), n.PassHeaders))
	}
	want := "silent tries 9 times, then a.all.v1, passes [x]; speaks tries 2 times, then a.mine.v1, passes [y z]; half tries 3 times, then a.all.v1, passes [x]"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// Mutations seen to fail it: each case of Define and of Node left out; defaults that are not checked.
func TestPartsInTheWrongPlaceAreMistakes(t *testing.T) {
	in := topology.Stream("a.in.v1", codecs.String())
	on := topology.On(in, func(topology.Context, string, string) error { return nil })
	node := topology.Node("n", on)
	for words, parts := range map[string][]topology.Part{
		"the topology: has a part beside its nodes that belongs into one": {node, topology.Emits(in)},
		"node outer: has node n among its parts":                          {topology.Node("outer", on, node)},
		"the topology: has 2 Retry parts":                                 {node, topology.Retry(topology.Backoff{}), topology.Retry(topology.Backoff{})},
		"the topology: has 2 DeadLetter parts":                            {node, topology.DeadLetter("a"), topology.DeadLetter("b")},
		"the topology: its Backoff has -1 Attempts":                       {node, topology.Retry(topology.Backoff{Attempts: -1})},
		`the topology: passes the header "weir.x" on`:                     {node, topology.PassHeaders("weir.x")},
		"the topology: has an empty node":                                 {node, topology.Part{}},
	} {
		if err := topology.Define("t", parts...).Check(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}
