// Package spiders has the use cases of spiders: finding, listing, making, changing and deleting them. It knows nothing of HTTP
// and of the contract, so any transport can use it.
package spiders

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Kubernetes reads and writes single Spiders, live. Its errors are, or wrap, those of k8s.io/apimachinery/pkg/api/errors, or of
// the connection.
type Kubernetes interface {
	Get(ctx context.Context, namespace, name string) (*v1alpha1.Spider, error)
	// Named returns the Spiders of this spec.name.
	Named(ctx context.Context, namespace, name string) ([]*v1alpha1.Spider, error)
	Create(ctx context.Context, spider *v1alpha1.Spider) (*v1alpha1.Spider, error)
	// Patch merges a JSON merge patch into the spec of the Spider in exactly the state of the given resource version.
	Patch(ctx context.Context, namespace, name, resourceVersion string, spec map[string]any) (*v1alpha1.Spider, error)
	// Delete deletes the Spider in exactly the state of the given resource version.
	Delete(ctx context.Context, namespace, name, resourceVersion string) error
}

// Spiders are the use cases. They are safe for concurrent use.
type Spiders struct {
	view       *view.Spiders
	kubernetes Kubernetes
	names      nameClaims
	// byID and byName look up what the view does not show.
	byID, byName *kube.Lookups
}

// New makes the use cases of the spiders in a view and in Kubernetes.
func New(shown *view.Spiders, kubernetes Kubernetes) *Spiders {
	return &Spiders{
		view: shown, kubernetes: kubernetes, names: nameClaims{claims: map[nameClaim]struct{}{}},
		byID: kube.NewLookups(), byName: kube.NewLookups(),
	}
}

// List returns the spiders that the caller may see and that match the query, newest first, and whether more follow.
func (s *Spiders) List(caller auth.Identity, query view.SpiderQuery) (found []*view.Spider, more bool) {
	query.Namespace, query.UserID = caller.Namespace, caller.UserID
	return s.view.List(query)
}

// Named returns the spiders of this name that the caller may see. If the view has none it asks Kubernetes: another replica may
// have made one a moment ago.
func (s *Spiders) Named(ctx context.Context, caller auth.Identity, name string) ([]*view.Spider, error) {
	if found := s.view.ByName(caller.Namespace, caller.UserID, name); len(found) > 0 {
		return found, nil
	}
	if utf8.RuneCountInString(name) > allowed.MaxSpiderName || !allowed.SpiderName.MatchString(name) {
		return nil, nil // No spider has such a name, and a selector cannot contain it.
	}
	err := s.byName.Do(ctx, caller.Namespace, name, func(ctx context.Context) error {
		objects, err := s.kubernetes.Named(ctx, caller.Namespace, name)
		return errors.Join(err, s.take(objects...))
	})
	if err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, and this server has not seen the spider.")
	}
	return s.view.ByName(caller.Namespace, caller.UserID, name), nil
}

// take puts what Kubernetes answered into the view.
func (s *Spiders) take(objects ...*v1alpha1.Spider) error {
	for _, object := range objects {
		if _, err := s.view.Put(object); err != nil {
			return err
		}
	}
	return nil
}

// Find returns the spider with this id that the caller may see. If the view has none it asks Kubernetes: another replica may
// have made it a moment ago. Another user's spider is looked up like one that does not exist: the time that an answer takes
// must not reveal it.
func (s *Spiders) Find(ctx context.Context, caller auth.Identity, text string) (*view.Spider, error) {
	id, ok := v1alpha1.ParseID(text)
	if !ok {
		return nil, failure.NotFound("This spider")
	}
	if spider := s.view.ByID(caller.Namespace, caller.UserID, id); spider != nil {
		return spider, nil
	}
	if err := s.lookUp(ctx, caller.Namespace, id); err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, and this server has not seen the spider.")
	}
	if spider := s.view.ByID(caller.Namespace, caller.UserID, id); spider != nil {
		return spider, nil
	}
	return nil, failure.NotFound("This spider")
}

// lookUp puts the spider that is named by its id into the view, if it exists. Ids of version 5 belong to objects with other
// names, which only the watch finds.
func (s *Spiders) lookUp(ctx context.Context, namespace string, id uuid.UUID) error {
	if id.Version() == 5 {
		return nil
	}
	return s.byID.Do(ctx, namespace, id.String(), func(ctx context.Context) error {
		object, err := s.kubernetes.Get(ctx, namespace, id.String())
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		}
		return s.take(object)
	})
}

