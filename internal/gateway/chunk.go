package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/publish"
)

// Answer is how one event ended.
type Answer struct {
	Status    int      `json:"status" doc:"200: all in-sync replicas have the event; else as the error says"`
	Partition *int32   `json:"partition,omitempty" doc:"of the record"`
	Offset    *int64   `json:"offset,omitempty" doc:"of the record in its partition"`
	SchemaID  int      `json:"schema_id,omitempty" doc:"of the schema by which the value was checked and written"`
	Repeated  bool     `json:"repeated,omitempty" doc:"the event's id was accepted before: this is the first answer again"`
	Error     *Problem `json:"error,omitempty" doc:"why the event was not accepted"`

	// Of the record, for answers that tell them. The record itself is not kept: answers are remembered.
	keySize, valueSize int
	time               int64
}

func failed(p *Problem) Answer { return Answer{Status: p.Status, Error: p} }

// ended turns the answer of an event that is under way into that of how it ended.
func (a *Answer) ended(r publish.Result) {
	if r.Err != nil {
		*a = failed(ofWriting(r.Err))
		return
	}
	a.Status, a.Partition = http.StatusOK, &r.Partition
	if r.Offset >= 0 {
		a.Offset = &r.Offset
	}
}

// chunk is events of one request, from admission to their answers.
type chunk struct {
	g        *Gateway
	client   *Client
	topic    *topic
	declared *declared.Event
	order    *order
	atomic   bool

	answers []Answer
	batch   publish.Batch
	places  []int     // of the batch's records in answers
	sent    []sent    // of the batch's records
	tickets []*ticket // of the batch's records, nil for those without an id
	repeats []repeat
	quotas  [2]*quota // of the client, and of what is declared
	bytes   int
	bad     refusedWork
	held    int64              // bytes of a stream
	said    int64              // likewise, of what problems say
	room    func(n int64) bool // counts that; nil: it is not counted
	err     error              // of what should have written them
	once    *onceResult        // of the level once, instead of the batch
}

// refusedWork is events that were looked at and refused through their own fault.
type refusedWork struct{ events, bytes int }

// sent is how an event is told from others with its id: by what its producer sent, not by what a schema made of it.
type sent struct {
	key   []byte
	print place
}

// repeat is an event whose id is known: it ends as the first one did.
type repeat struct {
	place  int
	ticket *ticket
}

// order ties the events of one producer together, in one or several chunks: after one that failed because of the cluster or the registry none is written.
type order struct {
	publish.Order
	failed bool // an event was not admitted, through no fault of its own. It is for the one goroutine that adds events
}

// refused notes why an event is not admitted: when it is through no fault of its own, later ones would overtake it.
func (o *order) refused(p *Problem) {
	if p.Status >= http.StatusInternalServerError {
		o.failed = true
	}
}

func (g *Gateway) newChunk(client *Client, t *topic, d *declared.Event, o *order) *chunk {
	return &chunk{g: g, client: client, topic: t, declared: d, order: o, quotas: [2]*quota{client.quota, g.declaredQuota(client, t, d)}, batch: publish.Batch{Order: &o.Order}}
}

