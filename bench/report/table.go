package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/weirstream/weir/bench/measure"
)

// line is an engine in a case, all rounds together.
type line struct {
	title  string
	engine string
	cells  []string
	failed []string
}

// group is a case.
type group struct {
	name  string
	x     float64
	lines []line
}

// groups gathers the rows of a work by case and engine, in the order in which they came.
func (r *Report) groups(w Work) (groups []group) {
	for _, row := range r.Rows {
		if row.Work != w.Name {
			continue
		}
		g := slices.IndexFunc(groups, func(g group) bool { return g.name == row.Case })
		if g < 0 {
			g = len(groups)
			groups = append(groups, group{name: row.Case, x: row.X})
		}
		if !slices.ContainsFunc(groups[g].lines, func(l line) bool { return l.engine == row.Engine }) {
			groups[g].lines = append(groups[g].lines, r.line(w, row))
		}
	}
	for _, g := range groups {
		slices.SortStableFunc(g.lines, func(a, b line) int { return rank(a.engine) - rank(b.engine) })
	}
	return groups
}

// rank puts Weir first, then those that do its work, then the floors: the order of rows rotates by round.
func rank(engine string) int {
	for i, prefix := range []string{"weir", "streams", "goka", "floor"} {
		if strings.HasPrefix(engine, prefix) {
			return i
		}
	}
	return 9
}

func (r *Report) line(w Work, of Row) line {
	l := line{title: of.Title, engine: of.Engine}
	for _, row := range r.Rows {
		if row.Work == of.Work && row.Case == of.Case && row.Engine == of.Engine && row.Error != "" {
			l.failed = append(l.failed, row.Error)
		}
	}
	for _, metric := range w.Metrics {
		values := r.values(of.Work, of.Case, of.Engine, metric)
		var list []float64
		for _, v := range values {
			list = append(list, v/Metrics[metric].Scale)
		}
		l.cells = append(l.cells, spread(measure.SpreadOf(list), Metrics[metric].Digits))
	}
	if w.Compare != "" {
		l.cells = append(l.cells, r.ratio(w, of))
	}
	return l
}

// Disturbed is the part of the machine, in per cent, that other processes may have without a remark about it.
const Disturbed = 5

// remark says why a figure is worth less than others.
func (r Row) remark() string {
	switch v := r.Values["others_percent"]; {
	case r.Values["cold"] != 0:
		return "COLD: it was too quick for this input, the engine's start is in the figure"
	case v > Disturbed:
		return fmt.Sprintf("DISTURBED: %.0f%% of the machine went to other processes", v)
	}
	return ""
}

// remarks are those of all rows.
func (r *Report) remarks() (lines []string) {
	for _, row := range r.Rows {
		if text := row.remark(); text != "" {
			lines = append(lines, fmt.Sprintf("%s, %s, round %d, %s: %s", row.Work, row.Case, row.Round, row.Title, text))
		}
	}
	return lines
}

// ratio is how many times the figure of this engine its reference has.
func (r *Report) ratio(w Work, of Row) string {
	if of.Reference == "" || of.Reference == of.Engine {
		return ""
	}
	ratios := measure.Ratios(r.values(of.Work, of.Case, of.Reference, w.Compare), r.values(of.Work, of.Case, of.Engine, w.Compare))
	if len(ratios) == 0 {
		return ""
	}
	return spread(measure.SpreadOf(ratios), 2)
}

// values are those of the rounds that ended well.
func (r *Report) values(work, name, engine, metric string) map[int]float64 {
	values := map[int]float64{}
	for _, row := range r.Rows {
		if v, ok := row.Values[metric]; ok && row.Error == "" && row.Work == work && row.Case == name && row.Engine == engine {
			values[row.Round] = v
		}
	}
	return values
}

// spread is the median, and the ends in brackets where there are several values.
func spread(s measure.Spread, digits int) string {
	switch s.N {
	case 0:
		return "none"
	case 1:
		return number(s.Median, digits)
	}
	return fmt.Sprintf("%s [%s to %s]", number(s.Median, digits), number(s.Min, digits), number(s.Max, digits))
}

// number groups digits by thousands.
func number(v float64, digits int) string {
	text := strconv.FormatFloat(v, 'f', digits, 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}

func (w Work) columns() []string {
	var names []string
	for _, m := range w.Metrics {
		names = append(names, Metrics[m].Title)
	}
	if w.Compare != "" {
		names = append(names, "Weir to this, "+Metrics[w.Compare].Title)
	}
	return names
}

// WriteText writes tables for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "\n%s\n", r.formLine())
	for _, work := range r.Works {
		groups := r.groups(work)
		if len(groups) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n%s\n", work.Title, work.About)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintf(t, "%s\tengine\t%s\n", work.Axis, strings.Join(work.columns(), "\t"))
		for _, g := range groups {
			for _, l := range g.lines {
				fmt.Fprintf(t, "%s\t%s\t%s\n", g.name, l.title, strings.Join(l.cells, "\t"))
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, g := range groups {
			for _, l := range g.lines {
				for _, reason := range l.failed {
					fmt.Fprintf(w, "FAILED  %s  %s: %s\n", g.name, l.title, reason)
				}
			}
		}
	}
	for _, text := range r.remarks() {
		fmt.Fprintln(w, text)
	}
	return nil
}

func (r *Report) formLine() string {
	switch r.Form {
	case "quick":
		return "This is the quick form: small inputs and few rounds. Its figures are for orientation only."
	case "long":
		return "This is the long form."
	}
	return "This is the full form."
}
