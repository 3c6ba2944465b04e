// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

// RestartPolicy returns the restart policy in force: that of the template, unless the annotation
// RecreateGroupAfterStartAnnotationKey overrides it. The annotation says when groups are recreated, and not that they
// are: it doesn't override None. The defaults of the set must be filled in, see Default.
func (lws *LeaderWorkerSet) RestartPolicy() RestartPolicyType {
	policy := lws.Spec.LeaderWorkerTemplate.RestartPolicy
	value, set := lws.Annotations[RecreateGroupAfterStartAnnotationKey]
	if set && value != "false" && policy != NoneRestartPolicy {
		return RecreateGroupAfterStart
	}
	return policy
}