// add admits an event.
func (c *chunk) add(e *event) {
	var record kafka.Outgoing
	schemaID, p := 0, e.bad
	if p == nil {
		record, schemaID, p = c.g.admit(c.topic, c.declared, e)
	}
	switch {
	case p != nil:
		c.order.refused(p)
	case c.order.failed:
		p = ofWriting(publish.ErrNotTried)
	}
	if p != nil {
		c.said += afford(p, c.room)
		if p.Status < http.StatusInternalServerError {
			c.bad.events++
			c.bad.bytes += len(e.key) + len(e.value)
		}
		c.answers = append(c.answers, failed(p))
		return
	}
	c.bytes += len(record.Key) + len(record.Value)
	var print place
	if e.id != "" {
		print = e.print()
	}
	var t *ticket
	if e.id != "" && !c.isOnce() {
		first := false
		if t, first = c.g.memory.begin(c.order, c.client.Name, c.topic, e.id, print); !first {
			if t.print != print {
				p := conflict.of("the event id %q was used for an event with another key, value or (of CloudEvents) source", e.id)
				c.said += afford(p, c.room)
				c.answers = append(c.answers, failed(p))
				return
			}
			c.repeats = append(c.repeats, repeat{len(c.answers), t})
			c.answers = append(c.answers, Answer{})
			return
		}
	}
	c.batch.Records = append(c.batch.Records, record)
	c.places = append(c.places, len(c.answers))
	c.sent = append(c.sent, sent{e.key, print})
	c.tickets = append(c.tickets, t)
	c.answers = append(c.answers, Answer{SchemaID: schemaID, keySize: len(record.Key), valueSize: len(record.Value), time: record.Timestamp})
}

// settle waits for the events of others that the chunk repeats, before anything of it is written: what comes after an event does not overtake it, and
// when it fails there, it has failed here. An atomic batch does not wait, as two could wait for each other: it is refused.
func (c *chunk) settle(ctx context.Context) {
	for _, r := range c.repeats {
		if r.ticket.by == c.order { // submitted in turn
			continue
		}
		if c.atomic {
			if !r.ticket.accepted() {
				c.refuse(notWritten.of("another request with an event of the atomic batch is under way"))
				return
			}
			continue
		}
		select {
		case <-r.ticket.done:
			if p := r.ticket.answer.Error; p != nil && (p.Status >= 500 || p.Status == http.StatusTooManyRequests) {
				c.batch.Order.Break()
			}
		case <-ctx.Done():
			c.batch.Order.Break()
		}
	}
}

func (c *chunk) isOnce() bool { return c.declared != nil && c.declared.Idempotency == declared.Once }

// refuse ends all events that are not answered yet.
func (c *chunk) refuse(p *Problem) {
	for n, i := range c.places {
		c.answers[i] = failed(p)
		c.note(n)
	}
	c.batch.Records, c.places, c.sent, c.tickets = nil, nil, nil, nil
	if !c.atomic {
		return
	}
	c.repeats = slices.DeleteFunc(c.repeats, func(r repeat) bool { // what others have under way is not waited for
		if r.ticket.accepted() {
			return false
		}
		c.answers[r.place] = failed(p)
		return true
	})
}

// note tells a record's ticket how it ended.
func (c *chunk) note(n int) {
	if t := c.tickets[n]; t != nil {
		c.g.memory.finish(t, c.answers[c.places[n]])
	}
}

// firstBad is why the first of the events that were refused was.
func (c *chunk) firstBad() *Problem {
	for i := range c.answers {
		if p := c.answers[i].Error; p != nil {
			return p
		}
	}
	return nil
}

// quota takes the events off the client's quotas.
func (c *chunk) quota() *Problem { return take(len(c.places), c.bytes, c.quotas[:]...) }

// pay takes what was refused off the client's quotas. A stream is slowed down by it.
func (c *chunk) pay(patient bool) {
	if c.bad.events == 0 {
		return
	}
	now := time.Now()
	owe(now, c.bad.events, c.bad.bytes, c.quotas[:]...)
	p := owing(now, c.quotas[:]...)
	if p == nil || !patient {
		return
	}
	select {
	case <-time.After(min(p.retryAfter, c.g.Limits.Answer)):
	case <-c.g.stopping.Done():
	}
}

