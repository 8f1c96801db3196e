package jobs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
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

// Log is an open log of one Pod.
type Log struct {
	pods           Pods
	namespace, pod string
	options        corev1.PodLogOptions
	body           io.ReadCloser
}

// OpenLog opens the log of the job's newest Pod. A follower waits until there is one. The log may be read for as long as the context
// lasts.
func (s *Jobs) OpenLog(ctx context.Context, job *view.Job, options corev1.PodLogOptions) (*Log, error) {
	patience := time.NewTimer(maxLogWait)
	defer patience.Stop()
	for {
		log, err := s.tryLog(ctx, job, options)
		if !options.Follow || !errors.Is(err, errNotStarted) {
			return log, err
		}
		current, changed, stop := s.view.Watch(job.Namespace, job.ID)
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
			return nil, errNotStarted // Which nobody will read: the caller has gone, or the server stops.
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
func (s *Jobs) tryLog(ctx context.Context, job *view.Job, options corev1.PodLogOptions) (*Log, error) {
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
	pod, err := s.podOf(ctx, job)
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
	log := &Log{pods: s.pods, namespace: pod.Namespace, pod: pod.Name, options: options}
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
func (s *Jobs) podOf(ctx context.Context, job *view.Job) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, kube.ReadTimeout)
	defer cancel()
	object, err := s.kubernetes.Get(ctx, job.Namespace, job.Name)
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
	pod, err := s.pods.Get(ctx, job.Namespace, object.Status.PodName)
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
func (l *Log) open(ctx context.Context) error {
	body, err := dialLog(ctx, l.pods, l.namespace, l.pod, l.options)
	if err != nil {
		return err
	}
	l.body = body
	if l.options.Follow {
		return nil // The beginning of what is followed may be long in coming.
	}
	reader := bufio.NewReaderSize(body, LogBuffer)
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

// LogBuffer is the memory that the copying of one log takes, in bytes.
const LogBuffer = 16 << 10

// LogTo is whom a log is passed on to.
type LogTo interface {
	io.Writer
	// Flush is called when there is nothing more at the moment.
	Flush() error
	// Check returns an error when nothing more may be passed on.
	Check() error
}

// Follows reports whether the log goes on until the spider ends.
func (l *Log) Follows() bool { return l.options.Follow }

// Close gives up a log that is not copied.
func (l *Log) Close() error { return l.body.Close() }

// CopyTo passes the log on until it has come to its end. The context is that with which it was opened.
func (l *Log) CopyTo(ctx context.Context, to LogTo) error {
	if err := to.Flush(); err != nil {
		return errors.Join(err, l.body.Close())
	}
	if l.options.Follow {
		return l.follow(ctx, to)
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{l.body}, make([]byte, LogBuffer))
	return errors.Join(err, l.body.Close(), to.Flush())
}
