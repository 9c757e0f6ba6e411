package kafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/recordbatch"
)

// recordStruct and headerStruct are what a record and a header take besides their bytes.
const (
	recordStruct = int(unsafe.Sizeof(Record{}))
	headerStruct = int(unsafe.Sizeof(Header{}))
)

// chunkBytes is about how much is decoded and delivered at once.
const chunkBytes = 1 << 20

// fetched is what a broker sent for a partition, as far as it is not decoded yet.
type fetched struct {
	raw     []byte // the batches that are not begun
	size    int    // of raw at first
	aborted aborted
	high    int64
	stable  int64

	reader *recordbatch.Reader
	batch  recordbatch.Batch // that the reader is in
	begun  bool              // whether it is in one
	cut    bool              // the answer ended within a batch
	end    int64             // the offset after the batch before, -1 when it is not known
}

func newFetched(p *kmsg.FetchResponseTopicPartition, limits recordbatch.Limits) *fetched {
	return &fetched{
		raw: p.RecordBatches, size: len(p.RecordBatches), aborted: abortedOf(p.AbortedTransactions), high: p.HighWatermark, stable: p.LastStableOffset,
		reader: recordbatch.NewReader(limits), end: -1,
	}
}

// kept is the memory that the answer takes while it waits to be decoded.
func (a *fetched) kept() int64 { return int64(a.size) + a.reader.Held() }

