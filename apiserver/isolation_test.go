package apiserver

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/rest"
)

// marker stands in everything of alice's that an answer could tell.
const marker = "s3cret"

// possessions are one job, one spider and one schedule, alice's in the namespace team.
type possessions struct {
	job, spider, schedule string
	// jobTag, spiderTag and scheduleTag are the ETags that alice knows of them.
	jobTag, spiderTag, scheduleTag string
}

// attempt is a call that means to reach what is alice's.
type attempt struct {
	call
	// own is how alice is answered, and others how whoever is known and has the right to the call is; 0 where they make a thing of
	// their own by it.
	own, others int
}

// attempts are calls to reach what is alice's, by route. What others make by them is their own.
func (p *possessions) attempts() map[string][]attempt {
	job, spider, schedule := "/api/v1/jobs/"+p.job, "/api/v1/spiders/"+p.spider, "/api/v1/schedules/"+p.schedule
	read := func(path string, own, others int, header ...string) attempt {
		a := attempt{call{method: http.MethodGet, path: path, header: map[string]string{}}, own, others}
		for i := 0; i < len(header); i += 2 {
			a.header[header[i]] = header[i+1]
		}
		return a
	}
	write := func(method, path, body string, own, others int) attempt {
		return attempt{
			call{method: method, path: path, body: body, header: map[string]string{"Idempotency-Key": "nightly"}},
			own,
			others,
		}
	}
	conditional := func(method, path, body string, own, others int, tag string) attempt {
		return attempt{call{method: method, path: path, body: body, header: map[string]string{"If-Match": tag}}, own, others}
	}
	return map[string][]attempt{
		"GET /api/v1/jobs": {
			read("/api/v1/jobs", 200, 200), read("/api/v1/jobs?spider_id="+p.spider, 200, 200),
			read("/api/v1/jobs?spider_name="+marker, 200, 200), read("/api/v1/jobs?status=running&limit=1000", 200, 200),
		},
		"POST /api/v1/jobs": {
			write("POST", "/api/v1/jobs", `{"spider_id": "`+p.spider+`"}`, 200, 404),
			write("POST", "/api/v1/jobs", `{"spider_name": "`+marker+`"}`, 409, 404), // alice has used this key before.
		},
		"GET /api/v1/jobs/:id": {
			read(job, 200, 404), read(job+"?wait=1ms", 200, 404), read(job, 304, 404, "If-None-Match", p.jobTag),
			read(job, 304, 404, "If-None-Match", "*"),
		},
		"POST /api/v1/jobs/:id/rerun": {
			attempt{call{method: http.MethodPost, path: job + "/rerun"}, 200, 404},
			write("POST", job+"/rerun", "{}", 409, 404), // alice has used this key before.
		},
		"PATCH /api/v1/jobs/:id": {
			write("PATCH", job, `{}`, 200, 404), conditional("PATCH", job, `{"note": "x"}`, 412, 404, `"other"`),
			conditional("PATCH", job, `{"tags": ["`+marker+`"]}`, 200, 404, p.jobTag),
		},
		"DELETE /api/v1/jobs/:id": {
			conditional(
				"DELETE", job, "", 412, 404, `"other"`,
			),
			conditional("DELETE", job, "", 200, 404, p.jobTag),
			write("DELETE", job, "", 200, 404),
		},
		"GET /api/v1/jobs/:id/logs": {read(job+"/logs", 200, 404), read(job+"/logs?tail=1&since=1h", 200, 404)},
		"GET /api/v1/jobs/summary":  {read("/api/v1/jobs/summary", 200, 200)},
		"GET /api/v1/jobs/events":   {}, // TestEventsTellNothingOfOthers.
		"GET /api/v1/spiders":       {read("/api/v1/spiders", 200, 200), read("/api/v1/spiders?name="+marker, 200, 200)},
		"POST /api/v1/spiders":      {write("POST", "/api/v1/spiders", `{"name": "`+marker+`", "repo_path": "a.py"}`, 409, 0)},
		"GET /api/v1/spiders/:id": {
			read(spider, 200, 404), read(spider, 304, 404, "If-None-Match", p.spiderTag), read(spider, 304, 404, "If-None-Match", "*"),
		},
		"PATCH /api/v1/spiders/:id": {write("PATCH", spider, `{}`, 200, 404), write("PATCH", spider, `{"description": null}`, 200, 404),
			conditional("PATCH", spider, `{}`, 412, 404, `"other"`), conditional("PATCH", spider, `{}`, 200, 404, "*")},
		"DELETE /api/v1/spiders/:id": {write("DELETE", spider, "", 200, 404)},
		"GET /api/v1/schedules": {
			read("/api/v1/schedules", 200, 200), read("/api/v1/schedules?spider_id="+p.spider, 200, 200),
			read("/api/v1/schedules?enabled=true&limit=1000", 200, 200),
		},
		"POST /api/v1/schedules": {
			write("POST", "/api/v1/schedules", `{"spider_id": "`+p.spider+`", "cron_expression": "@daily"}`, 200, 404),
		},
		"PATCH /api/v1/schedules/:id": {
			write("PATCH", schedule, `{}`, 200, 404), write("PATCH", schedule, `{"description": "x"}`, 200, 404),
			conditional("PATCH", schedule, `{}`, 412, 404, `"other"`), conditional("PATCH", schedule, `{}`, 200, 404, "*"),
		},
		"GET /api/v1/schedules/preview": {read("/api/v1/schedules/preview?cron_expression=@daily", 200, 200)},
		"POST /api/v1/schedules/:id/run": {
			attempt{call{method: "POST", path: schedule + "/run", header: map[string]string{"Idempotency-Key": "now"}}, 200, 404},
			attempt{call{method: "POST", path: schedule + "/run"}, 200, 404},
		},
		"POST /api/v1/schedules/:id/backfill": {
			write("POST", schedule+"/backfill", `{"start": "2025-01-15T00:00:00Z", "end": "2025-01-15T12:00:00Z"}`, 200, 404),
		},
		"DELETE /api/v1/schedules/:id": {write("DELETE", schedule, "", 200, 404)},
		"GET /api/v1/schedules/:id": {
			read(schedule, 200, 404), read(schedule, 304, 404, "If-None-Match", p.scheduleTag),
			read(schedule, 304, 404, "If-None-Match", "*"),
		},
		"GET /api/v1/queue": {read("/api/v1/queue", 200, 200)},
		"GET /api/v1/me":    {read("/api/v1/me", 200, 200)},
	}
}

