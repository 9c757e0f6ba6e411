package oracle

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// Mutation: draw the padding from the generator's source, or reset it in Take: the chunks differ.
func TestTheSameSeedMakesTheSameRecordsInAnyChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := GeneratorOptions{Seed: rapid.Uint64().Draw(t, "seed"), Keys: rapid.IntRange(1, 50).Draw(t, "keys"), Pad: 10}
		whole := NewGenerator(opts).Take(300)
		g := NewGenerator(opts)
		var parts []Item
		for len(parts) < len(whole) {
			parts = append(parts, g.Take(min(rapid.IntRange(1, 90).Draw(t, "chunk"), len(whole)-len(parts)))...)
		}
		for i := range whole {
			if !bytes.Equal(whole[i].Value, parts[i].Value) || !bytes.Equal(whole[i].Key, parts[i].Key) {
				t.Fatalf("record %d: %s and %s", i, whole[i].Value, parts[i].Value)
			}
		}
	})
}

// The model reads bytes, the generator knows what it meant: they must agree on every record, and the totals that the
// model comes to must be the closed form.
// Mutation: let a reject use its number up (the next order's count is then one short of its number).
func TestModelAndGeneratorAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewGenerator(GeneratorOptions{
			Seed: rapid.Uint64().Draw(t, "seed"), Keys: rapid.IntRange(1, 40).Draw(t, "keys"),
			Mix: Mix{Redelivered: 0.2, Late: 0.2, Poison: 0.15, Reject: 0.1},
		})
		items := g.Take(500)
		records := make([]Record, len(items))
		for i, item := range items {
			records[i] = Record{Offset: int64(i), Key: string(item.Key), Value: item.Value}
		}
		e := Fold(records, int64(len(records)))
		want := map[Intent]Outcome{
			Fresh: Processed, Redelivered: Deduplicated, Late: Deduplicated, Poison: DeadLettered, Reject: DeadLettered,
		}
		for i, item := range items {
			if e.Outcomes[int64(i)] != want[item.Intent] {
				t.Fatalf("record %d is %s, the model calls it %s: %q", i, item.Intent, e.Outcomes[int64(i)], item.Value)
			}
		}
		for _, out := range e.Outputs {
			if out.Total != Answer(out.Key, out.Total.LastSeq) {
				t.Fatalf("%s: %+v, closed form %+v", out.Key, out.Total, Answer(out.Key, out.Total.LastSeq))
			}
		}
		made := g.Made()
		if made[Fresh] != len(e.Outputs) || made[Redelivered]+made[Late] != e.Dropped || made[Poison]+made[Reject] != len(e.Dead) {
			t.Fatalf("made %v; model %d outputs, %d dropped, %d dead", made, len(e.Outputs), e.Dropped, len(e.Dead))
		}
	})
}

// Mutation: leave out the case for too large numbers: that kind decodes.
func TestEveryKindOfPoisonIsUndecodable(t *testing.T) {
	g := NewGenerator(GeneratorOptions{Seed: 1, Keys: 5, Mix: Mix{Poison: 1}})
	shapes := map[byte]int{}
	for _, item := range g.Take(2000) {
		var order Order
		if err := json.Unmarshal(item.Value, &order); err == nil && order.EventID != "" {
			t.Fatalf("%q decodes to %+v", item.Value, order)
		}
		first := byte('-')
		if len(item.Value) > 0 {
			first = item.Value[0]
		}
		shapes[first]++
	}
	if len(shapes) < 4 {
		t.Errorf("too few kinds of poison: %v", shapes)
	}
}

func TestDefaultMixHoldsItsProportions(t *testing.T) {
	g := NewGenerator(GeneratorOptions{Seed: 7, Keys: 100})
	const n = 20_000
	g.Take(n)
	for intent, want := range map[Intent]float64{
		Redelivered: DefaultMix.Redelivered, Late: DefaultMix.Late, Poison: DefaultMix.Poison, Reject: DefaultMix.Reject,
	} {
		if got := float64(g.Made()[intent]) / n; got < want*0.8 || got > want*1.2 {
			t.Errorf("%s: %.4f, wanted %.4f", intent, got, want)
		}
	}
}

// Mutation: hash with FNV-1a.
func TestPartitionOfIsThatOfTheJavaClient(t *testing.T) {
	for key, want := range map[string]int32{ // hashes that Java's Utils.murmur2 gives
		"21": toPartition(-973932308, 12), "foobar": toPartition(-790332482, 12),
		"a-little-bit-long-string": toPartition(-985981536, 12), "abc": toPartition(479470107, 12),
	} {
		if got := PartitionOf([]byte(key), 12); got != want {
			t.Errorf("%s: partition %d, wanted %d", key, got, want)
		}
	}
}

func toPartition(murmur2 int32, n int32) int32 { return (murmur2 & 0x7fffffff) % n }
