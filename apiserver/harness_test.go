package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract/contracttest"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// cluster is a Kubernetes of SpiderJobs in memory. Its watch shows a write at once, unless it is held back.
type cluster struct {
	mu       sync.Mutex
	revision int
	jobs     map[string]*v1alpha1.SpiderJob
	watch    *view.Jobs
	held     bool
	calls    map[string]int
	// fail is asked before each call, and again after a write was recorded.
	fail func(call string, recorded bool) error
}

var resource = v1alpha1.Resource("spiderjobs")

func (c *cluster) before(call string) error {
	c.calls[call]++
	if c.fail != nil {
		return c.fail(call, false)
	}
	return nil
}

func (c *cluster) after(call string) error {
	if c.fail != nil {
		return c.fail(call, true)
	}
	return nil
}

func (c *cluster) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[call]
}

func (c *cluster) Get(_ context.Context, namespace, name string) (*v1alpha1.SpiderJob, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("get"); err != nil {
		return nil, err
	}
	job := c.jobs[namespace+"/"+name]
	if job == nil {
		return nil, fmt.Errorf("reading: %w", apierrors.NewNotFound(resource, name))
	}
	return job.DeepCopy(), nil
}

func (c *cluster) Create(_ context.Context, job *v1alpha1.SpiderJob) (*v1alpha1.SpiderJob, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("create"); err != nil {
		return nil, err
	}
	if c.jobs[job.Namespace+"/"+job.Name] != nil {
		return nil, fmt.Errorf("creating: %w", apierrors.NewAlreadyExists(resource, job.Name))
	}
	created := job.DeepCopy()
	if created.CreationTimestamp.IsZero() {
		created.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
	}
	c.record(created)
	return created.DeepCopy(), c.after("create")
}

func (c *cluster) Cancel(
	_ context.Context, namespace, name, resourceVersion string, cancellation v1alpha1.Cancellation,
) (*v1alpha1.SpiderJob, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("cancel"); err != nil {
		return nil, err
	}
	job := c.jobs[namespace+"/"+name]
	switch {
	case job == nil:
		return nil, fmt.Errorf("patching: %w", apierrors.NewNotFound(resource, name))
	case job.ResourceVersion != resourceVersion:
		return nil, fmt.Errorf("patching: %w", apierrors.NewConflict(resource, name, errors.New("it has changed")))
	}
	changed := job.DeepCopy()
	changed.Spec.Cancellation = mergeCancellation(job.Spec.Cancellation, cancellation)
	if refusedBySchema(job.Spec.Cancellation, changed.Spec.Cancellation) {
		return nil, fmt.Errorf("patching: %w", apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("SpiderJob").GroupKind(), name, nil))
	}
	c.record(changed)
	return changed.DeepCopy(), c.after("cancel")
}

func (c *cluster) Patch(
	_ context.Context, namespace, name, resourceVersion string, patch map[string]any,
) (*v1alpha1.SpiderJob, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("patch"); err != nil {
		return nil, err
	}
	job := c.jobs[namespace+"/"+name]
	switch {
	case job == nil:
		return nil, fmt.Errorf("patching: %w", apierrors.NewNotFound(resource, name))
	case job.ResourceVersion != resourceVersion:
		return nil, fmt.Errorf("patching: %w", apierrors.NewConflict(resource, name, errors.New("it has changed")))
	}
	changed := &v1alpha1.SpiderJob{}
	if err := mergePatch(job, patch, changed); err != nil {
		return nil, err
	}
	c.record(changed)
	return changed.DeepCopy(), c.after("patch")
}

// mergePatch merges a JSON merge patch into what an object has, and reads the result into another.
func mergePatch(object, patch, into any) error {
	before, err := json.Marshal(object)
	if err != nil {
		return err
	}
	change, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	after, err := jsonpatch.MergePatch(before, change)
	if err != nil {
		return err
	}
	return json.Unmarshal(after, into)
}

