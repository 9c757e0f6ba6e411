package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weirstream/weir/internal/kafka"
)

// taken is an event that was accepted.
type taken struct {
	print  place
	at     int32 // the partition
	offset int64
}

// know adds an id to those in memory. room says whether there is any for n more.
func (w *owner) know(at place, t taken) {
	before := len(w.ids[0])
	w.ids[0][at] = t
	w.o.held.Add(int64(len(w.ids[0]) - before))
}

func (w *owner) room(n int) bool { return w.o.held.Load()+int64(n) <= int64(w.o.g.Limits.IDs) }

// load reads the ids that are young enough.
func (w *owner) load(ctx context.Context) error {
	tp := kafka.TopicPartition{Topic: w.o.ids, Partition: idPartition}
	tps := []kafka.TopicPartition{tp}
	from, err := w.o.g.Client.OffsetsFor(ctx, tps, w.o.now().Add(-OnceFor-clocksApart))
	if err != nil {
		return err
	}
	ends, err := w.o.g.Client.Ends(ctx, tps)
	if err != nil {
		return err
	}
	fetcher := w.o.g.Client.NewFetcher(8 << 20)
	defer fetcher.Close()
	start := from[tp]
	if start < 0 {
		start = ends[tp]
	}
	return kafka.Scan(ctx, fetcher, tp, start, ends[tp], func(r *kafka.Record) error {
		at, t, err := parseTaken(r)
		if err != nil {
			return fmt.Errorf("%s at %d: %w", tp, r.Offset, err)
		}
		if !w.room(1) {
			return errIDsFull
		}
		w.know(at, t)
		return nil
	})
}

const takenSize = 1 + 16 + 4 + 8

// append writes the value of a record of the ids; the key is the id's place.
func (t *taken) append(b []byte) []byte {
	b = append(b, 1)
	b = append(b, t.print[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(t.at))
	return binary.BigEndian.AppendUint64(b, uint64(t.offset))
}

func parseTaken(r *kafka.Record) (at place, t taken, err error) {
	if len(r.Key) != len(at) || len(r.Value) < takenSize || r.Value[0] != 1 {
		return at, t, errors.New("it is no record of an id, or one of a newer gateway")
	}
	copy(at[:], r.Key)
	v := r.Value[1:]
	copy(t.print[:], v)
	t.at = int32(binary.BigEndian.Uint32(v[16:]))
	t.offset = int64(binary.BigEndian.Uint64(v[20:]))
	return at, t, nil
}

func (w *owner) find(at place) (taken, bool) {
	for _, generation := range w.ids {
		if t, ok := generation[at]; ok {
			return t, true
		}
	}
	return taken{}, false
}
