package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/termtext"
	"github.com/weirstream/weir/topology"
)

func dlqShow(program string, topologies []*topology.Topology) *cobra.Command {
	f := dlqFlags{any: true}
	var o letters.ShowOptions
	raw := false
	check := func() (err error) {
		if o.Plans, err = plansOf(topologies, f.names); err != nil {
			return err
		}
		switch {
		case o.Neighbours < 0:
			return fmt.Errorf("--neighbours: %d is not allowed: give how many records before and after are shown", o.Neighbours)
		case raw && f.output == OutputJSON:
			return errors.New("--raw writes the bytes of a value, and --json was given too: leave one out")
		}
		return nil
	}
	cmd := f.command(program, check, func(cmd *cobra.Command, t *letters.Tool) error {
		if raw {
			return f.raw(cmd, t)
		}
		all := []letters.Shown{}
		n, strangers := int64(0), int64(0)
		err := t.Show(cmd.Context(), f.which, f.limit, o, func(_ *letters.Letter, s *letters.Shown) error {
			n++
			if s.System == "" {
				strangers++
			}
			if f.output == OutputJSON {
				all = append(all, *s)
				return nil
			}
			showLetter(cmd.OutOrStdout(), s)
			return nil
		})
		if err == nil && strangers > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d of the %d records that are shown are no dead letters: they have no header that a dead letter of a known system has\n", strangers, n)
			if strangers == n {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s seems to be no topic of dead letters: is its name right?\n", f.topic)
			}
		}
		switch {
		case err != nil:
			return err
		case f.output == OutputJSON:
			return writeJSON(cmd.OutOrStdout(), all)
		case n == 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "there is no such letter")
		}
		return nil
	})
	cmd.Use, cmd.Short = "show", "Show letters whole: the record, why it failed, and where it stood"
	cmd.Long = cmd.Short + ".\nWhere the program has the topology, values are shown as its stream decodes them, or with the error of that. --neighbours shows the records\n" +
		"before and after it in its input; --raw writes the value of one letter, byte by byte, to standard output."
	cmd.Example = example(program, "dlq show --brokers localhost:9092 --topic order.placed.v1.dlq --fingerprint 1f2e3d4c5b6a7988",
		"dlq show --brokers localhost:9092 --topic order.placed.v1.dlq --partition 2 --offset 17 --neighbours 2 --json",
		"dlq show --brokers localhost:9092 --topic order.placed.v1.dlq --partition 2 --offset 17 --raw > value")
	f.choose(cmd, f.any)
	f.limited(cmd, 10, "the most letters to show; 0 for all")
	cmd.Flags().IntVar(&o.Neighbours, "neighbours", 0, "how many records before and after it in its input are shown too")
	cmd.Flags().BoolVar(&raw, "raw", false, "write the bytes of the value of the one letter that is chosen, and nothing else")
	return cmd
}

// raw writes the value of one letter as it is.
func (f *dlqFlags) raw(cmd *cobra.Command, t *letters.Tool) error {
	out, err := termtext.Raw(cmd.OutOrStdout())
	if err != nil {
		return fmt.Errorf("--raw: %w: send it into a file or another program", err)
	}
	var value []byte
	found, none := 0, false
	err = t.Show(cmd.Context(), f.which, 2, letters.ShowOptions{}, func(l *letters.Letter, _ *letters.Shown) error {
		found++
		value, none = append([]byte{}, l.Record.Value...), l.Record.Value == nil
		return nil
	})
	switch {
	case err != nil:
		return err
	case found == 0:
		return errors.New("there is no such letter")
	case found > 1:
		return errors.New("--raw writes one value, and several letters are chosen: give --partition and --offset")
	case none:
		fmt.Fprintln(cmd.ErrOrStderr(), "the record has no value: it is a tombstone")
	}
	_, err = out.Write(value)
	return err
}

func showLetter(w io.Writer, s *letters.Shown) {
	if s.System == "" {
		fmt.Fprintf(w, "record %d/%d, no dead letter\n  written   %s\n", s.Partition, s.Offset, s.Failed.Format(time.RFC3339))
		showRecord(w, s)
		return
	}
	state := "open"
	if s.Answer != nil {
		state = s.Answer.How
	}
	fmt.Fprintf(w, "letter %d/%d (%s), fingerprint %s\n", s.Partition, s.Offset, state, s.Fingerprint)
	if a := s.Answer; a != nil {
		fmt.Fprintf(w, "  %-9s %s by %s%s: %s\n", a.How, a.At.Format(time.RFC3339), termtext.Text(a.Who), where(a.To), termtext.Text(cmp.Or(a.Why, "no reason was given")))
	}
	if s.System == string(deadletter.Weir) {
		fmt.Fprintf(w, "  failed    %s in node %s of topology %s, %d times in all, redriven %d times\n", s.Failed.Format(time.RFC3339), cmp.Or(s.Node, "?"), cmp.Or(s.Topology, "?"), s.Failures, s.Redrives)
	} else {
		fmt.Fprintf(w, "  failed    %s, as %s says\n", s.Failed.Format(time.RFC3339), s.System)
	}
	if first := s.FirstFailed; first != nil && !first.Equal(s.Failed) {
		fmt.Fprintf(w, "  at first  %s\n", first.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "  reason    %s\n", termtext.Text(s.Reason))
	fmt.Fprintf(w, "  read at   %s offset %d; the first time at %s offset %d\n", s.Input, s.InputOffset, s.Origin, s.OriginAt)
	showRecord(w, s)
}

// where is where a letter was redriven to, "" where that is its topology.
func where(to string) string {
	switch to {
	case "":
		return ""
	case letters.Origin:
		return " into the topic of its record"
	}
	return " into " + termtext.Text(to)
}

// showRecord shows the record of a letter, or one that is none.
func showRecord(w io.Writer, s *letters.Shown) {
	fmt.Fprintf(w, "  key       %s\n", quoted(s.KeyText))
	fmt.Fprintf(w, "  value     %s\n", quoted(s.ValueText))
	switch {
	case s.DecodeError != "":
		fmt.Fprintf(w, "  decoded   stream %s cannot: %s\n", s.Stream, termtext.Text(s.DecodeError))
	case s.Decoded != nil:
		fmt.Fprintf(w, "  decoded   %s\n", termtext.Text(string(s.Decoded)))
	}
	if !s.Whole {
		fmt.Fprintln(w, "  the letter does not hold its whole record")
	}
	for _, h := range s.Headers {
		if h.Value == nil {
			fmt.Fprintf(w, "  header    %s has no value\n", termtext.Text(h.Key))
			continue
		}
		fmt.Fprintf(w, "  header    %s = %s\n", termtext.Text(h.Key), termtext.Text(*h.Value))
	}
	if s.Neighboured != "" {
		fmt.Fprintf(w, "  no neighbours: %s\n", s.Neighboured)
	}
	for _, n := range s.Neighbours {
		mark := " "
		if n.Self {
			mark = ">"
		}
		fmt.Fprintf(w, "  %s %s/%d at %s: %s: %s\n", mark, s.Origin, n.Offset, n.Time.Format(time.RFC3339), brief(quoted(n.KeyText)), brief(quoted(n.ValueText)))
	}
}

func quoted(text *string) string {
	if text == nil {
		return "none"
	}
	return termtext.Text(*text)
}

// brief is a text for a column.
func brief(text string) string {
	const most = 100
	text = termtext.Text(text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
