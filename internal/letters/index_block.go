package letters

import (
	"encoding/binary"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
)

// block is letters of a partition between two offsets, without their keys, values, headers and messages: what is needed to say
// whether they are open, and to group them.
type block struct {
	partition int32
	from, to  int64
	count     uint64
	kinds     []kind
	known     map[kind]uint64
	entries   []byte
	texts     int // bytes of kinds

	offset, at int64 // of the entry before
}

// kind is what letters have in common.
type kind struct {
	fingerprint, system, topology, node, reason, exception string
	input, origin                                          string // topics
	parks                                                  string
}

// blockLetters is how many letters a block has at most.
const blockLetters = 16 << 10

const (
	entryCut = 1 << iota
	entryRedriven
	entryParks
	entryEarlier // it failed before, for the first time
)

func newBlock(partition int32, from int64) *block {
	return &block{partition: partition, from: from, to: from, known: map[kind]uint64{}, offset: from}
}

// add adds a letter. Its memory stays the caller's.
func (b *block) add(l *Letter) {
	k := kind{l.Fingerprint, string(l.System), l.Topology, l.Node, l.Reason, l.Exception, l.Position.Topic, l.First.Topic, l.Parks}
	if l.System == deadletter.Weir {
		k.exception = ""
	}
	id, ok := b.known[k]
	if !ok {
		id = uint64(len(b.kinds))
		b.kinds = append(b.kinds, k)
		b.known[k] = id
		b.texts += len(k.fingerprint) + len(k.topology) + len(k.node) + len(k.reason) + len(k.exception) + len(k.input) + len(k.origin) + len(k.parks) + 100
	}
	at := l.failed().UnixMilli()
	flags := byte(0)
	if l.Cut || l.Excess != nil {
		flags |= entryCut
	}
	if l.Redrives > 0 {
		flags |= entryRedriven
	}
	if l.Parks != "" {
		flags |= entryParks
	}
	before := at - l.earliest().UnixMilli()
	if before > 0 {
		flags |= entryEarlier
	}
	e := binary.AppendUvarint(b.entries, uint64(l.Record.Offset-b.offset))
	e = binary.AppendVarint(e, at-b.at)
	e = append(binary.AppendUvarint(e, id), flags)
	if l.Redrives > 0 {
		e = binary.AppendUvarint(e, uint64(l.Redrives))
	}
	if l.Parks != "" {
		e = binary.AppendVarint(binary.AppendVarint(e, int64(l.First.Partition)), l.First.Offset)
	}
	if before > 0 {
		e = binary.AppendUvarint(e, uint64(before))
	}
	b.entries, b.offset, b.at, b.to = e, l.Record.Offset, at, l.Record.Offset+1
	b.count++
}

func (b *block) full() bool { return b.count >= blockLetters || b.texts > 1<<20 }

// encode is the block up to an offset.
func (b *block) encode(to int64) []byte {
	out := binary.AppendUvarint(nil, uint64(b.partition))
	out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(b.from)), uint64(to))
	out = binary.AppendUvarint(binary.AppendUvarint(out, b.count), uint64(len(b.kinds)))
	for _, k := range b.kinds {
		for _, s := range [...]string{k.fingerprint, k.system, k.topology, k.node, k.reason, k.exception, k.input, k.origin, k.parks} {
			out = append(binary.AppendUvarint(out, uint64(len(s))), s...)
		}
	}
	return append(out, b.entries...)
}

// placeOf says of which offsets a block is.
func placeOf(payload []byte) (partition int32, from, to int64, rest []byte, ok bool) {
	d := decoder{payload, true}
	partition, from, to = int32(d.number()), int64(d.number()), int64(d.number())
	return partition, from, to, d.data, d.ok && from <= to && from >= 0
}

// lettersIn calls do with those of a block, as they are known to the index. The letter is do's until it returns. It is false for a damaged block.
func lettersIn(partition int32, from, to int64, rest []byte, do func(l *Letter) error) (bool, error) {
	d := decoder{rest, true}
	count, kinds := d.number(), d.number()
	if !d.ok || kinds > uint64(len(rest)) {
		return false, nil
	}
	all := make([]kind, 0, kinds)
	for range kinds {
		all = append(all, kind{d.text(), d.text(), d.text(), d.text(), d.text(), d.text(), d.text(), d.text(), d.text()})
	}
	offset, at := from, int64(0)
	l, r := &Letter{Partition: partition}, &kafka.Record{}
	for range count {
		offset += int64(d.number())
		at += d.signed()
		id, flags := d.number(), d.byte()
		if !d.ok || id >= uint64(len(all)) || offset >= to {
			return false, nil
		}
		k := &all[id]
		*r = kafka.Record{Offset: offset, Timestamp: at}
		l.Record = r
		l.Letter = deadletter.Letter{
			System: deadletter.System(k.system), Fingerprint: k.fingerprint, Topology: k.topology, Node: k.node, Reason: k.reason, Exception: k.exception,
			At: at, Cut: flags&entryCut != 0, Parks: k.parks,
		}
		l.Position.Topic, l.First.Topic = k.input, k.origin
		if flags&entryRedriven != 0 {
			l.Redrives = int(d.number())
		}
		if flags&entryParks != 0 {
			l.First.Partition, l.First.Offset = int32(d.signed()), d.signed()
		}
		if flags&entryEarlier != 0 {
			l.FirstAt = at - int64(d.number())
		}
		if !d.ok {
			return false, nil
		}
		if err := do(l); err != nil {
			return true, err
		}
	}
	return d.ok && len(d.data) == 0, nil
}

// decoder reads numbers and texts, and is not ok from the first one on that is not there.
type decoder struct {
	data []byte
	ok   bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.ok, d.data = false, nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.ok, d.data = false, nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.data) == 0 {
		d.ok = false
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

func (d *decoder) text() string {
	n := d.number()
	if n > uint64(len(d.data)) {
		d.ok, d.data = false, nil
		return ""
	}
	s := string(d.data[:n])
	d.data = d.data[n:]
	return s
}
