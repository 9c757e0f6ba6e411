package settings

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
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

// Print writes all values as a YAML file, and as a comment where each comes from. As a config file it gives the same
// settings. Defaults are comments in it, as some follow other settings while nobody sets them; so are secrets and the name
// of the file itself.
func (v *Values) Print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, line := range v.Lines() {
		s, text := Table()[i], line.Name+": "+yamlText(line.Value)
		switch {
		case line.Value == "":
			text = "# " + line.Name + ":"
		case s.Secret, s.NoFile, line.Source == Default:
			text = "# " + text
		}
		where := string(line.Source)
		switch line.Source {
		case File:
			where = line.Where
		case Flag, Environment:
			where += " " + line.Where
		}
		// The name of a file may hold anything: quoted, it stays on its line.
		if quoted := strconv.Quote(where); quoted != `"`+where+`"` {
			where = quoted
		}
		fmt.Fprintf(tab, "%s\t# %s\n", text, where)
	}
	return tab.Flush()
}

// plainYAML are texts that YAML reads as they are, without quotes.
var plainYAML = regexp.MustCompile(`^-?[A-Za-z0-9/]([A-Za-z0-9_.,:/@%+-]*[A-Za-z0-9_./@%+-])?$`)

// yamlText writes a value so that it is read back as it is. Go's quotes are among YAML's.
func yamlText(text string) string {
	if plainYAML.MatchString(text) && !slices.Contains([]string{"null", "Null", "NULL"}, text) {
		return text
	}
	return strconv.Quote(text)
}

// PrintJSON writes the same as one JSON document.
func (v *Values) PrintJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v.Lines())
}
