package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Spiders reads and writes single Spiders, live. Its errors are, or wrap, those of k8s.io/apimachinery/pkg/api/errors, or of
// the connection.
type Spiders interface {
	Get(ctx context.Context, namespace, name string) (*v1alpha1.Spider, error)
	Create(ctx context.Context, spider *v1alpha1.Spider) (*v1alpha1.Spider, error)
	// Patch merges a JSON merge patch into the spec of the Spider in exactly the state of the given resource version.
	Patch(ctx context.Context, namespace, name, resourceVersion string, spec map[string]any) (*v1alpha1.Spider, error)
	// Delete deletes the Spider in exactly the state of the given resource version.
	Delete(ctx context.Context, namespace, name, resourceVersion string) error
}

func (h *handlers) ListSpiders(
	ctx context.Context, request contract.ListSpidersRequestObject,
) (contract.ListSpidersResponseObject, error) {
	query, err := parseSpiderList(callerOf(ctx), request.Params)
	if err != nil {
		return nil, err
	}
	spiders, more := h.spiders.List(query)
	if fitting := fittingPage(spiders); fitting < len(spiders) {
		spiders, more = spiders[:fitting], true
	}
	response := contract.ListSpiders200JSONResponse{
		// Not nil: an empty list is [].
		Body:    make([]contract.Spider, 0, len(spiders)),
		Headers: contract.ListSpiders200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID, XDataAge: h.dataAge()},
	}
	for _, spider := range spiders {
		response.Body = append(response.Body, presentSpider(spider))
	}
	if more {
		response.Headers.Link = new(nextSpiders(request.Params, spiders[len(spiders)-1].Position()))
	}
	return response, nil
}

// maxSpiderPage bounds the settings and descriptions of one page of spiders, in bytes: a thousand spiders can have a hundred
// megabytes of them, and a page is made in memory.
const maxSpiderPage = 1 << 20

// fittingPage returns how many of the spiders, from the first on, are one page: one at least, where there is one.
func fittingPage(spiders []*view.Spider) int {
	size := 0
	for i, spider := range spiders {
		if size += len(spider.Settings) + len(spider.Description); size > maxSpiderPage && i > 0 {
			return i
		}
	}
	return len(spiders)
}

func (h *handlers) GetSpider(
	ctx context.Context, request contract.GetSpiderRequestObject,
) (contract.GetSpiderResponseObject, error) {
	spider, err := h.findSpider(ctx, callerOf(ctx), request.ID)
	if err != nil {
		return nil, err
	}
	revalidated(ctx)
	tag, requestID := spiderTag(spider), exchange.Of(ctx).RequestID
	if matches(request.Params.IfNoneMatch, tag) {
		return contract.GetSpider304Response{
			Headers: contract.NotModifiedResponseHeaders{ETag: tag, XRequestID: requestID, XDataAge: h.dataAge()},
		}, nil
	}
	return contract.GetSpider200JSONResponse{
		Body:    presentSpider(spider),
		Headers: contract.GetSpider200ResponseHeaders{ETag: tag, XRequestID: requestID, XDataAge: h.dataAge()},
	}, nil
}

func (h *handlers) CreateSpider(
	ctx context.Context, request contract.CreateSpiderRequestObject,
) (contract.CreateSpiderResponseObject, error) {
	change, err := parseSpider(*request.Body)
	if err != nil {
		return nil, err
	}
	spider, err := h.makeSpider(ctx, callerOf(ctx), change)
	if err != nil {
		return nil, err
	}
	return contract.CreateSpider201JSONResponse{
		Body: presentSpider(spider),
		Headers: contract.CreateSpider201ResponseHeaders{
			XRequestID: exchange.Of(ctx).RequestID, Location: "/api/v1/spiders/" + spider.ID.String(),
		},
	}, nil
}

func (h *handlers) ChangeSpider(
	ctx context.Context, request contract.ChangeSpiderRequestObject,
) (contract.ChangeSpiderResponseObject, error) {
	change, err := parseSpiderChange(*request.Body)
	if err != nil {
		return nil, err
	}
	spider, err := h.changeSpider(ctx, callerOf(ctx), request.ID, change)
	if err != nil {
		return nil, err
	}
	return contract.ChangeSpider200JSONResponse{
		Body:    presentSpider(spider),
		Headers: contract.ChangeSpider200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID},
	}, nil
}

