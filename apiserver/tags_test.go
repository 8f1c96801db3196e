package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/kube"
)

// noted is what a job shows of tags, note and origin.
type noted struct {
	Tags         []string
	Note, Origin string
}

func (f *testAPI) noted(key, id string) (shown noted) {
	f.t.Helper()
	f.get(key, "/api/v1/jobs/"+id).want(http.StatusOK).into(&shown)
	return shown
}

func (f *testAPI) wantNoted(key, id, want string) {
	f.t.Helper()
	if got := fmt.Sprintf("%+v", f.noted(key, id)); got != want {
		f.t.Errorf("shown is %s, want %s", got, want)
	}
}

// tagged gives a job tags, as kubectl would.
func tagged(tags ...string) func(*v1alpha1.SpiderJob) {
	return func(job *v1alpha1.SpiderJob) { job.AddTags(tags...) }
}

func TestAStartTagsItsJob(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	longest := strings.Repeat("a", 63)
	id := f.started(key, `{"spider_name": "books", "tags": ["nightly", "EU_1.b-c", "`+longest+`"], "note": "<b>\u00e9</b>\n"}`)
	f.wantNoted(key, id, "{Tags:[EU_1.b-c "+longest+" nightly] Note:<b>é</b>\n Origin:api}")
	job := f.cluster.job(t, "team", id)
	if job.Labels["tag.scrapethis.app/nightly"] != "" || len(job.Labels) != 4 || job.Labels["scrapethis.app/origin"] != "api" {
		t.Errorf("labels %v", job.Labels)
	}
	if job.Annotations["scrapethis.app/note"] != "<b>é</b>\n" || len(job.Annotations) != 1 {
		t.Errorf("annotations %v", job.Annotations)
	}
	for _, body := range []string{
		`{"spider_name": "books"}`, `{"spider_name": "books", "tags": null, "note": null}`, `{"spider_name": "books", "tags": [], "note": ""}`,
	} {
		f.wantNoted(key, f.started(key, body), "{Tags:[] Note: Origin:api}")
	}
	// It is one request whatever it says.
	once := func(body string) answer {
		return f.send(call{method: http.MethodPost, path: "/api/v1/jobs", key: key, body: body, header: map[string]string{
			"Idempotency-Key": "once",
		}})
	}
	once(`{"spider_name": "books", "tags": ["a"], "note": "x"}`).want(http.StatusOK)
	once(`{"spider_name": "books", "tags": ["a"], "note": "x"}`).want(http.StatusOK)
	once(`{"spider_name": "books", "tags": ["b"], "note": "x"}`).wantProblem(http.StatusConflict, "idempotency_conflict")
}

// sixteen are as many tags as a caller can set.
func sixteen() (tags []string) {
	for i := range 16 {
		tags = append(tags, fmt.Sprintf("t%02d", i))
	}
	return tags
}

func quoted(tags []string) string { return `["` + strings.Join(tags, `", "`) + `"]` }

