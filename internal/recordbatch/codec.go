package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

const (
	codecNone int8 = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// blockError says that a codec must keep more at once than is allowed.
type blockError struct{ size, most int64 }

func (e *blockError) Error() string {
	return fmt.Sprintf("decompression needs %d bytes at once, %d are allowed", e.size, e.most)
}

// decompressor is a stream of a codec that is used again.
type decompressor interface {
	io.Reader
	// reset begins a stream. It fails with a *blockError when the stream needs too much memory at once.
	reset(src []byte, most int64) error
	// held is the memory that the stream keeps until it ends.
	held() int64
	release()
}

// decompress begins the stream of a codec. magic is the format of the message it stands in.
func decompress(codec, magic int8, src []byte, most int64) (decompressor, error) {
	var d decompressor
	switch codec {
	case codecNone:
		d = &plain{}
	case codecGzip:
		d = gzips.Get().(*gunzip)
	case codecSnappy:
		d = &unsnap{}
	case codecLZ4:
		d = lz4s.Get().(*unlz4)
		src = mendLZ4(src, magic)
	case codecZstd:
		d = zstds.Get().(*unzstd)
	default:
		return nil, fmt.Errorf("compression %d is not known", codec)
	}
	if err := d.reset(src, most); err != nil {
		d.release()
		return nil, err
	}
	return d, nil
}

type plain struct{ bytes.Reader }

func (p *plain) reset(src []byte, _ int64) error { p.Reader.Reset(src); return nil }
func (p *plain) held() int64                     { return 0 }
func (p *plain) release()                        {}

type gunzip struct {
	src bytes.Reader
	gzip.Reader
}

var gzips = sync.Pool{New: func() any { return new(gunzip) }}

func (g *gunzip) reset(src []byte, _ int64) error {
	g.src.Reset(src)
	return g.Reader.Reset(&g.src)
}
func (g *gunzip) held() int64 { return 64 << 10 }
func (g *gunzip) release()    { g.src.Reset(nil); gzips.Put(g) }

// unlz4 reads LZ4 frames, one after the other as Java does not; a second one would be an error there too.
type unlz4 struct {
	src bytes.Reader
	z   *lz4.Reader
}

var lz4s = sync.Pool{New: func() any { return &unlz4{z: lz4.NewReader(nil)} }}

func (u *unlz4) Read(p []byte) (int, error) { return u.z.Read(p) }
func (u *unlz4) reset(src []byte, _ int64) error {
	u.src.Reset(src)
	u.z.Reset(&u.src)
	return nil
}
func (u *unlz4) held() int64 { return 8 << 20 } // two blocks of the largest size
func (u *unlz4) release() {
	u.src.Reset(nil)
	u.z.Reset(nil)
	lz4s.Put(u)
}

// mendLZ4 puts the right checksum into the frame header of a message of format 0, whose writers got it wrong (KAFKA-3160).
func mendLZ4(src []byte, magic int8) []byte {
	if magic > 0 || len(src) < 7 {
		return src
	}
	size := 6
	if src[4]&8 != 0 {
		size += 8 // the size of the content
	}
	if src[4]&1 != 0 {
		size += 4 // a dictionary's name
	}
	if len(src) <= size {
		return src
	}
	mended := bytes.Clone(src)
	mended[size] = byte(shortXXH32(src[4:size]) >> 8)
	return mended
}

// shortXXH32 is xxHash32 of less than 16 bytes, with seed 0.
func shortXXH32(b []byte) uint32 {
	const p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	h := uint32(p5) + uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}

type unzstd struct {
	src    bytes.Reader
	z      *zstd.Decoder
	window int64
}

// maxWindow is what Java's decoder takes (2^27).
const maxWindow = 128 << 20

var zstds = sync.Pool{New: func() any {
	// One thread decodes as it is read, and no goroutine outlives the reading.
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		panic(err) // the options are constant
	}
	return &unzstd{z: z}
}}

func (u *unzstd) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = &blockError{maxWindow + 1, maxWindow}
	}
	return n, err
}

func (u *unzstd) reset(src []byte, most int64) error {
	u.window = 8 << 20
	var h zstd.Header
	if err := h.Decode(src); err == nil && !h.Skippable {
		u.window = int64(max(h.WindowSize, 1<<10))
		if h.SingleSegment {
			u.window = int64(h.FrameContentSize)
		}
		if size := max(h.WindowSize, 0); size > uint64(most) || u.window > most {
			return &blockError{max(u.window, int64(min(size, 1<<62))), most}
		}
	}
	u.src.Reset(src)
	return u.z.Reset(&u.src)
}
func (u *unzstd) held() int64 { return u.window }
func (u *unzstd) release() {
	u.src.Reset(nil)
	_ = u.z.Reset(nil)
	if u.window <= 8<<20 {
		zstds.Put(u) // a large window is not kept for later
	}
}

// unsnap reads snappy: blocks in the framing of Java's library (xerial), or one block.
type unsnap struct {
	src  []byte
	most int64
	out  []byte
	buf  []byte
}

var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func (u *unsnap) reset(src []byte, most int64) error {
	u.most = most
	if !bytes.HasPrefix(src, xerial) {
		return u.block(src)
	}
	if len(src) < 16 {
		return io.ErrUnexpectedEOF
	}
	u.src = src[16:] // the magic is followed by two versions
	return nil
}

func (u *unsnap) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if len(u.src) == 0 {
			return 0, io.EOF
		}
		if bytes.HasPrefix(u.src, xerial) && len(u.src) >= 16 {
			u.src = u.src[16:] // streams may be put one after the other
			continue
		}
		if len(u.src) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		size := int64(binary.BigEndian.Uint32(u.src))
		if size > int64(len(u.src)-4) {
			return 0, io.ErrUnexpectedEOF
		}
		block := u.src[4 : 4+size]
		u.src = u.src[4+size:]
		if err := u.block(block); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// block decompresses a block. Its size is declared; three bytes make at most 64, so more is a lie.
func (u *unsnap) block(src []byte) error {
	size, err := snappy.DecodedLen(src)
	if err != nil {
		return err
	}
	if size > 22*len(src)+64 {
		return fmt.Errorf("a block of snappy of %d bytes is said to make %d", len(src), size)
	}
	if int64(size) > u.most {
		return &blockError{int64(size), u.most}
	}
	u.buf, err = snappy.Decode(u.buf[:cap(u.buf)], src)
	u.out = u.buf
	return err
}
func (u *unsnap) held() int64 { return int64(cap(u.buf)) }
func (u *unsnap) release()    {}
