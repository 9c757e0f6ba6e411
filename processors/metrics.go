package processors

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/internal/kafka"
)

// metrics counts what an instance does. Counts of records are added when their transaction is committed, so they add up
// to the committed offsets. Nothing here is touched for a single record, but for one whose
// state is read from a disk.
type metrics struct {
	engine     *engine
	records    [outcomes]atomic.Int64
	retries    atomic.Int64
	delayed    atomic.Int64
	commits    atomic.Int64
	aborts     atomic.Int64
	rebalances atomic.Int64
	stalled    atomic.Int64

	snapshot   *snapshot // of an Instance
	duration   prometheus.Histogram
	failures   *prometheus.CounterVec
	gaps       *prometheus.CounterVec
	misplacing *prometheus.CounterVec
	limits     *prometheus.CounterVec
	recreating *prometheus.CounterVec
	truncating *prometheus.CounterVec
	misses     *prometheus.CounterVec
}

var outcomeNames = [outcomes]Outcome{OutcomeProcessed, OutcomeFiltered, OutcomeDeduplicated, OutcomeDeadLettered}

func newMetrics(e *engine) *metrics {
	labels := prometheus.Labels{"topology": e.graph.plan.Topology}
	return &metrics{
		engine: e,
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_commit_duration_seconds", Help: "Time from the start of a commit until its stores are written.",
			ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_node_errors_total", Help: "Tries of records that failed, by node.", ConstLabels: labels,
		}, []string{"node"}),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_input_gap_offsets_total", Help: "Offsets that were gone before they were processed.", ConstLabels: labels,
		}, []string{"topic", "partition"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_limit_refusals_total", Help: "Records that became dead letters because they are over a limit.", ConstLabels: labels,
		}, []string{"limit"}),
		recreating: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_input_recreations_total", Help: "Times that an input topic was found deleted and created again.", ConstLabels: labels,
		}, []string{"topic", "partition"}),
		truncating: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_input_truncations_total", Help: "Times that an input was found to have lost records that were read already.", ConstLabels: labels,
		}, []string{"topic", "partition"}),
		misses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_store_misses_total", Help: "Values that a store looked for in its files, since they were not in memory: where that is most records, cache-bytes is too small.", ConstLabels: labels,
		}, []string{"store"}),
		misplacing: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_misplaced_partitions_total", Help: "Input partitions with records whose key hashes elsewhere.", ConstLabels: labels,
		}, []string{"topic"}),
	}
}

func (m *metrics) register() error {
	reg := m.engine.opts.Metrics
	if reg == nil {
		return nil
	}
	for _, c := range m.collectors() {
		if err := reg.Register(c); err != nil {
			return unregistrable(m.engine.graph.plan.Topology, err)
		}
	}
	return nil
}

func unregistrable(topology string, err error) error {
	return fmt.Errorf("register metrics of %s: %w; several instances of one topology need a registry each, or one that is wrapped with a label of their own (prometheus.WrapRegistererWith)", topology, err)
}

func (m *metrics) unregister() {
	if reg := m.engine.opts.Metrics; reg != nil {
		for _, c := range m.collectors() {
			reg.Unregister(c)
		}
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.duration, m.failures, m.gaps, m.misplacing, m.limits, m.recreating, m.truncating, m.misses, m.snapshot}
}

func (m *metrics) count(counts *[outcomes]int64, retries int64) {
	for o, n := range counts {
		if n > 0 {
			m.records[o].Add(n)
		}
	}
	m.retries.Add(retries)
}

func (m *metrics) committed(d time.Duration) {
	m.commits.Add(1)
	m.duration.Observe(d.Seconds())
}

func (m *metrics) nodeFailed(node string) { m.failures.WithLabelValues(node).Inc() }
func (m *metrics) overLimit(letters map[letterKind]int64) {
	for k, n := range letters {
		if k.limit != "" {
			m.limits.WithLabelValues(k.limit).Add(float64(n))
		}
	}
}

// missed counts a value that a store looks for in its files.
func (m *metrics) missed(store string) func() { return m.misses.WithLabelValues(store).Inc }

func (m *metrics) misplaced(topic string) { m.misplacing.WithLabelValues(topic).Inc() }
func (m *metrics) recreated(tp kafka.TopicPartition) {
	m.recreating.WithLabelValues(tp.Topic, fmt.Sprint(tp.Partition)).Inc()
}
func (m *metrics) truncated(tp kafka.TopicPartition) {
	m.truncating.WithLabelValues(tp.Topic, fmt.Sprint(tp.Partition)).Inc()
}
func (m *metrics) gap(tp kafka.TopicPartition, n int64) {
	m.gaps.WithLabelValues(tp.Topic, fmt.Sprint(tp.Partition)).Add(float64(max(n, 0)))
}

// snapshot collects what Stats knows. The topology is a constant label, so that one registry takes instances of several
// topologies.
type snapshot struct {
	inst *Instance

	records, commits, aborts, retries, rebalances, call, stalled, problems *prometheus.Desc
	lag, offset, tasks, restores                                           *prometheus.Desc
	copies, copyLag                                                        *prometheus.Desc
	globalKeys, globalBytes, globalBad                                     *prometheus.Desc
	delayed, parkedKeys, parkedRecords                                     *prometheus.Desc
}

