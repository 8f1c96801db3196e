package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

func (f *testAPI) post(key, path, body string) answer {
	f.t.Helper()
	return f.send(call{method: http.MethodPost, path: path, key: key, body: body})
}

func (f *testAPI) patch(key, path, body string) answer {
	f.t.Helper()
	return f.send(call{method: http.MethodPatch, path: path, key: key, body: body})
}

func (f *testAPI) delete(key, path string) answer {
	f.t.Helper()
	return f.send(call{method: http.MethodDelete, path: path, key: key})
}

// made makes a spider by REST and returns its id.
func (f *testAPI) made(key, name string) string {
	f.t.Helper()
	var spider contract.Spider
	f.post(key, "/api/v1/spiders", `{"name": "`+name+`", "repo_path": "spiders/`+name+`.py"}`).want(http.StatusOK).into(&spider)
	return spider.ID
}

// TestASpiderWithoutAFileIsAskedFor holds that repo_path may be null, and then is no more, but is not left out by mistake.
func TestASpiderWithoutAFileIsAskedFor(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.post(key, "/api/v1/spiders", `{"name": "Größe 2"}`).wantProblem(http.StatusBadRequest, "invalid_request", "repo_path", "null")
	var made contract.Spider
	f.post(key, "/api/v1/spiders", `{"name": "Größe 2", "repo_path": null}`).want(http.StatusOK).into(&made)
	path := "/api/v1/spiders/" + made.ID
	if spec := f.spiders.spider(t, "team", made.ID).Spec; spec.Name != "Größe 2" || spec.RepoPath != "" || made.RepoPath != nil {
		t.Errorf("the spider is %+v, shown as %+v", spec, made)
	}
	f.patch(key, path, `{"repo_path": "a.py"}`).want(http.StatusOK)
	if spec := f.spiders.spider(t, "team", made.ID).Spec; spec.RepoPath != "a.py" {
		t.Errorf("with a repo_path the spider is %+v", spec)
	}
	f.patch(key, path, `{"repo_path": null}`).want(http.StatusOK)
	if spec := f.spiders.spider(t, "team", made.ID).Spec; spec.RepoPath != "" {
		t.Errorf("with the repo_path taken away the spider is %+v", spec)
	}
	f.started(key, `{"spider_name": "Größe 2"}`)
	f.start(key, `{"spider_name": "größe 2"}`).wantProblem(http.StatusNotFound, "not_found")
}

func TestLifeOfASpider(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	a := f.post(key, "/api/v1/spiders", `{"name": "books", "repo_path": "spiders/books.py", "description": "All books",
		"settings": {"DOWNLOAD_DELAY": 0.50, "USER_AGENT": "me", "JOBDIR": null}}`).want(http.StatusOK)
	var made contract.Spider
	a.into(&made)
	path := "/api/v1/spiders/" + made.ID
	if id, err := uuid.Parse(made.ID); err != nil || id.Version() != 7 || a.at(a.header.Get("Location")) != path {
		t.Errorf("id %s at %q, want a UUIDv7 at its address", made.ID, a.header.Get("Location"))
	}
	created := made.CreatedAt.Format("2006-01-02T15:04:05Z")
	shown := func(name, repoPath, rest string) string {
		return fmt.Sprintf(
			`{"id": %q, "name": %q, "repo_path": %q, %s "repo_id": null, "user_id": "alice", "created_at": %q}`, made.ID, name, repoPath,
			rest, created,
		)
	}
	first := shown(
		"books", "spiders/books.py", `"description": "All books", "settings": {"DOWNLOAD_DELAY": "0.50", "USER_AGENT": "me"},`,
	)
	a.wantJSON(first)
	f.get(key, path).want(http.StatusOK).wantJSON(first)
	f.get(key, "/api/v1/spiders").want(http.StatusOK).wantJSON("[" + first + "]")
	stored := f.spiders.spider(t, "team", made.ID).Spec
	if stored.UserID != "alice" || stored.Image != "" || len(stored.Settings) != 2 {
		t.Errorf("stored spec %+v", stored)
	}

	second := shown("tomes", "spiders/books.py", `"settings": {"USER_AGENT": "you", "LOG_LEVEL": "DEBUG"},`)
	f.patch(key, path, `{"name": "tomes", "description": null, "settings": {"DOWNLOAD_DELAY": null, "USER_AGENT": "you", "LOG_LEVEL": "DEBUG"}}`).
		want(http.StatusOK).
		wantJSON(second)
	f.patch(key, path, `{}`).want(http.StatusOK).wantJSON(second)
	f.patch(key, path, `{"settings": null, "repo_path": "tomes.py"}`).
		want(http.StatusOK).
		wantJSON(shown("tomes", "tomes.py", `"settings": {},`))

	job := f.started(key, `{"spider_id": "`+made.ID+`"}`)
	f.delete(key, path).want(http.StatusOK).wantJSON(`{"ok": true, "message": "Spider deleted"}`)
	f.get(key, path).wantProblem(http.StatusNotFound, "not_found")
	f.delete(key, path).wantProblem(http.StatusNotFound, "not_found")
	f.start(key, `{"spider_id": "`+made.ID+`"}`).wantProblem(http.StatusNotFound, "not_found")
	var left contract.Job
	f.get(key, "/api/v1/jobs/"+job).want(http.StatusOK).into(&left)
	if left.Spider.ID != made.ID || left.Spider.Name != "tomes" {
		t.Errorf("a job of a deleted spider shows %+v", left.Spider)
	}
}

