package proxy

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Where a record batch (format 2) has its length, format and checksum, and where what the checksum covers begins.
const (
	batchLength = 8
	batchMagic  = 16
	batchCRC    = 17
	batchBody   = 21
	batchHead   = 61
)

// corrupt flips a bit of the last record in the last record batch of an answer, and says whether there was a batch. A batch is known by
// its checksum, so that nothing else of the answer is touched: what the client gets is an answer in order with a batch
// that is not.
func corrupt(answer []byte) bool {
	for at := len(answer) - batchHead; at >= 0; at-- {
		if answer[at+batchMagic] != 2 {
			continue
		}
		end := at + 12 + int(int32(binary.BigEndian.Uint32(answer[at+batchLength:])))
		if end < at+batchHead || end > len(answer) || crc32.Checksum(answer[at+batchBody:end], castagnoli) != binary.BigEndian.Uint32(answer[at+batchCRC:]) {
			continue
		}
		answer[end-1] ^= 1
		return true
	}
	return false
}
