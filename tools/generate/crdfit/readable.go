// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
)

const (
	// looseExponent is the exponent in the pattern that Kubernetes gives quantities; tightExponent is what resource.Quantity reads: a
	// whole number, here of a size that makes sense.
	looseExponent = `([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+)))`
	tightExponent = `([eE](\+|-)?[0-9]{1,9})`

	// upperCase is what Go reads of RFC 3339: it wants the T and the Z in upper case. The format date-time takes either.
	upperCase = `T.*[Z0-9]$`
)

// makeReadable closes the gaps between what the schemas of embedded Kubernetes types let in and what the Go types can hold: numbers beyond
// 32 bits where an int or a string is wanted, quantities with a fractional exponent, times in lower case. A controller reads all objects
// of a kind at once, so that a single one that it can't read stops it for all of them.
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
	_, hasRules := schema["x-kubernetes-validations"] // Rules of our own bound the value, with a better message.
	switch {
	case hasPattern:
		schema["pattern"] = strings.Replace(pattern, looseExponent, tightExponent, 1)
	case schema["x-kubernetes-int-or-string"] == true && !hasRules:
		schema["minimum"], schema["maximum"] = math.MinInt32, math.MaxInt32
	case schema["format"] == "date-time":
		schema["pattern"] = upperCase
	}
}
