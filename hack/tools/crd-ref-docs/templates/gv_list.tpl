{{- define "gvList" -}}
# The custom resources

Written by `make generate` from the types in [api/v1alpha1](../api/v1alpha1). `kubectl explain spiderjob.spec` and its like tell
the same of what is installed.
{{ range . }}{{ template "gvDetails" . }}{{ end }}
{{- end -}}
