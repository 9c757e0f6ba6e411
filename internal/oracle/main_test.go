package oracle

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// LevelDB's buffer pool ends up to a second after its database.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}
