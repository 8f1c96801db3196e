package jobs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Request asks for a run of a spider.
type Request struct {
	// SpiderID and SpiderName identify the spider: one of them, or both of the same spider.
	SpiderID, SpiderName string
	Arguments            map[string]v1alpha1.ArgumentValue
	Settings             map[string]v1alpha1.SettingValue
	TimeoutSeconds       *int64
	StartDeadlineSeconds *int64
	Retries              *int32
	// Priority says which of a user's jobs starts first while limits let only some start. MaxWaitSeconds is how long the job may
	// wait for that; nil for any time.
	Priority       int32
	MaxWaitSeconds *int64
	Expectations   *v1alpha1.Expectations
	// Tags are the run's own, in any order, to which those of the spider are added. Note what is noted about it; empty for nothing.
	Tags []string
	Note string
	// Once is nil if each request makes a job of its own.
	Once *Once
}

// Once identifies a request, so that it makes one job however often it is sent, as long as that job exists.
type Once struct {
	// Key is the caller's name for the request, and Hash a hash of its content.
	Key, Hash string
}

// Check returns what is wrong with a request, whatever the spider.
func (r *Request) Check() error {
	if r.SpiderID == "" && r.SpiderName == "" {
		return failure.Invalid("spider_id", "spider_id or spider_name is required")
	}
	if err := r.Once.check(); err != nil {
		return err
	}
	return refusedRun(cmp.Or(allowed.Arguments(r.Arguments), allowed.Tags(r.Tags), allowed.Note(r.Note)))
}

func (o *Once) check() error {
	if o != nil && !onceKey.MatchString(o.Key) {
		return failure.Invalid("Idempotency-Key", "must be from 1 to 255 printable ASCII characters without spaces")
	}
	return nil
}

// onceKey is the form that the contract gives an Idempotency-Key.
var onceKey = regexp.MustCompile(`^[!-~]{1,255}$`)

// Start creates a job for the caller, or returns the one that the same request has created before.
func (s *Jobs) Start(ctx context.Context, caller auth.Identity, request *Request) (*view.Job, error) {
	if err := request.Check(); err != nil {
		return nil, err
	}
	return s.start(ctx, caller, request.Once, func(ctx context.Context) (*view.Spider, *Request, error) {
		if err := s.CheckPriority(caller.Namespace, 0, request.Priority); err != nil {
			return nil, nil, err
		}
		spider, err := s.resolve(ctx, caller, request)
		if err != nil {
			return nil, nil, err
		}
		tagged := *request
		tagged.Tags, err = allowed.Inherited(request.Tags, spider.Tags)
		return spider, &tagged, refusedRun(err)
	}, v1alpha1.OriginAPI)
}

// start creates the job that prepare asks for, or returns the one that the same request has created before.
func (s *Jobs) start(
	ctx context.Context, caller auth.Identity, once *Once,
	prepare func(context.Context) (*view.Spider, *Request, error), origin string,
) (*view.Job, error) {
	return s.StartPlanned(ctx, caller, once, func(ctx context.Context) (*v1alpha1.SpiderJob, error) {
		spider, request, err := prepare(ctx)
		if err != nil {
			return nil, err
		}
		job := newSpiderJob(caller, spider, request)
		job.Labels[v1alpha1.LabelOrigin] = origin
		if _, err := spider.Allows.Run(&job.Spec); err != nil {
			return nil, refusedRun(err)
		}
		return job, nil
	})
}

