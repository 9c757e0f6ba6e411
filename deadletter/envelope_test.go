package deadletter

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// show is headers as text, one a line.
func show(headers []Header) string {
	var b strings.Builder
	for _, h := range headers {
		fmt.Fprintf(&b, "%s=%s\n", h.Key, h.Value)
	}
	return b.String()
}

func header(key, value string) Header { return Header{Key: key, Value: []byte(value)} }

type DecodeError struct{ error }

func (e DecodeError) Unwrap() error { return e.error }

var original = []Header{header("trace", "1"), header("", ""), header("trace", "2"), {Key: "nil"}}

// TestEnvelopeIsWhatKIP1034Says has every header, in its order, after the record's own.
// Seen to fail: the envelope before the original; a header left out; numbers in binary.
func TestEnvelopeIsWhatKIP1034Says(t *testing.T) {
	got := show(Headers(original, Cause{Letters: true,
		Topology: "customer-totals", Node: "accumulate", Topic: "order.placed.v1", Partition: 3, Offset: 1 << 40, Attempts: 5,
		Err: fmt.Errorf("node accumulate: %w", DecodeError{errors.New("no JSON")}), Stack: []byte("goroutine 1\n"),
	}))
	want := `trace=1
=
trace=2
nil=
__streams.errors.exception=deadletter.DecodeError
__streams.errors.message=node accumulate: no JSON
__streams.errors.stacktrace=goroutine 1

__streams.errors.topic=order.placed.v1
__streams.errors.partition=3
__streams.errors.offset=1099511627776
weir.errors.topology=customer-totals
weir.errors.node=accumulate
weir.errors.attempts=5
weir.errors.fingerprint=3fb3952cf3939ae2
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := show(Minimal(original[:1], Cause{Topology: "t", Node: "n", Topic: "a.b.v1", Partition: 0, Offset: 7, Letters: true})); got != `trace=1
__streams.errors.topic=a.b.v1
__streams.errors.partition=0
__streams.errors.offset=7
weir.errors.topology=t
` {
		t.Errorf("minimal:\n%s", got)
	}
}

// TestFailingAgainKeepsTheOrigin makes a dead letter of a dead letter of a dead letter.
// Seen to fail: strip that keeps everything; again without from; failures that stay at 2.
func TestFailingAgainKeepsTheOrigin(t *testing.T) {
	first := Headers(original, Cause{Letters: true, Topology: "a", Node: "n", Topic: "a.b.v1", Partition: 1, Offset: 10,
		Err: errors.New("one"), Stack: []byte("stack")})
	// Somebody adds a header on the way.
	second := Headers(append(first, header("seen-by", "ops")), Cause{Letters: true, Topology: "b", Node: "m", Topic: "a.b.v1.dlq", Partition: 2,
		Offset: 20, Err: errors.New("two")})
	third := Minimal(second, Cause{Topic: "a.b.v1.dlq.dlq", Partition: 3, Offset: 30, Letters: true})
	for i, c := range []struct {
		headers []Header
		want    Letter
	}{
		{first, Letter{System: Weir, Headers: original, Exception: "*errors.errorString", Message: "one", Stack: "stack", Topology: "a", Node: "n",
			Fingerprint: Fingerprint("n", "", "one"), Position: at("a.b.v1", 1, 10), First: at("a.b.v1", 1, 10), Failures: 1}},
		{second, Letter{System: Weir, Headers: append(original[:4:4], header("seen-by", "ops")), Exception: "*errors.errorString", Message: "two",
			Topology: "b", Node: "m", Fingerprint: Fingerprint("m", "", "two"), Position: at("a.b.v1.dlq", 2, 20), First: at("a.b.v1", 1, 10), Failures: 2}},
		{third, Letter{System: Weir, Headers: append(original[:4:4], header("seen-by", "ops")),
			Fingerprint: Fingerprint("", "", ""), Position: at("a.b.v1.dlq.dlq", 3, 30), First: at("a.b.v1", 1, 10), Failures: 3}},
	} {
		got, err := Read(c.headers)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d: %+v, want %+v (%v)", i, got, c.want, err)
		}
		seen := map[string]bool{}
		for _, h := range c.headers {
			if ours(h.Key) && seen[h.Key] {
				t.Errorf("%d: header %s twice", i, h.Key)
			}
			seen[h.Key] = true
		}
	}
}

// TestACutIsToldOfForEver cuts a dead letter, and cuts it again when it failed again.
//
// Mutations tried: again without the cut; Cut that takes the later size, or adds a second header; Bare that keeps the
// record's headers, or forgets the first failure; a damaged size kept.
func TestACutIsToldOfForEver(t *testing.T) {
	first := Cut(Headers(original, Cause{Letters: true, Topic: "a.b.v1", Partition: 1, Offset: 10, Err: errors.New("one")}), 3000)
	second := Headers(first, Cause{Letters: true, Topic: "a.b.v1.dlq", Offset: 20, Err: errors.New("two")})
	third := Cut(Bare(second, Cause{Topic: "a.b.v1.dlq.dlq", Partition: 3, Offset: 30, Letters: true}), 100)
	larger := Cut(Minimal(third, Cause{Topic: "t", Partition: 0, Offset: 0, Letters: true}), 5000)
	for i, c := range []struct {
		headers  []Header
		size     int64
		own      int
		failures int
	}{
		{first, 3000, len(original), 1},
		{second, 3000, len(original), 2},
		{third, 3000, 0, 3},
		{larger, 5000, 0, 4},
		{Cut(Minimal(nil, Cause{Topic: "a.b.v1", Partition: 1, Offset: 10, Letters: true}), 0), 0, 0, 1},
	} {
		l, err := Read(c.headers)
		if err != nil || !l.Cut || l.ValueSize != c.size || len(l.Headers) != c.own || l.Failures != c.failures || l.First != at("a.b.v1", 1, 10) {
			t.Errorf("%d: %+v, %v", i, l, err)
		}
		if n := strings.Count(show(c.headers), HeaderCut); n != 1 {
			t.Errorf("%d: %d headers of a cut", i, n)
		}
	}
	for _, whole := range [][]Header{Minimal(original, Cause{Topic: "t", Partition: 0, Offset: 0, Letters: true}), Bare(original, Cause{Topic: "t", Partition: 0, Offset: 0, Letters: true})} {
		if l, err := Read(whole); err != nil || l.Cut {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if l, err := Read(Headers(append(first, header(HeaderCut, "x")), Cause{Letters: true, Topic: "t"})); err != nil || l.Cut {
		t.Errorf("a damaged size: %+v, %v", l, err)
	}
}

func at(topic string, partition int32, offset int64) Position {
	return Position{TopicPartition{Topic: topic, Partition: partition}, offset}
}

// TestDeadLettersOfOthersAreRead reads what Kafka Streams writes, which may stand there twice when a record failed twice,
// and what is no dead letter or a damaged one. Seen to fail: the first of two headers; errors of numbers ignored.
func TestDeadLettersOfOthersAreRead(t *testing.T) {
	streams := []Header{
		header("trace", "1"),
		header(HeaderException, "java.lang.IllegalStateException"), {Key: HeaderMessage}, header(HeaderStack, "at Foo.java"),
		header(HeaderTopic, "old"), header(HeaderPartition, "0"), header(HeaderOffset, "1"),
		header(HeaderTopic, "new"), header(HeaderPartition, "2"), header(HeaderOffset, "3"),
	}
	want := Letter{System: KafkaStreams, Headers: streams[:1], Exception: "java.lang.IllegalStateException", Stack: "at Foo.java",
		Fingerprint: Fingerprint("", "", ""), Position: at("new", 2, 3), First: at("new", 2, 3), Failures: 1}
	if got, err := Read(streams); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v (%v)", got, want, err)
	}
	if _, err := Read(original); err != ErrNoEnvelope {
		t.Errorf("no dead letter: %v", err)
	}
	for _, key := range []string{HeaderPartition, HeaderOffset, HeaderAttempts, HeaderFailures, HeaderCut} {
		damaged := append(Headers(nil, Cause{Letters: true, Topic: "a.b.v1", Offset: 7}), header(key, "x"))
		if got, err := Read(damaged); err == nil || !strings.Contains(err.Error(), key) || got.Position.Topic != "a.b.v1" {
			t.Errorf("%s is no number: %+v, %v", key, got, err)
		}
		// It can become a dead letter again all the same, and what is not damaged goes with it.
		first := at("a.b.v1", 0, 7)
		if key == HeaderPartition || key == HeaderOffset {
			first = at("t", 0, 0)
		}
		got, err := Read(Headers(damaged, Cause{Letters: true, Topic: "t"}))
		if err != nil || got.Failures != 2 || got.Position != at("t", 0, 0) || got.First != first {
			t.Errorf("%s was no number: %+v, %v", key, got, err)
		}
	}
}

// TestAnOriginThatIsNotThereIsNotInvented has headers of a program that names the topic, and not always the place in it.
// Mutation: all three headers of the origin are written, with 0 for what is missing.
func TestAnOriginThatIsNotThereIsNotInvented(t *testing.T) {
	for _, c := range []struct{ given, want []Header }{
		{[]Header{header(HeaderTopic, "a")}, []Header{header(HeaderFirstTopic, "a")}},
		{[]Header{header(HeaderTopic, "a"), header(HeaderOffset, "7")},
			[]Header{header(HeaderFirstTopic, "a"), header(HeaderFirstOffset, "7")}},
		{[]Header{header(HeaderTopic, "a"), header(HeaderPartition, "0")},
			[]Header{header(HeaderFirstTopic, "a"), header(HeaderFirstPartition, "0")}},
		{[]Header{header(HeaderPartition, "3"), header(HeaderOffset, "7")}, nil},
		{[]Header{header(HeaderTopic, "a"), header(HeaderPartition, "x")}, nil},
	} {
		want := show(append([]Header{header(HeaderFailures, "2")}, c.want...))
		first := Minimal(c.given, Cause{Topic: "b", Partition: 1, Offset: 2, Letters: true})
		if got := show(first[3:]); got != want {
			t.Errorf("%s becomes:\n%swant:\n%s", show(c.given), got, want)
		}
		if len(c.want) > 0 { // and stays so
			third := Minimal(first, Cause{Topic: "c", Partition: 1, Offset: 2, Letters: true})
			if got := show(third[4:]); got != show(c.want) {
				t.Errorf("%s the third time:\n%swant:\n%s", show(c.given), got, show(c.want))
			}
		}
	}
}

type typeless struct{}

func (*typeless) Error() string { panic("no text") }

// TestReasonsAreCutAndNamed looks at messages that are long, no UTF-8, or not there. Seen to fail: a cut within a
// character; a limit left out; typeName of the outermost error; message without its recover.
func TestReasonsAreCutAndNamed(t *testing.T) {
	for _, c := range []struct {
		err           error
		name, message string
	}{
		{nil, "unknown", "no error given"},
		{(*typeless)(nil), "*deadletter.typeless", "its Error method panics: no text"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", errors.New("c"))), "*errors.errorString", "a: b: c"},
		{errors.Join(errors.New("a"), errors.New("b")), "*errors.joinError", "a\nb"},
		{errors.New("caf\xe9"), "*errors.errorString", "caf\uFFFD"},
		{DecodeError{nil}, "deadletter.DecodeError", "its Error method panics: runtime error: invalid memory address or nil pointer dereference"},
	} {
		l, err := Read(Headers(nil, Cause{Letters: true, Topic: "t", Err: c.err}))
		if err != nil || l.Exception != c.name || l.Message != c.message {
			t.Errorf("%q: %q, want %q: %q (%v)", l.Exception, l.Message, c.name, c.message, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		pad := strings.Repeat("x", rapid.IntRange(0, 3).Draw(t, "pad"))
		long := pad + strings.Repeat(rapid.SampledFrom([]string{"x", "é", "€", "𝄞", "\xff"}).Draw(t, "rune"), rapid.IntRange(0, 20000).Draw(t, "n"))
		l, err := Read(Headers(nil, Cause{Letters: true, Topic: "t", Err: errors.New(long), Stack: []byte(long)}))
		if err != nil || len(l.Message) > MaxMessage || len(l.Stack) > MaxStack || !utf8.ValidString(l.Message) || !utf8.ValidString(l.Stack) {
			t.Fatalf("message of %d bytes, stack of %d (%v)", len(l.Message), len(l.Stack), err)
		}
		valid := strings.ToValidUTF8(long, "\uFFFD")
		if (l.Message == valid) != (len(valid) <= MaxMessage) {
			t.Fatalf("a message of %d bytes is cut to %d", len(valid), len(l.Message))
		}
		if len(valid) > MaxMessage && (len(l.Message) < MaxMessage-4 || !strings.Contains(l.Message, "cut from")) {
			t.Fatalf("a message of %d bytes became %q", len(valid), l.Message)
		}
	})
}

// TestHeadersOfTheRecordAreNotTouched writes into a slice with room after its end. Seen to fail: append to the original.
func TestHeadersOfTheRecordAreNotTouched(t *testing.T) {
	room := append(make([]Header, 0, 50), original...)
	Headers(room, Cause{Letters: true, Topic: "t"})
	Minimal(room, Cause{Topic: "t", Partition: 0, Offset: 0, Letters: true})
	if !reflect.DeepEqual(room[:50][4:6], make([]Header, 2)) || !reflect.DeepEqual(room, original) {
		t.Error("the record's headers were written to")
	}
}

// FuzzRead opens what anybody may have written: nothing panics, and what is read can be written again.
func FuzzRead(f *testing.F) {
	f.Add(HeaderTopic, []byte("t"), HeaderOffset, []byte("x"))
	f.Add(HeaderFailures, []byte("99999999999999999999"), HeaderFirstTopic, []byte{})
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte) {
		headers := []Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}}
		before, _ := Read(headers)
		l, err := Read(Headers(headers, Cause{Letters: true, Topic: "a.b.v1", Partition: 1, Offset: 2}))
		if err != nil || l.Position != at("a.b.v1", 1, 2) || l.Failures <= before.Failures && before.Failures < math.MaxInt32 {
			t.Fatalf("%+v after %+v (%v)", l, before, err)
		}
	})
}

// The time of the record goes with it through every round, as it was the first time.
//
// Mutations tried: Timed adds a second one; again leaves it out; a damaged one is kept.
func TestTheTimeOfTheRecordIsThatOfItsFirstFailure(t *testing.T) {
	first := Timed(Headers(original, Cause{Letters: true, Topic: "a.b.v1", Offset: 10, Err: errors.New("one")}), 1234)
	second := Timed(Bare(Timed(Minimal(first, Cause{Topic: "a.b.v1.dlq", Partition: 3, Offset: 30, Letters: true}), 5678), Cause{Topic: "a.b.v1.dlq.dlq", Partition: 3, Offset: 31, Letters: true}), 9012)
	for _, headers := range [][]Header{first, second} {
		l, err := Read(headers)
		if err != nil || l.Timestamp != 1234 {
			t.Errorf("got %d, %v from %s", l.Timestamp, err, show(headers))
		}
		if n := strings.Count(show(headers), HeaderTimestamp); n != 1 {
			t.Errorf("it is there %d times: %s", n, show(headers))
		}
	}
	damaged := append(Headers(nil, Cause{Letters: true, Topic: "a.b.v1"}), header(HeaderTimestamp, "x"))
	if l, err := Read(Timed(Headers(damaged, Cause{Letters: true, Topic: "b"}), 77)); err != nil || l.Timestamp != 77 {
		t.Errorf("a damaged time was kept: %d, %v", l.Timestamp, err)
	}
	if l, err := Read(Headers(nil, Cause{Letters: true, Topic: "a.b.v1"})); err != nil || l.Timestamp != 0 {
		t.Errorf("a letter without a time says %d, %v", l.Timestamp, err)
	}
}

// TestWhatAProducerWroteIsNoFact: headers that look like an envelope are believed in topics of dead letters only. Elsewhere
// they are kept, under another name, and do not grow when the letter is replayed with its headers.
//
// Mutations tried: strip that does not look at Letters; it drops what is reserved; it keeps each one of several; Neutral for
// the envelope's headers only.
func TestWhatAProducerWroteIsNoFact(t *testing.T) {
	forged := []Header{header("trace", "1"), header(HeaderFailures, "40"), header(HeaderTopic, "stolen"), header(HeaderFirstTopic, "stolen"),
		header(HeaderOffset, "7"), header(HeaderCut, "99"), header(HeaderTimestamp, "1"), header(HeaderKeyHash, "ab"), header(HeaderLimit, "max"),
		header("weir.other", "2"), header("weir.other", "3"), header("__streams.errors.custom", "4"), header("weirs", "5")}
	c := Cause{Topic: "a.b.v1", Offset: 3, Err: errors.New("no")}
	rounds := Headers(forged, c)
	size := len(rounds)
	for range 5 {
		rounds = Timed(rounds, 1234)
		l, err := Read(rounds)
		if err != nil || l.Failures != 1 || l.First != at("a.b.v1", 0, 3) || l.Cut || l.Timestamp != 1234 || l.KeyHash != "" || l.Excess != nil {
			t.Fatalf("believed: %+v (%v)", l, err)
		}
		text := show(l.Headers)
		for _, want := range []string{"trace=1\n", "original.weir.other=2\n", "original.weir.other=3\n", "original.__streams.errors.custom=4\n", "weirs=5\n",
			"original." + HeaderFirstTopic + "=stolen\n"} {
			if strings.Count(text, want) != 1 {
				t.Fatalf("%q is not there once:\n%s", want, text)
			}
		}
		rounds = Headers(rounds, c)
	}
	// The second round adds what the first letter said of itself.
	if len(rounds) > size+20 {
		t.Errorf("%d headers after some rounds, %d in the first:\n%s", len(rounds), size, show(rounds))
	}
	for name, headers := range map[string][]Header{"minimal": Minimal(forged, c), "bare": Bare(forged, c), "last": Last(forged, c, nil)} {
		if l, err := Read(headers); err != nil || l.Failures != 1 || l.First != at("a.b.v1", 0, 3) || l.Cut {
			t.Errorf("%s believes: %+v (%v)", name, l, err)
		}
	}
}

// TestTheLastFormAlwaysFits: whatever the record, it has some hundred bytes, and says where the record is and which key it
// had.
//
// Mutations tried: Last that keeps headers of the record, or the key; a first topic of any length; a nil key that has a hash.
func TestTheLastFormAlwaysFits(t *testing.T) {
	longest := strings.Repeat("t", 249)
	rapid.Check(t, func(t *rapid.T) {
		headers := []Header{header("mine", strings.Repeat("x", rapid.IntRange(0, 1<<20).Draw(t, "header")))}
		long := rapid.SampledFrom([]int{9, 5000}) // a number, or none
		for _, h := range []string{HeaderFirstTopic, HeaderFirstPartition, HeaderFirstOffset, HeaderTopic, HeaderFailures, HeaderCut, HeaderMessage} {
			headers = append(headers, header(h, strings.Repeat("1", rapid.IntRange(0, long.Draw(t, "most")).Draw(t, h))))
		}
		c := Cause{Topic: longest, Topology: longest, Node: longest, Partition: math.MaxInt32, Offset: math.MaxInt64, Reason: "undecodable", Letters: rapid.Bool().Draw(t, "letters"),
			Err: errors.New(longest), Excess: &Excess{Limit: "max.record.bytes", Size: math.MaxInt64, Max: 1, Last: math.MaxInt64, Records: math.MaxInt32}}
		key := make([]byte, rapid.IntRange(0, 100_000).Draw(t, "key"))
		last := Timed(Cut(Last(headers, c, key), math.MaxInt64), math.MaxInt64)
		n := 0
		for _, h := range last {
			n += len(h.Key) + len(h.Value) + 10
		}
		l, err := Read(last)
		if n > 2500 || l.Topology != longest || l.Node != longest || l.Fingerprint != Fingerprint(longest, "undecodable", longest) || err != nil || l.Position != at(longest, math.MaxInt32, math.MaxInt64) || l.KeySize != int64(len(key)) || l.Reason != "undecodable" ||
			l.KeyHash != fmt.Sprintf("%x", sha256.Sum256(key)) || !l.Cut || len(l.Headers) != 0 || l.Excess == nil || l.Excess.Records != math.MaxInt32 {
			t.Fatalf("%d bytes: %+v (%v)", n, l, err)
		}
	})
	if l, err := Read(Last(nil, Cause{Topic: "t"}, nil)); err != nil || l.KeyHash != "" || l.KeySize != 0 {
		t.Errorf("a record without a key: %+v (%v)", l, err)
	}
}

// TestALetterSaysWhichLimitItsRecordIsOver, of one record or of a range.
//
// Mutations tried: position without the limit; a range without its end; Read that takes the offset for the end of a range.
func TestALetterSaysWhichLimitItsRecordIsOver(t *testing.T) {
	for _, x := range []*Excess{
		{Limit: "max.record.bytes", Size: 20, Max: 10, Last: 7, Records: 1},
		{Limit: "max.batch.bytes", Size: 20, Max: 10, Last: 90, Records: 84},
		{Limit: "max.batch.bytes", Size: 20, Max: 10, Last: 90, Records: 1}, // compaction left one
	} {
		c := Cause{Topic: "t", Offset: 7, Err: errors.New("too much"), Excess: x}
		for _, headers := range [][]Header{Headers(nil, c), Minimal(nil, c), Bare(nil, c), Last(nil, c, nil)} {
			if l, err := Read(headers); err != nil || l.Excess == nil || *l.Excess != *x {
				t.Errorf("%+v, want %+v (%v)", l.Excess, x, err)
			}
		}
	}
}
