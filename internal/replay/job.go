package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weirstream/weir/internal/plan"
)

// Into is where the records of a job go.
type Into string

// The three ways.
const (
	IntoTopology Into = "topology" // into their topology, on its state
	IntoTopic    Into = "topic"    // into another topic
	IntoShadow   Into = "shadow"   // into a copy of the topology, whose outputs are compared
)

// Job is what a file says.
type Job struct {
	Name     string  `yaml:"replay" json:"replay"`
	From     From    `yaml:"from" json:"from"`
	Where    Where   `yaml:"where" json:"where"`
	Into     Into    `yaml:"into" json:"into"`
	Topology string  `yaml:"topology" json:"topology,omitempty"`
	Topic    string  `yaml:"topic" json:"topic,omitempty"` // of IntoTopic, as it is called in the cluster
	State    State   `yaml:"state" json:"state,omitzero"`
	Outputs  string  `yaml:"outputs" json:"outputs,omitempty"`
	Accept   string  `yaml:"accept" json:"accept,omitempty"` // AcceptPartial, or nothing
	Rate     Rate    `yaml:"rate" json:"rate,omitempty"`
	Rewrite  Rewrite `yaml:"rewrite" json:"rewrite,omitzero"`
	Why      string  `yaml:"why" json:"why,omitempty"`

	lines map[string]int // where the fields stand in the file
}

// From says which records.
type From struct {
	Topic      string     `yaml:"topic" json:"topic"` // as it is called in the cluster
	Partitions Partitions `yaml:"partitions" json:"partitions,omitempty"`
	Start      Places     `yaml:"start" json:"start,omitzero"`
	End        Places     `yaml:"end" json:"end,omitzero"`
	DLQ        *Letters   `yaml:"dlq" json:"dlq,omitempty"`
}

// Letters says that the topic is one of dead letters, and which of them are meant.
type Letters struct {
	Fingerprint string `yaml:"fingerprint" json:"fingerprint"`
	Resolved    bool   `yaml:"resolved" json:"resolved,omitempty"` // also those that are not open any more
}

// Where chooses among the records: all that is given must hold.
type Where struct {
	Keys       []string          `yaml:"keys" json:"keys,omitempty"`       // globs, of which one must match
	Headers    map[string]string `yaml:"headers" json:"headers,omitempty"` // values of headers, or globs
	Expression string            `yaml:"expression" json:"expression,omitempty"`
}

func (w Where) any() bool { return len(w.Keys) > 0 || len(w.Headers) > 0 || w.Expression != "" }

// Rewrite changes records on their way into a topic.
type Rewrite struct {
	Key     *KeyRewrite        `yaml:"key" json:"key,omitempty"`
	Headers map[string]*string `yaml:"headers" json:"headers,omitempty"` // null removes one
}

// KeyRewrite makes a key: of a place in the value, which is JSON, or of the old key by a regular expression.
type KeyRewrite struct {
	From    string `yaml:"from" json:"from,omitempty"` // a JSON pointer (RFC 6901)
	Pattern string `yaml:"pattern" json:"pattern,omitempty"`
	To      string `yaml:"to" json:"to,omitempty"`
}

// State is what becomes of the topology's state.
type State struct {
	Mode     string `json:"mode,omitempty"`     // keep, reset, or, of a shadow: empty, exact, snapshot
	Snapshot string `json:"snapshot,omitempty"` // the folder of one or several
	Exact    bool   `json:"exact,omitempty"`    // of a shadow: refused where no snapshot is old enough
}

// The modes of a State.
const (
	StateKeep     = "keep"
	StateReset    = "reset"
	StateEmpty    = "empty"
	StateExact    = "exact"
	StateSnapshot = "snapshot"
)

// AcceptPartial says that a state is to be rebuilt without what records before the start have led to.
const AcceptPartial = "partial-state"

// Rate is in records a second, 0 for no bound.
type Rate int

// Partitions are numbers of partitions, nil for all.
type Partitions []int32

// maxFile bounds a file of a job.
const maxFile = 256 << 10

// ReadFile reads the file of a job.
func ReadFile(name string) (*Job, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d KiB: is it the file of a replay?", name, maxFile>>10)
	}
	j, err := Parse(data)
	if err != nil {
		var lines []error
		for line := range strings.SplitSeq(err.Error(), "\n") {
			lines = append(lines, fmt.Errorf("%s:%s", name, line))
		}
		return nil, errors.Join(lines...)
	}
	return j, nil
}

