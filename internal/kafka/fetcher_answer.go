package kafka

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchAnswer reads the answer to a Fetch off a connection and keeps the batches of each partition apart from the rest, in
// memory of their own: a partition whose records are held for long holds no other's, and no batch is copied.
type fetchAnswer struct {
	in      *bufio.Reader
	left    int64    // bytes of the answer that are not read yet
	version int16    // of the request
	rest    []byte   // the answer, with nothing where it has batches
	batches [][]byte // of its partitions in turn, nil for none
}

var errAnswerCut = errors.New("an answer to Fetch is cut off, or longer than what it holds")

// read reads an answer of which size bytes are left, from the correlation id on.
func (a *fetchAnswer) read() error {
	flexible := a.version >= 12
	if err := a.keep(4); err != nil { // the correlation id
		return err
	}
	if flexible {
		if err := a.tags(); err != nil { // of the header
			return err
		}
	}
	// The throttle time, and from version 7 on the error and the session.
	head := int64(4)
	if a.version >= 7 {
		head += 2 + 4
	}
	if err := a.keep(head); err != nil {
		return err
	}
	err := a.each(func() error {
		if err := a.topic(); err != nil {
			return err
		}
		if err := a.each(a.partition); err != nil {
			return err
		}
		if flexible {
			return a.tags()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.keep(a.left)
}

// topic reads what an answer calls a topic: its name, or from version 13 on its id.
func (a *fetchAnswer) topic() error {
	if a.version >= fetchByID {
		return a.keep(16)
	}
	if a.version >= 12 {
		n, err := a.uvarint()
		if err != nil {
			return err
		}
		return a.keep(int64(n) - 1)
	}
	at := len(a.rest)
	if err := a.keep(2); err != nil {
		return err
	}
	return a.keep(int64(int16(binary.BigEndian.Uint16(a.rest[at:]))))
}

// partition reads one partition. Its numbers are: partition, error, high watermark, last stable offset, from version 5 on the
// start of the log, the aborted transactions, and from version 11 on the preferred replica.
func (a *fetchAnswer) partition() error {
	numbers := int64(4 + 2 + 8 + 8)
	if a.version >= 5 {
		numbers += 8
	}
	if err := a.keep(numbers); err != nil {
		return err
	}
	err := a.each(func() error {
		if err := a.keep(8 + 8); err != nil || a.version < 12 {
			return err
		}
		return a.tags()
	})
	if err != nil {
		return err
	}
	if a.version >= 11 {
		if err := a.keep(4); err != nil {
			return err
		}
	}
	if err := a.records(); err != nil || a.version < 12 {
		return err
	}
	return a.tags()
}

// records reads a partition's batches, and puts none in their place.
func (a *fetchAnswer) records() error {
	at := len(a.rest)
	n, err := a.length()
	if err != nil {
		return err
	}
	a.rest = a.rest[:at]
	if a.version >= 12 {
		a.rest = append(a.rest, 0)
	} else {
		a.rest = append(a.rest, 0xff, 0xff, 0xff, 0xff)
	}
	var raw []byte
	if n > 0 {
		if raw, err = a.take(n); err != nil {
			return err
		}
	}
	a.batches = append(a.batches, raw)
	return nil
}

// into gives the partitions of an answer that was decoded without batches theirs.
func (a *fetchAnswer) into(res *kmsg.FetchResponse) {
	n := 0
	for i := range res.Topics {
		for j := range res.Topics[i].Partitions {
			res.Topics[i].Partitions[j].RecordBatches = a.batches[n]
			n++
		}
	}
}

// each reads an array.
func (a *fetchAnswer) each(element func() error) error {
	n, err := a.length()
	for ; n > 0 && err == nil; n-- {
		err = element()
	}
	return err
}

// length reads how many elements or bytes follow, -1 for null.
func (a *fetchAnswer) length() (int64, error) {
	if a.version >= 12 {
		n, err := a.uvarint()
		return int64(n) - 1, err
	}
	at := len(a.rest)
	if err := a.keep(4); err != nil {
		return 0, err
	}
	return int64(int32(binary.BigEndian.Uint32(a.rest[at:]))), nil
}

// tags reads tagged fields (KIP-482).
func (a *fetchAnswer) tags() error {
	n, err := a.uvarint()
	for ; n > 0 && err == nil; n-- {
		var size uint32
		if _, err = a.uvarint(); err != nil {
			break
		}
		if size, err = a.uvarint(); err == nil {
			err = a.keep(int64(size))
		}
	}
	return err
}

func (a *fetchAnswer) uvarint() (uint32, error) {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		if a.left < 1 {
			return 0, errAnswerCut
		}
		c, err := a.in.ReadByte()
		if err != nil {
			return 0, err
		}
		a.left--
		a.rest = append(a.rest, c)
		if v |= uint32(c&0x7f) << shift; c < 0x80 {
			return v, nil
		}
	}
	return 0, errAnswerCut
}

// keep reads n bytes to the rest of the answer.
func (a *fetchAnswer) keep(n int64) error {
	if n > 64<<10 { // no answer that makes sense
		more, err := a.take(n)
		a.rest = append(a.rest, more...)
		return err
	}
	if n < 0 || n > a.left {
		return errAnswerCut
	}
	a.left -= n
	at := len(a.rest)
	a.rest = append(a.rest, make([]byte, n)...)
	_, err := io.ReadFull(a.in, a.rest[at:])
	return err
}

// take reads n bytes into memory of their own.
func (a *fetchAnswer) take(n int64) ([]byte, error) {
	if n > a.left {
		return nil, errAnswerCut
	}
	a.left -= n
	return readGrowing(a.in, n)
}

// readGrowing reads n bytes. The buffer grows with what arrives, not with what is announced.
func readGrowing(in io.Reader, n int64) ([]byte, error) {
	const step = 4 << 20
	body := make([]byte, min(n, step))
	for have := int64(0); ; {
		if _, err := io.ReadFull(in, body[have:]); err != nil {
			return nil, err
		}
		have = int64(len(body))
		if have == n {
			return body, nil
		}
		body = append(make([]byte, 0, min(n, 2*have)), body...)
		body = body[:cap(body)]
	}
}
