package view

import "github.com/scrapethis/spider-operator/api/v1alpha1"

// Quota is a SpiderQuota. It never changes: a newer state of the SpiderQuota is another one.
type Quota struct {
	Namespace       string
	Name            string
	ResourceVersion string
	// Spec must not be changed.
	Spec *v1alpha1.SpiderQuotaSpec

	kept   note
	bornAt uint64
}

func (q *Quota) ref() ref        { return ref{q.Namespace, q.Name} }
func (q *Quota) version() string { return q.ResourceVersion }
func (q *Quota) note() *note     { return &q.kept }
func (q *Quota) born() *uint64   { return &q.bornAt }

// FromSpiderQuota returns what the view keeps of a SpiderQuota.
func FromSpiderQuota(quota *v1alpha1.SpiderQuota) (*Quota, error) {
	return &Quota{
		Namespace: intern(quota.Namespace), Name: intern(quota.Name), ResourceVersion: quota.ResourceVersion, Spec: &quota.Spec,
	}, nil
}

// Quotas is the view of the SpiderQuotas of the watched namespaces. It is safe for concurrent use.
type Quotas struct {
	Store[*Quota]
}

// NewQuotas returns an empty view.
func NewQuotas() *Quotas {
	v := &Quotas{}
	v.init(v)
	return v
}

// unlimited is the specification of a namespace without a SpiderQuota.
var unlimited = &v1alpha1.SpiderQuotaSpec{}

// Of returns what the SpiderQuota of a namespace says, which must not be changed; nothing without one.
func (v *Quotas) Of(namespace string) *v1alpha1.SpiderQuotaSpec {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if quota, found := v.get(ref{namespace, v1alpha1.SpiderQuotaName}); found {
		return quota.Spec
	}
	return unlimited
}

// swap implements kind.
func (*Quotas) swap(*Quota, *Quota) {}

// revealed implements kind.
func (*Quotas) revealed(*Quota) {}

// shown implements kind: nobody follows the changes of SpiderQuotas.
func (*Quotas) shown(shown[*Quota]) {}

// relisted implements kind.
func (*Quotas) relisted(string, string, bool) {}
