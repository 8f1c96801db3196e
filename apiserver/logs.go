package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Pods reads Pods and the logs of their spiders, live. Its errors are, or wrap, those of k8s.io/apimachinery/pkg/api/errors, or
// of the connection.
type Pods interface {
	Get(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	// Log opens the log of the spider's container, which is closed by its reader or when ctx ends.
	Log(ctx context.Context, namespace, name string, options corev1.PodLogOptions) (io.ReadCloser, error)
}

const (
	// maxLogWait is how long a follower waits for a job to start.
	maxLogWait = 5 * time.Minute
	// openTimeout is how long a node may take to begin with a log.
	openTimeout = 10 * time.Second
	// lookAgain is after how long a follower looks again for a Pod of a job that has started. Such a job is between two attempts,
	// which the view does not tell.
	lookAgain = time.Second
)

func (h *handlers) GetJobLogs(
	ctx context.Context, request contract.GetJobLogsRequestObject,
) (contract.GetJobLogsResponseObject, error) {
	options, err := parseLogOptions(request.Params)
	if err != nil {
		return nil, err
	}
	job, err := h.find(ctx, callerOf(ctx), request.ID)
	if err != nil {
		return nil, err
	}
	head := isHead(ctx)
	if head {
		options.Follow, options.LimitBytes = false, new(int64(logBuffer))
	}
	s, closeStream, err := h.streamOf(ctx)
	if err != nil {
		return nil, err
	}
	log, err := h.openLog(s.Context(), job, options) //nolint:contextcheck // A stream's context is made of its request's.
	if err != nil {
		closeStream()
		return nil, err
	}
	return &logAnswer{requestID: exchange.Of(ctx).RequestID, stream: s, close: closeStream, log: log, head: head}, nil
}

// logAnswer is the answer to a request for a log: the bytes as they come.
type logAnswer struct {
	requestID string
	stream    *guard.Stream
	close     func()
	log       *jobLog
	// head says that the caller only wants to know whether there is a log.
	head bool
}

// VisitGetJobLogsResponse implements contract.GetJobLogsResponseObject. An error says that the log was cut off; it is none
// that the caller has gone or that the server stops.
func (a *logAnswer) VisitGetJobLogsResponse(http.ResponseWriter) error {
	defer a.close()
	a.stream.Begin(a.requestID, "text/plain; charset=utf-8", a.log.options.Follow)
	if a.head {
		return a.log.body.Close()
	}
	err := a.log.copyTo(a.stream)
	if a.stream.Context().Err() != nil {
		return nil
	}
	return err
}

// jobLog is an open log of one Pod.
type jobLog struct {
	pods           Pods
	namespace, pod string
	options        corev1.PodLogOptions
	body           io.ReadCloser
}

// openLog opens the log of the job's newest Pod. A follower waits until there is one.
func (h *handlers) openLog(ctx context.Context, job *view.Job, options corev1.PodLogOptions) (*jobLog, error) {
	patience := time.NewTimer(maxLogWait)
	defer patience.Stop()
	for {
		log, err := h.tryLog(ctx, job, options)
		if !options.Follow || !errors.Is(err, errNotStarted) {
			return log, err
		}
		current, changed, stop := h.jobs.Watch(job.Namespace, job.ID)
		if current == nil || current.User != job.User {
			stop()
			return nil, failure.NotFound("This job")
		}
		if current.ResourceVersion != job.ResourceVersion {
			stop()
			job = current
			continue
		}
		var again <-chan time.Time
		if job.Started != 0 {
			again = time.After(lookAgain)
		}
		select {
		case <-changed:
		case <-again:
		case <-patience.C:
			stop()
			return nil, errNotStarted
		case <-ctx.Done():
			stop()
			if h.guard.Stopping().Err() != nil {
				return nil, failure.Unavailable(nil, "The server is stopping.")
			}
			return nil, errNotStarted // Which nobody will read: the caller has gone.
		}
		stop()
	}
}

// errNotStarted says that there is no log yet.
var errNotStarted = failure.Conflict("not_started", "The job has not started yet, so there is no log. Follow it to wait for the start.")

func logGone(message string) *failure.Error {
	return failure.Gone("log_gone", message)
}

const (
	neverRan = "The job ended without ever running, so there is no log."
	podGone  = "The log is gone: it is kept for as long as the job's Pod, which does not exist any more."
)

// tryLog opens the log of the job's newest Pod. Errors are errNotStarted or other failures.
func (h *handlers) tryLog(ctx context.Context, job *view.Job, options corev1.PodLogOptions) (*jobLog, error) {
	switch {
	case job.Ended && job.Attempts == 0:
		return nil, logGone(neverRan)
	case !job.Ended && job.Started == 0:
		return nil, errNotStarted
	}
	// What is not there is gone when the job has ended, and will yet come when it has not.
	missing := func() error {
		if job.Ended {
			return logGone(podGone)
		}
		return errNotStarted
	}
	pod, err := h.podOf(ctx, job)
	if err != nil {
		return nil, err
	}
	if pod == nil {
		return nil, missing()
	}
	state := spiderState(pod)
	if state.Running == nil && state.Terminated == nil {
		return nil, missing()
	}
	// What has come to its end need not be followed.
	options.Follow = options.Follow && state.Terminated == nil
	options.Timestamps = options.Follow
	log := &jobLog{pods: h.pods, namespace: pod.Namespace, pod: pod.Name, options: options}
	switch err := log.open(ctx); {
	case apierrors.IsNotFound(err), apierrors.IsBadRequest(err):
		return nil, missing()
	case errors.Is(err, errLogRemoved):
		return nil, logGone("The log is gone: its node does not keep it any more.")
	case err != nil:
		return nil, failure.Unavailable(err, "The log cannot be read now: its node does not answer.")
	}
	return log, nil
}

// podOf returns the newest Pod of the job, or nil when there is none.
func (h *handlers) podOf(ctx context.Context, job *view.Job) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, kube.ReadTimeout)
	defer cancel()
	object, err := h.kubernetes.Get(ctx, job.Namespace, job.Name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, failure.NotFound("This job")
	case err != nil:
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so the log cannot be read.")
	case object.User() != job.User: // Deleted, and made anew under its name by another.
		return nil, failure.NotFound("This job")
	}
	if object.Status.PodName == "" {
		return nil, nil
	}
	pod, err := h.pods.Get(ctx, job.Namespace, object.Status.PodName)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so the log cannot be read.")
	case pod.Labels[v1alpha1.LabelSpiderJobUID] != string(object.UID):
		return nil, nil // Another's, under a name that was used before.
	}
	return pod, nil
}

