// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestRotator(t *testing.T) {
	tests := []struct {
		name   string
		config configuration
		makes  bool
		fails  bool
	}{
		{name: "others make the certificate"},
		{name: "all there", config: configuration{authority: "system/authority", mutating: "a", validating: "b"}, makes: true},
		{name: "no Secret", config: configuration{mutating: "a", validating: "b"}, fails: true},
		{name: "no namespace", config: configuration{authority: "authority", mutating: "a", validating: "b"}, fails: true},
		{name: "an empty namespace", config: configuration{authority: "/authority", mutating: "a", validating: "b"}, fails: true},
		{name: "more than a namespace and a name", config: configuration{authority: "a/b/c", mutating: "a", validating: "b"}, fails: true},
		{name: "no mutating configuration", config: configuration{authority: "system/authority", validating: "b"}, fails: true},
		{name: "no validating configuration", config: configuration{authority: "system/authority", mutating: "a"}, fails: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rotator, err := test.config.rotator()
			if (rotator != nil) != test.makes || (err != nil) != test.fails {
				t.Errorf("got %v and the error %v", rotator, err)
			}
		})
	}
}