func TestBadSpidersAreRefusedByName(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/spiders/" + f.made(key, "books")
	for field, bodies := range map[string][]string{
		"name": {
			`{"repo_path": "a.py"}`, `{"name": null, "repo_path": "a.py"}`, `{"name": "", "repo_path": "a.py"}`, `{"name": 1, "repo_path": "a.py"}`,
			`{"name": "-a", "repo_path": "a.py"}`, `{"name": "  ", "repo_path": "a.py"}`, `{"name": "\u00a0\u3000", "repo_path": "a.py"}`,
			`{"name": "a\n", "repo_path": "a.py"}`, `{"name": "a\u0085", "repo_path": "a.py"}`, `{"name": "\u007f", "repo_path": "a.py"}`,
			`{"name": "` + strings.Repeat("é", 129) + `", "repo_path": "a.py"}`,
			`{"name": "a", "name": "b", "repo_path": "a.py"}`,
		},
		"repo_path": {
			`{"name": "a"}`, `{"name": "a", "repo_path": ""}`, `{"name": "a", "repo_path": "/a.py"}`,
			`{"name": "a", "repo_path": "-a"}`, `{"name": "a", "repo_path": "a/../b"}`, `{"name": "a", "repo_path": ".."}`,
			`{"name": "a", "repo_path": "a\u0000"}`, `{"name": "a", "repo_path": "a\n"}`, `{"name": "a", "repo_path": "` + strings.Repeat("é", 513) + `"}`,
			`{"name": "a", "repo_path": "\ud800"}`,
		},
		"description": {`{"name": "a", "repo_path": "a", "description": 1}`, `{"name": "a", "repo_path": "a", "description": "` + strings.Repeat("é", 1025) + `"}`},
		"settings": {
			`{"name": "a", "repo_path": "a", "settings": []}`, `{"name": "a", "repo_path": "a", "settings": {"lower": 1}}`,
			`{"name": "a", "repo_path": "a", "settings": {"A": "` + strings.Repeat("x", 4097) + `"}}`,
			`{"name": "a", "repo_path": "a", "settings": {"A": "\u0000"}}`, `{"name": "a", "repo_path": "a", "settings": ` + settingsOf(65) + `}`,
		},
		"image":   {`{"name": "a", "repo_path": "a", "image": "evil"}`},
		"command": {`{"name": "a", "repo_path": "a", "command": ["sh"]}`},
		"pod":     {`{"name": "a", "repo_path": "a", "pod": {}}`},
		"user_id": {`{"name": "a", "repo_path": "a", "user_id": "bob"}`},
		"Name":    {`{"Name": "a", "repo_path": "a"}`},
	} {
		for _, body := range bodies {
			f.post(key, "/api/v1/spiders", body).wantProblem(http.StatusBadRequest, "invalid_request", field)
			if body != `{"repo_path": "a.py"}` && body != `{"name": "a"}` { // What is not given stays.
				f.patch(key, path, body).wantProblem(http.StatusBadRequest, "invalid_request", field)
			}
		}
	}
	f.post(key, "/api/v1/spiders", `[]`).wantProblem(http.StatusBadRequest, "malformed_body")
	f.send(call{method: http.MethodPost, path: "/api/v1/spiders", key: key, body: `{}`, header: map[string]string{"Content-Type": "text/plain"}}).
		wantProblem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	for _, query := range []string{"Name=a", "spider_name=a", "name=" + strings.Repeat("a", 129), "limit=0", "limit=1001", "limit=x", "cursor=x", "limit=1&limit=2"} {
		field, _, _ := strings.Cut(query, "=")
		f.get(key, "/api/v1/spiders?"+query).wantProblem(http.StatusBadRequest, "invalid_request", field)
	}
	if n := f.spiders.count("create"); n != 1 {
		t.Errorf("%d creations reached Kubernetes, want the good one", n)
	}
	if n := f.spiders.count("patch"); n != 0 {
		t.Errorf("%d bad changes reached Kubernetes", n)
	}
}

