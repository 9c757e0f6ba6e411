package processors

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/kafka"
)

// metrics counts what an instance does. Counts of records are added when their transaction is committed, so they add up
// to the committed offsets. Nothing here is touched for a single record.
type metrics struct {
	inst       *Instance
	records    [outcomes]atomic.Int64
	retries    atomic.Int64
	commits    atomic.Int64
	aborts     atomic.Int64
	rebalances atomic.Int64
	stalled    atomic.Int64

	duration   prometheus.Histogram
	failures   *prometheus.CounterVec
	gaps       *prometheus.CounterVec
	misplacing *prometheus.CounterVec
	limits     *prometheus.CounterVec
	recreating *prometheus.CounterVec
	truncating *prometheus.CounterVec
}

var outcomeNames = [outcomes]string{"processed", "filtered", "deduplicated", "dead_lettered"}

func newMetrics(i *Instance) *metrics {
	labels := prometheus.Labels{"topology": i.graph.plan.Topology}
	return &metrics{
		inst: i,
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
		misplacing: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_misplaced_partitions_total", Help: "Input partitions with records whose key hashes elsewhere.", ConstLabels: labels,
		}, []string{"topic"}),
	}
}

func (m *metrics) register() error {
	reg := m.inst.opts.Metrics
	if reg == nil {
		return nil
	}
	for _, c := range m.collectors() {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("register metrics of %s: %w", m.inst.graph.plan.Topology, err)
		}
	}
	return nil
}

func (m *metrics) unregister() {
	if reg := m.inst.opts.Metrics; reg != nil {
		for _, c := range m.collectors() {
			reg.Unregister(c)
		}
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.duration, m.failures, m.gaps, m.misplacing, m.limits, m.recreating, m.truncating, snapshot{m.inst}}
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

// snapshot collects what Stats knows.
type snapshot struct{ inst *Instance }

var (
	descRecords = prometheus.NewDesc("weir_records_total", "Committed input records by what became of them.", []string{"topology", "outcome"}, nil)
	descCommits = prometheus.NewDesc("weir_commits_total", "Committed transactions.", []string{"topology"}, nil)
	descAborts  = prometheus.NewDesc("weir_aborts_total", "Transactions that were aborted or given up.", []string{"topology"}, nil)
	descRetries = prometheus.NewDesc("weir_retries_total", "Failed tries of records that were repeated.", []string{"topology"}, nil)
	descRebal   = prometheus.NewDesc("weir_rebalances_total", "Changes of the tasks held.", []string{"topology"}, nil)
	descCall    = prometheus.NewDesc("weir_longest_call_seconds", "Time that the slowest worker has been with its present record; all its partitions wait for it.", []string{"topology"}, nil)
	descStalled = prometheus.NewDesc("weir_stalled_partitions", "Input partitions with lag and no progress.", []string{"topology"}, nil)
	descProblem = prometheus.NewDesc("weir_problems", "What /healthz reports, by kind.", []string{"topology", "kind"}, nil)
	descLag     = prometheus.NewDesc("weir_lag", "Offsets between what is committed and the high watermark.", []string{"topology", "topic", "partition"}, nil)
	descOffset  = prometheus.NewDesc("weir_committed_offset", "Committed input offset.", []string{"topology", "topic", "partition"}, nil)
	descTasks   = prometheus.NewDesc("weir_tasks", "Tasks held, by state.", []string{"topology", "state"}, nil)
	descRestore = prometheus.NewDesc("weir_restore_remaining_offsets", "Changelog offsets that restores still have to read.", []string{"topology"}, nil)
)

// Describe implements prometheus.Collector.
func (s snapshot) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRecords, descCommits, descAborts, descRetries, descRebal, descCall, descStalled, descProblem, descLag, descOffset, descTasks, descRestore} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s snapshot) Collect(ch chan<- prometheus.Metric) {
	m, name := s.inst.metrics, s.inst.graph.plan.Topology
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{name}, labels...)...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{name}, labels...)...)
	}
	for o := range m.records {
		counter(descRecords, m.records[o].Load(), outcomeNames[o])
	}
	counter(descCommits, m.commits.Load())
	counter(descAborts, m.aborts.Load())
	counter(descRetries, m.retries.Load())
	counter(descRebal, m.rebalances.Load())
	gauge(descStalled, float64(m.stalled.Load()))
	gauge(descCall, s.inst.longestCall(time.Now()).Seconds())
	problems := map[string]int{}
	for _, p := range s.inst.Health() {
		problems[p.Kind]++
	}
	for kind, n := range problems {
		gauge(descProblem, float64(n), kind)
	}
	states := [len(taskStateNames)]int{}
	remaining := int64(0)
	for _, p := range s.inst.placements() {
		states[p.task.state.Load()]++
		if r := p.task.restored.Load(); r != nil {
			remaining += max(0, r.To-r.Position)
		}
		for _, in := range p.task.inputs {
			partition := fmt.Sprint(in.tp.Partition)
			if lag, known := in.lagNow(); known {
				gauge(descLag, float64(lag), in.tp.Topic, partition)
			}
			gauge(descOffset, float64(in.next.Load()), in.tp.Topic, partition)
		}
	}
	for st, n := range states {
		gauge(descTasks, float64(n), taskStateNames[st])
	}
	gauge(descRestore, float64(remaining))
}
