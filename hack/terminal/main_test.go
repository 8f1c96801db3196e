package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAPictureIsXMLAndShowsWhatWasPrinted(t *testing.T) {
	var out bytes.Buffer
	printed := "Cluster\n  start etcd ... 2 s\n  start etcd      1.0 s\n{\"status\": \"<finished>\"}\nnot shown\n"
	if err := run([]string{"make demo", "3"}, strings.NewReader(printed), &out); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for decoder := xml.NewDecoder(&out); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok {
			text.WriteString(strings.ReplaceAll(string(data), "\u00a0", " "))
		}
	}
	for part, shown := range map[string]bool{
		"$ make demo": true, "start etcd      1.0 s": true, `{"status": "<finished>"}`: true, "... 2 s": false, "not shown": false,
	} {
		if strings.Contains(text.String(), part) != shown {
			t.Errorf("%q is shown: %t, in %q", part, !shown, text.String())
		}
	}
}
