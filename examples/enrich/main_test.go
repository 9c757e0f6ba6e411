package main

import (
	"testing"

	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// Mutation seen to fail it: an unknown customer that is passed on.
func TestAnOrderGetsItsCustomer(t *testing.T) {
	d := topologytest.New(t, enrichment, topologytest.Partitions(3))
	d.Global("customer.profile.v1", "c7", []byte(`{"name":"Ada","country":"UK"}`))
	r := d.Send("order.placed.v1", "o1", []byte(`{"customer":"c7","cents":1999}`))
	if want := `order.enriched.v1 o1: {"customer":"c7","cents":1999,"name":"Ada","country":"UK"}`; r.Err != nil || len(r.Emitted) != 1 || r.Emitted[0].String() != want {
		t.Errorf("%+v, want %s", r, want)
	}
	d.Global("customer.profile.v1", "c7", nil)
	if r := d.Send("order.placed.v1", "o2", []byte(`{"customer":"c7"}`)); !topology.IsRejected(r.Err) {
		t.Errorf("an order of a customer who is gone: %+v", r)
	}
}
