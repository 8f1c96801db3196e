package expect

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// counted are final counts as Scrapy dumps them.
func counted(change ...func(*v1alpha1.Stats)) *v1alpha1.Stats {
	s := &v1alpha1.Stats{
		ItemsScraped: 100, Responses: new(int64(200)), Errors: new(int64(3)), FinishReason: "finished",
		Source: v1alpha1.OriginScrapyStats, Final: true,
	}
	for _, f := range change {
		f(s)
	}
	return s
}

// given are final counts of a termination message, which says only some things.
func given() *v1alpha1.Stats {
	return &v1alpha1.Stats{ItemsScraped: 100, Source: v1alpha1.OriginTerminationMessage, Final: true}
}

func TestJudge(t *testing.T) {
	type rules = v1alpha1.Expectations
	answers := func(failed, client, server, responses int64) *v1alpha1.Stats {
		return counted(func(s *v1alpha1.Stats) {
			s.FailedRequests, s.Responses4xx, s.Responses5xx, s.Responses = &failed, &client, &server, &responses
		})
	}
	items := func(n int64) *v1alpha1.Stats { return counted(func(s *v1alpha1.Stats) { s.ItemsScraped = n }) }
	unread := counted(func(s *v1alpha1.Stats) { s.Final = false })
	failedFeeds := counted(func(s *v1alpha1.Stats) { s.FeedFailures = new(int64(2)) })
	compared := func(percent int32, runs int32) *rules {
		return &rules{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: percent, Runs: runs}}
	}
	for _, c := range []struct {
		name    string
		rules   *rules
		run     Run
		broken  []string // "rule: actual, expected …"
		unknown string
		missing bool
		few     bool
		unasked bool
	}{
		{name: "no rules", run: Run{Stats: counted(), Feeds: true}},
		{name: "no rules, no counts", run: Run{Feeds: true}},
		{name: "empty rules", rules: &rules{}, run: Run{Feeds: true}},

		{name: "as many items", rules: &rules{MinItems: new(int64(100))}, run: Run{Stats: counted()}},
		{name: "one item too few", rules: &rules{MinItems: new(int64(101))}, run: Run{Stats: counted()}, broken: []string{"minItems: 100, expected at least 101"}},
		{name: "counts that are not final prove nothing", rules: &rules{MinItems: new(int64(101))}, run: Run{Stats: unread}, unknown: "minItems could not be judged: there are no final counts", missing: true},
		{name: "no counts prove nothing", rules: &rules{MinItems: new(int64(1))}, unknown: "no final counts", missing: true},

		{name: "as many errors", rules: &rules{MaxErrors: new(int64(3))}, run: Run{Stats: counted()}},
		{name: "an error too many", rules: &rules{MaxErrors: new(int64(2))}, run: Run{Stats: counted()}, broken: []string{"maxErrors: 3, expected at most 2"}},
		{name: "Scrapy leaves out what never was", rules: &rules{MaxErrors: new(int64(0))}, run: Run{Stats: counted(func(s *v1alpha1.Stats) { s.Errors = nil })}},
		{name: "other programs leave out what they do not count", rules: &rules{MaxErrors: new(int64(0))}, run: Run{Stats: given()}, unknown: "maxErrors could not be judged: the spider did not report", missing: true},

		{name: "half of the answers failed", rules: &rules{MaxFailedResponsePercent: new(int32(50))}, run: Run{Stats: answers(20, 30, 10, 100)}},
		{name: "one more", rules: &rules{MaxFailedResponsePercent: new(int32(50))}, run: Run{Stats: answers(20, 31, 10, 100)}, broken: []string{"maxFailedResponsePercent: 50.8 % (61 of 120), expected at most 50 %"}},
		{name: "no answer at all", rules: &rules{MaxFailedResponsePercent: new(int32(0))}, run: Run{Stats: answers(0, 0, 0, 0)}},
		{name: "only failures", rules: &rules{MaxFailedResponsePercent: new(int32(99))}, run: Run{Stats: answers(5, 0, 0, 0)}, broken: []string{"maxFailedResponsePercent: 100.0 % (5 of 5), expected at most 99 %"}},
		{name: "everything may fail", rules: &rules{MaxFailedResponsePercent: new(int32(100))}, run: Run{Stats: answers(math.MaxInt32, 9, 9, 1)}},
		{name: "the largest counts that are believed", rules: &rules{MaxFailedResponsePercent: new(int32(99))}, run: Run{Stats: answers(1<<53, 1<<53, 1<<53, 1<<53)}, broken: []string{"maxFailedResponsePercent: 100.0 % (27021597764222976 of 27021597764222976), expected at most 99 %"}},
		{name: "answers that are not counted by class", rules: &rules{MaxFailedResponsePercent: new(int32(1))}, run: Run{Stats: given()}, unknown: "responses by class", missing: true},

		{name: "as long", rules: &rules{MaxDurationSeconds: new(int64(60))}, run: Run{Stats: counted(), Duration: time.Minute}},
		{name: "too long", rules: &rules{MaxDurationSeconds: new(int64(60))}, run: Run{Stats: counted(), Duration: 61 * time.Second}, broken: []string{"maxDurationSeconds: 1m1s, expected at most 1m0s"}},
		{name: "too long, whatever the counts", rules: &rules{MaxDurationSeconds: new(int64(60))}, run: Run{Duration: time.Hour}, broken: []string{"maxDurationSeconds: 1h0m0s, expected at most 1m0s"}},
		{name: "nobody knows how long", rules: &rules{MaxDurationSeconds: new(int64(60))}, run: Run{Stats: counted()}, unknown: "how long it ran is not known"},

		{name: "a reason as expected", rules: &rules{FinishReasons: []string{"closespider_*", "finished"}}, run: Run{Stats: counted()}},
		{name: "another reason", rules: &rules{FinishReasons: []string{"closespider_*", "done"}}, run: Run{Stats: counted()}, broken: []string{"finishReasons: finished, expected closespider_* or done"}},
		{name: "no reason", rules: &rules{FinishReasons: []string{"finished"}}, run: Run{Stats: given()}, unknown: "did not report its finish reason", missing: true},

		{name: "feeds that failed, and no rule", run: Run{Stats: failedFeeds, Feeds: true}, broken: []string{"feedFailures: 2, expected at most 0"}, unasked: true},
		{name: "feeds that failed, and other rules", rules: &rules{MinItems: new(int64(1))}, run: Run{Stats: failedFeeds, Feeds: true}, broken: []string{"feedFailures: 2, expected at most 0"}, unasked: true},
		{name: "feeds that may fail", rules: &rules{FeedFailures: new(int64(2))}, run: Run{Stats: failedFeeds, Feeds: true}},
		{name: "feeds that failed, and a rule", rules: &rules{FeedFailures: new(int64(1))}, run: Run{Stats: failedFeeds, Feeds: true, FeedError: "no"}, broken: []string{"feedFailures: 2 (no), expected at most 1"}},
		{name: "a feed that only the log tells of", run: Run{Stats: counted(), Feeds: true, FeedError: "[Errno 13] Permission denied: '/app/items.json'"}, broken: []string{"feedFailures: 1 ([Errno 13] Permission denied: '/app/items.json'), expected at most 0"}, unasked: true},
		{name: "a feed in a log without final counts", run: Run{Stats: unread, Feeds: true, FeedError: "no"}},
		{name: "nobody watches feeds", run: Run{Stats: failedFeeds}},
		{name: "feeds of a program that does not count them", rules: &rules{FeedFailures: new(int64(0))}, run: Run{Stats: given()}, unknown: "feedFailures could not be judged", missing: true},

		{name: "half of the median", rules: compared(50, 3), run: Run{Stats: items(50), Earlier: []int64{100, 1, 1000, 7, 7}}},
		{name: "less than half of it", rules: compared(50, 3), run: Run{Stats: items(49), Earlier: []int64{100, 1, 1000, 7, 7}}, broken: []string{"comparedToPrevious: 49 items, 49.0 %, expected at least 50 % of 100 items, the median of the last 3 runs"}},
		{name: "an even number of runs", rules: compared(100, 2), run: Run{Stats: items(14), Earlier: []int64{10, 19}}, broken: []string{"comparedToPrevious: 14 items, 96.6 %, expected at least 100 % of 14.5 items, the median of the last 2 runs"}},
		{name: "runs without items", rules: compared(50, 1), run: Run{Stats: items(0), Earlier: []int64{0}}},
		{name: "too few runs", rules: compared(50, 0), run: Run{Stats: items(0), Earlier: []int64{1, 1, 1, 1}, Kept: time.Hour}, unknown: "of the 5 earlier runs that it needs there are 4; an ended SpiderJob is kept for 1h0m0s (ttlSecondsAfterFinished)", few: true},
		{name: "no runs, no counts", rules: compared(50, 0), unknown: "no final counts", missing: true},

		{name: "counts are required, and there", rules: &rules{RequireCounts: true}, run: Run{Stats: counted()}},
		{name: "counts are required", rules: &rules{RequireCounts: true, MinItems: new(int64(1))}, run: Run{Stats: unread}, broken: []string{"requireCounts: none could be read, expected final counts"}},
		{name: "all counts are required", rules: &rules{RequireCounts: true, MaxErrors: new(int64(1))}, run: Run{Stats: given()}, broken: []string{"requireCounts: maxErrors could not be judged: the spider did not report that count, expected final counts"}},
		{name: "required counts make no run", rules: &rules{RequireCounts: true, ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50}}, run: Run{Stats: counted()}, unknown: "comparedToPrevious", few: true},

		{name: "every rule that is broken is told", rules: &rules{MinItems: new(int64(101)), MaxErrors: new(int64(0)), FinishReasons: []string{"done"}}, run: Run{Stats: failedFeeds, Feeds: true},
			broken: []string{"minItems: 100, expected at least 101", "maxErrors: 3, expected at most 0", "finishReasons: finished, expected done", "feedFailures: 2, expected at most 0"}, unasked: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := Judge(c.rules, c.run)
			var broken []string
			for _, v := range j.Broken {
				broken = append(broken, v.Rule+": "+v.Actual+", expected "+v.Expected)
				if !j.Broke(v.Rule) || !strings.Contains(j.Sentence(), v.Actual) {
					t.Errorf("%s is not in the sentence: %s", v.Rule, j.Sentence())
				}
			}
			if diff := cmp.Diff(c.broken, broken); diff != "" {
				t.Errorf("broken (-want +got):\n%s", diff)
			}
			unknown := strings.Join(j.Unknown, "; ")
			if !strings.Contains(unknown, c.unknown) || (c.unknown == "") != (unknown == "") || !strings.HasSuffix(j.Sentence(), unknown) {
				t.Errorf("unknown is %q, want %q", unknown, c.unknown)
			}
			if j.Missing != c.missing || j.Few != c.few || j.Unasked != c.unasked {
				t.Errorf("missing %t, few %t, unasked %t", j.Missing, j.Few, j.Unasked)
			}
		})
	}
}

