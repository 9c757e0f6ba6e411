package topology_test

import (
	"testing"

	"go.uber.org/goleak"
)

// LevelDB's pool of buffers goes away up to a second after its database was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}