// furnish gives alice something to be looked for.
func (f *testAPI) furnish(t *testing.T, alice string) *possessions {
	t.Helper()
	p := &possessions{}
	p.spider = f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.UserID, s.Spec.Name, s.Spec.Description, s.Spec.RepoPath = "alice", marker, marker, marker+".py"
		s.Spec.Settings = map[string]v1alpha1.SettingValue{"USER_AGENT": marker}
	})
	id, pod := f.running(t, "team", "a-job", func(job *v1alpha1.SpiderJob) {
		job.Spec.UserID, job.Status.Message = "alice", marker
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"token": marker}
		job.Annotations = map[string]string{v1alpha1.AnnotationNote: marker}
		job.AddTags(marker)
	})
	pod.write(marker)
	p.job = id
	p.schedule = f.scheduled("team", "a-schedule", func(s *v1alpha1.SpiderSchedule) {
		s.Spec.SpiderRef.Name = "books"
		s.Spec.UserID, s.Spec.DisplayName, s.Spec.Arguments = "alice", marker, map[string]v1alpha1.ArgumentValue{"token": marker}
	})
	p.scheduleTag = f.get(alice, "/api/v1/schedules/"+p.schedule).want(http.StatusOK).header.Get("ETag")
	p.jobTag = f.get(alice, "/api/v1/jobs/"+p.job).want(http.StatusOK).header.Get("ETag")
	p.spiderTag = f.get(alice, "/api/v1/spiders/"+p.spider).want(http.StatusOK).header.Get("ETag")
	return p
}

// strangers are credentials that are not accepted.
func (f *testAPI) strangers(good string) map[string]string {
	key := func(change func(*v1alpha1.APIKey)) string { return f.key("team", "alice", change) }
	return map[string]string{
		"nobody":           "",
		"a malformed key":  good[:len(good)-1] + "_",
		"an unknown key":   auth.NewKey().Reveal(),
		"an unknown token": crawlersToken + "x",
		"an expired key":   key(func(k *v1alpha1.APIKey) { k.Spec.ExpiresAt = new(metav1.NewTime(time.Now().Add(-time.Second))) }),
		"a revoked key":    key(func(k *v1alpha1.APIKey) { k.DeletionTimestamp = new(metav1.Now()) }),
		"a copied key":     key(func(k *v1alpha1.APIKey) { k.Namespace = "other" }),
	}
}

// look makes an attempt, and holds that it is answered so and tells nothing of alice's.
func (f *testAPI) look(who, key string, a attempt, status int, mine *possessions) {
	f.t.Helper()
	a.key = key
	answered := f.send(a.call)
	if answered.status != status {
		f.t.Errorf("%s: %s %s %v is answered %d %s, want %d", who, a.method, a.path, a.header, answered.status, answered.body, status)
	}
	told := answered.body + answered.header.Get("Link") + answered.header.Get("ETag")
	for _, secret := range []string{
		marker, mine.job, mine.spider, mine.schedule, mine.jobTag, mine.spiderTag, mine.scheduleTag,
	} {
		if strings.Contains(told, secret) {
			f.t.Errorf("%s: %s %s tells %s of alice's: %s", who, a.method, a.path, secret, told)
		}
	}
}

// everyRight is what a service account has that may do everything in its namespace.
func everyRight() (rights []string) {
	for _, access := range rest.Accesses {
		for _, verb := range access.Verbs {
			rights = append(rights, "crawler team "+verb+" "+access.Resource)
		}
	}
	return rights
}

