// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// FieldManager is the name under which the API server notes the plugin's changes.
const FieldManager = "kubectl-lws"

// Patch changes a set by a JSON patch, or only asks the API server what would come of it. It updates lws to the answer.
func (c *Cluster) Patch(
	ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet, patch []byte, dryRun bool,
) error {
	options := []client.PatchOption{client.FieldOwner(FieldManager)}
	if dryRun {
		options = append(options, client.DryRunAll)
	}
	err := c.WithWatch.Patch(ctx, lws, client.RawPatch(types.JSONPatchType, patch), options...)
	if apierrors.IsInvalid(err) && isStale(err) {
		return fmt.Errorf("leaderworkerset %q was changed by somebody else at this time: try again", lws.Name)
	}
	return err
}

// isStale reports whether the API server refuses a JSON patch because its test failed.
func isStale(err error) bool {
	status, ok := err.(apierrors.APIStatus)
	return ok && status.Status().Details != nil && len(status.Status().Details.Causes) == 0
}

// DeleteLeader deletes a leader pod, if it still is the one that the user saw.
func (c *Cluster) DeleteLeader(ctx context.Context, leader *corev1.Pod, dryRun bool) error {
	options := []client.DeleteOption{client.Preconditions(metav1.Preconditions{UID: ptr.To(leader.UID)})}
	if dryRun {
		options = append(options, client.DryRunAll)
	}
	return c.Delete(ctx, leader, options...)
}

func labelSelector(selector string) (client.ListOption, error) {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	return client.MatchingLabelsSelector{Selector: parsed}, nil
}
