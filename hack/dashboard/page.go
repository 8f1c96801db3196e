package main

import (
	"fmt"
	"image"
	"image/color"
	imagedraw "image/draw"
	"image/png"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The page, in points, which are pixels here: Grafana's grid has 24 columns, and rows of one height.
const (
	pageWidth  = 1320
	columns    = 24
	rowHeight  = 26
	gap        = 3
	header     = 30
	titleSpace = 20
	lineSpace  = 13
	lineWidth  = 1.2
)

var (
	background = color.Gray{Y: 0xf4}
	ink        = color.Gray{Y: 0x30}
	faint      = color.Gray{Y: 0xd8}

	// palette are the colors of series, in turns.
	palette = []color.NRGBA{
		hex(0x56a64b), hex(0xe0b400), hex(0x3274d9), hex(0xff780a), hex(0xe02f44), hex(0x8f3bb8), hex(0x37b5b6), hex(0x96a17f),
		hex(0xb877d9), hex(0x6d4c41), hex(0x1f60c4), hex(0xfa9a96),
	}
	// named are the colors that dashboards name.
	named = map[string]color.NRGBA{
		"green": hex(0x56a64b), "red": hex(0xe02f44), "blue": hex(0x3274d9), "yellow": hex(0xe0b400), "purple": hex(0x8f3bb8),
	}
)

func hex(rgb uint32) color.NRGBA {
	return color.NRGBA{R: uint8(rgb >> 16), G: uint8(rgb >> 8), B: uint8(rgb), A: 0xff} //nolint:gosec // a byte each
}

func style(size vg.Length, bold bool, ink color.Color) draw.TextStyle {
	face := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		face.Weight = 600
	}
	return text.Style{Color: ink, Font: face, Handler: plot.DefaultTextHandler}
}

// drawPage draws a dashboard with the answers to its questions, panel by panel, and writes it as PNG.
func drawPage(file, title string, board *dashboard, answers map[int]answer) error {
	bottom := 0
	for _, p := range board.Panels {
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
	}
	size := vgimg.UseWH(pageWidth, vg.Length(header+bottom*rowHeight))
	canvas := vgimg.NewWith(size, vgimg.UseDPI(72), vgimg.UseBackgroundColor(background))
	page := draw.New(canvas)
	page.FillText(style(13, true, ink), vg.Point{X: 8, Y: page.Max.Y - 20}, title)
	for _, p := range board.Panels {
		const column = vg.Length(pageWidth) / columns
		grid := p.GridPos
		top := page.Max.Y - header - vg.Length(grid.Y)*rowHeight
		area := draw.Canvas{Canvas: page.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: vg.Length(grid.X)*column + gap, Y: top - vg.Length(grid.H)*rowHeight + gap},
			Max: vg.Point{X: vg.Length(grid.X+grid.W)*column - gap, Y: top - gap},
		}}
		if p.Type == "row" {
			area.FillText(style(13, true, ink), vg.Point{X: area.Min.X + 4, Y: area.Min.Y + 6}, p.Title)
			continue
		}
		frame := []vg.Point{area.Min, {X: area.Max.X, Y: area.Min.Y}, area.Max, {X: area.Min.X, Y: area.Max.Y}}
		area.FillPolygon(color.White, frame)
		area.StrokeLines(draw.LineStyle{Color: faint, Width: 1}, append(frame, area.Min))
		area.FillText(style(11.5, true, ink), vg.Point{X: area.Min.X + 8, Y: area.Max.Y - 15}, p.Title)
		inside := draw.Crop(area, 8, -8, 6, -titleSpace)
		drawPanel := drawLines
		if p.Type == "stat" {
			drawPanel = drawNumber
		}
		if err := drawPanel(inside, &p, answers[p.ID]); err != nil {
			return fmt.Errorf("draw panel %q: %w", p.Title, err)
		}
	}
	return write(file, canvas)
}

func write(file string, canvas *vgimg.Canvas) error {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(out, reduce(canvas.Image())); err != nil {
		_ = out.Close()
		return fmt.Errorf("write the picture: %w", err)
	}
	return out.Close()
}

// reduce gives a picture the 256 colors that it has most of, which makes its file half as large.
func reduce(picture image.Image) image.Image {
	counts := map[color.RGBA]int{}
	bounds := picture.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)]++
		}
	}
	common := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return counts[b] - counts[a] })
	reduced := image.NewPaletted(bounds, nil)
	for _, one := range common[:min(256, len(common))] {
		reduced.Palette = append(reduced.Palette, one)
	}
	imagedraw.Draw(reduced, bounds, picture, bounds.Min, imagedraw.Src)
	return reduced
}

