package spiderjob

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Defaults are the operator's settings for what a Spider leaves open.
type Defaults struct {
	// SpiderImage is run where a Spider names no image.
	SpiderImage string
	// GracePeriod is how long a spider that is stopped has to close, in whole seconds.
	GracePeriod time.Duration
	// PodRetention is how long Job and Pod are kept after the end.
	PodRetention time.Duration
	// TTL is how long a SpiderJob is kept after its end.
	TTL time.Duration
	// MaxInterruptions is the number of interruptions that are followed by a new attempt.
	MaxInterruptions int32
	// ImagePatience is how long the pull of an image, or the creation of a container or volume, may fail before that is an error.
	ImagePatience time.Duration
	// Pods apply to the Pods of all Spiders.
	Pods PodDefaults
}

// defaultErrorFinishReasons are the finish reasons that are errors unless the Spider names its own.
var defaultErrorFinishReasons = []string{
	"closespider_errorcount", "closespider_pagecount_no_item", "closespider_timeout_no_item", "closed_by_spidermon",
	"memusage_exceeded", "start_error",
}

// plan is what the controller has to know of a Spider while a Job of it runs. It is fixed when the Job is created and stored on
// it, so that a change or deletion of the Spider changes nothing for the run.
type plan struct {
	Spider             string               `json:"spider"`
	RepoPath           string               `json:"repoPath,omitempty"`
	StatsSource        v1alpha1.StatsSource `json:"statsSource"`
	ErrorFinishReasons []string             `json:"errorFinishReasons,omitempty"`
	TimeoutSeconds     int64                `json:"timeoutSeconds,omitempty"`
	// StartDeadlineSeconds bounds the wait of one attempt for its start, 0 for no bound.
	StartDeadlineSeconds int64                       `json:"startDeadlineSeconds,omitempty"`
	GraceSeconds         int64                       `json:"graceSeconds"`
	Retries              int32                       `json:"retries,omitempty"`
	Interruptions        v1alpha1.InterruptionPolicy `json:"interruptions"`
	MaxInterruptions     int32                       `json:"maxInterruptions"`
	RetentionSeconds     int64                       `json:"retentionSeconds"`
	// TTLSeconds is the Spider's retention of SpiderJobs, absent if it has none.
	TTLSeconds *int64 `json:"ttlSeconds,omitempty"`
	// EarlierAttempts is how many Pods earlier Jobs of the SpiderJob have had.
	EarlierAttempts int32 `json:"earlierAttempts,omitempty"`
	// Expectations are the Spider's rules as tightened by the SpiderJob, nil if neither has any.
	Expectations *v1alpha1.Expectations `json:"expectations,omitempty"`
	// ExitPatienceSeconds is how long the process may live on after its spider has closed, 0 for any time.
	ExitPatienceSeconds int64 `json:"exitPatienceSeconds,omitempty"`
	// OwnCommand says that the spider's process is not Scrapy's own command, which runs one crawl and no more.
	OwnCommand bool `json:"ownCommand,omitempty"`
	// ComparisonKey is the key of the runs to compare with, "" if unknown.
	ComparisonKey string `json:"comparisonKey,omitempty"`
	// SumAttempts says that the counts are those of all attempts together.
	SumAttempts bool `json:"sumAttempts,omitempty"`
}

