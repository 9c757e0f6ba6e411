package codecs

import (
	"encoding/json"
	"testing"
)

type order struct {
	EventID  string `json:"event_id"`
	Seq      int64  `json:"seq"`
	Customer string `json:"customer"`
	Amount   int64  `json:"amount_cents"`
}

var sample = order{"0b5e8a4e-6a8e-4b29-8f0e-6a58a5a6f9d3", 42, "customer-000042", 1999}

func BenchmarkJSONAppend(b *testing.B) {
	var c Codec[order] = JSON[order]()
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(buf, sample); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(sample); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONParse(b *testing.B) {
	var c Codec[order] = JSON[order]()
	data, _ := json.Marshal(sample)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInt64Parse(b *testing.B) {
	var c Codec[int64] = Int64()
	data := []byte("-1234567890123")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
