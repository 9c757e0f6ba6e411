package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/publish"
)

// fresh is an event that the turn writes.
type fresh struct {
	errand  *errand
	verdict *verdict
	place   place
	taken   taken
}

// turn writes the events of errands whose ids are new, and the ids, in one transaction. errOthers says that Kafka refused one of the events, which
// has that as its verdict, and that the others may be tried again.
func (w *owner) turn(list []*errand) error {
	if time.Since(w.turned) > OnceFor/2 {
		w.o.held.Add(-int64(len(w.ids[2])))
		w.ids[2], w.ids[1], w.ids[0], w.turned = w.ids[1], w.ids[0], map[place]taken{}, time.Now()
	}
	ctx, cancel := context.WithTimeout(w.o.ctx, w.o.g.Limits.Answer)
	defer cancel()
	var writes []fresh
	pending := map[place]int{}
	type echo struct {
		verdict *verdict
		of      int
	}
	var echoes []echo
	w.offsets = w.offsets[:0]
	for _, e := range list {
		if e.whole && w.hindered(e, pending, writes) {
			continue
		}
		for i := range e.items {
			in, v := &e.items[i], &e.verdicts[i]
			if v.Refused != "" {
				continue // by an earlier try
			}
			at, print := in.Place, in.Print
			*v = verdict{}
			if t, ok := w.find(at); ok {
				*v = verdict{Partition: t.at, Offset: t.offset, Repeated: true, Conflict: t.print != print}
				continue
			}
			if n, ok := pending[at]; ok {
				v.Conflict = writes[n].taken.print != print
				echoes = append(echoes, echo{v, n})
				continue
			}
			if !w.room(len(writes) + 1) { // it must not be forgotten, so it is not taken
				v.Full = true
				continue
			}
			r := in.record()
			r.Origin = int64(len(writes))
			w.offsets = append(w.offsets, -1)
			if err := w.sink.Append(&r); err != nil {
				refused, ok := errors.AsType[*kafka.RefusedError](err)
				if !ok || refused.Origin != r.Origin {
					return w.refused(writes, err)
				}
				if e.whole { // those before it are in the transaction
					return w.refused(append(writes, fresh{errand: e, verdict: v}), err)
				}
				v.Refused, v.TooLarge = refused.Err.Error(), len(refused.Limits) > 0
				w.offsets = w.offsets[:len(writes)]
				continue
			}
			pending[at] = len(writes)
			writes = append(writes, fresh{e, v, at, taken{print: print, at: in.Part}})
		}
	}
	if len(writes) == 0 {
		return nil // that an id was taken stays true, whoever owns it now
	}
	w.sink.Coming(kafka.TopicPartition{Topic: w.o.ids, Partition: idPartition})
	if err := w.sink.Flush(ctx); err != nil {
		return w.refused(writes, err)
	}
	for n := range writes {
		f := &writes[n]
		f.taken.offset = w.offsets[n]
		id := kafka.Outgoing{TopicPartition: kafka.TopicPartition{Topic: w.o.ids, Partition: idPartition}, Timestamp: time.Now().UnixMilli(),
			Key: f.place[:], Value: f.taken.append(nil), Origin: -1}
		if err := w.sink.Append(&id); err != nil {
			return w.failed(err)
		}
	}
	if err := w.sink.Commit(ctx); err != nil {
		return w.failed(err)
	}
	for n := range writes {
		f := &writes[n]
		w.know(f.place, f.taken)
		*f.verdict = verdict{Partition: f.taken.at, Offset: f.taken.offset}
	}
	for _, e := range echoes {
		t := writes[e.of].taken
		*e.verdict = verdict{Partition: t.at, Offset: t.offset, Repeated: true, Conflict: e.verdict.Conflict}
	}
	return nil
}

// hindered says whether an errand that is taken whole cannot be, because of one of its events, and has that in its verdicts. pending are the ids of the writes of this turn.
func (w *owner) hindered(e *errand, pending map[place]int, writes []fresh) bool {
	hindered, own := false, map[place]place{}
	for i := range e.items {
		in, v := &e.items[i], &e.verdicts[i]
		if v.Refused != "" { // by an earlier try
			hindered = true
			continue
		}
		*v = verdict{}
		if t, ok := w.find(in.Place); ok {
			v.Conflict = t.print != in.Print
		} else if n, ok := pending[in.Place]; ok {
			v.Conflict = writes[n].taken.print != in.Print
		} else if print, ok := own[in.Place]; ok {
			v.Conflict = print != in.Print
		} else {
			own[in.Place] = in.Print
		}
		hindered = hindered || v.Conflict
	}
	full := !hindered && len(own) > 0 && !w.room(len(writes)+len(own))
	if !hindered && !full {
		return false
	}
	for i := range e.verdicts {
		if v := &e.verdicts[i]; v.Refused == "" && !v.Conflict {
			v.Full, v.Beside = full, !full
		}
	}
	return true
}

// refused is failed, where it may be one of the events that Kafka does not take.
func (w *owner) refused(writes []fresh, err error) error {
	refused, ok := errors.AsType[*kafka.RefusedError](err)
	ok = ok && refused.Origin >= 0 && refused.Origin < int64(len(writes))
	if failed := w.failed(err); !ok || errors.Is(failed, errNotOwner) {
		return failed
	}
	w.refuser = writes[refused.Origin].errand
	v := writes[refused.Origin].verdict
	v.Refused, v.TooLarge = refused.Err.Error(), len(refused.Limits) > 0
	return errOthers
}

// failed ends the open transaction. When that cannot be done, or another one has the right to write, all is forgotten.
func (w *owner) failed(err error) error {
	var refused *kafka.RefusedError
	class := kafka.ClassOf(err)
	if errors.As(err, &refused) {
		class = kafka.Abortable
	}
	w.o.g.Log.Warn("events of a topic that takes ids once were not written", zap.Int32("partition", idPartition), zap.Error(err))
	switch class {
	case kafka.Fenced:
		w.drop()
		return errNotOwner
	case kafka.Indefinite:
		w.drop()
		return &publish.UndecidedError{Err: err}
	}
	ctx, cancel := context.WithTimeout(w.o.ctx, 10*time.Second)
	defer cancel()
	if abortErr := w.sink.Abort(ctx); abortErr != nil {
		w.drop()
		if kafka.ClassOf(abortErr) == kafka.Fenced {
			return errNotOwner
		}
	}
	return w.o.gone(ctx, err)
}

// gone says of an error that the topic of ids is not there any more, where that is so. It is not made again: with it the ids of the last day are gone, and that
// repetitions of events from before are written a second time is for people to decide.
func (o *once) gone(ctx context.Context, err error) error {
	infos, lookUp := o.g.Client.Topics(ctx, []string{o.ids})
	if _, ok := infos[o.ids]; lookUp != nil || ok {
		return err
	}
	return fmt.Errorf("the topic %[1]s was deleted, and with it the ids of the last %[2]s: when every gateway of the cluster has been restarted, they make %[1]s again, and take events of topics of level once, "+
		"but a repetition of an event from before is written a second time (%[3]w)", o.ids, OnceFor, err)
}
