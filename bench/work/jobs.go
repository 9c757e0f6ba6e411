package work

import (
	"fmt"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/report"
)

var (
	throughput = []string{"rate", "cpu_us", "broker_us", "peak_bytes"}
	contenders = []string{"weir", "streams", "weir-alo", "streams-alo", "goka"}
	floors     = []string{"floor-weir", "floor-franz", "floor-sarama"}
)

// base is the reference job as all cases begin.
func (s Settings) base(kind string, records, keys int) Case {
	if s.Records > 0 {
		records = s.Records
	}
	if s.Keys > 0 {
		keys = s.Keys
	}
	return Case{Warm: 0.4, Job: job.Job{Kind: kind, Records: records, Keys: keys, Partitions: s.Partitions, Workers: s.Workers,
		Interval: s.Interval, Caching: true, Profile: s.Profile, Memory: s.Memory}}
}

// axis is the points of a work whose axis is keys: those that it has, or the one that was asked for.
func (s Settings) axis(keys []int) []int { return asked(s.Keys, keys) }

// asked is what was asked for, or a work's own.
func asked(n int, own []int) []int {
	if n > 0 {
		return []int{n}
	}
	return own
}

var totals = Work{
	Work: report.Work{
		Name: "totals", Title: "The reference job",
		About: "JSON orders of 230 B in, each customer's total out, its state in a store with a changelog. The floor reads the same orders " +
			"and writes as many bytes, with no framework.",
		Axis: "keys", Numeric: true, Metrics: append(throughput, "stall_s"), Compare: "rate",
	},
	engines: append(append([]string{}, contenders...), append(floors, "floor-weir-output", "floor-weir-alo")...),
	prepare: feed, run: drain,
	cases: func(s Settings) (cases []Case) {
		for _, k := range s.axis(pick(s, []int{100_000}, []int{10_000, 100_000, 1_000_000, 3_000_000}, []int{10_000, 100_000, 1_000_000, 3_000_000, 10_000_000})) {
			c := s.base(job.Totals, max(k, pick(s, 1_000_000, 1_500_000, 1_500_000)), k)
			c.Name, c.X = thousands(k), float64(k)
			if k > 100_000 {
				c.Warm = 0.1 // the state grows until the end, which is what this is about
				c.Engines = []string{"weir", "streams", "floor-weir"}
			}
			cases = append(cases, c)
		}
		return cases
	},
}

var copies = Work{
	Work: report.Work{
		Name: "copy", Title: "A stateless copy", About: "Records of 200 B, read and written unchanged.",
		Axis: "value", Metrics: throughput, Compare: "rate",
	},
	engines: append(append([]string{}, contenders...), floors...),
	prepare: feed, run: drain,
	cases: func(s Settings) []Case {
		c := s.base(job.Copy, pick(s, 1_000_000, 1_500_000, 1_500_000), 100_000)
		c.Name, c.Job.Size = "200 B", 200
		return []Case{c}
	},
}

// thousands names a number as one says it.
func thousands(n int) string {
	switch {
	case n >= 1_000_000 && n%100_000 == 0:
		return fmt.Sprintf("%g M", float64(n)/1e6)
	case n >= 1000 && n%100 == 0:
		return fmt.Sprintf("%g k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
