package recordbatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// javaBatch is what Kafka's Java code says about a batch that it wrote: see testdata/java/Golden.java.
type javaBatch struct {
	Magic         int8
	Codec         string
	Last          int64
	Epoch         int32
	Producer      int64
	Transactional bool
	Control       bool
	Records       []struct {
		Offset, Timestamp      int64
		Key, Value             []byte
		KeyHashed, ValueHashed bool
		Headers                []struct {
			Key   string
			Value []byte
		}
	}
}

func (b *javaBatch) lines() (lines []string) {
	lines = append(lines, fmt.Sprintf("format %d %s to %d epoch %d producer %d transactional %v control %v",
		b.Magic, b.Codec, b.Last, b.Epoch, b.Producer, b.Transactional, b.Control))
	for _, r := range b.Records {
		line := fmt.Sprintf("%d@%d %s=%s", r.Offset, r.Timestamp, exactly(r.Key, r.KeyHashed), exactly(r.Value, r.ValueHashed))
		for _, h := range r.Headers {
			line += fmt.Sprintf(" %q:%s", h.Key, exactly(h.Value, false))
		}
		lines = append(lines, line)
	}
	return lines
}

// exactly is b as text, or its hash when it is long, as it is when hashed says so.
func exactly(b []byte, hashed bool) string {
	switch {
	case b == nil:
		return "null"
	case hashed:
		return fmt.Sprintf("sha256 %x", b)
	case len(b) > 1000:
		return fmt.Sprintf("sha256 %x", sha256.Sum256(b))
	}
	return fmt.Sprintf("%q", b)
}

// batchLines is what we read, in the same words.
func batchLines(raw []byte) (lines []string, err error) {
	r := NewReader(DefaultLimits())
	defer r.Close()
	codecs := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	for {
		b, rest, err := Next(raw)
		if err != nil {
			return lines, clean(err)
		}
		raw = rest
		lines = append(lines, fmt.Sprintf("format %d %s to %d epoch %d producer %d transactional %v control %v",
			b.Magic, codecs[b.codec], b.Last, b.LeaderEpoch, b.ProducerID, b.Transactional, b.Control))
		r.Reset(b)
		for {
			var rec Record
			if err := r.Next(&rec); err == io.EOF {
				break
			} else if err != nil {
				return lines, err
			}
			if rec.Excess != nil {
				return lines, errors.New("over a limit: " + rec.Excess.Limit)
			}
			line := fmt.Sprintf("%d@%d %s=%s", rec.Offset, rec.Timestamp, exactly(rec.Key, false), exactly(rec.Value, false))
			for key, value := range rec.Headers {
				line += fmt.Sprintf(" %q:%s", key, exactly(value, false))
			}
			lines = append(lines, line)
		}
	}
}

// readAsJava compares what we read of each file of a folder with what Java says about it, and checks that the files hold every
// kind of batch.
func readAsJava(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(strings.TrimSuffix(file, ".bin") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var batches []javaBatch
		strict := json.NewDecoder(bytes.NewReader(text))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&batches); err != nil {
			t.Fatal(file, err)
		}
		var want []string
		for i := range batches {
			b := &batches[i]
			want = append(want, b.lines()...)
			kind := fmt.Sprintf("format %d %s", b.Magic, b.Codec)
			switch {
			case b.Control:
				kind += " control"
			case len(b.Records) == 0:
				kind += " empty"
			case b.Transactional:
				kind += " transactional"
			}
			kinds[kind] = true
		}
		got, err := batchLines(raw)
		if diff := difference(got, want); diff != "" || err != nil {
			t.Errorf("%s: %s, %v", file, diff, err)
		}
	}
	want := []string{
		"format 0 gzip", "format 0 lz4", "format 0 none", "format 0 snappy", "format 1 gzip", "format 1 lz4", "format 1 none", "format 1 snappy",
		"format 2 gzip", "format 2 lz4", "format 2 none", "format 2 none control", "format 2 none empty", "format 2 none transactional", "format 2 snappy", "format 2 zstd",
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
		t.Errorf("the files hold %q, want %q", got, want)
	}
}

// What Kafka's Java client and broker wrote, in every format and with every codec, is read as Java reads it. The files come from
// TestWhatKafkasJavaWritesIsRead.
//
// Mutations: mendLZ4 is not called; the wrapper's time is ignored; relative offsets are taken as absolute; null of an old message
// becomes empty; the leader epoch, or that a batch is a marker's, is not read.
func TestWhatKafkasJavaWroteIsRead(t *testing.T) { readAsJava(t, filepath.Join("testdata", "java")) }
