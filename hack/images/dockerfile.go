package main

import (
	"bufio"
	"bytes"
	"strings"
)

// The build arguments by which a Dockerfile takes the base images that are made here.
const (
	debianArgument = "DEBIAN_IMAGE"
	goArgument     = "GO_IMAGE"
)

// baseArguments lists which of them a Dockerfile declares: those before its first stage, which is where FROM sees them.
func baseArguments(dockerfile []byte) []string {
	var declared []string
	lines := bufio.NewScanner(bytes.NewReader(dockerfile))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		switch instruction := strings.ToUpper(fields[0]); instruction {
		case "FROM":
			return declared
		case "ARG":
			name, _, _ := strings.Cut(fields[1], "=")
			if name == debianArgument || name == goArgument {
				declared = append(declared, name)
			}
		}
	}
	return declared
}
