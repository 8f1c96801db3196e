package restapi

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/scrapethis/spider-operator/apiserver"
)

// withTokens makes a REST API accept Kubernetes tokens, with the rights that are installed for it.
func withTokens(t *testing.T) func(*rest.Config, *apiserver.Options) {
	grant(t, roleUser(t), "apiserver-tokens.yaml")
	return func(_ *rest.Config, options *apiserver.Options) {
		options.KubernetesTokens = apiserver.KubernetesTokens{Enabled: true, Audience: apiserver.DefaultTokenAudience}
	}
}

// newAccount creates a service account that may use these verbs on SpiderJobs of its namespace.
func newAccount(t *testing.T, namespace, name string, verbs ...string) *corev1.ServiceAccount {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	account := &corev1.ServiceAccount{ObjectMeta: meta}
	create(t, account)
	if len(verbs) == 0 {
		return account
	}
	create(t, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"scrapethis.app"}, Resources: []string{"spiderjobs"}, Verbs: verbs},
	}})
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	})
	return account
}

// tokenOf makes Kubernetes issue a token.
func tokenOf(t *testing.T, account *corev1.ServiceAccount, audiences ...string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	if err := cluster.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatalf("get a token of %s: %v", account.Name, err)
	}
	return request.Status.Token
}

func TestServiceAccountCallsWithItsToken(t *testing.T) {
	namespace, elsewhere := cluster.Namespace(t), cluster.Namespace(t)
	newSpider(t, namespace, "books")
	const audience = apiserver.DefaultTokenAudience
	all := tokenOf(t, newAccount(t, namespace, "all", "get", "list", "create", "patch"), audience)
	reader := newAccount(t, namespace, "reader", "get", "list")
	reading := tokenOf(t, reader, "another", audience)
	stranger := tokenOf(t, newAccount(t, elsewhere, "all", "get", "list", "create", "patch"), audience)
	key, _ := newKey(t, namespace, "")
	r := start(t, withTokens(t))
	r.eventually(http.StatusOK, http.MethodGet, "/api/v1/me", key, "")

	me := r.want(http.StatusOK, http.MethodGet, "/api/v1/me", all, "")
	if me["service_account"] != "all" || me["namespace"] != namespace || me["user_id"] != namespace || me["expires_at"] == nil {
		t.Errorf("the answer says that the service account is %v", me)
	}
	id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", all, started)["jobId"].(string)
	for who, token := range map[string]string{"itself": all, "a reader": reading, "a key of the namespace": key} {
		if list := r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs", token, "")["list"].([]any); len(list) != 1 {
			t.Errorf("%s sees %v", who, list)
		}
	}
	r.want(http.StatusNotFound, http.MethodGet, "/api/v1/jobs/"+id, stranger, "")
	r.want(http.StatusNotFound, http.MethodDelete, "/api/v1/jobs/"+id, stranger, "")

	for method, path := range map[string]string{http.MethodPost: "/api/v1/jobs", http.MethodDelete: "/api/v1/jobs/" + id} {
		refusal := r.want(http.StatusForbidden, method, path, reading, started)
		if refusal["code"] != "access_denied" || !strings.Contains(refusal["error"].(string), "reader") {
			t.Errorf("%s: a reader gets the refusal %v", method, refusal)
		}
	}
	r.want(http.StatusOK, http.MethodDelete, "/api/v1/jobs/"+id, all, "")
	if by := spiderJob(t, namespace, id).Spec.Cancellation.RequestedBy; by != namespace+" (service account all)" {
		t.Errorf("cancelled by %q", by)
	}

	refused := map[string]string{
		"of another audience":     tokenOf(t, reader, "another"),
		"of Kubernetes' audience": tokenOf(t, reader),
		"with another signature":  reading[:strings.LastIndex(reading, ".")] + all[strings.LastIndex(all, "."):],
		"made up":                 "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YTpiIn0.eA",
	}
	for what, token := range refused {
		if answer := r.want(http.StatusUnauthorized, http.MethodGet, "/api/v1/jobs", token, ""); answer["code"] != "unauthorized" {
			t.Errorf("a token %s is answered %v", what, answer)
		}
	}
}

