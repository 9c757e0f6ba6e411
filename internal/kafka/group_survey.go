package kafka

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// A group's name is all that keeps strangers out of it. Kafka has four kinds of groups: classic ones, which Weir's are,
// consumer groups by KIP-848, share groups and Streams groups. Who comes second in another kind is refused, with one
// exception: the coordinator converts a classic group of protocol type "consumer" into a consumer group when a KIP-848
// consumer joins it, takes the assignment over from the leader, and gives the stranger partitions. It does not convert a
// group whose assignments carry user data of an assignor, because that would get lost (KIP-848, "Consumer Group
// Migration"), so Weir's always carry some. A group without an assignment, empty or in its first rebalance, can still be
// taken, so the kind is looked at before joining, and every assignment is checked: see check in group_assignment.go.

// StrangerError says that others use the group of a topology: partitions would go to members that do not process them
// as the topology does, and their offsets would be committed.
type StrangerError struct {
	Group  string
	Kind   string   // consumer, share, streams or classic, empty where it is not known
	Others []string // its members that are not Weir's, as far as they are known
	why    string   // how it was noticed
	at     Config   // how the cluster is reached
}

func (e *StrangerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "other consumers use the group %q of this topology", e.Group)
	switch e.Kind {
	case "consumer":
		b.WriteString(": it is a consumer group of the KIP-848 protocol (group.protocol=consumer)")
	case "share":
		b.WriteString(": it is a share group")
	case "streams":
		b.WriteString(": it is a group of Kafka Streams (group.protocol=streams)")
	case "classic":
		b.WriteString(": they are classic consumers with another assignor")
	default:
		if e.why != "" {
			b.WriteString(": " + e.why)
		}
	}
	if len(e.Others) > 0 {
		b.WriteString(", with " + strings.Join(e.Others, ", "))
	}
	b.WriteString("; stop them or give them another group.id")
	switch {
	case e.Kind == "share":
		fmt.Fprintf(&b, ", then delete the share group: %s --delete --group %s", e.at.Tool("kafka-share-groups.sh"), e.Group)
	case e.Kind == "streams":
		fmt.Fprintf(&b, ", then delete the Streams group: %s --delete --group %s", e.at.Tool("kafka-streams-groups.sh"), e.Group)
	case e.Kind == "consumer":
		fmt.Fprintf(&b, "; they may have committed offsets: see %s --describe --group %s before the next start", e.at.Tool("kafka-consumer-groups.sh"), e.Group)
	}
	return b.String()
}

// survey is what was found before a member joined.
type survey struct {
	done    bool
	formers []former
	asked   bool // the group could be described
}

// survey looks at the group before it is joined, and refuses it when others are there. What cannot be asked, on an old
// broker or without the right to describe groups, is left to the check of assignments.
func (g *Group) survey(ctx context.Context, addr string) error {
	if g.surveyed.done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	if s := g.stranger(ctx, addr); s != nil && (s.Kind != "consumer" || len(s.Others) > 0) {
		return s // a consumer group without members becomes a classic one by the join
	}
	g.surveyed.done = true
	g.surveyed.formers, g.surveyed.asked = g.formers(ctx, addr)
	return nil
}

