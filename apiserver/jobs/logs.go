package jobs

import (
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/podlog"
)

// Pods reads Pods and the logs of their spiders, live. Its errors are, or wrap, those of k8s.io/apimachinery/pkg/api/errors, or
// of the connection.
type Pods interface {
	Get(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	// Log opens the log of the spider's container of a Pod.
	Log(namespace, name string) podlog.Opener
}

const (
	// openTimeout is how long a node may take to open a log.
	openTimeout = 10 * time.Second
	// lookAgain is after how long a follower looks again for a Pod of a job that has started. Such a job is between two attempts,
	// which the view does not show, or Kubernetes cannot be reached; the latter is tolerated for up to followPatience.
	lookAgain      = time.Second
	followPatience = time.Minute
)

// LogRequest says which part of a log is requested.
type LogRequest struct {
	// Options say where to begin, and whether to follow.
	Options corev1.PodLogOptions
	// Lines requests lines with their positions. Otherwise, unless the log is followed, it is plain text.
	Lines bool
	// After is the position to resume after, instead of the beginning in Options.
	After LogPosition
}

// LogPosition is a position in the log of a certain Pod.
type LogPosition struct {
	// Pod is the Pod's UID, empty for none.
	Pod      types.UID
	Position podlog.Position
}

// Log is the log of a job's newest Pod: open, or still to be followed.
type Log struct {
	jobs    *Jobs
	job     *view.Job
	request LogRequest
	// pod is empty while a follower waits for it.
	pod podName
	// text is an open log that is neither followed nor read by lines; the others have lines.
	text  *podlog.Log
	lines *podlog.Reader
}

type podName struct {
	namespace, name string
	uid             types.UID
	ended           bool
}

// OpenLog opens the log of the job's newest Pod. A Pod whose log is followed need not exist yet: reading waits for it. The log
// may be read as long as the context lasts.
func (s *Jobs) OpenLog(ctx context.Context, job *view.Job, request LogRequest) (*Log, error) {
	log := &Log{jobs: s, job: job, request: request}
	pod, err := s.podOf(ctx, job)
	if request.Options.Follow && errors.Is(err, errNotStarted) {
		return log, nil
	}
	if err != nil {
		return nil, err
	}
	log.found(pod)
	if log.Follows() {
		return log, nil // It may take long to begin.
	}
	if log.request.Lines {
		err = log.lines.Begin(ctx, openTimeout)
	} else {
		err = log.openText(ctx)
	}
	switch {
	case podlog.IsGone(err), podlog.IsWaiting(err):
		return nil, missing(job)
	case podlog.IsRefused(err):
		return nil, logGone("The log is gone: its node no longer keeps it.")
	case err != nil:
		return nil, failure.Unavailable(err, "The log cannot be read now: its node does not answer.")
	}
	return log, nil
}

func (l *Log) openText(ctx context.Context) error {
	text, err := podlog.Open(ctx, l.jobs.pods.Log(l.pod.namespace, l.pod.name), &l.request.Options, openTimeout)
	if err != nil {
		return err
	}
	if err := text.Begin(); err != nil {
		return errors.Join(err, text.Close())
	}
	l.text = text
	return nil
}

// found records the Pod of the log. The log of an ended Pod need not be followed.
func (l *Log) found(pod podName) {
	l.pod = pod
	l.request.Options.Follow = l.request.Options.Follow && !pod.ended
	l.lines = &podlog.Reader{Open: l.jobs.pods.Log(pod.namespace, pod.name), Options: l.request.Options}
	if l.request.After.Pod == pod.uid {
		l.lines.Position = l.request.After.Position
	}
}

// Follows reports whether the log continues until the spider ends.
func (l *Log) Follows() bool { return l.request.Options.Follow }

// Close closes a log that is not read.
func (l *Log) Close() error {
	if l.text != nil {
		return l.text.Close()
	}
	return nil
}

// errNotStarted says that there is no log yet.
var errNotStarted = failure.Conflict(
	"not_started",
	"The job has not started yet, so there is no log. Follow it to wait for the start.",
)

func logGone(message string) *failure.Error {
	return failure.Gone("log_gone", message)
}

const (
	neverRan = "The job ended without ever running, so there is no log."
	podGone  = "The log is gone: it is kept as long as the job's Pod, which no longer exists."
)

// missing says that a log does not exist: it is gone if the job has ended, and will come if it has not.
func missing(job *view.Job) error {
	if job.Ended {
		return logGone(podGone)
	}
	return errNotStarted
}

// podOf returns the newest Pod of the job whose spider has started. Errors are errNotStarted or other failures.
func (s *Jobs) podOf(ctx context.Context, job *view.Job) (podName, error) {
	switch {
	case job.Ended && job.Attempts == 0:
		return podName{}, logGone(neverRan)
	case !job.Ended && job.Started == 0:
		return podName{}, errNotStarted
	}
	ctx, cancel := context.WithTimeout(ctx, kube.ReadTimeout)
	defer cancel()
	object, err := s.kubernetes.Get(ctx, job.Namespace, job.Name)
	switch {
	case apierrors.IsNotFound(err):
		return podName{}, failure.NotFound("This job")
	case err != nil:
		return podName{}, failure.Unavailable(err, "Kubernetes cannot be reached, so the log cannot be read.")
	case object.Spec.UserID != job.UserID: // Deleted, and made anew under its name by another.
		return podName{}, failure.NotFound("This job")
	case object.Status.PodName == "":
		return podName{}, missing(job)
	}
	pod, err := s.pods.Get(ctx, job.Namespace, object.Status.PodName)
	switch {
	case apierrors.IsNotFound(err):
		return podName{}, missing(job)
	case err != nil:
		return podName{}, failure.Unavailable(err, "Kubernetes cannot be reached, so the log cannot be read.")
	case pod.Labels[v1alpha1.LabelSpiderJobUID] != string(object.UID): // The Pod of another job, which had the name before.
		return podName{}, missing(job)
	}
	state := spiderState(pod)
	if state.Running == nil && state.Terminated == nil {
		return podName{}, missing(job)
	}
	return podName{namespace: pod.Namespace, name: pod.Name, uid: pod.UID, ended: state.Terminated != nil}, nil
}

func spiderState(pod *corev1.Pod) corev1.ContainerState {
	for i := range pod.Status.ContainerStatuses {
		if status := &pod.Status.ContainerStatuses[i]; status.Name == v1alpha1.ContainerName {
			return status.State
		}
	}
	return corev1.ContainerState{}
}

// ended reports whether the spider's process has ended, or its Pod is gone.
func (l *Log) ended(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, kube.ReadTimeout)
	defer cancel()
	pod, err := l.jobs.pods.Get(ctx, l.pod.namespace, l.pod.name)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, err
	}
	return pod.UID != l.pod.uid || spiderState(pod).Terminated != nil, nil
}