func TestBadTagsAndNotesAreRefused(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	path := "/api/v1/jobs/" + f.started(key, `{"spider_name": "books", "tags": `+quoted(sixteen())+`}`)
	before := f.cluster.count("create")
	for field, says := range map[string]string{
		`"tags": ["a", "b", "a"]`: `tags: "a" is given twice`, `"tags": [""]`: "tags", `"tags": ["-a"]`: "tags", `"tags": ["a-"]`: "tags",
		`"tags": ["a b"]`: `tags: "a b"`, `"tags": ["a,b"]`: "tags", `"tags": ["a/b"]`: "tags", `"tags": ["é"]`: "tags", `"tags": ["a\n"]`: "tags",
		`"tags": ["` + strings.Repeat("a", 64) + `"]`: "63", `"tags": ["` + strings.Repeat("a", 9999) + `"]`: "…",
		`"tags": "a"`: "list of strings", `"tags": {}`: "list of strings", `"tags": [1]`: "list of strings", `"tags": [null]`: "list of strings",
		`"tags": ["\ud800"]`: "tags", `"tags": ` + quoted(append(sixteen(), "one-more")): "at most 16",
		`"note": 1`: "note", `"note": []`: "note", `"note": "\ud800"`: "surrogate",
		`"note": "` + strings.Repeat("x", 1025) + `"`: "1024 bytes", `"note": "` + strings.Repeat("é", 513) + `"`: "1024 bytes",
		`"Tags": []`: "no such field", `"Priority": 1`: "no such field", `"origin": "api"`: "no such field",
	} {
		f.start(key, `{"spider_name": "books", `+field+`}`).wantProblem(http.StatusBadRequest, "invalid_request", says)
		f.patch(key, path, `{`+field+`}`).wantProblem(http.StatusBadRequest, "invalid_request", says)
	}
	f.patch(key, path, `{"tags": [], "tags": []}`).wantProblem(http.StatusBadRequest, "invalid_request", "twice")
	f.patch(key, path, `[]`).wantProblem(http.StatusBadRequest, "malformed_body")
	if n := f.cluster.count("create") - before + f.cluster.count("patch"); n > 0 {
		t.Errorf("%d of the refused bodies were written", n)
	}
	f.patch(key, path, `{"note": "`+strings.Repeat("é", 512)+`"}`).want(http.StatusOK)
}

func TestTagsAndNoteOfAJobChange(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	id := f.apply("team", "a", finishedJob, func(job *v1alpha1.SpiderJob) {
		job.Labels = map[string]string{"team": "books"}
		job.Annotations = map[string]string{"team": "books"}
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"q": "x"}
	})
	path := "/api/v1/jobs/" + id
	change := func(body, want string) {
		t.Helper()
		a := f.patch(key, path, body).want(http.StatusOK)
		read := f.get(key, path)
		if a.body != read.body || a.header.Get("ETag") != read.header.Get("ETag") {
			t.Errorf("%s is answered %s %s, and then %s %s", body, a.header.Get("ETag"), a.body, read.header.Get("ETag"), read.body)
		}
		f.wantNoted(key, id, want)
	}
	change(`{"tags": ["eu", "nightly"], "note": "look"}`, "{Tags:[eu nightly] Note:look Origin:kubectl}")
	change(`{}`, "{Tags:[eu nightly] Note:look Origin:kubectl}")
	change(`{"tags": ["nightly", "us"]}`, "{Tags:[nightly us] Note:look Origin:kubectl}")
	change(`{"note": null}`, "{Tags:[nightly us] Note: Origin:kubectl}")
	change(`{"note": "again"}`, "{Tags:[nightly us] Note:again Origin:kubectl}")
	writes := f.cluster.count("patch")
	change(`{"tags": ["us", "nightly"], "note": "again"}`, "{Tags:[nightly us] Note:again Origin:kubectl}")
	if f.cluster.count("patch") != writes {
		t.Error("what changes nothing is written")
	}
	change(`{"note": "", "tags": null}`, "{Tags:[] Note: Origin:kubectl}")
	change(`{"tags": []}`, "{Tags:[] Note: Origin:kubectl}")
	job := f.cluster.job(t, "team", "a")
	if len(job.Labels) != 1 || len(job.Annotations) != 1 || job.Generation != 1 {
		t.Errorf("the job has the labels %v, the annotations %v, and the generation %d", job.Labels, job.Annotations, job.Generation)
	}
	var listed []noted
	change(`{"tags": ["eu"], "note": "look"}`, "{Tags:[eu] Note:look Origin:kubectl}")
	f.get(key, "/api/v1/jobs").into(&listed)
	if fmt.Sprintf("%+v", listed) != "[{Tags:[eu] Note:look Origin:kubectl}]" {
		t.Errorf("listed are %+v", listed)
	}
	for _, other := range []string{f.key("team", "bob"), f.key("team", ""), f.key("other", "alice")} {
		f.patch(other, path, `{"tags": []}`).wantProblem(http.StatusNotFound, "not_found")
	}
	f.patch(key, "/api/v1/jobs/unknown", `{"tags": []}`).wantProblem(http.StatusNotFound, "not_found")
	f.cluster.delete("team", "a")
	f.patch(key, path, `{"tags": []}`).wantProblem(http.StatusNotFound, "not_found")
}

