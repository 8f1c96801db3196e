package main

import (
	"bufio"
	"bytes"
	"strings"
)

// debianArgument is the build argument by which a Dockerfile takes the base image that is made here.
const debianArgument = "DEBIAN_IMAGE"

// baseArguments lists the arguments for base images that a Dockerfile declares: those before its first stage, where FROM sees
// them.
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
			if name == debianArgument {
				declared = append(declared, name)
			}
		}
	}
	return declared
}
