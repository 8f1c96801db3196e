// Package v1alpha1 has the configuration files of spider-operator's processes, version config.scrapethis.app/v1alpha1: their
// types, defaults and validation. The files hold what is the same for all replicas of a process. What depends on the place
// (addresses, the kubeconfig, namespaces, leader election) is in flags.
//
// +groupName=config.scrapethis.app
// +versionName=v1alpha1
package v1alpha1

// APIVersion is the apiVersion of the files.
const APIVersion = "config.scrapethis.app/v1alpha1"