// newPlan combines a SpiderJob and its Spider. The error is for users: what the Spider does not allow.
func newPlan(sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider, defaults Defaults) (plan, error) {
	spec := &spider.Spec
	p := plan{
		Spider:              spider.SpiderName(),
		RepoPath:            spec.RepoPath,
		StatsSource:         spec.CountsFrom(),
		ErrorFinishReasons:  spec.ErrorFinishReasons,
		GraceSeconds:        max(ptr.Deref(spec.TerminationGracePeriodSeconds, seconds(defaults.GracePeriod)), 1),
		Interruptions:       spec.InterruptionPolicy,
		MaxInterruptions:    ptr.Deref(spec.MaxInterruptions, defaults.MaxInterruptions),
		RetentionSeconds:    ptr.Deref(spec.PodRetentionSeconds, seconds(defaults.PodRetention)),
		TTLSeconds:          spec.TTLSecondsAfterFinished,
		EarlierAttempts:     sj.Status.Attempts,
		ExitPatienceSeconds: ptr.Deref(spec.ExitPatienceSeconds, 0),
		OwnCommand:          len(spec.Command) > 0,
		SumAttempts:         spec.StatsAcrossAttempts == v1alpha1.CountSum,
	}
	if p.Interruptions == "" {
		p.Interruptions = v1alpha1.InterruptionRetry
	}
	if len(p.ErrorFinishReasons) == 0 {
		p.ErrorFinishReasons = defaultErrorFinishReasons
	}
	limits, err := allowed.Of(spec).Run(&sj.Spec)
	if err != nil {
		return plan{}, err
	}
	p.TimeoutSeconds = ptr.Deref(limits.TimeoutSeconds, 0)
	p.StartDeadlineSeconds = ptr.Deref(limits.StartDeadlineSeconds, 0)
	p.Retries, p.Expectations = limits.Retries, limits.Expectations
	if err := allowed.Arguments(sj.Spec.Arguments); err != nil {
		return plan{}, err
	}
	if what := withNUL(sj, spider); what != "" {
		return plan{}, fmt.Errorf("%s contains a NUL character", what)
	}
	if spec.Image == "" && defaults.SpiderImage == "" {
		return plan{}, fmt.Errorf("the Spider %s names no image, and the operator has no default image", spider.Name)
	}
	return p, nil
}

// withNUL names what contains a NUL character, "" for nothing: no command line can contain one, which would end it early, or
// prevent the container from starting. The current schema refuses them, but earlier ones did not.
func withNUL(sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider) string {
	if slices.ContainsFunc(spider.Spec.Command, func(word string) bool { return strings.ContainsRune(word, 0) }) {
		return "the command of Spider " + spider.Name
	}
	if len(spider.Spec.Command) > 0 {
		return "" // settings reach it as JSON
	}
	settings := scrapySettings(sj, spider)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if strings.ContainsRune(settings[name], 0) {
			return "setting " + name
		}
	}
	return ""
}

// planFromJob reads the plan back from a Job. Anyone who may write Jobs can have edited it: an unreadable plan counts as an
// empty one, which reads no log, sets no time limit, keeps the Job for the default time and has the default finish reasons of
// errors.
func planFromJob(job *jobView, defaults Defaults) plan {
	fallback := plan{
		StatsSource:        v1alpha1.StatsFromTerminationMessage,
		ErrorFinishReasons: slices.Clone(defaultErrorFinishReasons), // which decoding overwrites
		GraceSeconds:       seconds(defaults.GracePeriod),
		Interruptions:      v1alpha1.InterruptionRetry,
		MaxInterruptions:   defaults.MaxInterruptions,
		RetentionSeconds:   seconds(defaults.PodRetention),
	}
	if job == nil {
		return fallback
	}
	p := fallback
	if err := json.Unmarshal([]byte(job.note), &p); err != nil {
		return fallback
	}
	p.GraceSeconds = max(p.GraceSeconds, 1)
	p.EarlierAttempts = max(p.EarlierAttempts, 0)
	if rules := p.Expectations; rules != nil {
		rules.FinishReasons = rules.FinishReasons[:min(len(rules.FinishReasons), allowed.MaxFinishReasons)]
	}
	return p
}

// currentPlan returns the plan that a Job of the SpiderJob would have now, for use when the Job that holds the real one is
// gone.
func currentPlan(o *observation) plan {
	if o.spider != nil {
		if p, err := newPlan(o.sj, o.spider, o.defaults); err == nil {
			return p
		}
	}
	return planFromJob(nil, o.defaults)
}

// triesAgain reports whether another attempt follows after this many interruptions.
func (p plan) triesAgain(interruptions int32) bool {
	return p.Interruptions == v1alpha1.InterruptionRetry && interruptions <= p.MaxInterruptions
}

func (p plan) snapshot() *v1alpha1.SpiderSnapshot {
	return &v1alpha1.SpiderSnapshot{
		Name:     truncate(p.Spider, allowed.MaxSpiderName),
		RepoPath: truncate(p.RepoPath, allowed.MaxRepoPath),
	}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
