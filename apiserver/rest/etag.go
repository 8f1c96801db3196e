package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/scrapethis/spider-operator/apiserver/view"
)

// tags makes ETags. It stands for how things are shown: a server that shows them otherwise has another contract.
type tags struct {
	contract string
}

func tagsOf(contract []byte) tags {
	sum := sha256.Sum256(contract)
	return tags{string(sum[:])}
}

// job names a job as it is shown: its state, and what it shows of its Spider until it starts.
func (t tags) job(job *view.Job) string {
	return t.of(job.ResourceVersion, job.SpiderName, job.RepoPath)
}

// spider names a spider as it is shown.
func (t tags) spider(spider *view.Spider) string { return t.of(spider.ResourceVersion) }

// of returns an ETag that differs where any of the parts does.
func (t tags) of(parts ...string) string {
	// None of them contains a NUL, but the sum, which has always the same length.
	sum := sha256.Sum256([]byte(t.contract + strings.Join(parts, "\x00")))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// isKnown shows the tag of what is answered, and reports whether the caller has named it, or any, in If-None-Match. It says that the
// answer may be kept, and is to be asked for each time.
func (r *request) isKnown(tag string) bool {
	r.c.Header("Cache-Control", "private, no-cache")
	r.c.Header("Vary", "Authorization")
	r.c.Header("ETag", tag)
	for _, header := range r.c.Request.Header.Values("If-None-Match") {
		for candidate := range strings.SplitSeq(header, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}
