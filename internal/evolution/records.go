package evolution

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema/avrovalue"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/internal/schema/jsonvalue"
	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/internal/schema/source"
	"github.com/weirstream/weir/registry"
)

// Records is what a schema makes of the newest records of a topic.
type Records struct {
	Topic       string    `json:"topic"`
	Read        int       `json:"read"`
	Undecodable int       `json:"undecodable"` // that the schema cannot read, of those with a schema
	Unframed    int       `json:"unframed"`    // that name no schema
	Empty       int       `json:"empty"`       // tombstones, or without a key
	By          []Written `json:"written_with"`
}

// Written are the records that were written with one schema.
type Written struct {
	ID          int    `json:"id,omitempty"`
	GUID        string `json:"guid,omitempty"`
	Version     int    `json:"version,omitempty"`  // of the subject, the first that has the schema; none: it is no version of it
	Versions    []int  `json:"versions,omitempty"` // all that have it: a rollback registers a schema again
	Records     int    `json:"records"`
	Undecodable int    `json:"undecodable"`
	// Example is where the newest one is that cannot be read, and why.
	Example string `json:"example,omitempty"`
	Why     string `json:"why,omitempty"`
}

// read looks at the newest records of a topic, last of them over all its partitions, as a reader with a schema.
func (t *Tool) read(ctx context.Context, client *kafka.Client, subject, topic string, key bool, last int, reader *registry.Registered, versions map[int][]int) (*Records, error) {
	infos, err := client.Topics(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	info, ok := infos[topic]
	if !ok {
		return nil, fmt.Errorf("the brokers have no topic %s: name the one of the subject with --topic", topic)
	}
	var tps []kafka.TopicPartition
	for p := range info.Partitions {
		tps = append(tps, kafka.TopicPartition{Topic: topic, Partition: p})
	}
	starts, err1 := client.Starts(ctx, tps)
	ends, err2 := client.Ends(ctx, tps)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	reading := &reading{tool: t, subject: subject, reader: reader, key: key, versions: versions, readers: map[string]decode{}, by: map[string]*Written{}, result: &Records{Topic: topic, By: []Written{}}}
	fetcher := client.NewFetcher(8 << 20)
	defer fetcher.Close()
	newest := &newest{reader: fetcher, judge: reading.judge, count: reading.count}
	for _, tp := range tps {
		newest.parts = append(newest.parts, &part{tp: tp, start: starts[tp], low: ends[tp]})
	}
	if err := newest.read(ctx, last); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(reading.by)) {
		if reading.by[name].Records > 0 { // a schema may be met in records that are older than those that count
			reading.result.By = append(reading.result.By, *reading.by[name])
		}
	}
	slices.SortStableFunc(reading.result.By, func(a, b Written) int { return a.Version - b.Version })
	return reading.result, nil
}

// decode reads what was written with one schema. rest is as framing.Read leaves it.
type decode func(value, rest []byte, inHeader bool) error

type reading struct {
	tool     *Tool
	subject  string
	reader   *registry.Registered
	key      bool
	versions map[int][]int // of the subject, by id
	readers  map[string]decode
	by       map[string]*Written
	result   *Records
}

// judged is what the reader's schema makes of a record.
type judged struct {
	tp      kafka.TopicPartition
	offset  int64
	empty   bool
	written *Written // nil where the record is empty or names no schema
	err     error
}

func (r *reading) judge(ctx context.Context, tp kafka.TopicPartition, record *kafka.Record) (judged, error) {
	value := record.Value
	if r.key {
		value = record.Key
	}
	var header []byte
	for _, h := range record.Headers {
		if string(h.Key) == framing.HeaderOf(r.key) {
			header = h.Value
		}
	}
	j := judged{tp: tp, offset: record.Offset, empty: len(value) == 0 && len(header) == 0}
	frame, rest, inHeader, err := framing.Read(value, header)
	if j.empty || err != nil {
		return j, nil
	}
	name := frame.String()
	w := r.by[name]
	if w == nil {
		w = &Written{ID: frame.ID, GUID: frame.GUID}
		if r.readers[name], err = r.decoder(ctx, frame, w); err != nil {
			return j, err
		}
		r.by[name] = w
	}
	j.written, j.err = w, r.readers[name](value, rest, inHeader)
	return j, nil
}

// count takes a record into the result. Of one partition the newest comes first.
func (r *reading) count(j judged) {
	r.result.Read++
	switch w := j.written; {
	case j.empty:
		r.result.Empty++
	case w == nil:
		r.result.Unframed++
	default:
		w.Records++
		if j.err == nil {
			return
		}
		w.Undecodable++
		r.result.Undecodable++
		if w.Why == "" {
			w.Example, w.Why = fmt.Sprintf("%s offset %d", j.tp, j.offset), j.err.Error()
		}
	}
}

