package replay

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

const whole = `replay: rebuild-totals-2026-11
from: { topic: order.placed.v1, partitions: all, start: 2026-11-20T00:00:00Z, end: latest }
where: { keys: ["customer-*"], headers: { region: eu } }
into: topology
topology: customer-totals
state: keep
rate: 50000/s
`

// TestAFileSaysAJob in the form of the docs.
func TestAFileSaysAJob(t *testing.T) {
	j, err := Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if j.Name != "rebuild-totals-2026-11" || j.From.Partitions != nil || j.From.Start.All.String() != "2026-11-20T00:00:00Z" || j.From.End.All.word != "latest" ||
		j.Where.Keys[0] != "customer-*" || j.Where.Headers["region"] != "eu" || j.State.Mode != StateKeep || j.Rate != 50000 {
		t.Errorf("%+v", j)
	}
	data, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var again Job
	if err := json.Unmarshal(data, &again); err != nil || again.hash() != j.hash() {
		t.Errorf("%v: %s", err, data)
	}
	faster := *j
	faster.Rate, faster.Why = 1, "because"
	if faster.hash() != j.hash() {
		t.Error("another rate makes it another job")
	}
	faster.From.End = Places{All: &Place{offset: 3}}
	if faster.hash() == j.hash() {
		t.Error("another end makes it no other job")
	}
}