// LogBuffer is the memory that copying one log takes, in bytes.
const LogBuffer = 16 << 10

// LogText receives a log as text.
type LogText interface {
	io.Writer
	// Flush is called when there is nothing more at the moment.
	Flush() error
}

// CopyTo copies the log as text until its end, and returns nil only if that was all of it. The context is that with which it
// was opened.
func (l *Log) CopyTo(ctx context.Context, to LogText) error {
	if err := to.Flush(); err != nil {
		return errors.Join(err, l.Close())
	}
	if l.text == nil {
		return l.Read(ctx, textSink{to})
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{l.text}, make([]byte, LogBuffer))
	return errors.Join(err, l.text.Close(), to.Flush())
}

// textSink writes lines as text.
type textSink struct{ LogText }

// Take implements podlog.Sink.
func (s textSink) Take(piece podlog.Piece) error {
	_, err := s.Write(piece.Text)
	return err
}

// Gap implements podlog.Sink. Plain text cannot show a gap.
func (textSink) Gap() error { return nil }

// Idle implements podlog.Sink.
func (s textSink) Idle() error { return s.Flush() }

// Read sends the log line by line until its end, and returns nil only if that was all of it. A follower first waits for the
// start.
func (l *Log) Read(ctx context.Context, to podlog.Sink) error {
	if l.lines == nil {
		if over, err := l.await(ctx); over || err != nil {
			return err
		}
	}
	// What follows the position in the log of another Pod is not known any more.
	if after := l.request.After.Pod; after != "" && after != l.pod.uid {
		if err := to.Gap(); err != nil {
			return err
		}
	}
	if l.Follows() {
		return l.lines.Follow(ctx, to, l.ended)
	}
	return l.lines.Read(to)
}

// Position returns the position up to which the log was read.
func (l *Log) Position(at podlog.Position) LogPosition {
	return LogPosition{Pod: l.pod.uid, Position: at}
}

// await waits for the job's start. over says that there will never be a log: the job has ended without running, or is gone.
func (l *Log) await(ctx context.Context) (over bool, err error) {
	var failing time.Time
	for ctx.Err() == nil {
		current, changed, stop := l.jobs.view.Watch(l.job.Namespace, l.job.ID)
		if current == nil || current.UserID != l.job.UserID {
			stop()
			return true, nil
		}
		pod, err := l.jobs.podOf(ctx, current)
		if err == nil {
			stop()
			l.found(pod)
			l.request.Options.Follow = true // A log that has ended by now is also opened only when it is read.
			return false, nil
		}
		if failure.Is(err, failure.KindGone) || failure.Is(err, failure.KindNotFound) {
			stop()
			return true, nil
		}
		switch {
		case errors.Is(err, errNotStarted):
			failing = time.Time{}
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > followPatience:
			stop()
			return false, err
		}
		var again <-chan time.Time
		if current.Started != 0 || !failing.IsZero() {
			again = time.After(lookAgain)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
		}
		stop()
	}
	return false, context.Cause(ctx)
}
