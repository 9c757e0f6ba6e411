package replay

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/termtext"
	"github.com/weirstream/weir/processors"
)

// Receipt is what came of a job. Read is the sum of Filtered and Replayed. Until the job is done it says how far it is.
type Receipt struct {
	Job      string `json:"job"`
	Run      string `json:"run"`
	State    string `json:"state"`
	Into     Into   `json:"into"`
	Topology string `json:"topology,omitempty"`
	From     string `json:"from"`
	To       string `json:"to,omitempty"`

	Read         int64 `json:"read"`          // records of the ranges
	Filtered     int64 `json:"filtered"`      // of them: not chosen by where
	Replayed     int64 `json:"replayed"`      // of them: chosen, and processed or written
	Deduplicated int64 `json:"deduplicated"`  // of those that were replayed: dropped by the topology as duplicates
	Dropped      int64 `json:"dropped"`       // of those: dropped by a node that wants no such record
	DeadLettered int64 `json:"dead_lettered"` // of those: failed
	Delayed      int64 `json:"delayed"`       // of those: wait in a retry topic, to be tried again later
	Parked       int64 `json:"parked"`        // of those: wait behind another one of their key
	NewEffects   int64 `json:"new_effects"`   // outputs, dead letters and changes of a store
	// LettersAnswered are dead letters that were open, and are not any more, because the group went back to before their records: what fails again of those has another letter.
	LettersAnswered int64 `json:"letters_answered"`
	// DownstreamUnchanged says whether each output and store has the same last value of each key as before; null until the job is done, and
	// where it is not known of a shadow.
	DownstreamUnchanged *bool        `json:"downstream_unchanged"`
	Downstream          []Downstream `json:"downstream"`
	Partitions          []Part       `json:"partitions"`
	Offsets             int64        `json:"offsets"`               // of the ranges
	Done                int64        `json:"done"`                  // of them
	Differences         []Difference `json:"differences,omitempty"` // of a shadow
	Compared            *Compared    `json:"compared,omitempty"`    // of a shadow

	Who     string     `json:"who"`
	Why     string     `json:"why,omitempty"`
	Began   time.Time  `json:"began"`
	At      time.Time  `json:"at"` // when it ended, or when it moved last
	Problem string     `json:"problem,omitempty"`
	Notes   []string   `json:"notes,omitempty"`
	Ended   *time.Time `json:"ended"`

	Before bool `json:"-"` // it was done before this run, which has done nothing
}

// Part is a partition of a receipt. Checksum is of the records that were replayed: the sum of hashes of offset, key and value.
type Part struct {
	Range
	Position int64  `json:"position"`
	Read     int64  `json:"read"`
	Filtered int64  `json:"filtered"`
	Replayed int64  `json:"replayed"`
	Checksum string `json:"checksum"`
}

// receipt is how a job stands.
func (s *standing) receipt(at map[int32]progress) *Receipt {
	if s.Receipt != nil {
		return s.Receipt
	}
	r := &Receipt{
		Job: s.Job, Run: s.Run, State: s.State, Into: s.File.Into, Topology: s.File.Topology, From: s.File.From.Topic, To: s.File.Topic,
		Downstream: []Downstream{}, Partitions: []Part{}, Who: s.Who, Why: s.Why, Began: s.Began, At: s.At, Problem: s.Problem, LettersAnswered: s.Answered,
	}
	if s.Partial != "" {
		r.Notes = append(r.Notes, s.Partial)
	}
	if s.Reopened > 0 {
		r.Notes = append(r.Notes, openAgain(s.Reopened))
	}
	r.Notes = append(r.Notes, s.Disorder...)
	if s.Copied > 0 {
		r.Notes = append(r.Notes, leftOut(s.Copied))
	}
	for _, one := range s.Ranges {
		p, ok := at[one.Partition]
		if !ok {
			p.Position = one.Start
		}
		if p.At.After(r.At) {
			r.At = p.At
		}
		r.add(one, p.Position, p.ReplayCounts)
	}
	return r
}

func (r *Receipt) add(one Range, position int64, c processors.ReplayCounts) {
	replayed := c.Read - c.Left
	r.Partitions = append(r.Partitions, Part{one, position, c.Read, c.Left, replayed, text(c.Checksum)})
	r.Offsets += one.End - one.Start
	r.Done += max(0, min(position, one.End)-one.Start)
	r.Read += c.Read
	r.Filtered += c.Left
	r.Replayed += replayed
	r.Deduplicated += c.Deduplicated
	r.Dropped += c.Filtered
	r.DeadLettered += c.DeadLettered
	r.Delayed += c.Delayed
	r.Parked += c.Parked
	r.NewEffects += c.Effects
}

