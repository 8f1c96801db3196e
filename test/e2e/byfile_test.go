package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// booksFile is a file of three spiders in the demo's project, with a relative import, as "scrapy startproject" and "genspider"
// lay them out.
const booksFile = "bookshop/spiders/books.py"

// makeSpider makes a spider through the REST API. Without a path it has none.
func makeSpider(api *harness.API, name, path string, settings map[string]string) {
	body := map[string]any{"name": name, "repo_path": nil, "settings": settings}
	if path != "" {
		body["repo_path"] = path
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // Texts always encode.
	}
	api.Want(http.StatusOK, harness.Request{Method: http.MethodPost, Path: "/api/v1/spiders", Body: string(text)}, nil)
}

func TestASpiderIsRunByItsFileInItsProject(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	api := n.API("alice")
	makeSpider(api, "category", booksFile, nil)
	makeSpider(api, "books", booksFile, map[string]string{"CLOSESPIDER_ITEMCOUNT": "40"})

	one, two := api.Start("category", map[string]any{"category": "Travel"}), api.Start("books", nil)
	if job := api.Wait(one, crawl); job.Status != "finished" || job.Items() != 30 || job.Spider.Name != "category" ||
		job.Spider.RepoPath != booksFile {
		t.Errorf("category ended as %+v", job)
	}
	// The other spiders of the file would fail without an argument, or never get this far.
	if job := api.Wait(two, crawl); job.Status != "finished" || job.Items() < 40 ||
		job.Stats.FinishReason != "closespider_itemcount" {
		t.Errorf("books ended as %+v", job)
	}
}

func TestAProjectIsFoundBelowTheWorkingDirectory(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("category", func(spec *v1alpha1.SpiderSpec) {
		spec.RepoPath, spec.Pod.WorkingDir = "project/"+booksFile, "/"
	})
	if job := n.AwaitEnd(n.Start("below", "category", map[string]string{"category": "Travel"}),
		crawl); job.Status.Stats.ItemsScraped != 30 {
		t.Errorf("ended %s: %s", job.Status.Reason, job.Status.Message)
	}
}

func TestMistakesInPathNameAndArgumentAreExplained(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	api := n.API("alice")
	makeSpider(api, "nobody", booksFile, nil)
	makeSpider(api, "lost", "spiders/lost.py", nil)
	makeSpider(api, "Größe 2", "", nil)
	makeSpider(api, "args", "bookshop/spiders/args.py", nil)
	makeSpider(api, "category", booksFile, nil)
	for name, tt := range map[string]struct {
		spider    string
		arguments map[string]any
		says      string
	}{
		"a name that is not in the file": {"nobody", nil, "/project/" + booksFile + " has no spider nobody, but books, category, slow"},
		"a path":                         {"lost", nil, "no Python file /project/spiders/lost.py; wrong working directory /project?"},
		"a name that nothing has":        {"Größe 2", nil, "the Scrapy project has no spider named Größe 2"},
		"an argument of Scrapy's":        {"args", map[string]any{"self": 1}, "an argument cannot be named self"},
		"another one":                    {"args", map[string]any{"crawler": 1}, "an argument cannot be named crawler"},
		"an argument that is missing":    {"category", nil, "ValueError: the argument category is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := api.In(t)
			job := api.Wait(api.Start(tt.spider, tt.arguments), crawl)
			if job.Status != "error" || job.Reason != v1alpha1.ReasonExitCode || !strings.Contains(job.Message, tt.says) {
				t.Errorf("ended %s, %s: %s; want …%s…", job.Status, job.Reason, job.Message, tt.says)
			}
		})
	}
}

func TestMistakesInTheSpiderAreExplained(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("astray", func(spec *v1alpha1.SpiderSpec) { spec.Pod.WorkingDir = "/tmp" })
	n.Scrapy("typo", func(spec *v1alpha1.SpiderSpec) { spec.Command = []string{"sh", "-c", "scrappy crawl books"} })
	n.Scrapy("nothing", func(spec *v1alpha1.SpiderSpec) { spec.Command = []string{"/nothing"} })
	n.Counter("pythonless", func(spec *v1alpha1.SpiderSpec) { spec.Command, spec.RepoPath = nil, booksFile })
	for spider, want := range map[string]struct{ reason, says string }{
		"astray":     {v1alpha1.ReasonExitCode, "the working directory is in no Scrapy project"},
		"typo":       {v1alpha1.ReasonExitCode, "there is no program scrappy in the image's PATH"},
		"nothing":    {v1alpha1.ReasonConfiguration, "the image has no /nothing"},
		"pythonless": {v1alpha1.ReasonConfiguration, "the image has no python3 in its PATH"},
	} {
		t.Run(spider, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			st := n.AwaitEnd(n.Start(spider, spider, nil), crawl).Status
			if st.Phase != v1alpha1.PhaseError || st.Reason != want.reason || !strings.Contains(st.Message, want.says) {
				t.Errorf("ended %s, %s: %s; want %s: …%s…", st.Phase, st.Reason, st.Message, want.reason, want.says)
			}
		})
	}
}
