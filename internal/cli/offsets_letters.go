package cli

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/system"
)

// The values of --letters: what is to become of open letters whose records are read again.
const (
	lettersAnswer = "answer"
	lettersKeep   = "keep"
)

func (f *offsetsFlags) addLetters(cmd *cobra.Command) {
	addAccept(cmd, &f.accept)
	cmd.Flags().StringVar(&f.letters, "letters", lettersAnswer, "what becomes of open dead letters whose records are processed again: answer (they are not open any more, and what fails again has a new one) or "+
		"keep (a redrive processes their records once more)")
}

// addAccept adds the flag that takes what a command refuses else.
func addAccept(cmd *cobra.Command, accept *string) {
	cmd.Flags().StringVar(accept, "accept", "", letters.AcceptCopies+": also process records again of which the input has copies, since their dead letters were redriven into it (dlq redrive --to origin)")
}

func (f *offsetsFlags) checkLetters() error {
	if err := letters.CheckAccept(f.accept); err != nil {
		return err
	}
	switch f.letters {
	case "", lettersAnswer, lettersKeep: // show has none
		return nil
	}
	return fmt.Errorf("--letters: %q is not allowed: give %s or %s", f.letters, lettersAnswer, lettersKeep)
}

// affected is what a change of offsets means for letters.
type affected struct{ answered, reopened, unsure int }

// lines say so.
func (n affected) lines(executed bool) (lines []string) {
	are := "would be"
	if executed {
		are = "are"
	}
	if n.answered > 0 {
		lines = append(lines, fmt.Sprintf("%d open dead letters %s answered: their records are processed again", n.answered, are))
	}
	if n.reopened > 0 {
		lines = append(lines, fmt.Sprintf("%d dead letters that were answered %s open again: their records are left out, and nobody has read them since", n.reopened, are))
	}
	if n.unsure > 0 {
		lines = append(lines, fmt.Sprintf("whether the records of %d answered dead letters, which are left out, have been read since is not known, as somebody else has set offsets: dlq show says which letters were answered", n.unsure))
	}
	return lines
}

// record carries changes out, and answers the open letters of records that are processed again, as far as that is wanted; letters that were answered before, and whose records are
// left out now before anybody has read them, are open again. It says how many there are.
func (f *offsetsFlags) record(ctx context.Context, t *offsets.Tool, changes []offsets.Change, commit bool) (n affected, err error) {
	if len(changes) == 0 {
		return n, nil
	}
	dlq := &letters.Tool{Client: t.Client, Names: f.plan.Names, Who: t.Who}
	pass := f.pass(changes, commit)
	keep, copies := f.letters == lettersKeep, f.accept == letters.AcceptCopies
	if keep && copies {
		if !f.execute {
			return n, nil
		}
		return n, f.write(ctx, t, dlq, changes, commit, pass, nil, nil)
	}
	var claim *letters.Claim
	if f.execute && !keep {
		for _, topic := range []system.Topic{system.Jobs, system.Audit} {
			if err := topic.Ensure(ctx, t.Client, f.plan.Names.System(topic.Name)); err != nil {
				return n, err
			}
		}
		if claim, err = dlq.Claim(ctx, f.plan); err != nil {
			return n, err
		}
		defer claim.Close()
	}
	again, err := f.again(ctx, dlq, changes, commit)
	switch {
	case err != nil:
		return n, fmt.Errorf("%w (--letters %s --accept %s does without)", err, lettersKeep, letters.AcceptCopies)
	case again.Copied.Records > 0 && !copies:
		return n, withCode(exitRefused, &letters.CopiedError{Copied: again.Copied})
	case keep:
		again = letters.Again{}
	case again.Parks > 0 && f.execute:
		return n, withCode(exitRefused, fmt.Errorf("%d of the open dead letters keep records of their keys waiting, which would be overtaken: redrive or discard them first (dlq list), and run the instances until nothing is parked, or give --letters %s; nothing was changed",
			again.Parks, lettersKeep))
	}
	n = affected{len(again.Letters), len(again.Unread), again.Unsure}
	if !f.execute {
		return n, nil
	}
	answers, err := dlq.Answers(pass.ID, pass.By, again.Letters)
	if err != nil {
		return n, err
	}
	reopened, err := dlq.Reopen(pass.ID, pass.By, again.Unread)
	if err != nil {
		return n, err
	}
	return n, f.write(ctx, t, dlq, changes, commit, pass, append(answers, reopened...), claim)
}

// write records changes, and what they mean for letters in the same transaction.
func (f *offsetsFlags) write(ctx context.Context, t *offsets.Tool, dlq *letters.Tool, changes []offsets.Change, commit bool, pass letters.Pass, marks []*kafka.Outgoing, claim *letters.Claim) error {
	passed, err := dlq.Pass(pass)
	if err != nil {
		return err
	}
	along := offsets.Along{Records: append(marks, passed)}
	if len(marks) > 0 {
		along.TransactionalID = f.plan.Names.Prefix + "weir-offsets-" + f.plan.Topology
		along.Confirm = func(ctx context.Context) error { return claim.Confirm(ctx, pass.By) }
	}
	return t.Record(ctx, changes, f.why, commit, along)
}

// pass is what the changes have processed again, or leave out.
func (f *offsetsFlags) pass(changes []offsets.Change, commit bool) letters.Pass {
	p := letters.Pass{ID: rand.Text(), Topology: f.plan.Topology, By: "offsets reset", Letters: letters.DeadLetters(f.plan), Keep: f.letters == lettersKeep}
	if !commit {
		p.By = "offsets accept"
	}
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		in := letters.PassedInput{Topic: c.Topic, TopicID: c.TopicID(), Partition: c.Partition, From: *c.New}
		if commit { // else somebody else has set the offset
			in.Committed = c.Committed
		}
		p.Inputs = append(p.Inputs, in)
	}
	return p
}

// again finds the letters of records from the new offsets on, and of those that are left out.
func (f *offsetsFlags) again(ctx context.Context, dlq *letters.Tool, changes []offsets.Change, commit bool) (again letters.Again, err error) {
	next, committed := map[kafka.TopicPartition]int64{}, map[kafka.TopicPartition]int64{}
	var names []string
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		tp := kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}
		next[tp] = *c.New
		names = append(names, c.Topic)
		if c.Committed != nil && commit {
			committed[tp] = *c.Committed
		}
	}
	infos, err := dlq.Client.Topics(ctx, names)
	if err != nil {
		return again, err
	}
	return dlq.Again(ctx, letters.From(f.plan, infos, next, committed))
}