// TestAMistakeInAFileIsSaidWithItsLine, all of them, and what to do.
//
// Mutation: KnownFields(false); check that returns its first mistake; locate without the fields under a field; checkOrder, or the topics that
// are not the users', left out.
func TestAMistakeInAFileIsSaidWithItsLine(t *testing.T) {
	for _, c := range []struct {
		file string
		says []string
	}{
		{"", []string{"1: the file is empty"}},
		{"replay: a\n\tfrom: x", []string{"2: "}},
		{whole + "colour: red\n", []string{"8: there is no field \"colour\""}},
		{strings.Replace(whole, "region: eu", "region: [eu]", 1), []string{"3: "}},
		{strings.Replace(whole, "50000/s", "fast", 1), []string{"7: rate: \"fast\" is not allowed: give records a second, such as 50000/s"}},
		{strings.Replace(whole, "latest", "tomorrow", 1), []string{"2: \"tomorrow\" is no place: give earliest, latest, an offset, or a time"}},
		{strings.Replace(whole, "into: topology", "into: nowhere", 1), []string{"4: into: \"nowhere\" is not allowed: give topology, topic or shadow"}},
		{strings.Replace(whole, "all", "[3, x]", 1), []string{"2: partitions: give all, or numbers"}},
		{strings.Replace(whole, "all", "[]", 1), []string{"2: partitions: the list is empty"}},
		{strings.Replace(whole, "all", "[0, 2]", 1) + "---\nreplay: b\n", []string{"a second document"}},
		{strings.Replace(whole, "end: latest", "end: {0: 5, 7: latest}, partitions: [0, 1]", 1), []string{"2: "}},
		{"replay: a b\nfrom: {start: 3}\ninto: topic\nstate: keep\n", []string{
			"1: replay: \"a b\" is no name", "2: from.topic: from which topic?", "1: topic: into which topic?", "4: state: state and outputs"}},
		{strings.Replace(whole, "state: keep", "state: reset", 1), []string{"6: state: a state that is rebuilt of chosen records only"}},
		{strings.Replace(whole, "state: keep", "state: exact", 1), []string{"6: state: \"exact\" is not allowed into: topology: give keep or reset"}},
		{strings.Replace(whole, "state: keep", "state: {form: x}", 1), []string{"6: state: there is no field \"form\""}},
		{strings.Replace(whole, "end: latest", "dlq: {}", 1), []string{"2: from.dlq: which letters?", "2: from.dlq: dead letters go back"}},
		{strings.Replace(whole, "customer-*", "[", 1), []string{"3: where.keys: \"[\" is no pattern"}},
		{"replay: a\nfrom: {topic: x}\ninto: topic\ntopic: x\n", []string{"4: topic: it is the topic that the records are read from"}},
		{"replay: a\nfrom: {topic: x}\ninto: topic\ntopic: y\nrewrite: {key: {from: a, pattern: b}}\n", []string{"5: rewrite.key: give from"}},
		{"replay: a\nfrom: {topic: x}\ninto: topic\ntopic: y\nrewrite: {key: {pattern: '('}}\n", []string{"5: rewrite.key.pattern: "}},
		{"replay: &a a\nfrom: {topic: *a}\ninto: topic\ntopic: y\n", []string{"1: anchors and aliases are not allowed"}},
		{"replay: a\nfrom: {topic: x, start: {0: 1, 0: 2}}\ninto: topic\ntopic: y\n", []string{"2: "}},
		{"replay: a\nfrom: {topic: x}\nwhere: {expression: 'true'}\ninto: topic\ntopic: y\n", []string{"3: where.expression: this program knows no expressions"}},
		{"replay: a\nfrom: {topic: x, start: 100, end: 5}\ninto: topic\ntopic: y\n", []string{"2: from.end: 5 is before from.start, 100"}},
		{strings.Replace(whole, "latest", "2026-11-19T00:00:00Z", 1), []string{"2: from.end: 2026-11-19T00:00:00Z is before from.start, 2026-11-20T00:00:00Z"}},
		{"replay: a\nfrom: {topic: x, start: latest, end: earliest}\ninto: topic\ntopic: y\n", []string{"2: from.end: earliest is before from.start, latest"}},
		{"replay: a\nfrom: {topic: x, start: {0: 1, 3: 9}, end: 5}\ninto: topic\ntopic: y\n", []string{"2: from.end: 5 of partition 3 is before from.start, 9"}},
		{"replay: a\nfrom: {topic: x}\ninto: topic\ntopic: _schemas\n", []string{"4: topic: _schemas is a topic of Kafka's or of Weir's own"}},
		{"replay: a\nfrom: {topic: x}\ninto: topic\ntopic: shop.totals-sums-changelog\n", []string{"4: topic: shop.totals-sums-changelog is a topic of Kafka's or of Weir's own"}},
		{"replay: a\nfrom: {topic: x}\ninto: topic\ntopic: totals-order.placed.v1-redrive\n", []string{"4: topic: totals-order.placed.v1-redrive is a topic of Kafka's or of Weir's own (a redrive topic)"}},
		{"[]", []string{"1: "}},
		{"a", []string{"1: "}},
	} {
		j, err := Parse([]byte(c.file))
		if err == nil {
			t.Errorf("%q is taken: %+v", c.file, j)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains("\n"+err.Error(), "\n"+want) && !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v; want %q", c.file, err, want)
			}
		}
	}
}

func FuzzAFileNeverPanics(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("replay: a\nfrom: {topic: x, start: {0: 1}}\ninto: topic\ntopic: y\nrewrite: {key: {from: /a}, headers: {b: null}}\n"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = Parse(data) })
}

// TestRecordsAreChosenByAllThatIsGiven: one of the keys, and each of the headers.
//
// Mutation: matches without the change of slashes; header that takes one of several; key that takes records without one.
func TestRecordsAreChosenByAllThatIsGiven(t *testing.T) {
	j := &Job{Where: Where{Keys: []string{"customer-*", "x/*"}, Headers: map[string]string{"region": "eu", "kind": "*"}}}
	choose, err := j.predicate()
	if err != nil {
		t.Fatal(err)
	}
	eu := []kafka.Header{{Key: "region", Value: []byte("us")}, {Key: "region", Value: []byte("eu")}, {Key: "kind", Value: []byte("a/b")}}
	for _, c := range []struct {
		key     []byte
		headers []kafka.Header
		want    bool
	}{
		{[]byte("customer-1/2"), eu, true}, {[]byte("x/y"), eu, true}, {[]byte("y"), eu, false}, {nil, eu, false},
		{[]byte("customer-1"), eu[:2], false}, {[]byte("customer-1"), eu[2:], false}, {[]byte("customer-1"), nil, false},
	} {
		if got := choose(kafka.TopicPartition{}, &kafka.Record{Key: c.key, Headers: c.headers}); got != c.want {
			t.Errorf("%s %v: %v", c.key, c.headers, got)
		}
	}
}

