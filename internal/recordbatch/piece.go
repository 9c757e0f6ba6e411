package recordbatch

import (
	"errors"
	"io"
)

// piece is decompressed bytes: those between at and end of buf are unread, those before belong to records that were given
// out. buf is never written to before end, so when it is full the unread rest moves to a new one.
type piece struct {
	src     io.Reader
	left    int64 // of the bytes that may still be read from src
	buf     []byte
	at, end int
	size    int // of the next buf
}

const (
	pieceSize  = 256 << 10
	leastPiece = 4 << 10
)

var errTooMuch = errors.New("more bytes than a batch may have")

// begin starts to read src, which is thought to hold guess bytes.
func (p *piece) begin(src io.Reader, most int64, guess int) {
	p.src, p.left = src, most
	p.at = p.end // the rest of buf is free
	p.size = max(leastPiece, min(guess, pieceSize))
}

// lend reads b as it stands: records share its memory. src is drained, since all of it is there.
func (p *piece) lend(src io.Reader, b []byte) {
	_, _ = io.Copy(io.Discard, src)
	p.src, p.left = src, 1
	p.buf, p.at, p.end = b, 0, len(b)
	p.size = leastPiece
}

// drop leaves buf to those who have parts of it.
func (p *piece) drop() {
	p.buf = append(make([]byte, 0, max(leastPiece, p.end-p.at)), p.buf[p.at:p.end]...)
	p.at, p.end = 0, len(p.buf)
	p.buf = p.buf[:cap(p.buf)]
}

// fill makes n unread bytes be there.
func (p *piece) fill(n int) error {
	if p.end-p.at >= n {
		return nil
	}
	if p.at+n > len(p.buf) {
		// A record that is larger than what has arrived of it may end too soon, so buf grows with what arrives.
		size := max(p.size, min(n, max(pieceSize, 2*(p.end-p.at))))
		next := make([]byte, size)
		p.end = copy(next, p.buf[p.at:p.end])
		p.buf, p.at = next, 0
		p.size = pieceSize
	}
	for p.end-p.at < n {
		if p.end == len(p.buf) {
			return p.fill(n)
		}
		got, err := p.read(p.buf[p.end:])
		p.end += got
		if got == 0 && err != nil {
			return err
		}
	}
	return nil
}

func (p *piece) read(into []byte) (int, error) {
	if p.left <= 0 {
		// The limit is no damage: only a batch that goes on is over it.
		var one [1]byte
		for range 100 {
			n, err := p.src.Read(one[:])
			if n > 0 {
				return 0, errTooMuch
			}
			if err != nil {
				return 0, err
			}
		}
		return 0, io.ErrNoProgress
	}
	for range 100 {
		n, err := p.src.Read(into[:min(int64(len(into)), p.left)])
		p.left -= int64(n)
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// take returns the next n bytes, which stay as they are.
func (p *piece) take(n int) ([]byte, error) {
	if err := p.fill(n); err != nil {
		return nil, err
	}
	b := p.buf[p.at : p.at+n : p.at+n]
	p.at += n
	return b, nil
}

// peek returns the next n bytes, or fails.
func (p *piece) peek(n int) ([]byte, error) {
	if err := p.fill(n); err != nil {
		return nil, err
	}
	return p.buf[p.at : p.at+n], nil
}

// discard passes over n bytes, which need no memory.
func (p *piece) discard(n int64) error {
	ready := min(n, int64(p.end-p.at))
	p.at += int(ready)
	n -= ready
	if n == 0 {
		return nil
	}
	if len(p.buf)-p.end < leastPiece {
		p.buf = make([]byte, pieceSize)
		p.at, p.end = 0, 0
	}
	for n > 0 {
		got, err := p.read(p.buf[p.end:min(int64(len(p.buf)), int64(p.end)+n)])
		n -= int64(got)
		if got == 0 && err != nil {
			return err
		}
	}
	return nil
}

// more says whether anything is left.
func (p *piece) more() (bool, error) {
	switch err := p.fill(1); err {
	case nil:
		return true, nil
	case io.EOF:
		return false, nil
	default:
		return false, err
	}
}

// varint reads a number of at most 32 bits.
func (p *piece) varint() (int64, error) {
	if p.end-p.at < 5 {
		return p.slowVarint()
	}
	f := fields{b: p.buf[p.at:p.end]}
	v := f.varint()
	if f.bad {
		return 0, errVarint
	}
	p.at = p.end - len(f.b)
	return int64(v), nil
}

var errVarint = errors.New("a number has too many bytes")

// slowVarint reads a number near the end of what is there, byte by byte.
func (p *piece) slowVarint() (int64, error) {
	for n := 1; n <= 5; n++ {
		b, err := p.peek(n)
		if err != nil {
			return 0, err
		}
		if b[n-1] < 0x80 {
			f := fields{b: b}
			v := f.varint()
			if f.bad {
				return 0, errVarint
			}
			p.at += n
			return int64(v), nil
		}
	}
	return 0, errVarint
}
