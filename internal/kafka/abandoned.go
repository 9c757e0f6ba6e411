package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A process that is killed leaves its transaction open. Until the coordinator aborts it, which takes transaction.timeout.ms and up to
// transaction.abort.timed.out.transaction.cleanup.interval.ms of the brokers more, nobody reads past it: readers of the outputs do not,
// nor does the member that restores the changelogs and asks for the offsets. EndAbandoned aborts it at once, by initialising its
// producer again, as a restart of the process would.
//
// Why that takes nothing from anybody. The transaction is seen open first, and after that its instance is seen to be missing in a group
// that is stable. An instance leaves its group in one of two ways. In order: then it has committed before, and what is open of it is what
// it failed to commit or to abort. Or the coordinator has removed it, because its session ended: then the offsets that belong to the
// transaction are not taken any more (the member id is unknown, KIP-447), so it can only be aborted, whether its process is dead, or
// sleeps and wakes up as a zombie. One gap is left: offsets that were taken before the session ended, and a commit that comes after it.
// Commit and abort are decided by one coordinator, once; whoever comes second is refused, and the records are processed again from the
// offsets that are committed, as after a crash.
//
// What is alive is spared. A member that is only slow is listed as a member, however many tasks one transaction of it has, also tasks that it
// gives up in this rebalance or has given up in the last one. A static member is listed until its session ends. A group that rebalances is
// waited for, since it does not say what its members are; one with a member that does not say which instance it is, is left alone. An
// instance that is listed again between the look at the group and the abort may lose one transaction that it has just begun:
// its producer is fenced, it takes its transactional id over again, and nothing is lost. It must have been removed and come back within
// milliseconds for that.
//
// What is others' is spared. A transactional id is Weir's own make, GROUP-INSTANCE-WORKER, and might be read as that of two groups where one name
// begins with another's. So the other group must not exist, and the transaction must hold topics of this topology and offsets only.

// Ownership says which transactions are a topology's.
type Ownership struct {
	// Instance takes a transactional id apart: the name of the instance (GroupConfig.Instance), ok is false where it is not of the
	// form that the group's members use.
	Instance func(transactionalID string) (name string, ok bool)
	// Writes says whether transactions of the group's members may hold records in a topic.
	Writes func(topic string) bool
}

var errUnsettledGroup = errors.New("the group rebalances: its members are not known at the moment")

// EndAbandoned aborts the open transactions of instances that are not in the group any more, and returns them. Their markers follow within
// milliseconds. An error has a class: Retriable says to call again, anything else that such transactions end by their timeouts, as
// where brokers are too old (before Kafka 3.0), or this principal must not WRITE the transactional ids of others. What it
// must not DESCRIBE is not seen.
func (g *Group) EndAbandoned(ctx context.Context, of Ownership) (ended []OpenTransaction, err error) {
	op := "end the transactions of instances that left group " + g.cfg.Group
	open, err := g.client.ongoing(ctx, of) // what some broker says is worth to be acted on, also where another one does not answer
	errs := []error{err}
	left, err := g.withoutMembers(ctx, open)
	errs = append(errs, err)
	for _, t := range left {
		others, err := g.ofAnotherGroup(ctx, t.instance)
		if err == nil && !others {
			if err = g.client.abort(ctx, t); err == nil {
				ended = append(ended, t.OpenTransaction)
			}
		}
		errs = append(errs, err)
	}
	switch err := errors.Join(errs...); {
	case err == nil:
		return ended, nil
	case transient(err):
		return ended, &Error{Retriable, op, err}
	default:
		return ended, final(op, err)
	}
}

// ownedTransaction is a transaction at its coordinator.
type ownedTransaction struct {
	OpenTransaction
	instance string
	broker   int32
}

