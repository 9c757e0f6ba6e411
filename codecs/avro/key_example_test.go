package avro_test

import (
	"fmt"

	"github.com/weirstream/weir/codecs/avro"
)

// A key that is an Avro string, as a node emits it to a stream whose KeyCodec is avro.Bound[string] with the same schema.
func ExampleOf_keys() {
	keys := avro.Of[string](avro.Schema(`"string"`))
	key, err := keys.Append(nil, "o1")
	fmt.Printf("%q %v\n", key, err)
	// Output: "\x04o1" <nil>
}
