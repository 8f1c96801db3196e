package view

import (
	"slices"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// SpiderNamer knows the current name and path of a Spider. ok is false if there is no such Spider.
type SpiderNamer interface {
	SpiderNames(namespace, ref string) (name, repoPath string, ok bool)
}

// Jobs is the ordered view of all SpiderJobs of the watched namespaces. It is safe for concurrent use.
type Jobs struct {
	Store[*Job]
	spiders SpiderNamer

	// What follows is guarded by the Store's lock.
	tenants map[string]*tenant // by namespace
	waiters waiters
	history *history
	// reserved is for jobs that are about to be made.
	reserved reservations
	// mostLookedAt is the constant, except in tests.
	mostLookedAt int
}

// tenant is what is known of one namespace.
type tenant struct {
	ids   ids[*Job]
	users map[string]*userJobs
	jobs  int
	usage Usage
	// admitted counts the admitted jobs by Spider, as far as there are any.
	admitted map[string]int
}

// NewJobs returns an empty view. Jobs that have not started take the name of their spider from spiders.
func NewJobs(spiders SpiderNamer) *Jobs {
	v := &Jobs{
		spiders: spiders,
		tenants: map[string]*tenant{},
		waiters: waiters{},
		history: newHistory(),

		reserved: newReservations(),

		mostLookedAt: mostLookedAt,
	}
	v.init(v)
	return v
}

// Get returns the job with this id, or nil.
func (v *Jobs) Get(namespace string, id uuid.UUID) *Job {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.byID(namespace, id)
}

// Named returns the job with this name of its resource, or nil.
func (v *Jobs) Named(namespace, name string) *Job {
	v.mu.RLock()
	defer v.mu.RUnlock()
	job, _ := v.get(ref{namespace, name})
	return job
}

// Put takes an answer of Kubernetes to a read or a write of this process, so that it is visible before the watch shows it. It
// returns what the view then knows: the given state, a newer one, or nil if the watch has shown meanwhile that the job is gone.
func (v *Jobs) Put(object *v1alpha1.SpiderJob) (*Job, error) {
	job, err := FromSpiderJob(object)
	if err != nil {
		return nil, err
	}
	known, _ := v.put(job)
	return known, nil
}

// Written takes an answer of Kubernetes to a write of this process, and returns what the view then knows: the written state or
// a newer one. If the watch already saw the job deleted, it still returns the state that was written.
func (v *Jobs) Written(object *v1alpha1.SpiderJob) (*Job, error) {
	job, err := FromSpiderJob(object)
	if err != nil {
		return nil, err
	}
	return v.written(job), nil
}

// RefreshSpider gives the current name and path of a Spider to those of its jobs that do not record yet what they ran.
func (v *Jobs) RefreshSpider(namespace, name string) {
	for batch := range slices.Chunk(v.unstarted(namespace, name), relistBatch) {
		v.refresh(batch)
	}
}

// unstarted returns the jobs of a Spider that do not record yet what they ran.
func (v *Jobs) unstarted(namespace, name string) (jobs []*Job) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	tenant := v.tenants[namespace]
	if tenant == nil {
		return nil
	}
	spider := v1alpha1.Spider{}
	spider.Namespace, spider.Name = namespace, name
	id, err := uuid.Parse(spider.ID())
	if err != nil {
		return nil
	}
	for _, user := range tenant.users {
		for _, tree := range user.trees(&Query{SpiderID: &id}) {
			tree.Scan(func(job *Job) bool {
				if !job.marks.has(snapshot) {
					jobs = append(jobs, job)
				}
				return true
			})
		}
	}
	return jobs
}

func (v *Jobs) refresh(jobs []*Job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, job := range jobs {
		if known, _ := v.get(job.ref()); known != job {
			continue // It is newer, and got its name then.
		}
		fresh := *job
		v.place(&fresh)
		if fresh.kept.shown && (fresh.SpiderName != job.SpiderName || fresh.RepoPath != job.RepoPath) {
			v.publish(job.UserID, Change{Job: &fresh}, number(v.progress.of(job.Namespace)))
		}
	}
}

func (v *Jobs) byID(namespace string, id uuid.UUID) *Job {
	tenant := v.tenants[namespace]
	if tenant == nil {
		return nil
	}
	return tenant.ids.get(id, v.objects[namespace])
}

// swap implements kind.
func (v *Jobs) swap(was, is *Job) {
	if is != nil {
		v.nameSpider(is)
	}
	if was != nil {
		tenant := v.tenants[was.Namespace]
		user := tenant.users[was.UserID]
		user.remove(was)
		if user.empty() {
			delete(tenant.users, was.UserID)
		}
		tenant.ids.remove(was.ID, was)
		tenant.remove(usageOf(was), was.SpiderRef)
		if tenant.jobs--; tenant.jobs == 0 {
			delete(v.tenants, was.Namespace)
		}
		v.waiters.wake(was.Namespace, was.ID)
	}
	if is != nil {
		tenant := v.tenantOf(is.Namespace)
		user := tenant.users[is.UserID]
		if user == nil {
			user = newUserJobs()
			tenant.users[is.UserID] = user
		}
		user.insert(is)
		tenant.ids.add(is.ID, is)
		tenant.add(usageOf(is), is.SpiderRef)
		tenant.jobs++
		v.waiters.wake(is.Namespace, is.ID)
	}
}

// revealed implements kind.
func (v *Jobs) revealed(job *Job) { v.tenants[job.Namespace].users[job.UserID].sum += checksum(job) }

// shown implements kind.
func (v *Jobs) shown(change shown[*Job]) { v.tell(change) }

// relisted implements kind.
func (v *Jobs) relisted(scope, _ string, restored bool) {
	if restored {
		v.history.begin(scope)
	}
}

func (v *Jobs) tenantOf(namespace string) *tenant {
	t := v.tenants[namespace]
	if t == nil {
		t = &tenant{ids: ids[*Job]{}, users: map[string]*userJobs{}, admitted: map[string]int{}}
		v.tenants[namespace] = t
	}
	return t
}

// nameSpider fills in what the SpiderJob's status does not have yet.
func (v *Jobs) nameSpider(job *Job) {
	if job.marks.has(snapshot) {
		return
	}
	if name, repoPath, ok := v.spiders.SpiderNames(job.Namespace, job.SpiderRef); ok {
		job.SpiderName, job.RepoPath = name, repoPath
	} else if job.SpiderName == "" {
		job.SpiderName = job.SpiderRef
	}
}
