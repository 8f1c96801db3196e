{{/* The chart's name, in names and in the label app.kubernetes.io/name. */}}
{{- define "spider-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What the names of all objects begin with: short enough to leave room for the longest suffix. */}}
{{- define "spider-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "spider-operator.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Labels that select a component's Pods. Takes (dict "root" $ "component" "controller"). */}}
{{- define "spider-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "spider-operator.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/*
The labels and annotations of an object's metadata. Takes (dict "root" $ "component" …) and optionally "labels" and
"annotations", the object's own. The component is "" for what belongs to the release as a whole.
*/}}
{{- define "spider-operator.metadata" -}}
{{- $standard := dict
  "app.kubernetes.io/name" (include "spider-operator.name" .root)
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/part-of" "spider-operator"
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (include "spider-operator.chart" .root) }}
{{- if .component }}
{{- $_ := set $standard "app.kubernetes.io/component" .component }}
{{- end -}}
labels:
  {{- toYaml (merge $standard (default dict .labels) .root.Values.commonLabels) | nindent 2 }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Likewise of a component's Pods: without the versions, so that an upgrade that changes no Pod restarts none. */}}
{{- define "spider-operator.podMetadata" -}}
{{- $values := get .root.Values .component -}}
labels:
  {{- toYaml (merge (include "spider-operator.selectorLabels" . | fromYaml) $values.podLabels .root.Values.commonLabels) | nindent 2 }}
annotations:
  {{- toYaml (merge (dict) $values.podAnnotations (dict "kubectl.kubernetes.io/default-container" .component "checksum/config" .checksum) .root.Values.commonAnnotations) | nindent 2 }}
{{- end }}

{{/* Takes (dict "root" $ "component" …). */}}
{{- define "spider-operator.componentName" -}}
{{- printf "%s-%s" (include "spider-operator.fullname" .root) .component }}
{{- end }}

{{/* The Lease of the controller that leads: the release's own, since several releases may share a namespace. */}}
{{- define "spider-operator.lease" -}}
{{- printf "%s.controller.scrapethis.app" (include "spider-operator.fullname" .) }}
{{- end }}

{{/* Takes (dict "root" $ "component" …). */}}
{{- define "spider-operator.serviceAccountName" -}}
{{- $account := (get .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
{{- default (include "spider-operator.componentName" .) $account.name }}
{{- else -}}
{{- default "default" $account.name }}
{{- end -}}
{{- end }}

{{/* The Secret with the REST API's certificate, empty where it is served without TLS. */}}
{{- define "spider-operator.tlsSecret" -}}
{{- $tls := .Values.apiserver.tls -}}
{{- $issued := ternary (printf "%s-apiserver-tls" (include "spider-operator.fullname" .)) "" $tls.certificate.enabled -}}
{{- default $issued $tls.secretName }}
{{- end }}

{{/* How the REST API is served, which is also the name of its port. */}}
{{- define "spider-operator.scheme" -}}
{{- ternary "https" "http" (ne (include "spider-operator.tlsSecret" .) "") }}
{{- end }}

{{- define "spider-operator.image" -}}
{{- with .Values.image -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end -}}
{{- end }}

{{/*
The rules of a component's role, as controller-gen wrote them from the markers in the code. Where callers of
the REST API do not change Spiders, its process may not either.
*/}}
{{- define "spider-operator.rules" -}}
{{- $path := printf "files/rbac/%s.yaml" .component -}}
{{- $rules := (.root.Files.Get $path | fromYaml).rules -}}
{{- if and (eq .component "apiserver") (not .root.Values.apiserver.restSpiders) -}}
{{- $narrowed := list -}}
{{- range $rules -}}
{{- if has "spiders" .resources -}}
{{- $narrowed = append $narrowed (dict "apiGroups" .apiGroups "resources" (list "spiders") "verbs" (list "get" "list" "watch")) -}}
{{- $_ := set . "resources" (without .resources "spiders") -}}
{{- end -}}
{{- if .resources -}}
{{- $narrowed = append $narrowed . -}}
{{- end -}}
{{- end -}}
{{- $rules = $narrowed -}}
{{- end -}}
{{- toYaml $rules }}
{{- end }}