// Arguments that only Kubernetes has are not in the answer to a change, whose ETag says so.
func TestAChangeLeavesOutLongArguments(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/jobs/" + f.apply("team", "a", func(job *v1alpha1.SpiderJob) {
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"q": v1alpha1.ArgumentValue(strings.Repeat("x", 300))}
	})
	var job contract.Job
	a := f.patch(key, path, `{"note": "look"}`).want(http.StatusOK)
	a.into(&job)
	if job.ArgumentsOmitted == nil || job.Arguments != nil {
		t.Errorf("the answer is %s", a.body)
	}
	if tag := f.get(key, path).header.Get("ETag"); tag == a.header.Get("ETag") {
		t.Error("the ETag is that of an answer with arguments")
	}
	f.conditional(http.MethodPatch, key, path, `{"note": "look again"}`, a.header.Get("ETag")).want(http.StatusOK)
}

// Whoever can write labels and annotations can write more of them than the REST API.
func TestHandWrittenTagsAndNotes(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a", tagged(sixteen()...), tagged("a-first", "z-hidden"), func(job *v1alpha1.SpiderJob) {
		job.Labels["tag.scrapethis.app/b-second"] = "with-a-value"
		job.Labels["tag.scrapethis.app"], job.Labels["tag.scrapethis.app.example/c"] = "", ""
		job.Labels["scrapethis.app/origin"] = "novel"
		job.Annotations = map[string]string{"scrapethis.app/note": strings.Repeat("x", 1023) + strings.Repeat("é", 1000)}
	})
	shown := f.noted(key, id)
	if want := append([]string{"a-first", "b-second"}, sixteen()[:14]...); !slices.Equal(shown.Tags, want) {
		t.Errorf("tags %v, want %v", shown.Tags, want)
	}
	if shown.Note != strings.Repeat("x", 1023) || shown.Origin != "kubectl" {
		t.Errorf("the note has %d bytes, the origin is %s", len(shown.Note), shown.Origin)
	}
	f.patch(key, "/api/v1/jobs/"+id, `{"tags": ["a-first"]}`).want(http.StatusOK)
	if tags := f.cluster.job(t, "team", "a").Tags(); !slices.Equal(tags, []string{"a-first"}) {
		t.Errorf("left are %v", tags)
	}
	for _, origin := range []string{"api", "schedule", "backfill", "rerun"} {
		id := f.apply("team", "of-"+origin, func(job *v1alpha1.SpiderJob) {
			job.Labels = map[string]string{v1alpha1.LabelOrigin: origin}
		})
		f.wantNoted(key, id, "{Tags:[] Note: Origin:"+origin+"}")
	}
}

func TestAJobIsChangedOnlyInTheStateThatIsMeant(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/jobs/" + f.apply("team", "a")
	change := func(body, tag string) answer { return f.conditional(http.MethodPatch, key, path, body, tag) }
	first := f.get(key, path).header.Get("ETag")
	change(`{"tags": ["x"]}`, `"other"`).wantProblem(http.StatusPreconditionFailed, "precondition_failed", "This job has changed")
	f.cluster.update(t, "team", "a", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseRunning })
	second := change(`{"tags": ["x"]}`, "W/"+first).want(http.StatusOK).header.Get("ETag")
	for _, body := range []string{`{"tags": ["y"]}`, `{"note": "y"}`, `{}`} {
		change(body, first).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	}
	f.conditional(http.MethodDelete, key, path, "", first).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	third := change(`{"note": "y"}`, second).want(http.StatusOK).header.Get("ETag")
	change(`{"note": "z"}`, second).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	f.cluster.held = true // Kubernetes is asked: this server has not seen the change of another one.
	f.cluster.update(t, "team", "a", func(job *v1alpha1.SpiderJob) { job.Annotations[v1alpha1.AnnotationNote] = "another's" })
	change(`{"note": "z"}`, third).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	change(`{"note": "z"}`, "*").want(http.StatusOK)
}

