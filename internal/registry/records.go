package registry

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Reference is a schema that another one refers to by a name.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// UnmarshalJSON takes a version that is written as a text too, as Java's libraries do.
func (r *Reference) UnmarshalJSON(data []byte) error {
	var given struct {
		Name    string      `json:"name"`
		Subject string      `json:"subject"`
		Version json.Number `json:"version"`
	}
	if err := json.Unmarshal(data, &given); err != nil {
		return err
	}
	r.Name, r.Subject, r.Version = given.Name, given.Subject, 0
	if given.Version == "" {
		return nil
	}
	version, err := strconv.ParseInt(given.Version.String(), 10, 32)
	if err != nil {
		return fmt.Errorf("the version %s of a reference is no number of a version", given.Version)
	}
	r.Version = int(version)
	return nil
}

// Entry is one version of a subject, as it stands in the topic and as the API shows it.
type Entry struct {
	Subject    string          `json:"subject"`
	Version    int             `json:"version"`
	ID         int             `json:"id"`
	GUID       string          `json:"guid,omitempty"`
	SchemaType string          `json:"schemaType,omitempty"` // none is AVRO
	References []Reference     `json:"references,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	RuleSet    json.RawMessage `json:"ruleSet,omitempty"`
	Schema     string          `json:"schema"`
	Deleted    bool            `json:"deleted,omitempty"`

	raw     json.RawMessage // the value in the topic, with what this server does not know
	content [md5.Size]byte  // contentOf it
	at      int64           // offset of its record
	before  *Entry          // another content that had the version
}

// contentOf is what makes a schema another one: entries of one content share an id.
func contentOf(e *Entry) [md5.Size]byte {
	type identity struct {
		Type, Schema      string
		References        []Reference
		Metadata, RuleSet any
	}
	references := e.References
	if len(references) == 0 {
		references = nil // a list of none, as some clients send it, is no list
	}
	data, _ := json.Marshal(identity{e.SchemaType, e.Schema, references, anyOf(stated(e.Metadata)), anyOf(stated(e.RuleSet))})
	return md5.Sum(data)
}

// anyOf makes JSON of one meaning equal.
func anyOf(raw json.RawMessage) (v any) {
	_ = json.Unmarshal(raw, &v)
	return v
}

// guid is a name of the content that is the same in every context and registry of Weir's.
func guidOf(content [md5.Size]byte) string {
	content[6], content[8] = content[6]&0x0f|0x30, content[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", content[:4], content[4:6], content[6:8], content[8:10], content[10:])
}

// Config is what is configured for a subject, a context or everything.
type Config struct {
	CompatibilityLevel string
	Normalize          *bool
	raw                map[string]json.RawMessage
}

// recordKey is the key of a record. Its JSON has the members in the order in which all registries write them: a key in another
// order would be another key to compaction.
type recordKey struct {
	Keytype string  `json:"keytype"`
	Subject *string `json:"subject,omitempty"`
	Version int     `json:"version,omitempty"`
	Tenant  string  `json:"tenant,omitempty"`
	Context string  `json:"context,omitempty"`
	Magic   int     `json:"magic"`
}

// UnmarshalJSON takes numbers in each form that Confluent's registry takes. Where it fails it has what can be read.
func (k *recordKey) UnmarshalJSON(data []byte) error {
	var given struct {
		Keytype, Tenant, Context string
		Subject                  *string
		Version, Magic           json.Number
	}
	err := json.Unmarshal(data, &given)
	*k = recordKey{Keytype: given.Keytype, Subject: given.Subject, Tenant: given.Tenant, Context: given.Context}
	var err1, err2 error
	k.Version, err1 = wholeNumber(given.Version)
	k.Magic, err2 = wholeNumber(given.Magic)
	return errors.Join(err, err1, err2)
}

// unknown says what the key of a schema has that Confluent's registry does not take, "" for nothing.
func (k *recordKey) unknown() string {
	switch {
	case k.Keytype != "SCHEMA":
		return ""
	case k.Subject == nil:
		return "no subject"
	case k.Magic != 0 && k.Magic != 1:
		return fmt.Sprintf("the magic number %d", k.Magic)
	}
	return ""
}

// wholeNumber is a number as Java's libraries read it: also 1.0, or a text. None is 0.
func wholeNumber(n json.Number) (int, error) {
	if n == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(n.String()), 64)
	if err != nil || math.Abs(f) > math.MaxInt32 {
		return 0, fmt.Errorf("%q is no number of a record", n.String())
	}
	return int(f), nil
}

func (k recordKey) encode() []byte {
	// CONFIG and MODE name a subject always: null is everything.
	if k.Subject == nil && (k.Keytype == "CONFIG" || k.Keytype == "MODE") {
		return fmt.Appendf(nil, `{"keytype":%q,"subject":null,"magic":%d}`, k.Keytype, k.Magic)
	}
	return plain(k)
}

// usual is the key under which this server writes what a key names.
func (k recordKey) usual() recordKey {
	k.Magic = 0
	if k.Keytype == "SCHEMA" {
		k.Magic = 1
	}
	if k.Subject != nil {
		subject := qualify(defaultContext, *k.Subject)
		k.Subject = &subject
	}
	return k
}

// plain is JSON as Java's libraries write it: without escapes for HTML.
func plain(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // of our own types, which can be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func schemaKey(subject string, version int) recordKey {
	return recordKey{Keytype: "SCHEMA", Subject: &subject, Version: version, Magic: 1}
}

// scoped is the key of a setting; the subject "" is everything.
func scoped(keytype, subject string) recordKey {
	k := recordKey{Keytype: keytype}
	if subject != "" {
		k.Subject = &subject
	}
	return k
}

// rememberKey is the key of the NOOP record that keeps the highest ids. Other registries write NOOP records too, without a value, and
// compaction keeps the last of one key: with their key the ids would be forgotten. To them this key is the same one, since they parse it
// as JSON, and to compaction it is another. Its members have their order, because Karapace writes all keys in the old way of its own as soon as it
// finds one with another; a keytype that they do not know would end Confluent's reader, and a magic number that is not 0 would be an
// error in its log.
const rememberKey = `{"keytype":"NOOP", "magic":0}`

// mark is the value of a NOOP record that a server writes when it takes over, and when ids are to be remembered. Other registries
// do not look at it.
type mark struct {
	Writer *writer        `json:"writer,omitempty"`
	MaxIDs map[string]int `json:"maxIds,omitempty"` // by context, also of schemas that are gone
}

// writer is the server that writes.
type writer struct {
	URL        string `json:"url"`
	ProducerID int64  `json:"producerId"`
	Epoch      int16  `json:"epoch"`
	Key        string `json:"key,omitempty"` // for which credentials are sealed
}

func (w *writer) producer() kafka.Producer {
	if w == nil {
		return kafka.Producer{}
	}
	return kafka.Producer{ID: w.ProducerID, Epoch: w.Epoch}
}

func record(key recordKey, value any) kafka.Outgoing {
	out := kafka.Outgoing{Timestamp: time.Now().UnixMilli(), Key: key.encode()}
	if value != nil {
		out.Value = plain(value)
	}
	return out
}

// entryValue is the value of an entry in the topic: what it was read as, with what this server changes.
func entryValue(e *Entry) any {
	type stored struct {
		*Entry
		Deleted bool `json:"deleted"` // always there
	}
	if e.raw == nil {
		return stored{e, e.Deleted}
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(e.raw, &all) != nil {
		return stored{e, e.Deleted}
	}
	all["deleted"] = plain(e.Deleted)
	return all
}
