package apiserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// behind serves the REST API under a prefix, which a proxy takes off, and returns the address by which callers know it.
func (f *testAPI) behind(t *testing.T, prefix string) *url.URL {
	t.Helper()
	to, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.StripPrefix(prefix, httputil.NewSingleHostReverseProxy(to)))
	t.Cleanup(proxy.Close)
	outside, err := url.Parse(proxy.URL + prefix + "/")
	if err != nil {
		t.Fatal(err)
	}
	return outside
}

// fetch asks as a caller outside does, and follows no redirection.
func fetch(t *testing.T, method string, address *url.URL, key, body string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address.String(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{t: t, status: response.StatusCode, header: response.Header, body: string(text), address: address}
}

// resolve reads an address of an answer as callers do: relative to that of the request.
func resolve(t *testing.T, from *url.URL, address string) *url.URL {
	t.Helper()
	to, err := from.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestAddressesHoldBehindAProxyThatTakesAPrefixOff(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	for _, prefix := range []string{"", "/crawlers", "/a/b"} {
		outside := f.behind(t, prefix)
		lists := map[string]*url.URL{
			"jobs":    resolve(t, outside, "api/v1/jobs?limit=1"),
			"spiders": resolve(t, outside, "api/v1/spiders?limit=1"),
		}
		for _, name := range []string{"a", "b"} {
			f.spider("team", strings.ReplaceAll(name+prefix, "/", "-"))
			f.apply("team", strings.ReplaceAll(name+prefix, "/", "-"))
		}
		for what, list := range lists {
			first := fetch(t, http.MethodGet, list, key, "")
			next := resolve(t, list, first.next())
			if second := fetch(t, http.MethodGet, next, key, ""); second.status != http.StatusOK || second.body == first.body {
				t.Errorf("%q: the next page of %s is %s, which is answered %d %s", prefix, what, next, second.status, second.body)
			}
		}

		spiders := resolve(t, outside, "api/v1/spiders")
		made := fetch(t, http.MethodPost, spiders, key, `{"name": "made`+prefix+`", "repo_path": null, "repo_id": null}`)
		location := resolve(t, spiders, made.header.Get("Location"))
		if a := fetch(t, http.MethodGet, location, key, ""); a.status != http.StatusOK || a.body != made.body {
			t.Errorf("%q: Location %s is answered %d %s, want %s", prefix, location, a.status, a.body, made.body)
		}

		document := resolve(t, outside, "openapi.yaml")
		text := fetch(t, http.MethodGet, document, "", "").body
		var contract struct{ Servers []struct{ URL string } }
		if err := yaml.Unmarshal([]byte(text), &contract); err != nil || len(contract.Servers) != 1 {
			t.Fatalf("%v, %v", contract, err)
		}
		server := strings.TrimSuffix(resolve(t, document, contract.Servers[0].URL).String(), "/")
		me := resolve(t, outside, server+"/api/v1/me")
		if a := fetch(t, http.MethodGet, me, key, ""); a.status != http.StatusOK {
			t.Errorf("%q: %s is answered %d %s", prefix, me, a.status, a.body)
		}

		browser := fetch(t, http.MethodGet, outside, "", "", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		docs := resolve(t, outside, browser.header.Get("Location"))
		if browser.status != http.StatusFound || docs.Path != prefix+"/docs" {
			t.Errorf("%q: a browser is answered %d %s", prefix, browser.status, docs)
		}
	}
}

func TestOnlyBrowsersAreLedToTheDocumentation(t *testing.T) {
	f := newTestAPI(t)
	root := resolve(t, f.behind(t, ""), "/")
	for _, test := range []struct {
		method, path, accept string
		status               int
	}{
		{http.MethodGet, "/", "text/html", http.StatusFound}, {http.MethodHead, "/", "text/html;q=0.9", http.StatusFound},
		{http.MethodGet, "/?a=b", "application/json, text/html", http.StatusFound},
		{http.MethodGet, "/", "*/*", http.StatusNotFound}, {http.MethodGet, "/", "application/json", http.StatusNotFound},
		{http.MethodGet, "/", "", http.StatusNotFound}, {http.MethodPost, "/", "text/html", http.StatusNotFound},
		{http.MethodGet, "/api", "text/html", http.StatusNotFound}, {http.MethodGet, "//", "text/html", http.StatusNotFound},
	} {
		a := fetch(t, test.method, resolve(t, root, f.url+test.path), "", "", "Accept", test.accept)
		if location := a.header.Get("Location"); a.status != test.status || (location == "docs") != (test.status == http.StatusFound) {
			t.Errorf(
				"%s %s of %q is answered %d, Location %q, want %d", test.method, test.path, test.accept, a.status, location, test.status,
			)
		}
	}
}
