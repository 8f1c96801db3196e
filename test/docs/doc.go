// Package docs runs every command of README.md and of the pages in docs/, against the system that `make demo` has left running
// on the local cluster. `make test-e2e` runs it, after all else: run.md removes the operator, and the demo is put back at the end.
//
// A page is run as one script of bash, with -eu and pipefail, from the top of a copy of the repository: all of its blocks that are
// marked as sh, in their order. kubectl, Helm and spider-operator are in the PATH. In Markdown comments, which readers do not see,
// a page can say
//
//	<!-- not run: why -->    before a block that cannot be run here
//	<!-- run                 commands that readers do not need: what they have, and the test has not
//	image spider-operator:dev example.org/spider-operator:0.1.0
//	-->
//
// prelude.sh has the commands, such as image, that are there for the latter.
package docs