// drawNumber draws the last value, in its threshold's color.
func drawNumber(area draw.Canvas, p *panel, a answer) error {
	points := a.series[0].points
	last := float64(points[len(points)-1].Value)
	words, err := format(p.FieldConfig.Defaults.Unit, last)
	if err != nil {
		return err
	}
	large := style(30, true, named[thresholdColor(p.FieldConfig.Defaults.Thresholds.Steps, last)])
	large.XAlign, large.YAlign = draw.XCenter, draw.YCenter
	area.FillText(large, area.Center(), words)
	return nil
}

// drawLines draws the series over time, with their names below.
func drawLines(area draw.Canvas, p *panel, a answer) error {
	styles, err := lineStyles(p, a.series)
	if err != nil {
		return err
	}
	below := drawLegend(area, a.series, styles)
	area = draw.Crop(area, 0, 0, below, 0)

	graph := plot.New()
	graph.BackgroundColor = color.Transparent
	graph.Add(&plotter.Grid{Vertical: draw.LineStyle{Color: faint, Width: .5}, Horizontal: draw.LineStyle{Color: faint, Width: .5}})
	totals := map[model.Time]float64{}
	highest := 0.0
	for i, one := range a.series {
		for _, stretch := range stretches(one.points, a.step) {
			line, ground := outline(stretch, a.step, totals)
			if p.stacked() {
				for _, point := range stretch {
					totals[point.Timestamp] += float64(point.Value)
				}
			}
			for _, point := range line {
				highest = math.Max(highest, point.Y)
			}
			if err := addStretch(graph, line, ground, styles[i], p); err != nil {
				return err
			}
		}
	}
	graph.X.Min, graph.X.Max = float64(a.from.Unix()), float64(a.to.Unix())
	graph.Y.Min, graph.Y.Max = 0, highest*1.08
	if highest == 0 {
		graph.Y.Max = 1
	}
	for _, axis := range []*plot.Axis{&graph.X, &graph.Y} {
		axis.Color, axis.Tick.Color = faint, faint
		axis.Tick.Label.Font, axis.Tick.Label.Color = style(9, false, ink).Font, ink
		axis.Tick.Length = 3
		axis.Padding = 0
	}
	graph.X.Tick.Marker = plot.TickerFunc(minutes)
	var failed error
	graph.Y.Tick.Marker = plot.TickerFunc(func(_, most float64) []plot.Tick {
		ticks, err := levels(p.FieldConfig.Defaults.Unit, most)
		failed = err
		return ticks
	})
	graph.Draw(area)
	return failed
}

// outline is the line of a stretch and the ground that it stands on: what is stacked below it, if anything is. A point of its own
// becomes a short line.
func outline(stretch []model.SamplePair, step time.Duration, below map[model.Time]float64) (line, ground plotter.XYs) {
	add := func(x, value, base float64) {
		line = append(line, plotter.XY{X: x, Y: base + value})
		ground = append(ground, plotter.XY{X: x, Y: base})
	}
	for _, point := range stretch {
		add(seconds(point.Timestamp), float64(point.Value), below[point.Timestamp])
	}
	if len(stretch) == 1 {
		add(seconds(stretch[0].Timestamp.Add(step/2)), float64(stretch[0].Value), below[stretch[0].Timestamp])
	}
	return line, ground
}

// addStretch adds a line, over a filled area where series are stacked.
func addStretch(graph *plot.Plot, line, ground plotter.XYs, style draw.LineStyle, p *panel) error {
	if p.stacked() {
		slices.Reverse(ground)
		polygon, err := plotter.NewPolygon(slices.Concat(line, ground))
		if err != nil {
			return fmt.Errorf("fill a series: %w", err)
		}
		shade := color.NRGBAModel.Convert(style.Color).(color.NRGBA)
		shade.A = uint8(p.FieldConfig.Defaults.Custom.FillOpacity / 100 * 0xff)
		polygon.Color, polygon.Width = shade, 0
		graph.Add(polygon)
	}
	if style.Width == 0 {
		return nil
	}
	drawn, err := plotter.NewLine(line)
	if err != nil {
		return fmt.Errorf("draw a series: %w", err)
	}
	drawn.LineStyle = style
	graph.Add(drawn)
	return nil
}

