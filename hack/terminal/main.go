// Command terminal draws what a command has printed as a terminal's window, in SVG. The picture in README.md is made by
//
//	make demo 2>&1 | go -C hack run ./terminal 'make demo' 60 >docs/demo.svg
//
// The arguments are the command that is shown, and how many lines of its output at most.
package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The measures of the picture, in pixels. Wide is the width of a character of the font at that size.
const (
	size, line, wide, margin = 13, 18, 7.85, 16
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "terminal:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: terminal COMMAND LINES")
	}
	most, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("read the number of lines: %w", err)
	}
	lines := []string{"$ " + args[0]}
	for scanner := bufio.NewScanner(in); scanner.Scan() && len(lines) <= most; {
		// A step that still runs is shown again when it has ended.
		if text := strings.TrimRight(scanner.Text(), " "); !strings.Contains(text, " ... ") {
			lines = append(lines, text)
		}
	}
	columns := 0
	for _, text := range lines {
		columns = max(columns, utf8.RuneCountInString(text))
	}
	width, height := int(float64(columns)*wide)+2*margin, len(lines)*line+2*margin
	var picture strings.Builder
	fmt.Fprintf(&picture, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<rect width="100%%" height="100%%" rx="8" fill="#1e2127"/>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="%d" fill="#d7dae0">
`, width, height, size)
	for i, text := range lines {
		colour := ""
		switch {
		case i == 0:
			colour = ` fill="#98c379"`
		case text != "" && !strings.HasPrefix(text, " "):
			colour = ` fill="#61afef"`
		}
		kept := strings.ReplaceAll(html.EscapeString(text), " ", "\u00a0") // or several would become one
		fmt.Fprintf(&picture, "<text x=\"%d\" y=\"%d\"%s>%s</text>\n", margin, margin+i*line+size, colour, kept)
	}
	picture.WriteString("</g>\n</svg>\n")
	_, err = io.WriteString(out, picture.String())
	return err
}
