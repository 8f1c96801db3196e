package guard

import (
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// FuzzBearer never lets a header pass that is not exactly a key.
func FuzzBearer(f *testing.F) {
	key := auth.NewKey().Reveal()
	f.Add("Bearer " + key)
	f.Add("bearer  " + key)
	f.Fuzz(func(t *testing.T, header string) {
		token, ok := bearer(header)
		if ok && (token == "" || !strings.HasSuffix(header, token) || !strings.EqualFold(header[:6], "bearer")) {
			t.Fatalf("header %q has the token %q", header, token)
		}
	})
}
