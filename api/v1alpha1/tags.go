package v1alpha1

import (
	"slices"
	"strings"
)

// Tags returns the job's tags, sorted. Whoever can write labels may have given it more than the REST API lets its callers.
func (j *SpiderJob) Tags() []string {
	var tags []string
	for name := range j.Labels {
		if tag, is := strings.CutPrefix(name, LabelTagPrefix); is && tag != "" {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return tags
}

// AddTags gives the job tags, in addition to those that it has.
func (j *SpiderJob) AddTags(tags ...string) {
	if len(tags) > 0 && j.Labels == nil {
		j.Labels = map[string]string{}
	}
	for _, tag := range tags {
		j.Labels[LabelTagPrefix+tag] = ""
	}
}