// mergeCancellation does what a merge patch does: what it leaves out stays.
func mergeCancellation(was *v1alpha1.Cancellation, patch v1alpha1.Cancellation) *v1alpha1.Cancellation {
	merged := was.DeepCopy()
	if merged == nil {
		merged = &v1alpha1.Cancellation{}
	}
	if patch.RequestedBy != "" {
		merged.RequestedBy = patch.RequestedBy
	}
	if patch.RequestedAt != nil {
		merged.RequestedAt = patch.RequestedAt
	}
	if patch.GracePeriodSeconds != nil {
		merged.GracePeriodSeconds = patch.GracePeriodSeconds
	}
	return merged
}

// refusedBySchema holds a cancellation that is changed to the rules of the schema.
func refusedBySchema(was, is *v1alpha1.Cancellation) bool {
	if was == nil {
		return false
	}
	longer := was.GracePeriodSeconds != nil && *is.GracePeriodSeconds > *was.GracePeriodSeconds
	return longer || is.RequestedBy != was.RequestedBy || !is.RequestedAt.Equal(was.RequestedAt)
}

// record makes an object the present state of its name, and shows it to the watch.
func (c *cluster) record(job *v1alpha1.SpiderJob) {
	c.revision++
	job.ResourceVersion = strconv.Itoa(c.revision)
	if was := c.jobs[job.Namespace+"/"+job.Name]; was == nil || !equality.Semantic.DeepEqual(was.Spec, job.Spec) {
		job.Generation++
	}
	c.jobs[job.Namespace+"/"+job.Name] = job
	if !c.held {
		c.watch.Set("", mustCompact(job))
	}
}

// update plays the controller, or anyone with kubectl.
func (c *cluster) update(t testing.TB, namespace, name string, change func(*v1alpha1.SpiderJob)) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	job := c.jobs[namespace+"/"+name]
	if job == nil {
		t.Fatalf("there is no SpiderJob %s/%s", namespace, name)
	}
	changed := job.DeepCopy()
	change(changed)
	c.record(changed)
}

func (c *cluster) delete(namespace, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	job := c.jobs[namespace+"/"+name].DeepCopy()
	delete(c.jobs, namespace+"/"+name)
	c.revision++
	job.ResourceVersion = strconv.Itoa(c.revision)
	if !c.held {
		c.watch.Delete("", mustCompact(job))
	}
}

func (c *cluster) job(t testing.TB, namespace, name string) *v1alpha1.SpiderJob {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	job := c.jobs[namespace+"/"+name]
	if job == nil {
		t.Fatalf("there is no SpiderJob %s/%s", namespace, name)
	}
	return job.DeepCopy()
}

func mustCompact(job *v1alpha1.SpiderJob) *view.Job {
	compact, err := view.FromSpiderJob(job)
	if err != nil {
		panic(err)
	}
	return compact
}

// spiderCluster is a Kubernetes of Spiders in memory, as cluster is one of SpiderJobs.
type spiderCluster struct {
	mu       sync.Mutex
	revision int
	spiders  map[string]*v1alpha1.Spider
	watch    *view.Spiders
	held     bool
	calls    map[string]int
	// fail is asked before each call, and again after a write was recorded. meanwhile is called before each write is looked at.
	fail      func(call string, recorded bool) error
	meanwhile func()
}

func (c *spiderCluster) before(call string) error {
	if c.meanwhile != nil && call != "get" && call != "named" {
		c.meanwhile()
	}
	c.calls[call]++
	if c.fail != nil {
		return c.fail(call, false)
	}
	return nil
}

func (c *spiderCluster) after(call string) error {
	if c.fail != nil {
		return c.fail(call, true)
	}
	return nil
}