func TestAChangeThatMeetsTroubles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail   func(attempt int, recorded bool) error
		status int
		code   string
	}{
		"a moment's failure": {func(attempt int, recorded bool) error {
			if attempt == 1 && !recorded {
				return apierrors.NewServiceUnavailable("rolling")
			}
			return nil
		}, http.StatusOK, ""},
		"an answer that is lost": {func(attempt int, recorded bool) error {
			if attempt == 1 && recorded {
				return errors.New("connection reset by peer")
			}
			return nil
		}, http.StatusOK, ""},
		"seven newer states": {func(attempt int, recorded bool) error {
			if attempt < 8 && !recorded {
				return apierrors.NewConflict(resource, "a", errors.New("it has changed"))
			}
			return nil
		}, http.StatusOK, ""},
		"newer states for ever": {func(int, bool) error {
			return apierrors.NewConflict(resource, "a", errors.New("it has changed"))
		}, http.StatusConflict, "changing"},
		"no connection": {func(int, bool) error { return errors.New("connection refused") }, http.StatusServiceUnavailable, "unavailable"},
		"a policy": {func(int, bool) error {
			return apierrors.NewForbidden(resource, "a", errors.New("a policy says no"))
		}, http.StatusForbidden, "forbidden"},
		"a deletion": {func(int, bool) error { return apierrors.NewNotFound(resource, "a") }, http.StatusNotFound, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTestAPI(t)
			key := f.key("team", "")
			path := "/api/v1/jobs/" + f.apply("team", "a")
			tag := f.get(key, path).header.Get("ETag")
			f.cluster.fail = func(call string, recorded bool) error {
				if call != "patch" {
					return nil
				}
				return test.fail(f.cluster.calls["patch"], recorded)
			}
			a := f.conditional(http.MethodPatch, key, path, `{"tags": ["x"], "note": "y"}`, tag).want(test.status)
			if test.code != "" {
				a.wantProblem(test.status, test.code)
			}
			if test.code == "unavailable" && (a.header.Get("Retry-After") == "" || f.cluster.count("patch") != kube.WriteAttempts) {
				t.Errorf("Retry-After is %q after %d attempts", a.header.Get("Retry-After"), f.cluster.count("patch"))
			}
			if written := len(f.cluster.job(t, "team", "a").Tags()) == 1; written != (test.status == http.StatusOK) {
				t.Errorf("it is written: %t", written)
			}
		})
	}
}

func TestAChangeOfAJobThatHasBecomeAnothersIsNotFound(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	id := f.apply("team", "a", ofAlice)
	f.cluster.held = true
	f.recreate("team", "a", "bob", asItIs)
	f.patch(alice, "/api/v1/jobs/"+id, `{"tags": ["x"]}`).wantProblem(http.StatusNotFound, "not_found")
	if f.cluster.count("patch") > 0 {
		t.Error("alice has changed bob's job")
	}
}

// Whoever follows jobs is told of their tags.
func TestAChangeIsAnEvent(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	events := f.open(key, eventsPath)
	events.want("ready", "")
	f.patch(key, "/api/v1/jobs/"+id, `{"tags": ["eu"], "note": "look"}`).want(http.StatusOK)
	events.want("job", `"origin":"kubectl","tags":["eu"],"note":"look"`)
}

// wantListed holds a list to the jobs that it has, and reads all of its pages.
func (f *testAPI) wantListed(key, query string, want ...string) {
	f.t.Helper()
	got := []string{}
	for path := "/api/v1/jobs?limit=2&" + query; path != ""; {
		a := f.get(key, path).want(http.StatusOK)
		got, path = append(got, idsOf(a)...), a.next()
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.t.Errorf("%s lists %v, want %v", query, got, want)
	}
}

