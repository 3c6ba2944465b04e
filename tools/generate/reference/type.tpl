{{- define "type" -}}
{{- if markdownShouldRenderType . }}
### {{ .Name }}

{{ .Doc | replace "<" "&lt;" }}
{{ if .References }}
In:{{ range .SortedReferences }} {{ markdownRenderTypeLink . }}{{ end }}
{{ end }}
{{- if .Members }}
| field | meaning | default | rules |
| --- | --- | --- | --- |
{{ range .Members -}}
{{ template "type_members" . }}
{{ end }}
{{- end }}
{{- if .EnumValues }}
| value | meaning |
| --- | --- |
{{ range .EnumValues -}}
| `{{ .Name }}` | {{ .Doc | replace "<" "&lt;" | markdownRenderFieldDoc }} |
{{ end }}
{{- end }}
{{- end }}
{{- end -}}
