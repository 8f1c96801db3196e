package api

import (
	"reflect"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// A field of a spec, with two values that it may have at creation.
type field struct {
	name        string
	one, other  any
	required    bool
	mutable     bool
	settledOnce bool // It may be set once, but not changed or removed.
}

func TestSpiderJobImmutability(t *testing.T) {
	testMutability(t, "SpiderJob", reflect.TypeFor[v1alpha1.SpiderJobSpec](), []field{
		{name: "spiderRef", one: map[string]any{"name": "books"}, other: map[string]any{"name": "films"}, required: true},
		{name: "arguments", one: map[string]any{"a": "1"}, other: map[string]any{"a": "2"}},
		{name: "settings", one: map[string]any{"A": "1"}, other: map[string]any{"A": "1", "B": "2"}},
		{name: "timeoutSeconds", one: int64(1), other: int64(2)},
		{name: "startDeadlineSeconds", one: int64(2), other: int64(1)},
		{name: "priority", one: int64(1), other: int64(-1), mutable: true},
		{name: "maxWaitSeconds", one: int64(1), other: int64(2)},
		{name: "expectations", one: map[string]any{"minItems": int64(1)}, other: map[string]any{"minItems": int64(2)}},
		{name: "retries", one: int64(0), other: int64(1)},
		{name: "userID", one: "ann", other: "bob"},
		{name: "scheduledFor", one: "2030-01-01T00:00:00Z", other: "2031-01-01T00:00:00Z"},
		{name: "ttlSecondsAfterFinished", one: int64(0), other: int64(1), mutable: true},
		{name: "cancellation", one: map[string]any{"requestedBy": "ann"}, other: map[string]any{"requestedBy": "bob"},
			settledOnce: true},
	})
}

func TestSpiderScheduleImmutability(t *testing.T) {
	testMutability(t, "SpiderSchedule", reflect.TypeFor[v1alpha1.SpiderScheduleSpec](), []field{
		{name: "spiderRef", one: map[string]any{"name": "books"}, other: map[string]any{"name": "films"}, required: true, mutable: true},
		{name: "cron", one: "@daily", other: "@weekly", required: true, mutable: true},
		{name: "timeZone", one: "UTC", other: "Europe/Berlin", mutable: true},
		{name: "suspend", one: true, other: false, mutable: true},
		{name: "overlap", one: "Queue", other: "Allow", mutable: true},
		{name: "catchUp", one: map[string]any{"policy": "Latest"}, other: map[string]any{"policy": "None"}, mutable: true},
		{name: "jitterSeconds", one: int64(1), other: int64(2), mutable: true},
		{name: "pauseAfterFailures", one: int64(1), other: int64(2), mutable: true},
		{name: "startAt", one: "2030-01-01T00:00:00Z", other: "2031-01-01T00:00:00Z", mutable: true},
		{name: "endAt", one: "2030-01-01T00:00:00Z", other: "2031-01-01T00:00:00Z", mutable: true},
		{name: "resumedAt", one: "2030-01-01T00:00:00Z", other: "2031-01-01T00:00:00Z", mutable: true},
		{name: "displayName", one: "Books", other: "Films", mutable: true},
		{name: "description", one: "books", other: "films", mutable: true},
		{name: "userID", one: "ann", other: "bob"},
		{name: "arguments", one: map[string]any{"a": "1"}, other: map[string]any{"a": "2"}, mutable: true},
		{name: "settings", one: map[string]any{"A": "1"}, other: map[string]any{"B": "2"}, mutable: true},
		{name: "timeoutSeconds", one: int64(1), other: int64(2), mutable: true},
		{name: "startDeadlineSeconds", one: int64(1), other: int64(2), mutable: true},
		{name: "retries", one: int64(0), other: int64(1), mutable: true},
		{name: "priority", one: int64(1), other: int64(-1), mutable: true},
		{name: "ttlSecondsAfterFinished", one: int64(0), other: int64(1), mutable: true},
		{name: "tags", one: []any{"a"}, other: []any{"b"}, mutable: true},
		{name: "scheduledTimeArgument", one: "date", other: "at", mutable: true},
	})
}

func TestAPIKeyImmutability(t *testing.T) {
	hash := strings.Repeat("0", 64)
	testMutability(t, "APIKey", reflect.TypeFor[v1alpha1.APIKeySpec](), []field{
		{name: "keyID", one: "0123456789abcdef", other: "fedcba9876543210", required: true},
		{name: "hash", one: hash, other: hash[1:] + "1", required: true},
		{name: "userID", one: "ann", other: "bob"},
		{name: "access", one: "Read", other: "All", mutable: true},
		{name: "expiresAt", one: "2030-01-01T00:00:00Z", other: "2031-01-01T00:00:00Z", mutable: true},
		{name: "description", one: "CI", other: "cron", mutable: true},
	})
}

// testMutability tries every way in which each field can change: to another value, to none, and from none. The list has to
// contain every field of the spec.
func testMutability(t *testing.T, kind string, spec reflect.Type, list []field) {
	t.Helper()
	listed := map[string]bool{}
	for _, f := range list {
		listed[f.name] = true
	}
	for i := range spec.NumField() {
		if name, _, _ := strings.Cut(spec.Field(i).Tag.Get("json"), ","); !listed[name] {
			t.Errorf("spec.%s is not tested", name)
		}
	}

	namespace := cluster.Namespace(t)
	for _, f := range list {
		path := "spec." + f.name
		testChange := func(change string, from, to any, allowed bool) {
			t.Run(f.name+" "+change, func(t *testing.T) {
				object := newObject(t, kind, namespace, fields{"metadata.name": nil, "metadata.generateName": "x-", path: from})
				create(t, object)
				setFields(t, object, fields{path: to})
				err := cluster.Client.Update(t.Context(), object, client.DryRunAll, strict)
				switch {
				case allowed && err != nil:
					t.Errorf("refused: %v", err)
				case !allowed && err == nil:
					t.Errorf("accepted, though %s is immutable", f.name)
				case !allowed && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), f.name)):
					t.Errorf("refused in words that do not name %s: %v", f.name, err)
				}
			})
		}
		testChange("kept", f.one, f.one, true)
		testChange("changed", f.one, f.other, f.mutable)
		testChange("removed", f.one, nil, f.mutable && !f.required)
		if !f.required {
			testChange("added", nil, f.one, f.mutable || f.settledOnce)
		}
	}
}

