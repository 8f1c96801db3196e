package rest

import (
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

// getJobLogs answers with the bytes as they come. Its error says that the log was cut off; it is none that the caller has gone.
func (h *handlers) getJobLogs(r *request) error {
	var asked jobs.LogRequest
	var err error
	asked.Options, err = parseLogOptions(r.query)
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
	switch {
	case err != nil && h.guard.Stopping().Err() != nil:
		return failure.Unavailable(err, "The server is stopping.")
	case stream.Context().Err() != nil:
		return nil
	}
	return err
}
