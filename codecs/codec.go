package codecs

// Codec turns values of one type into bytes and back. A codec keeps no state between calls and may be used from
// several goroutines at once.
type Codec[T any] interface {
	// Append encodes v after dst and returns the extended slice, as append does. dst belongs to the caller. On an error
	// what was appended is to be ignored.
	Append(dst []byte, v T) ([]byte, error)
	// Parse decodes data. The result must not refer to data: the caller may reuse it.
	Parse(data []byte) (T, error)
}
