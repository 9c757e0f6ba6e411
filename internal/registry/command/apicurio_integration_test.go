//go:build integration && unix

package command_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
)

// clientOfApicurio asks Apicurio with Weir's client for what topologies and the verbs ask a registry for.
func clientOfApicurio(t *testing.T, at string) {
	c, ctx := registrytest.Client(t, at), t.Context()
	inner := registry.Schema{Type: registry.Avro, Text: `{"type":"record","name":"ClientInner","fields":[{"name":"n","type":"long"}]}`}
	if _, err := c.Register(ctx, "client-inner", inner); err != nil {
		t.Fatal(err)
	}
	outer := registry.Schema{Type: registry.Avro, Text: `{"type":"record","name":"ClientOuter","fields":[{"name":"inner","type":"ClientInner"}]}`,
		References: []registry.Reference{{Name: "ClientInner", Subject: "client-inner", Version: 1}}}
	made, err := c.Register(ctx, "client-outer", outer)
	if err != nil || made.Version != 1 || made.ID == 0 {
		t.Fatalf("registered: %+v, %v", made, err)
	}
	if again, err := c.Register(ctx, "client-outer", outer); err != nil || again.ID != made.ID {
		t.Errorf("registered again: %+v, %v", again, err)
	}
	byID, err1 := c.ByID(ctx, made.ID)
	latest, err2 := c.Latest(ctx, "client-outer")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if latest.ID != made.ID || len(byID.Imports) != 1 || len(latest.Imports) != 1 {
		t.Errorf("by its id %+v, the latest %+v", byID, latest)
	}
	if err := c.SetLevel(ctx, "client-outer", "BACKWARD"); err != nil {
		t.Error(err)
	}
	if level, err := c.Level(ctx, "client-outer"); err != nil || level != "BACKWARD" {
		t.Errorf("level %s, %v", level, err)
	}
	// Of schemas with references Apicurio 3.0.9 says that they are none when it is to compare them.
	broken := inner
	broken.Text = `{"type":"record","name":"ClientInner","fields":[{"name":"n","type":"long"},{"name":"more","type":"long"}]}`
	if err := c.SetLevel(ctx, "client-inner", "BACKWARD"); err != nil {
		t.Error(err)
	}
	if reasons, err := c.Check(ctx, "client-inner", broken); err != nil || len(reasons) == 0 {
		t.Errorf("the check: %v, %v", reasons, err)
	}
	if _, err := c.Register(ctx, "client-inner", broken); !errors.Is(err, registry.ErrIncompatible) {
		t.Errorf("an incompatible one: %v", err)
	}
	_, err1 = c.ByID(ctx, 1<<30)
	_, err2 = c.Latest(ctx, "client-nothing")
	_, err3 := c.Lookup(ctx, "client-inner", broken)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("what is not there: %v", err)
		}
	}
	names, err := c.Subjects(ctx, false)
	if err != nil || !slices.Contains(names, "client-outer") {
		t.Errorf("subjects %q, %v", names, err)
	}
	if versions, err := c.Versions(ctx, "client-outer", false); err != nil || !slices.Equal(versions, []int{1}) {
		t.Errorf("versions %v, %v", versions, err)
	}
	if _, err := c.DeleteSubject(ctx, "client-outer", false); err != nil {
		t.Error(err)
	}

	type order struct {
		ID string `avro:"id"`
	}
	codec := avro.Bound[order](c, registry.Binding{})
	r := codecs.Record{Topic: "client.order.v1"}
	if err := codec.Prepare(codecs.Preparation{Context: ctx, Record: r, Register: true}); err != nil {
		t.Fatal(err)
	}
	value, _, err := codec.AppendIn(&r, nil, order{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := avro.Bound[order](registrytest.Client(t, at), registry.Binding{}).ParseIn(&r, value); err != nil || v.ID != "a" {
		t.Errorf("%+v, %v", v, err)
	}
}
