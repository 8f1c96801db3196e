{{/*
What each component has besides its Deployment. Each takes (dict "root" $ "component" …).
*/}}

{{- define "spider-operator.serviceAccount" -}}
{{- $account := (get .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "spider-operator.serviceAccountName" . }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "spider-operator.metadata" (dict "root" .root "component" .component "annotations" $account.annotations) | nindent 2 }}
# The Deployment asks for the token where it is needed; no other Pod of this account gets one unasked.
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{/* The component's rules: in the whole cluster, or in each watched namespace. */}}
{{- define "spider-operator.rbac" -}}
{{- if .root.Values.rbac.create }}
{{- $name := include "spider-operator.componentName" . -}}
{{- $metadata := include "spider-operator.metadata" . -}}
{{- range $namespace := default (list "") .root.Values.watchNamespaces }}
{{- $kind := ternary "Role" "ClusterRole" (ne $namespace "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- $metadata | nindent 2 }}
rules:
  {{- include "spider-operator.rules" $ | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "spider-operator.serviceAccountName" $ }}
    namespace: {{ $.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- end }}

{{- define "spider-operator.podDisruptionBudget" -}}
{{- $budget := (get .root.Values .component).podDisruptionBudget -}}
{{- if $budget.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "spider-operator.componentName" . }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "spider-operator.metadata" . | nindent 2 }}
spec:
  {{- if ne (toString $budget.minAvailable) "" }}
  minAvailable: {{ $budget.minAvailable }}
  {{- else }}
  maxUnavailable: {{ $budget.maxUnavailable }}
  {{- end }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "spider-operator.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "spider-operator.metrics" -}}
{{- with .root.Values.metrics -}}
{{- if .enabled -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "spider-operator.componentName" $ }}-metrics
  namespace: {{ $.root.Release.Namespace }}
  {{- include "spider-operator.metadata" (dict "root" $.root "component" $.component "labels" (dict "scrapethis.app/metrics" (printf "spider-operator-%s" $.component)) "annotations" .annotations) | nindent 2 }}
spec:
  selector:
    {{- include "spider-operator.selectorLabels" $ | nindent 4 }}
  ports:
    - name: metrics
      port: 8081
      targetPort: metrics
      protocol: TCP
{{- if .serviceMonitor.enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ include "spider-operator.componentName" $ }}
  namespace: {{ $.root.Release.Namespace }}
  {{- include "spider-operator.metadata" (dict "root" $.root "component" $.component "labels" .serviceMonitor.labels) | nindent 2 }}
spec:
  # Not the component: rules of the cluster's own take every job "apiserver" for kube-apiserver.
  jobLabel: scrapethis.app/metrics
  selector:
    matchLabels:
      {{- include "spider-operator.selectorLabels" $ | nindent 6 }}
      scrapethis.app/metrics: spider-operator-{{ $.component }}
  endpoints:
    - port: metrics
      {{- with .serviceMonitor.interval }}
      interval: {{ . }}
      {{- end }}
      {{- with .serviceMonitor.scrapeTimeout }}
      scrapeTimeout: {{ . }}
      {{- end }}
      {{- with .serviceMonitor.metricRelabelings }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Additionally takes "ingress": a list of (dict "port" name "from" peers). */}}
{{- define "spider-operator.networkPolicy" -}}
{{- with .root.Values.networkPolicy -}}
{{- if .enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "spider-operator.componentName" $ }}
  namespace: {{ $.root.Release.Namespace }}
  {{- include "spider-operator.metadata" $ | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "spider-operator.selectorLabels" $ | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    {{- range $.ingress }}
    - ports:
        - port: {{ .port }}
          protocol: TCP
      {{- with .from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
  egress:
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
        {{- range .kubernetesPorts }}
        - port: {{ . }}
          protocol: TCP
        {{- end }}
{{- end }}
{{- end }}
{{- end }}