func newSnapshot(i *Instance) *snapshot {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, prometheus.Labels{"topology": i.graph.plan.Topology})
	}
	return &snapshot{
		inst:       i,
		records:    desc("weir_records_total", "Committed input records by outcome.", "outcome"),
		commits:    desc("weir_commits_total", "Committed transactions."),
		aborts:     desc("weir_aborts_total", "Transactions that were aborted or given up."),
		retries:    desc("weir_retries_total", "Failed tries of records that were repeated."),
		rebalances: desc("weir_rebalances_total", "Changes of the tasks held."),
		call:       desc("weir_longest_call_seconds", "Time that the slowest worker has been with its present record; all its partitions wait for it."),
		stalled:    desc("weir_stalled_partitions", "Input partitions with lag and no progress."),
		problems:   desc("weir_problems", "What /healthz reports, by kind.", "kind"),
		lag:        desc("weir_lag", "Offsets between what is committed and the high watermark.", "topic", "partition"),
		offset:     desc("weir_committed_offset", "Committed input offset.", "topic", "partition"),
		tasks:      desc("weir_tasks", "Tasks held, by state.", "state"),
		restores:   desc("weir_restore_remaining_offsets", "Changelog offsets that the restores under way still have to read; tasks whose restore waits for one of these are not among it, and are restoring in weir_tasks."),

		copies:  desc("weir_copies", "Copies of the state of tasks that run elsewhere.", "state"),
		copyLag: desc("weir_copy_lag", "Changelog offsets that a copy of a task's state lacks, up to the high watermark.", "subgraph", "partition"),

		delayed:       desc("weir_delayed_total", "Times that a record was moved to a retry topic."),
		parkedKeys:    desc("weir_parked_keys", "Keys of which a record is delayed or a dead letter, so that later ones wait."),
		parkedRecords: desc("weir_parked_records", "Records that wait for another one of their key."),

		globalKeys:  desc("weir_global_keys", "Keys in this instance's copy of a global.", "topic"),
		globalBytes: desc("weir_global_bytes", "Size of the keys and values in this instance's copy of a global, as they were read.", "topic"),
		globalBad:   desc("weir_global_undecodable_total", "Records of a global that could not be taken: undecodable, damaged or over a limit.", "topic"),
	}
}

// Describe implements prometheus.Collector.
func (s *snapshot) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.records, s.commits, s.aborts, s.retries, s.rebalances, s.call, s.stalled, s.problems, s.lag, s.offset, s.tasks, s.restores, s.copies, s.copyLag,
		s.globalKeys, s.globalBytes, s.globalBad, s.delayed, s.parkedKeys, s.parkedRecords} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *snapshot) Collect(ch chan<- prometheus.Metric) {
	m := s.inst.metrics
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for o := range m.records {
		counter(s.records, m.records[o].Load(), string(outcomeNames[o]))
	}
	counter(s.commits, m.commits.Load())
	counter(s.aborts, m.aborts.Load())
	counter(s.retries, m.retries.Load())
	counter(s.rebalances, m.rebalances.Load())
	counter(s.delayed, m.delayed.Load())
	gauge(s.stalled, float64(m.stalled.Load()))
	gauge(s.call, s.inst.longestCall(time.Now()).Seconds())
	problems := map[string]int{}
	for _, p := range s.inst.Health() {
		problems[p.Kind]++
	}
	for kind, n := range problems {
		gauge(s.problems, float64(n), kind)
	}
	states := [len(taskStateNames)]int{}
	remaining, keys, records := int64(0), int64(0), int64(0)
	for _, p := range s.inst.placements() {
		keys, records = keys+p.task.parked.keys.Load(), records+p.task.parked.records.Load()
		states[p.task.state.Load()]++
		if r := p.task.restored.Load(); r != nil {
			remaining += max(0, r.To-r.Position)
		}
		for _, in := range p.task.inputs {
			partition := fmt.Sprint(in.tp.Partition)
			if lag, known := in.lagNow(); known {
				gauge(s.lag, float64(lag), in.tp.Topic, partition)
			}
			gauge(s.offset, float64(in.next.Load()), in.tp.Topic, partition)
		}
	}
	for st, n := range states {
		gauge(s.tasks, float64(n), taskStateNames[st])
	}
	gauge(s.restores, float64(remaining))
	gauge(s.parkedKeys, float64(keys))
	gauge(s.parkedRecords, float64(records))
	kept := map[string]int{"warm": 0, "cold": 0, "failed": 0}
	for _, c := range s.inst.copies.all() {
		st := c.stats()
		switch {
		case st.Failure != "":
			kept["failed"]++
		case st.Warm:
			kept["warm"]++
		default:
			kept["cold"]++
		}
		if st.Lag >= 0 {
			gauge(s.copyLag, float64(st.Lag), fmt.Sprint(st.Subgraph), fmt.Sprint(st.Partition))
		}
	}
	for st, n := range kept {
		gauge(s.copies, float64(n), st)
	}
	for _, g := range s.inst.globals.all {
		if view := g.view.Load(); view != nil {
			gauge(s.globalKeys, float64((*view).Len()), g.topic)
			gauge(s.globalBytes, float64((*view).Bytes()), g.topic)
		}
		counter(s.globalBad, g.bad.Load(), g.topic)
	}
}
