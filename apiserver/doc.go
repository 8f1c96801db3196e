// Package apiserver is the REST facade: it turns HTTP calls with API keys into SpiderJobs, and answers reads from its own
// picture of them.
//
// The contract is openapi.yaml. The types and the bindings in package contract are generated from it; the handlers here
// implement the generated interface. What a handler may take for granted is made true by the middleware in front of it: the
// picture is complete, the caller is known and within its rate, and a body is one JSON object of a bounded size.
//
// The facade's needs of Kubernetes are these and no more:
//
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiders,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=scrapethis.app,resources=apikeys,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get
// +kubebuilder:rbac:groups="",resources=pods/log,verbs=get
package apiserver
