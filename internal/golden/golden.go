// Package golden is the folder of a snapshot: the stores of a topology at stated offsets of its inputs, and, where they were captured, the
// records after those. Files are text, one JSON object a line, with checksums in manifest.json, so that a reader of a diff sees what has
// changed. What is no UTF-8 is "base64:" and its base64.
package golden

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// Manifest says what is in a folder.
type Manifest struct {
	Version  int       `json:"version"`
	Topology string    `json:"topology"`
	Cluster  string    `json:"cluster"`
	Taken    time.Time `json:"taken"`
	Inputs   []Input   `json:"inputs"`
	Stores   []Store   `json:"stores"`
	Aside    []Aside   `json:"aside,omitempty"`
	Records  *File     `json:"records,omitempty"`
}

// Input is up to where an input partition had been read.
type Input struct {
	Stream     string `json:"stream"` // as it is declared
	Topic      string `json:"topic"`  // as it is called in the cluster
	TopicID    string `json:"topic_id"`
	Partition  int32  `json:"partition"`
	Partitions int32  `json:"partitions"` // of the topic
	Offset     int64  `json:"offset"`     // of the first record that has no effect in the state, -1 where nothing was read
}

// Aside is up to where a partition of a redrive or retry topic had been read, and where it ended.
type Aside struct {
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	End       int64  `json:"end"`
	Waiting   bool   `json:"waiting"` // there were records between
}

// Store is a store at a partition.
type Store struct {
	Store     string `json:"store"`
	Partition int32  `json:"partition"`
	File
}

// File is one of the folder's files.
type File struct {
	Name   string `json:"file"`
	SHA256 string `json:"sha256"`
	Lines  int64  `json:"lines"`
}

// Bytes are bytes as text.
type Bytes []byte

const base64Prefix = "base64:"

// MarshalJSON writes them.
func (b Bytes) MarshalJSON() ([]byte, error) {
	switch {
	case b == nil:
		return []byte("null"), nil
	case !utf8.Valid(b) || bytes.HasPrefix(b, []byte(base64Prefix)):
		return json.Marshal(base64Prefix + base64.StdEncoding.EncodeToString(b))
	}
	return json.Marshal(string(b))
}

// UnmarshalJSON reads them.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*b = nil
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(text, base64Prefix); ok {
		raw, err := base64.StdEncoding.DecodeString(rest)
		*b = append(Bytes{}, raw...)
		return err
	}
	*b = append(Bytes{}, text...)
	return nil
}

// Entry is a key of a store with its value.
type Entry struct {
	Key   Bytes `json:"key"`
	Value Bytes `json:"value"`
}

// Record is a record of an input.
type Record struct {
	Stream    string   `json:"stream"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp int64    `json:"timestamp"`
	Key       Bytes    `json:"key"`
	Value     Bytes    `json:"value"`
	Headers   []Header `json:"headers,omitempty"`
}

// Header is a header of a record.
type Header struct {
	Key   string `json:"key"`
	Value Bytes  `json:"value"`
}

// manifest is the name of the file that says what is in the folder. It is written last.
const manifest = "manifest.json"

// Write writes the manifest of a folder.
func (m *Manifest) Write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifest)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Read reads the manifest of a folder.
func Read(dir string) (*Manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, manifest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no snapshot: state snapshot makes one, with %s in it (%w)", dir, manifest, err)
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, manifest), err)
	}
	if m.Version != 1 {
		return nil, fmt.Errorf("%s has version %d, and this program knows version 1", filepath.Join(dir, manifest), m.Version)
	}
	return m, nil
}

// Of reads the manifest of a folder that is to be a snapshot of a topology.
func Of(dir, topology string) (*Manifest, error) {
	m, err := Read(dir)
	if err == nil && m.Topology != topology {
		return nil, fmt.Errorf("%s is a snapshot of topology %s, not of %s", dir, m.Topology, topology)
	}
	return m, err
}

// Create writes a file of lines, each of which fill gives to put.
func Create(dir, name string, fill func(put func(any) error) error) (f File, err error) {
	out, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sum := sha256.New()
	to := bufio.NewWriterSize(io.MultiWriter(out, sum), 1<<20)
	f.Name = name
	if err := fill(func(line any) error {
		data, err := json.Marshal(line)
		if err != nil {
			return err
		}
		f.Lines++
		_, err = to.Write(append(data, '\n'))
		return err
	}); err != nil {
		return f, err
	}
	if err := to.Flush(); err != nil {
		return f, err
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return f, out.Sync()
}

// Check says whether a file is the one that was written.
func (f File) Check(dir string) error {
	if f.Name != filepath.Base(f.Name) {
		return fmt.Errorf("%q is no file of the folder", f.Name)
	}
	in, err := os.Open(filepath.Join(dir, f.Name))
	if err != nil {
		return err
	}
	defer in.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, in); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%s is damaged: its SHA-256 is %s, and was %s when it was written", filepath.Join(dir, f.Name), got, f.SHA256)
	}
	return nil
}

// Lines calls each with the lines of a file, which is checked first.
func Lines[T any](dir string, f File, each func(*T) error) error {
	if err := f.Check(dir); err != nil {
		return err
	}
	in, err := os.Open(filepath.Join(dir, f.Name))
	if err != nil {
		return err
	}
	defer in.Close()
	lines := json.NewDecoder(bufio.NewReaderSize(in, 1<<20))
	for {
		var line T
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", filepath.Join(dir, f.Name), err)
		}
		if err := each(&line); err != nil {
			return err
		}
	}
}