func (c *spiderCluster) find(namespace, name, resourceVersion string) (*v1alpha1.Spider, error) {
	spider := c.spiders[namespace+"/"+name]
	spiders := v1alpha1.Resource("spiders")
	switch {
	case spider == nil:
		return nil, fmt.Errorf("finding: %w", apierrors.NewNotFound(spiders, name))
	case resourceVersion != "" && resourceVersion != spider.ResourceVersion:
		return nil, fmt.Errorf("finding: %w", apierrors.NewConflict(spiders, name, errors.New("it has changed")))
	}
	return spider.DeepCopy(), nil
}

func (c *spiderCluster) Get(_ context.Context, namespace, name string) (*v1alpha1.Spider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("get"); err != nil {
		return nil, err
	}
	return c.find(namespace, name, "")
}

func (c *spiderCluster) Named(_ context.Context, namespace, name string) ([]*v1alpha1.Spider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("named"); err != nil {
		return nil, err
	}
	var found []*v1alpha1.Spider
	for _, spider := range c.spiders {
		if spider.Namespace == namespace && spider.Spec.Name == name {
			found = append(found, spider.DeepCopy())
		}
	}
	return found, nil
}

func (c *spiderCluster) Create(_ context.Context, spider *v1alpha1.Spider) (*v1alpha1.Spider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("create"); err != nil {
		return nil, err
	}
	if c.spiders[spider.Namespace+"/"+spider.Name] != nil {
		return nil, fmt.Errorf("creating: %w", apierrors.NewAlreadyExists(v1alpha1.Resource("spiders"), spider.Name))
	}
	created := spider.DeepCopy()
	if created.CreationTimestamp.IsZero() {
		created.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
	}
	c.record(created)
	return created.DeepCopy(), c.after("create")
}

func (c *spiderCluster) Patch(
	_ context.Context, namespace, name, resourceVersion string, spec map[string]any,
) (*v1alpha1.Spider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("patch"); err != nil {
		return nil, err
	}
	spider, err := c.find(namespace, name, resourceVersion)
	if err != nil {
		return nil, err
	}
	before := spider.Spec
	spider.Spec = v1alpha1.SpiderSpec{}
	if err := mergePatch(before, spec, &spider.Spec); err != nil {
		return nil, err
	}
	c.record(spider)
	return spider.DeepCopy(), c.after("patch")
}

func (c *spiderCluster) Delete(_ context.Context, namespace, name, resourceVersion string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("delete"); err != nil {
		return err
	}
	spider, err := c.find(namespace, name, resourceVersion)
	if err != nil {
		return err
	}
	delete(c.spiders, namespace+"/"+name)
	c.revision++
	spider.ResourceVersion = strconv.Itoa(c.revision)
	if !c.held {
		c.watch.Delete("", mustCompactSpider(spider))
	}
	return c.after("delete")
}

// record makes an object the present state of its name, and shows it to the watch.
func (c *spiderCluster) record(spider *v1alpha1.Spider) {
	c.revision++
	spider.ResourceVersion = strconv.Itoa(c.revision)
	if was := c.spiders[spider.Namespace+"/"+spider.Name]; was == nil || !equality.Semantic.DeepEqual(was.Spec, spider.Spec) {
		spider.Generation++
	}
	c.spiders[spider.Namespace+"/"+spider.Name] = spider
	if !c.held {
		c.watch.Set("", mustCompactSpider(spider))
	}
}

// update plays anyone with kubectl.
func (c *spiderCluster) update(t testing.TB, namespace, name string, change func(*v1alpha1.Spider)) {
	t.Helper()
	changed := c.spider(t, namespace, name)
	change(changed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record(changed)
}

// spider returns a Spider as it is recorded.
func (c *spiderCluster) spider(t testing.TB, namespace, name string) *v1alpha1.Spider {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	spider := c.spiders[namespace+"/"+name]
	if spider == nil {
		t.Fatalf("there is no Spider %s/%s", namespace, name)
	}
	return spider.DeepCopy()
}

func (c *spiderCluster) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[call]
}

