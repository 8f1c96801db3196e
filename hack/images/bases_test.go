package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDebianSourcesAreThoseOfTheRelease(t *testing.T) {
	printed := `Debian|bookworm|http://mirror.example/debian/|main
Debian|bookworm|http://mirror.example/debian/|contrib
Debian|bookworm-updates|http://mirror.example/debian/|main
Debian|bookworm-security|http://mirror.example/security/|main
Debian|bookworm-backports|http://mirror.example/debian/|main
Debian|trixie|http://mirror.example/debian/|main
Docker|bookworm|https://elsewhere.example/|main
$(ORIGIN)|bookworm|http://mirror.example/unknown/|main
`
	want := []string{
		"deb http://mirror.example/debian/ bookworm main",
		"deb http://mirror.example/debian/ bookworm-updates main",
		"deb http://mirror.example/security/ bookworm-security main",
	}
	if diff := cmp.Diff(want, debianSources(printed, "bookworm")); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if sources := debianSources(printed, ""); sources != nil {
		t.Errorf("sources of a machine without a release: %v", sources)
	}
}

func TestCodename(t *testing.T) {
	for release, want := range map[string]string{
		"ID=debian\nVERSION_CODENAME=bookworm\n": "bookworm",
		"VERSION_CODENAME=\"noble\"\n":           "noble",
		"ID=alpine\n":                            "",
	} {
		if got := codename(release); got != want {
			t.Errorf("codename of %q: %q, want %q", release, got, want)
		}
	}
}