// decoder is how the reader's schema reads what was written with the schema of a frame.
func (r *reading) decoder(ctx context.Context, frame framing.Frame, w *Written) (decode, error) {
	var writer *registry.Registered
	var err error
	if frame.GUID != "" {
		writer, err = r.tool.Client.ByGUID(ctx, frame.GUID)
	} else {
		writer, err = r.tool.Client.ByIDOf(ctx, frame.ID, r.subject)
	}
	if errors.Is(err, registry.ErrNotFound) {
		missing := fmt.Errorf("the registry has no schema %s", frame)
		return func([]byte, []byte, bool) error { return missing }, nil
	}
	if err != nil {
		return nil, err
	}
	if w.ID == 0 {
		w.ID = writer.ID
	}
	if w.Versions = r.versions[writer.ID]; len(w.Versions) > 0 {
		w.Version = w.Versions[0]
	}
	d, err := decoderOf(writer, r.reader)
	if err != nil {
		return func([]byte, []byte, bool) error { return err }, nil
	}
	return d, nil
}

// decoderOf reads with one schema what was written with another. Its error is that nothing can be.
func decoderOf(writer, reader *registry.Registered) (decode, error) {
	if writer.Type != reader.Type {
		return nil, fmt.Errorf("it was written as %s, and is read as %s", writer.Type, reader.Type)
	}
	switch reader.Type {
	case registry.Protobuf:
		return protobufDecoder(writer, reader)
	case registry.JSON:
		s, err := jsonvalue.Compile(reader.Text, sources(reader.Imports))
		return func(value, rest []byte, inHeader bool) error {
			return s.Check(encoded(value, rest, inHeader))
		}, err
	}
	from, err1 := avrovalue.ParseStored(writer.Text, sources(writer.Imports))
	to, err2 := avrovalue.Parse(reader.Text, sources(reader.Imports))
	if err2 != nil && reader.ID != 0 { // a version that is gone back to
		to, err2 = avrovalue.ParseStored(reader.Text, sources(reader.Imports))
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	resolved, err := avrovalue.Resolve(from, to)
	if err != nil {
		return nil, err
	}
	return func(value, rest []byte, inHeader bool) error {
		var v any
		left, err := resolved.Decode(encoded(value, rest, inHeader), &v)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d bytes follow the value", len(left))
		}
		return err
	}, nil
}

func encoded(value, rest []byte, inHeader bool) []byte {
	if inHeader {
		return value
	}
	return rest
}

func sources(imports []registry.Import) (list []source.Import) {
	for _, in := range imports {
		list = append(list, source.Import(in))
	}
	return list
}

// protobufDecoder reads the message of the reader's file that has the name of the writer's. Protobuf takes a field with another encoding for
// one that it does not know: what it says is lost, which counts as not read, as does what breaks a rule of protovalidate.
func protobufDecoder(writer, reader *registry.Registered) (decode, error) {
	open := func(r *registry.Registered) (*protovalue.File, error) {
		file, err := protovalue.Compile(r.Text, sources(r.Imports))
		if err != nil {
			return nil, err
		}
		return protovalue.Of(file)
	}
	from, err1 := open(writer)
	to, err2 := open(reader)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return func(value, rest []byte, inHeader bool) error {
		indexes, after, err := framing.Indexes(rest)
		if err != nil {
			return err
		}
		written, err := from.Message(indexes)
		if err != nil {
			return err
		}
		read, err := to.Named(string(written.FullName()))
		if err != nil {
			return err
		}
		message := dynamicpb.NewMessage(read)
		if err := proto.Unmarshal(encoded(value, after, inHeader), message); err != nil {
			return err
		}
		return errors.Join(lost(message.ProtoReflect()), to.Check(message))
	}, nil
}

// lost names a field that is known and was written with another encoding.
func lost(m protoreflect.Message) (err error) {
	for unknown := m.GetUnknown(); len(unknown) > 0; {
		number, _, n := protowire.ConsumeField(unknown)
		if n < 0 {
			break
		}
		if f := m.Descriptor().Fields().ByNumber(number); f != nil {
			return fmt.Errorf("field %s was written with another encoding than %s, and is lost", f.FullName(), f.Kind())
		}
		unknown = unknown[n:]
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = lost(v.Message())
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = lost(v.List().Get(i).Message())
			}
		case f.Message() != nil && !f.IsMap():
			err = lost(v.Message())
		}
		return err == nil
	})
	return err
}
