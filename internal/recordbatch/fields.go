package recordbatch

// fields reads the fields of a record from its front. Once bad it stays so.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) skip(n int) {
	if n > len(f.b) {
		f.bad, f.b = true, nil
		return
	}
	f.b = f.b[n:]
}

// varint reads a zigzag number of at most 5 bytes. Bits over 32 are lost, as in Java.
func (f *fields) varint() int32 {
	if len(f.b) > 0 && f.b[0] < 0x80 {
		v := uint32(f.b[0])
		f.b = f.b[1:]
		return int32(v>>1) ^ -int32(v&1)
	}
	var v uint32
	for i, c := range f.b {
		if i == 5 {
			break
		}
		v |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			f.b = f.b[i+1:]
			return int32(v>>1) ^ -int32(v&1)
		}
	}
	f.bad, f.b = true, nil
	return 0
}

// varlong reads a zigzag number of at most 10 bytes.
func (f *fields) varlong() int64 {
	var v uint64
	for i, c := range f.b {
		if i == 10 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			f.b = f.b[i+1:]
			return int64(v>>1) ^ -int64(v&1)
		}
	}
	f.bad, f.b = true, nil
	return 0
}

// size reads the size of bytes that follow, -1 for null. It is at most what is there.
func (f *fields) size() int {
	n := f.varint()
	if int(n) > len(f.b) {
		f.bad, f.b = true, nil
		return 0
	}
	return max(-1, int(n))
}

// bytes reads bytes, nil for null.
func (f *fields) bytes() []byte {
	n := f.size()
	if n < 0 || f.bad {
		return nil
	}
	b := f.b[:n:n]
	f.b = f.b[n:]
	return b
}
