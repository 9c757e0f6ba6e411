package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteMarkdown writes what docs/performance.md takes over. Plots are the files' names by work, for those that have one.
func (r *Report) WriteMarkdown(w io.Writer, plots map[string]string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s Made by `%s` on %s.\n\n", r.formLine(), r.Command, r.Begun.Format("2006-01-02"))
	fmt.Fprintf(&b, "| machine | |\n| --- | --- |\n| CPU | %s, %d cores |\n| memory | %.0f GB |\n| kernel | %s %s, %s |\n",
		r.Machine.CPU, r.Machine.Cores, float64(r.Machine.Memory)/(1<<30), r.Machine.OS, r.Machine.Kernel, r.Machine.Arch)
	for _, m := range []map[string]string{r.Versions, r.Settings} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "| %s | %s |\n", cell(name), cell(m[name]))
		}
	}
	fmt.Fprintf(&b, "\nA figure is the median of the rounds, with the lowest and the highest in brackets.\n")
	for _, work := range r.Works {
		groups := r.groups(work)
		if len(groups) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", work.Title, work.About)
		if plots[work.Name] != "" {
			fmt.Fprintf(&b, "![%s](%s)\n\n", work.Title, plots[work.Name])
		}
		fmt.Fprintf(&b, "| %s | engine | %s |\n|%s\n", work.Axis, strings.Join(work.columns(), " | "), strings.Repeat(" --- |", len(work.columns())+2))
		var failed []string
		for _, g := range groups {
			for _, l := range g.lines {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(g.name), cell(l.title), strings.Join(l.cells, " | "))
				for _, reason := range l.failed {
					failed = append(failed, fmt.Sprintf("- failed: %s, %s: %s\n", g.name, l.title, cell(reason)))
				}
			}
		}
		if failed != nil {
			fmt.Fprintf(&b, "\n%s", strings.Join(failed, ""))
		}
	}
	if lines := r.remarks(); lines != nil {
		fmt.Fprintf(&b, "\nRemarks:\n\n- %s\n", strings.Join(lines, "\n- "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell makes text fit into a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