// submit hands the events over to be written.
func (c *chunk) submit(ctx context.Context, patient bool) {
	defer c.pay(patient) // a batch that is larger than a burst needs all of it
	if len(c.repeats) > 0 {
		within, cancel := context.WithTimeout(ctx, c.g.Limits.Answer)
		c.settle(within)
		cancel()
	}
	if len(c.batch.Records) == 0 {
		return
	}
	p := c.quota()
	if p != nil && patient { // a stream is slowed down, not refused
		p = waitForQuota(c.g.stopping, c.g.Limits.Answer, p, c.quota)
	}
	if p != nil {
		if c.batch.Order != nil {
			c.batch.Order.Break()
		}
		c.refuse(p)
		return
	}
	switch {
	case c.isOnce():
		c.once = c.g.once.submit(c)
	case c.atomic:
		c.batch.Results, c.err = c.g.publisher.Atomic(ctx, c.batch.Records)
	case patient:
		c.batch.Yields = true
		c.err = waitForRoom(c.g.stopping, c.g.Limits.Answer, func() error { return c.g.publisher.Publish(&c.batch) })
	default:
		c.err = c.g.publisher.Publish(&c.batch)
	}
	if c.err != nil && c.batch.Order != nil {
		c.batch.Order.Break()
	}
	if c.sent = nil; c.once != nil && c.once.brought { // a stream's next events come while this one's answers wait
		c.once.items = nil
	}
}

var errNoAnswer = errors.New("the cluster has not acknowledged the event in time")

// wait returns when all events are answered, or ctx ends.
func (c *chunk) wait(ctx context.Context) {
	results := c.batch.Results
	switch {
	case len(c.places) == 0 || c.err != nil || c.atomic && c.once == nil:
	case c.once != nil:
		results, c.err = c.once.wait(ctx, c)
	default:
		select {
		case <-c.batch.Done():
		case <-ctx.Done():
			c.err = errNoAnswer
			go c.finishLater()
		}
	}
	var all *Problem // one for all: it is said once
	if c.err != nil {
		all = ofWriting(c.err)
	}
	for n, i := range c.places {
		if c.err != nil {
			c.answers[i] = failed(all)
		} else {
			c.answers[i].ended(results[n])
			c.answers[i].Repeated = c.once != nil && c.once.verdicts[n].Repeated && results[n].Err == nil
		}
		if c.err != errNoAnswer {
			c.note(n)
		}
	}
	for _, r := range c.repeats {
		select {
		case <-r.ticket.done:
			a := r.ticket.answer
			a.Repeated = a.Error == nil
			c.answers[r.place] = a
		case <-ctx.Done():
			c.answers[r.place] = failed(ofWriting(errNoAnswer))
		}
	}
	c.g.count(c)
}

// finishLater tells tickets how records ended for which the request has not waited: a repetition may ask.
func (c *chunk) finishLater() {
	<-c.batch.Done() // the sink gives up in the end
	for n, t := range c.tickets {
		if t != nil {
			a := Answer{}
			a.ended(c.batch.Results[n])
			c.g.memory.finish(t, a)
		}
	}
}

// publishAll publishes the events of a request that is no stream.
func (g *Gateway) publishAll(r *request, events []*event) []Answer {
	if len(events) != 1 {
		r.permit.several()
		if err := r.body.more(int64(len(events)) * eventCost); err != nil {
			p := ofBody(err)
			return slices.Repeat([]Answer{failed(p)}, len(events))
		}
	}
	c := g.newChunk(r.client, r.topic, r.declared, &order{}) // an event that failed is not overtaken by a later one of its key
	if len(events) > 1 {
		c.room = r.body.room
	}
	if c.atomic = r.atomic; c.atomic || c.isOnce() {
		c.batch.Order = nil // they are written together
	}
	if p := owing(time.Now(), c.quotas[:]...); p != nil {
		return slices.Repeat([]Answer{failed(p)}, len(events))
	}
	for _, e := range events {
		c.add(e)
	}
	if p := c.firstBad(); c.atomic && p != nil {
		if p.Status >= http.StatusInternalServerError {
			c.refuse(besideAnother(notWritten, notWritten.remedy))
		} else {
			c.refuse(besideAnother(invalid, mendOthers))
		}
	}
	ctx := g.deadlines.next()
	c.submit(ctx, false)
	c.wait(ctx)
	if len(events) == 1 && c.answers[0].Error == nil {
		r.permit.accepted()
	}
	return c.answers
}
