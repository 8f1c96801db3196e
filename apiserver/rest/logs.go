package rest

import (
	"context"

	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

// getJobLogs answers with the bytes as they come, or with events. Its error means that the log was cut off; a caller that has
// gone is not an error.
func (h *handlers) getJobLogs(r *request) error {
	asked, err := parseLogRequest(r)
	if err != nil {
		return err
	}
	job, err := h.jobs.Find(r.context(), r.caller(), r.id())
	if err != nil {
		return err
	}
	if r.isHead() {
		asked.Options.Follow, asked.Options.LimitBytes = false, new(int64(jobs.LogBuffer))
	}
	stream, closeStream, err := h.guard.NewStream(r.c)
	if err != nil {
		return err
	}
	defer closeStream()
	log, err := h.jobs.OpenLog(stream.Context(), job, asked)
	if err != nil {
		if stream.Context().Err() != nil {
			return context.Cause(stream.Context())
		}
		return err
	}
	r.c.Header("Vary", "Accept")
	contentType := "text/plain; charset=utf-8"
	if asked.Lines {
		contentType = contentTypeEvents
	}
	stream.Begin(r.exchange().RequestID, contentType, log.Follows())
	switch {
	case r.isHead():
		return log.Close()
	case asked.Lines:
		defer stream.KeepAlive(comment)()
		return tellLog(stream, log)
	}
	defer stream.KeepAlive(nil)()
	err = log.CopyTo(stream.Context(), stream)
	if hasLeft(stream) {
		return nil
	}
	return err
}
