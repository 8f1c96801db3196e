package apiserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestArgumentsReachTheSpiderJobToTheByte starts jobs with arguments of every JSON type and of hostile content.
func TestArgumentsReachTheSpiderJobToTheByte(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	for _, test := range []struct{ sent, want string }{
		{`"plain"`, "plain"},
		{`""`, ""},
		{`"a \"b\" 'c' \\ \/ \n\r\t\b\f"`, "a \"b\" 'c' \\ / \n\r\t\b\f"},
		{`"--option"`, "--option"},
		{`"$(HOME) $$(X) ${Y} $Z ` + "`id`" + ` ; rm -rf /"`, "$(HOME) $$(X) ${Y} $Z `id` ; rm -rf /"},
		{`"<script>&amp;</script>"`, "<script>&amp;</script>"},
		{`"é \u00e9 \ud83d\ude00 😀 \u2028"`, "é é 😀 😀 \u2028"}, //nolint:dupword // One is escaped.
		{`"\\ud800"`, `\ud800`},
		{`"\u0001\u007f"`, "\u0001\u007f"},
		{`1`, "1"}, {`1.0`, "1.0"}, {`-0`, "-0"}, {`1e400`, "1e400"}, {`1E+2`, "1E+2"},
		{`123456789012345678901234567890`, "123456789012345678901234567890"},
		{`true`, "true"}, {`false`, "false"}, {`null`, "null"},
		{`[ 1, "a b" , { "k" : "<&>" } ]`, `[1,"a b",{"k":"<&>"}]`},
		{`{ "b" : 1.50, "a" : [ ] , "b" : 2 }`, `{"b":1.50,"a":[],"b":2}`},
		{`{"u": "\u00e9\ud83d\ude00\/"}`, `{"u":"\u00e9\ud83d\ude00\/"}`},
		{`"` + strings.Repeat("x", 32<<10-1) + `"`, strings.Repeat("x", 32<<10-1)},
	} {
		t.Run(fmt.Sprintf("%.40s", test.sent), func(t *testing.T) {
			id := f.started(key, `{"spider_name": "books", "arguments": {"a": `+test.sent+`}}`)
			if got := string(f.cluster.job(t, "team", id).Spec.Arguments["a"]); got != test.want {
				t.Errorf("argument %q, want %q", got, test.want)
			}
		})
	}
}

func TestArgumentNamesAreWhatScrapyTakes(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	for name, fine := range map[string]bool{
		"a": true, "_": true, "max_pages": true, "Ünïcode": true, "名前": true, "a1": true, strings.Repeat("a", 256): true,
		"1a": true, "a-b": true, "a b": true, " ": true, "a.b": true, "$(X)": true, "a\\\\n": true, strings.Repeat("é", 256): true,
		"": false, "a=b": false, "=": false, "-a": false, "--loglevel": false, `a\u0000`: false, `a\n`: false, `\u0085`: false,
		`\ud800`: false, strings.Repeat("a", 257): false,
	} {
		a := f.start(key, `{"spider_name": "books", "arguments": {"`+name+`": "v"}}`)
		if fine {
			a.want(http.StatusOK)
		} else {
			a.wantProblem(http.StatusBadRequest, "invalid_request", "arguments.", "name")
		}
	}
}

