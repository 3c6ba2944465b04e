// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMakeReadable(t *testing.T) {
	type schema = map[string]any
	for name, test := range map[string]struct{ before, after schema }{
		"a port": {
			schema{"x-kubernetes-int-or-string": true},
			schema{"x-kubernetes-int-or-string": true, "minimum": math.MinInt32, "maximum": math.MaxInt32},
		},
		"a number or percentage with its own rule": {
			schema{"x-kubernetes-int-or-string": true, "x-kubernetes-validations": []any{}},
			schema{"x-kubernetes-int-or-string": true, "x-kubernetes-validations": []any{}},
		},
		"a quantity": {
			schema{"x-kubernetes-int-or-string": true, "pattern": "^1(Gi|" + looseExponent + ")?$"},
			schema{"x-kubernetes-int-or-string": true, "pattern": `^1(Gi|([eE](\+|-)?[0-9]{1,9}))?$`},
		},
		"an integer": {
			schema{"type": "integer", "format": "int32"},
			schema{"type": "integer", "format": "int32", "minimum": math.MinInt32, "maximum": math.MaxInt32},
		},
		"an integer with a bound": {
			schema{"type": "integer", "format": "int32", "minimum": 0},
			schema{"type": "integer", "format": "int32", "minimum": 0, "maximum": math.MaxInt32},
		},
		"a time": {
			schema{"type": "string", "format": "date-time"},
			schema{"type": "string", "format": "date-time", "pattern": "T.*[Z0-9]$"},
		},
		"anything else": {schema{"type": "string", "pattern": "^a$"}, schema{"type": "string", "pattern": "^a$"}},
	} {
		nested := func(leaf schema) schema {
			return schema{"properties": schema{"list": schema{"items": leaf, "allOf": []any{schema{}}}}}
		}
		got := nested(test.before)
		makeReadable(got)
		if diff := cmp.Diff(nested(test.after), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
