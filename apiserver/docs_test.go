package apiserver

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentationNeedsNothingElse looks at the page and what it refers to. That a browser can use it is tested in test/browser.
func TestDocumentationNeedsNothingElse(t *testing.T) {
	f := newTestAPI(t)
	get := func(path, tag string) (status int, header http.Header, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("If-None-Match", tag)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header, string(text)
	}
	page := f.get("", "/docs").want(http.StatusOK)
	if policy := page.header.Get(
		"Content-Security-Policy",
	); !strings.Contains(policy, "default-src 'none'") ||
		strings.Contains(policy, "//") {
		t.Errorf("the page may load what its policy %q says", policy)
	}
	references := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(references) < 4 {
		t.Fatalf("the page refers to %v", references)
	}
	for _, reference := range references {
		if strings.HasPrefix(reference[1], "data:") {
			continue
		}
		status, header, text := get("/"+reference[1], "")
		if status != http.StatusOK || text == "" || strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s is answered %d, %s", reference[1], status, header.Get("Content-Type"))
		}
		if again, _, _ := get("/"+reference[1], header.Get("ETag")); again != http.StatusNotModified {
			t.Errorf("%s, which the browser has, is answered %d", reference[1], again)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		f.send(call{method: method, path: "/docs"}).wantProblem(http.StatusMethodNotAllowed, "method_not_allowed")
	}
	f.get("", "/docs/swagger-ui/LICENSE").want(http.StatusNotFound)
	if status, header, text := get("/docs/", ""); status != http.StatusOK || text != page.body || header.Get("ETag") == "" {
		t.Errorf("the page's address with a slash is answered %d, %.100s", status, text)
	}
}