func TestFiltersByTagOriginAndSchedule(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	ofSchedule := func(name, origin string) func(*v1alpha1.SpiderJob) {
		return func(job *v1alpha1.SpiderJob) {
			job.Labels = map[string]string{v1alpha1.LabelSchedule: name, v1alpha1.LabelOrigin: origin}
		}
	}
	plain := f.apply("team", "plain", ofAlice)
	eu := f.apply("team", "eu", ofAlice, tagged("eu"))
	both := f.apply("team", "both", ofAlice, ofSchedule("nightly", "schedule"), tagged("eu", "us"))
	back := f.apply("team", "back", ofAlice, ofSchedule("nightly", "backfill"), tagged("us"))
	other := f.apply("team", "other", ofAlice, ofSchedule("weekly", "schedule"), finishedJob)
	api := f.started(key, `{"spider_name": "books", "tags": ["EU"]}`)
	f.apply("team", "bobs", func(job *v1alpha1.SpiderJob) { job.Spec.UserID = "bob" }, ofSchedule("nightly", "schedule"), tagged("eu"))
	nightly := f.cluster.job(t, "team", "both").ScheduleID()

	for query, want := range map[string][]string{
		"tag=eu":                 {eu, both},
		"tag=eu&tag=us":          {both},
		"tag=us":                 {both, back},
		"tag=EU":                 {api},
		"tag=none":               {},
		"tag=us&lacks_tag=eu":    {back},
		"lacks_tag=eu":           {plain, back, other, api},
		"lacks_tag=none":         {plain, eu, both, back, other, api},
		"origin=api":             {api},
		"origin=kubectl":         {plain, eu},
		"origin=schedule":        {both, other},
		"origin=backfill":        {back},
		"origin=rerun":           {},
		"schedule_id=" + nightly: {both, back},
		"schedule_id=" + strings.ToUpper(nightly):                         {both, back},
		"schedule_id=" + nightly + "&tag=eu":                              {both},
		"schedule_id=" + f.cluster.job(t, "team", "plain").ID():           {},
		"origin=schedule&status=finished":                                 {other},
		"origin=schedule&status=pending&status=running&spider_name=books": {both},
		"tag=eu&created_after=2025-01-15T10:30:00Z":                       {eu, both},
		"tag=&lacks_tag=&origin=&schedule_id=":                            {plain, eu, both, back, other, api},
	} {
		f.wantListed(key, query, want...)
	}
	f.patch(key, "/api/v1/jobs/"+eu, `{"tags": ["us"]}`).want(http.StatusOK)
	f.wantListed(key, "tag=eu", both)
	f.wantListed(key, "tag=us", both, back, eu)
	f.cluster.delete("team", "both")
	f.wantListed(key, "tag=eu")

	for query, field := range map[string]string{
		"tag=a+b": "tag", "tag=-a": "tag", "tag=a,b": "tag", "tag=" + strings.Repeat("a", 64): "tag",
		"tag=" + strings.Join(append(sixteen(), "x"), "&tag="): "at most 16",
		"lacks_tag=a+b": "lacks_tag", "lacks_tag=a&lacks_tag=b": "more than once",
		"origin=API": "origin", "origin=novel": "origin", "origin=api&origin=rerun": "more than once",
		"schedule_id=7": "schedule_id", "schedule_id=nightly": "schedule_id", "tags=a": "no such parameter",
	} {
		f.get(key, "/api/v1/jobs?"+query).wantProblem(http.StatusBadRequest, "invalid_request", field)
	}
}

