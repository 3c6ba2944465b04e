// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestRotator(t *testing.T) {
	tests := []struct {
		name                            string
		authority, mutating, validating string
		wantRotator                     bool
		wantError                       bool
	}{
		{name: "others make the certificate"},
		{name: "all flags set", authority: "system/authority", mutating: "a", validating: "b", wantRotator: true},
		{name: "no Secret", mutating: "a", validating: "b", wantError: true},
		{name: "no namespace", authority: "authority", mutating: "a", validating: "b", wantError: true},
		{name: "an empty namespace", authority: "/authority", mutating: "a", validating: "b", wantError: true},
		{name: "more than a namespace and a name", authority: "a/b/c", mutating: "a", validating: "b", wantError: true},
		{name: "no mutating configuration", authority: "system/authority", validating: "b", wantError: true},
		{name: "no validating configuration", authority: "system/authority", mutating: "a", wantError: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := configuration{authority: test.authority, mutating: test.mutating, validating: test.validating}
			rotator, err := config.rotator()
			if (rotator != nil) != test.wantRotator || (err != nil) != test.wantError {
				t.Errorf("got rotator %v and error %v; want rotator: %t, error: %t", rotator, err, test.wantRotator, test.wantError)
			}
		})
	}
}
