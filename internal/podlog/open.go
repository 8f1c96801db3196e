package podlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Opener opens the log of one Pod. It returns when ctx ends, and so do reads from its result. Its errors are, or wrap, those of
// k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Opener func(ctx context.Context, options *corev1.PodLogOptions) (io.ReadCloser, error)

// Of returns the Opener of a Pod's log, through kube-apiserver. The client must have no timeout of its own, which would cut
// streams off.
func Of(client typedcorev1.PodsGetter, namespace, name string) Opener {
	return func(ctx context.Context, options *corev1.PodLogOptions) (io.ReadCloser, error) {
		return client.Pods(namespace).GetLogs(name, options).Stream(ctx)
	}
}

// refusedError means that a kubelet has answered with a line about the log instead of the log.
type refusedError struct{ said string }

// Error implements error.
func (e *refusedError) Error() string { return fmt.Sprintf("the kubelet said %q", e.said) }

// IsRefused reports whether the error says that the node does not have the log.
func IsRefused(err error) bool {
	_, ok := errors.AsType[*refusedError](err)
	return ok
}

// IsGone reports whether the error proves that the Pod, and with it its log, does not exist. A kubelet that has just started
// may answer 404 for a Pod that it does not know yet, which kube-apiserver passes on as one of "pods/log"; and proxies between
// them may answer 404, too.
func IsGone(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) &&
		status.Status().Details != nil && status.Status().Details.Kind == "pods"
}

// IsWaiting reports whether the error means that the container has not started yet.
func IsWaiting(err error) bool { return apierrors.IsBadRequest(err) }

// Open opens a log, which lasts until it is closed or ctx ends. If it is not answered within patience, the error wraps
// context.DeadlineExceeded; a patience of 0 has no end. A followed log is not answered before the container has written
// something.
func Open(ctx context.Context, open Opener, options *corev1.PodLogOptions, patience time.Duration) (*Log, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := func() bool { return false }
	if patience > 0 {
		timer := time.AfterFunc(patience, func() { cancel(context.DeadlineExceeded) })
		late = func() bool { return !timer.Stop() }
	}
	body, err := open(ctx, options)
	if late() && err == nil {
		err = errors.Join(context.Cause(ctx), body.Close())
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel(nil)
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = body.Close() })
	return &Log{ctx: ctx, body: body, cancel: cancel}, nil
}

// Log is an open log.
type Log struct {
	ctx    context.Context // says why reads end
	cancel context.CancelCauseFunc
	body   io.ReadCloser

	// begun says that it is a log. Until then held is what was read and not passed on, and err the error after it.
	begun bool
	held  []byte
	err   error
}

const (
	// refusal is the beginning of the one line that a kubelet sends, with status 200, instead of a log that it cannot read.
	refusal = "unable to retrieve container logs for "
	// maxRefusal is a bound, in bytes, that such a line does not reach.
	maxRefusal = 256
)

// Begin waits for the log's first bytes, or for its end, and returns an error if it is not a log: for a refusal a
// *refusedError.
func (l *Log) Begin() error {
	for !l.begun {
		switch {
		case l.err == nil && mayRefuse(l.held):
			piece := make([]byte, maxRefusal-len(l.held))
			n, err := l.body.Read(piece)
			l.held, l.err = append(l.held, piece[:n]...), err
		case errors.Is(l.err, io.EOF) && len(l.held) < maxRefusal && bytes.HasPrefix(l.held, []byte(refusal)):
			return &refusedError{string(l.held)}
		default:
			l.begun = true
		}
	}
	if l.err != nil && !errors.Is(l.err, io.EOF) {
		return l.why(l.err)
	}
	return nil
}

// why returns the error of a read, or why there are no reads any more.
func (l *Log) why(err error) error {
	if err != nil && l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	return err
}

// Read implements io.Reader. It passes on nothing that may be a refusal before that is decided. Once the context has ended the
// error says why.
func (l *Log) Read(p []byte) (int, error) {
	if !l.begun {
		if err := l.Begin(); err != nil && !l.begun {
			return 0, err
		}
	}
	if len(l.held) == 0 && l.err == nil {
		n, err := l.body.Read(p)
		return n, l.why(err)
	}
	n := copy(p, l.held)
	if l.held = l.held[n:]; len(l.held) > 0 {
		return n, nil
	}
	return n, l.why(l.err)
}

// mayRefuse reports whether a text may be the beginning of a refusal that is not complete yet.
func mayRefuse(text []byte) bool {
	n := min(len(text), len(refusal))
	return len(text) < maxRefusal && string(text[:n]) == refusal[:n]
}

// Close implements io.Closer. It ends the request.
func (l *Log) Close() error {
	l.cancel(nil)
	return l.body.Close()
}
