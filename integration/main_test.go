//go:build integration

package integration

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/internal/oracle"
)

var (
	seedFlag = flag.Uint64("weir.seed", 1, "seed of the input and of the order of faults")
	longFlag = flag.Duration("weir.long", 0, "mix faults at random for so long; 0 leaves the long run out")
)

// vacuity is what all scenarios of the run have shown together.
var vacuity oracle.Vacuity

func TestMain(m *testing.M) {
	flag.Parse()
	began := time.Now()
	code := m.Run()
	closeClusters(code != 0)
	removePrograms()
	http.DefaultClient.CloseIdleConnections()
	// LevelDB drains its buffer pool for a second after it was closed.
	drain := goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")
	if err := goleak.Find(drain); code == 0 && err != nil {
		fmt.Println("FAIL:", err)
		code = 1
	}
	fmt.Printf("%s; seed %d, %s\n", vacuity.String(), *seedFlag, time.Since(began).Round(time.Second))
	// A part of the scenarios need not show everything. All of them must.
	whole := flag.Lookup("test.run").Value.String()
	if code == 0 && (whole == "" || whole == ".") && len(vacuity.Missing()) > 0 {
		fmt.Println("FAIL: nothing was proved")
		code = 1
	}
	os.Exit(code)
}
