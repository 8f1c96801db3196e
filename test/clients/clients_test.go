package clients

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/running"
)

var cluster *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }

// generated are the clients: how each is generated in its folder from the contract at $SPIDER_API_URL/openapi.json, and how it
// runs.
var generated = map[string]struct{ make, run [][]string }{
	"openapi-fetch": {
		[][]string{{"npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"}, {"npm", "run", "build", "--silent"}},
		[][]string{{"node", "built/jobs.js"}},
	},
	"hey-api": {
		[][]string{{"npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"}, {"npm", "run", "build", "--silent"}},
		[][]string{{"node", "built/jobs.js"}},
	},
	"ogen": {
		[][]string{
			{"go", "tool", "ogen", "--config=ogen.yml", "--package=api", "--target=api", "--clean", "generated/openapi.json"},
			{"go", "build", "-o", "built/ogen", "."},
		},
		[][]string{{"built/ogen"}},
	},
}

// Each generated client lists, starts, waits and cancels, also with a server that is newer.
func TestGeneratedClients(t *testing.T) {
	namespace := cluster.Namespace(t)
	key, _ := running.APIKey(t, cluster.Client, namespace, "caller")
	spider := &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "counter"}}
	if err := cluster.Client.Create(t.Context(), spider); err != nil {
		t.Fatal(err)
	}
	today := running.RESTAPI(t, cluster.Config, running.RESTAPIOptions(t))
	servers := map[string]string{"today": today, "tomorrow": tomorrow(t, today)}
	control(t, namespace)
	for name, how := range generated {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &program{t: t, folder: name, key: key}
			c.save("generated/openapi.json", today+"/openapi.json")
			for _, command := range how.make {
				c.run(today, command...)
			}
			for when, address := range servers {
				t.Run(when, func(t *testing.T) {
					said := c.in(t).run(address, append(how.run[0], "counter", `{"n": 17}`, `{"n": 1, "delay": "1s"}`)...)
					ids := regexp.MustCompile(`^finished (\S+) 17\ncancelled (\S+)\nlisted both, and was told`).FindStringSubmatch(said)
					if ids == nil {
						t.Fatalf("it says\n%s", said)
					}
					wantPhase(t, namespace, ids[1], v1alpha1.PhaseFinished)
					wantPhase(t, namespace, ids[2], v1alpha1.PhaseCancelled)
				})
			}
		})
	}
}

// program is a client in its folder.
type program struct {
	t           *testing.T
	folder, key string
}

func (p *program) in(t *testing.T) *program { return &program{t, p.folder, p.key} }

// run runs a command in the client's folder, and returns its standard output.
func (p *program) run(address string, command ...string) string {
	p.t.Helper()
	c := exec.CommandContext(p.t.Context(), command[0], command[1:]...)
	c.Dir, c.Env = p.folder, append(os.Environ(), "SPIDER_API_URL="+address, "SPIDER_API_KEY="+p.key)
	var complaints strings.Builder
	c.Stderr = &complaints
	said, err := c.Output()
	if err != nil {
		p.t.Fatalf("%q in %s: %v\n%s%s", command, p.folder, err, said, complaints.String())
	}
	return string(said)
}

// save downloads a file into the client's folder.
func (p *program) save(name, address string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		p.t.Fatal(err)
	}
	path := filepath.Join(p.folder, name)
	const open, shown = 0o755, 0o644
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), open), os.WriteFile(path, text, shown)); err != nil {
		p.t.Fatal(err)
	}
}

// control acts as the controller until the test ends: a job that should take its time runs until it is cancelled, any other
// ends at once.
func control(t *testing.T, namespace string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() {
		for ctx.Err() == nil {
			var jobs v1alpha1.SpiderJobList
			if err := cluster.Client.List(ctx, &jobs, client.InNamespace(namespace)); err != nil && ctx.Err() == nil {
				t.Errorf("list the jobs: %v", err)
			}
			for i := range jobs.Items {
				if err := play(ctx, &jobs.Items[i]); err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
					t.Errorf("play the controller: %v", err)
				}
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		stop()
		working.Wait()
	})
}

// play advances a job by one step.
func play(ctx context.Context, job *v1alpha1.SpiderJob) error {
	status := &job.Status
	switch _, long := job.Spec.Arguments["delay"]; {
	case status.FinishedAt != nil:
		return nil
	case job.Spec.Cancellation != nil:
		status.Phase, status.Reason, status.FinishedAt = v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, new(metav1.Now())
	case long && status.StartedAt != nil:
		return nil
	case long:
		status.Phase, status.Reason, status.StartedAt, status.Attempts = v1alpha1.PhaseRunning, v1alpha1.ReasonRunning,
			new(metav1.Now()), 1
	default:
		status.Phase, status.Reason, status.Attempts = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 1
		status.StartedAt, status.FinishedAt, status.ExitCode = new(metav1.Now()), new(metav1.Now()), new(int32(0))
		status.Stats = &v1alpha1.Stats{ItemsScraped: 17, Responses: new(int64(18)), Source: v1alpha1.OriginScrapyStats, Final: true}
	}
	return cluster.Client.Status().Update(ctx, job)
}

// wantPhase checks what the client did, not which answer it got.
func wantPhase(t *testing.T, namespace, name string, want v1alpha1.Phase) {
	t.Helper()
	job := &v1alpha1.SpiderJob{}
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job); err != nil {
		t.Fatal(err)
	}
	if job.Status.Phase != want {
		t.Errorf("job %s is %s, want %s", name, job.Status.Phase, want)
	}
}
