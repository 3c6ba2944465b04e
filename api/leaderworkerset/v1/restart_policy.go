// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

// RestartPolicy is the restart policy that is in force: that of the template, unless the annotation from before RecreateGroupAfterStart
// existed asks for it. The set's defaults have to be filled in.
func (lws *LeaderWorkerSet) RestartPolicy() RestartPolicyType {
	if value, set := lws.Annotations[RecreateGroupAfterStartAnnotationKey]; set && value != "false" {
		return RecreateGroupAfterStart
	}
	return lws.Spec.LeaderWorkerTemplate.RestartPolicy
}