// TestTokensOfADeletedServiceAccountBecomeInvalid checks that tokens of a deleted service account become invalid once the
// cached answers expire.
func TestTokensOfADeletedServiceAccountBecomeInvalid(t *testing.T) {
	namespace := cluster.Namespace(t)
	account := newAccount(t, namespace, "short", "list")
	token := tokenOf(t, account, apiserver.DefaultTokenAudience)
	r := start(t, withTokens(t))
	r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs", token, "")
	if err := cluster.Client.Delete(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	r.eventually(http.StatusUnauthorized, http.MethodGet, "/api/v1/jobs", token, "")
}

func TestTokensAreRefusedByDefault(t *testing.T) {
	namespace := cluster.Namespace(t)
	token := tokenOf(t, newAccount(t, namespace, "all", "list"), apiserver.DefaultTokenAudience)
	start(t).want(http.StatusUnauthorized, http.MethodGet, "/api/v1/jobs", token, "")
}

func TestNewTokensGet503WhileKubernetesIsAway(t *testing.T) {
	namespace := cluster.Namespace(t)
	account := newAccount(t, namespace, "all", "list")
	token := tokenOf(t, account, apiserver.DefaultTokenAudience)
	key, _ := newKey(t, namespace, "")
	line := newLine(t, strings.Trim(strings.TrimPrefix(cluster.Config.Host, "https:"), "/"))
	tokens := withTokens(t)
	r := start(t, func(config *rest.Config, options *apiserver.Options) {
		config.Host = "https://" + line.address
		tokens(config, options)
	})
	r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs", token, "")
	another := tokenOf(t, account, apiserver.DefaultTokenAudience, "another")
	line.cut()
	status, header, answer := r.send(http.MethodGet, "/api/v1/jobs", another, "")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("cut off, a token is answered %d %v with Retry-After %q", status, answer, header.Get("Retry-After"))
	}
	r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs", key, "")
	line.join()
	r.eventually(http.StatusOK, http.MethodGet, "/api/v1/jobs", another, "")
}

// seen records the headers of requests on their way to Kubernetes.
type seen struct {
	next http.RoundTripper

	mu       sync.Mutex
	requests []*http.Request
}

func (s *seen) RoundTrip(request *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, request.Clone(request.Context()))
	s.mu.Unlock()
	return s.next.RoundTrip(request)
}

// TestCallersHeadersAreNotForwarded sends headers that would mean something to Kubernetes with every call that reaches it.
func TestCallersHeadersAreNotForwarded(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	token := tokenOf(t, newAccount(t, namespace, "all", "get", "list", "create", "patch"), apiserver.DefaultTokenAudience)
	recorder := &seen{}
	tokens := withTokens(t)
	r := start(t, func(config *rest.Config, options *apiserver.Options) {
		tokens(config, options)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			recorder.next = next
			return recorder
		})
	})
	r.eventually(http.StatusOK, http.MethodGet, "/api/v1/me", key, "")

	const mark = "from-the-caller"
	headers := []string{
		"Impersonate-User", mark, "Impersonate-Group", "system:masters-" + mark, "Impersonate-Extra-Scopes", mark,
		"X-Remote-User", mark,
		"X-Remote-Group", mark, "X-Forwarded-For", mark, "X-Request-ID", mark, "Cookie", mark, "User-Agent", mark, "Traceparent", mark,
		"Audit-ID", mark, "Kubectl-Command", mark, "X-" + mark, mark, "Accept", "application/json, text/" + mark,
	}
	for _, credential := range []string{key, token} {
		id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", credential, started, headers...)["jobId"].(string)
		r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+id, credential, "", headers...)
		r.want(http.StatusNotFound, http.MethodGet, "/api/v1/jobs/0198a7b2-0000-7000-8000-000000000000", credential, "", headers...)
		r.want(http.StatusOK, http.MethodDelete, "/api/v1/jobs/"+id, credential, "", headers...)
	}
	recorder.mu.Lock()
	defer recorder.mu.Unlock()
	kinds := map[string]bool{}
	for _, request := range recorder.requests {
		segments := strings.Split(request.URL.Path, "/")
		kinds[request.Method+" "+segments[len(segments)-1]] = true
		for name, values := range request.Header {
			all := name + ": " + strings.Join(values, ", ")
			titled := strings.Title(mark) //nolint:staticcheck // as net/http writes it
			for _, own := range []string{mark, titled, key, token, "Impersonate"} {
				if strings.Contains(all, own) {
					t.Errorf("%s %s carries the caller's %s", request.Method, request.URL.Path, all)
				}
			}
		}
	}
	for _, kind := range []string{"POST spiderjobs", "POST tokenreviews", "POST subjectaccessreviews"} {
		if !kinds[kind] {
			t.Errorf("no %s was seen, so it was not tested: %v", kind, kinds)
		}
	}
}
