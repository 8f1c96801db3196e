package api

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// row is what kubectl shows of one object, by column header.
type row map[string]string

// kubectlGet returns the only row of `kubectl get`. It finds columns by the positions of their headers, as readers do: between
// two there are several spaces, and within one at most one.
func kubectlGet(t *testing.T, arguments ...string) row {
	t.Helper()
	output := cluster.Kubectl(t, append([]string{"get"}, arguments...)...)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != 2 {
		t.Fatalf("want a header and one row, got:\n%s", output)
	}
	shown := row{}
	header, values := lines[0], lines[1]
	columns := regexp.MustCompile(`\S+( \S+)* *`).FindAllStringIndex(header, -1)
	for i, column := range columns {
		start, end := min(column[0], len(values)), min(column[1], len(values))
		if i == len(columns)-1 {
			end = len(values)
		}
		shown[strings.TrimSpace(header[column[0]:column[1]])] = strings.TrimSpace(values[start:end])
	}
	return shown
}

func expectRow(t *testing.T, got, want row) {
	t.Helper()
	for column, value := range want {
		if shown, ok := got[column]; !ok || shown != value {
			t.Errorf("column %s shows %q, want %q; the row is %v", column, shown, value, got)
		}
	}
}

func TestSpiderJobColumns(t *testing.T) {
	namespace := cluster.Namespace(t)
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "monday"},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}, UserID: "ann"},
	}
	create(t, job)
	if job.Status.Phase != v1alpha1.PhasePending {
		t.Errorf("the new job's phase is %q, want Pending before any controller has seen it", job.Status.Phase)
	}
	expectRow(t, kubectlGet(t, "spiderjobs", "-n", namespace), row{
		"NAME": "monday", "SPIDER": "books", "PHASE": "Pending", "ITEMS": "", "STARTED": "", "DURATION": "",
	})

	started := metav1.Now()
	job.Status = v1alpha1.SpiderJobStatus{
		Phase: v1alpha1.PhaseError, Reason: v1alpha1.ReasonExitCode, StartedAt: &started, Duration: "1m30s",
		Attempts: 2, PodName: "monday-abcde",
		Stats: &v1alpha1.Stats{ItemsScraped: 142, Source: v1alpha1.OriginScrapyStats},
	}
	if err := cluster.Client.Status().Update(t.Context(), job); err != nil {
		t.Fatalf("update the status: %v", err)
	}
	expectRow(t, kubectlGet(t, "sj", "-n", namespace, "-o", "wide"), row{
		"NAME": "monday", "SPIDER": "books", "PHASE": "Error", "ITEMS": "142", "DURATION": "1m30s", "REASON": "ExitCode",
		"ATTEMPTS": "2", "USER": "ann", "POD": "monday-abcde",
	})
}

func TestSpiderAndAPIKeyColumns(t *testing.T) {
	namespace := cluster.Namespace(t)
	create(t, newObject(t, "Spider", namespace, fields{"spec.name": "Books", "spec.image": "shop:1", "spec.userID": "ann"}))
	create(t, newObject(t, "APIKey", namespace,
		fields{"spec.userID": "ann", "spec.access": "Run", "spec.expiresAt": "2030-01-01T00:00:00Z"}))
	expectRow(t, kubectlGet(t, "spiders", "-n", namespace, "-o", "wide"), row{
		"NAME": "books", "SPIDER": "Books", "IMAGE": "shop:1", "USER": "ann",
	})
	create(t, newObject(t, "SpiderSchedule", namespace, fields{"spec.timeZone": "Europe/Berlin", "spec.overlap": "Queue"}))
	expectRow(t, kubectlGet(t, "ssch", "-n", namespace, "-o", "wide"), row{
		"NAME": "nightly", "SPIDER": "books", "CRON": "30 2 * * *", "ZONE": "Europe/Berlin", "SUSPENDED": "false", "LAST": "",
		"NEXT": "", "LAST RESULT": "", "OVERLAP": "Queue", "MISSED": "",
	})
	create(t, newObject(t, "SpiderQuota", namespace,
		fields{"spec.maxRunningPerUser": int64(10), "spec.maxQueued": int64(10000), "spec.maxQueuedPerUser": int64(1000)}))
	expectRow(t, kubectlGet(t, "sq", "-n", namespace, "-o", "wide"), row{
		"NAME": "default", "RUNNING": "50", "PER USER": "10", "QUEUED": "10000", "QUEUED PER USER": "1000", "MAX PRIORITY": "",
	})
	expectRow(t, kubectlGet(t, "apikeys", "-n", namespace), row{
		"NAME": "ci", "KEY": "0123456789abcdef", "USER": "ann", "ACCESS": "Run", "EXPIRES": "2030-01-01T00:00:00Z",
	})
}

