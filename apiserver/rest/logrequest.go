package rest

import (
	"regexp"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

const (
	// maxTail is the largest number of lines that can be requested, and maxSince the longest time.
	maxTail  = 1_000_000
	maxSince = 365 * 24 * time.Hour
)

// sinceText is the form that the contract gives a time before now.
var sinceText = regexp.MustCompile(`^([0-9]+|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$`)

// parseLogRequest parses which log is requested, and how.
func parseLogRequest(r *request) (jobs.LogRequest, error) {
	var asked jobs.LogRequest
	var err error
	if asked.Options, err = parseLogOptions(r.query); err != nil {
		return asked, err
	}
	asked.Lines = r.prefersEvents()
	after, err := r.header("Last-Event-ID")
	switch {
	case err != nil:
		return asked, err
	case after == nil:
		return asked, nil
	case !asked.Lines:
		return asked, failure.Invalid("Last-Event-ID", "needs 'Accept: text/event-stream'")
	}
	asked.After, err = parseLogID(*after)
	return asked, err
}

// parseLogOptions parses the query of a request for a log.
func parseLogOptions(given parameters) (corev1.PodLogOptions, error) {
	var options corev1.PodLogOptions
	if text := given.text("follow"); text != nil {
		if *text != "true" && *text != "false" {
			return options, failure.Invalid("follow", "must be true or false")
		}
		options.Follow = *text == "true"
	}
	if text := given.text("tail"); text != nil {
		lines, err := strconv.ParseInt(*text, 10, 64)
		if err != nil || lines < 0 || lines > maxTail {
			return options, failure.Invalid("tail", "must be a whole number from 0 to %d", maxTail)
		}
		options.TailLines = &lines
	}
	if text := given.text("since"); text != nil {
		if err := readSince(&options, *text); err != nil {
			return options, err
		}
	}
	return options, nil
}

// readSince parses a duration before now, or a time.
func readSince(options *corev1.PodLogOptions, text string) error {
	if moment, err := time.Parse(time.RFC3339, text); err == nil && moment.Unix() > 0 {
		options.SinceTime = &metav1.Time{Time: moment}
		return nil
	}
	bad := failure.Invalid(
		"since",
		"must be a duration up to a year, such as 90s or 1h30m, a number of seconds, or an RFC 3339 time",
	)
	if len(text) > 32 || !sinceText.MatchString(text) {
		return bad
	}
	since, err := time.ParseDuration(text)
	if err != nil {
		since, err = time.ParseDuration(text + "s")
	}
	if err != nil || since <= 0 || since > maxSince {
		return bad
	}
	seconds := int64(wholeSeconds(since))
	options.SinceSeconds = &seconds
	return nil
}
