{{- define "gvList" -}}
{{ range . }}
{{- if eq .Group "config.scrapethis.app" -}}
# The configuration files

`spider-operator controller --config FILE` and `spider-operator apiserver --config FILE` read one, in YAML or JSON. It holds what all
replicas of the process share; what depends on the place (addresses, the kubeconfig, namespaces, leader election, logs) is in flags,
which `--help` lists. What a file leaves out has its default. A field that is unknown, given twice, or has a wrong value is named at the
start, and the process ends. A flag that sets the same overrides the file.

The chart makes the files from `config.controller` and `config.apiserver`, and restarts the Pods when they change:

```yaml
config:
  controller:
    ttl: 24h
    spiderPods: {security: platform}
  apiserver:
    trustedProxies: [10.0.0.0/8]
```

With `kubectl apply -k`, a patch of the ConfigMap `spider-operator-controller-config` or `spider-operator-apiserver-config` in an overlay
does the same; restart the Deployment then. The [flags and values](compatibility.md) that set these before still work for one release.

`make generate` writes this page from the types in [api/config/v1alpha1](../api/config/v1alpha1).
{{ else -}}
# The custom resources

`make generate` writes this page from the types in [api/v1alpha1](../api/v1alpha1). `kubectl explain spiderjob.spec` and its like show
the same of what is installed.
{{ end -}}
{{ template "gvDetails" . }}{{ end }}
{{- end -}}