// TestKeysAndHeadersAreRewritten on the way into a topic.
//
// Mutation: pointer without ~1; headers that are added and not replaced.
func TestKeysAndHeadersAreRewritten(t *testing.T) {
	r := &kafka.Record{Key: []byte("customer-7"), Value: []byte(`{"id":{"a/b":[1,"two"]},"n":12345678901234567890,"t":true}`), Headers: []kafka.Header{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}}}
	two := "3"
	for _, c := range []struct {
		key  *KeyRewrite
		want string
	}{
		{nil, "customer-7"}, {&KeyRewrite{From: "/id/a~1b/1"}, "two"}, {&KeyRewrite{From: "/n"}, "12345678901234567890"},
		{&KeyRewrite{Pattern: "^customer-(.*)$", To: "c$1"}, "c7"},
		{&KeyRewrite{From: "/id"}, "!"}, {&KeyRewrite{From: "/id/a~1b/2"}, "!"}, {&KeyRewrite{From: "/x"}, "!"}, {&KeyRewrite{From: "/n/x"}, "!"},
	} {
		w, err := (&Job{Rewrite: Rewrite{Key: c.key, Headers: map[string]*string{"a": nil, "b": &two, "c": &two}}}).rewriter()
		if err != nil {
			t.Fatal(err)
		}
		key, headers, err := w.apply(r)
		if c.want == "!" {
			if err == nil {
				t.Errorf("%+v: %s", c.key, key)
			}
			continue
		}
		if err != nil || string(key) != c.want || len(headers) != 2 || headers[0].Key != "b" || string(headers[0].Value) != "3" || headers[1].Key != "c" {
			t.Errorf("%+v: %s %v, %v", c.key, key, headers, err)
		}
	}
}

// TestAChecksumIsOfTheLastValueOfEachKey, whatever was between and in whatever order the keys were written.
//
// Mutation: take without the value before; mixed without the partition.
func TestAChecksumIsOfTheLastValueOfEachKey(t *testing.T) {
	type write struct {
		p    int32
		k, v string
	}
	of := func(writes ...write) (s sum) {
		s.last = map[[2]uint64]uint64{}
		for _, w := range writes {
			r := &kafka.Record{Key: []byte(w.k), Value: []byte(w.v)}
			if w.v == "" {
				r.Value = nil
			}
			s.take(w.p, r)
		}
		return s
	}
	want := of(write{0, "a", "1"}, write{0, "b", "2"})
	for name, s := range map[string]sum{
		"other order":     of(write{0, "b", "2"}, write{0, "a", "1"}),
		"values between":  of(write{0, "a", "9"}, write{0, "b", "2"}, write{0, "a", "1"}),
		"written again":   of(write{0, "a", "1"}, write{0, "b", "2"}, write{0, "a", "1"}),
		"deleted between": of(write{0, "a", "1"}, write{0, "b", "2"}, write{0, "c", "1"}, write{0, "c", ""}),
	} {
		if s.of != want.of || s.keys != want.keys {
			t.Errorf("%s: %x of %d keys, want %x of %d", name, s.of, s.keys, want.of, want.keys)
		}
	}
	for name, s := range map[string]sum{
		"another value": of(write{0, "a", "1"}, write{0, "b", "3"}), "a key less": of(write{0, "a", "1"}), "a key more": of(write{0, "a", "1"}, write{0, "b", "2"}, write{0, "c", "1"}),
		"exchanged": of(write{0, "a", "2"}, write{0, "b", "1"}), "another partition": of(write{0, "a", "1"}, write{1, "b", "2"}), "deleted": of(write{0, "a", "1"}, write{0, "b", "2"}, write{0, "b", ""}),
	} {
		if s.of == want.of {
			t.Errorf("%s: the same checksum", name)
		}
	}
}
