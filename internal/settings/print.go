package settings

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

const redacted = "(secret)"

// Line is one setting with its value, as --print-config shows it.
type Line struct {
	Name   string `json:"name"`
	Value  string `json:"value"` // text form; a secret is "(secret)" when set
	Source Source `json:"source"`
	Where  string `json:"where,omitempty"` // the flag, the variable, or file:line:column
}

// Lines lists all values in the order of the table. A value written here can be written back as it is.
func (v *Values) Lines() []Line {
	var lines []Line
	for _, s := range Table() {
		e := v.entry(s)
		line := Line{Name: s.Name, Source: e.origin.Source}
		if e.origin.Source != Default {
			line.Where = e.origin.place()
		}
		if e.value != nil {
			line.Value = s.kind.format(e.value)
			if s.Secret && line.Value != "" {
				line.Value = redacted
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Print writes all values and where each comes from.
func (v *Values) Print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range v.Lines() {
		value, where := line.Value, string(line.Source)
		if value == "" {
			value = "-"
		}
		switch line.Source {
		case File:
			where = line.Where
		case Flag, Environment:
			where += " " + line.Where
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\n", line.Name, value, where)
	}
	return tab.Flush()
}

// PrintJSON writes the same as one JSON document.
func (v *Values) PrintJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v.Lines())
}