func TestMatchesReason(t *testing.T) {
	entries := []string{"finished", "closespider_*", "a*b"}
	for reason, want := range map[string]bool{
		"finished": true, "finishedly": false, "closespider_timeout": true, "closespider_": true, "closespider": false, "": false,
		"a*b": true, "aXb": false,
	} {
		if got := MatchesReason(entries, reason); got != want {
			t.Errorf("%q: %t", reason, got)
		}
	}
	if !MatchesReason([]string{"*"}, "") {
		t.Error("a star alone stands for anything")
	}
}

func TestFeedRemedy(t *testing.T) {
	for feedError, want := range map[string]string{
		"PermissionError: [Errno 13] Permission denied: '/app/items.json'":                                       "/tmp",
		"OSError: [Errno 30] Read-only file system: 'items.json'":                                                "/tmp",
		"OSError: [Errno 28] No space left on device":                                                            "room",
		"FileNotFoundError: [Errno 2] No such file or directory: '/data/x'":                                      "directory",
		"botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the PutObject operation": "credentials",
		"botocore.exceptions.NoCredentialsError: Unable to locate credentials":                                   "credentials",
		"botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL":                     "address",
		"Unknown feed storage scheme: s4":                                                                        "library",
		"ValueError: odd":                                                                                        "written there",
		"":                                                                                                       "the log says",
	} {
		if got := FeedRemedy(feedError); !strings.Contains(got, want) {
			t.Errorf("%q: %q does not tell of %q", feedError, got, want)
		}
	}
}