// logWait has the log say what a join waits for while it is not answered. silent ends that, and waits for it.
func (g *Group) logWait() (silent func()) {
	began, over, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		next := time.NewTimer(firstWaitReport)
		defer next.Stop()
		for {
			select {
			case <-over:
				return
			case <-next.C:
			}
			waited := time.Since(began)
			g.log.Info(g.waitingFor(waited), zap.Duration("waited", waited.Round(time.Second)))
			next.Reset(waitReport)
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

const (
	firstWaitReport = time.Second
	waitReport      = 5 * time.Second
)

// stranger says of which other kind the group is, or nil when it is a classic one or does not exist.
func (g *Group) stranger(ctx context.Context, addr string) *StrangerError {
	kind := g.kind(ctx, addr)
	if kind == "" || kind == "classic" {
		return nil
	}
	s := &StrangerError{Group: g.cfg.Group, Kind: kind, at: g.client.Config()}
	s.Others, _ = g.strangersOf(ctx, addr, kind)
	return s
}

// unlikeUs names the members of a classic group that are not Weir's.
func (g *Group) unlikeUs(ctx context.Context, addr string) *StrangerError {
	if s := g.stranger(ctx, addr); s != nil {
		return s
	}
	s := &StrangerError{Group: g.cfg.Group, Kind: "classic"}
	d, err := g.describe(ctx, addr)
	if err != nil {
		return s
	}
	for _, m := range d.Members {
		if d.State == "Stable" && d.Protocol == groupProtocol {
			continue
		}
		s.Others = append(s.Others, memberName(m.MemberID, m.ClientID, m.ClientHost))
	}
	if d.Protocol != "" {
		s.Others = append(s.Others, fmt.Sprintf("protocol type %q and assignor %q", d.ProtocolType, d.Protocol))
	}
	return s
}

// kind is the kind of the group: classic, consumer, share or streams; empty when it does not exist or cannot be known.
func (g *Group) kind(ctx context.Context, addr string) string {
	req := kmsg.NewPtrListGroupsRequest()
	req.TypesFilter = []string{"consumer", "share", "streams"} // of the many groups of a cluster most are classic
	answer, err := g.links.request(ctx, addr, req, 5)
	if err != nil || req.Version < 5 {
		return ""
	}
	for _, found := range answer.(*kmsg.ListGroupsResponse).Groups {
		if found.Group == g.cfg.Group {
			return strings.ToLower(found.GroupType)
		}
	}
	return ""
}

// strangersOf names the members of a group of another kind. Members of the classic protocol in a consumer group may be
// Weir's own: they are not named.
func (g *Group) strangersOf(ctx context.Context, addr, kind string) (names []string, err error) {
	switch kind {
	case "consumer":
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = []string{g.cfg.Group}
		answer, err := g.links.request(ctx, addr, req, 1)
		if err != nil {
			return nil, err
		}
		const classic = 0 // MemberType, from version 1 on; -1 is unknown
		for _, d := range answer.(*kmsg.ConsumerGroupDescribeResponse).Groups {
			for _, m := range d.Members {
				if m.MemberType != classic {
					names = append(names, memberName(m.MemberID, m.ClientID, m.ClientHost))
				}
			}
		}
	case "share":
		req := kmsg.NewPtrShareGroupDescribeRequest()
		req.GroupIDs = []string{g.cfg.Group}
		answer, err := g.links.request(ctx, addr, req, 1)
		if err != nil {
			return nil, err
		}
		for _, d := range answer.(*kmsg.ShareGroupDescribeResponse).Groups {
			for _, m := range d.Members {
				names = append(names, memberName(m.MemberID, m.ClientID, m.ClientHost))
			}
		}
	case "streams":
		req := kmsg.NewPtrStreamsGroupDescribeRequest()
		req.Groups = []string{g.cfg.Group}
		answer, err := g.links.request(ctx, addr, req, 1)
		if err != nil {
			return nil, err
		}
		for _, d := range answer.(*kmsg.StreamsGroupDescribeResponse).Groups {
			for _, m := range d.Members {
				names = append(names, memberName(m.MemberID, m.ClientID, m.ClientHost))
			}
		}
	}
	return names, nil
}

// memberName is a member for people. Its id and client id come from strangers, so they are quoted, and cut.
func memberName(id, client, host string) string {
	const most = 80
	return fmt.Sprintf("member %q (client.id %q) at %q", id[:min(len(id), most)], client[:min(len(client), most)], strings.TrimPrefix(host, "/"))
}

// described asks the coordinator, wherever it is, for the group.
func (g *Group) described(ctx context.Context) (*kmsg.DescribeGroupsResponseGroup, error) {
	k, err := g.toCoordinator(ctx, g.links)
	if err != nil {
		return nil, err
	}
	return g.describe(ctx, k.addr)
}

// describe asks for the group.
func (g *Group) describe(ctx context.Context, addr string) (*kmsg.DescribeGroupsResponseGroup, error) {
	return describeGroup(ctx, g.links, addr, g.cfg.Group)
}

// describeGroup asks for a group as a classic one.
func describeGroup(ctx context.Context, l *links, addr, name string) (*kmsg.DescribeGroupsResponseGroup, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{name}
	answer, err := l.request(ctx, addr, req, 5)
	if err != nil {
		return nil, err
	}
	groups := answer.(*kmsg.DescribeGroupsResponse).Groups
	if len(groups) != 1 {
		return nil, errors.New("the coordinator describes another group")
	}
	return &groups[0], codeError(groups[0].ErrorCode)
}

// former is a member that is listed and will not join again: this instance before it was killed, or somebody.
type former struct {
	name string
	ours bool // by the instance's name in its subscription
}

// formers lists the members of the group that a join may have to wait for: all but this static member's former self, which
// it replaces at once.
func (g *Group) formers(ctx context.Context, addr string) (list []former, asked bool) {
	d, err := g.describe(ctx, addr)
	if err != nil {
		return nil, false
	}
	for _, m := range d.Members {
		if m.InstanceID != nil && *m.InstanceID == g.cfg.InstanceID {
			continue
		}
		f := former{name: memberName(m.MemberID, m.ClientID, m.ClientHost)}
		if sub, ok := readSubscription(m.ProtocolMetadata); ok {
			f.ours = g.cfg.Instance != "" && sub.Instance == g.cfg.Instance
		}
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b former) int { // ours first
		return cmp.Compare(btoi(b.ours), btoi(a.ours))
	})
	return list, true
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// waitingFor says what a join that is not answered waits for: every member of the last generation must join again, and
// one that was killed is waited for until its session ends.
func (g *Group) waitingFor(waited time.Duration) string {
	ends := fmt.Sprintf("within %v (session.timeout.ms)", (g.tuning.SessionTimeout - waited).Round(time.Second))
	if waited >= g.tuning.SessionTimeout {
		ends = fmt.Sprintf("by a session.timeout.ms of its own, which is over %v", g.tuning.SessionTimeout)
	}
	way := "static membership (group.instance.id) avoids this wait"
	if g.cfg.InstanceID != "" {
		way = "a static member that starts again within its session is not waited for"
	}
	formers := g.surveyed.formers
	switch {
	case len(formers) > 0 && formers[0].ours:
		return fmt.Sprintf("waiting for the former member of this instance, which did not leave the group: its session ends %s; %s; it is %s",
			ends, way, formers[0].name)
	case len(formers) > 0:
		return fmt.Sprintf("waiting for the former members of the group to join again; the session of one that was killed ends %s; %s; there are %d, one is %s",
			ends, way, len(formers), formers[0].name)
	case g.surveyed.asked:
		return "waiting for the first rebalance of the group: the brokers give others time to join (group.initial.rebalance.delay.ms, 3s by default)"
	}
	return "waiting for the other members of the group to join again; the session of one that was killed ends " + ends
}

// Namesake is another member of the group with this member's Instance.
type Namesake struct {
	Name    string    // for people: member id, client id and host
	Started time.Time // when its process began, by its own clock; zero when it does not say
}

// Namesakes lists the other members of the group with this member's Instance: its former self while its session lasts, or
// another process that was given the same name. The list is empty while the group rebalances.
func (g *Group) Namesakes(ctx context.Context) (list []Namesake, err error) {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	d, err := g.described(ctx)
	if err != nil {
		return nil, err
	}
	me, _ := g.Member()
	for _, m := range d.Members {
		sub, ok := readSubscription(m.ProtocolMetadata)
		if !ok || m.MemberID == me.ID || sub.Instance != g.cfg.Instance {
			continue
		}
		n := Namesake{Name: memberName(m.MemberID, m.ClientID, m.ClientHost)}
		if sub.Started > 0 {
			n.Started = time.UnixMilli(sub.Started)
		}
		list = append(list, n)
	}
	return list, nil
}

// readSubscription reads what a member of this topology says about itself.
func readSubscription(metadata []byte) (sub subscription, ok bool) {
	meta := kmsg.NewConsumerMemberMetadata()
	ok = meta.ReadFrom(metadata) == nil && json.Unmarshal(meta.UserData, &sub) == nil
	return sub, ok
}
