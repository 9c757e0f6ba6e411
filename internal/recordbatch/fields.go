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
		v := f.b[0]
		f.b = f.b[1:]
		return int32(v>>1) ^ -int32(v&1)
	}
	return int32(f.long(5))
}

// varlong reads a zigzag number of at most 10 bytes.
func (f *fields) varlong() int64 {
	if len(f.b) > 0 && f.b[0] < 0x80 {
		v := f.b[0]
		f.b = f.b[1:]
		return int64(v>>1) ^ -int64(v&1)
	}
	return f.long(10)
}

// long reads a number of at most that many bytes. It stands apart so that what reads a short one is inlined.
func (f *fields) long(most int) int64 {
	var v uint64
	for i, c := range f.b {
		if i == most {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			f.b = f.b[i+1:]
			if most == 5 {
				v &= 1<<32 - 1
			}
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
