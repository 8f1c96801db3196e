package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestAGeneratedClientInTypeScriptWorks runs test/clients/openapi-fetch, which is generated from the contract that the REST
// API serves.
func TestAGeneratedClientInTypeScriptWorks(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	api := n.API("alice")
	api.AwaitSpider("counter")

	npm := func(arguments ...string) string {
		command := exec.CommandContext(t.Context(), "npm", arguments...)
		command.Dir = filepath.Join("..", "clients", "openapi-fetch")
		command.Env = append(os.Environ(), "SPIDER_API_URL="+api.URL, "SPIDER_API_KEY="+api.Key)
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("npm %q: %v\n%s", arguments, err, output)
		}
		return string(output)
	}
	npm("ci", "--no-audit", "--no-fund")
	output := npm("start", "--silent", "--", "counter", `{"n": 17}`, `{"n": 100000, "delay": "1s"}`)

	done := regexp.MustCompile(`(?m)^finished (\S+) 17\ncancelled (\S+)\nlisted both`).FindStringSubmatch(output)
	if done == nil {
		t.Fatalf("the client says\n%s", output)
	}
	n.AwaitPhase(done[1], v1alpha1.PhaseFinished, atOnce)
	n.AwaitPhase(done[2], v1alpha1.PhaseCancelled, atOnce)
	n.Gone(done[2])
}