func mustCompactSpider(spider *v1alpha1.Spider) *view.Spider {
	compact, err := view.FromSpider(spider)
	if err != nil {
		panic(err)
	}
	return compact
}

// scheduleCluster is a Kubernetes of SpiderSchedules in memory, as cluster is one of SpiderJobs.
type scheduleCluster struct {
	mu        sync.Mutex
	revision  int
	schedules map[string]*v1alpha1.SpiderSchedule
	watch     *view.Schedules
	held      bool
	calls     map[string]int
	// fail is asked before each call, and again after a write was recorded. meanwhile is called before each write is looked at.
	fail      func(call string, recorded bool) error
	meanwhile func()
}

func (c *scheduleCluster) before(call string) error {
	if c.meanwhile != nil && call != "get" {
		c.meanwhile()
	}
	c.calls[call]++
	if c.fail != nil {
		return c.fail(call, false)
	}
	return nil
}

func (c *scheduleCluster) find(namespace, name, resourceVersion string) (*v1alpha1.SpiderSchedule, error) {
	schedule := c.schedules[namespace+"/"+name]
	all := v1alpha1.Resource("spiderschedules")
	switch {
	case schedule == nil:
		return nil, fmt.Errorf("finding: %w", apierrors.NewNotFound(all, name))
	case resourceVersion != "" && resourceVersion != schedule.ResourceVersion:
		return nil, fmt.Errorf("finding: %w", apierrors.NewConflict(all, name, errors.New("it has changed")))
	}
	return schedule.DeepCopy(), nil
}

func (c *scheduleCluster) Get(_ context.Context, namespace, name string) (*v1alpha1.SpiderSchedule, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("get"); err != nil {
		return nil, err
	}
	return c.find(namespace, name, "")
}

func (c *scheduleCluster) after(call string) error {
	if c.fail != nil {
		return c.fail(call, true)
	}
	return nil
}

func (c *scheduleCluster) Create(_ context.Context, schedule *v1alpha1.SpiderSchedule) (*v1alpha1.SpiderSchedule, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("create"); err != nil {
		return nil, err
	}
	if c.schedules[schedule.Namespace+"/"+schedule.Name] != nil {
		return nil, fmt.Errorf("creating: %w", apierrors.NewAlreadyExists(v1alpha1.Resource("spiderschedules"), schedule.Name))
	}
	created := schedule.DeepCopy()
	created.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
	c.record(created)
	return created.DeepCopy(), c.after("create")
}

func (c *scheduleCluster) Patch(
	_ context.Context, namespace, name, resourceVersion string, spec map[string]any,
) (*v1alpha1.SpiderSchedule, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("patch"); err != nil {
		return nil, err
	}
	schedule, err := c.find(namespace, name, resourceVersion)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(schedule.Spec)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	after, err := jsonpatch.MergePatch(before, patch)
	if err != nil {
		return nil, err
	}
	schedule.Spec = v1alpha1.SpiderScheduleSpec{}
	if err := json.Unmarshal(after, &schedule.Spec); err != nil {
		return nil, err
	}
	c.record(schedule)
	return schedule.DeepCopy(), c.after("patch")
}

func (c *scheduleCluster) Delete(_ context.Context, namespace, name, resourceVersion string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.before("delete"); err != nil {
		return err
	}
	schedule, err := c.find(namespace, name, resourceVersion)
	if err != nil {
		return err
	}
	delete(c.schedules, namespace+"/"+name)
	c.revision++
	schedule.ResourceVersion = strconv.Itoa(c.revision)
	if !c.held {
		c.watch.Delete("", mustCompactSchedule(schedule))
	}
	return c.after("delete")
}

// record makes an object the present state of its name, and shows it to the watch.
func (c *scheduleCluster) record(schedule *v1alpha1.SpiderSchedule) {
	c.revision++
	schedule.ResourceVersion = strconv.Itoa(c.revision)
	key := schedule.Namespace + "/" + schedule.Name
	if was := c.schedules[key]; was == nil || !equality.Semantic.DeepEqual(was.Spec, schedule.Spec) {
		schedule.Generation++
	}
	c.schedules[key] = schedule
	if !c.held {
		c.watch.Set("", mustCompactSchedule(schedule))
	}
}

