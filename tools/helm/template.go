// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// field is a field of the Deployment that a value sets.
type field struct {
	path []string
	// expression returns the expression for the field. It gets what the kustomization has there, nil for nothing.
	expression func(existing any) string
	// block is whether the expression is YAML of several lines, not a scalar.
	block bool
}

var (
	spec      = []string{"spec"}
	template  = below(spec, "template")
	metadata  = below(template, "metadata")
	pod       = below(template, "spec")
	container = below(below(pod, "containers"), "0")
)

var fields = []field{
	{path: below(spec, "replicas"), expression: value(".Values.replicas")},
	{path: below(metadata, "annotations"), expression: annotations, block: true},
	{path: below(metadata, "labels"), expression: merged(".Values.podLabels"), block: true},
	{path: below(pod, "imagePullSecrets"), expression: value(".Values.image.pullSecrets"), block: true},
	{path: below(pod, "nodeSelector"), expression: value(".Values.nodeSelector"), block: true},
	{path: below(pod, "tolerations"), expression: value(".Values.tolerations"), block: true},
	{path: below(pod, "affinity"), expression: value(".Values.affinity"), block: true},
	{path: below(pod, "priorityClassName"), expression: value("quote .Values.priorityClassName")},
	{path: below(container, "image"), expression: value(`include "lws-operator.image" .`)},
	{path: below(container, "imagePullPolicy"), expression: value(".Values.image.pullPolicy")},
	{path: below(container, "args"), expression: appended(".Values.extraArgs"), block: true},
	{path: below(container, "resources"), expression: value(".Values.resources"), block: true},
}

func below(path []string, name string) []string {
	return append(slices.Clone(path), name)
}

// value is an expression that replaces what is there.
func value(expression string) func(any) string {
	return func(any) string { return expression }
}

// merged adds the entries of a value to a map. Those of the kustomization win: selectors need its labels.
func merged(expression string) func(any) string {
	return func(existing any) string { return fmt.Sprintf("merge (%s) %s", dict(existing), expression) }
}

// annotations also holds a checksum of the configuration, so that a change of it replaces the pods.
func annotations(existing any) string {
	const checksum = `ternary (dict) (dict "checksum/config" (toJson .Values.config | sha256sum)) (empty .Values.config)`
	return fmt.Sprintf("merge (%s) (%s) .Values.podAnnotations", dict(existing), checksum)
}

// appended adds the entries of a value to a list of strings.
func appended(expression string) func(any) string {
	return func(existing any) string {
		var list []string
		entries, _ := existing.([]any)
		for _, entry := range entries {
			list = append(list, fmt.Sprintf("%q", entry))
		}
		return fmt.Sprintf("concat (list %s) %s", strings.Join(list, " "), expression)
	}
}

// dict returns an expression for a map of strings.
func dict(existing any) string {
	var entries []string
	values, _ := existing.(map[string]any)
	for key, value := range values {
		entries = append(entries, fmt.Sprintf("%q %q", key, value))
	}
	slices.Sort(entries)
	return strings.Join(append([]string{"dict"}, entries...), " ")
}

// template returns the object as a template.
func (v variant) template() ([]byte, error) {
	var set []field
	if v.kind() == "Deployment" {
		set = fields
	}
	expressions := make([]string, len(set))
	for i, field := range set {
		expressions[i] = v.replace(field, token(i))
	}
	content, err := yaml.Marshal(v.object)
	if err != nil {
		return nil, err
	}
	text := escape(string(content))
	text = strings.ReplaceAll(text, namespace, "{{ .Release.Namespace }}")
	text = strings.ReplaceAll(text, "app.kubernetes.io/managed-by: kustomize",
		"app.kubernetes.io/managed-by: {{ .Release.Service }}")
	for i, field := range set {
		text = fill(text, token(i), expressions[i], field.block)
	}
	if v.condition != "" {
		text = "{{- if " + v.condition + " }}\n" + text + "{{- end }}\n"
	}
	return []byte("---\n" + text), nil
}

// escape returns text that a template prints as it is.
func escape(text string) string {
	return strings.ReplaceAll(text, "{{", "{{ `{{` }}")
}

// token stands for the expression of a field while the object is an object.
func token(i int) string {
	return fmt.Sprintf("EXPRESSION-%d-", i)
}

// fill puts an expression in the place of its token.
func fill(text, token, expression string, block bool) string {
	if !block {
		return strings.ReplaceAll(text, token, "{{ "+expression+" }}")
	}
	line := regexp.MustCompile(`(?m)^([ -]*)(\w+): ` + token + `$`)
	return line.ReplaceAllStringFunc(text, func(match string) string {
		parts := line.FindStringSubmatch(match)
		return fmt.Sprintf("%s%s:\n%s{{- toYaml (%s) | nindent %d }}", parts[1], parts[2],
			strings.Repeat(" ", len(parts[1])+2), expression, len(parts[1])+2)
	})
}

// replace puts a token into a field of the object, and returns the expression for it.
func (o object) replace(field field, token string) string {
	var node any = map[string]any(o)
	for _, name := range field.path[:len(field.path)-1] {
		switch parent := node.(type) {
		case map[string]any:
			node = parent[name]
		case []any:
			index, _ := strconv.Atoi(name) // Paths are constants.
			node = parent[index]
		}
	}
	last := field.path[len(field.path)-1]
	parent, ok := node.(map[string]any)
	if !ok {
		panic(fmt.Sprintf("%s has no %s: the kustomizations have changed", o.id(), strings.Join(field.path, ".")))
	}
	expression := field.expression(parent[last])
	parent[last] = token
	return expression
}