// TestTheCategoryListsAllKinds checks that the category lists all kinds at once. It must not be the name of a kind as well:
// kubectl get spider would list all of them.
func TestTheCategoryListsAllKinds(t *testing.T) {
	namespace := cluster.Namespace(t)
	names := map[string]string{
		"Spider": "spider.scrapethis.app/books", "SpiderJob": "spiderjob.scrapethis.app/monday", "APIKey": "apikey.scrapethis.app/ci",
		"SpiderSchedule": "spiderschedule.scrapethis.app/nightly", "SpiderQuota": "spiderquota.scrapethis.app/default",
	}
	for kind := range names {
		create(t, newObject(t, kind, namespace, nil))
	}
	all := cluster.Kubectl(t, "get", "scrapethis", "-n", namespace, "-o", "name")
	for kind, name := range names {
		if !strings.Contains(all, name) {
			t.Errorf("kubectl get scrapethis does not show %s:\n%s", name, all)
		}
		one := cluster.Kubectl(t, "get", strings.ToLower(kind), "-n", namespace, "-o", "name")
		if strings.TrimSpace(one) != name {
			t.Errorf("kubectl get %s shows %q, want %s alone", strings.ToLower(kind), one, name)
		}
	}
}

func TestSelectableFields(t *testing.T) {
	namespace := cluster.Namespace(t)
	for _, object := range []struct {
		kind string
		set  fields
	}{
		{"SpiderJob", fields{"metadata.name": "a", "spec.spiderRef.name": "books", "spec.userID": "ann"}},
		{"SpiderJob", fields{"metadata.name": "b", "spec.spiderRef.name": "films", "spec.userID": "bob"}},
		{"Spider", fields{"metadata.name": "a", "spec.name": "Books", "spec.userID": "ann"}},
		{"Spider", fields{"metadata.name": "b", "spec.name": "Films", "spec.userID": "bob"}},
		{"SpiderSchedule", fields{"metadata.name": "a", "spec.userID": "ann"}},
		{"SpiderSchedule", fields{"metadata.name": "b", "spec.userID": "bob"}},
		{"APIKey", fields{"metadata.name": "a", "spec.keyID": "aaaaaaaaaaaaaaaa"}},
		{"APIKey", fields{"metadata.name": "b", "spec.keyID": "bbbbbbbbbbbbbbbb"}},
	} {
		create(t, newObject(t, object.kind, namespace, object.set))
	}
	for _, test := range []struct{ resource, selector string }{
		{"spiderjobs", "spec.spiderRef.name=books"},
		{"spiderjobs", "spec.userID=ann"},
		{"spiderjobs", "spec.userID!=bob"},
		{"spiders", "spec.name=Books"},
		{"spiders", "spec.userID=ann"},
		{"spiderschedules", "spec.userID=ann"},
		{"apikeys", "spec.keyID=aaaaaaaaaaaaaaaa"},
	} {
		names := cluster.Kubectl(t, "get", test.resource, "-n", namespace, "--field-selector="+test.selector,
			"-o", "jsonpath={.items[*].metadata.name}")
		if names != "a" {
			t.Errorf("kubectl get %s --field-selector=%s gives %q, want a alone", test.resource, test.selector, names)
		}
	}
}