func spiderState(pod *corev1.Pod) corev1.ContainerState {
	for i := range pod.Status.ContainerStatuses {
		if status := &pod.Status.ContainerStatuses[i]; status.Name == v1alpha1.ContainerName {
			return status.State
		}
	}
	return corev1.ContainerState{}
}

// errLogRemoved says that a node had no log to send.
var errLogRemoved = errors.New("the node does not have the log")

// logRemoved begins the one line that a kubelet sends, with status 200, in place of a log that it cannot read.
const logRemoved = "unable to retrieve container logs for "

// open opens the log, and looks whether it is one.
func (l *jobLog) open(ctx context.Context) error {
	body, err := dialLog(ctx, l.pods, l.namespace, l.pod, l.options)
	if err != nil {
		return err
	}
	l.body = body
	if l.options.Follow {
		return nil // The beginning of what is followed may be long in coming.
	}
	reader := bufio.NewReaderSize(body, logBuffer)
	const longest = 256
	beginning, err := reader.Peek(longest)
	if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, body.Close())
	}
	if len(beginning) < longest && bytes.HasPrefix(beginning, []byte(logRemoved)) {
		return errors.Join(errLogRemoved, body.Close())
	}
	l.body = bufferedBody{reader, body}
	return nil
}

// bufferedBody is a body of which the beginning was looked at.
type bufferedBody struct {
	io.Reader
	io.Closer
}

// dialLog opens a log within openTimeout. It may then be read for as long as ctx lasts.
func dialLog(
	ctx context.Context, pods Pods, namespace, pod string, options corev1.PodLogOptions,
) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(openTimeout, cancel)
	body, err := pods.Log(ctx, namespace, pod, options)
	if !late.Stop() && err == nil {
		err = errors.Join(context.DeadlineExceeded, body.Close())
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return cancelledBody{body, cancel}, nil
}

// cancelledBody ends its request when it is closed.
type cancelledBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b cancelledBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// logBuffer is the memory that the copying of one log takes, in bytes.
const logBuffer = 16 << 10

// copyTo writes the log to a stream until it has come to its end.
func (l *jobLog) copyTo(s *guard.Stream) error {
	if err := s.Flush(); err != nil {
		return errors.Join(err, l.body.Close())
	}
	if l.options.Follow {
		return l.follow(s)
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{l.body}, make([]byte, logBuffer))
	return errors.Join(err, l.body.Close(), s.Flush())
}
