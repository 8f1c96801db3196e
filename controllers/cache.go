package controllers

import (
	"maps"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/scrapethis/spider-operator/controllers/schedule"
	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// cacheOptions limits the cache to the given namespaces, or to none if the list is empty, and to what the controllers read.
func cacheOptions(namespaces []string) (cache.Options, error) {
	kinds, err := spiderjob.Caches()
	if err != nil {
		return cache.Options{}, err
	}
	maps.Copy(kinds, schedule.Caches())
	opts := cache.Options{
		DefaultTransform:             cache.TransformStripManagedFields(),
		DefaultUnsafeDisableDeepCopy: ptr.To(true),
		ByObject:                     kinds,
	}
	if len(namespaces) > 0 {
		opts.DefaultNamespaces = make(map[string]cache.Config, len(namespaces))
		for _, namespace := range namespaces {
			opts.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return opts, nil
}
