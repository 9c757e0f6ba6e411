package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstream/weir/bench/measure"
)

// Plots are written by hand: they are bars and a scale. (gonum's plot would bring in modules under licences that Weir does
// not allow.)
const (
	plotWidth = 900
	labels    = 330 // for the names of engines
	barHeight = 16
	barGap    = 6
	header    = 48
)

var colours = []string{"#1b6ca8", "#c8553d", "#6a994e", "#8d99ae"}

// Plot writes an SVG for each work into a folder, and returns their names by work.
func (r *Report) Plot(dir string) (map[string]string, error) {
	plots := map[string]string{}
	for _, w := range r.Works {
		text := r.SVG(w)
		if text == "" {
			continue
		}
		name := w.Name + ".svg"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
		plots[w.Name] = name
	}
	return plots, nil
}

// bar is an engine in a case.
type bar struct {
	title, engine string
	spread        measure.Spread
}

// SVG draws the first metric of a work: a bar for the median of each engine in each case, and a line from the lowest to the
// highest. It is empty where there is no figure.
func (r *Report) SVG(w Work) string {
	metric := Metrics[w.Metrics[0]]
	var body strings.Builder
	y, highest := header, 0.0
	groups := r.groups(w)
	bars := make([][]bar, len(groups))
	for i, g := range groups {
		for _, l := range g.lines {
			var list []float64
			for _, v := range r.values(w.Name, g.name, l.engine, w.Metrics[0]) {
				list = append(list, v/metric.Scale)
			}
			b := bar{l.title, l.engine, measure.SpreadOf(list)}
			bars[i], highest = append(bars[i], b), max(highest, b.spread.Max)
		}
	}
	if highest <= 0 || math.IsInf(highest, 0) {
		return ""
	}
	scale := (plotWidth - labels - 110) / highest
	for i, g := range groups {
		fmt.Fprintf(&body, `<text x="10" y="%d" font-weight="bold">%s: %s</text>`+"\n", y+12, escape(w.Axis), escape(g.name))
		y += barHeight + barGap
		for _, b := range bars[i] {
			body.WriteString(b.draw(y, scale, metric.Digits))
			y += barHeight + barGap
		}
		y += barGap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
<text x="10" y="24" font-size="16" font-weight="bold">%s</text>
<text x="%d" y="24" text-anchor="end">%s</text>
%s</svg>
`, plotWidth, y+10, escape(w.Title), plotWidth-10, escape(metric.Title), body.String())
}

func (b bar) draw(y int, scale float64, digits int) string {
	s := b.spread
	text := number(s.Median, digits)
	if s.N == 0 {
		text = "failed"
	}
	colour := colours[min(rank(b.engine), len(colours)-1)]
	middle := y + barHeight/2
	return fmt.Sprintf(`<text x="%d" y="%d" text-anchor="end">%s</text>
<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>
<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="black"/>
<text x="%.1f" y="%d">%s</text>
`, labels-8, y+12, escape(b.title), labels, y, s.Median*scale, barHeight, colour,
		labels+s.Min*scale, middle, labels+s.Max*scale, middle, labels+s.Max*scale+6, y+12, text)
}

func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(text)
}
