// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
)

const (
	// looseExponent is the exponent in Kubernetes' pattern for quantities. tightExponent is the exponent that
	// resource.Quantity reads, an integer, with at most nine digits.
	looseExponent = `([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+)))`
	tightExponent = `([eE](\+|-)?[0-9]{1,9})`

	// upperCase is the pattern of times that Go reads as RFC 3339: T and Z are in upper case. The format date-time also
	// allows lower case.
	upperCase = `T.*[Z0-9]$`
)

// makeReadable restricts the schemas of embedded Kubernetes types to values that the Go types can read. Those schemas
// allow numbers beyond 32 bits: for int-or-string fields always, for others before Kubernetes 1.36, which was the first
// to check the format int32. They also allow quantities with a fractional exponent, and times in lower case. A
// controller reads all objects of a kind at once, so a single unreadable object would stop it for all of them.
func makeReadable(node any) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			makeReadable(item)
		}
	case map[string]any:
		makeSchemaReadable(node)
		for _, value := range node {
			makeReadable(value)
		}
	}
}

func makeSchemaReadable(schema map[string]any) {
	pattern, hasPattern := schema["pattern"].(string)
	_, hasRules := schema["x-kubernetes-validations"] // Our own rules limit the value, with a better message.
	switch {
	case hasPattern:
		schema["pattern"] = strings.Replace(pattern, looseExponent, tightExponent, 1)
	case schema["x-kubernetes-int-or-string"] == true && !hasRules:
		schema["minimum"], schema["maximum"] = math.MinInt32, math.MaxInt32
	case schema["format"] == "int32":
		addBound(schema, "minimum", math.MinInt32)
		addBound(schema, "maximum", math.MaxInt32)
	case schema["format"] == "date-time":
		schema["pattern"] = upperCase
	}
}

// addBound adds a bound to a schema that has none.
func addBound(schema map[string]any, name string, bound int) {
	if _, ok := schema[name]; !ok {
		schema[name] = bound
	}
}