// Parse reads a job. Its error has a line for each mistake, which begins with the line in the file.
func Parse(data []byte) (*Job, error) {
	var root yaml.Node
	docs := yaml.NewDecoder(bytes.NewReader(data))
	if err := docs.Decode(&root); errors.Is(err, io.EOF) {
		return nil, errors.New("1: the file is empty: write replay: NAME, from: {topic: ...} and into: topology, topic or shadow")
	} else if err != nil {
		return nil, plainErrors(err)
	}
	var second yaml.Node
	if err := docs.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%d: a second document: a file has one replay", max(1, second.Line))
	}
	if err := plain(&root); err != nil {
		return nil, err
	}
	j := &Job{lines: map[string]int{}}
	strict := yaml.NewDecoder(bytes.NewReader(data))
	strict.KnownFields(true)
	if err := strict.Decode(j); err != nil {
		return nil, plainErrors(err)
	}
	j.locate(root.Content[0], "")
	j.defaults()
	return j, j.check()
}

// plain refuses what makes a file another one than it seems to be.
func plain(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fmt.Errorf("%d: anchors and aliases are not allowed: write the value out", n.Line)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!merge":
		return fmt.Errorf("%d: merge keys are not allowed: write the fields out", n.Line)
	}
	for _, c := range n.Content {
		if err := plain(c); err != nil {
			return err
		}
	}
	return nil
}

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (\S+) not found in type .*$`)
	yamlWrong   = regexp.MustCompile("^cannot unmarshal !!(\\S+) (?:`(.*)` )?into (.*)$")
)

// plainErrors puts a parser's errors into words for whoever wrote the file.
func plainErrors(err error) error {
	var typed *yaml.TypeError
	texts := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if errors.As(err, &typed) {
		texts = typed.Errors
	}
	var lines []error
	for _, text := range texts {
		line, what := "1", text
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			line, what = m[1], m[2]
		}
		if m := yamlUnknown.FindStringSubmatch(what); m != nil {
			what = fmt.Sprintf("there is no field %q here: the fields are %s", m[1], strings.Join(fieldNames, ", "))
		} else if m := yamlWrong.FindStringSubmatch(what); m != nil {
			what = fmt.Sprintf("%q is not what belongs here (a %s): see docs/replay.md", m[2], m[1])
		}
		lines = append(lines, fmt.Errorf("%s: %s", line, what))
	}
	return errors.Join(lines...)
}

var fieldNames = []string{"replay", "from (topic, partitions, start, end, dlq: fingerprint)", "where (keys, headers, expression)", "into", "topology", "topic",
	"state", "outputs", "accept", "rate", "rewrite (key, headers)", "why"}

// locate notes where the fields stand.
func (j *Job) locate(n *yaml.Node, under string) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := under + n.Content[i].Value
		j.lines[name] = n.Content[i].Line
		j.locate(n.Content[i+1], name+".")
	}
}

func (j *Job) defaults() {
	if j.State.Mode == "" {
		switch j.Into {
		case IntoTopology:
			j.State.Mode = StateKeep
		case IntoShadow:
			j.State.Mode = StateEmpty
		}
	}
	if j.Into == IntoTopology && j.Outputs == "" {
		j.Outputs = "keep"
	}
}

var jobName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$`)