// TestEmptyValuesAreImmutable checks that an empty object or map is a value like any other.
func TestEmptyValuesAreImmutable(t *testing.T) {
	for _, test := range []struct {
		name     string
		from, to fields
		refusal  string
	}{
		{"an empty cancellation is taken back", fields{"spec.cancellation": map[string]any{}}, fields{"spec.cancellation": nil},
			"cancellation"},
		{"an empty cancellation is filled in", fields{"spec.cancellation": map[string]any{}},
			fields{"spec.cancellation.requestedBy": "ann"}, "cancellation"},
		{"a cancellation is emptied", fields{"spec.cancellation.requestedBy": "ann"},
			fields{"spec.cancellation": map[string]any{}}, "cancellation"},
		{"an empty cancellation is set", nil, fields{"spec.cancellation": map[string]any{}}, ""},
		{"empty arguments get one", fields{"spec.arguments": map[string]any{}}, fields{"spec.arguments.a": "1"}, "arguments"},
		{"the only argument is removed", fields{"spec.arguments.a": "1"}, fields{"spec.arguments": map[string]any{}}, "arguments"},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := newObject(t, "SpiderJob", cluster.Namespace(t), test.from)
			create(t, object)
			setFields(t, object, test.to)
			err := cluster.Client.Update(t.Context(), object, strict)
			if test.refusal == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.refusal) {
				t.Errorf("want a refusal that names %s, got %v", test.refusal, err)
			}
		})
	}
}

