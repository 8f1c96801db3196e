package auth

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestKeyIsReadAsItWasShown(t *testing.T) {
	form := regexp.MustCompile(`^st_[a-z0-9]{16}_[0-9a-f]{64}_[0-9a-f]{8}$`)
	seen := map[string]bool{}
	for range 100 {
		key := NewKey()
		text := key.Reveal()
		if !form.MatchString(text) || seen[text] {
			t.Fatalf("key %q", text)
		}
		seen[text] = true
		if parsed, err := ParseKey(text); err != nil || parsed != key {
			t.Fatalf("%q is read as %#v (%v)", text, parsed, err)
		}
	}
}

func TestKeyWithATypingErrorIsRefused(t *testing.T) {
	text := NewKey().Reveal()
	for i := range len(text) {
		for _, c := range "0aZ_- " {
			if wrong := text[:i] + string(c) + text[i+1:]; wrong != text {
				if _, err := ParseKey(wrong); err == nil {
					t.Errorf("%q is accepted though it is not %q", wrong, text)
				}
			}
		}
	}
	for _, wrong := range []string{"", "st_", text + "0", text[1:], strings.ToUpper(text), " " + text, text + "\n"} {
		if _, err := ParseKey(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func TestHashBelongsToOneNamespaceAndKey(t *testing.T) {
	key := Key{ID: strings.Repeat("a", 16), secret: strings.Repeat("0", 64)}
	// The hash of a known key must never change: it would lock everybody out.
	const known = "ad04b5494d5fe5e1e98b34af8bb48ee75e0eb7a3441433154926236ae190de01"
	if hash := key.Hash("team"); hash != known {
		t.Errorf("hash %s, want %s", hash, known)
	}
	other := Key{ID: strings.Repeat("b", 16), secret: key.secret}
	hash := key.Hash("team")
	if !key.Matches("team", hash) {
		t.Error("the key does not match its own hash")
	}
	for what, matches := range map[string]bool{
		"another namespace": key.Matches("other", hash),
		"another key id":    other.Matches("team", hash),
		"no hash":           key.Matches("team", ""),
		"upper case":        key.Matches("team", strings.ToUpper(hash)),
	} {
		if matches {
			t.Errorf("%s: matches", what)
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	key := NewKey()
	for _, text := range []string{key.String(), fmt.Sprintf("%v %+v %#v %s", key, key, key, &key)} {
		if strings.Contains(text, key.secret) || !strings.Contains(text, key.ID) {
			t.Errorf("a key prints as %s", text)
		}
	}
}

// FuzzParseKey accepts exactly what Reveal shows.
func FuzzParseKey(f *testing.F) {
	f.Add(NewKey().Reveal())
	f.Add("st_aaaaaaaaaaaaaaaa_" + strings.Repeat("0", 64) + "_00000000")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ParseKey(text); err == nil && key.Reveal() != text {
			t.Fatalf("%q is read as a key that is shown as %q", text, key.Reveal())
		}
	})
}