// A page that no index serves looks at 10,000 jobs, and then says where to go on, though it has no job.
func TestAPageIsCutShortAfterLookingAtManyJobs(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "alice")
	oldest := f.apply("team", "oldest", ofAlice, func(job *v1alpha1.SpiderJob) { job.CreationTimestamp = *at(10, 30) })
	for i := range 10_500 {
		job := &v1alpha1.SpiderJob{}
		job.Namespace, job.Name, job.ResourceVersion = "team", fmt.Sprint("many-", i), fmt.Sprint(1000+i)
		job.CreationTimestamp, job.Spec.UserID = *at(11, 0), "alice"
		job.AddTags("many")
		f.cluster.watch.Set("", mustCompact(job))
	}
	first := f.get(key, "/api/v1/jobs?lacks_tag=many").want(http.StatusOK)
	if ids := idsOf(first); len(ids) != 0 || first.next() == "" {
		t.Fatalf("the first page has %d jobs, the next is at %q", len(ids), first.next())
	}
	second := f.get(key, first.next()).want(http.StatusOK)
	if ids := idsOf(second); !slices.Equal(ids, []string{oldest}) || second.next() != "" {
		t.Errorf("the second page has %v, the next is at %q", ids, second.next())
	}
	f.wantListed(key, "lacks_tag=many", oldest)
}

func TestRunsInheritTheTagsOfTheirSpider(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	var made contract.Spider
	f.post(key, "/api/v1/spiders", `{"name": "books", "repo_path": null, "tags": ["shop", "eu"]}`).want(http.StatusOK).into(&made)
	path := "/api/v1/spiders/" + made.ID
	wantTags := func(want ...string) {
		t.Helper()
		var one contract.Spider
		var list []contract.Spider
		f.get(key, path).want(http.StatusOK).into(&one)
		f.get(key, "/api/v1/spiders").want(http.StatusOK).into(&list)
		for _, spider := range append(list, one) {
			if tags := spider.Tags; len(want) == 0 && tags != nil || len(want) > 0 && (tags == nil || !slices.Equal(*tags, want)) {
				t.Errorf("the spider shows the tags %v, want %v", tags, want)
			}
		}
	}
	wantTags("eu", "shop")
	first := f.started(key, `{"spider_name": "books"}`)
	f.wantNoted(key, first, "{Tags:[eu shop] Note: Origin:api}")
	f.wantNoted(key, f.started(key, `{"spider_name": "books", "tags": ["z", "eu"]}`), "{Tags:[eu shop z] Note: Origin:api}")

	f.patch(key, path, `{"tags": `+quoted(sixteen())+`}`).want(http.StatusOK)
	wantTags(sixteen()...)
	f.start(key, `{"spider_name": "books", "tags": ["x"]}`).
		wantProblem(http.StatusBadRequest, "invalid_request", "tags: may be at most 16, and would be 17 with those of the spider")
	f.started(key, `{"spider_name": "books", "tags": ["t00"]}`)
	f.wantNoted(key, first, "{Tags:[eu shop] Note: Origin:api}")
	f.wantNoted(key, rerunID(f.rerun(key, first, "")), "{Tags:[eu shop] Note: Origin:rerun}")
	f.patch(key, path, `{"description": "x"}`).want(http.StatusOK)
	wantTags(sixteen()...)
	for _, none := range []string{`{"tags": []}`, `{"tags": null}`} {
		f.patch(key, path, `{"tags": ["a"]}`).want(http.StatusOK)
		f.patch(key, path, none).want(http.StatusOK)
		wantTags()
	}
	if tags := f.spiders.spider(t, "team", made.ID).Spec.Tags; tags != nil {
		t.Errorf("the Spider has the tags %v", tags)
	}
	for _, bad := range []string{`["a", "a"]`, `["a b"]`, `"a"`, `[1]`, quoted(append(sixteen(), "x"))} {
		f.patch(key, path, `{"tags": `+bad+`}`).wantProblem(http.StatusBadRequest, "invalid_request", "tags")
		f.post(key, "/api/v1/spiders", `{"name": "b", "repo_path": null, "tags": `+bad+`}`).
			wantProblem(http.StatusBadRequest, "invalid_request", "tags")
	}
}
