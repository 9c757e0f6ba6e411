package state

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The first byte of a key in the database parts what this package writes for itself from users' keys.
const (
	metaPrefix = 0x00
	userPrefix = 0x01
)

var (
	stampKey      = []byte{metaPrefix, 's'} // format and topic id, written when the database is made
	checkpointKey = []byte{metaPrefix, 'c'} // rewritten with every batch
	noteKey       = []byte{metaPrefix, 'n'} // the caller's, written with the checkpoint that it belongs to
	asOfKey       = []byte{metaPrefix, 't'} // when the changelog held nothing after it, or before that
)

// format is the version of what is in a database. A program refuses a newer one.
const format = 1

// stamp says what a database is.
type stamp struct {
	format  int
	topicID string
}

func (s stamp) encode() []byte {
	return append([]byte{byte(s.format)}, s.topicID...)
}

func parseStamp(data []byte) (stamp, error) {
	if len(data) == 0 || data[0] == 0 {
		return stamp{}, fmt.Errorf("the stamp %x has no format", data)
	}
	return stamp{format: int(data[0]), topicID: string(data[1:])}, nil
}

func encodeCheckpoint(offset int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(offset))
}

func parseCheckpoint(data []byte) (int64, error) {
	if len(data) != 8 {
		return 0, fmt.Errorf("the checkpoint %x does not have 8 bytes", data)
	}
	offset := int64(binary.BigEndian.Uint64(data))
	if offset < 0 {
		return 0, fmt.Errorf("the checkpoint %d is below 0", offset)
	}
	return offset, nil
}

// parseNote returns the note of a checkpoint. A program that knows no notes has moved the checkpoint and left an old one.
func parseNote(data []byte, checkpoint int64) []byte {
	if at, err := parseCheckpoint(data[:min(8, len(data))]); err != nil || at != checkpoint {
		return nil
	}
	return data[8:]
}

func encodeTime(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))
}

// parseTime returns the zero time for what is none: nothing depends on it but how much of a changelog is read again.
func parseTime(data []byte) time.Time {
	if len(data) != 8 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(data)))
}
