package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A letter is shown with what its stream makes of the value, and with the records around it; and its bytes are to be had as they are.
//
// Mutations, each seen to fail it: a stream that is not found; neighbours from the letter's own topic; one neighbour too many; --raw through the
// writer that cleans; --raw of the first of several letters.
func TestALetterIsShownWithItsSurroundings(t *testing.T) {
	d := newTrial(t)
	bytes := "\x00\xff\x1b[2J\n"
	odd := trialLetter("a", bytes, "x")
	odd.Headers = append([]kgo.RecordHeader{{Key: "bin", Value: []byte{0xfe}}}, odd.Headers...)
	var records []*kgo.Record
	for i := range 10 {
		records = append(records, &kgo.Record{Topic: "number.drawn.v1", Partition: 1, Key: fmt.Append(nil, "k", i), Value: fmt.Append(nil, i)})
	}
	d.must(d.client.ProduceSync(t.Context(), append(records, odd)...).FirstErr())
	show := func(code int, args ...string) string {
		t.Helper()
		out, got := execute(append([]string{"dlq", "show", "--topic", trialLetters, "--brokers", d.addr}, args...), trials())
		if got != code {
			t.Fatalf("%v: exit %d: %s", args, got, out)
		}
		return out
	}
	var shown []struct {
		Stream      string
		Decoded     *int64
		DecodeError string `json:"decode_error"`
		ValueBytes  []byte `json:"value_base64"`
		Headers     []struct {
			Key        string
			ValueBytes []byte `json:"value_base64"`
		}
		Neighbours []struct {
			Offset int64
			Value  string
			Self   bool
		}
		Missing string `json:"neighbours_missing"`
	}
	d.data(show(0, "--partition", "0", "--offset", "0", "--neighbours", "2", "--json"), &shown)
	if s := shown[0]; s.Stream != "number.drawn.v1" || s.Decoded == nil || *s.Decoded != 30 || fmt.Sprint(s.Neighbours) != "[{5 5 false} {6 6 false} {7 7 true} {8 8 false} {9 9 false}]" {
		t.Errorf("%+v", s)
	}
	shown = nil
	d.data(show(0, "--partition", "0", "--offset", "10", "--json"), &shown)
	if s := shown[0]; string(s.ValueBytes) != bytes || s.Decoded != nil || !strings.Contains(s.DecodeError, "decode int64") || string(s.Headers[0].ValueBytes) != "\xfe" {
		t.Errorf("%+v", s)
	}
	if out := show(0, "--partition", "0", "--offset", "5-10", "--neighbours", "1"); strings.Contains(out, "\x1b") || !strings.Contains(out, "stream number.drawn.v1 cannot: decode int64") || !strings.Contains(out, "> number.drawn.v1/1/7") {
		t.Errorf("in words: %s", out)
	}
	if out := show(0, "--partition", "0", "--offset", "8", "--neighbours", "1"); !strings.Contains(out, "no neighbours: there is no order.placed.v1/0") {
		t.Errorf("without an input: %s", out)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "value"))
	d.must(err)
	defer file.Close()
	root := New("shop", trials())
	root.SetOut(file)
	d.must(Execute(t.Context(), root, []string{"dlq", "show", "--topic", trialLetters, "--brokers", d.addr, "--partition", "0", "--offset", "10", "--raw"}))
	if got, err := os.ReadFile(file.Name()); err != nil || string(got) != bytes {
		t.Errorf("raw: %q, %v", got, err)
	}
	if out := show(1, "--raw"); !strings.Contains(out, "give --partition and --offset") {
		t.Errorf("several: %s", out)
	}
	if out := show(exitUsage, "--raw", "--json"); !strings.Contains(out, "leave one out") {
		t.Errorf("raw JSON: %s", out)
	}
}