// update plays the controller, or anyone with kubectl.
func (c *scheduleCluster) update(t testing.TB, namespace, name string, change func(*v1alpha1.SpiderSchedule)) {
	t.Helper()
	changed := c.schedule(t, namespace, name)
	change(changed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record(changed)
}

// schedule returns a SpiderSchedule as it is recorded.
func (c *scheduleCluster) schedule(t testing.TB, namespace, name string) *v1alpha1.SpiderSchedule {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	schedule := c.schedules[namespace+"/"+name]
	if schedule == nil {
		t.Fatalf("there is no SpiderSchedule %s/%s", namespace, name)
	}
	return schedule.DeepCopy()
}

func (c *scheduleCluster) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[call]
}

func mustCompactSchedule(schedule *v1alpha1.SpiderSchedule) *view.Schedule {
	compact, err := view.FromSpiderSchedule(schedule)
	if err != nil {
		panic(err)
	}
	return compact
}

// health is what tests say it is.
type health struct {
	unsynced atomic.Bool
	age      atomic.Int64
	// scopes are the namespaces that are served, where these are not all.
	scopes sync.Map
}

func (h *health) Of(namespace string) kube.State {
	if state, ok := h.scopes.Load(namespace); ok {
		return state.(kube.State)
	}
	return kube.State{Synced: !h.unsynced.Load(), Age: time.Duration(h.age.Load())}
}

func (h *health) Scopes() map[string]kube.State {
	scopes := map[string]kube.State{}
	for namespace, state := range h.scopes.Range {
		scopes[namespace.(string)] = state.(kube.State)
	}
	if len(scopes) == 0 {
		scopes[""] = h.Of("")
	}
	return scopes
}

// testAPI is a server under test, its surroundings and a client.
type testAPI struct {
	t         testing.TB
	cluster   *cluster
	spiders   *spiderCluster
	schedules *scheduleCluster
	quotas    *view.Quotas
	node      *node
	keys      *auth.Keys
	health    *health
	server    *Server
	url       string
	log       *bytes.Buffer
}

// The bounds and addresses that the documentation has.
const (
	maxBody    = 128 << 10
	eventsPath = "/api/v1/jobs/events"
)

// generous limits do not get in a test's way.
var generous = guard.Limits{
	RequestsPerSecond:          1e6,
	Burst:                      1e6,
	NamespaceRequestsPerSecond: 1e6,
	FailuresPerMinute:          1e6,
	StreamsPerCaller:           1e6,
}

