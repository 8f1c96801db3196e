package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"
)

const (
	// reviewsKept bounds the number of cached answers, of each kind.
	reviewsKept = 4096
	// reviewsAtOnce bounds the concurrent questions to Kubernetes, of each kind.
	reviewsAtOnce = 16
	// reviewTimeout bounds how long one question may take, including its wait in line.
	reviewTimeout = 5 * time.Second
	// reviewTTL is how long an answer of Kubernetes about a token or a right is cached, whether yes or no.
	reviewTTL = 10 * time.Second
)

var errBusy = errors.New("too many questions about tokens and rights are open")

// reviews asks Kubernetes and caches the answers: each answer is kept for reviewTTL, callers with the same question share one
// request, and the number of concurrent requests is bounded. It is safe for concurrent use.
type reviews[T any] struct {
	answers *cache.LRUExpireCache
	asking  singleflight.Group
	turns   chan struct{}
}

// clock makes a function the clock of a cache.
type clock func() time.Time

func (c clock) Now() time.Time { return c() }

func newReviews[T any](now func() time.Time) *reviews[T] {
	return &reviews[T]{
		answers: cache.NewLRUExpireCacheWithClock(reviewsKept, clock(now)),
		turns:   make(chan struct{}, reviewsAtOnce),
	}
}

// answer returns what ask answers to this question, now or recently. Errors are not cached.
func (r *reviews[T]) answer(ctx context.Context, question string, ask func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if known, found := r.answers.Get(question); found {
		return known.(T), nil
	}
	asked := r.asking.DoChan(question, func() (any, error) {
		// The first caller may leave while others wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		select {
		case r.turns <- struct{}{}:
			defer func() { <-r.turns }()
		case <-ctx.Done():
			return none, errBusy
		}
		answer, err := ask(ctx)
		if err == nil {
			r.answers.Add(question, answer, reviewTTL)
		}
		return answer, err
	})
	select {
	case result := <-asked:
		if result.Err != nil {
			return none, result.Err
		}
		return result.Val.(T), nil
	case <-ctx.Done():
		return none, fmt.Errorf("waiting for Kubernetes' answer: %w", ctx.Err())
	}
}
