package registry

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
)

// written is a topic as another registry wrote it: a key and a value a line.
func written(t *testing.T, name string) (records [][2]string) {
	t.Helper()
	data, err := os.ReadFile("testdata/topics/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		records = append(records, [2]string{key, value})
	}
	return records
}

// A topic that Karapace 6.2.0 wrote says here what it says there: its deletions have a value of no bytes, its schemas their members by
// name, and its global level no subject.
//
// Mutations seen to fail it: a value of no bytes taken for one; same that looks at the stored text only.
func TestATopicOfKarapaceIsTakenOver(t *testing.T) {
	r := loaded(t, written(t, "karapace.txt")...)
	for question, want := range map[string]string{
		"GET /subjects":                           `["a","b","c","d"]`,
		"GET /subjects?deleted=true":              `["a","b","c","d","e"]`,
		"GET /config":                             `{"compatibilityLevel":"FULL"}`,
		"GET /config/d":                           `{"compatibilityLevel":"NONE"}`,
		"GET /config/b?defaultToGlobal=true":      `{"compatibilityLevel":"FULL"}`,
		"GET /subjects/d/versions?deleted=1":      `[2]`,
		"GET /subjects/a/versions":                `[1,2]`,
		"GET /subjects/a/versions/1/schema":       `{"fields":[{"name":"x","type":"int"}],"name":"A","type":"record"}`,
		"GET /subjects/a/versions/1/referencedby": `[4]`,
		"GET /schemas/ids/7/versions?deleted=1":   `[{"subject":"e","version":1}]`,
	} {
		method, path, _ := strings.Cut(question, " ")
		if got := strings.TrimSpace(ask(r, method, path, "")); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
	// The same schema as clients write it is the one that is there, and registering it changes nothing.
	const same = `{"schema":"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}"}`
	if got := ask(r, "POST", "/subjects/a", same); !strings.Contains(got, `"version":1,"id":1`) {
		t.Error(got)
	}
	study := r.newStudy()
	err := study.settle(t.Context(), func() error {
		e, records, err := view{r.log.state, study}.register("a", &Request{Schema: `{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}`}, false)
		if err == nil && (e.ID != 1 || len(records) > 0) {
			t.Errorf("registered again it is %+v, with %d records", e, len(records))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Old versions of Karapace write the members of keys in another order, and old ones of Confluent's server another magic number. To
// compaction these are other keys: what is deleted here must be so under them too, or it would come back.
//
// Mutations seen to fail it: gone without the other spellings; spell that forgets none; usual that leaves magic, or the subject, as it is.
func TestWhatAnotherSpellingNamesIsDeletedUnderIt(t *testing.T) {
	const usual = `{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`
	for _, old := range []string{
		`{"subject":"s","version":1,"magic":1,"keytype":"SCHEMA"}`,
		`{"keytype":"SCHEMA","subject":"s","version":1,"magic":0}`,
		`{"magic":0,"keytype":"SCHEMA","subject":"s","version":1}`,
		`{"keytype":"SCHEMA","subject":":.:s","version":1,"magic":1}`,
	} {
		for how, remove := range map[string]func(*state) ([]kafka.Outgoing, error){
			"the subject": func(s *state) (records []kafka.Outgoing, err error) {
				_, records, err = s.deleteSubject("s", true)
				return records, err
			},
			"its version": func(s *state) (records []kafka.Outgoing, err error) {
				_, records, err = s.deleteVersion("s", "1", true)
				return records, err
			},
		} {
			s := loaded(t, [2]string{old, `{"subject":"s","version":1,"id":1,"schema":"\"int\"","deleted":true}`}).log.state
			records, err := remove(s)
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, o := range records {
				if o.Value == nil {
					keys = append(keys, string(o.Key))
				}
				if err := s.apply(&kafka.Record{Key: o.Key, Value: o.Value}); err != nil {
					t.Fatal(err)
				}
			}
			if want := []string{usual, old}; !slices.Equal(keys, want) {
				t.Errorf("%s is deleted under %q, want %q", how, keys, want)
			}
			if len(s.spelled) > 0 {
				t.Errorf("still remembered: %v", s.spelled)
			}
		}
	}
}

// Records that no registry writes change nothing, and are reported.
//
// Mutations seen to fail it: apply without the look at Excess; applySchema that takes any id; applyConfig that takes any level; apply that
// takes any mode.
func TestDamagedRecordsChangeNothingAndAreReported(t *testing.T) {
	r := loaded(t, [2]string{`{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`, `{"subject":"s","version":1,"id":1,"schema":"\"int\""}`})
	before := ask(r, "GET", "/schemas?deleted=true", "")
	key := `{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`
	for n, bad := range []kafka.Record{
		{Key: []byte("not JSON"), Value: []byte("{}")},
		{},
		{Key: []byte(key), Value: []byte("{")},
		{Key: []byte(key), Value: []byte(`{"id":0,"schema":"\"long\""}`)},
		{Key: []byte(key), Value: fmt.Appendf(nil, `{"id":%d,"schema":"\"long\""}`, int64(math.MaxInt32)+1)},
		{Key: []byte(`{"keytype":"SCHEMA","subject":"s","version":-3,"magic":1}`), Value: []byte(`{"id":2,"schema":"\"long\""}`)},
		{Key: []byte(key), Excess: &kafka.Excess{Limit: "max.value.bytes"}},
		{Key: []byte(`{"keytype":"SPELL","magic":1}`), Value: []byte(`{}`)},
		{Key: []byte(`{"keytype":"MODE","subject":"s","magic":0}`), Value: []byte(`[]`)},
		{Key: []byte(`{"keytype":"CONFIG","subject":"s","magic":0}`), Value: []byte(`7`)},
		{Key: []byte(`{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}`), Value: []byte(`"x"`)},
		{Key: []byte(`{"keytype":"MODE","subject":"s","magic":0}`), Value: []byte(`{"mode":"LATER"}`)},
		{Key: []byte(`{"keytype":"CONFIG","subject":"s","magic":0}`), Value: []byte(`{"compatibilityLevel":"LATER"}`)},
	} {
		r.log.fetcher = nil
		if err := r.log.state.apply(&bad); err == nil {
			t.Errorf("record %d is taken: %q %q", n, bad.Key, bad.Value)
		}
	}
	if after := ask(r, "GET", "/schemas?deleted=true", ""); after != before {
		t.Errorf("%s, want %s", after, before)
	}
	if level, mode := r.log.state.level("s"), r.log.state.mode("s"); level != "BACKWARD" || mode != "READWRITE" {
		t.Errorf("level %s and mode %s", level, mode)
	}
}

// The numbers of a record that is passed over are not given again: who understands it has its id and version, and a record under its
// key would have compaction delete it.
//
// Mutations seen to fail it: applySchema without passOver, of what is no JSON and of an id that none gives; apply without it where a record is too
// large; register that does not look at versions that were passed; passedOver that finds nothing; numbers that stay passed when the record is gone.
func TestNumbersOfRecordsThatArePassedOverAreNotGivenAgain(t *testing.T) {
	const key = `{"keytype":"SCHEMA","subject":"c","version":3,"magic":1}`
	for name, bad := range map[string]kafka.Record{
		"something else in it": {Key: []byte(key), Value: []byte(`{"subject":"c","version":3,"id":7,"schema":"\"string\"","references":7}`)},
		"deleted as a text":    {Key: []byte(key), Value: []byte(`{"subject":"c","version":3,"id":7,"schema":"\"string\"","deleted":"true"}`)},
		"no JSON":              {Key: []byte(key), Value: []byte(`{"id`)},
		"too large":            {Key: []byte(key), Excess: &kafka.Excess{Limit: "max.value.bytes"}},
		"an id that none is":   {Key: []byte(key), Value: []byte(`{"id":0,"schema":"\"string\""}`)},
	} {
		t.Run(name, func(t *testing.T) {
			r := loaded(t, [2]string{`{"keytype":"SCHEMA","subject":"c","version":1,"magic":1}`, `{"subject":"c","version":1,"id":6,"schema":"\"int\""}`})
			if err := r.log.state.apply(&bad); err == nil {
				t.Fatal("it is taken")
			}
			v := view{r.log.state, r.newStudy()}
			register := func(q Request) (e *Entry) {
				t.Helper()
				err := v.study.settle(t.Context(), func() (err error) {
					e, _, err = v.register("c", &q, false)
					return err
				})
				if err != nil {
					t.Log(err)
					return &Entry{}
				}
				return e
			}
			if e := register(Request{Schema: `"long"`}); e.ID != 8 || e.Version != 4 {
				t.Errorf("id %d and version %d, want 8 and 4", e.ID, e.Version)
			}
			r.log.state.modes["c"] = "IMPORT"
			if e := register(Request{Schema: `"long"`, ID: 9, Version: 3}); e.ID != 0 {
				t.Errorf("version %d is imported", e.Version)
			}
			known := strings.Contains(string(bad.Value), `"id":7`)
			if e := register(Request{Schema: `"long"`, ID: 7, Version: 5}); (e.ID == 0) != known {
				t.Errorf("id %d, and it is known: %t", e.ID, known)
			}
			if err := r.log.state.apply(&kafka.Record{Key: []byte(key)}); err != nil {
				t.Fatal(err)
			}
			if e := register(Request{Schema: `"long"`, ID: 9, Version: 3}); e.Version != 3 {
				t.Error("the version is not free when the record is gone")
			}
		})
	}
}

// A record whose key has its numbers in another form, as Java's libraries read them, is the version that it names; where the key is not understood at
// all the id of its value is not given again, and cannot be imported, since another registry may know it.
//
// Mutations seen to fail it: wholeNumber that takes 1 and not 1.0; apply that passes over nothing where a key is not understood;
// passOver that keeps no id without a version.
func TestAnIdUnderAnOddKeyIsNotGivenAgain(t *testing.T) {
	const value = `{"subject":"odd","version":1,"id":4,"schema":"\"string\"","deleted":false}`
	for key, read := range map[string]bool{
		`{"keytype":"SCHEMA","subject":"odd","version":"1","magic":1}`:   true,
		`{"keytype":"SCHEMA","subject":"odd","version":1,"magic":"1"}`:   true,
		`{"keytype":"SCHEMA","subject":"odd","version":1.0,"magic":1}`:   true,
		`{"keytype":"SCHEMA","subject":"odd","version":"one","magic":1}`: false,
		`{"keytype":"SCHEMA","subject":7,"version":1,"magic":1}`:         false,
		`{"keytype":"SCHEMA","subject":"odd","version":1,"magic":`:       false,
		`odd`: false,
	} {
		t.Run(key, func(t *testing.T) {
			r := loaded(t, [2]string{`{"keytype":"SCHEMA","subject":"c","version":1,"magic":1}`, `{"subject":"c","version":1,"id":3,"schema":"\"int\""}`})
			err := r.log.state.apply(&kafka.Record{Key: []byte(key), Value: []byte(value)})
			if (err == nil) != read {
				t.Errorf("it is taken: %v", err)
			}
			if got := ask(r, "GET", "/subjects/odd/versions/1", ""); strings.Contains(got, `"id":4`) != read {
				t.Error(got)
			}
			v := view{r.log.state, r.newStudy()}
			register := func(q Request) (e *Entry, err error) {
				err = v.study.settle(t.Context(), func() (err error) {
					e, _, err = v.register("c", &q, false)
					return err
				})
				return e, err
			}
			if e, err := register(Request{Schema: `"long"`}); err != nil || e.ID != 5 {
				t.Errorf("the next schema is %+v: %v", e, err)
			}
			r.log.state.modes["c"] = "IMPORT"
			if e, err := register(Request{Schema: `"float"`, ID: 4, Version: 9}); err == nil {
				t.Errorf("another schema is imported as %+v", e)
			}
		})
	}
}

// A reference's version may be a text, as Java's libraries read it.
func TestAReferencesVersionMayBeAText(t *testing.T) {
	r := loaded(t, [2]string{`{"keytype":"SCHEMA","subject":"a","version":1,"magic":1}`, `{"id":1,"schema":"{\"type\":\"fixed\",\"name\":\"A\",\"size\":1}"}`},
		[2]string{`{"keytype":"SCHEMA","subject":"b","version":1,"magic":1}`, `{"id":2,"schema":"\"A\"","references":[{"name":"A","subject":"a","version":"1"}]}`})
	if got := ask(r, "GET", "/subjects/a/versions/1/referencedby", ""); got != "[2]" {
		t.Error(got)
	}
}

// When ids have run out, none is given.
//
// Mutation seen to fail it: nextID without the bound.
func TestIdsRunOut(t *testing.T) {
	r := loaded(t, [2]string{`{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`, fmt.Sprintf(`{"id":%d,"schema":"\"int\""}`, math.MaxInt32)})
	study := r.newStudy()
	err := study.settle(t.Context(), func() error {
		_, _, err := view{r.log.state, study}.register("t", &Request{Schema: `"long"`}, false)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "have run out") {
		t.Error(err)
	}
}

// rig is a broker with a client that writes what another registry would.
type rig struct {
	t      *testing.T
	broker *embedded.Broker
	other  *kgo.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	other, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DefaultProduceTopic("_schemas"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return &rig{t, broker, other}
}

func (r *rig) open() (*Log, *Registry) {
	r.t.Helper()
	log, registry := r.dial()
	if err := log.catchUp(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return log, registry
}

// dial opens a server that may not have read the topic yet.
func (r *rig) dial() (*Log, *Registry) {
	r.t.Helper()
	return r.dialAt("http://127.0.0.1:1")
}

// dialAt opens a server that others call at a URL.
func (r *rig) dialAt(url string) (*Log, *Registry) {
	r.t.Helper()
	client, err := kafka.Dial(r.t.Context(), kafka.Config{Brokers: r.broker.Addrs()}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := OpenLog(r.t.Context(), client, "_schemas", 1, url, zap.NewNop())
	if err != nil {
		r.t.Fatal(err)
	}
	peers := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.t.Cleanup(func() {
		log.Close()
		_ = client.Close()
		peers.CloseIdleConnections()
	})
	return log, New(log, peers, zap.NewNop())
}

// write writes as a registry that asks nobody.
func (r *rig) write(ctx context.Context, key, value string) error {
	return r.other.ProduceSync(ctx, &kgo.Record{Key: []byte(key), Value: []byte(value)}).FirstErr()
}

// before has do called before the broker looks at the next request to write; those of do pass.
func (r *rig) before(do func()) {
	var began atomic.Bool
	r.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if began.CompareAndSwap(false, true) {
			r.broker.Cluster().SleepControl(do)
		}
		return nil, nil, false
	})
}

// Another registry that writes between a decision and its record may have given the same id, or the same version. Then the record is
// taken back before anybody is told, and the schema gets an id of its own; what the other one wrote stands.
//
// Mutations seen to fail it: write that answers when it was overtaken; takeBack without the version; takeBack that does not write
// again what it replaced.
func TestAWriterThatAsksNobodyLeadsToNoDoubleId(t *testing.T) {
	for name, subject := range map[string]string{"the same id": "theirs", "the same id and version": "ours"} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t)
			log, r := rig.open()
			if got := ask(r, "POST", "/subjects/first/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
				t.Fatal(got)
			}
			rig.before(func() {
				if err := rig.write(context.Background(), fmt.Sprintf(`{"keytype":"SCHEMA","subject":%q,"version":1,"magic":1}`, subject), fmt.Sprintf(`{"subject":%q,"version":1,"id":2,"schema":"\"long\"","deleted":false}`, subject)); err != nil {
					t.Error(err)
				}
			})
			got := ask(r, "POST", "/subjects/ours/versions", `{"schema":"\"int\"","metadata":{"properties":{"a":"b"}}}`)
			for _, again := range []*Registry{r, second(rig)} {
				if theirs := ask(again, "GET", "/schemas/ids/2/schema", ""); theirs != `"long"` {
					t.Errorf("id 2 is %s", theirs)
				}
				if theirs := ask(again, "GET", "/subjects/"+subject+"/versions/1/schema", ""); theirs != `"long"` {
					t.Errorf("their version is %s", theirs)
				}
				if subject == "theirs" {
					if !strings.Contains(got, `"id":3,"version":1`) {
						t.Error(got)
					}
					if ours := ask(again, "GET", "/schemas/ids/3/schema", ""); ours != `"int"` {
						t.Errorf("id 3 is %s", ours)
					}
				}
			}
			if subject == "ours" && !strings.Contains(got, `"error_code":409`) { // int after long is no compatible change
				t.Error(got)
			}
			if kinds := problemKinds(log); !slices.Contains(kinds, "writer") || slices.Contains(kinds, "id") {
				t.Errorf("problems: %v", kinds)
			}
		})
	}
}

func second(rig *rig) *Registry {
	_, r := rig.open()
	return r
}

func problemKinds(l *Log) (kinds []string) {
	for _, p := range l.Problems() {
		kinds = append(kinds, p.Kind)
	}
	return kinds
}

// Whoever takes the right to write reads what was written up to his claim before he decides anything: the one before may have
// written after he looked.
func TestAClaimIsReadBackBeforeAnythingIsDecided(t *testing.T) {
	rig := newRig(t)
	_, a := rig.open()
	_, b := rig.open()
	if got := ask(a, "POST", "/subjects/first/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
		t.Fatal(got)
	}
	var last string
	rig.before(func() { // b has looked, and its claim is on its way
		last = ask(a, "POST", "/subjects/last/versions", `{"schema":"\"long\""}`)
	})
	got := ask(b, "POST", "/subjects/next/versions", `{"schema":"\"float\""}`)
	if !strings.Contains(last, `"id":2`) || !strings.Contains(got, `"id":3`) {
		t.Errorf("a was answered %s, then b %s", last, got)
	}
	for id, want := range map[int]string{1: `"int"`, 2: `"long"`, 3: `"float"`} {
		if got := ask(b, "GET", fmt.Sprintf("/schemas/ids/%d/schema", id), ""); got != want {
			t.Errorf("id %d is %s, want %s", id, got, want)
		}
	}
}

// A topic that loses its records, by deletion or because it is made again, gives no id twice, and says so: to who reads it on, and
// to who starts afterwards.
//
// Mutations seen to fail it: keepIDs without the ids of before; keepIDs without the start; sightings that start over.
func TestAnIdIsNotGivenAgainAfterTheTopicLostRecords(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *kadm.Client){
		"deleted records": func(t *testing.T, admin *kadm.Client) {
			ends, err := admin.ListEndOffsets(t.Context(), "_schemas")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := admin.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
				t.Fatal(err)
			}
		},
		"made again": func(t *testing.T, admin *kadm.Client) {
			if _, err := admin.DeleteTopics(t.Context(), "_schemas"); err != nil {
				t.Fatal(err)
			}
			policy := "compact"
			if _, err := admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &policy}, "_schemas"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t)
			log, r := rig.open()
			for n := range 5 {
				ask(r, "POST", fmt.Sprintf("/subjects/s%d/versions", n), fmt.Sprintf(`{"schema":"{\"type\":\"enum\",\"name\":\"E%d\",\"symbols\":[]}"}`, n))
			}
			lose(t, kadm.NewClient(rig.other))
			starts := []*Registry{r}
			if name == "deleted records" {
				starts = []*Registry{second(rig), r} // the first one knows the topic alone; the other has read what is gone
			} else {
				until(t, func() bool { return slices.Contains(problemKinds(log), "truncated") && len(log.Unready()) == 0 })
			}
			for _, r := range starts {
				got := ask(r, "POST", "/subjects/new/versions", `{"schema":"\"long\""}`)
				var id int
				if _, err := fmt.Sscanf(got, `{"id":%d,`, &id); err != nil || id <= 5 {
					t.Errorf("after the loss: %s", got)
				}
				if kinds := problemKinds(r.log); (r == starts[0] || name != "deleted records") && !slices.Contains(kinds, "truncated") {
					t.Errorf("problems: %v", kinds)
				}
			}
		})
	}
}

func until(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to be within a minute")
		}
	}
}