func (h *handlers) DeleteSpider(
	ctx context.Context, request contract.DeleteSpiderRequestObject,
) (contract.DeleteSpiderResponseObject, error) {
	if err := h.deleteSpider(ctx, callerOf(ctx), request.ID); err != nil {
		return nil, err
	}
	return contract.DeleteSpider200JSONResponse{
		Body:    contract.DeletedSpider{Ok: true, Message: "Spider deleted"},
		Headers: contract.DeleteSpider200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID},
	}, nil
}

// findSpider returns the spider of this id that the caller may see. What the view does not know is asked of Kubernetes once:
// another replica may have made it a moment ago.
func (h *handlers) findSpider(ctx context.Context, caller auth.Identity, text string) (*view.Spider, error) {
	id, ok := parseID(text)
	if !ok {
		return nil, failure.NotFound("This spider")
	}
	if spider := h.spiders.ByID(caller.Namespace, caller.User, id); spider != nil {
		return spider, nil
	}
	// Ids of version 5 belong to objects of other names, which only the view finds.
	if id.Version() == 5 || h.spiders.Known(caller.Namespace, id) {
		return nil, failure.NotFound("This spider")
	}
	ctx, cancel := context.WithTimeout(requestOf(ctx), kube.ReadTimeout)
	defer cancel()
	object, err := h.kubernetesSpiders.Get(ctx, caller.Namespace, id.String())
	if apierrors.IsNotFound(err) {
		return nil, failure.NotFound("This spider")
	}
	if err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, and this server has not seen the spider.")
	}
	spider, err := h.spiders.Put(object)
	if err != nil {
		return nil, err
	}
	if spider == nil || !spider.VisibleTo(caller.User) {
		return nil, failure.NotFound("This spider")
	}
	return spider, nil
}

// makeSpider records a new spider of the caller's.
func (h *handlers) makeSpider(ctx context.Context, caller auth.Identity, change *spiderChange) (*view.Spider, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making a spider id: %w", err)
	}
	exchange.Of(ctx).Object = caller.Namespace + "/" + id.String()
	ctx, cancel := kube.SeenToItsEnd(requestOf(ctx))
	defer cancel()
	release, err := h.claimName(caller, *change.name, uuid.Nil)
	if err != nil {
		return nil, err
	}
	defer release()
	wanted := &v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Namespace: caller.Namespace, Name: id.String()},
		Spec:       change.newSpec(caller.UserID),
	}
	object, err := kube.Record(ctx, "spider", func(ctx context.Context) (*v1alpha1.Spider, error) {
		return h.kubernetesSpiders.Create(ctx, wanted)
	})
	if taken, ok := errors.AsType[*kube.NameTakenError](err); ok {
		if !taken.PerhapsByUs {
			return nil, failure.Internal(fmt.Errorf("the new id %s is taken", id))
		}
		object, err = h.kubernetesSpiders.Get(ctx, caller.Namespace, id.String())
		if err != nil {
			return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so the spider could not be recorded.")
		}
	}
	if err != nil {
		return nil, err
	}
	return h.showSpider(object)
}

// showSpider takes what was written into the view. It is told to the caller even where it has been deleted again since.
func (h *handlers) showSpider(object *v1alpha1.Spider) (*view.Spider, error) {
	spider, err := h.spiders.Put(object)
	if err != nil || spider != nil {
		return spider, err
	}
	return view.FromSpider(object)
}

// writeAttempts bounds how often a write that meets a newer state of its object is tried again on that.
const writeAttempts = 8

// changeSpider merges a change into a spider of the caller's own.
func (h *handlers) changeSpider(
	ctx context.Context, caller auth.Identity, id string, change *spiderChange,
) (*view.Spider, error) {
	var changed *view.Spider
	err := h.writeSpider(ctx, caller, id, func(ctx context.Context, spider *view.Spider) error {
		spec, err := change.patch(spider)
		if err != nil {
			return err
		}
		if len(spec) == 0 {
			changed = spider
			return nil
		}
		if change.name != nil && *change.name != spider.Name {
			release, err := h.claimName(caller, *change.name, spider.ID)
			if err != nil {
				return err
			}
			defer release()
		}
		object, err := h.kubernetesSpiders.Patch(ctx, spider.Namespace, spider.Ref, spider.ResourceVersion, spec)
		if err != nil {
			return err
		}
		changed, err = h.showSpider(object)
		return err
	})
	return changed, err
}

