package upgrade

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	rest "github.com/scrapethis/spider-operator/client"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
	"github.com/scrapethis/spider-operator/test/integration/running"
)

// key was created for the namespace shop when the first schema was installed. It is valid for nothing else.
const key = "st_fhvixkmbsu3cxz84_f358ba42e5778d674886658f2c6e5944b3fefaae5bbf68d917b2e91db146c5cd_48d06e80"

// uuidName is a name that the REST API had given.
const uuidName = "01939a2b-7c4d-7e8f-9a0b-1c2d3e4f5a6b"

// stored are the SpiderJobs in testdata/objects.yaml: their ids in the REST API, which outlive every version, and how they end.
var stored = map[string]struct {
	id, end, message string
}{
	uuidName: {uuidName, "Finished/Completed, 11 items", "ran to its end"},

	"failed":              {"2007d918-8e08-53db-a41d-4101a352fa5c", "Error/ExitCode", "exit code 2"},
	"cancelled":           {"98f9d43a-88fd-5409-a587-7033721de607", "Cancelled/Cancelled", ""},
	"nul-ended":           {"97edceb7-4926-5625-87fb-1a9dc3d0c3c1", "Error/Configuration", ""},
	"new":                 {"32601cee-8f51-5332-b2df-4d2b61ad95dd", "Finished/Completed, 7 items", ""},
	"waiting":             {"da5a8235-1d8d-59bf-b679-551fde58c073", "Finished/Completed, 7 items", ""},
	"running":             {"cd7170bb-8124-58ac-a6f7-c04c11dfee0c", "Finished/Completed, 7 items", ""},
	"stopping":            {"8e73f382-20e5-52b6-8402-269dd1c44500", "Error/DeadlineExceeded", "longer than 1s"},
	"nul-setting":         {"6f62ee01-2fe9-5b76-b40e-7c41771e871f", "Error/InvalidJob", "setting USER_AGENT contains a NUL"},
	"nul-cancelled":       {"f04ae838-2e64-57af-9ecc-7d54f9184858", "Cancelled/Cancelled", ""},
	"of-nul-command":      {"8c13aaf5-f2db-5eda-b529-0de6452fabcd", "Error/InvalidJob", "the command of Spider nul-command"},
	"of-nul-setting":      {"", "Error/InvalidJob", "setting USER_AGENT contains a NUL"},
	"of-nul-setting-json": {"", "Finished/Completed, 7 items", ""},
	"of-labels":           {"5ea09307-31a0-5894-96f3-651b17a3bafa", "Error/InvalidJob", "not a name"},
}

