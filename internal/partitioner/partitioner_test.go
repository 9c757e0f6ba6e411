package partitioner

import "testing"

// The hashes are what org.apache.kafka.common.utils.Utils.murmur2 of kafka-clients 4.3.1 returns.
//
// Mutation: murmur2 leaves the last bytes out; murmur2Partition takes the hash for unsigned.
func TestMurmur2IsThatOfTheJavaClient(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, c := range []struct {
		key  string
		hash int32
		of7  int32 // Utils.toPositive(hash) % 7
	}{
		{"", 275646681, 2},
		{"a", -1563381124, 5},
		{"ab", 316155434, 0},
		{"abc", 479470107, 4},
		{"abcd", -1323649548, 5},
		{"abcde", 461995741, 4},
		{"customer-000001", 1843546766, 5},
		{"customer-4711", -371840612, 6},
		{"\x00\x01\x02", 51419311, 6},
		{"\xff\xfe\x80", -160726397, -1},
		{string(all), -1948347274, -1},
	} {
		if got := int32(murmur2([]byte(c.key))); got != c.hash {
			t.Errorf("%.20q: hash %d, want %d", c.key, got, c.hash)
		}
		if got := Murmur2.Partition([]byte(c.key), 7); c.of7 >= 0 && got != c.of7 {
			t.Errorf("%.20q: partition %d, want %d", c.key, got, c.of7)
		}
	}
}

func TestPartitionersAreFoundByName(t *testing.T) {
	for name, want := range map[string]Partitioner{"": Murmur2, "murmur2": Murmur2, "fnv1a": FNV1a} {
		if got, err := Parse(name); err != nil || got.String() != want.String() {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := Parse("crc32"); err == nil {
		t.Error("crc32 is taken")
	}
}
