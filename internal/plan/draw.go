package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Mermaid draws the plan as a Mermaid flowchart.
func (p *Plan) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	d := p.drawing()
	for _, f := range d.topics {
		shape := [2]string{"([", "])"}
		if f.kind == deadLetterFigure {
			shape = [2]string{"[/", "/]"}
		}
		fmt.Fprintf(&b, "  %s%s%s%s\n", f.id, shape[0], mermaidText(f.label), shape[1])
	}
	for i, figures := range d.subgraphs {
		fmt.Fprintf(&b, "  subgraph g%d[%s]\n", i, mermaidText(fmt.Sprintf("sub-graph %d", i)))
		for _, f := range figures {
			shape := [2]string{"[", "]"}
			if f.kind == storeFigure {
				shape = [2]string{"[(", ")]"}
			}
			fmt.Fprintf(&b, "    %s%s%s%s\n", f.id, shape[0], mermaidText(f.label), shape[1])
		}
		b.WriteString("  end\n")
	}
	for _, a := range d.arrows {
		line := "-->"
		switch a.kind {
		case usesArrow:
			line = "<-->"
		case failsArrow:
			line = "-.->"
		}
		if a.label != "" {
			line += "|" + mermaidText(a.label) + "|"
		}
		fmt.Fprintf(&b, "  %s %s %s\n", a.from, line, a.to)
	}
	return b.String()
}

// DOT draws the plan for Graphviz.
func (p *Plan) DOT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n  rankdir=LR;\n", dotText(p.Topology))
	d := p.drawing()
	for _, f := range d.topics {
		shape := "cds"
		if f.kind == deadLetterFigure {
			shape = "note"
		}
		fmt.Fprintf(&b, "  %s [label=%s, shape=%s];\n", f.id, dotText(f.label), shape)
	}
	for i, figures := range d.subgraphs {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", i, dotText(fmt.Sprintf("sub-graph %d", i)))
		for _, f := range figures {
			shape := "box"
			if f.kind == storeFigure {
				shape = "cylinder"
			}
			fmt.Fprintf(&b, "    %s [label=%s, shape=%s];\n", f.id, dotText(f.label), shape)
		}
		b.WriteString("  }\n")
	}
	for _, a := range d.arrows {
		var attrs []string
		if a.label != "" {
			attrs = append(attrs, "label="+dotText(a.label))
		}
		switch a.kind {
		case usesArrow:
			attrs = append(attrs, "dir=both")
		case failsArrow:
			attrs = append(attrs, "style=dashed")
		}
		fmt.Fprintf(&b, "  %s -> %s", a.from, a.to)
		if len(attrs) > 0 {
			fmt.Fprintf(&b, " [%s]", strings.Join(attrs, ", "))
		}
		b.WriteString(";\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaidText quotes text for Mermaid, which knows entities in the place of escapes.
func mermaidText(s string) string {
	return `"` + strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "`", "#96;",
		"\n", " ").Replace(s) + `"`
}

// dotText quotes text for DOT.
func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// drawing is a plan as figures and arrows. Figures have made-up ids, so that no name can be a keyword of a language.
type drawing struct {
	topics    []figure
	subgraphs [][]figure
	arrows    []arrow
}

type figure struct {
	id, label string
	kind      figureKind
}

type figureKind int8

const (
	topicFigure figureKind = iota
	deadLetterFigure
	nodeFigure
	storeFigure
)

type arrow struct {
	from, to, label string
	kind            arrowKind
}

type arrowKind int8

const (
	flowArrow arrowKind = iota
	usesArrow
	failsArrow
)

func (p *Plan) drawing() drawing {
	var d drawing
	topics := map[string]string{}
	for _, t := range p.Topics {
		f := figure{id: fmt.Sprintf("t%d", len(d.topics)), label: t.Name}
		switch t.Role {
		case ChangelogTopic:
			continue // the store stands for it
		case DeadLetterTopic:
			f.kind = deadLetterFigure
		}
		topics[t.Name] = f.id
		d.topics = append(d.topics, f)
	}
	nodes, stores := 0, 0
	for _, g := range p.Subgraphs {
		var figures []figure
		node := map[*Node]string{}
		for _, n := range g.Nodes {
			node[n] = fmt.Sprintf("n%d", nodes)
			nodes++
			figures = append(figures, figure{node[n], n.Name, nodeFigure})
		}
		for _, s := range g.Stores {
			f := figure{fmt.Sprintf("s%d", stores), s.Name, storeFigure}
			stores++
			figures = append(figures, f)
			for _, n := range g.Users(s) {
				d.arrows = append(d.arrows, arrow{node[n], f.id, "", usesArrow})
			}
		}
		for _, n := range g.Nodes {
			for _, h := range n.Reads {
				if h.Stream != nil {
					d.arrows = append(d.arrows, arrow{topics[p.Topic(h.Stream)], node[n], "", flowArrow})
				}
			}
			for _, global := range n.Globals {
				d.arrows = append(d.arrows, arrow{topics[p.Topic(&global.Stream)], node[n], "look-ups", flowArrow})
			}
			for _, o := range n.Outputs {
				switch o := o.(type) {
				case *Stream:
					d.arrows = append(d.arrows, arrow{node[n], topics[p.Topic(o)], "", flowArrow})
				case *Edge:
					for _, reader := range g.Nodes {
						if slices.ContainsFunc(reader.Reads, func(h Handler) bool { return h.Edge == o }) {
							d.arrows = append(d.arrows, arrow{node[n], node[reader], o.Name, flowArrow})
						}
					}
				}
			}
			for _, topic := range p.DeadLetters(g, n) {
				d.arrows = append(d.arrows, arrow{node[n], topics[topic], "", failsArrow})
			}
		}
		d.subgraphs = append(d.subgraphs, figures)
	}
	return d
}
