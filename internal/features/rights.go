// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package features

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// Denied returns a right for PodGroups of a version that the operator doesn't have, as a verb; empty if it has all.
type Denied func(ctx context.Context, version string) (verb string, err error)

// verbs are the rights for PodGroups that the operator needs. config/podgroups gives them.
var verbs = []string{"create", "delete", "get", "list", "patch", "watch"}

// DeniedBy returns a function that asks the API server for the rights in namespaces; in all if there are none. Without
// asking, a watch that isn't allowed would end the operator.
func DeniedBy(api client.Writer, namespaces []string) Denied {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	return func(ctx context.Context, version string) (string, error) {
		for _, namespace := range namespaces {
			for _, verb := range verbs {
				review := &authorizationv1.SelfSubjectAccessReview{}
				review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
					Namespace: namespace, Verb: verb,
					Group: scheduling.APIGroup, Version: version, Resource: scheduling.Resource,
				}
				if err := api.Create(ctx, review); err != nil { //nolint:forbidigo // A question is stored nowhere.
					return "", fmt.Errorf("ask for the right to %s PodGroups: %w", verb, err)
				}
				if !review.Status.Allowed {
					return verb, nil
				}
			}
		}
		return "", nil
	}
}
