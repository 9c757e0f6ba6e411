package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/sink/sqlsink"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// A topology is tested with its database, and without Kafka. What the database refuses is a dead letter, and changes nothing.
//
// Mutation seen to fail it: topologytest does not write.
func TestOrdersAreCounted(t *testing.T) {
	db, dialect, err := open(filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(schema); err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, totals(sqlsink.New("totals", db, sqlsink.Options{Dialect: dialect})))
	for _, order := range []string{`{"customer":"ada","cents":250}`, `{"customer":"ada","cents":100}`} {
		if r := d.Send("order.placed.v1", "ada", []byte(order)); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if r := d.Send("order.placed.v1", "ada", []byte(`{"customer":"ada","cents":-351}`)); !topology.IsRejected(r.Err) {
		t.Errorf("a total below 0: %v", r.Err)
	}
	var orders, cents int
	if err := db.QueryRow("SELECT orders, cents FROM totals WHERE customer = 'ada'").Scan(&orders, &cents); err != nil || orders != 2 || cents != 350 {
		t.Errorf("%d orders, %d cents, %v", orders, cents, err)
	}
}

// The program in docs/guarantees.md compiles.
//
// Mutation seen to fail it: another name of an option there.
func TestTheProgramInTheGuaranteesCompiles(t *testing.T) {
	page, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Effects in a database\n")
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(section)
	if code == nil {
		t.Fatal("there is no program")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(code[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