func newTestAPI(t testing.TB, change ...func(*Config)) *testAPI {
	t.Helper()
	spiders := view.NewSpiders()
	jobs := view.NewJobs(spiders)
	spiders.OnChange(jobs.RefreshSpider)
	spiders.Replace("", nil, "10")
	jobs.Replace("", nil, "10")
	schedules := view.NewSchedules()
	schedules.Replace("", nil, "10")
	quotas := view.NewQuotas()
	f := &testAPI{
		t:       t,
		cluster: &cluster{jobs: map[string]*v1alpha1.SpiderJob{}, calls: map[string]int{}, watch: jobs, revision: 10},
		spiders: &spiderCluster{spiders: map[string]*v1alpha1.Spider{}, calls: map[string]int{}, watch: spiders, revision: 10},
		schedules: &scheduleCluster{
			schedules: map[string]*v1alpha1.SpiderSchedule{}, calls: map[string]int{}, watch: schedules, revision: 10,
		},
		quotas: quotas,
		node:   newNode(),
		keys:   auth.NewKeys(time.Now),
		health: &health{},
		log:    &bytes.Buffer{},
	}
	config := Config{
		Jobs: jobs, Spiders: spiders, Schedules: schedules, Quotas: quotas,
		Kubernetes: f.cluster, KubernetesSpiders: f.spiders, KubernetesSchedules: f.schedules, Pods: f.node,
		Health: f.health, Authenticator: f.keys, Limits: generous,
		Registry: prometheus.NewRegistry(), Now: time.Now,
		Log: slog.New(slog.NewJSONHandler(&lockedWriter{w: f.log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&config)
	}
	server, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	f.server = server
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	t.Cleanup(server.Stop)
	f.url = listening.URL
	return f
}

// lockedWriter lets a test read the log that requests have written.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// key makes an API key for a user of a namespace.
func (f *testAPI) key(namespace, userID string, change ...func(*v1alpha1.APIKey)) string {
	f.t.Helper()
	key := auth.NewKey()
	object := &v1alpha1.APIKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "key-" + key.ID},
		Spec:       v1alpha1.APIKeySpec{KeyID: key.ID, Hash: key.Hash(namespace), UserID: userID},
	}
	for _, c := range change {
		c(object)
	}
	compact, err := auth.FromAPIKey(object)
	if err != nil {
		f.t.Fatal(err)
	}
	f.keys.Set("", compact)
	return key.Reveal()
}

// spider makes a Spider and returns its id.
func (f *testAPI) spider(namespace, name string, change ...func(*v1alpha1.Spider)) string {
	f.t.Helper()
	object := &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, c := range change {
		c(object)
	}
	created, err := f.spiders.Create(f.t.Context(), object)
	if err != nil {
		f.t.Fatal(err)
	}
	return created.ID()
}

// scheduled makes a SpiderSchedule as kubectl would, and returns its id.
func (f *testAPI) scheduled(namespace, name string, change ...func(*v1alpha1.SpiderSchedule)) string {
	f.t.Helper()
	object := &v1alpha1.SpiderSchedule{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(time.Now().Truncate(time.Second)),
		},
		Spec: v1alpha1.SpiderScheduleSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}, Cron: "30 2 * * *", TimeZone: "UTC"},
	}
	for _, c := range change {
		c(object)
	}
	f.schedules.mu.Lock()
	defer f.schedules.mu.Unlock()
	f.schedules.record(object)
	return object.ID()
}

// quota makes the SpiderQuota of a namespace, in place of the one that it has.
func (f *testAPI) quota(namespace string, spec v1alpha1.SpiderQuotaSpec) {
	f.t.Helper()
	f.spiders.mu.Lock()
	defer f.spiders.mu.Unlock()
	f.spiders.revision++
	quota, err := view.FromSpiderQuota(&v1alpha1.SpiderQuota{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: v1alpha1.SpiderQuotaName, ResourceVersion: strconv.Itoa(f.spiders.revision),
		},
		Spec: spec,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.quotas.Set("", quota)
}

// apply makes a SpiderJob as kubectl would, and returns its id.
func (f *testAPI) apply(namespace, name string, change ...func(*v1alpha1.SpiderJob)) string {
	f.t.Helper()
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}},
	}
	for _, c := range change {
		c(job)
	}
	created, err := f.cluster.Create(f.t.Context(), job)
	if err != nil {
		f.t.Fatal(err)
	}
	return created.ID()
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
	// closed says that the connection ends with the answer.
	closed bool
	// address is that of the request.
	address *url.URL
}

// at is where an address in the answer leads, by its path and query: a caller reads it relative to that of the request.
func (a answer) at(address string) string {
	a.t.Helper()
	to, err := a.address.Parse(address)
	if err != nil {
		a.t.Fatalf("address %q: %v", address, err)
	}
	return to.RequestURI()
}

// next is the address of the next page; empty on the last one.
func (a answer) next() string {
	a.t.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	address, last := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !last {
		a.t.Fatalf("Link is %q", link)
	}
	return a.at(address)
}

