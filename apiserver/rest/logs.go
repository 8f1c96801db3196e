package rest

import (
	"context"
	"net/http"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

func (h *handlers) GetJobLogs(
	ctx context.Context, request contract.GetJobLogsRequestObject,
) (contract.GetJobLogsResponseObject, error) {
	options, err := parseLogOptions(request.Params)
	if err != nil {
		return nil, err
	}
	job, err := h.jobs.Find(requestOf(ctx), callerOf(ctx), request.ID)
	if err != nil {
		return nil, err
	}
	head := isHead(ctx)
	if head {
		options.Follow, options.LimitBytes = false, new(int64(jobs.LogBuffer))
	}
	s, closeStream, err := h.streamOf(ctx)
	if err != nil {
		return nil, err
	}
	log, err := h.jobs.OpenLog(s.Context(), job, options) //nolint:contextcheck // A stream's context is made of its request's.
	if err != nil {
		closeStream()
		if h.guard.Stopping().Err() != nil {
			err = failure.Unavailable(err, "The server is stopping.")
		}
		return nil, err
	}
	return &logAnswer{requestID: exchange.Of(ctx).RequestID, stream: s, close: closeStream, log: log, head: head}, nil
}

// logAnswer is the answer to a request for a log: the bytes as they come.
type logAnswer struct {
	requestID string
	stream    *guard.Stream
	close     func()
	log       *jobs.Log
	// head says that the caller only wants to know whether there is a log.
	head bool
}

// VisitGetJobLogsResponse implements contract.GetJobLogsResponseObject. An error says that the log was cut off; it is none
// that the caller has gone or that the server stops.
func (a *logAnswer) VisitGetJobLogsResponse(http.ResponseWriter) error {
	defer a.close()
	a.stream.Begin(a.requestID, "text/plain; charset=utf-8", a.log.Follows())
	if a.head {
		return a.log.Close()
	}
	err := a.log.CopyTo(a.stream.Context(), a.stream)
	if a.stream.Context().Err() != nil {
		return nil
	}
	return err
}
