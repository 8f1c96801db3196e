package apiserver

import (
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/check"
)

// writerFunc is called with each line that is written.
type writerFunc func(line string)

func (f writerFunc) Write(line []byte) (int, error) {
	f(string(line))
	return len(line), nil
}

// What `spider-operator check` asks, and what it makes of the answers, fit the API.
func TestCheckRunsASpider(t *testing.T) {
	f := newTestAPI(t)
	f.spider("team", "books")
	var said strings.Builder
	out := writerFunc(func(line string) {
		said.WriteString(line)
		if started := regexp.MustCompile(`^Job (\S+) of spider books was started`).FindStringSubmatch(line); started != nil {
			f.cluster.update(t, "team", started[1], func(job *v1alpha1.SpiderJob) {
				job.Status.Phase, job.Status.Reason, job.Status.FinishedAt = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, new(
					metav1.Now(),
				)
				job.Status.Stats = &v1alpha1.Stats{ItemsScraped: 3, Source: v1alpha1.OriginScrapyStats}
			})
		}
	})
	if err := check.Run(t.Context(), check.Options{URL: f.url, Key: f.key("team", "alice"), Spider: "books"}, out); err != nil {
		t.Fatalf("%v, after\n%s", err, said.String())
	}
	for _, line := range []string{"user alice of namespace team", "It finished, with 3 items (Completed)"} {
		if !strings.Contains(said.String(), line) {
			t.Errorf("it says\n%s\nand not %q", said.String(), line)
		}
	}
}
