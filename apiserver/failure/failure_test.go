package failure

import (
	"errors"
	"fmt"
	"testing"
)

func TestOfFindsTheErrorThatCallersAreToldOf(t *testing.T) {
	cause := errors.New("connection refused")
	told := Unavailable(cause, "Later.")
	wrapped := fmt.Errorf("starting a job: %w", told)
	if Of(wrapped) != told || !Is(wrapped, KindUnavailable) || Is(wrapped, KindNotFound) {
		t.Errorf("of %v: %v", wrapped, Of(wrapped))
	}
	if !errors.Is(wrapped, cause) {
		t.Error("the cause is lost")
	}
	if unknown := Of(cause); unknown.Kind != KindInternal || !errors.Is(unknown, cause) || Is(cause, KindInternal) {
		t.Errorf("of an error that says nothing of itself: %+v", unknown)
	}
}

func TestErrorsSayWhatHappened(t *testing.T) {
	for _, test := range []struct {
		err  *Error
		want string
	}{
		{Invalid("limit", "must be from %d to %d", 1, 9), "invalid_request: limit: must be from 1 to 9."},
		{NotFound("This job"), "not_found: This job does not exist."},
		{Internal(errors.New("out of ink")), "internal: out of ink"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestFieldNames(t *testing.T) {
	for field, want := range map[string]string{
		"minItems": "min_items", "maxFailedResponsePercent": "max_failed_response_percent", "feed": "feed", "": "",
		"comparedToPrevious.minItemsPercent": "compared_to_previous.min_items_percent",
	} {
		if got := FieldName(field); got != want {
			t.Errorf("%s is called %s, want %s", field, got, want)
		}
	}
}
