package spiderjob

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReasonsAreTheSameEverywhere checks that every reason has one name everywhere: the REST contract lists each, and
// docs/run.md each that users can act on, with the phases that the API documents. Neither has one that the API does not have.
func TestReasonsAreTheSameEverywhere(t *testing.T) {
	ofPhase, all := documentedReasons(t)
	for _, place := range []struct {
		file  string
		phase func(string) string // How the page writes a phase.
		// unsaid are the reasons that the page may leave out.
		unsaid []string
	}{
		{"../../apiserver/openapi.yaml", strings.ToLower, nil},
		{"../../docs/run.md", func(phase string) string { return phase }, []string{"Created", "Running", "Completed", "Cancelled"}},
	} {
		listed := reasonsInTables(t, place.file)
		for _, reason := range all {
			if _, found := listed[reason]; !found && !slices.Contains(place.unsaid, reason) {
				t.Errorf("%s does not tell what %s means", place.file, reason)
			}
		}
		for phase, reasons := range ofPhase {
			for _, reason := range reasons {
				if phases, found := listed[reason]; found && !strings.Contains(phases, place.phase(string(phase))) {
					t.Errorf("%s has %s with the phases %s, without %s", place.file, reason, phases, phase)
				}
			}
		}
		for reason := range listed {
			if !slices.Contains(all, reason) {
				t.Errorf("%s lists %s, which is no reason of the API", place.file, reason)
			}
		}
	}
}

// reasonsInTables finds the rows of a page that begin with phases and go on with reasons, and returns the phases of each reason.
func reasonsInTables(t *testing.T, path string) map[string]string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?mi)^ *\\| ((?:[`, ]*(?:pending|running|finished|cancelled|error)[`, ]*)+)\\|([^|]*)\\|")
	phases := map[string]string{}
	for _, match := range row.FindAllStringSubmatch(string(page), -1) {
		for _, reason := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(match[2], -1) {
			phases[reason[1]] += match[1]
		}
	}
	return phases
}
