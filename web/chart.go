package web

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Chart is a plot drawn on the server, with the same facts in a table under it. Its title states the finding ("Potassium
// has risen since March"), not the subject; units stand on the axis.
type Chart struct {
	ID      string // unique on the page
	Title   string
	XName   string // what the points are: Date
	YName   string // what is measured, with its unit: Potassium (mmol/L)
	Bars    bool   // bars from zero; otherwise a line
	Series  []Series
	Range   *Range // the range that is expected, shaded
	RangeAs string // what to call it: Reference range 3.5–5.3 mmol/L
}

// Series is points under one name. There are at most four; each has its own colour, dash and marker.
type Series struct {
	Name   string
	Points []Point
}

// Point is one value. Labels are shown in order along the axis at even distances, unless X places them.
type Point struct {
	Label string  // 05-Jun-2026
	X     float64 // any scale, such as days; all zero means even distances
	Y     float64
	Text  string // as the table shows it: 5.6 mmol/L (high); empty shows Y
	Flag  string // marks the point in words: High
}

// Range is from low to high.
type Range struct{ Low, High float64 }

// The drawing's measures, in the units of its viewBox.
const (
	chartHeight               = 280.0
	plotTop, plotBottom       = 28.0, 44.0
	maxLabels, maxSeries      = 7, 4
	maxTicks                  = 12
	plotH                     = chartHeight - plotTop - plotBottom
	bottom                    = chartHeight - plotBottom
	leastGap, labelHalf, room = 8.0, 42.0, 0.7
	letterWidth               = 8.0 // of a label, about
)

// size is how wide a drawing is: the same plot is drawn for a desk, and for a phone, where all of it can be seen without scrolling.
type size struct {
	class                     string
	width, left, right, inset float64 // the whole, what is left and right of the plot, and between its sides and the first and last point
}

var (
	wideChart   = size{"os-chart__plot", 640, 64, 16, labelHalf}
	narrowChart = size{"os-chart__plot os-chart__plot--narrow", 340, 52, 8, 20}
)

func (s size) plot() float64   { return s.width - s.left - s.right }
func (s size) viewBox() string { return "0 0 " + num(s.width) + " " + num(chartHeight) }

// drawing is a chart with every place worked out, ready for the template.
type drawing struct {
	size
	ticks  []tick
	labels []tick
	lines  []line
	bars   []bar
	band   *bar
}

type tick struct{ at, text string }
type mark struct{ x, y, flag string }
type bar struct{ x, y, width, height, class string }
type line struct {
	path, class string
	marks       []mark
}

func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func (c Chart) draw(w size) drawing {
	c = c.finite()
	xs, lowX, highX := c.places()
	low, high, step := c.scale()
	y := func(v float64) float64 { return bottom - plotH*(v-low)/(high-low) }
	x := func(v float64) float64 {
		if highX == lowX {
			return w.left + w.plot()/2
		}
		return w.left + w.inset + (w.plot()-2*w.inset)*(v-lowX)/(highX-lowX)
	}
	d := drawing{size: w}
	for i := range min(maxTicks, int(math.Round((high-low)/step))+1) {
		v := low + float64(i)*step
		d.ticks = append(d.ticks, tick{num(y(v)), axisNumber(math.Round(v/step*1e6) / 1e6 * step)})
	}
	if c.Range != nil {
		top, base := y(min(c.Range.High, high)), y(max(c.Range.Low, low))
		d.band = &bar{num(w.left), num(top), num(w.plot()), num(max(0, base-top)), ""}
	}
	for i, s := range c.Series[:min(len(c.Series), maxSeries)] {
		class := "os-chart__series-" + strconv.Itoa(i+1)
		if c.Bars {
			d.bars = append(d.bars, c.drawBars(w, i, class, xs[i], x, y)...)
			continue
		}
		l := line{class: class}
		var path strings.Builder
		for j, p := range s.Points {
			path.WriteString(map[bool]string{true: "M", false: "L"}[j == 0] + num(x(xs[i][j])) + " " + num(y(p.Y)))
			l.marks = append(l.marks, mark{num(x(xs[i][j])), num(y(p.Y)), p.Flag})
		}
		l.path = path.String()
		d.lines = append(d.lines, l)
	}
	d.labels = c.drawLabels(w, xs, x)
	return d
}

// axisNumber is a number of the axis of values.
func axisNumber(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) >= 1000 && math.Abs(v) < 1e9 {
		return Number(int(v))
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// places says where each point stands along the axis: where it says, or at even distances.
func (c Chart) places() (xs [][]float64, low, high float64) {
	placed := false
	for _, s := range c.Series {
		for _, p := range s.Points {
			placed = placed || p.X != 0
		}
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range c.Series {
		row := make([]float64, len(s.Points))
		for j, p := range s.Points {
			row[j] = float64(j)
			if placed {
				row[j] = p.X
			}
			low, high = min(low, row[j]), max(high, row[j])
		}
		xs = append(xs, row)
	}
	return xs, low, high
}

// scale is the axis of values: round numbers that take in every value and the range; bars stand on zero. Where all values are whole, so are the numbers, for half a person is not counted.
func (c Chart) scale() (low, high, step float64) {
	low, high = math.Inf(1), math.Inf(-1)
	whole := true
	take := func(v float64) { low, high, whole = min(low, v), max(high, v), whole && v == math.Trunc(v) }
	for _, s := range c.Series {
		for _, p := range s.Points {
			take(p.Y)
		}
	}
	if c.Range != nil {
		take(c.Range.Low)
		take(c.Range.High)
	}
	if c.Bars || math.IsInf(low, 0) {
		take(0)
	}
	if low == high {
		if low >= 0 {
			low, high = max(0, low-1), high+1
		} else {
			low, high = low-1, high+1
		}
		if c.Bars {
			low, high = min(0, low), max(0, high)
		}
	}
	raw := (high - low) / 4
	mag := math.Pow(10, math.Floor(math.Log10(raw)))
	step = 10 * mag
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*mag {
			step = m * mag
			break
		}
	}
	if whole {
		step = max(1, step)
	}
	return math.Floor(low/step) * step, math.Ceil(high/step) * step, step
}

func (c Chart) drawBars(w size, i int, class string, xs []float64, x, y func(float64) float64) (bars []bar) {
	n := 1
	for _, s := range c.Series {
		n = max(n, len(s.Points))
	}
	group := (w.plot() - 2*w.inset) / float64(max(1, n-1)) * room
	group = min(group, 2*w.inset)
	each := group / float64(min(len(c.Series), maxSeries))
	gap := min(2, each/5)
	for j, p := range c.Series[i].Points {
		top, base := y(max(p.Y, 0)), y(min(p.Y, 0))
		bars = append(bars, bar{num(x(xs[j]) - group/2 + float64(i)*each), num(top), num(max(1, each-gap)), num(base - top), class})
	}
	return bars
}

// drawLabels writes as many labels as fit, at even distances where they do, the first and the last always. One that would stick out is moved inwards.
func (c Chart) drawLabels(w size, xs [][]float64, x func(float64) float64) (labels []tick) {
	longest := 0
	for i, s := range c.Series {
		if len(s.Points) > len(c.Series[longest].Points) {
			longest = i
		}
	}
	if len(c.Series) == 0 {
		return nil
	}
	points := c.Series[longest].Points
	place := func(j int) (at, half float64) {
		half = min(labelHalf, letterWidth/2*float64(1+utf8.RuneCountInString(points[j].Label)))
		return min(max(x(xs[longest][j]), half), w.width-half), half
	}
	fit := func(i, j int) bool {
		a, halfA := place(i)
		b, halfB := place(j)
		return a+halfA+leastGap <= b-halfB
	}
	for _, j := range chooseLabels(len(points), fit) {
		at, _ := place(j)
		labels = append(labels, tick{num(at), points[j].Label})
	}
	return labels
}

// chooseLabels says which of n points are labelled, given which two have room beside each other.
func chooseLabels(n int, fit func(i, j int) bool) []int {
	for k := min(maxLabels, n); k > 2; k-- {
		even := []int{0}
		for i := 1; i < k; i++ {
			if j := (i*(n-1) + (k-1)/2) / (k - 1); fit(even[i-1], j) {
				even = append(even, j)
				continue
			}
			break
		}
		if len(even) == k {
			return even
		}
	}
	var some []int
	for j := range n {
		if last := len(some) - 1; j == n-1 || (last < 0 || fit(some[last], j)) && fit(j, n-1) && len(some) < maxLabels-1 {
			some = append(some, j)
		}
	}
	return some
}

// table is the chart's facts: a row per label, a column per series.
func (c Chart) table() (rows [][]string) {
	index := map[string]int{}
	for i, s := range c.Series {
		for _, p := range s.Points {
			n, ok := index[p.Label]
			if !ok {
				n = len(rows)
				index[p.Label] = n
				rows = append(rows, make([]string, len(c.Series)+1))
				rows[n][0] = p.Label
			}
			text := p.Text
			if text == "" {
				text = strconv.FormatFloat(p.Y, 'g', -1, 64)
			}
			rows[n][i+1] = text
		}
	}
	return rows
}

func (c Chart) empty() bool {
	for _, s := range c.Series {
		if len(s.Points) > 0 {
			return false
		}
	}
	return true
}

func seriesClass(i int) string { return "os-chart__series-" + strconv.Itoa(i%maxSeries+1) }

// finite leaves out values that cannot be drawn: what is no number, and what no axis could hold.
func (c Chart) finite() Chart {
	series := make([]Series, len(c.Series))
	for i, s := range c.Series {
		series[i].Name = s.Name
		for _, p := range s.Points {
			if math.Abs(p.Y) < 1e15 && math.Abs(p.X) < 1e15 {
				series[i].Points = append(series[i].Points, p)
			}
		}
	}
	c.Series = series
	return c
}
