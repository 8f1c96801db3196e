// Package apiserver is the REST facade: it turns HTTP calls with API keys into SpiderJobs, and answers reads from its own
// picture of them.
//
// It is a house of rooms, of which only this one knows all: the face that the contract, openapi.yaml, describes is rest, in front of
// which guard stands; what calls do is in jobs and spiders, which know of no face; they read from view and write by kube, and auth
// knows who is calling.
//
// The facade's needs of Kubernetes are these and no more:
//
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiders,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=scrapethis.app,resources=apikeys,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get
// +kubebuilder:rbac:groups="",resources=pods/log,verbs=get
package apiserver
