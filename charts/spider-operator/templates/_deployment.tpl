{{/*
A component's configuration and Deployment. Takes (dict "root" $ "component" … "args" [] "ports" {name: number} "replicas" n) and
optionally "volumes" and "volumeMounts": what the two processes share is here; what differs is with each of them. "replicas" of -1 leaves
the number to an autoscaler.
*/}}
{{- define "spider-operator.deployment" -}}
{{- $values := get .root.Values .component -}}
{{- $config := include "spider-operator.config" . -}}
{{- $name := include "spider-operator.componentName" . -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}-config
  namespace: {{ .root.Release.Namespace }}
  {{- include "spider-operator.metadata" . | nindent 2 }}
data:
  config.yaml: |
    {{- $config | nindent 4 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
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
      {{- include "spider-operator.podMetadata" (merge (dict "checksum" (sha256sum $config)) .) | nindent 6 }}
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
            {{- range concat .args (include "spider-operator.logging" $values | fromYamlArray) $values.extraArgs }}
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
          livenessProbe:
            httpGet:
              path: /livez
              port: metrics
            {{- toYaml $values.livenessProbe | nindent 12 }}
          readinessProbe:
            httpGet:
              path: /readyz
              port: metrics
            {{- toYaml $values.readinessProbe | nindent 12 }}
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $values.securityContext }}
          securityContext:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          volumeMounts:
            - name: spider-operator-config
              mountPath: /etc/spider-operator/config
              readOnly: true
            {{- with concat (default list .volumeMounts) $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: spider-operator-config
          configMap:
            name: {{ $name }}-config
        {{- with concat (default list .volumes) $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