// call is one request; the zero value of a field leaves it out.
type call struct {
	method, path, key, body string
	header                  map[string]string
}

// send makes a request and holds the answer to the contract.
func (f *testAPI) send(c call) answer {
	f.t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), c.method, f.url+c.path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatalf("%s %s: reading the answer: %v", c.method, c.path, err)
	}
	if err := holdToContract(request, []byte(c.body), response, text); err != nil {
		f.t.Errorf("%s %s: %d %s breaks the contract: %v", c.method, c.path, response.StatusCode, text, err)
	}
	return answer{
		t:       f.t,
		status:  response.StatusCode,
		header:  response.Header,
		body:    string(text),
		closed:  response.Close,
		address: request.URL,
	}
}

func (f *testAPI) get(key, path string) answer {
	f.t.Helper()
	return f.send(call{method: http.MethodGet, path: path, key: key})
}

func (f *testAPI) cancel(key, id string) answer {
	f.t.Helper()
	return f.send(call{method: http.MethodDelete, path: "/api/v1/jobs/" + id, key: key})
}

func (f *testAPI) start(key, body string) answer {
	f.t.Helper()
	return f.send(call{method: http.MethodPost, path: "/api/v1/jobs", key: key, body: body, header: map[string]string{
		"Content-Type": "application/json",
	}})
}

// started starts a job and returns its id.
func (f *testAPI) started(key, body string) string {
	f.t.Helper()
	var job struct {
		JobID string `json:"jobId"`
	}
	f.start(key, body).want(http.StatusOK).into(&job)
	return job.JobID
}

// want ends the test unless the answer has this status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("answer %d %s, want %d", a.status, a.body, status)
	}
	return a
}

// wantProblem ends the test unless the answer is this error, its sentence with all of these parts.
func (a answer) wantProblem(status int, code string, parts ...string) {
	a.t.Helper()
	var problem struct{ Error, Code, Field string }
	a.want(status).into(&problem)
	if problem.Code == "invalid_request" && !strings.Contains(problem.Error, cmp.Or(problem.Field, "query")) {
		a.t.Errorf("error %q does not name its field %q", problem.Error, problem.Field)
	}
	if problem.Code != code {
		a.t.Errorf("code %q, want %q", problem.Code, code)
	}
	for _, part := range parts {
		if !strings.Contains(problem.Error, part) {
			a.t.Errorf("error %q does not say %q", problem.Error, part)
		}
	}
}

func (a answer) into(target any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), target); err != nil {
		a.t.Fatalf("answer %q: %v", a.body, err)
	}
}

// wantJSON fails the test unless the body has exactly these values.
func (a answer) wantJSON(want string) {
	a.t.Helper()
	var got, wanted any
	a.into(&got)
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		a.t.Fatalf("the test's own JSON %s: %v", want, err)
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(wanted); g != w {
		a.t.Errorf("body\n  %s\nwant\n  %s", a.body, want)
	}
}

// documented finds the operation that the contract has for a request.
var documented = sync.OnceValue(func() routers.Router {
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewCallbackValidator(func(s string) error {
		_, err := uuid.Parse(s)
		return err
	}))
	openapi3.DefineStringFormatValidator("date-time", openapi3.NewCallbackValidator(func(s string) error {
		_, err := time.Parse(time.RFC3339, s)
		return err
	}))
	document, err := contracttest.Closed(openAPI)
	if err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		panic(err)
	}
	return router
})

var contractOptions = &openapi3filter.Options{
	AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
	IncludeResponseStatus: true,
	MultiError:            true,
}

// localTime finds times that are not as the contract wants them: in UTC, to the second.
var localTime = regexp.MustCompile(`"[a-z]+_at":"[^"]*([^Z"]|[.][0-9]+Z)"`)