// lineStyles are how series are drawn: as the panel says of them, else in the palette's colors in turns.
func lineStyles(p *panel, all []series) ([]draw.LineStyle, error) {
	styles := make([]draw.LineStyle, len(all))
	for i, one := range all {
		styles[i] = draw.LineStyle{
			Color: palette[i%len(palette)], Width: vg.Length(p.FieldConfig.Defaults.Custom.LineWidth) * lineWidth,
		}
		if fixed := p.own(one.name, "color"); fixed != nil {
			paint, known := named[fixed.Value.FixedColor]
			if !known {
				return nil, fmt.Errorf("the color %q is not known", fixed.Value.FixedColor)
			}
			styles[i].Color = paint
		}
		if broken := p.own(one.name, "custom.lineStyle"); broken != nil {
			for _, length := range broken.Value.Dash {
				styles[i].Dashes = append(styles[i].Dashes, vg.Length(length))
			}
		}
	}
	return styles, nil
}

// stretches are the parts of a series without a gap. What is no number is a gap.
func stretches(points []model.SamplePair, step time.Duration) [][]model.SamplePair {
	var parts [][]model.SamplePair
	var part []model.SamplePair
	end := func() {
		if len(part) > 0 {
			parts = append(parts, part)
		}
		part = nil
	}
	for _, point := range points {
		if math.IsNaN(float64(point.Value)) || math.IsInf(float64(point.Value), 0) {
			end()
			continue
		}
		if len(part) > 0 && point.Timestamp.Sub(part[len(part)-1].Timestamp) > step*3/2 {
			end()
		}
		part = append(part, point)
	}
	end()
	return parts
}

func seconds(t model.Time) float64 { return float64(t) / 1000 }

// drawLegend writes the names of series at the bottom of an area, in as many lines as they take but at most four, and returns the
// height it has used.
func drawLegend(area draw.Canvas, all []series, styles []draw.LineStyle) vg.Length {
	const mostLines, mark, space = 4, 12, 10
	words := style(9.5, false, ink)
	type place struct {
		x    vg.Length
		line int
		i    int
	}
	var places []place
	x, line := area.Min.X, 0
	for i, one := range all {
		width := mark + words.Width(one.name) + space
		if x+width > area.Max.X && x > area.Min.X {
			x, line = area.Min.X, line+1
		}
		if line == mostLines {
			break
		}
		places = append(places, place{x: x, line: line, i: i})
		x += width
	}
	lines := places[len(places)-1].line + 1
	for n, p := range places {
		y := area.Min.Y + vg.Length(lines-1-p.line)*lineSpace + 2
		swatch := styles[p.i]
		swatch.Width = 3
		area.StrokeLine2(swatch, p.x, y+3, p.x+mark-3, y+3)
		name := all[p.i].name
		if n == len(places)-1 && len(places) < len(all) {
			name = fmt.Sprintf("… %d more", len(all)-n)
		}
		area.FillText(words, vg.Point{X: p.x + mark, Y: y}, name)
	}
	return vg.Length(lines)*lineSpace + 4
}

// minutes marks whole minutes.
func minutes(least, most float64) []plot.Tick {
	every := 60.0
	for (most-least)/every > 8 {
		every *= 2
	}
	var ticks []plot.Tick
	for at := math.Ceil(least/every) * every; at <= most; at += every {
		ticks = append(ticks, plot.Tick{Value: at, Label: time.Unix(int64(at), 0).UTC().Format("15:04")})
	}
	return ticks
}

// levels marks some round values up to the highest.
func levels(unit string, most float64) ([]plot.Tick, error) {
	var ticks []plot.Tick
	every := spacing(unit, most)
	for at := 0.0; at <= most; at += every {
		label, err := format(unit, at)
		if err != nil {
			return nil, err
		}
		ticks = append(ticks, plot.Tick{Value: at, Label: label})
	}
	return ticks, nil
}

// spacing is the distance of two values that are marked: round in their unit, and such that there are three to eight of them.
func spacing(unit string, most float64) float64 {
	base := 10.0
	switch {
	case unit == "bytes":
		base = 2
	case unit == "s" && most >= 60:
		base = 60
	}
	every := math.Pow(base, math.Floor(math.Log(most)/math.Log(base)))
	for most/every < 3 {
		every /= 2
	}
	for most/every > 8 {
		every *= 2
	}
	return every
}
