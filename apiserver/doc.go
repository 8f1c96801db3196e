// Package apiserver is the REST API: it turns HTTP calls with API keys into SpiderJobs, and answers reads from its own view of
// them.
//
// Only this package knows all packages below it. Package rest implements the contract, openapi.yaml; package guard limits and
// authenticates callers in front of it. Packages jobs, spiders and schedules are the use cases, without HTTP; they read from
// package view and write by package kube. Package auth identifies callers.
//
// These are all rights that the REST API needs in Kubernetes:
//
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiders,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderschedules,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderquotas,verbs=get;list;watch
// +kubebuilder:rbac:groups=scrapethis.app,resources=apikeys,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get
// +kubebuilder:rbac:groups="",resources=pods/log,verbs=get
package apiserver
