{{- define "type_members" -}}
| `{{ .Name }}` _{{ markdownRenderType .Type }}_ | {{ if eq .Name "metadata" }}names, labels and annotations{{ else }}{{ .Doc | replace "<" "&lt;" | markdownRenderFieldDoc }}{{ end }} | {{ with .Default }}`{{ . }}`{{ end }} | {{ range .Validation }}{{ if eq (printf "%.8s" .) "Required" }}required<br />{{ else if ne (printf "%.8s" .) "Optional" }}{{ markdownRenderFieldDoc . }}<br />{{ end }}{{ end }} |
{{- end -}}
