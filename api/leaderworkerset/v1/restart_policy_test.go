// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestRestartPolicy checks which policies the older annotation overrides.
func TestRestartPolicy(t *testing.T) {
	type policy = leaderworkersetv1.RestartPolicyType
	const onRestart, afterStart, none, deprecated = leaderworkersetv1.RecreateGroupOnPodRestart,
		leaderworkersetv1.RecreateGroupAfterStart, leaderworkersetv1.NoneRestartPolicy,
		leaderworkersetv1.DeprecatedDefaultRestartPolicy
	for _, tc := range []struct {
		annotation   string // empty for none
		policy, want policy
	}{
		{"", "", onRestart},
		{"", onRestart, onRestart},
		{"", none, none},
		{"true", "", afterStart},
		{"true", onRestart, afterStart},
		{"true", afterStart, afterStart},
		{"true", none, none},
		{"true", deprecated, none},
		{"yes", onRestart, afterStart},
		{"false", onRestart, onRestart},
		{"false", none, none},
	} {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		lws.Spec.LeaderWorkerTemplate.RestartPolicy = tc.policy
		if tc.annotation != "" {
			lws.Annotations = map[string]string{leaderworkersetv1.RecreateGroupAfterStartAnnotationKey: tc.annotation}
		}
		lws.Default()
		if got := lws.RestartPolicy(); got != tc.want {
			t.Errorf("policy %q, annotation %q: got %s, want %s", tc.policy, tc.annotation, got, tc.want)
		}
	}
}
