package work

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/report"
)

var shuffle = Work{
	Work: report.Work{
		Name: "shuffle", Title: "ShuffleBench's pipeline",
		About: "Records of 1,024 B, of which one in five matches a consumer and goes to it through a topic; each consumer has 32 B of state and tells of " +
			"every tenth record. Rates are of records in.",
		Axis: "consumers", Metrics: throughput, Compare: "rate",
	},
	engines: []string{"weir", "streams", "weir-alo", "streams-alo"}, prepare: feed, run: drain,
	cases: func(s Settings) []Case {
		c := s.base(job.Shuffle, pick(s, 300_000, 1_000_000, 3_000_000), pick(s, 1000, 1000, 10_000))
		c.Name, c.X, c.Job.Size = thousands(c.Job.Keys), float64(c.Job.Keys), 1024
		return []Case{c}
	},
}

var dedup = Work{
	Work: report.Work{
		Name: "dedup", Title: "Deduplication by event id", About: "The first record of each id passes; one in five records is a duplicate. Each id stays in a store.",
		Axis: "ids", Numeric: true, Metrics: append([]string{}, append(throughput, "stall_s")...), Compare: "rate",
	},
	engines: []string{"weir", "streams", "goka"}, prepare: feed, run: drain,
	cases: func(s Settings) (cases []Case) {
		for _, ids := range s.axis(pick(s, []int{400_000}, []int{1_000_000}, []int{1_000_000, 10_000_000})) {
			c := s.base(job.Dedup, ids/4*5, ids)
			c.Name, c.X, c.Warm = thousands(ids), float64(ids), 0.1
			cases = append(cases, c)
		}
		return cases
	},
}

// interval is about 1 M records: enough for some commits every 10 s even of the fastest.
var interval = Work{
	Work: report.Work{
		Name: "interval", Title: "Commit intervals", About: "The reference job with 100 k keys, exactly-once.",
		Axis: "interval", Numeric: true, Metrics: throughput, Compare: "rate",
	},
	engines: []string{"weir", "streams", "floor-weir"}, prepare: feed, run: drain,
	cases: func(s Settings) (cases []Case) {
		for _, d := range pick(s, []int{10, 1000}, []int{10, 30, 100, 300, 1000, 3000, 10_000}, []int{10, 30, 100, 300, 1000, 3000, 10_000}) {
			c := s.base(job.Totals, pick(s, 500_000, 1_500_000, 3_000_000), 100_000)
			c.Job.Interval = time.Duration(d) * time.Millisecond
			c.Name, c.X = c.Job.Interval.String(), float64(d)
			cases = append(cases, c)
		}
		return cases
	},
}

// scale is about what one adds: partitions, workers, processes.
var scale = Work{
	Work: report.Work{
		Name: "scale", Title: "Partitions, workers, instances", About: "The reference job with 100 k keys, exactly-once. Memory is that of all instances together.",
		Axis: "what", Metrics: throughput, Compare: "rate",
	},
	engines: []string{"weir", "streams"}, prepare: feed, run: drain,
	cases: func(s Settings) (cases []Case) {
		add := func(name string, change func(*Case)) {
			c := s.base(job.Totals, pick(s, 400_000, 1_000_000, 2_000_000), 100_000)
			c.Name, c.X = name, float64(len(cases))
			change(&c)
			cases = append(cases, c)
		}
		for _, n := range pick(s, []int{1, 64}, []int{1, 4, 16, 64, 256}, []int{1, 4, 16, 64, 256}) {
			add(fmt.Sprintf("%d partitions", n), func(c *Case) { c.Job.Partitions = n })
		}
		for _, n := range pick(s, []int{1}, []int{1, 2, 4}, []int{1, 2, 3, 4}) {
			add(fmt.Sprintf("%d workers", n), func(c *Case) { c.Job.Workers = n })
		}
		for _, n := range pick(s, []int{2}, []int{1, 2, 4}, []int{1, 2, 3, 4}) {
			add(fmt.Sprintf("%d instances of 1 worker", n), func(c *Case) { c.Instances, c.Job.Workers = n, 1 })
		}
		return cases
	},
}

var growth = Work{
	Work: report.Work{
		Name: "growth", Title: "Growth", About: "The reference job, exactly-once: what a record costs as records, keys and partitions become more.",
		Axis: "what", Metrics: []string{"cpu_us", "rate", "broker_us", "peak_bytes"},
	},
	engines: []string{"weir"}, prepare: feed, run: drain,
	cases: func(s Settings) (cases []Case) {
		add := func(name string, records, keys, partitions int) {
			c := s.base(job.Totals, records, keys)
			c.Name, c.X, c.Job.Partitions = name, float64(len(cases)), partitions
			cases = append(cases, c)
		}
		for _, n := range asked(s.Records, pick(s, []int{1_000_000}, []int{1_000_000, 5_000_000}, []int{1_000_000, 5_000_000, 20_000_000})) {
			add(thousands(n)+" records", n, 100_000, 4)
		}
		for _, n := range s.axis(pick(s, []int{10_000}, []int{10_000, 100_000, 1_000_000}, []int{10_000, 100_000, 1_000_000})) {
			add(thousands(n)+" keys", max(2_500_000, n*5/2), n, 4) // once warm every key is there
		}
		for _, n := range pick(s, []int{64}, []int{4, 64, 256}, []int{4, 64, 256}) {
			add(fmt.Sprintf("%d partitions", n), 2_000_000, 100_000, n)
		}
		return cases
	},
}