// judge adds what became of the outputs and stores. Which ids are known, and what was parked, is bookkeeping of Weir's own: it is listed, and does not decide.
func (r *Receipt) judge(all []Downstream) {
	unchanged := !slices.ContainsFunc(all, func(d Downstream) bool { return !d.Unchanged && !d.Before.Own })
	r.Downstream, r.DownstreamUnchanged = all, &unchanged
}

// Print writes the receipt as text.
func (r *Receipt) Print(w io.Writer) {
	where := string(r.Into) + " " + r.Topology + r.To
	if r.Before {
		fmt.Fprintf(w, "nothing to do: the replay was done at %s; this is the receipt of then (--force does it again)\n", r.At.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "replay %s of %s into %s: %s\n", r.Job, r.From, where, r.State)
	fmt.Fprintf(w, "  read           %d records, %d of %d offsets\n", r.Read, r.Done, r.Offsets)
	fmt.Fprintf(w, "  filtered       %d not chosen\n", r.Filtered)
	fmt.Fprintf(w, "  replayed       %d\n", r.Replayed)
	fmt.Fprintf(w, "  deduplicated   %d\n", r.Deduplicated)
	fmt.Fprintf(w, "  dropped        %d\n", r.Dropped)
	fmt.Fprintf(w, "  dead-lettered  %d\n", r.DeadLettered)
	if r.Delayed+r.Parked > 0 {
		fmt.Fprintf(w, "  delayed        %d, which are tried again later\n", r.Delayed)
		fmt.Fprintf(w, "  parked         %d, which wait for others of their keys\n", r.Parked)
	}
	fmt.Fprintf(w, "  new effects    %d\n", r.NewEffects)
	if r.LettersAnswered > 0 {
		fmt.Fprintf(w, "  letters        %d answered: they are not open any more\n", r.LettersAnswered)
	}
	if r.DownstreamUnchanged != nil {
		say := "unchanged, proven by the last value of each key"
		if !*r.DownstreamUnchanged {
			say = "CHANGED"
		}
		fmt.Fprintf(w, "  downstream     %s\n", say)
	}
	for _, d := range r.Downstream {
		own := ""
		if d.Before.Own {
			own = " (a store of Weir's own, which does not decide)"
		}
		fmt.Fprintf(w, "    %s%s: %d keys, checksum %s, before %d keys, %s\n", d.After.Topic, own, d.After.Keys, d.After.Checksum, d.Before.Keys, d.Before.Checksum)
		if d.Removed > 0 {
			fmt.Fprintf(w, "      %d offsets that were written since are gone: its retention has removed them before they were compared\n", d.Removed)
		}
		for _, c := range d.Changed {
			fmt.Fprintf(w, "      key %q has another last value since offset %d of partition %d\n", c.Key, c.Offset, c.Partition)
		}
		if more := d.ChangedKeys - int64(len(d.Changed)); more > 0 && len(d.Changed) > 0 {
			fmt.Fprintf(w, "      and so have %d more keys\n", more)
		}
	}
	for _, p := range r.Partitions {
		fmt.Fprintf(w, "  partition %d    offsets %d to %d, at %d: %d read, %d replayed, checksum %s\n", p.Partition, p.Start, p.End, p.Position, p.Read, p.Replayed, p.Checksum)
	}
	if c := r.Compared; c != nil {
		fmt.Fprintf(w, "  compared       %d keys: %d are equal, %d differ, of %d it is not known\n", c.Keys, c.Equal, c.Different, c.Unknown)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(w, "    %s key %q: production has %s, the shadow %s; %s\n", d.Topic, d.Key, termtext.Text(d.Production), termtext.Text(d.Shadow), d.cause())
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "  note           %s\n", note)
	}
	if r.Problem != "" {
		fmt.Fprintf(w, "  problem        %s\n", r.Problem)
	}
}

// cause says what caused the difference.
func (d *Difference) cause() string {
	if len(d.Causes) == 0 {
		return "the cause is not known"
	}
	return "caused by " + termtext.Text(strings.Join(d.Causes, ", "))
}