func TestOnlyTheSubresourceWritesStatus(t *testing.T) {
	namespace := cluster.Namespace(t)
	job := newObject(t, "SpiderJob", namespace, fields{"status.phase": "Finished"})
	create(t, job)
	setFields(t, job, fields{"status.phase": "Finished", "spec.ttlSecondsAfterFinished": int64(5)})
	if err := cluster.Client.Update(t.Context(), job); err != nil {
		t.Fatalf("update: %v", err)
	}
	stored := &v1alpha1.SpiderJob{}
	get := func() {
		t.Helper()
		if err := cluster.Client.Get(t.Context(), client.ObjectKeyFromObject(job), stored); err != nil {
			t.Fatalf("get: %v", err)
		}
	}
	get()
	if stored.Status.Phase != v1alpha1.PhasePending {
		t.Errorf("a write of the SpiderJob, not of its status, sets the phase to %s", stored.Status.Phase)
	}

	stored.Status.Phase = v1alpha1.PhaseRunning
	stored.Spec.TTLSecondsAfterFinished = nil
	if err := cluster.Client.Status().Update(t.Context(), stored); err != nil {
		t.Fatalf("update the status: %v", err)
	}
	get()
	if stored.Status.Phase != v1alpha1.PhaseRunning || stored.Spec.TTLSecondsAfterFinished == nil {
		t.Errorf("a write to the status subresource gives phase %s and TTL %v, want Running and the TTL as it was",
			stored.Status.Phase, stored.Spec.TTLSecondsAfterFinished)
	}

	stored.Status.Phase = "Lost"
	if err := cluster.Client.Status().Update(t.Context(), stored); err == nil || !strings.Contains(err.Error(), "status.phase") {
		t.Errorf("a phase that does not exist: want a refusal that names status.phase, got %v", err)
	}
}

func TestExplain(t *testing.T) {
	for path, text := range map[string]string{
		"spider":                      "Writing Spiders in a namespace grants what creating Pods",
		"spiderjob":                   "SpiderJob is one run of a Spider",
		"spiderjob.spec":              "cancellation\t<Object>",
		"spiderjob.spec.cancellation": "requestedBy is who asked",
		"spiderjob.status.phase":      "Pending, Running, Finished",
		"apikey.spec.hash":            "SHA-256",
		"spiderquota":                 "SpiderQuota limits how many SpiderJobs",
	} {
		if output := cluster.Kubectl(t, "explain", path); !strings.Contains(output, text) {
			t.Errorf("kubectl explain %s does not say %q:\n%s", path, text, output)
		}
	}
}

// TestEveryFieldIsExplained checks that every field of this project has an explanation: a comment that begins with the field's
// name. The fields of Kubernetes' own types are not checked.
func TestEveryFieldIsExplained(t *testing.T) {
	definitions := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := cluster.Client.List(t.Context(), definitions); err != nil {
		t.Fatalf("list the definitions: %v", err)
	}
	for _, definition := range definitions.Items {
		schema := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, name := range []string{"spec", "status"} {
			if part, ok := schema.Properties[name]; ok {
				checkExplained(t, definition.Spec.Names.Kind+"."+name, name, &part)
			}
		}
	}
}

// kubernetesOwn are the fields whose types are Kubernetes' own.
var kubernetesOwn = []string{
	"affinity", "conditions", "containerSecurityContext", "env", "envFrom", "imagePullSecrets", "resources", "securityContext",
	"tolerations", "volumeMounts", "volumes",
}

func checkExplained(t *testing.T, path, name string, schema *apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	if !strings.HasPrefix(schema.Description, name+" ") {
		t.Errorf("the description of %s does not begin with its name: %q", path, schema.Description)
	}
	if slices.Contains(kubernetesOwn, name) {
		return
	}
	for property, part := range schema.Properties {
		checkExplained(t, path+"."+property, property, &part)
	}
}