func TestBadBodiesAreRefusedByName(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.AllowedSettings = []string{"DOWNLOAD_DELAY"}
		s.Spec.TimeoutSeconds, s.Spec.Retries = new(int64(600)), new(int32(2))
		s.Spec.StartDeadlineSeconds = new(int64(300))
	})
	f.spider("team", "plain")
	many := func(n int, value string) string {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"a%d": %s`, i, value))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	for _, test := range []struct {
		body string
		code string
		says []string
	}{
		{``, "malformed_body", []string{"empty"}},
		{"  \n", "malformed_body", []string{"empty"}},
		{`{`, "malformed_body", []string{"JSON"}},
		{`{"spider_name": "books",}`, "malformed_body", []string{"byte 25"}},
		{`{"spider_name": "books"} {}`, "malformed_body", []string{"byte"}},
		{`{"spider_name": "books"} x`, "malformed_body", nil},
		{"\ufeff{}", "malformed_body", nil},
		{`{'spider_name': 'books'}`, "malformed_body", nil},
		{`[]`, "malformed_body", []string{"object"}},
		{`"books"`, "malformed_body", []string{"object"}},
		{`null`, "malformed_body", []string{"object"}},
		{`1`, "malformed_body", []string{"object"}},
		{"{\"spider_name\": \"b\xff\"}", "malformed_body", []string{"UTF-8"}},
		{strings.Repeat(`[`, 20000), "malformed_body", nil},
		{`{"spider_name": "books", "argumentz": {}}`, "invalid_request", []string{"argumentz"}},
		{`{"Spider_Name": "books"}`, "invalid_request", []string{"Spider_Name"}},
		{`{"spider_name": "books", "": 1}`, "invalid_request", []string{`""`}},
		{`{"spider_name": "books", "spider_name": "books"}`, "invalid_request", []string{"spider_name", "twice"}},
		{`{"spider_name": "books", "arguments": {"a": 1, "\u0061": 2}}`, "invalid_request", []string{"arguments.a", "twice"}},
		{`{"spider_name": 1}`, "invalid_request", []string{"spider_name", "string"}},
		{`{"spider_id": ["x"]}`, "invalid_request", []string{"spider_id", "string"}},
		{`{"spider_name": "\ud800"}`, "invalid_request", []string{"spider_name", "surrogate"}},
		{`{"spider_name": "books", "arguments": []}`, "invalid_request", []string{"arguments", "object"}},
		{`{"spider_name": "books", "arguments": "a"}`, "invalid_request", []string{"arguments", "object"}},
		{`{"spider_name": "books", "arguments": {"a": "x\u0000y"}}`, "invalid_request", []string{"arguments.a", "NUL"}},
		{`{"spider_name": "books", "arguments": {"a": "\udc00"}}`, "invalid_request", []string{"arguments.a", "surrogate"}},
		{`{"spider_name": "books", "arguments": {"a": "\ud800\ud800"}}`, "invalid_request", []string{"arguments.a", "surrogate"}},
		{`{"spider_name": "books", "arguments": {"a": "` + strings.Repeat("x", 32<<10) + `"}}`, "invalid_request", []string{"arguments", "32768"}},
		{`{"spider_name": "books", "arguments": ` + many(129, `"v"`) + `}`, "invalid_request", []string{"arguments", "128"}},
		{`{"spider_name": "books", "settings": {"LOG_FILE": "/x"}}`, "invalid_request", []string{"settings.LOG_FILE", "allow"}},
		{`{"spider_name": "plain", "settings": {"DOWNLOAD_DELAY": 1}}`, "invalid_request", []string{"settings.DOWNLOAD_DELAY"}},
		{`{"spider_name": "books", "settings": {"download_delay": 1}}`, "invalid_request", []string{"settings.download_delay"}},
		{`{"spider_name": "books", "settings": {"DOWNLOAD_DELAY": "` + strings.Repeat("1", 4097) + `"}}`, "invalid_request", []string{"4096"}},
		{`{"spider_name": "books", "settings": []}`, "invalid_request", []string{"settings", "object"}},
		{`{"spider_name": "books", "timeout_seconds": 601}`, "invalid_request", []string{"timeout_seconds", "600"}},
		{`{"spider_name": "books", "timeout_seconds": 0}`, "invalid_request", []string{"timeout_seconds"}},
		{`{"spider_name": "books", "timeout_seconds": 1.5}`, "invalid_request", []string{"timeout_seconds", "whole"}},
		{`{"spider_name": "books", "timeout_seconds": "60"}`, "invalid_request", []string{"timeout_seconds", "whole"}},
		{`{"spider_name": "books", "timeout_seconds": 1e400}`, "invalid_request", []string{"timeout_seconds"}},
		{`{"spider_name": "plain", "timeout_seconds": 31536001}`, "invalid_request", []string{"timeout_seconds"}},
		{`{"spider_name": "books", "start_deadline_seconds": 301}`, "invalid_request", []string{"start_deadline_seconds", "300"}},
		{`{"spider_name": "books", "start_deadline_seconds": 0}`, "invalid_request", []string{"start_deadline_seconds"}},
		{`{"spider_name": "books", "start_deadline_seconds": 1.5}`, "invalid_request", []string{"start_deadline_seconds", "whole"}},
		{`{"spider_name": "books", "start_deadline_seconds": "60"}`, "invalid_request", []string{"start_deadline_seconds", "whole"}},
		{`{"spider_name": "plain", "start_deadline_seconds": 31536001}`, "invalid_request", []string{"start_deadline_seconds"}},
		{`{"spider_name": "books", "retries": 3}`, "invalid_request", []string{"retries", "2"}},
		{`{"spider_name": "plain", "retries": 1}`, "invalid_request", []string{"retries", "0"}},
		{`{"spider_name": "books", "retries": -1}`, "invalid_request", []string{"retries"}},
		{`{"spider_name": "books", "retries": true}`, "invalid_request", []string{"retries"}},
	} {
		t.Run(fmt.Sprintf("%.70q", test.body), func(t *testing.T) {
			f := *f
			f.t = t
			f.start(key, test.body).wantProblem(http.StatusBadRequest, test.code, test.says...)
		})
	}
	if n := f.cluster.count("create"); n != 0 {
		t.Errorf("%d of the refused bodies made a job", n)
	}
}

func TestBodiesThatAreNoJSONOrTooLarge(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	post := func(contentType, body string) answer {
		c := call{method: http.MethodPost, path: "/api/v1/jobs", key: key, body: body}
		if contentType != "" {
			c.header = map[string]string{"Content-Type": contentType}
		}
		return f.send(c)
	}
	const body = `{"spider_name": "books"}`
	for contentType, fine := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true, "APPLICATION/JSON;charset=UTF-8": true,
		"text/plain": false, "application/x-www-form-urlencoded": false, "application/json; charset=latin1": false, "json": false,
	} {
		if a := post(contentType, body); fine {
			a.want(http.StatusOK)
		} else {
			a.wantProblem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
	}
	post("application/json", strings.Repeat(" ", maxBody)+body).wantProblem(http.StatusRequestEntityTooLarge, "body_too_large")
}

func TestRunOptionsReachTheSpiderJob(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.Name, s.Spec.AllowedSettings = "Books", []string{"DOWNLOAD_DELAY", "USER_AGENT"}
		s.Spec.TimeoutSeconds, s.Spec.Retries = new(int64(600)), new(int32(2))
		s.Spec.StartDeadlineSeconds = new(int64(300))
	})
	id := f.started(
		key, `{"spider_name": "Books", "timeout_seconds": 600, "start_deadline_seconds": 300, "retries": 2, "arguments": null,
		"settings": {"DOWNLOAD_DELAY": 0.50, "USER_AGENT": "me"}}`,
	)
	want := v1alpha1.SpiderJobSpec{
		SpiderRef:      v1alpha1.SpiderReference{Name: "books"},
		UserID:         "alice",
		Settings:       map[string]v1alpha1.SettingValue{"DOWNLOAD_DELAY": "0.50", "USER_AGENT": "me"},
		TimeoutSeconds: new(int64(600)), StartDeadlineSeconds: new(int64(300)), Retries: new(int32(2)),
	}
	if diff := gocmp.Diff(want, f.cluster.job(t, "team", id).Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

// A spider without a bound of its own leaves callers free, and a start that names none leaves the bound to the spider.
func TestStartDeadlineIsTheCallersWhereTheSpiderNamesNone(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "plain")
	for body, want := range map[string]*int64{
		`{"spider_name": "plain", "start_deadline_seconds": 31536000}`: new(int64(31536000)),
		`{"spider_name": "plain", "start_deadline_seconds": null}`:     nil,
		`{"spider_name": "plain"}`:                                     nil,
	} {
		if diff := gocmp.Diff(want, f.cluster.job(t, "team", f.started(key, body)).Spec.StartDeadlineSeconds); diff != "" {
			t.Errorf("%s: startDeadlineSeconds (-want +got):\n%s", body, diff)
		}
	}
}

func TestJobOfANamespaceKeyNamesNoUser(t *testing.T) {
	f := newTestAPI(t)
	f.spider("team", "books")
	id := f.started(f.key("team", ""), `{"spider_name": "books"}`)
	if userID := f.cluster.job(t, "team", id).Spec.UserID; userID != "" {
		t.Errorf("userID %q, want none", userID)
	}
	if parsed := uuid.MustParse(id); parsed.Version() != 7 {
		t.Errorf("id %s is of version %d, want 7", id, parsed.Version())
	}
}

func TestWhichSpiderIsMeant(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	named := func(name, user string) func(*v1alpha1.Spider) {
		return func(s *v1alpha1.Spider) { s.Spec.Name, s.Spec.UserID = name, user }
	}
	shared := f.spider("team", "shared", named("news", ""))
	own := f.spider("team", "own", named("mine", "alice"))
	bobs := f.spider("team", "bobs", named("secret", "bob"))
	f.spider("team", "bobs-news", named("news", "bob"))
	f.spider("team", "twin-1", named("twin", ""))
	twin := f.spider("team", "twin-2", named("twin", "alice"))
	elsewhere := f.spider("other", "books")

	for body, want := range map[string]string{
		`{"spider_name": "news"}`:                              "shared",
		`{"spider_id": "` + shared + `"}`:                      "shared",
		`{"spider_id": "` + strings.ToUpper(shared) + `"}`:     "shared",
		`{"spider_name": "mine"}`:                              "own",
		`{"spider_id": "` + own + `", "spider_name": "mine"}`:  "own",
		`{"spider_id": "` + twin + `"}`:                        "twin-2",
		`{"spider_id": "` + twin + `", "spider_name": "twin"}`: "twin-2",
	} {
		id := f.started(alice, body)
		if got := f.cluster.job(t, "team", id).Spec.SpiderRef.Name; got != want {
			t.Errorf("%s started Spider %s, want %s", body, got, want)
		}
	}
	f.start(alice, `{"spider_name": "twin"}`).wantProblem(http.StatusConflict, "ambiguous_spider", "spider_id")
	f.start(alice, `{"spider_id": "`+own+`", "spider_name": "news"}`).
		wantProblem(http.StatusBadRequest, "invalid_request", "spider_name")
	for _, body := range []string{
		`{"spider_name": "secret"}`, `{"spider_id": "` + bobs + `"}`, `{"spider_id": "` + elsewhere + `"}`, `{"spider_name": "shared"}`,
		`{"spider_id": "` + bobs + `", "spider_name": "secret"}`,
	} {
		f.start(alice, body).wantProblem(http.StatusNotFound, "not_found")
	}
}

func TestIdempotentStart(t *testing.T) {
	f := newTestAPI(t)
	alice, bob := f.key("team", "alice"), f.key("team", "bob")
	f.spider("team", "books")
	const body = `{"spider_name": "books", "arguments": {"n": 1}}`
	start := func(f *testAPI, key, idempotencyKey, body string) answer {
		return f.send(call{method: http.MethodPost, path: "/api/v1/jobs", key: key, body: body, header: map[string]string{
			"Content-Type": "application/json", "Idempotency-Key": idempotencyKey,
		}})
	}
	id := func(a answer) (id string) {
		var started struct{ JobID, Status string }
		a.want(http.StatusOK).into(&started)
		return started.JobID + " " + started.Status
	}
	first := id(start(f, alice, "k-1", body))
	name, _, _ := strings.Cut(first, " ")
	if version := uuid.MustParse(name).Version(); version != 8 {
		t.Errorf("id %s is of version %d, want 8", name, version)
	}
	if again := id(start(f, alice, "k-1", body)); again != first {
		t.Errorf("the same start again made %s, want %s", again, first)
	}
	if n := f.cluster.count("create"); n != 1 {
		t.Errorf("%d jobs were created, want 1", n)
	}
	if other := id(start(f, bob, "k-1", body)); other == first {
		t.Error("another user's start with the same key is the same job")
	}
	if other := id(start(f, alice, "k-2", body)); other == first {
		t.Error("another key gives the same job")
	}
	start(f, alice, "k-1", `{"spider_name":"books"}`).wantProblem(http.StatusConflict, "idempotency_conflict")
	for _, bad := range []string{"", " ", "a b", "é", strings.Repeat("k", 256)} {
		if bad == "" || bad == " " {
			continue // Sent as an empty header, which net/http does not tell from none.
		}
		start(f, alice, bad, body).wantProblem(http.StatusBadRequest, "invalid_request", "Idempotency-Key")
	}

	t.Run("on a replica that has not seen the job yet", func(t *testing.T) {
		f.cluster.held = true
		defer func() { f.cluster.held = false }()
		replica := newTestAPI(t, func(c *Config) { c.Kubernetes, c.Authenticator, c.Spiders = f.cluster, f.keys, f.spiders.watch })
		if again := id(start(replica, alice, "k-1", body)); again != first {
			t.Errorf("it made %s, want %s", again, first)
		}
		start(replica, alice, "k-2", `{"spider_name":"books"}`).wantProblem(http.StatusConflict, "idempotency_conflict")
	})
	t.Run("after the job has gone on", func(t *testing.T) {
		f.cluster.update(t, "team", name, func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseRunning })
		if again := id(start(f, alice, "k-1", body)); again != name+" running" {
			t.Errorf("answer %s, want %s running", again, name)
		}
	})
	t.Run("though the spider is gone", func(*testing.T) {
		f.spiders.watch.Replace("", nil, "")
		start(f, alice, "k-1", body).want(http.StatusOK)
	})
}

func TestStartsAtOnceWithOneKeyMakeOneJob(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	var together sync.WaitGroup
	ids := make([]string, 20)
	for i := range ids {
		together.Go(func() {
			ids[i] = f.send(
				call{method: http.MethodPost, path: "/api/v1/jobs", key: key, body: `{"spider_name": "books"}`, header: map[string]string{
					"Content-Type": "application/json", "Idempotency-Key": "one",
				}},
			).body
		})
	}
	together.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("answers %v differ", ids)
		}
	}
	if n := len(f.cluster.jobs); n != 1 {
		t.Errorf("%d jobs, want 1", n)
	}
}

func TestKubernetesRefusals(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	forbidden := func(why string) error { return apierrors.NewForbidden(resource, "x", errors.New(why)) }
	terminating := apierrors.NewForbidden(resource, "x", errors.New("because it is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, test := range []struct {
		name   string
		err    error
		status int
		code   string
		says   []string
	}{
		{"connection", errors.New("dial tcp: connection refused"), 503, "unavailable", []string{"Kubernetes"}},
		{"deadline", context.DeadlineExceeded, 503, "unavailable", nil},
		{"overload", apierrors.NewTooManyRequests("later", 1), 503, "unavailable", nil},
		{"internal", apierrors.NewInternalError(errors.New("etcd")), 503, "unavailable", nil},
		{"timeout", apierrors.NewServerTimeout(resource, "create", 1), 503, "unavailable", nil},
		{"quota", forbidden("exceeded quota: jobs, requested: 1"), 403, "quota_exceeded", []string{"quota"}},
		{"policy", forbidden("a policy says no"), 403, "forbidden", nil},
		{"terminating", terminating, 403, "namespace_terminating", nil},
		{"invalid", apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("SpiderJob").GroupKind(), "x", field.ErrorList{
			field.Invalid(field.NewPath("spec", "arguments"), "v", "too strange"),
		}), 400, "invalid_request", []string{"spec.arguments", "too strange"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.cluster.fail = func(string, bool) error { return fmt.Errorf("creating: %w", test.err) }
			defer func() { f.cluster.fail = nil }()
			a := f.start(key, `{"spider_name": "books"}`)
			a.wantProblem(test.status, test.code, test.says...)
			if retry := a.header.Get("Retry-After"); (retry != "") != (test.status == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After is %q", retry)
			}
			if strings.Contains(a.body, "dial tcp") || strings.Contains(a.body, "policy says") {
				t.Errorf("the answer tells what is only for the log: %s", a.body)
			}
		})
	}
}

// TestStartWhoseAnswerIsLostMakesOneJob lets Kubernetes record the job and the answer get lost.
func TestStartWhoseAnswerIsLostMakesOneJob(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	f.cluster.fail = func(call string, recorded bool) error {
		if call == "create" && recorded {
			f.cluster.fail = nil
			return errors.New("connection reset by peer")
		}
		return nil
	}
	id := f.started(key, `{"spider_name": "books"}`)
	if names := maps.Keys(f.cluster.jobs); len(f.cluster.jobs) != 1 || f.cluster.jobs["team/"+id] == nil {
		t.Errorf("jobs %v, want just %s", names, id)
	}
}
