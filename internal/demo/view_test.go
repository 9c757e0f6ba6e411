package demo

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/examples/totals/orders"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var shown = snapshot{
	Phase: phaseRunning, Elapsed: 3725 * time.Second, Guarantee: "exactly_once", Broker: "127.0.0.1:9092", HTTP: "127.0.0.1:8080",
	Counts: counts{In: 1_234_567, Processed: 1_147_000, Filtered: 0, Deduplicated: 62_000, DeadLettered: 24_900},
	Rate:   999.6, Lag: 667, P50: 53 * time.Millisecond, P99: 104 * time.Millisecond,
	Last:     []change{{"customer-0001", orders.Total{Count: 1200, SumCents: 12_345_678}}, {"customer-0002", orders.Total{Count: 1, SumCents: 5}}},
	Problems: []string{"order.placed.v1/3: no progress for 2m"},
}

func TestTheDisplayIsAsDrawn(t *testing.T) {
	wrong := summary{
		counts: counts{In: 10, Processed: 8, DeadLettered: 1}, Sum: 9, RatePerSecond: 4.6, P50: 5, P99: 9,
		Differences: []string{"the four counts add up to 9, but 10 records came in"},
	}
	right := summary{
		counts: counts{In: 10_000, Processed: 9_000, Deduplicated: 600, DeadLettered: 400}, Sum: 10_000, Outputs: 9_000, Letters: 400,
		Customers: 1_000, Seconds: 10, RatePerSecond: 1000, P50: 53, P99: 104, Correct: true,
	}
	var b strings.Builder
	b.WriteString(strings.Join(frame(shown), "\n") + "\n\n" + line(shown) + "\n")
	for _, s := range []summary{right, wrong} {
		if err := s.write(&b); err != nil {
			t.Fatal(err)
		}
	}
	if err := right.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "display.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s is not what it was; if that is right, run the test with -update. Got:\n%s", path, b.String())
	}
}

// terminalModel does what a terminal does with the sequences that screen writes, and panics on others.
type terminalModel struct {
	width int
	rows  []string
	at    int
}

func (m *terminalModel) write(s string) {
	for s != "" {
		switch {
		case strings.HasPrefix(s, "\x1b[K"):
			s = s[3:]
		case strings.HasPrefix(s, "\x1b[J"):
			m.rows = m.rows[:min(m.at, len(m.rows))]
			s = s[3:]
		case strings.HasPrefix(s, "\x1b[2J\x1b[H"):
			m.rows, m.at = nil, 0
			s = s[7:]
		case strings.HasPrefix(s, "\x1b["):
			n := 0
			i := 2
			for ; s[i] >= '0' && s[i] <= '9'; i++ {
				n = n*10 + int(s[i]-'0')
			}
			if s[i:i+2] != "A\r" {
				panic("unknown sequence " + s[:i+2])
			}
			m.at -= n
			s = s[i+2:]
		default:
			text, rest, ok := strings.Cut(s, "\r\n")
			if !ok {
				panic("a line without an end: " + text)
			}
			text = strings.TrimSuffix(text, "\x1b[K")
			if len([]rune(text)) >= m.width {
				panic("a line that wraps: " + text)
			}
			for len(m.rows) <= m.at {
				m.rows = append(m.rows, "")
			}
			m.rows[m.at] = text
			m.at++
			s = rest
		}
	}
}

func (m *terminalModel) Write(p []byte) (int, error) {
	m.write(string(p))
	return len(p), nil
}

// Mutation seen to fail this test: draw without remembering how many lines it has drawn.
func TestAFrameTakesThePlaceOfTheLastOne(t *testing.T) {
	term := &terminalModel{width: 40}
	height := 10
	s := &screen{out: term, size: func() (int, int) { return term.width, height }}
	expect := func(want ...string) {
		t.Helper()
		if got := strings.Join(term.rows, "|"); got != strings.Join(want, "|") {
			t.Errorf("the terminal shows %s, want %s", got, strings.Join(want, "|"))
		}
	}
	s.draw([]string{"one", "two", "three"})
	expect("one", "two", "three")
	s.draw([]string{"1", "2"})
	expect("1", "2")
	if _, err := s.Write([]byte("a warning\n")); err != nil {
		t.Fatal(err)
	}
	expect("a warning")
	s.draw([]string{"1", "2"})
	expect("a warning", "1", "2")

	term.width = 20 // the terminal is made narrower
	s.draw([]string{strings.Repeat("wide", 10), "2"})
	expect(strings.Repeat("wide", 5)[:19], "2")

	height = 3 // and lower
	s.draw([]string{"1", "2", "3", "4"})
	expect("1", "2")
}

// Mutations seen to fail this test: a size of 0 is taken as it is, in width or in height.
func TestATerminalThatTellsNoSizeHasTheUsualOne(t *testing.T) {
	for _, c := range []struct {
		width, height int
		err           error
		want          [2]int
	}{
		{120, 50, nil, [2]int{120, 50}},
		{0, 0, nil, [2]int{80, 24}},
		{0, 50, nil, [2]int{80, 24}},
		{120, 0, nil, [2]int{80, 24}},
		{0, 0, errors.New("no terminal"), [2]int{80, 24}},
	} {
		if w, h := usable(c.width, c.height, c.err); [2]int{w, h} != c.want {
			t.Errorf("%d by %d, %v: %d by %d", c.width, c.height, c.err, w, h)
		}
	}
}

func TestRateIsThatOfTheLastSeconds(t *testing.T) {
	var r rate
	start := time.Unix(0, 0)
	if got := r.of(0, start); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := range int64(100) {
		r.of((i+1)*10, start.Add(time.Duration(i+1)*100*time.Millisecond))
	}
	if got := r.of(1010+900, start.Add(10_100*time.Millisecond)); got < 500 || got > 550 {
		t.Errorf("100/s and then 910 at once: %v", got)
	}
	if len(r.times) > 30 {
		t.Errorf("%d samples are kept", len(r.times))
	}
}
