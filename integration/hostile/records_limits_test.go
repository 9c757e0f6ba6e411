//go:build unix

package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// recordLimitKinds are over limits, or just below. The process never holds more than mostResident.
var recordLimitKinds = []Kind{
	{
		Name: "a record of 1 GiB in 115 KB", Who: Record,
		Done: "one zstd batch with one record whose value is 1 GiB of zeros",
		Must: "one dead letter with topic, partition, offset, size and what was cut; memory stays bounded",
		Try: func(t *testing.T, w *world) {
			w.sendBomb(t, 0, zstded, rawRecord{key: text("bomb"), value: &part{zeros: 1 << 30}})
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "1 GiB in 16 records", Who: Record,
		Done: "one zstd batch with 16 records of 64 MiB of zeros",
		Must: "a dead letter for each; memory stays bounded",
		Try: func(t *testing.T, w *world) {
			var bombs []rawRecord
			for range 16 {
				bombs = append(bombs, rawRecord{key: text("bombs"), value: &part{zeros: 64 << 20}})
			}
			w.sendBomb(t, 1, zstded, bombs...)
		},
		Within: 5 * time.Minute,
	},
	{
		Name: "64 MiB in 64 records", Who: Record,
		Done: "gzip and zstd batches of 64 records of 1 MiB of zeros",
		Must: "a whole dead letter for each; memory stays bounded",
		Try: func(t *testing.T, w *world) {
			for _, codec := range []int{gzipped, zstded} {
				var many []rawRecord
				for range 64 {
					many = append(many, rawRecord{key: text("many"), value: &part{zeros: 1 << 20}})
				}
				w.sendBomb(t, 2, codec, many...)
			}
		},
		Within: 5 * time.Minute,
	},
	{
		Name: "10 million headers", Who: Record,
		Done: "a good order with 10,000,000 empty headers, in 2 KB of zstd",
		Must: "a dead letter; memory stays bounded",
		Try: func(t *testing.T, w *world) {
			r := order("headers", 1)
			w.sendBomb(t, r.Partition, zstded, rawRecord{key: &part{bytes: r.Key}, value: &part{bytes: r.Value}, headers: 10_000_000, header: []byte{0, 1}})
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "a key of 20 MB", Who: Record,
		Done: "a record with a key of 20 MB of zeros, which compresses to nothing",
		Must: "a dead letter in the form that always fits: length and hash of the key",
		Try: func(t *testing.T, w *world) {
			w.sendBomb(t, 3, zstded, rawRecord{key: &part{zeros: 20 << 20}, value: text("no order")})
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "a key of 1 GiB", Who: Record,
		Done: "a record with a key of 1 GiB of zeros",
		Must: "a dead letter in the form that always fits; memory stays bounded",
		Try: func(t *testing.T, w *world) {
			w.sendBomb(t, 3, zstded, rawRecord{key: &part{zeros: 1 << 30}, value: text("no order")})
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "a record of 12 MB", Who: Record,
		Done: "a good order and a bad one, each with 12 MB that nobody reads",
		Must: "processed; the dead letter, over its topic's 8 MiB, is cut",
		Try: func(t *testing.T, w *world) {
			padding := strings.Repeat(".", 12_000_000)
			good, bad := order("heavy", 1), &kgo.Record{Partition: 0, Key: []byte("heavy"), Value: []byte(padding)}
			good.Value = append(bytes.TrimSuffix(good.Value, []byte("}")), `,"note":"`+padding+`"}`...)
			w.send(t, good)
			w.sendCut(t, bad)
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "a batch of exactly max.message.bytes", Who: Record,
		Done: "an order padded until its batch has as many bytes as the input takes; one byte more is refused by the broker",
		Must: "processed",
		Try: func(t *testing.T, w *world) {
			const most = 200_000
			w.configure(t, names.Input, "max.message.bytes", fmt.Sprint(most))
			defer w.configure(t, names.Input, "max.message.bytes", "33554432")
			r := order("exact", 1)
			padded := func(n int) []byte {
				value := append(bytes.TrimSuffix(bytes.Clone(r.Value), []byte("}")), `,"note":"`+strings.Repeat(".", n)+`"}`...)
				batch, err := rawBatch(plain, []rawRecord{{key: &part{bytes: r.Key}, value: &part{bytes: value}}})
				if err != nil {
					t.Fatal(err)
				}
				r.Value = value
				return batch
			}
			small := r.Value
			n := most - len(padded(most/2)) + most/2
			r.Value = small
			over := padded(n + 1)
			r.Value = small
			exact := padded(n)
			if len(exact) != most || len(over) != most+1 {
				t.Fatalf("batches of %d and %d bytes", len(exact), len(over))
			}
			if _, err := produceRaw(t.Context(), w.client, names.Input, r.Partition, over); !errors.Is(err, kerr.MessageTooLarge) {
				t.Fatalf("a batch of %d bytes: %v", len(over), err)
			}
			r.Offset = w.sendRaw(t, r.Partition, exact)
			w.ledger.add(r.Partition, entryOf(r))
		},
	},
}

func text(s string) *part { return &part{bytes: []byte(s)} }

// sendBomb writes a batch whose records must become dead letters, whatever is kept of them.
func (w *world) sendBomb(t *testing.T, partition int32, codec int, records ...rawRecord) {
	t.Helper()
	batch, err := rawBatch(codec, records)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a batch of %d bytes", len(batch))
	base := w.sendRaw(t, partition, batch)
	for n := range records {
		w.ledger.add(partition, entry{Record: oracle.Record{Offset: base + int64(n)}, fate: dead, cut: true})
	}
}
