package letters

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstream/weir/internal/filelock"
	"github.com/weirstream/weir/internal/kafka"
)

// Index is where listings keep what they have read of large topics, so that the next one reads only what came since. It has fingerprints, times and
// places of letters, and nothing of their records: no keys, values, headers or messages. What is wrong with it is never an error: a damaged
// end is cut off, an index of another topic is begun again, and where there can be none, or another process has it, the topic is read.
type Index struct {
	Dir   string // in it, a folder for each cluster
	Least int64  // topics with fewer offsets are read
}

// reading is an index in use.
type reading struct {
	file *indexFile
	lock io.Closer
	path string
	of   indexed
	at   map[int32]int64 // up to where each partition is in it
	dead int64           // bytes of blocks that retention has removed all letters of
	live [][2]int64      // where the others stand: offset and size
}

// errStale is an index that says what cannot be: it is begun again.
var errStale = errors.New("the index is stale")

// index opens the index of a topic, and returns nil where there is to be none.
func (t *Tool) index(ctx context.Context, p *place, s *Selection) *reading {
	if t.Index == nil || p.size() < t.Index.Least || s.blind() || strings.Contains(p.info.Config["cleanup.policy"], "compact") {
		return nil
	}
	cluster, err := t.Client.ClusterID(ctx)
	path := indexPath(t.Index.Dir, cluster, p.info.ID)
	if err != nil || path == "" || makeFolders(path) != nil {
		return nil
	}
	r := &reading{path: path, of: indexed{Version: 2, Cluster: cluster, Topic: t.Topic, TopicID: p.info.ID}, at: map[int32]int64{}}
	if r.lock, err = filelock.Take(path + ".lock"); err != nil {
		return nil
	}
	if r.file, err = openIndex(path, r.of); err != nil {
		_ = r.lock.Close()
		return nil
	}
	return r
}

func (r *reading) close() {
	_ = r.file.file.Close()
	_ = r.lock.Close()
}

// count counts the letters of a topic: those of the index, and those that came since, which go into it.
func (t *Tool) count(ctx context.Context, reader kafka.Reader, p *place, s Selection) (*tally, error) {
	y := newTally(t, reader, s)
	ix := t.index(ctx, p, &s)
	if ix == nil {
		return y, t.each(ctx, reader, p, func(l *Letter, open bool) error { return y.add(ctx, l, open, true) })
	}
	defer ix.close()
	blind := p.done.blind()
	err := t.recall(ctx, ix, p, blind, y)
	if errors.Is(err, errStale) {
		ix.at, ix.dead, ix.live = map[int32]int64{}, 0, nil
		y = newTally(t, reader, s)
		err = ix.file.empty(ix.of)
	}
	if err != nil && ctx.Err() == nil { // of the disk: the topic has it all
		ix.at = map[int32]int64{}
		y = newTally(t, reader, s)
		ix.file.broken = true
	}
	if err := t.followTopic(ctx, reader, ix, p, blind, y); err != nil {
		return nil, err
	}
	if err := y.explain(ctx, t, reader, p); err != nil {
		return nil, err
	}
	ix.tidy()
	return y, nil
}

// recall counts what the index has.
func (t *Tool) recall(ctx context.Context, ix *reading, p *place, blind map[int32][]offsets, y *tally) error {
	return ix.file.blocks(func(payload []byte) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		partition, from, to, rest, ok := placeOf(payload)
		tp := kafka.TopicPartition{Topic: t.Topic, Partition: partition}
		start := p.starts[tp]
		at, begun := ix.at[partition]
		switch {
		case !ok || partition < 0 || partition >= p.info.Partitions, begun && from != at, to > p.ends[tp]:
			return errStale
		case !begun && from > start:
			return errStale // what lies before it is not known
		}
		if to <= start {
			ix.dead += int64(len(payload))
		} else {
			ix.live = append(ix.live, [2]int64{ix.file.size, int64(len(payload)) + 8})
		}
		unjudged := blind[partition]
		ok, err := lettersIn(partition, from, to, rest, func(l *Letter) error {
			if l.Record.Offset < start || among(unjudged, l.Record.Offset) {
				return nil
			}
			return y.add(ctx, l, !p.done.resolved(l), false)
		})
		if !ok {
			return errors.Join(errStale, err)
		}
		ix.at[partition] = to
		t.progress(ix.covered(t.Topic, p), p.size())
		return err
	})
}

// covered is how many offsets of the topic the index has.
func (r *reading) covered(topic string, p *place) (n int64) {
	for partition, at := range r.at {
		n += max(0, at-p.starts[kafka.TopicPartition{Topic: topic, Partition: partition}])
	}
	return n
}

// followTopic counts what the index does not have, and puts what is new into it.
func (t *Tool) followTopic(ctx context.Context, reader kafka.Reader, ix *reading, p *place, blind map[int32][]offsets, y *tally) error {
	read, all := ix.covered(t.Topic, p), p.size()
	for _, tp := range p.partitions() {
		known := max(p.starts[tp], ix.at[tp.Partition])
		for _, r := range blind[tp.Partition] {
			err := t.between(ctx, reader, tp, max(p.starts[tp], r.from), min(known, r.to), func(l *Letter) error {
				return y.add(ctx, l, !p.done.resolved(l), true)
			})
			if err != nil {
				return err
			}
		}
		b := newBlock(tp.Partition, known)
		err := t.between(ctx, reader, tp, known, p.ends[tp], func(l *Letter) error {
			b.add(l)
			if b.full() {
				ix.file.keep(b.encode(b.to))
				b = newBlock(tp.Partition, b.to)
			}
			t.progress(read+l.Record.Offset-known, all)
			return y.add(ctx, l, !p.done.resolved(l), true)
		})
		if err != nil {
			return err
		}
		if p.ends[tp] > b.from {
			ix.file.keep(b.encode(p.ends[tp]))
		}
		read += p.ends[tp] - known
	}
	t.progress(all, all)
	return nil
}

// between calls do with the letters between two offsets.
func (t *Tool) between(ctx context.Context, reader kafka.Reader, tp kafka.TopicPartition, from, to int64, do func(*Letter) error) error {
	if from >= to {
		return nil
	}
	return kafka.Scan(ctx, reader, tp, from, to, func(r *kafka.Record) error {
		if r.Offset < from || r.Offset >= to {
			return nil
		}
		return do(letterOf(r, tp.Partition))
	})
}

// tidy writes the file again without what retention has removed, where that is most of it.
func (r *reading) tidy() {
	if r.file.broken || r.dead <= r.file.size/2 || r.dead < 1<<20 {
		return
	}
	temp := r.path + ".new"
	defer func() { _ = os.Remove(temp) }()
	_ = os.Remove(temp)
	next, err := openIndex(temp, r.of)
	if err != nil {
		return
	}
	defer func() { _ = next.file.Close() }()
	for _, at := range r.live {
		payload, err := readBlock(io.NewSectionReader(r.file.file, at[0], at[1]))
		if err != nil || next.add(payload) != nil {
			return
		}
	}
	_ = os.Rename(temp, filepath.Clean(r.path))
}
