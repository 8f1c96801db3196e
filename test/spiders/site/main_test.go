package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/scrapethis/spider-operator/test/spiders/site/bookshop"
)

func TestHandler(t *testing.T) {
	folder := t.TempDir()
	if err := bookshop.Write(folder); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		folder, path string
		want         int
	}{
		{folder, "/", http.StatusOK},
		{folder, "/catalogue/page-50.html", http.StatusOK},
		{folder, "/catalogue/page-51.html", http.StatusNotFound},
		{folder, "/category/travel/", http.StatusOK},
		{folder, "/count.json", http.StatusOK},
		{folder, "/healthz", http.StatusOK},
		{filepath.Join(folder, "missing"), "/healthz", http.StatusServiceUnavailable},
	} {
		response := httptest.NewRecorder()
		handler(tt.folder).ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.path, http.NoBody))
		if response.Code != tt.want {
			t.Errorf("GET %s of %s: %d, want %d", tt.path, tt.folder, response.Code, tt.want)
		}
	}
}
