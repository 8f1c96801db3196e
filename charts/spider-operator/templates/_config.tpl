{{/*
A component's configuration file. Takes (dict "root" $ "component" …). What config.COMPONENT leaves out comes from values that were there
before it, and otherwise from the process's own defaults.
*/}}
{{- define "spider-operator.config" -}}
{{- $given := deepCopy (default dict (get (default dict .root.Values.config) .component)) -}}
{{- $config := mergeOverwrite (include "spider-operator.deprecatedConfig" . | fromYaml) $given -}}
{{- range $name, $value := $config -}}
{{- /* Helm reads every number as a floating one, and would write a large one with an exponent. */ -}}
{{- if kindIs "float64" $value -}}
{{- if eq $value (floor $value) -}}
{{- $_ := set $config $name (int64 $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $kind := ternary "ControllerConfiguration" "APIServerConfiguration" (eq .component "controller") -}}
{{- toYaml (merge (dict "apiVersion" "config.scrapethis.app/v1alpha1" "kind" $kind) $config) }}
{{- end }}

{{/* The settings that are given by values from before there were configuration files. */}}
{{- define "spider-operator.deprecatedConfig" -}}
{{- $values := get .root.Values .component -}}
{{- $config := dict -}}
{{- range $name := ternary
  (list "spiderImage" "spiderPods" "defaultGracePeriod" "podRetention" "ttl" "maxInterruptions" "imagePatience" "logInterval" "logBudget" "workers")
  (list "rate" "burst" "namespaceRate" "failedAuthentications" "maxStreams" "maxUnfinishedJobs" "maxArgumentBytes" "maxConnections" "maxConnectionsPerAddress" "trustedProxies" "timeouts" "shutdownDelay" "drainTimeout")
  (eq .component "controller") -}}
{{- if and (hasKey $values $name) (not (kindIs "invalid" (index $values $name))) -}}
{{- $_ := set $config $name (index $values $name) -}}
{{- end -}}
{{- end -}}
{{- with omit (default dict $values.leaderElection) "enabled" -}}
{{- $_ := set $config "leaderElection" . -}}
{{- end -}}
{{- toYaml (deepCopy $config) }}
{{- end }}

{{/* The arguments about logs and profiles. Takes the component's values. */}}
{{- define "spider-operator.logging" -}}
{{- $level := ternary (printf "INFO-%v" .logLevel) (toString .logLevel) (or (kindIs "float64" .logLevel) (kindIs "int64" .logLevel) (kindIs "int" .logLevel)) -}}
- --log-level={{ ternary "error" $level (eq $level "panic") }}
- --log-format={{ ternary "text" .logFormat (eq (default "" .logEncoder) "console") }}
{{- if .profiling }}
- --profiling
{{- end }}
{{- end }}
