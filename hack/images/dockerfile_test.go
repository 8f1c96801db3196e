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
		"one":  {"ARG DEBIAN_IMAGE=debian:12.15\nFROM ${DEBIAN_IMAGE}\n", []string{"DEBIAN_IMAGE"}},
		"one and others": {
			"# several\narg GO_IMAGE\nARG BASE_IMAGE=scratch\nARG DEBIAN_IMAGE=d\nFROM x\n",
			[]string{"DEBIAN_IMAGE"},
		},
		"in a stage": {"FROM scratch\nARG DEBIAN_IMAGE=d\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, baseArguments([]byte(tt.dockerfile))); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}
