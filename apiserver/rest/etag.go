package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/schedules"
	"github.com/scrapethis/spider-operator/apiserver/spiders"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// etags makes ETags. It includes the contract, since a server that shows things differently has another contract.
type etags struct {
	contract string
}

func etagsOf(contract []byte) etags {
	sum := sha256.Sum256(contract)
	return etags{string(sum[:])}
}

// job identifies a job as it is shown: its state, and what it shows of its Spider until it starts.
func (t etags) job(job *view.Job) string {
	return tag(jobState(job), t.sum(job.ResourceVersion, job.SpiderName, job.RepoPath))
}

// partialTag identifies a job as it is shown without arguments that it has.
func partialTag(tag string) string { return strings.TrimSuffix(tag, `"`) + `-partial"` }

// spider identifies a spider as it is shown.
func (t etags) spider(spider *view.Spider) string {
	return tag(spiderState(spider), t.sum(spider.ResourceVersion))
}

// jobState and spiderState identify what callers can change of an object, whatever its status. They are the beginning of each of
// its ETags. The tags and the note of a job are in its metadata, whose changes its generation does not count.
func jobState(job *view.Job) string {
	note := ""
	if job.Note != nil {
		note = *job.Note
	}
	return stateOf(job.ID, job.Created, int64(job.Generation), job.Tags.String(), note)
}

func spiderState(spider *view.Spider) string {
	return stateOf(spider.ID, spider.Created, spider.Generation)
}

func stateOf(id uuid.UUID, created, generation int64, more ...string) string {
	state := binary.BigEndian.AppendUint64(id[:], uint64(created))   //nolint:gosec // It need not be reversible.
	state = binary.BigEndian.AppendUint64(state, uint64(generation)) //nolint:gosec // It need not be reversible.
	for _, text := range more {
		state = append(binary.BigEndian.AppendUint64(state, uint64(len(text))), text...)
	}
	sum := sha256.Sum256(state)
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// sum differs if any of the parts does.
func (t etags) sum(parts ...string) string {
	// None of them contains a NUL, except the sum of the contract, whose length is fixed.
	sum := sha256.Sum256([]byte(t.contract + strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

func tag(state, sum string) string { return `"` + state + sum + `"` }

// isKnown sends the tag of the answer, and reports whether the caller has named it, or any, in If-None-Match. It says that the
// answer may be stored, but has to be revalidated each time. It does not vary by caller: whether a caller may have it is
// checked each time. A ninth header would make net/http's map of them grow, at six allocations a read.
func (r *request) isKnown(tag string) bool {
	r.c.Header("Cache-Control", "private, no-cache")
	r.c.Header("ETag", tag)
	return namesTag(r.c.Request.Header.Values("If-None-Match"), func(given string) bool { return given == tag })
}

// namesTag reports whether the tag is among those of a header, or the header has "*". A proxy that changes how an answer is
// encoded makes its tag a weak one.
func namesTag(header []string, meant func(tag string) bool) bool {
	for given := range strings.SplitSeq(strings.Join(header, ","), ",") {
		given = strings.TrimSpace(given)
		if given == "*" || meant(strings.TrimPrefix(given, "W/")) {
			return true
		}
	}
	return false
}

// jobCondition returns what If-Match requires of a job: to be in the state of one of the tags. It is nil without the header.
func (r *request) jobCondition() jobs.Condition {
	header := r.c.Request.Header.Values("If-Match")
	if header == nil {
		return nil
	}
	return func(job *view.Job) bool { return namesState(header, jobState(job)) }
}

// spiderCondition returns what If-Match requires of a spider, as jobCondition does for a job.
func (r *request) spiderCondition() spiders.Condition {
	header := r.c.Request.Header.Values("If-Match")
	if header == nil {
		return nil
	}
	return func(spider *view.Spider) bool { return namesState(header, spiderState(spider)) }
}

// scheduleState identifies what callers can change of a schedule, as spiderState does for a spider.
func scheduleState(schedule *view.Schedule) string {
	return stateOf(schedule.ID, schedule.Created, schedule.Object.Generation)
}

// scheduleCondition returns what If-Match requires of a schedule, as jobCondition does for a job.
func (r *request) scheduleCondition() schedules.Condition {
	header := r.c.Request.Header.Values("If-Match")
	if header == nil {
		return nil
	}
	return func(schedule *view.Schedule) bool { return namesState(header, scheduleState(schedule)) }
}

func namesState(header []string, state string) bool {
	return namesTag(header, func(tag string) bool { return strings.HasPrefix(tag, `"`+state) })
}
