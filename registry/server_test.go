package registry_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	server "github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/registry"
)

const (
	inner = `{"type":"record","name":"Inner","fields":[{"name":"n","type":"long"}]}`
	outer = `{"type":"record","name":"Outer","fields":[{"name":"inner","type":"Inner"}]}`
	wider = `{"type":"record","name":"Outer","fields":[{"name":"inner","type":"Inner"},{"name":"more","type":"long"}]}`
)

// The client against Weir's server, and the reader of the topic beside it: what was registered is found by id, GUID and subject, with what
// it refers to, and an incompatible version is refused with its rule.
//
// A path in the URL that is wrong says of nothing that it is not there.
//
// Mutations seen to fail it: Check without verbose; a refusal without its Reasons; an import too many; judge without noPath, and without its 405.
func TestAgainstWeirsServer(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	wire, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	if _, err := server.OpenReader(t.Context(), wire, "_schemas", zap.NewNop()); err == nil {
		t.Error("a topic that is not there is read")
	}
	log, err := server.OpenLog(t.Context(), wire, "_schemas", 1, "http://127.0.0.1:1", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	web := httptest.NewServer(server.New(log, http.DefaultClient, zap.NewNop()))
	t.Cleanup(web.Close)
	reader, err := server.OpenReader(t.Context(), wire, "_schemas", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reader.Close)
	c, ctx := client(t, registry.Config{URLs: []string{web.URL}}), t.Context()

	for _, level := range []error{c.SetLevel(ctx, "", "FULL"), c.SetLevel(ctx, "outer/value", "BACKWARD"), c.SetMode(ctx, "other", "READONLY", false)} {
		if level != nil {
			t.Fatal(level)
		}
	}
	if _, err := c.Register(ctx, "inner", registry.Schema{Type: registry.Avro, Text: inner}); err != nil {
		t.Fatal(err)
	}
	schema := registry.Schema{Text: outer, References: []registry.Reference{{Name: "Inner", Subject: "inner", Version: 1}}}
	made, err := c.Register(ctx, "outer/value", schema)
	if err != nil || made.Version != 1 || made.GUID == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	for name, source := range map[string]registry.Source{"the client": c, "the reader": reader} {
		byID, err1 := source.ByID(ctx, made.ID)
		byGUID, err2 := source.ByGUID(ctx, made.GUID)
		latest, err3 := source.Latest(ctx, "outer/value")
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, found := range []*registry.Registered{byID, byGUID, latest} {
			if found.Text != made.Text || !slices.Equal(found.Imports, []registry.Import{{Name: "Inner", Text: inner}}) {
				t.Errorf("%s: %+v", name, found)
			}
		}
		if latest.Subject != "outer/value" || latest.ID != made.ID || byID.GUID != made.GUID || byID.Subject != "" {
			t.Errorf("%s: %+v, %+v", name, latest, byID)
		}
		_, err1 = source.ByID(ctx, 99)
		_, err2 = source.Latest(ctx, "nothing")
		_, err3 = source.ByGUID(ctx, "00000000-0000-0000-0000-000000000000")
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("%s: what is not there: %v", name, err)
			}
		}
	}

	schema.Text = wider
	reasons, err := c.Check(ctx, "outer/value", schema)
	if err != nil || len(reasons) != 1 || reasons[0].Rule != "READER_FIELD_MISSING_DEFAULT_VALUE" {
		t.Errorf("the check: %v, %v", reasons, err)
	}
	var refused *registry.Error
	if _, err := c.Register(ctx, "outer/value", schema); !errors.Is(err, registry.ErrIncompatible) || !errors.As(err, &refused) || !slices.Equal(refused.Reasons, reasons) {
		t.Errorf("registered: %v", err)
	}
	if reasons, err := c.Check(ctx, "nothing", schema); err != nil || len(reasons) > 0 {
		t.Errorf("a subject that is not there: %v, %v", reasons, err)
	}
	if _, err := c.Lookup(ctx, "outer/value", schema); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("looked up: %v", err)
	}
	if _, err := c.Register(ctx, "other", schema); !errors.Is(err, registry.ErrRefused) {
		t.Errorf("a subject that is read-only: %v", err)
	}
	if level, err := c.Level(ctx, "nothing"); err != nil || level != "FULL" {
		t.Errorf("level %s, %v", level, err)
	}
	if _, err := c.Config(ctx, "nothing", true); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a configuration of its own: %v", err)
	}
	for _, wrong := range []string{"/registry", "/subjects", "/config", "/mode", "/schemas", "/schemas/ids", "/apis/ccompat/v7"} {
		strayed := client(t, registry.Config{URLs: []string{web.URL + wrong}})
		for what, err := range verbs(t, strayed, schema) {
			if err == nil || !errors.Is(err, registry.ErrAway) {
				t.Errorf("%s with a URL that ends in %s: %v", what, wrong, err)
			}
		}
		if n, err := client(t, registry.Config{URLs: []string{web.URL + wrong, web.URL}}).Versions(ctx, "outer/value", false); err != nil || !slices.Equal(n, []int{1}) {
			t.Errorf("the URL after one that ends in %s: %v, %v", wrong, n, err)
		}
	}
	if gone, err := c.DeleteSubject(ctx, "outer/value", false); err != nil || !slices.Equal(gone, []int{1}) {
		t.Errorf("deleted %v, %v", gone, err)
	}
	if names, err := c.Subjects(ctx, false); err != nil || !slices.Equal(names, []string{"inner"}) {
		t.Errorf("subjects %v, %v", names, err)
	}
	if found, err := c.ByID(ctx, made.ID); err != nil || found.Text != made.Text {
		t.Errorf("by its id after it was deleted: %v", err)
	}
}

// verbs are what a client answers of things that are there.
func verbs(t *testing.T, c *registry.Client, schema registry.Schema) map[string]error {
	t.Helper()
	ctx, all := t.Context(), map[string]error{}
	_, all["by id"] = c.ByID(ctx, 1)
	_, all["by GUID"] = c.ByGUID(ctx, "00000000-0000-0000-0000-000000000000")
	_, all["latest"] = c.Latest(ctx, "outer/value")
	_, all["version"] = c.Version(ctx, "outer/value", 1)
	_, all["versions"] = c.Versions(ctx, "outer/value", false)
	_, all["looked up"] = c.Lookup(ctx, "outer/value", schema)
	_, all["registered"] = c.Register(ctx, "outer/value", schema)
	_, all["checked"] = c.Check(ctx, "outer/value", schema)
	_, all["configuration"] = c.Config(ctx, "outer/value", true)
	_, all["mode"] = c.OwnMode(ctx, "outer/value")
	_, all["deleted"] = c.DeleteSubject(ctx, "outer/value", false)
	all["version deleted"] = c.DeleteVersion(ctx, "outer/value", 1, false)
	all["level"] = c.SetLevel(ctx, "outer/value", "NONE")
	return all
}
