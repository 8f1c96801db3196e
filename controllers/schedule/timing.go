package schedule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// timing identifies the part of a spec that says when runs are due: a time that passed before any of it changed never comes back.
// The part behind the dot changes when the schedule is resumed after a pause.
func timing(spec *v1alpha1.SpiderScheduleSpec) string {
	return shortHash(spec.Cron, spec.TimeZone, moment(spec.StartAt), moment(spec.EndAt), fmt.Sprint(spec.Suspend)) + "." +
		shortHash(moment(spec.ResumedAt))
}

// resumed reports whether a schedule was resumed between two timings.
func resumed(before, after string) bool {
	_, was, known := strings.Cut(before, ".")
	_, is, _ := strings.Cut(after, ".")
	return known && was != is
}

func shortHash(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}

func moment(t *metav1.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// timeOf returns a time of the API, zero without one.
func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// apiTime returns a time as the API keeps it, in whole seconds; nil for none.
func apiTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}
