//go:build unix

package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared writes a schema that others refer to, and one of each version that refers to it by its name.
func shared(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"money.avsc":    `{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"amount","type":"long"}]}`,
		"price.v1.avsc": `{"type":"record","name":"Price","namespace":"shop","fields":[{"name":"net","type":"Money"}]}`,
		"price.v2.avsc": `{"type":"record","name":"Price","namespace":"shop","fields":[{"name":"net","type":"Money"},{"name":"gross","type":"Money"}]}`,
	} {
		if err := os.WriteFile(filepath.Clean(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A schema that refers to others is registered with them, and compared with them, with and without a registry.
//
// Mutations seen to fail it: compare without imports; a schema of which --reference is not sent.
func TestASchemaIsRegisteredWithWhatItRefersTo(t *testing.T) {
	shared(t)
	url := registryOfTest(t)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"check --reference shop.Money=money.avsc price.v1.avsc price.v2.avsc", 1, "READER_FIELD_MISSING_DEFAULT_VALUE"},
		{"check --reference shop.Money=money.avsc price.v2.avsc price.v1.avsc", 0, "price.v1.avsc is compatible"},
		{"check price.v1.avsc price.v2.avsc", 2, "Money"},
		{"check --reference money.avsc price.v1.avsc price.v2.avsc", 2, "is not NAME=FILE"},
		{"check --reference shop.Money=none.avsc price.v1.avsc price.v2.avsc", 2, "none.avsc"},
		{"register money money.avsc --execute --registry URL", 0, "version 1 of money"},
		{"register price price.v1.avsc --execute --registry URL", 1, "--reference"},
		{"register price price.v1.avsc --reference shop.Money=money --registry URL", 2, "is not NAME=SUBJECT:VERSION"},
		{"register price price.v1.avsc --reference shop.Money=money:2 --registry URL", 1, "reference shop.Money"},
		{"register price price.v1.avsc --reference shop.Money=money:latest --execute --registry URL", 0, "version 1 of price, id 2"},
		{"show price --registry URL", 0, "shop.Money is version 1 of money"},
		{"register price price.v1.avsc --reference shop.Money=money:1 --execute --registry URL", 0, "it is registered already: version 1 of price, id 2"},
		{"compat price price.v2.avsc --reference shop.Money=money:1 --registry URL", 1, "READER_FIELD_MISSING_DEFAULT_VALUE"},
		{"delete money --execute --registry URL", 1, "One or more references exist"},
	} {
		out, code := execute(t, append([]string{"schema"}, strings.Fields(strings.ReplaceAll(c.args, "URL", url))...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q: %s", c.args, code, c.code, c.want, out)
		}
	}
}