// check refuses a job that cannot be meant, each mistake on a line.
func (j *Job) check() error {
	var mistakes []error
	wrong := func(field, format string, args ...any) {
		line := 0
		for at := field; line == 0 && at != ""; {
			line = j.lines[at]
			if i := strings.LastIndexByte(at, '.'); i >= 0 {
				at = at[:i]
			} else {
				at = ""
			}
		}
		mistakes = append(mistakes, fmt.Errorf("%d: %s: %s", max(1, line), field, fmt.Sprintf(format, args...)))
	}
	if !jobName.MatchString(j.Name) {
		wrong("replay", "%q is no name of a job: give up to 100 letters, digits, and . _ - such as rebuild-totals-2026-11", j.Name)
	}
	if j.From.Topic == "" {
		wrong("from.topic", "from which topic? give its name as it is in the cluster")
	}
	j.checkPlaces(wrong)
	j.checkWhere(wrong)
	if j.From.DLQ != nil && j.From.DLQ.Fingerprint == "" {
		wrong("from.dlq", "which letters? give their fingerprint, as dlq list shows it")
	}
	if j.Rate < 0 {
		wrong("rate", "give records a second, such as 50000/s")
	}
	if j.Accept != "" && (j.Accept != AcceptPartial || j.Into != IntoTopology || j.State.Mode != StateReset) {
		wrong("accept", "%q is not allowed: give %s, for into: topology with state: reset, or leave it out", j.Accept, AcceptPartial)
	}
	switch j.Into {
	case IntoTopology, IntoShadow:
		j.checkTopology(wrong)
	case IntoTopic:
		j.checkTopic(wrong)
	default:
		wrong("into", "%q is not allowed: give topology, topic or shadow", j.Into)
	}
	return errors.Join(mistakes...)
}

func (j *Job) checkWhere(wrong func(string, string, ...any)) {
	for _, glob := range j.Where.Keys {
		if _, err := path.Match(glob, ""); err != nil {
			wrong("where.keys", "%q is no pattern: * stands for any text, ? for a character, [a-z] for one of several, and \\ before these for themselves", glob)
		}
	}
	for name, glob := range j.Where.Headers {
		if _, err := path.Match(glob, ""); err != nil {
			wrong("where.headers."+name, "%q is no pattern: * stands for any text, ? for a character, [a-z] for one of several", glob)
		}
	}
	if j.Where.Expression != "" {
		if _, err := compile(j.Where.Expression); err != nil {
			wrong("where.expression", "%v", err)
		}
	}
}

func (j *Job) checkPlaces(wrong func(string, string, ...any)) {
	for field, at := range map[string]Places{"from.start": j.From.Start, "from.end": j.From.End} {
		for p := range at.Each {
			if j.From.Partitions != nil && !slices.Contains(j.From.Partitions, p) {
				wrong(field, "partition %d is not one of from.partitions", p)
			}
		}
		for _, p := range j.From.Partitions {
			if _, ok := at.Each[p]; !ok && at.Each != nil {
				wrong(field, "partition %d has no place: give one, or one place for all", p)
			}
		}
	}
	j.checkOrder(wrong)
}

// checkOrder refuses an end before its start where the file alone shows it.
func (j *Job) checkOrder(wrong func(string, string, ...any)) {
	if all := j.From.Start.All; all != nil && j.From.End.All != nil {
		if j.From.End.All.before(*all) {
			wrong("from.end", "%s is before from.start, %s: an end is the first offset that is not meant", j.From.End.All, all)
		}
		return
	}
	named := map[int32]Place{}
	maps.Copy(named, j.From.Start.Each)
	maps.Copy(named, j.From.End.Each)
	for _, p := range slices.Sorted(maps.Keys(named)) {
		start, _ := j.From.Start.in(p, "earliest")
		if end, _ := j.From.End.in(p, "latest"); end.before(start) {
			wrong("from.end", "%s of partition %d is before from.start, %s: an end is the first offset that is not meant", end, p, start)
		}
	}
}

func (j *Job) checkTopology(wrong func(string, string, ...any)) {
	if j.Topology == "" {
		wrong("topology", "which topology? give its name, as topology describe shows it")
	}
	if j.Topic != "" {
		wrong("topic", "a topic is given, and the records go into a %s: give into: topic, or leave topic out", j.Into)
	}
	if j.From.DLQ != nil {
		wrong("from.dlq", "dead letters go back into their topology with dlq redrive; into: topic takes them too")
	}
	if j.Rewrite.Key != nil || len(j.Rewrite.Headers) > 0 {
		wrong("rewrite", "only into: topic can change records")
	}
	allowed := []string{StateKeep, StateReset}
	if j.Into == IntoShadow {
		allowed = []string{StateEmpty, StateExact, StateSnapshot}
	}
	if !slices.Contains(allowed, j.State.Mode) {
		wrong("state", "%q is not allowed into: %s: give %s", j.State.Mode, j.Into, strings.Replace(strings.Join(allowed, " or "), StateSnapshot, "from: FOLDER of a snapshot", 1))
	}
	if j.State.Mode == StateReset && j.Where.any() {
		wrong("state", "a state that is rebuilt of chosen records only would lack the others: leave where out, or give state: keep")
	}
	if j.Outputs != "" && j.Outputs != "keep" && j.Outputs != "suppress" || j.Into == IntoShadow && j.Outputs != "" {
		wrong("outputs", "%q is not allowed: give keep or suppress, for into: topology", j.Outputs)
	}
}

