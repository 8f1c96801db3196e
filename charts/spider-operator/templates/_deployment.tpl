{{/*
A component's Deployment. Takes (dict "root" $ "component" … "args" [] "ports" {name: number} "probes" {…} "replicas" n) and
optionally "volumes" and "volumeMounts":
what the two processes share is here; what differs is with each of them. "replicas" of -1 leaves the number to an autoscaler.
*/}}
{{- define "spider-operator.deployment" -}}
{{- $values := get .root.Values .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "spider-operator.componentName" . }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "spider-operator.metadata" (dict "root" .root "component" .component "labels" $values.labels "annotations" $values.annotations) | nindent 2 }}
spec:
  {{- if ge (int .replicas) 0 }}
  replicas: {{ .replicas }}
  {{- end }}
  {{- with $values.strategy }}
  strategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "spider-operator.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      {{- include "spider-operator.podMetadata" . | nindent 6 }}
    spec:
      serviceAccountName: {{ include "spider-operator.serviceAccountName" . }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.podSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- $own := dict "labelSelector" (dict "matchLabels" (include "spider-operator.selectorLabels" $ | fromYaml)) }}
        {{- range . }}
        {{- toYaml (list (hasKey . "labelSelector" | ternary . (merge (dict) . $own))) | nindent 8 }}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "spider-operator.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args:
            - {{ .component }}
            {{- range concat .args $values.extraArgs }}
            - {{ . | quote }}
            {{- end }}
          {{- with $values.extraEnv }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- range $name, $port := .ports }}
            - name: {{ $name }}
              containerPort: {{ $port }}
              protocol: TCP
            {{- end }}
          {{- range $kind, $probe := .probes }}
          {{ $kind }}Probe:
            httpGet:
              path: {{ $probe.path }}
              port: {{ $probe.port }}
            {{- toYaml (get $values (printf "%sProbe" $kind)) | nindent 12 }}
          {{- end }}
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $values.securityContext }}
          securityContext:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with concat (default list .volumeMounts) $values.extraVolumeMounts }}
          volumeMounts:
            {{- toYaml . | nindent 12 }}
          {{- end }}
      {{- with concat (default list .volumes) $values.extraVolumes }}
      volumes:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
