{{- define "gvDetails" -}}
## {{ .GroupVersionString }}
{{ if .Kinds }}
{{ range .SortedKinds }}- {{ $.TypeForKind . | markdownRenderTypeLink }}
{{ end }}
{{- end }}
{{- range .SortedTypes }}
{{- template "type" . }}
{{- end }}
{{- end -}}
