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

type total struct {
	Customer string `json:"customer"`
	Orders   int64  `json:"orders"`
	Cents    int64  `json:"total_cents"`
}

var sum = total{"customer-000042", 17, 123456}

func BenchmarkJSONAppend(b *testing.B) {
	c, buf := JSON[total](), make([]byte, 0, 256)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Append(buf, sum); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(&sum); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkJSONParse(b *testing.B) {
	c := JSON[order]()
	data, _ := json.Marshal(sample)
	more := append(data[:len(data)-1:len(data)-1], `,"currency":"EUR","channel":"web","note":"what the node does not read is more than what it does"}`...)
	b.Run("ours, with fields that nobody reads", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Parse(more); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Parse(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v order
			if err := json.Unmarshal(data, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
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
