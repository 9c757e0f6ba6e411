package avrovalue

import "github.com/twmb/avro"

// Rewritten is a value as the reader's schema has it, also where the library resolves the pair itself.
func Rewritten(writer, reader *avro.Schema, data []byte) ([]byte, error) {
	root, _, err := resolve(writer, reader)
	if err != nil {
		return nil, err
	}
	w := rewriter{decoder: decoder{data: data, most: MaxBytes}}
	err = w.value(root, 0)
	return w.out, err
}
