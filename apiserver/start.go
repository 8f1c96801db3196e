package apiserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

func (h *handlers) StartJob(
	ctx context.Context, request contract.StartJobRequestObject,
) (contract.StartJobResponseObject, error) {
	job, err := h.start(ctx, callerOf(ctx), *request.Body, request.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return contract.StartJob200JSONResponse{
		Body:    contract.StartedJob{JobID: job.ID.String(), Status: contract.JobStatus(job.Status.String())},
		Headers: contract.StartJob200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID},
	}, nil
}

func (h *handlers) start(ctx context.Context, caller auth.Identity, body []byte, idempotencyKey *string) (*view.Job, error) {
	identity, err := identify(caller, body, idempotencyKey)
	if err != nil {
		return nil, err
	}
	exchange.Of(ctx).Object = caller.Namespace + "/" + identity.id.String()
	if identity.hash != "" {
		if known := h.jobs.Get(caller.Namespace, identity.id); known != nil {
			return sameStart(known, caller, identity)
		}
	}
	request, err := parseStart(body)
	if err != nil {
		return nil, err
	}
	spider, err := h.resolve(ctx, caller, request)
	if err != nil {
		return nil, err
	}
	job := newSpiderJob(caller, identity, spider, request)
	if _, err := spider.Allows.Run(&job.Spec); err != nil {
		return nil, refusedRun(err)
	}
	return h.create(ctx, caller, identity, job)
}

// startIdentity is by what a start is known: the id of the job it makes and, with an Idempotency-Key, the hash of its body.
type startIdentity struct {
	id   uuid.UUID
	hash string
}

// idempotencyKeyText is the form that the contract gives an Idempotency-Key.
var idempotencyKeyText = regexp.MustCompile(`^[!-~]{1,255}$`)

// identify names a start: by the time, or by its Idempotency-Key, in which case every replica comes to the same name at any
// time, and Kubernetes itself lets only one of them make the job.
func identify(caller auth.Identity, body []byte, idempotencyKey *string) (startIdentity, error) {
	if idempotencyKey == nil {
		id, err := uuid.NewV7()
		if err != nil {
			return startIdentity{}, fmt.Errorf("making a job id: %w", err)
		}
		return startIdentity{id: id}, nil
	}
	if !idempotencyKeyText.MatchString(*idempotencyKey) {
		return startIdentity{}, failure.Invalid("Idempotency-Key", "must be from 1 to 255 printable ASCII characters without spaces")
	}
	// Neither namespace nor user nor key can contain a NUL.
	sum := sha256.Sum256([]byte(caller.Namespace + "\x00" + caller.User + "\x00" + *idempotencyKey))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // Version 8: made by a rule of one's own.
	id[8] = id[8]&0x3f | 0x80 // The variant of RFC 9562.
	hash := sha256.Sum256(body)
	return startIdentity{id: id, hash: hex.EncodeToString(hash[:])}, nil
}

// sameStart answers a start whose Idempotency-Key was used before.
func sameStart(known *view.Job, caller auth.Identity, identity startIdentity) (*view.Job, error) {
	if known.User != caller.User || known.RequestHash != identity.hash {
		return nil, failure.Conflict("idempotency_conflict", "This Idempotency-Key was used before, with another body.")
	}
	return known, nil
}

// resolve finds the spider that a start means, among those that the caller may see.
func (h *handlers) resolve(ctx context.Context, caller auth.Identity, request *startRequest) (*view.Spider, error) {
	if request.spiderID == "" {
		named := h.spiders.ByName(caller.Namespace, caller.User, request.spiderName)
		switch len(named) {
		case 0:
			return nil, failure.NotFound("This spider")
		case 1:
			return named[0], nil
		default:
			return nil, failure.Conflict("ambiguous_spider", "Several spiders have this spider_name; use spider_id.")
		}
	}
	spider, err := h.findSpider(ctx, caller, request.spiderID)
	if err != nil {
		return nil, err
	}
	if request.spiderName != "" && request.spiderName != spider.Name {
		return nil, failure.Invalid("spider_name", "spider_id and spider_name mean different spiders")
	}
	return spider, nil
}

func newSpiderJob(
	caller auth.Identity, identity startIdentity, spider *view.Spider, request *startRequest,
) *v1alpha1.SpiderJob {
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: caller.Namespace, Name: identity.id.String()},
		Spec: v1alpha1.SpiderJobSpec{
			SpiderRef:            v1alpha1.SpiderReference{Name: spider.Ref},
			Arguments:            request.arguments,
			Settings:             request.settings,
			TimeoutSeconds:       request.timeoutSeconds,
			StartDeadlineSeconds: request.startDeadlineSeconds,
			Retries:              request.retries,
			Expectations:         request.expectations,
			UserID:               caller.UserID,
		},
	}
	if identity.hash != "" {
		job.Annotations = map[string]string{v1alpha1.AnnotationRequestHash: identity.hash}
	}
	return job
}

// create records the job.
func (h *handlers) create(
	ctx context.Context, caller auth.Identity, identity startIdentity, job *v1alpha1.SpiderJob,
) (*view.Job, error) {
	ctx, cancel := kube.SeenToItsEnd(requestOf(ctx))
	defer cancel()
	created, err := kube.Record(ctx, "job", func(ctx context.Context) (*v1alpha1.SpiderJob, error) {
		return h.kubernetes.Create(ctx, job)
	})
	if taken, ok := errors.AsType[*kube.NameTakenError](err); ok {
		return h.existing(ctx, caller, identity, taken.PerhapsByUs)
	}
	if err != nil {
		return nil, err
	}
	return h.started(created)
}

// started takes a new job into the view. It is told to the caller even where it has been deleted again since.
func (h *handlers) started(object *v1alpha1.SpiderJob) (*view.Job, error) {
	job, err := h.jobs.Put(object)
	if err != nil || job != nil {
		return job, err
	}
	return view.FromSpiderJob(object)
}

// existing answers a start whose job is there already: made by an earlier attempt of this very request, or by an earlier
// request with the same Idempotency-Key.
func (h *handlers) existing(
	ctx context.Context, caller auth.Identity, identity startIdentity, triedBefore bool,
) (*view.Job, error) {
	object, err := h.kubernetes.Get(ctx, caller.Namespace, identity.id.String())
	if err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so the job could not be recorded.")
	}
	job, err := h.started(object)
	switch {
	case err != nil:
		return nil, err
	case identity.hash == "" && !triedBefore:
		return nil, failure.Internal(fmt.Errorf("the new id %s is taken", identity.id))
	default:
		return sameStart(job, caller, identity)
	}
}
