package main

import "testing"

func TestWantsDebian(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile string
		want       bool
	}{
		"none":           {"FROM scratch\n", false},
		"one":            {"ARG DEBIAN_IMAGE=debian:12.15\nFROM ${DEBIAN_IMAGE}\n", true},
		"one and others": {"# several\narg GO_IMAGE\nARG BASE_IMAGE=scratch\nARG DEBIAN_IMAGE=d\nFROM x\n", true},
		"in a stage":     {"FROM scratch\nARG DEBIAN_IMAGE=d\n", false},
		"of like name":   {"ARG DEBIAN_IMAGES=d\nFROM scratch\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wantsDebian(tt.dockerfile); got != tt.want {
				t.Errorf("the Dockerfile wants Debian: %v, want %v", got, tt.want)
			}
		})
	}
}
