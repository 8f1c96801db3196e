package measure

import (
	"fmt"
	"io"
	"strconv"
)

// Report is what was measured. It is printed for people, and written as JSON.
type Report struct {
	Tables []*Table `json:"tables"`
	// Notes are sentences that explain the tables.
	Notes []string `json:"notes,omitempty"`
	Aims  []Aim    `json:"aims,omitempty"`
	// ThroughputRatio is SpiderJobs per second to bare Jobs per second; zero if they were not compared.
	ThroughputRatio float64 `json:"throughputRatio,omitempty"`
}

// Table is a table of figures. A row may have fewer of them than there are columns.
type Table struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    []Figure `json:"rows"`
}

// Figure is a named row of numbers.
type Figure struct {
	Name   string    `json:"name"`
	Values []float64 `json:"values"`
}

// Aim is a figure beside what it should be.
type Aim struct {
	What   string `json:"what"`
	Figure string `json:"figure"`
	Met    bool   `json:"met"`
}

// Table adds a table to the report.
func (r *Report) Table(title string, columns ...string) *Table {
	t := &Table{Title: title, Columns: columns}
	r.Tables = append(r.Tables, t)
	return t
}

// Note adds a sentence to the report.
func (r *Report) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Row adds a row to the table.
func (t *Table) Row(name string, values ...float64) { t.Rows = append(t.Rows, Figure{name, values}) }

// Comparison adds a table of two kinds and their ratio to the report.
func (r *Report) Comparison(title, of, to string) *Table { return r.Table(title, of, to, "ratio") }

// Compare adds a row of a comparison.
func (t *Table) Compare(name string, of, to float64) { t.Row(name, of, to, Ratio(of, to)) }

// Print writes the report for people. What programs look for is at its end.
func (r *Report) Print(w io.Writer) {
	for _, t := range r.Tables {
		fmt.Fprintln(w)
		line(w, t.Title, t.Columns...)
		for _, row := range t.Rows {
			cells := make([]string, len(t.Columns))
			for i := range cells {
				cells[i] = "-"
				if i < len(row.Values) {
					cells[i] = number(row.Values[i])
				}
			}
			line(w, "  "+row.Name, cells...)
		}
	}
	fmt.Fprintln(w)
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	for _, a := range r.Aims {
		verdict := "met"
		if !a.Met {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%-6s %s: %s\n", verdict, a.What, a.Figure)
	}
	if r.ThroughputRatio > 0 {
		fmt.Fprintf(w, "throughput ratio: %.2f\n", r.ThroughputRatio)
	}
}

func line(w io.Writer, name string, cells ...string) {
	fmt.Fprintf(w, "%-46s", name)
	for _, cell := range cells {
		fmt.Fprintf(w, " %10s", cell)
	}
	fmt.Fprintln(w)
}

// number shows three significant digits, but all digits of an integer part.
func number(value float64) string {
	digits := 2
	switch magnitude := max(value, -value); {
	case magnitude == 0 || magnitude >= 99.95:
		digits = 0
	case magnitude >= 9.995:
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64)
}
