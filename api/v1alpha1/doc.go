// Package v1alpha1 is the scrapethis.app/v1alpha1 API: Spider, what can be run; SpiderJob, one run of a Spider; APIKey, who may
// call the REST API. The custom resources are the operator's only state: everything else can be rebuilt from them.
//
// +kubebuilder:object:generate=true
// +groupName=scrapethis.app
package v1alpha1
