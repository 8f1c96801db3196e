package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBaseArguments(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile string
		want       []string
	}{
		"none": {"FROM scratch\n", nil},
		"one":  {"ARG GO_IMAGE=golang:1.26.8-bookworm\nFROM ${GO_IMAGE}\n", []string{"GO_IMAGE"}},
		"two and another": {
			"# both\narg GO_IMAGE\nARG BASE_IMAGE=scratch\nARG DEBIAN_IMAGE=d\nFROM x\n",
			[]string{"GO_IMAGE", "DEBIAN_IMAGE"},
		},
		"in a stage": {"FROM scratch\nARG GO_IMAGE=g\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, baseArguments([]byte(tt.dockerfile))); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}