// requestID is the form that every request id has.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// holdToContract reports what in an answer is not as the contract says. A request that was served must have been one that the
// contract allows.
func holdToContract(request *http.Request, sent []byte, response *http.Response, body []byte) error {
	if !requestID.MatchString(response.Header.Get("X-Request-ID")) {
		return fmt.Errorf("X-Request-ID is %q", response.Header.Get("X-Request-ID"))
	}
	if local := localTime.Find(body); local != nil {
		return fmt.Errorf("%s is not in UTC, to the second", local)
	}
	address := &url.URL{Path: request.URL.Path, RawPath: request.URL.RawPath, RawQuery: request.URL.RawQuery}
	asked := request.Clone(context.Background())
	asked.URL, asked.Host = address, ""
	options := *contractOptions
	if request.Method == http.MethodHead { // As GET is answered, without the body.
		if asked.Method = http.MethodGet; len(body) > 0 {
			return fmt.Errorf("HEAD is answered with a body: %s", body)
		}
		options.ExcludeResponseBody = true
	}
	if err := holdCode(response.StatusCode, body); err != nil {
		return err
	}
	route, parameters, err := documented().FindRoute(asked)
	if err != nil || request.Method == http.MethodHead && response.StatusCode == http.StatusMethodNotAllowed {
		return holdUndocumented(request, response, body)
	}
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	if len(sent) > 0 && asked.Header.Get("Content-Type") == "" {
		asked.Header.Set("Content-Type", "application/json")
	}
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: parameters, Route: route, Options: contractOptions, QueryParams: asked.URL.Query(),
	}
	for name, values := range input.QueryParams { // What is empty is as good as absent, or was not served.
		if values = slices.DeleteFunc(values, func(value string) bool { return value == "" }); len(values) == 0 {
			delete(input.QueryParams, name)
		} else {
			input.QueryParams[name] = values
		}
	}
	if response.StatusCode < http.StatusBadRequest {
		err := openapi3filter.ValidateRequest(context.Background(), input)
		// The checker reads numbers as floating point, which holds no 1e400; the server keeps their text.
		if err != nil && !strings.Contains(err.Error(), "value out of range") {
			return fmt.Errorf("the contract does not allow the request that was served: %w", err)
		}
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &options,
	})
}

// codeStatuses are the statuses that the contract has for each code of an error.
var codeStatuses = sync.OnceValue(func() map[string]int {
	document, err := contracttest.Closed(openAPI)
	if err != nil {
		panic(err)
	}
	statuses, err := contracttest.CodeStatuses(document)
	if err != nil {
		panic(err)
	}
	return statuses
})

// holdCode checks that an error has a code of its status.
func holdCode(status int, body []byte) error {
	var problem struct{ Code string }
	if status < http.StatusBadRequest || !json.Valid(body) { // That of HEAD, say.
		return nil
	}
	if err := json.Unmarshal(body, &problem); err != nil || problem.Code == "" { // That of a probe, say.
		return err
	}
	if want := codeStatuses()[problem.Code]; want != status {
		return fmt.Errorf("the code %s is one of status %d, not %d", problem.Code, want, status)
	}
	return nil
}

// holdUndocumented checks answers for addresses and methods that the contract does not know.
func holdUndocumented(request *http.Request, response *http.Response, body []byte) error {
	if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
		return fmt.Errorf("status %d for what the contract does not know", response.StatusCode)
	}
	if request.Method == http.MethodHead {
		return nil
	}
	var problem map[string]string
	if err := json.Unmarshal(body, &problem); err != nil {
		return err
	}
	if problem["error"] == "" || problem["code"] == "" || problem["request_id"] != response.Header.Get("X-Request-ID") {
		return fmt.Errorf("not an error object: %v", problem)
	}
	return nil
}

// draining is the default configuration but for how it shuts down.
func draining(delay, timeout time.Duration) configv1alpha1.APIServerConfiguration {
	config := configv1alpha1.DefaultAPIServer()
	config.ShutdownDelay.Duration, config.DrainTimeout.Duration = delay, timeout
	return config
}
