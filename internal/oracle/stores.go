package oracle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/state"
)

// ReadStores reads the databases of a stopped instance from copies: opening a database writes to it. A database that
// is too damaged to be opened counts as absent, as it does for the engine.
func ReadStores(instance, stateDir string, names Names) ([]StoreDump, error) {
	fail := func(err error) ([]StoreDump, error) {
		return nil, fmt.Errorf("read the stores of %s: %w", instance, err)
	}
	dir := filepath.Dir(state.StoreDir(stateDir, names.Group, names.Store, 0))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	var dumps []StoreDump
	for _, entry := range entries {
		partition, err := strconv.ParseInt(entry.Name(), 10, 32)
		if err != nil {
			continue // set aside
		}
		dump, err := readStore(filepath.Join(dir, entry.Name()))
		if err != nil {
			return fail(fmt.Errorf("partition %d: %w", partition, err))
		}
		dump.Instance, dump.Partition = instance, int32(partition)
		dumps = append(dumps, dump)
	}
	return dumps, nil
}

func readStore(dir string) (StoreDump, error) {
	dump := StoreDump{Entries: map[string]string{}}
	temp, err := os.MkdirTemp("", "weir-oracle-")
	if err != nil {
		return dump, err
	}
	defer os.RemoveAll(temp)
	copied := filepath.Join(temp, "store")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		return dump, err
	}
	db, err := state.Open(state.Options{Dir: copied})
	if err != nil {
		return dump, err
	}
	store := keyed.Over(db, codecs.Bytes())
	defer store.Close()
	dump.Checkpoint, dump.HasCheckpoint = store.Checkpoint()
	err = store.Dump(func(key, value []byte) bool {
		dump.Entries[string(key)] = string(value)
		return true
	})
	return dump, err
}
