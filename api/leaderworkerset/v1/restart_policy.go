// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

// RestartPolicy returns the restart policy in force: that of the template, unless the annotation
// RecreateGroupAfterStartAnnotationKey overrides it. The defaults of the set must be filled in, see Default.
func (lws *LeaderWorkerSet) RestartPolicy() RestartPolicyType {
	if value, set := lws.Annotations[RecreateGroupAfterStartAnnotationKey]; set && value != "false" {
		return RecreateGroupAfterStart
	}
	return lws.Spec.LeaderWorkerTemplate.RestartPolicy
}