// Create creates a spider of the caller.
func (s *Spiders) Create(ctx context.Context, caller auth.Identity, change *Change) (*view.Spider, error) {
	switch {
	case change.Name == nil:
		return nil, failure.Invalid("name", "is needed")
	case change.RepoPath == nil:
		return nil, failure.Invalid("repo_path", "is required; null means a spider that is run by its name alone")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making a spider id: %w", err)
	}
	exchange.Of(ctx).Object = caller.Namespace + "/" + id.String()
	ctx, cancel := kube.Detached(ctx)
	defer cancel()
	release, err := s.claimName(caller, *change.Name, uuid.Nil)
	if err != nil {
		return nil, err
	}
	defer release()
	wanted := &v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Namespace: caller.Namespace, Name: id.String()},
		Spec:       change.Spec(caller.UserID),
	}
	object, err := kube.Record(ctx, "spider", func(ctx context.Context) (*v1alpha1.Spider, error) {
		return s.kubernetes.Create(ctx, wanted)
	})
	if taken, ok := errors.AsType[*kube.NameTakenError](err); ok {
		if !taken.MaybeOurs {
			return nil, failure.Internal(fmt.Errorf("the new id %s is taken", id))
		}
		object, err = s.kubernetes.Get(ctx, caller.Namespace, id.String())
		if err != nil {
			return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so the spider could not be recorded.")
		}
	}
	if err != nil {
		return nil, err
	}
	return s.view.Written(object)
}

// writeAttempts bounds how often a write that meets a newer state of its object is retried with that state.
const writeAttempts = 8

// Condition reports whether a spider still has the state that its caller expects. Nil holds for every spider.
type Condition func(*view.Spider) bool

// Change merges a change into a spider of the caller if the condition holds.
func (s *Spiders) Change(
	ctx context.Context, caller auth.Identity, id string, change *Change, condition Condition,
) (*view.Spider, error) {
	var changed *view.Spider
	err := s.write(ctx, caller, id, condition, func(ctx context.Context, spider *view.Spider) error {
		spec, err := change.Patch(spider)
		if err != nil {
			return err
		}
		if len(spec) == 0 {
			changed = spider
			return nil
		}
		if change.Name != nil && *change.Name != spider.Name {
			release, err := s.claimName(caller, *change.Name, spider.ID)
			if err != nil {
				return err
			}
			defer release()
		}
		object, err := s.kubernetes.Patch(ctx, spider.Namespace, spider.ResourceName, spider.ResourceVersion, spec)
		if err != nil {
			return err
		}
		changed, err = s.view.Written(object)
		return err
	})
	return changed, err
}

// Delete deletes a spider of the caller if the condition holds.
func (s *Spiders) Delete(ctx context.Context, caller auth.Identity, id string, condition Condition) error {
	return s.write(ctx, caller, id, condition, func(ctx context.Context, spider *view.Spider) error {
		if err := s.kubernetes.Delete(ctx, spider.Namespace, spider.ResourceName, spider.ResourceVersion); err != nil {
			return err
		}
		s.view.Remove(spider.Namespace, spider.ResourceName, spider.ResourceVersion)
		return nil
	})
}

// write calls write with a spider of the caller for which the condition holds, and again with its newest state if write meets a
// newer one: so nothing is written to a spider that meanwhile belongs to another user, or is not what its caller expects.
func (s *Spiders) write(
	ctx context.Context, caller auth.Identity, id string, condition Condition, write func(context.Context, *view.Spider) error,
) error {
	about := exchange.Of(ctx)
	ctx, cancel := kube.Detached(ctx)
	defer cancel()
	spider, err := s.Find(ctx, caller, id)
	if err != nil {
		return err
	}
	about.Object = spider.Namespace + "/" + spider.ResourceName
	var conflicting error
	live := false // whether the spider was read from Kubernetes, not only from the view
	for range writeAttempts {
		switch {
		case !spider.VisibleTo(caller.UserID):
			return failure.NotFound("This spider")
		case spider.UserID != caller.UserID:
			return failure.Denied(nil, "not_yours", "The namespace shares this spider: only keys without a user can change it.")
		}
		switch holds := condition == nil || condition(spider); {
		case holds:
			err := write(ctx, spider)
			if !apierrors.IsConflict(err) {
				return kube.WriteError(err, "spider")
			}
			conflicting = err
		case live:
			return failure.PreconditionFailed("This spider")
		}
		live = true
		object, err := s.kubernetes.Get(ctx, spider.Namespace, spider.ResourceName)
		if err != nil {
			return kube.WriteError(err, "spider")
		}
		if spider, err = s.view.Written(object); err != nil {
			return err
		}
	}
	p := failure.Conflict("changing", "The spider kept being changed by others. Try again.")
	p.Cause = conflicting
	return p
}

// nameClaims prevents two concurrent requests from giving one name to two spiders of a user.
type nameClaims struct {
	mu     sync.Mutex
	claims map[nameClaim]struct{}
}

type nameClaim struct{ namespace, userID, name string }

// claimName returns a conflict if the caller sees a spider of this name other than the given one. Otherwise the name is
// reserved for the caller until release is called.
func (s *Spiders) claimName(caller auth.Identity, name string, except uuid.UUID) (release func(), err error) {
	exists := failure.Conflict("spider_exists", "A spider with this name already exists.")
	claim := nameClaim{caller.Namespace, caller.UserID, name}
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if _, claimed := s.names.claims[claim]; claimed {
		return nil, exists
	}
	for _, spider := range s.view.ByName(caller.Namespace, caller.UserID, name) {
		if spider.ID != except {
			return nil, exists
		}
	}
	s.names.claims[claim] = struct{}{}
	return func() {
		s.names.mu.Lock()
		defer s.names.mu.Unlock()
		delete(s.names.claims, claim)
	}, nil
}