// next decodes records from b.Position on that are not markers and not of aborted transactions, and moves b.Position past
// everything that was read or passed over. It stops when b has about room bytes, before records of another leader epoch,
// and before a record for which fits says no. done says that nothing is left.
//
// An error is that of the batch at b.Position, and comes when everything before it was given out.
func (a *fetched) next(b *Batch, room int, fits func(size int64) bool) (done bool, err error) {
	b.HighWatermark, b.LastStableOffset = a.high, a.stable
	from := b.Position
	var headers []Header
	for {
		if !a.begun {
			if b.Bytes >= room {
				return false, nil
			}
			switch ok, err := a.begin(b); {
			case err == io.EOF:
				return true, nil
			case err != nil && b.Position > from:
				return false, nil // again, when this is delivered
			case err != nil:
				return false, err
			case !ok:
				return false, nil
			}
		}
		if b.Records == nil && a.begun {
			b.Records = make([]Record, 0, a.expect(room))
		}
		for a.begun {
			if b.Bytes >= room || !fits(a.reader.NextSize()) {
				return false, nil
			}
			var rec recordbatch.Record
			err := a.reader.Next(&rec)
			if err == io.EOF {
				b.Position = max(b.Position, a.batch.Last+1)
				a.begun = false
				break
			}
			if err != nil && b.Position > from {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			headers = b.append(&rec, headers)
		}
	}
}

// expect is how many records are likely to come before room is used up: as many as there is room for, or as the answer holds
// when its other batches are like the one that is begun.
func (a *fetched) expect(room int) int {
	rest := a.reader.Rest()
	if a.batch.Records <= 0 {
		return max(1, min(room/(recordStruct+8), rest))
	}
	const overhead = 7 // of a record in its batch, at least; it counts for nothing once it is read
	each := max(1, a.batch.Size()/a.batch.Records-overhead)
	fit := room/(recordStruct+each) + 1
	return max(1, min(fit+fit/16, rest+len(a.raw)/each))
}

// begin begins with the next batch that holds records to be given out; ok is false when it must not be in one with those
// of b.
func (a *fetched) begin(b *Batch) (ok bool, err error) {
	for {
		batch, rest, err := recordbatch.Next(a.raw)
		misplaced := ""
		if err == nil {
			misplaced = a.misplaced(&batch, rest, b.Position)
		}
		switch {
		case errors.Is(err, recordbatch.ErrCut):
			a.cut = true
			return false, io.EOF
		case err != nil:
			return false, err
		case misplaced != "":
			return false, &recordbatch.CorruptError{Base: batch.Base, Last: batch.Last, What: misplaced}
		case len(b.Records) > 0 && batch.LeaderEpoch != b.LeaderEpoch:
			return false, nil
		}
		a.raw, a.end = rest, batch.Last+1
		a.high, a.stable = max(a.high, a.end), max(a.stable, a.end)
		b.HighWatermark, b.LastStableOffset = a.high, a.stable
		skip := a.aborted.skip(&batch, a.reader) || batch.Control
		if batch.Last < b.Position {
			continue // in old formats, whose batches do not say where they end
		}
		b.LeaderEpoch = batch.LeaderEpoch
		if skip {
			b.Position = batch.Last + 1
			continue
		}
		a.batch, a.begun = batch, true
		a.reader.Reset(batch)
		return true, nil
	}
}

// misplaced says why a batch cannot be where it is, "" where it can. Its checksum does not cover its base offset. A log's batches
// follow one another, and a broker begins with the one that holds the position. What it sends may end beyond the high watermark
// that it sends with it, since it looks at that before it reads, and the log grows meanwhile (Partition.fetchRecords in Kafka 4.3):
// such a batch is believed where nothing lies between it and what was read before. Nothing else bounds it, and where compaction
// has left a gap just there, the next answer has a later high watermark.
func (a *fetched) misplaced(batch *recordbatch.Batch, rest []byte, position int64) string {
	if batch.Magic < 2 {
		return ""
	}
	switch {
	case batch.Base < a.end:
		return fmt.Sprintf("it begins at %d, inside the batch before it, which ends at %d", batch.Base, a.end)
	case batch.Last < position:
		return fmt.Sprintf("it ends at %d, before the position %d", batch.Last, position)
	case batch.Last >= a.high && batch.Base > max(a.end, position):
		return fmt.Sprintf("it begins at %d, not at %d, and ends at %d, beyond the end of the log at %d", batch.Base, max(a.end, position), batch.Last, a.high)
	}
	const magicAt = 16
	if len(rest) > magicAt && rest[magicAt] == 2 {
		if next := int64(binary.BigEndian.Uint64(rest)); next <= batch.Last {
			return fmt.Sprintf("it ends at %d, inside the batch after it, which begins at %d", batch.Last, next)
		}
	}
	return ""
}

// append adds a record, unless it lies before the position, and moves that past it. headers is a slab of which a record's
// headers are cut.
func (b *Batch) append(rec *recordbatch.Record, headers []Header) []Header {
	out := Record{Offset: rec.Offset, Timestamp: rec.Timestamp, Key: rec.Key, Value: rec.Value, Excess: rec.Excess}
	if e := rec.Excess; e != nil {
		out.Offset = min(max(out.Offset, b.Position), e.Last)
	}
	if out.Next() <= b.Position {
		return headers
	}
	b.Bytes += recordStruct + len(rec.Key) + len(rec.Value)
	if n := rec.HeaderCount; n > 0 {
		if cap(headers)-len(headers) < n {
			headers = make([]Header, 0, max(64, n))
		}
		first := len(headers)
		for key, value := range rec.Headers {
			// The bytes are never written to, so a string may share them.
			headers = append(headers, Header{Key: unsafe.String(unsafe.SliceData(key), len(key)), Value: value})
			b.Bytes += headerStruct + len(key) + len(value)
		}
		out.Headers = headers[first:len(headers):len(headers)]
	}
	b.Records = append(b.Records, out)
	b.Position = out.Next()
	return headers
}

// aborted tells batches of aborted transactions from others. The broker lists the transactions that overlap its answer
// by producer and first offset; a producer has one at a time, and its abort marker ends it.
type aborted struct {
	coming []kmsg.FetchResponseTopicPartitionAbortedTransaction
	open   map[int64]bool // by producer id
}

func abortedOf(list []kmsg.FetchResponseTopicPartitionAbortedTransaction) aborted {
	if len(list) == 0 {
		return aborted{}
	}
	coming := slices.Clone(list)
	slices.SortFunc(coming, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	return aborted{coming: coming, open: map[int64]bool{}}
}

// skip is to be called with every batch, in order. It may use the reader.
func (a *aborted) skip(b *recordbatch.Batch, r *recordbatch.Reader) bool {
	if a.open == nil || !b.Transactional {
		return false
	}
	for len(a.coming) > 0 && a.coming[0].FirstOffset <= b.Last {
		a.open[a.coming[0].ProducerID] = true
		a.coming = a.coming[1:]
	}
	if b.Control {
		if isAbortMarker(b, r) {
			delete(a.open, b.ProducerID)
		}
		return false
	}
	return a.open[b.ProducerID]
}

// isAbortMarker reads the key of a control record: a version, then its kind, of which 0 is abort.
func isAbortMarker(b *recordbatch.Batch, r *recordbatch.Reader) bool {
	var rec recordbatch.Record
	r.Reset(*b)
	err := r.Next(&rec)
	r.Close()
	return err == nil && len(rec.Key) >= 4 && binary.BigEndian.Uint16(rec.Key[2:]) == 0
}