// deleteSpider deletes a spider of the caller's own.
func (h *handlers) deleteSpider(ctx context.Context, caller auth.Identity, id string) error {
	return h.writeSpider(ctx, caller, id, func(ctx context.Context, spider *view.Spider) error {
		if err := h.kubernetesSpiders.Delete(ctx, spider.Namespace, spider.Ref, spider.ResourceVersion); err != nil {
			return err
		}
		h.spiders.Remove(spider.Namespace, spider.Ref, spider.ResourceVersion)
		return nil
	})
}

// writeSpider calls write with a spider of the caller's own, and again with its newest state when write meets a newer one: so
// nothing is written to a spider that has meanwhile become another's.
func (h *handlers) writeSpider(
	ctx context.Context, caller auth.Identity, id string, write func(context.Context, *view.Spider) error,
) error {
	about := exchange.Of(ctx)
	ctx, cancel := kube.SeenToItsEnd(requestOf(ctx))
	defer cancel()
	spider, err := h.findSpider(ctx, caller, id)
	if err != nil {
		return err
	}
	about.Object = spider.Namespace + "/" + spider.Ref
	var conflicting error
	for range writeAttempts {
		switch {
		case !spider.VisibleTo(caller.User):
			return failure.NotFound("This spider")
		case spider.Owner() != caller.User:
			return failure.Denied(nil, "not_yours", "The namespace shares this spider: only keys without a user of their own change it.")
		}
		err := write(ctx, spider)
		if !apierrors.IsConflict(err) {
			return spiderFailure(err)
		}
		conflicting = err
		object, err := h.kubernetesSpiders.Get(ctx, spider.Namespace, spider.Ref)
		if err != nil {
			return spiderFailure(err)
		}
		if spider, err = h.showSpider(object); err != nil {
			return err
		}
	}
	p := failure.Conflict("changing", "The spider kept being changed by others. Try again.")
	p.Cause = conflicting
	return p
}

// spiderFailure is the answer to a write that Kubernetes did not record; nil for none.
func spiderFailure(err error) error {
	_, answered := errors.AsType[*failure.Error](err)
	switch {
	case err == nil, answered:
		return err
	case apierrors.IsNotFound(err):
		return failure.NotFound("This spider")
	case kube.MayPass(err):
		return failure.Unavailable(err, "Kubernetes cannot be reached, so the spider may not have been written.")
	default:
		return kube.Refusal(err, "spider")
	}
}

// nameClaims keeps two requests at the same moment from giving one name to two spiders of a user.
type nameClaims struct {
	mu     sync.Mutex
	claims map[nameClaim]struct{}
}

type nameClaim struct{ namespace, user, name string }

// claimName returns a conflict when the caller sees a spider of this name other than the given one. Otherwise the name is the
// caller's until release is called.
func (h *handlers) claimName(caller auth.Identity, name string, except uuid.UUID) (release func(), err error) {
	exists := failure.Conflict("spider_exists", "There is a spider of this name already.")
	claim := nameClaim{caller.Namespace, caller.User, name}
	h.names.mu.Lock()
	defer h.names.mu.Unlock()
	if _, claimed := h.names.claims[claim]; claimed {
		return nil, exists
	}
	for _, spider := range h.spiders.ByName(caller.Namespace, caller.User, name) {
		if spider.ID != except {
			return nil, exists
		}
	}
	h.names.claims[claim] = struct{}{}
	return func() {
		h.names.mu.Lock()
		defer h.names.mu.Unlock()
		delete(h.names.claims, claim)
	}, nil
}

// presentSpider returns a spider as the contract shows it.
func presentSpider(spider *view.Spider) contract.Spider {
	shown := contract.Spider{
		ID:          spider.ID.String(),
		Name:        spider.Name,
		RepoPath:    optional(&spider.RepoPath),
		Description: optional(&spider.Description),
		UserID:      spider.Owner(),
		CreatedAt:   time.Unix(spider.Created, 0).UTC(),
	}
	if spider.Settings != "" {
		settings := json.RawMessage(spider.Settings)
		shown.Settings = &settings
	}
	return shown
}
