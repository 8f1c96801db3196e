package stats

import (
	"bytes"
	"strings"
)

// maxTraceback is how many lines behind an error of a feed are looked at for what it was.
const maxTraceback = 200

// feedErrors reads what Scrapy's feed exporter logs of a feed that it could not open, write or deliver: a line of its own, and a
// traceback that ends with the error. The first one stands.
type feedErrors struct {
	said   string // what is known of the first
	left   int    // lines in which its traceback may go on
	prefix []byte // of the traceback's lines
	placed bool   // the prefix is known
}

var (
	notCaught = []byte("Error caught on signal handler: ")
	notStored = []byte("Error storing ")
)

// reading reports whether a traceback is being read.
func (f *feedErrors) reading() bool { return f.left > 0 }

// read takes a line, or its beginning.
func (f *feedErrors) read(line []byte) {
	if f.left > 0 {
		f.left--
		f.goOn(line)
		return
	}
	if f.said != "" {
		return
	}
	var text []byte
	if at := bytes.Index(line, notCaught); at >= 0 {
		if text = line[at+len(notCaught):]; !bytes.Contains(text, []byte("FeedExporter")) {
			return
		}
		f.said = "the feed exporter failed"
	} else if at := bytes.Index(line, notStored); at >= 0 {
		if text = line[at+len(notStored):]; !bytes.Contains(text, []byte(" feed (")) {
			return
		}
		f.said = feedText(text)
	} else {
		return
	}
	f.prefix, f.placed = f.prefix[:0], false
	if said := lastError(text); said != "" {
		f.found(said)
	} else {
		f.left = maxTraceback
	}
}

// goOn looks for the error in the lines behind: the first that is not indented and names one. Of errors that led to each other
// that is the first, which is the cause.
func (f *feedErrors) goOn(line []byte) {
	if at := bytes.Index(line, []byte("Traceback (most recent call last)")); at >= 0 {
		f.prefix, f.placed = append(f.prefix[:0], line[:min(at, maxPrefix)]...), true
		return
	}
	at := skipPrefix(f.prefix, line)
	if at < 0 {
		return
	}
	if text := line[at:]; len(text) > 0 && text[0] != ' ' {
		if said := lastError(text); said != "" && !bytes.HasPrefix(text, []byte("File ")) {
			f.found(said)
		}
	}
}

func (f *feedErrors) found(said string) {
	f.left = 0
	if strings.Contains(f.said, said) {
		return
	}
	if strings.HasPrefix(f.said, "the ") {
		f.said = ""
	} else {
		f.said += ": "
	}
	f.said = shortText(withoutUserInfo(f.said+said), maxFailure)
}

// feedText is what a line says of a feed that was not stored, up to the end of the text that it is.
func feedText(text []byte) string {
	if end := bytes.Index(text, []byte(`\n`)); end >= 0 {
		text = text[:end]
	}
	return shortText(withoutUserInfo(strings.TrimRight(string(untilQuote(text)), `\`)), maxFailure)
}

// lastError returns the last error of a text as a traceback ends with it, as in "PermissionError: [Errno 13] …", or "". Line
// breaks may be written as \n.
func lastError(text []byte) string {
	if bytes.Contains(text, []byte(`\n`)) {
		text = bytes.ReplaceAll(text, []byte(`\n`), []byte("\n"))
	}
	best := -1
	for _, suffix := range []string{"Error", "Exception", "Failure"} {
		for end := len(text); ; {
			at := bytes.LastIndex(text[:end], []byte(suffix))
			if at < 0 {
				break
			}
			behind := text[at+len(suffix):]
			if len(behind) == 0 || bytes.HasPrefix(behind, []byte(": ")) || behind[0] == '\n' {
				best = max(best, at)
				break
			}
			end = at
		}
	}
	if best < 0 {
		return ""
	}
	from := best
	for from > 0 && (isWord(text[from-1]) || text[from-1] == '.') {
		from--
	}
	text = text[from:]
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	said := strings.TrimRight(string(untilQuote(text)), `\`)
	return shortText(withoutUserInfo(strings.ReplaceAll(said, `\'`, "'")), maxFailure)
}

// untilQuote returns a text up to a double quote, with which a JSON log line ends it.
func untilQuote(text []byte) []byte {
	if end := bytes.IndexByte(text, '"'); end > 0 && (end+1 == len(text) || bytes.IndexByte([]byte(",}: "), text[end+1]) >= 0) {
		return text[:end]
	}
	return text
}

// withoutUserInfo takes names and passwords out of the addresses in a text. Keys of S3 may have slashes in them.
func withoutUserInfo(text string) string {
	var clean strings.Builder
	for {
		at := strings.Index(text, "://")
		if at < 0 {
			break
		}
		clean.WriteString(text[:at+3])
		text = text[at+3:]
		end := strings.IndexAny(text, " \t\"'<>")
		if end < 0 {
			end = len(text)
		}
		host, _, _ := strings.Cut(text[:end], "/")
		if user := strings.LastIndexByte(text[:end], '@'); user >= 0 && (user < len(host) || strings.Contains(text[:user], ":")) {
			clean.WriteString("…")
			text = text[user:]
		}
	}
	clean.WriteString(text)
	return clean.String()
}
