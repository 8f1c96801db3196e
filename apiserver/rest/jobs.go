package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

func (h *handlers) ListJobs(
	ctx context.Context, request contract.ListJobsRequestObject,
) (contract.ListJobsResponseObject, error) {
	query, err := parseList(request.Params)
	if err != nil {
		return nil, err
	}
	found, more := h.jobs.List(callerOf(ctx), query)
	page := jobPage{jobs: found, requestID: exchange.Of(ctx).RequestID, dataAge: h.dataAge()}
	if more {
		page.link = nextPage(request.Params, found[len(found)-1])
	}
	return page, nil
}

// jobPage is a page of jobs. The generated answer would have it encoded by encoding/json, out of values that would have to be made
// for it first, and that is most of what a list costs.
type jobPage struct {
	jobs      []*view.Job
	requestID string
	// dataAge is nil while Kubernetes is connected.
	dataAge *int
	// link is empty on the last page.
	link string
}

// VisitListJobsResponse implements contract.ListJobsResponseObject.
func (p jobPage) VisitListJobsResponse(w http.ResponseWriter) error {
	if p.link != "" {
		w.Header().Set("Link", p.link)
	}
	return writeJSON(w, p.requestID, p.dataAge, func(text []byte) []byte {
		text = append(text, '[')
		for i, job := range p.jobs {
			if i > 0 {
				text = append(text, ',')
			}
			text = appendListed(text, job)
		}
		return append(text, ']')
	})
}

// jobAnswer is a single job.
type jobAnswer struct {
	job            *view.Job
	tag, requestID string
	// dataAge is nil while Kubernetes is connected.
	dataAge *int
}

// VisitGetJobResponse implements contract.GetJobResponseObject.
func (a jobAnswer) VisitGetJobResponse(w http.ResponseWriter) error {
	w.Header().Set("ETag", a.tag)
	return writeJSON(w, a.requestID, a.dataAge, func(text []byte) []byte { return appendJob(text, a.job) })
}

// answers are buffers for texts of answers. A buffer that has grown beyond maxKeptAnswer is not kept, nor is one whose text was
// not written: HTTP/2 returns from a write that the caller has cut off while the text may still be on its way to that caller.
var answers sync.Pool

const maxKeptAnswer = 64 << 10

// writeJSON answers with the text that appendText appends, in one piece.
func writeJSON(w http.ResponseWriter, requestID string, dataAge *int, appendText func([]byte) []byte) error {
	buffer, ok := answers.Get().(*[]byte)
	if !ok { // none is left
		buffer = new([]byte)
	}
	text := append(appendText((*buffer)[:0]), '\n')
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	header.Set("X-Request-ID", requestID)
	if dataAge != nil {
		header.Set("X-Data-Age", strconv.Itoa(*dataAge))
	}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(text)
	if err == nil && cap(text) <= maxKeptAnswer {
		*buffer = text
		answers.Put(buffer)
	}
	return err
}

func (h *handlers) GetJob(ctx context.Context, request contract.GetJobRequestObject) (contract.GetJobResponseObject, error) {
	wait, err := parseWait(request.Params.Wait)
	if err != nil {
		return nil, err
	}
	job, err := h.jobs.Find(requestOf(ctx), callerOf(ctx), request.ID)
	if err != nil {
		return nil, err
	}
	if wait > 0 && job.Finished == 0 && !isHead(ctx) {
		if job, err = h.wait(ctx, job, wait); err != nil {
			return nil, err
		}
	}
	revalidated(ctx)
	tag, requestID := h.tags.job(job), exchange.Of(ctx).RequestID
	if matches(request.Params.IfNoneMatch, tag) {
		return contract.GetJob304Response{
			Headers: contract.NotModifiedResponseHeaders{ETag: tag, XRequestID: requestID, XDataAge: h.dataAge()},
		}, nil
	}
	return jobAnswer{job: job, tag: tag, requestID: requestID, dataAge: h.dataAge()}, nil
}

// wait returns the job as it is after a wait for its end, to a caller that may still be told.
func (h *handlers) wait(ctx context.Context, job *view.Job, wait time.Duration) (*view.Job, error) {
	release, err := h.guard.OpenWait(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	c, ok := ctx.(*gin.Context)
	if !ok {
		return nil, failure.Internal(errors.New("only HTTP requests can wait"))
	}
	h.guard.ExtendWrite(c, wait)
	waiting, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	defer context.AfterFunc(h.guard.Stopping(), cancel)() //nolint:contextcheck // The end of the server ends every wait.
	job, gone := h.jobs.Wait(waiting, job, wait)          //nolint:contextcheck // It is made of the request's own.
	if h.guard.Stopping().Err() != nil {
		c.Header("Connection", "close") // As every answer of a server that leaves; this one was begun before.
	}
	review := h.guard.Reviewer(c)                       //nolint:contextcheck // It is called with the request's own.
	if err := review(c.Request.Context()); err != nil { //nolint:contextcheck // Which this is.
		return nil, err
	}
	return job, gone
}

// maxWait is the longest a caller can ask to wait: proxies on the way rarely bear more.
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

func (h *handlers) StartJob(
	ctx context.Context, request contract.StartJobRequestObject,
) (contract.StartJobResponseObject, error) {
	asked, err := parseStart(*request.Body)
	if err != nil {
		return nil, err
	}
	if key := request.Params.IdempotencyKey; key != nil {
		sum := sha256.Sum256(*request.Body)
		asked.Once = &jobs.Once{Key: *key, Hash: hex.EncodeToString(sum[:])}
	}
	job, err := h.jobs.Start(requestOf(ctx), callerOf(ctx), asked)
	if err != nil {
		return nil, err
	}
	return contract.StartJob200JSONResponse{
		Body:    contract.StartedJob{JobID: job.ID.String(), Status: contract.JobStatus(job.Status.String())},
		Headers: contract.StartJob200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID},
	}, nil
}

func (h *handlers) CancelJob(
	ctx context.Context, request contract.CancelJobRequestObject,
) (contract.CancelJobResponseObject, error) {
	grace, err := parseGracePeriod(request.Params.GracePeriodSeconds)
	if err != nil {
		return nil, err
	}
	if err := h.jobs.Cancel(requestOf(ctx), callerOf(ctx), request.ID, grace); err != nil {
		return nil, err
	}
	return contract.CancelJob200JSONResponse{
		Body:    contract.CancelledJob{Ok: true, Message: "Job cancelled"},
		Headers: contract.CancelJob200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID},
	}, nil
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