// StartPlanned creates the job of the caller that plan returns, under a name of its own, or returns the one that the same request
// has created before. The plan has checked what the spider allows.
func (s *Jobs) StartPlanned(
	ctx context.Context, caller auth.Identity, once *Once, plan func(context.Context) (*v1alpha1.SpiderJob, error),
) (*view.Job, error) {
	if err := once.check(); err != nil {
		return nil, err
	}
	identity, err := identify(caller, once)
	if err != nil {
		return nil, err
	}
	exchange.Of(ctx).Object = caller.Namespace + "/" + identity.id.String()
	if identity.hash != "" {
		if known := s.view.Get(caller.Namespace, identity.id); known != nil {
			return sameStart(known, caller, identity)
		}
	}
	job, err := plan(ctx)
	if err != nil {
		return nil, err
	}
	job.Name = identity.id.String()
	if identity.hash != "" {
		annotate(job, v1alpha1.AnnotationRequestHash, identity.hash)
	}
	release, made, err := s.room(ctx, caller, identity, allowed.ArgumentsBytes(job.Spec.Arguments))
	if err != nil || made != nil {
		return made, err
	}
	defer release()
	return s.create(ctx, caller, identity, job)
}

// startIdentity identifies a start: the id of the job that it makes and, with an Idempotency-Key, the hash of its body.
type startIdentity struct {
	id   uuid.UUID
	hash string
}

// identify derives the id of a start: from the time, or from its Idempotency-Key. With a key every replica derives the same id
// at any time, and Kubernetes itself lets only one of them create the job.
func identify(caller auth.Identity, once *Once) (startIdentity, error) {
	if once == nil {
		id, err := uuid.NewV7()
		if err != nil {
			return startIdentity{}, fmt.Errorf("making a job id: %w", err)
		}
		return startIdentity{id: id}, nil
	}
	user := caller.User
	if caller.UserID == caller.Namespace {
		user = " " + user // Otherwise it would be the namespace itself. No user name contains a blank.
	}
	// Neither namespace nor user nor key can contain a NUL.
	sum := sha256.Sum256([]byte(caller.Namespace + "\x00" + user + "\x00" + once.Key))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // Version 8: custom derivation (RFC 9562).
	id[8] = id[8]&0x3f | 0x80 // The variant of RFC 9562.
	return startIdentity{id: id, hash: once.Hash}, nil
}

// sameStart answers a start whose Idempotency-Key was used before.
func sameStart(known *view.Job, caller auth.Identity, identity startIdentity) (*view.Job, error) {
	if known.UserID != caller.UserID || known.RequestHash != identity.hash {
		return nil, failure.Conflict("idempotency_conflict", "This Idempotency-Key was used before, with another body.")
	}
	return known, nil
}

// resolve finds the spider of a start, among those that the caller may see.
func (s *Jobs) resolve(ctx context.Context, caller auth.Identity, request *Request) (*view.Spider, error) {
	if request.SpiderID == "" {
		named, err := s.spiders.Named(ctx, caller, request.SpiderName)
		if err != nil {
			return nil, err
		}
		switch len(named) {
		case 0:
			return nil, failure.NotFound("This spider")
		case 1:
			return named[0], nil
		default:
			return nil, failure.Conflict("ambiguous_spider", "Several spiders have this spider_name; use spider_id.")
		}
	}
	spider, err := s.spiders.Find(ctx, caller, request.SpiderID)
	if err != nil {
		return nil, err
	}
	if request.SpiderName != "" && request.SpiderName != spider.Name {
		return nil, failure.Invalid("spider_name", "spider_id and spider_name mean different spiders")
	}
	return spider, nil
}

func newSpiderJob(caller auth.Identity, spider *view.Spider, request *Request) *v1alpha1.SpiderJob {
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: caller.Namespace},
		Spec: v1alpha1.SpiderJobSpec{
			SpiderRef:            v1alpha1.SpiderReference{Name: spider.ResourceName},
			Arguments:            request.Arguments,
			Settings:             request.Settings,
			TimeoutSeconds:       request.TimeoutSeconds,
			StartDeadlineSeconds: request.StartDeadlineSeconds,
			Retries:              request.Retries,
			Priority:             request.Priority,
			MaxWaitSeconds:       request.MaxWaitSeconds,
			Expectations:         request.Expectations,
			UserID:               caller.UserID,
		},
	}
	job.Labels = map[string]string{}
	job.AddTags(request.Tags...)
	if request.Note != "" {
		annotate(job, v1alpha1.AnnotationNote, request.Note)
	}
	return job
}