// ongoing lists the transactions of a topology that are open and not about to end, at all brokers.
func (c *Client) ongoing(ctx context.Context, of Ownership) (found []ownedTransaction, err error) {
	list := kmsg.NewPtrListTransactionsRequest()
	list.StateFilters = []string{"Ongoing"}
	var errs []error
	for _, id := range c.admin.ids() {
		answer, err := c.admin.requestBroker(ctx, id, list, 1)
		if err == nil {
			err = codeError(answer.(*kmsg.ListTransactionsResponse).ErrorCode)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("list the transactions at broker %d: %w", id, err))
			continue
		}
		describe := kmsg.NewPtrDescribeTransactionsRequest()
		for _, s := range answer.(*kmsg.ListTransactionsResponse).TransactionStates {
			if _, ok := of.Instance(s.TransactionalID); ok {
				describe.TransactionalIDs = append(describe.TransactionalIDs, s.TransactionalID)
			}
		}
		if len(describe.TransactionalIDs) == 0 {
			continue
		}
		answer, err = c.admin.requestBroker(ctx, id, describe, 0)
		if err != nil {
			errs = append(errs, fmt.Errorf("describe transactions at broker %d: %w", id, err))
			continue
		}
		for _, d := range answer.(*kmsg.DescribeTransactionsResponse).TransactionStates {
			if instance, ok := of.Instance(d.TransactionalID); ok && d.ErrorCode == 0 && d.State == "Ongoing" && of.holds(d) {
				found = append(found, ownedTransaction{instance: instance, broker: id, OpenTransaction: OpenTransaction{
					TransactionalID: d.TransactionalID, ProducerID: d.ProducerID, ProducerEpoch: int32(d.ProducerEpoch), State: d.State,
					Began: time.UnixMilli(d.StartTimestamp), Timeout: time.Duration(d.TimeoutMillis) * time.Millisecond,
				}})
			}
		}
	}
	return found, errors.Join(errs...)
}

// holds says whether a transaction is in topics of the topology, and in no other one but that of offsets.
func (of Ownership) holds(d kmsg.DescribeTransactionsResponseTransactionState) bool {
	for _, t := range d.Topics {
		if t.Topic != OffsetsTopic && !of.Writes(t.Topic) {
			return false
		}
	}
	return len(d.Topics) > 0
}

// withoutMembers leaves the transactions of instances that are not in the group.
func (g *Group) withoutMembers(ctx context.Context, all []ownedTransaction) ([]ownedTransaction, error) {
	if len(all) == 0 {
		return nil, nil
	}
	d, err := g.described(ctx)
	if err != nil {
		return nil, err
	}
	if d.State != "Stable" {
		return nil, errUnsettledGroup
	}
	members := map[string]bool{g.cfg.Instance: true}
	for _, m := range d.Members {
		sub, ok := readSubscription(m.ProtocolMetadata)
		if !ok || sub.Instance == "" {
			return nil, nil
		}
		members[sub.Instance] = true
	}
	return slices.DeleteFunc(all, func(t ownedTransaction) bool { return members[t.instance] }), nil
}

// ofAnotherGroup says whether there is a group whose members may be meant by a transactional id that this group's would have for the instance:
// that of instance eu-1 of group orders is also that of instance 1 of group orders-eu.
func (g *Group) ofAnotherGroup(ctx context.Context, instance string) (bool, error) {
	for n, r := range instance {
		if r != '-' {
			continue
		}
		name := g.cfg.Group + "-" + instance[:n]
		k, err := g.client.admin.coordinator(ctx, sarama.CoordinatorGroup, name)
		if err != nil {
			return true, ofGroup(name, err)
		}
		d, err := describeGroup(ctx, g.client.admin, k.addr, name)
		if err != nil && !errors.Is(err, sarama.ErrGroupIDNotFound) {
			return true, ofGroup(name, err)
		}
		if err == nil && d.State != "Dead" {
			return true, nil
		}
	}
	return false, nil
}

// abort ends a transaction by initialising its producer in its own name. The answer CONCURRENT_TRANSACTIONS says that the
// abort has begun, or that the transaction was about to end.
func (c *Client) abort(ctx context.Context, t ownedTransaction) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &t.TransactionalID, int32(t.Timeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = t.ProducerID, int16(t.ProducerEpoch)
	answer, err := c.admin.requestBroker(ctx, t.broker, req, 4)
	if err != nil {
		return fmt.Errorf("abort the transaction of %q: %w", t.TransactionalID, err)
	}
	switch code := sarama.KError(answer.(*kmsg.InitProducerIDResponse).ErrorCode); code {
	case sarama.ErrNoError, sarama.ErrConcurrentTransactions:
		return nil
	case sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch: // somebody else was faster
		return nil
	default:
		return fmt.Errorf("abort the transaction of %q: %w", t.TransactionalID, code)
	}
}
