package admission

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/order"
)

// unlimited reports whether limits limit nothing.
func unlimited(l *order.Limits) bool {
	return l.Running == 0 && l.RunningPerUser == 0 && len(l.Groups) == 0 && l.DefaultGroup == 0 && len(l.Spiders) == 0
}

// SetQuota sets the limits of a namespace's SpiderQuota, nil if it has none.
func (g *Gate) SetQuota(namespace string, spec *v1alpha1.SpiderQuotaSpec, now time.Time) {
	g.change(namespace, now, func(l *order.Limits) {
		*l = limitsOf(spec, l.Spiders)
	})
}

// SetSpider sets how many runs of a Spider may run at once, 0 for any number.
func (g *Gate) SetSpider(spider types.NamespacedName, most int, now time.Time) {
	g.change(spider.Namespace, now, func(l *order.Limits) {
		if l.Spiders[spider.Name] == most {
			return
		}
		l.Spiders = maps.Clone(l.Spiders)
		if most == 0 {
			delete(l.Spiders, spider.Name)
			return
		}
		if l.Spiders == nil {
			l.Spiders = map[string]int{}
		}
		l.Spiders[spider.Name] = most
	})
}

// change changes the limits of a namespace, and admits what has room then.
func (g *Gate) change(namespace string, now time.Time, change func(*order.Limits)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of(namespace)
	change(&n.limits)
	n.order.SetLimits(n.limits)
	g.admit(n, "", now)
	g.drop(n)
}

// limitsOf returns the limits of a SpiderQuota, and of Spiders.
func limitsOf(spec *v1alpha1.SpiderQuotaSpec, spiders map[string]int) order.Limits {
	limits := order.Limits{Spiders: spiders}
	if spec == nil {
		return limits
	}
	limits.Running, limits.RunningPerUser = int(spec.MaxRunning), int(spec.MaxRunningPerUser)
	limits.DefaultGroup = int(spec.DefaultGroupMax)
	for _, group := range spec.Groups {
		if limits.Groups == nil {
			limits.Groups = map[string]int{}
		}
		limits.Groups[group.Name] = int(group.Max)
	}
	for _, weight := range spec.Weights {
		if limits.Weights == nil {
			limits.Weights = map[string]int{}
		}
		limits.Weights[weight.UserID] = int(weight.Weight)
	}
	return limits
}
