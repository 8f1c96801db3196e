package main

import (
	"os"
	"strings"
	"testing"
)

func TestEverythingInTheBinaryHasAnAllowedLicence(t *testing.T) {
	components, err := inBinary(t.Context(), root, platforms)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkLicences(components); err != nil {
		t.Error(err)
	}
	licences := map[string]string{}
	for _, c := range components {
		licences[c.name] = strings.Join(c.licences, ", ")
	}
	// One of each sort: a module, one with code taken from elsewhere, the standard library, embedded files.
	for name, want := range map[string]string{
		"github.com/gin-gonic/gin": "MIT", "k8s.io/apimachinery": "Apache-2.0, BSD-3-Clause", "std": "BSD-3-Clause",
		"swagger-ui": "Apache-2.0, MIT",
	} {
		if licences[name] != want {
			t.Errorf("%s has the licence %q, want %q", name, licences[name], want)
		}
	}
}

func TestLicencesThatAreNotAllowedAreNamed(t *testing.T) {
	mit, err := os.ReadFile("testdata/MIT")
	if err != nil {
		t.Fatal(err)
	}
	mpl := []byte("This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was " +
		"not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.")
	for name, test := range map[string]struct {
		texts map[string][]byte
		want  string // in the error; empty if there is none
	}{
		"an allowed one":             {map[string][]byte{"LICENSE": mit}, ""},
		"one that is not allowed":    {map[string][]byte{"LICENSE": mit, "third_party/COPYING": mpl}, "has the licence MPL-2.0"},
		"no text":                    {nil, "has no licence that is known"},
		"only a notice":              {map[string][]byte{"NOTICE": mit}, "has no licence that is known"},
		"terms of one's own":         {map[string][]byte{"LICENSE": mit, "sub/LICENSE.txt": []byte("Ask me first.")}, "in its file sub/LICENSE.txt is not known"},
		"an allowed one with a rest": {map[string][]byte{"LICENSE": append(mit, strings.Repeat("and you owe me a fee ", 100)...)}, "in its file LICENSE is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			c := component{name: "example.com/some", version: "v1.0.0", texts: test.texts}
			c.classify()
			err := checkLicences([]component{c})
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), c.name)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