// TestStoredObjectsKeepWorking checks that what the first schema has stored continues to work, or ends for a reason that says
// what is wrong with it. It can be read, cancelled, kept for a shorter time, repaired and deleted, even if a newer schema
// would not have accepted it.
func TestStoredObjectsKeepWorking(t *testing.T) {
	store(t)
	upgrade(t)
	finish := make(chan struct{})
	testNode.Serve(namespace, func(p *node.Process) node.Exit {
		if p.Pod.Labels[v1alpha1.LabelSpiderJob] == "running" {
			<-finish
		}
		return node.Exit{Message: `{"items_scraped": 7, "finish_reason": "finished"}`}
	})
	before := map[string]string{}
	for name := range stored {
		if sj := spiderJob(t, namespace, name); ended(sj) {
			before[name] = sj.ResourceVersion
		}
	}
	if len(before) != 4 {
		t.Fatalf("%d SpiderJobs had ended before the upgrade, want 4", len(before))
	}

	api := callREST(t, running.RESTAPI(t, cluster.Config, running.RESTAPIOptions(t)))
	listed := statuses(t, api)
	for name, want := range stored {
		sj := spiderJob(t, namespace, name)
		if want.id != "" && listed[want.id] == "" {
			t.Errorf("SpiderJob %s is not listed as %s: %v", name, want.id, listed)
		}
		if status, phase := listed[sj.ID()], strings.ToLower(string(sj.Status.Phase)); status != phase {
			t.Errorf("SpiderJob %s is shown as %q, and is %q", name, status, phase)
		}
	}
	if err := api.CancelJob(t.Context(), stored["nul-cancelled"].id, rest.CancelJobParams{}); err != nil {
		t.Errorf("a SpiderJob that today's schema would refuse cannot be cancelled: %v", err)
	}

	control(t, namespace)
	awaitSpiderJob(t, "running", "still running", func(sj *v1alpha1.SpiderJob) bool { return sj.Status.StartedAt != nil })
	close(finish)
	for name, want := range stored {
		sj := awaitSpiderJob(t, name, "at its end", ended)
		if got := summary(&sj.Status); got != want.end {
			t.Errorf("SpiderJob %s ended as %s (%s), want %s", name, got, sj.Status.Message, want.end)
		}
		if !mentions(sj, want.message) {
			t.Errorf("SpiderJob %s says %q, want something with %q", name, sj.Status.Message, want.message)
		}
		if want.id != "" && (sj.Status.ID != want.id || sj.ID() != want.id) {
			t.Errorf("SpiderJob %s has the id %s, in its status %s, want %s", name, sj.ID(), sj.Status.ID, want.id)
		}
		if version, had := before[name]; had && sj.ResourceVersion != version {
			t.Errorf("SpiderJob %s had ended, and was written to since", name)
		}
	}
	if sj := spiderJob(t, namespace, "running"); sj.Status.Attempts != 1 || sj.Status.Interruptions != 0 {
		t.Errorf("what ran during the upgrade has had %d attempts, and %d interruptions", sj.Status.Attempts, sj.Status.Interruptions)
	}
	t.Run("kept for less long", keptForLessLong)
	t.Run("repaired", repaired)
}

// keptForLessLong changes the retention of a SpiderJob that today's schema would not accept.
func keptForLessLong(t *testing.T) {
	sj := spiderJob(t, namespace, "nul-ended")
	sj.Spec.TTLSecondsAfterFinished = ptr.To[int64](0)
	if err := cluster.Client.Update(t.Context(), sj); err != nil {
		t.Fatal(err)
	}
	controlplane.Eventually(t, "it is deleted", func(ctx context.Context) (bool, error) {
		err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(sj), sj)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

// repaired changes a Spider that today's schema would not accept: first another field, then what is wrong with it.
func repaired(t *testing.T) {
	spider := &v1alpha1.Spider{}
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "labels"}, spider); err != nil {
		t.Fatal(err)
	}
	spider.Spec.Description = "To be repaired."
	if err := cluster.Client.Update(t.Context(), spider); err != nil {
		t.Errorf("one invalid field prevents changes of the others: %v", err)
	}
	spider.Spec.Pod.Labels = map[string]v1alpha1.LabelValue{"team": "data"}
	spider.Spec.Pod.Annotations = nil
	if err := cluster.Client.Update(t.Context(), spider); err != nil {
		t.Fatal(err)
	}
	again := &v1alpha1.SpiderJob{}
	again.Namespace, again.Name = namespace, "after-the-repair"
	again.Spec.SpiderRef.Name = "labels"
	if err := cluster.Client.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if sj := awaitSpiderJob(t, again.Name, "at its end", ended); summary(&sj.Status) != "Finished/Completed, 7 items" {
		t.Errorf("the job ended as %s: %s", summary(&sj.Status), sj.Status.Message)
	}
}

// callREST makes a client of a REST API with the stored key.
func callREST(t *testing.T, address string) *rest.Client {
	t.Helper()
	api, err := rest.New(address, key)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// statuses returns the status of all jobs that the stored key sees, by id.
func statuses(t *testing.T, api *rest.Client) map[string]string {
	t.Helper()
	statuses := map[string]string{}
	for job, err := range api.AllJobs(t.Context(), rest.ListJobsParams{}) {
		if err != nil {
			t.Fatal(err)
		}
		statuses[job.ID] = string(job.Status)
	}
	if len(statuses) != len(stored) {
		t.Errorf("%d jobs are listed, %d are stored", len(statuses), len(stored))
	}
	return statuses
}
