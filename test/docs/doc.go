// Package docs runs every command of README.md and of the pages in docs/ against the system that `make demo` has left running
// on the local cluster. `make test-e2e` runs it last: run.md removes the operator, and the test restores the demo at the end.
//
// A page runs as one bash script, with -eu and pipefail, from the top of a copy of the repository: all of its blocks that are
// marked as sh, in order. kubectl, Helm and spider-operator are in the PATH. Markdown comments, which readers do not see, may
// contain
//
//	<!-- not run: why -->    before a block that cannot be run here
//	<!-- run                 commands that readers do not need: they provide what readers have and the test has not
//	image spider-operator:dev example.org/spider-operator:0.1.0
//	-->
//
// prelude.sh defines commands for the latter, such as image.
package docs
