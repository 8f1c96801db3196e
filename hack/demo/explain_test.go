package main

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestTroublesOfAPod(t *testing.T) {
	for name, tt := range map[string]struct {
		status string
		want   []string
	}{
		"none": {`{"phase": "Running", "containerStatuses": [{"name": "c", "ready": true, "state": {"running": {}}}]}`, nil},
		"done": {
			`{"phase": "Succeeded", "containerStatuses": [{"name": "c", "state": {"terminated": {"reason": "Completed"}}}]}`,
			nil,
		},
		"no image": {
			`{"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}`,
			[]string{"Pod p, container c waits: ImagePullBackOff: not found"},
		},
		"crashes": {
			`{"containerStatuses": [{"name": "c", "restartCount": 3, "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]}`,
			[]string{"Pod p, container c (restarted 3 times) ended with exit code 2: Error"},
		},
		"crashes with a log": {
			`{"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1, "message": "first\nlast\n"}}}]}`,
			[]string{"Pod p, container c ended with exit code 1: last"},
		},
		"not ready": {
			`{"containerStatuses": [{"name": "c", "state": {"running": {}}}]}`,
			[]string{"Pod p, container c runs but is not ready"},
		},
		"no node": {
			`{"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]}`,
			[]string{"Pod p is not scheduled: Unschedulable: 0/1 nodes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p corev1.Pod
			if err := json.Unmarshal([]byte(`{"metadata": {"name": "p"}, "status": `+tt.status+`}`), &p); err != nil {
				t.Fatal(err)
			}
			if got := troubles(&p); !slices.Equal(got, tt.want) {
				t.Errorf("troubles: %q, want %q", got, tt.want)
			}
		})
	}
}
