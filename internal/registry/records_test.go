package registry

import (
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// The bytes of keys are those that Confluent's registry and Karapace write: with others, compaction would keep two records of one
// thing. And a value keeps what this server does not know.
//
// Mutations seen to fail it: CONFIG without "subject":null; entryValue that encodes the Entry always; plain that escapes for HTML.
func TestRecordsAreAsOtherRegistriesWriteThem(t *testing.T) {
	subject := "a<b"
	for want, key := range map[string]recordKey{
		`{"keytype":"SCHEMA","subject":"a<b","version":3,"magic":1}`: schemaKey(subject, 3),
		`{"keytype":"CONFIG","subject":null,"magic":0}`:              scoped("CONFIG", ""),
		`{"keytype":"CONFIG","subject":"a<b","magic":0}`:             scoped("CONFIG", subject),
		`{"keytype":"MODE","subject":null,"magic":0}`:                scoped("MODE", ""),
		`{"keytype":"DELETE_SUBJECT","subject":"a<b","magic":0}`:     {Keytype: "DELETE_SUBJECT", Subject: &subject},
		`{"keytype":"NOOP","magic":0}`:                               {Keytype: "NOOP"},
	} {
		if got := string(key.encode()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	s := newState()
	value := `{"subject":"a<b","version":3,"id":7,"schema":"\"int\"","deleted":false,"ts":12,"md5":"x"}`
	if err := s.apply(&kafka.Record{Key: schemaKey(subject, 3).encode(), Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
	_, records, err := s.deleteVersion(subject, "3", false)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	if got, want := string(records[0].Value), `{"deleted":true,"id":7,"md5":"x","schema":"\"int\"","subject":"a<b","ts":12,"version":3}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// When a schema is gone for good, and compaction has taken its record, its id is not given again: what was written with it would be
// read as something else.
//
// Mutations seen to fail it: remember without the highest ids; applyMark that passes over them; a permanent deletion that remembers
// nothing.
func TestIdsOfWhatIsGoneAreNotGivenAgain(t *testing.T) {
	subject := "s"
	s := newState()
	for id, value := range []string{`{"subject":"s","version":1,"id":1,"schema":"\"int\"","deleted":true}`, `{"subject":"s","version":2,"id":7,"schema":"\"long\"","deleted":true}`} {
		if err := s.apply(&kafka.Record{Key: schemaKey(subject, id+1).encode(), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	_, records, err := s.deleteSubject(subject, true)
	if err != nil {
		t.Fatal(err)
	}
	after := newState() // of what compaction leaves
	for _, r := range records {
		if err := after.apply(&kafka.Record{Key: r.Key, Value: r.Value}); err != nil {
			t.Fatal(err)
		}
	}
	study := New(nil, nil, nil).newStudy()
	var e *Entry
	err = study.settle(t.Context(), func() (err error) {
		e, _, err = view{after, study}.register("other", &Request{Schema: `"string"`}, false)
		return err
	})
	if err != nil || e.ID != 8 {
		t.Errorf("id %+v, %v", e, err)
	}
}
