{{- define "type" -}}
{{- if markdownShouldRenderType . }}
### {{ .Name }}

{{ .Doc }}
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
| `{{ .Name }}` | {{ markdownRenderFieldDoc .Doc }} |
{{ end }}
{{- end }}
{{- end }}
{{- end -}}
