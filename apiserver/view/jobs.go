package view

import (
	"sync"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// SpiderNamer knows the name and the path of a Spider as it is now. ok is false when there is no such Spider.
type SpiderNamer interface {
	SpiderNames(namespace, ref string) (name, repoPath string, ok bool)
}

// Jobs is the ordered picture of all SpiderJobs of the watched namespaces. It is safe for concurrent use.
type Jobs struct {
	spiders SpiderNamer

	mu         sync.RWMutex
	namespaces map[string]*tenant
	count      int
	progress   progress
	waiters    waiters
	history    *history
}

type tenant struct {
	byID  map[uuid.UUID]*Job
	users map[string]*userJobs
}

// NewJobs returns an empty view. Jobs that have not started take the name of their spider from spiders.
func NewJobs(spiders SpiderNamer) *Jobs {
	return &Jobs{
		spiders:    spiders,
		namespaces: map[string]*tenant{},
		progress:   progress{},
		waiters:    waiters{},
		history:    newHistory(),
	}
}

// Get returns the job with this id, or nil.
func (v *Jobs) Get(namespace string, id uuid.UUID) *Job {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.get(namespace, id)
}

// Len returns the number of jobs in the view.
func (v *Jobs) Len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.count
}

// Put takes what Kubernetes answered to a read or a write of this process's own, so that it is seen before the watch shows
// it. It returns what the view then knows: the given state, a newer one it already had, or nil when the watch has shown
// meanwhile that the job is gone.
func (v *Jobs) Put(object *v1alpha1.SpiderJob) (*Job, error) {
	job, err := FromSpiderJob(object)
	if err != nil {
		return nil, err
	}
	job.unconfirmed = true
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.get(job.Namespace, job.ID)
	switch {
	case old == nil && !newer(job.ResourceVersion, v.progress.of(job.Namespace)):
		return nil, nil
	case old != nil && !newer(job.ResourceVersion, old.ResourceVersion):
		return old, nil
	}
	return v.set(old, job), nil
}

// Set takes a state that the watch of the given scope shows.
func (v *Jobs) Set(scope string, job *Job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress.advance(scope, job.ResourceVersion)
	old := v.get(job.Namespace, job.ID)
	if old != nil && newer(old.ResourceVersion, job.ResourceVersion) {
		return
	}
	v.set(old, job)
	v.history.publish(&Change{Job: job, ResourceVersion: job.ResourceVersion, scope: scope})
}

// Delete takes the watch's word that a job is gone; job is its last state.
func (v *Jobs) Delete(scope string, job *Job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress.advance(scope, job.ResourceVersion)
	old := v.get(job.Namespace, job.ID)
	// Two objects of a namespace have one id when somebody names an object by the id of another: neither removes the other.
	if old == nil || old.Name != job.Name || newer(old.ResourceVersion, job.ResourceVersion) {
		return
	}
	v.remove(old)
	v.history.publish(&Change{Job: old, Deleted: true, ResourceVersion: job.ResourceVersion, scope: scope})
}

// Replace takes the complete state of a scope as of a resource version, in one step: readers see the state before or the
// state after. Of what is not listed only this process's own newer writes are kept.
func (v *Jobs) Replace(scope string, jobs []*Job, resourceVersion string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	type key struct {
		namespace string
		id        uuid.UUID
	}
	listed := make(map[key]struct{}, len(jobs))
	for _, job := range jobs {
		listed[key{job.Namespace, job.ID}] = struct{}{}
		old := v.get(job.Namespace, job.ID)
		// A confirmed state gives way even to an older one: after a restore of etcd the list is right, and the view is not.
		if old != nil && old.unconfirmed && newer(old.ResourceVersion, job.ResourceVersion) {
			continue
		}
		v.set(old, job)
	}
	for namespace, tenant := range v.namespaces {
		if scope != "" && scope != namespace {
			continue
		}
		for id, job := range tenant.byID {
			_, found := listed[key{namespace, id}]
			if !found && !(job.unconfirmed && newer(job.ResourceVersion, resourceVersion)) {
				v.remove(job)
			}
		}
	}
	v.progress[scope] = resourceVersion
	v.history.begin(scope, resourceVersion)
}

// RefreshSpider gives the pending jobs of a Spider its present name and path.
func (v *Jobs) RefreshSpider(namespace, ref string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	tenant := v.namespaces[namespace]
	if tenant == nil {
		return
	}
	spider := v1alpha1.Spider{}
	spider.Namespace, spider.Name = namespace, ref
	id, err := uuid.Parse(spider.ID())
	if err != nil {
		return
	}
	var stale []*Job
	for _, user := range tenant.users {
		for _, tree := range user.trees(&Query{SpiderID: &id, Statuses: []Status{Pending}}) {
			tree.Scan(func(job *Job) bool {
				if !job.snapshot {
					stale = append(stale, job)
				}
				return true
			})
		}
	}
	scope := v.progress.scopeOf(namespace)
	for _, job := range stale {
		fresh := *job
		v.set(job, &fresh)
		if fresh.SpiderName != job.SpiderName || fresh.RepoPath != job.RepoPath {
			v.history.publish(&Change{Job: &fresh, ResourceVersion: v.progress.of(namespace), scope: scope, again: true})
		}
	}
}

func (v *Jobs) get(namespace string, id uuid.UUID) *Job {
	tenant := v.namespaces[namespace]
	if tenant == nil {
		return nil
	}
	return tenant.byID[id]
}

// set puts job in the place of old, which is nil for a new one.
func (v *Jobs) set(old, job *Job) *Job {
	v.nameSpider(job)
	tenant := v.tenantOf(job.Namespace)
	if old != nil {
		v.unindex(tenant, old)
	} else {
		v.count++
	}
	tenant.byID[job.ID] = job
	user := tenant.users[job.User]
	if user == nil {
		user = newUserJobs()
		tenant.users[job.User] = user
	}
	user.insert(job)
	v.waiters.wake(job.Namespace, job.ID)
	return job
}

func (v *Jobs) remove(job *Job) {
	tenant := v.namespaces[job.Namespace]
	v.unindex(tenant, job)
	delete(tenant.byID, job.ID)
	v.count--
	if len(tenant.byID) == 0 {
		delete(v.namespaces, job.Namespace)
	}
	v.waiters.wake(job.Namespace, job.ID)
}

func (v *Jobs) unindex(tenant *tenant, job *Job) {
	user := tenant.users[job.User]
	user.remove(job)
	if user.empty() {
		delete(tenant.users, job.User)
	}
}

func (v *Jobs) tenantOf(namespace string) *tenant {
	t := v.namespaces[namespace]
	if t == nil {
		t = &tenant{byID: map[uuid.UUID]*Job{}, users: map[string]*userJobs{}}
		v.namespaces[namespace] = t
	}
	return t
}

// nameSpider fills in what the SpiderJob's status does not tell yet.
func (v *Jobs) nameSpider(job *Job) {
	if job.snapshot {
		return
	}
	if name, repoPath, ok := v.spiders.SpiderNames(job.Namespace, job.SpiderRef); ok {
		job.SpiderName, job.RepoPath = name, repoPath
	} else if job.SpiderName == "" {
		job.SpiderName = job.SpiderRef
	}
}