func (j *Job) checkTopic(wrong func(string, string, ...any)) {
	if j.Topic == "" {
		wrong("topic", "into which topic? give its name as it is in the cluster")
	}
	if j.Topic == j.From.Topic && j.Topic != "" {
		wrong("topic", "it is the topic that the records are read from: its readers would see each twice; give another topic")
	}
	if err := plan.CheckTarget(j.Topic); err != nil {
		wrong("topic", "%v", err)
	}
	if j.State.Mode != "" || j.Outputs != "" {
		wrong("state", "state and outputs are those of a topology, and the records go into a topic: leave them out")
	}
	if j.Topology != "" {
		wrong("topology", "the records go into a topic: leave topology out, or give into: topology")
	}
	if k := j.Rewrite.Key; k != nil {
		_, err := regexp.Compile(k.Pattern)
		switch {
		case (k.From == "") == (k.Pattern == ""):
			wrong("rewrite.key", "give from, a place in the JSON of the value such as /customer, or pattern and to")
		case k.From != "" && !strings.HasPrefix(k.From, "/"):
			wrong("rewrite.key.from", "%q is no JSON pointer: it begins with /, such as /customer or /customer/id", k.From)
		case err != nil:
			wrong("rewrite.key.pattern", "%v", err)
		}
	}
	for name := range j.Rewrite.Headers {
		if name == "" {
			wrong("rewrite.headers", "a header has no name")
		}
	}
}

// hash tells a job from another one of the same name. How fast, and why, do not count.
func (j *Job) hash() string {
	same := *j
	same.Rate, same.Why = 0, ""
	data, _ := json.Marshal(&same)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// UnmarshalYAML reads all, or a list of numbers.
func (p *Partitions) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Value == "all" {
		return nil
	}
	var list []int32
	if n.Kind == yaml.ScalarNode {
		list = []int32{0}
		if n.Decode(&list[0]) != nil {
			return fmt.Errorf("line %d: partitions: %q is not allowed: give all, or numbers as in [0, 3]", n.Line, n.Value)
		}
	} else if n.Decode(&list) != nil {
		return fmt.Errorf("line %d: partitions: give all, or numbers as in [0, 3]", n.Line)
	}
	for _, one := range list {
		if one < 0 {
			return fmt.Errorf("line %d: partitions: %d is no partition", n.Line, one)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("line %d: partitions: the list is empty: give all, or numbers as in [0, 3]", n.Line)
	}
	slices.Sort(list)
	*p = slices.Compact(list)
	return nil
}

// UnmarshalYAML reads keep, reset, empty, exact, or from: FOLDER.
func (s *State) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.Mode = n.Value
		s.Exact = s.Mode == StateExact
		return nil
	}
	var given struct {
		From  string `yaml:"from"`
		Exact bool   `yaml:"exact"`
	}
	for i := 0; i < len(n.Content); i += 2 {
		if name := n.Content[i].Value; name != "from" && name != "exact" {
			return fmt.Errorf("line %d: state: there is no field %q here: give keep, reset, empty, exact, or from: FOLDER of snapshots", n.Content[i].Line, name)
		}
	}
	if err := n.Decode(&given); err != nil || given.From == "" {
		return fmt.Errorf("line %d: state: give keep, reset, empty, exact, or from: FOLDER of snapshots", n.Line)
	}
	s.Mode, s.Snapshot, s.Exact = StateSnapshot, given.From, given.Exact
	return nil
}

// UnmarshalYAML reads records a second, with /s after it or without.
func (r *Rate) UnmarshalYAML(n *yaml.Node) error {
	rate, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(n.Value), "/s"))
	if n.Kind != yaml.ScalarNode || err != nil || rate <= 0 || rate > 1e9 {
		return fmt.Errorf("line %d: rate: %q is not allowed: give records a second, such as 50000/s", n.Line, n.Value)
	}
	*r = Rate(rate)
	return nil
}
