package spiderjob

import (
	"regexp"
	"slices"
	"strings"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// maxExitLines is how many of the last lines of a container's log a message quotes if none of them is known to be significant.
const maxExitLines = 3

// exitMessage returns what the termination message of a failed container adds to a status message: ": " and text, or nothing.
// The termination message is a spider's own JSON, a sentence of the container runtime, or the end of the container's log.
func exitMessage(message string) string {
	if counts, ok := stats.ParseTerminationMessage(message); ok {
		if counts.Failure == "" {
			return ""
		}
		return ": " + counts.Failure
	}
	if sentence, line := knownMistake(message); sentence != "" {
		return ": " + sentence + " (" + quote(line) + ")"
	}
	lines := tellingLines(message)
	for i := range lines {
		lines[i] = quote(lines[i])
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	if len(lines) == 0 {
		return ""
	}
	return ": " + truncate(strings.Join(lines, " | "), maxLastLines)
}

// quote makes a line of a container's output safe for a message.
func quote(line string) string { return truncate(strings.TrimSpace(oneLine(line)), maxLastLines) }

// mistakes are common mistakes in the name of a spider, its place or its arguments, by the words of the program that detects
// them. $1 and $2 in a sentence are the groups of the pattern.
var mistakes = []struct {
	pattern  *regexp.Regexp
	sentence string
}{
	// runc, through containerd.
	{regexp.MustCompile(`exec: "python3": .*not found.*`),
		"the image has no python3 in its PATH, which a Spider with a repoPath needs"},
	{regexp.MustCompile(`exec: "([^"\n]+)": (?:executable file not found|.*no such file or directory).*`),
		"the image has no $1"},
	{regexp.MustCompile(`exec: "([^"\n]+)": .*permission denied.*`), "the container's user may not run $1"},
	{regexp.MustCompile(`chdir to cwd \("([^"\n]*)"\) .*failed: ([^:\n]*).*`), "the working directory $1 cannot be entered: $2"},
	// Shells.
	{regexp.MustCompile(`(?m)^(?:.*[ :])?([^\s:]+): (?:command )?not found$`), "there is no program $1 in the image's PATH"},
	// Scrapy up to 2.14, and later.
	{regexp.MustCompile(`(?m)^(?:Unknown command: crawl|The crawl command is not available from this location\.)$`),
		"the working directory is in no Scrapy project; a Spider's pod.workingDir names the folder with its scrapy.cfg"},
	{regexp.MustCompile(`(?m)^KeyError: ['"]Spider not found: (.*)['"]$`), "the Scrapy project has no spider named $1"},
	{regexp.MustCompile(`(?m)^TypeError: .* got multiple values for argument '(self|cls|crawler|crawler_or_spidercls)'$`),
		"an argument cannot be named $1, since Scrapy itself passes one of that name"},
}

// knownMistake returns the sentence about the last detected mistake, and the line in which it was detected; "" for none.
func knownMistake(message string) (sentence, line string) {
	last := -1
	for _, m := range mistakes {
		all := m.pattern.FindAllStringSubmatchIndex(message, -1)
		if len(all) == 0 || all[len(all)-1][0] <= last {
			continue
		}
		at := all[len(all)-1]
		last, line = at[0], message[at[0]:at[1]]
		sentence = quote(string(m.pattern.ExpandString(nil, m.sentence, message, at)))
	}
	return sentence, line
}

var (
	// exceptionLine matches the first line of an exception below its traceback, as Python prints it.
	exceptionLine = regexp.MustCompile(`^[A-Za-z_][\w.]*(?::|$)`)
	// frameLine matches the line of a traceback, or of a syntax error, that names a place.
	frameLine = regexp.MustCompile(`^ +File "([^"]+)", line (\d+)`)
	// usageLine matches argparse's line about a wrong command line.
	usageLine = regexp.MustCompile(`^\S.*: error: `)
)

// tellingLines returns the lines of a log's end that say why a process failed: the last exception and where it was raised, or
// what is wrong with the command line, and the last line. If there is neither, it returns the last lines.
func tellingLines(message string) []string {
	lines := slices.DeleteFunc(strings.Split(message, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	if len(lines) == 0 {
		return nil
	}
	end := len(lines) - 1
	for i := end; i >= 0; i-- {
		switch {
		case usageLine.MatchString(lines[i]):
			return withLast(lines[i:i+1], lines, i)
		case i > 0 && exceptionLine.MatchString(lines[i]) && ofTraceback(lines[i-1]):
			after := min(i+maxExitLines, len(lines))
			return withLast(placed(lines[i:after], lines[:i]), lines, after-1)
		}
	}
	return lines[max(0, len(lines)-maxExitLines):]
}

// ofTraceback reports whether a line can be the last of a traceback: a line of code, or marks below it.
func ofTraceback(line string) bool {
	return strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "Traceback")
}

// withLast returns the lines up to that of an index, and the last line if it is another one.
func withLast(telling, lines []string, index int) []string {
	if last := len(lines) - 1; index < last {
		return append(slices.Clone(telling), lines[last])
	}
	return telling
}

// placed returns an exception with the place of the last frame above it.
func placed(exception, above []string) []string {
	for _, line := range slices.Backward(above) {
		if at := frameLine.FindStringSubmatch(line); at != nil {
			exception = slices.Clone(exception)
			exception[0] += " (" + at[1] + ", line " + at[2] + ")"
			return exception
		}
		if !strings.HasPrefix(line, " ") {
			break
		}
	}
	return exception
}
