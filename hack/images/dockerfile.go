package main

import "regexp"

// debianArgument is the build argument by which a Dockerfile takes the base image that is made here.
const debianArgument = "DEBIAN_IMAGE"

var (
	fromLine   = regexp.MustCompile(`(?mi)^\s*FROM\s`)
	debianLine = regexp.MustCompile(`(?mi)^\s*ARG\s+` + debianArgument + `\b`)
)

// wantsDebian reports whether a Dockerfile declares the argument before its first stage, where FROM sees it.
func wantsDebian(dockerfile string) bool {
	if stage := fromLine.FindStringIndex(dockerfile); stage != nil {
		dockerfile = dockerfile[:stage[0]]
	}
	return debianLine.MatchString(dockerfile)
}
