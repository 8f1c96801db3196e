package measure

import (
	"fmt"
	"io"
)

// Results are those of a subject. They are written as JSON as they are.
type Results interface {
	// Print writes the report for people.
	Print(w io.Writer)
}

// Table writes rows of figures.
type Table struct{ io.Writer }

// Head begins a table.
func (t Table) Head(title string, columns ...string) {
	fmt.Fprintln(t)
	t.Row(title, columns...)
}

// Row writes a row of cells.
func (t Table) Row(name string, cells ...string) {
	fmt.Fprintf(t, "%-46s", name)
	for _, cell := range cells {
		fmt.Fprintf(t, " %10s", cell)
	}
	fmt.Fprintln(t)
}

// Numbers writes a row of numbers in one format.
func (t Table) Numbers(name, format string, numbers ...float64) {
	cells := make([]string, 0, len(numbers))
	for _, number := range numbers {
		cells = append(cells, fmt.Sprintf(format, number))
	}
	t.Row(name, cells...)
}

// Aim is a figure beside what it should be.
type Aim struct {
	What, Figure string
	Met          bool
}

// PrintAims says of each aim whether it is met.
func PrintAims(w io.Writer, aims ...Aim) {
	fmt.Fprintln(w)
	for _, a := range aims {
		verdict := "met"
		if !a.Met {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%-6s %s: %s\n", verdict, a.What, a.Figure)
	}
}