// TestGracePeriodOfACancellationCanOnlyBeLowered checks that the grace period of a cancellation may become shorter at any
// time, but never longer, and that nothing else in a cancellation changes.
func TestGracePeriodOfACancellationCanOnlyBeLowered(t *testing.T) {
	const by, at, grace = "spec.cancellation.requestedBy", "spec.cancellation.requestedAt", "spec.cancellation.gracePeriodSeconds"
	const monday, tuesday = "2025-01-13T10:30:00Z", "2025-01-14T10:30:00Z"
	for _, test := range []struct {
		name     string
		from, to fields
		refusal  string
	}{
		{"given later", fields{by: "ann", at: monday}, fields{grace: int64(86400)}, ""},
		{"given later to an empty cancellation", fields{"spec.cancellation": map[string]any{}}, fields{grace: int64(5)}, ""},
		{"given later as 0", fields{by: "ann"}, fields{grace: int64(0)}, ""},
		{"lowered", fields{by: "ann", at: monday, grace: int64(60)}, fields{grace: int64(59)}, ""},
		{"lowered to 0", fields{by: "ann", grace: int64(60)}, fields{grace: int64(0)}, ""},
		{"kept, in other words for the time", fields{at: monday, grace: int64(60)}, fields{at: "2025-01-13T11:30:00+01:00"}, ""},
		{"raised", fields{by: "ann", grace: int64(60)}, fields{grace: int64(61)}, "gracePeriodSeconds"},
		{"raised from 0", fields{grace: int64(0)}, fields{grace: int64(1)}, "gracePeriodSeconds"},
		{"taken back", fields{by: "ann", grace: int64(60)}, fields{grace: nil}, "gracePeriodSeconds"},
		{"taken back with all else", fields{grace: int64(60)}, fields{"spec.cancellation": map[string]any{}}, "gracePeriodSeconds"},
		{"taken back with the cancellation", fields{grace: int64(60)}, fields{"spec.cancellation": nil}, "cancellation"},
		{"lowered by somebody else", fields{by: "ann", grace: int64(60)}, fields{by: "bob", grace: int64(5)}, "cancellation"},
		{"lowered by somebody where nobody was named", fields{grace: int64(60)}, fields{by: "bob", grace: int64(5)}, "cancellation"},
		{"lowered by nobody", fields{by: "ann", grace: int64(60)}, fields{by: nil, grace: int64(5)}, "cancellation"},
		{"lowered at another time", fields{at: monday, grace: int64(60)}, fields{at: tuesday, grace: int64(5)}, "cancellation"},
		{"lowered at a time where there was none", fields{grace: int64(60)}, fields{at: tuesday, grace: int64(5)}, "cancellation"},
		{"lowered at no time", fields{at: monday, grace: int64(60)}, fields{at: nil, grace: int64(5)}, "cancellation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := newObject(t, "SpiderJob", cluster.Namespace(t), test.from)
			create(t, object)
			setFields(t, object, test.to)
			err := cluster.Client.Update(t.Context(), object, strict)
			if test.refusal == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.refusal) {
				t.Errorf("want a refusal that names %s, got %v", test.refusal, err)
			}
		})
	}
}

// TestARepeatedCancellationChangesNothing checks that a merge patch that repeats a cancellation changes nothing: cancelling
// twice is the same as once.
func TestARepeatedCancellationChangesNothing(t *testing.T) {
	job := newObject(t, "SpiderJob", cluster.Namespace(t), nil)
	create(t, job)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancellation":{"requestedBy":"ann"}}}`))
	for range 2 {
		if err := cluster.Client.Patch(t.Context(), job, patch); err != nil {
			t.Fatalf("cancel: %v", err)
		}
	}
	if generation := job.GetGeneration(); generation != 2 {
		t.Errorf("generation is %d after one change, want 2", generation)
	}
}
