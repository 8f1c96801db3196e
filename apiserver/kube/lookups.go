package kube

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/lru"
)

const (
	// lookupsAtOnce bounds the number of concurrent look-ups, and lookupsOfNamespace that for one namespace.
	lookupsAtOnce      = 32
	lookupsOfNamespace = 8
	// lookupStands is how long the result of a look-up is used, and lookupsKept how many results are kept.
	lookupStands = time.Second
	lookupsKept  = 4096
)

// Lookups look for what a view does not show: another replica may have made it a moment ago, or it does not exist. Callers can
// invent names without end. So callers that ask for the same share one look-up, whose result is used for a moment, and the
// number of concurrent look-ups is bounded, for each namespace and in total, while the others wait. It is safe for concurrent
// use.
type Lookups struct {
	all chan struct{}

	mu sync.Mutex
	// recent holds look-ups, by what they were for.
	recent     *lru.Cache
	namespaces map[string]*share
}

// share is the number of concurrent look-ups of one namespace.
type share struct {
	slots chan struct{}
	users int
}

// look is one look-up.
type look struct {
	done chan struct{} // closed when it is done
	err  error
	made time.Time
}

type lookupKey struct{ namespace, name string }

// NewLookups returns Lookups that have looked for nothing yet.
func NewLookups() *Lookups {
	return &Lookups{
		all: make(chan struct{}, lookupsAtOnce), recent: lru.New(lookupsKept), namespaces: map[string]*share{},
	}
}

// Do calls read to look for something, unless another caller does, or did a moment ago. read puts what it finds where all
// callers find it. Its context outlives the caller, with whom others may wait; it ends within ReadTimeout.
func (l *Lookups) Do(ctx context.Context, namespace, name string, read func(context.Context) error) error {
	look := l.look(ctx, lookupKey{namespace, name}, read)
	select {
	case <-look.done:
		return look.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Lookups) look(ctx context.Context, key lookupKey, read func(context.Context) error) *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, found := l.recent.Get(key); found && known.(*look).stands() {
		return known.(*look)
	}
	begun := &look{done: make(chan struct{})}
	l.recent.Add(key, begun)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ReadTimeout)
	go func() {
		defer cancel()
		begun.err = l.inTurn(ctx, key.namespace, read)
		begun.made = time.Now()
		close(begun.done)
	}()
	return begun
}

// stands reports whether the result of a look-up can still be used. A failed one is repeated.
func (k *look) stands() bool {
	select {
	case <-k.done:
		return k.err == nil && time.Since(k.made) < lookupStands
	default:
		return true
	}
}

// inTurn calls read when there is room for it.
func (l *Lookups) inTurn(ctx context.Context, namespace string, read func(context.Context) error) error {
	share, leave := l.shareOf(namespace)
	defer leave()
	if err := enter(ctx, share.slots); err != nil {
		return err
	}
	defer func() { <-share.slots }()
	if err := enter(ctx, l.all); err != nil {
		return err
	}
	defer func() { <-l.all }()
	return read(ctx)
}

func enter(ctx context.Context, slots chan<- struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Lookups) shareOf(namespace string) (s *share, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s = l.namespaces[namespace]
	if s == nil {
		s = &share{slots: make(chan struct{}, lookupsOfNamespace)}
		l.namespaces[namespace] = s
	}
	s.users++
	return s, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(l.namespaces, namespace)
		}
	}
}
