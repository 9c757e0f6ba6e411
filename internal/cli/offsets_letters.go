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

// record carries changes out, and answers the open letters of records that are processed again, as far as that is wanted. It says how many there are.
func (f *offsetsFlags) record(ctx context.Context, t *offsets.Tool, changes []offsets.Change, commit bool) (n int, err error) {
	dlq := &letters.Tool{Client: t.Client, Names: f.plan.Names, Who: t.Who}
	keep, copies := f.letters == lettersKeep, f.accept == letters.AcceptCopies
	if keep && !copies && len(changes) > 0 {
		again, err := f.again(ctx, dlq, changes)
		if err == nil {
			err = refuseCopied(again)
		}
		if err != nil {
			return 0, err
		}
	}
	if keep || len(changes) == 0 {
		if f.execute && len(changes) > 0 {
			err = t.Record(ctx, changes, f.why, commit, offsets.Along{})
		}
		return 0, err
	}
	var claim *letters.Claim
	if f.execute {
		for _, topic := range []system.Topic{system.Jobs, system.Audit} {
			if err := topic.Ensure(ctx, t.Client, f.plan.Names.System(topic.Name)); err != nil {
				return 0, err
			}
		}
		if claim, err = dlq.Claim(ctx, f.plan); err != nil {
			return 0, err
		}
		defer claim.Close()
	}
	again, err := f.again(ctx, dlq, changes)
	n = len(again.Letters)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w (--letters %s --accept %s does without)", err, lettersKeep, letters.AcceptCopies)
	case again.Copied.Records > 0 && !copies:
		return 0, refuseCopied(again)
	case again.Parks > 0 && f.execute:
		return n, withCode(exitRefused, fmt.Errorf("%d of the open dead letters keep records of their keys waiting, which would be overtaken: redrive or discard them first (dlq list), and run the instances until nothing is parked, or give --letters %s; nothing was changed",
			again.Parks, lettersKeep))
	case !f.execute:
		return n, nil
	case n == 0:
		return 0, t.Record(ctx, changes, f.why, commit, offsets.Along{})
	}
	by := "offsets reset"
	if !commit {
		by = "offsets accept"
	}
	answers, err := dlq.Answers(rand.Text(), by, again.Letters)
	if err != nil {
		return 0, err
	}
	return n, t.Record(ctx, changes, f.why, commit, offsets.Along{
		Records: answers, TransactionalID: f.plan.Names.Prefix + "weir-offsets-" + f.plan.Topology,
		Confirm: func(ctx context.Context) error { return claim.Confirm(ctx, by) },
	})
}

// refuseCopied refuses to have records processed again that are in an input twice.
func refuseCopied(again letters.Again) error {
	if again.Copied.Records == 0 {
		return nil
	}
	return withCode(exitRefused, &letters.CopiedError{Copied: again.Copied})
}

// again finds the open letters of records from the new offsets on.
func (f *offsetsFlags) again(ctx context.Context, dlq *letters.Tool, changes []offsets.Change) (again letters.Again, err error) {
	next := map[kafka.TopicPartition]int64{}
	var names []string
	for _, c := range changes {
		if c.New != nil {
			next[kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}] = *c.New
			names = append(names, c.Topic)
		}
	}
	infos, err := dlq.Client.Topics(ctx, names)
	if err != nil {
		return again, err
	}
	return dlq.Again(ctx, letters.From(f.plan, infos, next))
}
