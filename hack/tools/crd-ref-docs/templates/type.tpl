{{- define "type" }}{{ if markdownShouldRenderType . }}
## {{ .Name }}

{{ trim .Doc }}
{{ if .IsAlias }}
A {{ markdownRenderTypeLink .UnderlyingType }}.
{{- range .Validation }}{{ if not (hasPrefix "Enum:" .) }}{{ template "rule" . }}{{ end }}{{ end }}
{{ end }}
{{- if .References }}
Used by {{ range $i, $type := .SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $type }}{{ end }}.
{{ end }}
{{- if .EnumValues }}
{{ range .EnumValues }}- `{{ .Name }}`: {{ regexReplaceAll "^\\S+ (is )?" (.Doc | replace "\n" " " | trim) "" }}
{{ end }}
{{- else if .Members }}
{{ if .GVK }}- `apiVersion`: `{{ .GVK.Group }}/{{ .GVK.Version }}`
- `kind`: `{{ .GVK.Kind }}`
{{ end }}
{{- range .Members }}{{ template "field" . }}{{ end }}
{{- end }}
{{- end }}{{ end -}}

{{- define "field" -}}
- `{{ .Name }}` *{{ markdownRenderType .Type }}*
{{- if eq .Name "metadata" }}: Kubernetes' own.
{{ else }}
{{- range .Validation }}{{ if hasPrefix "Required:" . }}, required{{ end }}{{ end -}}
: {{ regexReplaceAll "^(is|are) " (.Doc | trimPrefix (print .Name " ") | replace "\n" " " | trim) "" }}
{{- range .Validation }}{{ if not (or (hasPrefix "Required:" .) (hasPrefix "Optional:" .)) }}{{ template "rule" . }}{{ end }}{{ end }}
{{- if .Default }} Default: `{{ .Default }}`.{{ end }}
{{ end }}
{{- end -}}

{{- /* A rule of validation. Large numbers come as 3.1536e+07. */ -}}
{{- define "rule" -}}
{{- $number := regexFind "[0-9.]+e\\+[0-9]+" . }} {{ if $number }}{{ replace $number (print (int64 (float64 $number))) . }}{{ else }}{{ . }}{{ end }}.
{{- end -}}
