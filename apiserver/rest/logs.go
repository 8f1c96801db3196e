package rest

import (
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

// getJobLogs answers with the bytes as they come. Its error says that the log was cut off; it is none that the caller has gone or that
// the server stops.
func (h *handlers) getJobLogs(r *request) error {
	options, err := parseLogOptions(r.query)
	if err != nil {
		return err
	}
	job, err := h.jobs.Find(r.context(), r.caller(), r.id())
	if err != nil {
		return err
	}
	if r.isHead() {
		options.Follow, options.LimitBytes = false, new(int64(jobs.LogBuffer))
	}
	stream, closeStream, err := h.guard.NewStream(r.c)
	if err != nil {
		return err
	}
	defer closeStream()
	log, err := h.jobs.OpenLog(stream.Context(), job, options)
	if err != nil {
		if h.guard.Stopping().Err() != nil {
			err = failure.Unavailable(err, "The server is stopping.")
		}
		return err
	}
	stream.Begin(r.exchange().RequestID, "text/plain; charset=utf-8", log.Follows())
	if r.isHead() {
		return log.Close()
	}
	err = log.CopyTo(stream.Context(), stream)
	if stream.Context().Err() != nil {
		return nil
	}
	return err
}
