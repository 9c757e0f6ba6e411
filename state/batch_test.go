package state

import (
	"bytes"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"pgregory.net/rapid"
)

// A batch is what LevelDB's own would be, whatever is in it.
//
// Mutations, each seen to fail: a deletion with a value; a length in one byte; a batch that loses what it holds when it needs more room.
func TestABatchIsLevelDBs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, want := newBatch(rapid.IntRange(0, 100_000).Draw(t, "room")), &leveldb.Batch{}
		defer b.free()
		for range rapid.IntRange(0, 20).Draw(t, "records") {
			key := bytes.Repeat([]byte{rapid.Byte().Draw(t, "key")}, rapid.SampledFrom([]int{0, 1, 127, 128, 300}).Draw(t, "length"))
			value := bytes.Repeat([]byte{1}, rapid.SampledFrom([]int{0, 1, 127, 128, 20_000, 200_000}).Draw(t, "size"))
			if rapid.Bool().Draw(t, "deleted") {
				b.put(key, nil)
				want.Delete(key)
			} else {
				b.put(key, value)
				want.Put(key, value)
			}
		}
		got, err := b.load()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Dump(), want.Dump()) || got.Len() != want.Len() {
			t.Fatalf("%d records in %x, want %d in %x", got.Len(), got.Dump(), want.Len(), want.Dump())
		}
	})
}
