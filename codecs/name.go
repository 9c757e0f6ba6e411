package codecs

import "fmt"

// Named is a codec with a name of its own, which descriptions of a topology show. Every codec of this package is one; a codec
// that is not goes by its Go type.
type Named interface {
	// Name is short and does not change: programs may compare it.
	Name() string
}

// Name returns the name of a codec: "json", "string", "int64" or "bytes" for those of this package, "goka" and the Go type for one
// that [FromGoka] took over, what Name says for a [Named], and the Go type for any other.
func Name(codec any) (name string) {
	defer func() {
		if recover() != nil || name == "" {
			name = fmt.Sprintf("%T", codec)
		}
	}()
	if n, ok := codec.(Named); ok {
		name = n.Name()
	}
	return name
}

// Name implements [Named].
func (BytesCodec) Name() string { return "bytes" }

// Name implements [Named].
func (StringCodec) Name() string { return "string" }

// Name implements [Named].
func (Int64Codec) Name() string { return "int64" }

// Name implements [Named].
func (c *JSONCodec[T]) Name() string { return "json" }

// Name implements [Named].
func (c fromGoka[T]) Name() string { return c.name }
