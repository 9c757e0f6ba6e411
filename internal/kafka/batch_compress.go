package kafka

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"

	"github.com/IBM/sarama"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compress compresses the records of a batch. It may be called from several goroutines.
func compress(e encoding, src []byte) ([]byte, error) {
	switch e.codec {
	case sarama.CompressionSnappy:
		return s2.EncodeSnappy(nil, src), nil
	case sarama.CompressionZSTD:
		enc, err := zstdEncoder(e.level)
		if err != nil {
			return nil, err
		}
		return enc.EncodeAll(src, make([]byte, 0, len(src)/2)), nil
	}
	var out bytes.Buffer
	out.Grow(len(src) / 2)
	var w io.WriteCloser = lz4.NewWriter(&out)
	if e.codec == sarama.CompressionGZIP {
		level := e.level
		if level == sarama.CompressionLevelDefault {
			level = gzip.DefaultCompression
		}
		gz, err := gzip.NewWriterLevel(&out, level)
		if err != nil {
			return nil, err
		}
		w = gz
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

var zstdEncoders sync.Map // by level; EncodeAll is safe for concurrent use

func zstdEncoder(level int) (*zstd.Encoder, error) {
	if enc, ok := zstdEncoders.Load(level); ok {
		return enc.(*zstd.Encoder), nil
	}
	opts := []zstd.EOption{zstd.WithEncoderConcurrency(2), zstd.WithZeroFrames(true)}
	if level != sarama.CompressionLevelDefault {
		opts = append(opts, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	}
	enc, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		return nil, err
	}
	kept, _ := zstdEncoders.LoadOrStore(level, enc)
	return kept.(*zstd.Encoder), nil
}
