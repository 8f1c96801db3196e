package docs

import (
	"fmt"
	"regexp"
	"strings"
)

// page is a page of the documentation, as a script.
type page struct {
	// name is its path in the repository.
	name string
	// script has as many lines as the page, and each command on its line of the page, so that bash's line numbers are those of
	// the page.
	script string
	// blocks is the number of blocks of commands on the page.
	blocks int
	// notRun are the blocks that are not part of the script.
	notRun []omission
}

// omission is a block that is not run.
type omission struct {
	line   int
	reason string
}

var (
	fence  = regexp.MustCompile("^ *```(.*)$")
	notRun = regexp.MustCompile(`^<!-- not run: +(\S.*?) *-->$`)
)

// shells are other names for shell commands. Blocks that are marked with them would be ignored, so they are errors.
const shells = " bash shell console shell-session zsh "

// fenceOf returns the language of a line that opens a block; it is empty for one that closes it.
func fenceOf(line string) (language string, is bool) {
	found := fence.FindStringSubmatch(line)
	if len(found) < 2 {
		return "", false
	}
	return found[1], true
}

// readPage turns a page into a script. It refuses a page with blocks that readers would take for commands that are run.
func readPage(name, text string) (page, error) {
	p := page{name: name}
	lines := strings.Split(text, "\n")
	script := make([]string, len(lines))
	var (
		within  string    // the block that the line is in: sh and run for commands that are run
		opened  int       // its line
		omitted *omission // the next block has to follow it
	)
	for i, line := range lines {
		number := i + 1
		language, fenced := fenceOf(line)
		switch {
		case within == "run" && line == "-->", within != "" && within != "run" && fenced && language == "":
			within = ""
		case within == "sh" || within == "run":
			script[i] = line
		case within != "":
		case omitted != nil && language != "sh":
			return p, fmt.Errorf("%s:%d: no block of commands follows the comment \"not run\"", name, omitted.line)
		case fenced && strings.Contains(shells, " "+language+" "):
			return p, fmt.Errorf("%s:%d: blocks of commands are marked as sh, not as %s", name, number, language)
		case fenced:
			within, opened = language, number
			if language == "sh" {
				p.blocks++
			}
			if within == "" || omitted != nil {
				within = "another"
			}
			omitted = nil
		case line == "<!-- run":
			within, opened = "run", number
		case strings.HasPrefix(line, "<!-- not run"):
			said := notRun.FindStringSubmatch(line)
			if len(said) < 2 {
				return p, fmt.Errorf("%s:%d: missing the reason why the block is not run: <!-- not run: why -->", name, number)
			}
			p.notRun = append(p.notRun, omission{line: number, reason: said[1]})
			omitted = &p.notRun[len(p.notRun)-1]
		}
	}
	switch {
	case within != "":
		return p, fmt.Errorf("%s:%d: the block does not end", name, opened)
	case omitted != nil:
		return p, fmt.Errorf("%s:%d: no block of commands follows the comment \"not run\"", name, omitted.line)
	}
	p.script = strings.Join(script, "\n")
	return p, nil
}