func annotate(job *v1alpha1.SpiderJob, name, value string) {
	if job.Annotations == nil {
		job.Annotations = map[string]string{}
	}
	job.Annotations[name] = value
}

// create records the job.
func (s *Jobs) create(
	ctx context.Context, caller auth.Identity, identity startIdentity, job *v1alpha1.SpiderJob,
) (*view.Job, error) {
	ctx, cancel := kube.Detached(ctx)
	defer cancel()
	created, err := kube.Record(ctx, "job", func(ctx context.Context) (*v1alpha1.SpiderJob, error) {
		return s.kubernetes.Create(ctx, job)
	})
	if taken, ok := errors.AsType[*kube.NameTakenError](err); ok {
		return s.existing(ctx, caller, identity, taken.MaybeOurs)
	}
	if err != nil {
		return nil, err
	}
	return s.view.Written(created)
}

// existing answers a start whose job exists already: made by an earlier attempt of this request, or by an earlier request with
// the same Idempotency-Key.
func (s *Jobs) existing(
	ctx context.Context, caller auth.Identity, identity startIdentity, triedBefore bool,
) (*view.Job, error) {
	object, err := s.kubernetes.Get(ctx, caller.Namespace, identity.id.String())
	if err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so the job could not be recorded.")
	}
	job, err := s.view.Written(object)
	switch {
	case err != nil:
		return nil, err
	case identity.hash == "" && !triedBefore:
		return nil, failure.Internal(fmt.Errorf("the new id %s is taken", identity.id))
	default:
		return sameStart(job, caller, identity)
	}
}

// Make creates a job under the name that it has, if there is room for it, or returns the one that has this name already, whosever
// that is.
func (s *Jobs) Make(ctx context.Context, job *v1alpha1.SpiderJob) (made *view.Job, existed bool, err error) {
	if known := s.view.Named(job.Namespace, job.Name); known != nil {
		return known, true, nil
	}
	release, err := s.reserve(job.Namespace, job.Spec.UserID, allowed.ArgumentsBytes(job.Spec.Arguments))
	if err != nil {
		return nil, false, err
	}
	defer release()
	ctx, cancel := kube.Detached(ctx)
	defer cancel()
	object, err := kube.Record(ctx, "job", func(ctx context.Context) (*v1alpha1.SpiderJob, error) {
		return s.kubernetes.Create(ctx, job)
	})
	if taken, ok := errors.AsType[*kube.NameTakenError](err); ok {
		existed = !taken.MaybeOurs
		if object, err = s.kubernetes.Get(ctx, job.Namespace, job.Name); err != nil {
			return nil, false, failure.Unavailable(err, "Kubernetes cannot be reached, so the job may not have been recorded.")
		}
	}
	if err != nil {
		return nil, false, err
	}
	made, err = s.view.Written(object)
	return made, existed, err
}

// Check returns what is wrong with a run of a spider.
func (s *Jobs) Check(spider *view.Spider, job *v1alpha1.SpiderJob) error {
	if err := allowed.Arguments(job.Spec.Arguments); err != nil {
		return refusedRun(err)
	}
	_, err := spider.Allows.Run(&job.Spec)
	return refusedRun(err)
}

// refusedRun translates the error of a run that asks for something that it may not have; other errors stay unchanged.
func refusedRun(err error) error {
	refused, ok := errors.AsType[*allowed.RefusedError](err)
	if !ok {
		return err
	}
	field, written := failure.FieldName(refused.Field), func(value string) string { return value }
	if refused.Field == "expectations.onStall" || refused.Field == "expectations.onViolation" {
		written = strings.ToLower
	}
	if refused.Entry != nil {
		field += "." + failure.Name(*refused.Entry)
	}
	return failure.Invalid(field, "%s", refused.Problem(written))
}
