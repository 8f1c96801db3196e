package rest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/gin-gonic/gin"

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

// matches reports whether an If-None-Match header names the tag, or any tag.
func matches(header *string, tag string) bool {
	if header == nil {
		return false
	}
	for candidate := range strings.SplitSeq(*header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}

// revalidated says in the answer that it may be kept, and is to be asked for each time.
func revalidated(ctx context.Context) {
	if c, ok := ctx.(*gin.Context); ok {
		c.Header("Cache-Control", "private, no-cache")
		c.Header("Vary", "Authorization")
	}
}
