package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

func (h *handlers) listJobs(r *request) error {
	query, err := parseList(r.query)
	if err != nil {
		return err
	}
	found, next := h.jobs.List(r.caller(), query)
	if next != nil {
		r.c.Header("Link", nextPage("jobs", r.query, *next))
	}
	h.tellAge(r)
	return writeJSON(r.c.Writer, func(text []byte) []byte {
		text = append(text, '[')
		for i, job := range found {
			if i > 0 {
				text = append(text, ',')
			}
			text = appendListed(text, job)
		}
		return append(text, ']')
	})
}

// answers are buffers for answers. A buffer that has grown beyond maxKeptAnswer is not kept, nor is one whose text was not
// written: HTTP/2 returns from a write that the caller has cut off while the text may still be on its way to that caller.
var answers sync.Pool

const maxKeptAnswer = 64 << 10

// writeJSON answers with the text that appendText appends, in one piece. It is for jobs: making values for encoding/json, and
// encoding them, would be most of the cost of a list.
func writeJSON(w http.ResponseWriter, appendText func([]byte) []byte) error {
	buffer, ok := answers.Get().(*[]byte)
	if !ok { // no buffer is free
		buffer = new([]byte)
	}
	text := append(appendText((*buffer)[:0]), '\n')
	header := w.Header()
	header.Set("Content-Type", contentTypeJSON)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(text)
	if err == nil && cap(text) <= maxKeptAnswer {
		*buffer = text
		answers.Put(buffer)
	}
	return err
}

func (h *handlers) getJob(r *request) error {
	wait, err := parseWait(r.query.text("wait"))
	if err != nil {
		return err
	}
	job, err := h.jobs.Find(r.context(), r.caller(), r.id())
	if err != nil {
		return err
	}
	if wait > 0 && job.Finished == 0 && !r.isHead() {
		if job, err = h.wait(r, job, wait); err != nil {
			return err
		}
	}
	h.tellAge(r)
	place := h.jobs.Place(job)
	tag := placedTag(h.etags.job(job), place)
	// Many callers may have waited for jobs that end at once: no time to read arguments.
	partial := job.ArgumentsOmitted && wait > 0
	if r.isKnown(tag) || partial && r.isKnown(partialTag(tag)) {
		r.unchanged()
		return nil
	}
	arguments, omitted := job.Arguments, job.ArgumentsOmitted
	if omitted && !partial {
		if r.isHead() { // The length would need a read.
			r.c.Header("Content-Type", contentTypeJSON)
			r.c.Status(http.StatusOK)
			return nil
		}
		var ok bool
		if arguments, ok = h.jobs.Arguments(r.context(), job); ok {
			omitted = false
		} else {
			r.c.Header("ETag", partialTag(tag))
		}
	}
	return writeJSON(r.c.Writer, func(text []byte) []byte { return appendMembers(text, job, arguments, omitted, place) })
}

// wait returns the job after a wait for its end, to a caller that may still see it.
func (h *handlers) wait(r *request, job *view.Job, wait time.Duration) (*view.Job, error) {
	ending, release, err := h.guard.OpenWait(r.context())
	if err != nil {
		return nil, err
	}
	defer release()
	h.guard.ExtendWrite(r.c, wait)
	waiting, cancel := context.WithCancel(r.context())
	defer cancel()
	defer context.AfterFunc(ending, cancel)()
	job, gone := h.jobs.Wait(waiting, job, wait)
	if ending.Err() != nil {
		r.c.Header("Connection", "close") // Like every answer of a server that stops, or needs the room; this one was begun before.
	}
	review := h.guard.Reviewer(r.c)
	if err := review(r.context()); err != nil {
		return nil, err
	}
	return job, gone
}

// maxWait is the longest wait that a caller can ask for: proxies rarely allow more.
const maxWait = 5 * time.Minute

// waitText is the form that the contract gives a wait.
var waitText = regexp.MustCompile(`^([0-9]+|([0-9]+(\.[0-9]+)?(ms|s|m))+)$`)

func parseWait(text *string) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	bad := failure.Invalid("wait", "must be a duration up to 5m, such as 60s or 2m30s, or a number of seconds")
	if len(*text) > 32 || !waitText.MatchString(*text) {
		return 0, bad
	}
	wait, err := time.ParseDuration(*text)
	if err != nil {
		seconds, err := strconv.Atoi(*text)
		if err != nil || seconds > int(maxWait/time.Second) {
			return 0, bad
		}
		wait = time.Duration(seconds) * time.Second
	}
	if wait > maxWait {
		return 0, bad
	}
	return wait, nil
}

func (h *handlers) startJob(r *request) error {
	asked, err := parseStart(r.body)
	if err != nil {
		return err
	}
	if asked.Once, err = r.once(r.body); err != nil {
		return err
	}
	job, err := h.jobs.Start(r.context(), r.caller(), asked)
	if err != nil {
		return err
	}
	return h.showStarted(r, job)
}

// once returns what an Idempotency-Key says of a start with this content; nil without one.
func (r *request) once(content []byte) (*jobs.Once, error) {
	key, err := r.header("Idempotency-Key")
	if key == nil || err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	return &jobs.Once{Key: *key, Hash: hex.EncodeToString(sum[:])}, nil
}

func (h *handlers) showStarted(r *request, job *view.Job) error {
	r.c.Header("ETag", h.etags.job(job))
	return r.show(contract.StartedJob{JobID: job.ID.String(), Status: contract.JobStatus(job.Status.String())})
}

func (h *handlers) rerunJob(r *request) error {
	err := eachMember(r.body, "", func(name string, _ json.RawMessage) error {
		return failure.Invalid(failure.Name(name), "there is no such field: a job is started again as it was")
	})
	if err != nil {
		return err
	}
	// No body of a start is like this text, so a key cannot be used for both.
	once, err := r.once([]byte("rerun " + strings.ToLower(r.id())))
	if err != nil {
		return err
	}
	job, err := h.jobs.Rerun(r.context(), r.caller(), r.id(), once)
	if err != nil {
		return err
	}
	return h.showStarted(r, job)
}

func (h *handlers) changeJob(r *request) error {
	change, err := parseChange(r.body)
	if err != nil {
		return err
	}
	job, err := h.jobs.Change(r.context(), r.caller(), r.id(), change, r.jobCondition())
	if err != nil {
		return err
	}
	tag := h.etags.job(job)
	if job.ArgumentsOmitted {
		tag = partialTag(tag)
	}
	r.c.Header("ETag", tag)
	return writeJSON(r.c.Writer, func(text []byte) []byte { return appendJob(text, job) })
}

func (h *handlers) cancelJob(r *request) error {
	grace, err := parseGracePeriod(r.query.text("grace_period_seconds"))
	if err != nil {
		return err
	}
	job, err := h.jobs.Cancel(r.context(), r.caller(), r.id(), grace, r.jobCondition())
	if err != nil {
		return err
	}
	r.c.Header("ETag", h.etags.job(job))
	return r.show(contract.CancelledJob{Ok: true, Message: "Job cancelled"})
}

func parseGracePeriod(text *string) (*int64, error) {
	if text == nil {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(*text, 10, 64)
	if err != nil || seconds < 0 || seconds > allowed.MaxGraceSeconds {
		return nil, failure.Invalid("grace_period_seconds", "must be a whole number from 0 to %d", allowed.MaxGraceSeconds)
	}
	return &seconds, nil
}