// TestNobodyReachesWhatIsAnothers tries every route with every wrong caller. A route without an attempt fails it.
func TestNobodyReachesWhatIsAnothers(t *testing.T) {
	t.Parallel()
	known := &accounts{}
	f := newTestAPI(t, withAccounts(known))
	alice := f.key("team", "alice")
	mine := f.furnish(t, alice)
	strangers, attempts := f.strangers(alice), mine.attempts()
	others := map[string]string{
		"alice of another namespace": f.key("other", "alice"), "another user": f.key("team", "bob"), "the namespace": f.key("team", ""),
		"another namespace": f.key("other", ""), "a service account": crawlersToken,
	}
	var reads, writes []attempt
	for _, route := range f.server.engine.Routes() {
		name := strings.Replace(route.Method, http.MethodHead, http.MethodGet, 1) + " " + route.Path
		tries, tried := attempts[name]
		tries = slices.Clone(tries)
		for i := range tries {
			tries[i].method = route.Method // HEAD tells of everything that GET does, but by its headers alone.
		}
		if tried != strings.HasPrefix(route.Path, "/api/") {
			t.Errorf("%s: an attempt to reach another's by it is known: %t", name, tried)
		}
		for _, a := range tries {
			if !strings.HasPrefix(name, http.MethodGet) {
				writes = append(writes, a)
			} else {
				reads = append(reads, a)
			}
			for who, key := range strangers {
				f.look(who, key, a, http.StatusUnauthorized, mine)
			}
			if len(rest.Accesses[name].Verbs) > 0 {
				f.look("a service account without rights", crawlersToken, a, http.StatusForbidden, mine)
			}
		}
	}
	known.rights = everyRight()
	for _, a := range append(reads, writes...) {
		for who, key := range others {
			if a.others != 0 {
				f.look(who, key, a, a.others, mine)
			}
		}
	}
	if n := f.cluster.count("cancel") + f.cluster.count("patch") + f.spiders.count("patch") + f.spiders.count("delete") +
		f.schedules.count("create") + f.schedules.count("patch") + f.schedules.count("delete"); n > 0 {
		t.Errorf("%d writes to what is alice's have reached Kubernetes", n)
	}
	for who, key := range others { // The name of what is alice's is free for what is theirs.
		a := attempts["POST /api/v1/spiders"][0]
		a.key = key
		var made contract.Spider
		if f.send(a.call).want(http.StatusOK).into(&made); made.UserID == "alice" && who != "alice of another namespace" {
			t.Errorf("%s has made a spider of alice's", who)
		}
		f.delete(key, "/api/v1/spiders/"+made.ID).want(http.StatusOK)
	}
	// There is something to be reached by each attempt.
	slices.SortStableFunc(writes, func(a, b attempt) int { return strings.Compare(b.method, a.method) }) // DELETE is last.
	for _, a := range append(reads, writes...) {
		a.key = alice
		if answered := f.send(a.call); answered.status != a.own {
			t.Errorf("alice: %s %s %v is answered %d %s, want %d", a.method, a.path, a.header, answered.status, answered.body, a.own)
		}
	}
}

// TestEventsTellNothingOfOthers opens events with every wrong caller, at the beginning and behind an event of alice's.
func TestEventsTellNothingOfOthers(t *testing.T) {
	known := &accounts{}
	f := newTestAPI(t, withAccounts(known))
	alice := f.key("team", "alice")
	hers := f.open(alice, eventsPath, "Last-Event-ID", "0")
	hers.want("reset", "")
	last := hers.want("ready", "").id
	mine := f.furnish(t, alice)
	hers.want("job", mine.job)
	for who, key := range f.strangers(alice) {
		f.look(who, key, attempt{call: call{method: http.MethodGet, path: eventsPath}}, http.StatusUnauthorized, mine)
	}
	f.look(
		"a service account without rights", crawlersToken, attempt{call: call{method: http.MethodGet, path: eventsPath}},
		http.StatusForbidden, mine,
	)
	known.rights = everyRight()
	for who, caller := range map[string]struct{ key, namespace, user string }{
		"alice of another namespace": {f.key("other", "alice"), "other", "alice"},
		"another user":               {f.key("team", "bob"), "team", "bob"},
		"the namespace":              {f.key("team", ""), "team", ""},
		"a service account":          {crawlersToken, "team", ""},
	} {
		behind := f.open(caller.key, eventsPath, "Last-Event-ID", last)
		fromZero := f.open(caller.key, eventsPath, "Last-Event-ID", "0")
		fromZero.want("reset", "")
		until := func(events *opened, kind, about string) {
			for e := events.event(); ; e = events.event() {
				if strings.Contains(e.data, marker) || strings.Contains(e.data, mine.job) {
					t.Errorf("%s is told %v", who, e)
				}
				if e.event == kind && strings.Contains(e.data, about) {
					return
				}
			}
		}
		until(fromZero, "ready", "")
		f.cluster.update(t, "team", "a-job", func(job *v1alpha1.SpiderJob) { job.Status.Attempts++ })
		own := f.apply(caller.namespace, "own-"+strings.ReplaceAll(who, " ", "-"), func(job *v1alpha1.SpiderJob) {
			job.Spec.UserID, job.Spec.SpiderRef.Name = caller.user, "shared"
		})
		until(behind, "job", own)
		until(fromZero, "job", own)
	}
}