// settingsOf is an object of so many settings.
func settingsOf(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"S%d": 1`, i))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestSettingsAreCountedAfterAChange(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/spiders/" + f.made(key, "books")
	f.patch(key, path, `{"settings": `+settingsOf(64)+`}`).want(http.StatusOK)
	f.patch(key, path, `{"settings": {"ONE_MORE": 1}}`).wantProblem(http.StatusBadRequest, "invalid_request", "settings", "64")
	f.patch(key, path, `{"settings": {"ONE_MORE": 1, "S0": null}}`).want(http.StatusOK)
}

func TestTwoSpidersOfOneName(t *testing.T) {
	f := newTestAPI(t)
	team, alice, bob := f.key("team", ""), f.key("team", "alice"), f.key("team", "bob")
	shared := f.spider("team", "shared")
	f.made(alice, "mine")
	f.made(bob, "mine") // Neither sees the other's.
	for _, name := range []string{"shared", "mine"} {
		f.post(alice, "/api/v1/spiders", `{"name": "`+name+`", "repo_path": "a"}`).wantProblem(http.StatusConflict, "spider_exists")
	}
	other := f.made(alice, "other")
	f.patch(alice, "/api/v1/spiders/"+other, `{"name": "mine"}`).wantProblem(http.StatusConflict, "spider_exists")
	f.patch(alice, "/api/v1/spiders/"+other, `{"name": "other"}`).want(http.StatusOK)
	f.patch(team, "/api/v1/spiders/"+shared, `{"name": "Shared"}`).want(http.StatusOK)
	f.made(f.key("elsewhere", ""), "shared")

	answers := make([]int, 20)
	var together sync.WaitGroup
	for i := range answers {
		together.Go(func() {
			answers[i] = f.post(alice, "/api/v1/spiders", `{"name": "raced", "repo_path": "a"}`).status
		})
	}
	together.Wait()
	slices.Sort(answers)
	if answers[0] != http.StatusOK || answers[1] != http.StatusConflict {
		t.Errorf("at once, one name is answered %v, want one 200", answers)
	}
}

// TestNobodyTouchesAnothersSpiders tries every call with every wrong key.
func TestNobodyTouchesAnothersSpiders(t *testing.T) {
	f := newTestAPI(t)
	keys := map[string]string{
		"team": f.key(
			"team",
			"",
		),
		"team, as team":  f.key("team", "team"),
		"team, alice":    f.key("team", "alice"),
		"team, bob":      f.key("team", "bob"),
		"other":          f.key("other", ""),
		"other, alice":   f.key("other", "alice"),
		"other, as team": f.key("other", "team"),
	}
	type owned struct {
		id              string
		seenBy, ownedBy []string
	}
	inTeam, theTeam := []string{"team", "team, as team", "team, alice", "team, bob"}, []string{"team"}
	spiders := map[string]owned{
		"shared, by kubectl": {f.spider("team", "by-kubectl"), inTeam, theTeam},
		"shared, by REST":    {f.made(keys["team"], "by-rest"), inTeam, theTeam},
		"alice's":            {f.made(keys["team, alice"], "alices"), []string{"team, alice"}, []string{"team, alice"}},
		"the team user's":    {f.made(keys["team, as team"], "teams"), []string{"team, as team"}, []string{"team, as team"}},
		"other alice's":      {f.made(keys["other, alice"], "others"), []string{"other, alice"}, []string{"other, alice"}},
	}
	for whose, spider := range spiders {
		for name, key := range keys {
			path := "/api/v1/spiders/" + spider.id
			seen := slices.Contains(spider.seenBy, name)
			if listed := slices.Contains(idsOf(f.get(key, "/api/v1/spiders")), spider.id); listed != seen {
				t.Errorf("%s spider is listed for %s: %t", whose, name, listed)
			}
			switch {
			case slices.Contains(spider.ownedBy, name):
				f.get(key, path).want(http.StatusOK)
			case seen:
				f.get(key, path).want(http.StatusOK)
				f.patch(key, path, `{"description": "x"}`).wantProblem(http.StatusForbidden, "not_yours")
				f.patch(key, path, `{}`).wantProblem(http.StatusForbidden, "not_yours")
				f.delete(key, path).wantProblem(http.StatusForbidden, "not_yours")
			default:
				f.get(key, path).wantProblem(http.StatusNotFound, "not_found")
				f.patch(key, path, `{"description": "x"}`).wantProblem(http.StatusNotFound, "not_found")
				f.delete(key, path).wantProblem(http.StatusNotFound, "not_found")
				f.start(key, `{"spider_id": "`+spider.id+`"}`).wantProblem(http.StatusNotFound, "not_found")
			}
		}
	}
	for _, c := range []call{
		{method: http.MethodGet, path: "/api/v1/spiders"}, {method: http.MethodPost, path: "/api/v1/spiders", body: `{}`},
		{method: http.MethodGet, path: "/api/v1/spiders/" + spiders["alice's"].id},
		{method: http.MethodPatch, path: "/api/v1/spiders/" + spiders["alice's"].id, body: `{}`},
		{method: http.MethodDelete, path: "/api/v1/spiders/" + spiders["alice's"].id},
	} {
		f.send(c).wantProblem(http.StatusUnauthorized, "unauthorized")
	}
	if n := f.spiders.count("patch") + f.spiders.count("delete"); n != 0 {
		t.Errorf("%d writes to others' spiders reached Kubernetes", n)
	}
	f.delete(keys["team"], "/api/v1/spiders/"+spiders["shared, by REST"].id).want(http.StatusOK)
	f.delete(keys["team, as team"], "/api/v1/spiders/"+spiders["the team user's"].id).want(http.StatusOK)
}

func TestSpidersAreListedInPages(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	names := map[string]string{}
	add := func(name, userID string, minute int) {
		id := f.spider("team", name, func(s *v1alpha1.Spider) {
			s.Spec.Name, s.Spec.UserID, s.CreationTimestamp = strings.ToUpper(name), userID, *at(10, minute)
		})
		names[id] = name
	}
	for i, name := range []string{"ab", "bc", "cd", "de", "ef"} {
		add(name, []string{"", "alice"}[i%2], i)
		add("x"+name, "bob", i)
	}
	for query, want := range map[string]string{
		"": "ef de cd bc ab", "limit=2": "ef de", "name=E": "ef de", "name=e&limit=1": "ef", "name=bob": "", "name=x": "", "name=&limit=&_=1": "ef de cd bc ab",
	} {
		var got []string
		for _, id := range idsOf(f.get(key, "/api/v1/spiders?"+query)) {
			got = append(got, names[id])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("?%s shows %v, want %s", query, got, want)
		}
	}
	var got []string
	for next := "/api/v1/spiders?name=%63&limit=1"; next != ""; {
		page := f.get(key, next)
		for _, id := range idsOf(page) {
			got = append(got, names[id])
		}
		next = page.next()
		add(fmt.Sprint("late-c", len(got)), "", 30+len(got))
	}
	if strings.Join(got, " ") != "cd bc" {
		t.Errorf("page by page the spiders are %v, want cd and bc", got)
	}
	if body := strings.TrimSpace(f.get(f.key("empty", ""), "/api/v1/spiders").want(http.StatusOK).body); body != "[]" {
		t.Errorf("no spiders are shown as %s, want []", body)
	}
}

func TestOwnSpiderWritesAreSeenAtOnce(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spiders.held = true // The watch shows nothing of what follows.
	id := f.made(key, "books")
	path := "/api/v1/spiders/" + id
	if ids := idsOf(f.get(key, "/api/v1/spiders")); !slices.Equal(ids, []string{id}) {
		t.Errorf("spiders %v, want %s", ids, id)
	}
	stale := f.spiders.spider(t, "team", id)
	f.patch(key, path, `{"name": "tomes"}`).want(http.StatusOK)
	f.spiders.watch.Set("", mustCompactSpider(stale)) // The watch comes after.
	f.started(key, `{"spider_name": "tomes"}`)
	f.start(key, `{"spider_name": "books"}`).wantProblem(http.StatusNotFound, "not_found")
	f.delete(key, path).want(http.StatusOK)
	f.spiders.watch.Set("", mustCompactSpider(stale))
	f.get(key, path).wantProblem(http.StatusNotFound, "not_found")
	if ids := idsOf(f.get(key, "/api/v1/spiders")); len(ids) != 0 {
		t.Errorf("spiders %v after the only one was deleted", ids)
	}
}

func TestUnknownSpiderIsAskedOfKubernetes(t *testing.T) {
	f := newTestAPI(t)
	key, alice := f.key("team", ""), f.key("team", "alice")
	f.spiders.held = true // As if another replica had made it a moment ago.
	const name = "0198b2a0-0000-7000-8000-000000000001"
	f.spider("team", name, func(s *v1alpha1.Spider) { s.Spec.UserID = "alice" })
	f.get(key, "/api/v1/spiders/"+name).wantProblem(http.StatusNotFound, "not_found")
	f.started(alice, `{"spider_id": "`+name+`"}`)
	f.get(alice, "/api/v1/spiders/"+name).want(http.StatusOK)
	f.get(key, "/api/v1/spiders/"+name).wantProblem(http.StatusNotFound, "not_found")
	if n := f.spiders.count("get"); n != 1 {
		t.Errorf("Kubernetes was asked %d times, want once", n)
	}
	f.spiders.fail = func(string, bool) error { return errors.New("connection refused") }
	f.get(key, "/api/v1/spiders/0198b2a0-0000-7000-8000-000000000002").wantProblem(http.StatusServiceUnavailable, "unavailable")
	f.get(alice, "/api/v1/spiders/"+name).want(http.StatusOK)
}

func TestSpiderWritesMeetOthers(t *testing.T) {
	// setUp makes a spider of alice's whose next change is preceded by one of somebody else's.
	setUp := func(t *testing.T, change func(*v1alpha1.Spider)) (f *testAPI, key, path string) {
		f = newTestAPI(t)
		key = f.key("team", "alice")
		id := f.made(key, "books")
		f.spiders.held = true
		left := 1
		f.spiders.meanwhile = func() {
			if left--; left >= 0 {
				changed := f.spiders.spiders["team/"+id].DeepCopy()
				change(changed)
				f.spiders.record(changed)
			}
		}
		return f, key, "/api/v1/spiders/" + id
	}
	t.Run("another's change of another field stays", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.Spider) { s.Spec.Description = "theirs" })
		a := f.patch(key, path, `{"repo_path": "mine.py"}`).want(http.StatusOK)
		if !strings.Contains(a.body, "theirs") || !strings.Contains(a.body, "mine.py") {
			t.Errorf("body %s, want both changes", a.body)
		}
	})
	t.Run("a spider that became another's meanwhile is not written", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.Spider) { s.Spec.UserID = "bob" })
		f.patch(key, path, `{"repo_path": "mine.py"}`).wantProblem(http.StatusNotFound, "not_found")
	})
	t.Run("a spider that became shared meanwhile is not deleted", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.Spider) { s.Spec.UserID = "" })
		f.delete(key, path).wantProblem(http.StatusForbidden, "not_yours")
		f.get(key, path).want(http.StatusOK)
	})
	t.Run("a spider that was changed meanwhile is deleted all the same", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.Spider) { s.Spec.Description = "theirs" })
		f.delete(key, path).want(http.StatusOK)
		f.get(key, path).wantProblem(http.StatusNotFound, "not_found")
	})
	t.Run("one that changes without end is given up", func(t *testing.T) {
		f, key, path := setUp(t, func(*v1alpha1.Spider) {})
		f.spiders.meanwhile = func() {
			for _, s := range f.spiders.spiders {
				f.spiders.record(s.DeepCopy())
			}
		}
		f.patch(key, path, `{"repo_path": "mine.py"}`).wantProblem(http.StatusConflict, "changing")
	})
}

func TestSpiderWritesWithoutKubernetes(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.made(key, "books")
	path := "/api/v1/spiders/" + id
	f.spiders.fail = func(string, bool) error { return errors.New("connection refused") }
	for _, a := range []answer{
		f.post(key, "/api/v1/spiders", `{"name": "news", "repo_path": "a"}`), f.patch(key, path, `{"name": "news"}`), f.delete(key, path),
	} {
		a.wantProblem(http.StatusServiceUnavailable, "unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	f.get(key, path).want(http.StatusOK)

	// The answer to the first attempt is lost, the object is there.
	lost := false
	f.spiders.fail = func(call string, recorded bool) error {
		if call == "create" && recorded && !lost {
			lost = true
			return errors.New("connection reset")
		}
		return nil
	}
	f.made(key, "news")
	if ids := idsOf(f.get(key, "/api/v1/spiders")); len(ids) != 2 {
		t.Errorf("%d spiders, want 2", len(ids))
	}
}

func TestSpiderWritesAreAudited(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	id := f.made(key, "books")
	f.patch(key, "/api/v1/spiders/"+id, `{"description": "x"}`).want(http.StatusOK)
	f.delete(key, "/api/v1/spiders/"+id).want(http.StatusOK)
	audited := 0
	for line := range strings.Lines(f.log.String()) {
		if strings.Contains(line, `"msg":"audit"`) && strings.Contains(line, `"object":"team/`+id+`"`) {
			audited++
		}
	}
	if audited != 3 {
		t.Errorf("%d writes were audited, want 3", audited)
	}
}

func TestKubectlsSpiderIsShownByItsResourcesName(t *testing.T) {
	f := newTestAPI(t)
	id := f.spider("team", "books", func(s *v1alpha1.Spider) { s.CreationTimestamp = *at(10, 30) })
	f.get(f.key("team", "alice"), "/api/v1/spiders/"+id).want(http.StatusOK).
		wantJSON(`{"id": "` + id + `", "name": "books", "settings": {}, "repo_id": null, "user_id": "team", "created_at": "2025-01-15T10:30:00Z"}`)
}

// A caller can make spiders of 100 KiB each: a page of a thousand of them would take the server's memory.
func TestPageOfLargeSpidersIsBounded(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "alice")
	settings := map[string]v1alpha1.SettingValue{}
	for i := range 25 {
		settings[fmt.Sprintf("SETTING_%d", i)] = v1alpha1.SettingValue(strings.Repeat("x", allowed.MaxSettingValue))
	}
	const count = 45
	for i := range count {
		f.spider("team", fmt.Sprintf("books-%d", i), func(s *v1alpha1.Spider) { s.Spec.Settings = settings })
	}
	seen := map[string]bool{}
	for path := "/api/v1/spiders?limit=1000"; path != ""; {
		a := f.get(key, path).want(http.StatusOK)
		if len(a.body) > 2<<20 {
			t.Fatalf("a page has %d bytes", len(a.body))
		}
		var page []contract.Spider
		a.into(&page)
		for _, spider := range page {
			if seen[spider.ID] {
				t.Errorf("%s is shown twice", spider.Name)
			}
			seen[spider.ID] = true
		}
		path = a.next()
	}
	if len(seen) != count {
		t.Errorf("%d spiders are shown, want %d", len(seen), count)
	}
}

// Spiders have shown and taken a repository in other servers: here there is none.
func TestSpidersHaveNoRepository(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	var made struct{ ID string }
	f.post(key, "/api/v1/spiders", `{"name": "books", "repo_path": "a.py", "repo_id": null}`).want(http.StatusOK).into(&made)
	f.patch(key, "/api/v1/spiders/"+made.ID, `{"repo_id": null}`).want(http.StatusOK)
	for _, value := range []string{`"0198b2a0-6c1e-4f7a-9d33-5f0f3f0f6a11"`, `""`, `0`, `false`, `{}`, `[null]`} {
		f.post(key, "/api/v1/spiders", `{"name": "b", "repo_path": "a", "repo_id": `+value+`}`).
			wantProblem(http.StatusBadRequest, "invalid_request", "repo_id")
		f.patch(key, "/api/v1/spiders/"+made.ID, `{"repo_id": `+value+`}`).
			wantProblem(http.StatusBadRequest, "invalid_request", "repo_id")
	}
}
