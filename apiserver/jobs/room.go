package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// retryCaps is after how long to try again if there is no room for a job: when others have started or ended.
const retryCaps = 10 * time.Second

// reserve reserves room for a job of a user, under the caps of all namespaces and the SpiderQuota of this one, until release is
// called. The failure is of KindTooMany if there is none.
func (s *Jobs) reserve(namespace, userID string, argumentBytes int) (release func(), err error) {
	caps, quota := s.caps, s.quotas.Of(namespace)
	caps.QueuedJobs, caps.QueuedJobsPerUser = int(quota.MaxQueued), int(quota.MaxQueuedPerUser)
	release, err = s.view.Reserve(namespace, userID, argumentBytes, caps)
	full, ok := errors.AsType[*view.CapError](err)
	switch {
	case !ok:
		return release, err
	case full.Queue:
		return nil, failure.TooMany("queue_full", full.Error(), retryCaps)
	default:
		return nil, failure.TooMany("too_many_jobs", full.Error(), retryCaps)
	}
}

// room reserves room for a job in its namespace, until release is called. If there is none it returns the job that an earlier
// attempt of the same request has made, which this view may not know yet, or refuses.
func (s *Jobs) room(
	ctx context.Context, caller auth.Identity, identity startIdentity, argumentBytes int,
) (release func(), made *view.Job, err error) {
	release, err = s.reserve(caller.Namespace, caller.UserID, argumentBytes)
	if !failure.Is(err, failure.KindTooMany) {
		return release, nil, err
	}
	if identity.hash != "" {
		known, err := s.lookUp(ctx, caller.Namespace, identity.id)
		if err != nil {
			return nil, nil, err
		}
		if known != nil {
			made, err = sameStart(known, caller, identity)
			return nil, made, err
		}
	}
	exchange.Of(ctx).Object = ""
	return nil, nil, err
}
