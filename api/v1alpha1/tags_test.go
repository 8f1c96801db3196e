package v1alpha1

import (
	"maps"
	"slices"
	"testing"
)

func TestTagsAreLabels(t *testing.T) {
	job := &SpiderJob{}
	job.AddTags()
	if job.Labels != nil || job.Tags() != nil {
		t.Errorf("no tags are %v, labels %v", job.Tags(), job.Labels)
	}
	job.AddTags("nightly", "eu")
	job.AddTags("eu")
	if !maps.Equal(job.Labels, map[string]string{"tag.scrapethis.app/nightly": "", "tag.scrapethis.app/eu": ""}) {
		t.Errorf("labels %v", job.Labels)
	}
	job.Labels["tag.scrapethis.app/by-hand"], job.Labels["scrapethis.app/origin"], job.Labels["tag"] = "x", "api", ""
	if tags := job.Tags(); !slices.Equal(tags, []string{"by-hand", "eu", "nightly"}) {
		t.Errorf("tags %v", tags)
	}
}
