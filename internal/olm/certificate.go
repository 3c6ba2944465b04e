// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// retryInterval is the time between two attempts.
	retryInterval = time.Second

	// maxUnready limits for how long failed attempts keep a replica unready. All replicas of a new version, one after the
	// other, have 5 minutes to become available. After that, OLM gives the version up.
	maxUnready = 30 * time.Second
)

// clusterServiceVersion is the kind of the Secret's owners.
const clusterServiceVersion = "ClusterServiceVersion"

// certificateOwner makes the operator's ClusterServiceVersion an owner of the Secret with the webhooks' certificate.
type certificateOwner struct {
	direct    client.Client
	condition types.NamespacedName
	log       logr.Logger
	done      atomic.Bool // no more attempts, successful or not
}

// NeedLeaderElection returns false, so that all replicas do it. In an upgrade, the leader may be a replica of the
// previous version.
func (*certificateOwner) NeedLeaderElection() bool { return false }

// ready returns an error until the Secret has its owner, or until all attempts have failed. Once the replica is ready,
// OLM may delete the previous ClusterServiceVersion.
func (c *certificateOwner) ready(*http.Request) error {
	if !c.done.Load() {
		return errors.New("the certificate's Secret may be deleted with the previous ClusterServiceVersion")
	}
	return nil
}

// Start makes attempts until one succeeds, for maxUnready at most. Start never returns an error, because the operator
// works without the owner.
func (c *certificateOwner) Start(ctx context.Context) error {
	defer c.done.Store(true)
	var lastErr error
	err := wait.PollUntilContextTimeout(ctx, retryInterval, maxUnready, true, func(ctx context.Context) (bool, error) {
		previous := lastErr
		lastErr = c.addOwners(ctx)
		if lastErr != nil && (previous == nil || previous.Error() != lastErr.Error()) {
			c.log.Info("The operator isn't ready yet: the webhooks' certificate lacks this version as an owner",
				"reason", lastErr.Error())
		}
		return lastErr == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		c.log.Error(lastErr,
			"OLM may replace the webhooks' certificate at the end of an upgrade: for some seconds, pods will be refused")
	}
	return nil
}

// addOwners makes one attempt. It reads the ClusterServiceVersion's name and UID from the OperatorCondition, which
// saves the permission to read ClusterServiceVersions.
func (c *certificateOwner) addOwners(ctx context.Context) error {
	condition := &operatorsv2.OperatorCondition{}
	if err := c.direct.Get(ctx, c.condition, condition); err != nil {
		return err
	}
	owner, err := ownerOf(condition)
	if err != nil {
		return err
	}
	for _, deployment := range condition.Spec.Deployments {
		secret := types.NamespacedName{Namespace: condition.Namespace, Name: secretOf(deployment)}
		if err := c.addOwner(ctx, secret, owner); err != nil {
			return err
		}
	}
	return nil
}

// addOwner adds the owner to a Secret that lacks it. It reads only the Secret's metadata.
func (c *certificateOwner) addOwner(ctx context.Context, key types.NamespacedName, owner metav1.OwnerReference) error {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := c.direct.Get(ctx, key, secret); apierrors.IsNotFound(err) {
		c.log.Info("OLM has yet to make a certificate for the webhooks, with this version as its owner", "secret", key)
		return nil
	} else if err != nil {
		return err
	}
	if !lacksOwner(secret.OwnerReferences, owner) {
		return nil
	}
	patch, err := ownerPatch(secret.UID, owner)
	if err != nil {
		return err
	}
	if err := c.direct.Patch(ctx, secret, client.RawPatch(types.StrategicMergePatchType, patch)); err != nil {
		return err
	}
	c.log.Info("The webhooks' certificate stays when OLM deletes the previous version",
		"secret", key, "owner", owner.Name)
	return nil
}

// secretOf returns the name of the Secret with the certificate of a Deployment's webhooks. OLM names the Secret after
// the Service that it makes for the webhooks.
func secretOf(deployment string) string { return deployment + "-service-cert" }

// ownerOf returns the ClusterServiceVersion of an OperatorCondition, as an owner that is no controller and doesn't
// block its own deletion.
func ownerOf(condition *operatorsv2.OperatorCondition) (metav1.OwnerReference, error) {
	controller := metav1.GetControllerOf(condition)
	if controller == nil || controller.Kind != clusterServiceVersion {
		return metav1.OwnerReference{}, fmt.Errorf("no %s controls the OperatorCondition %s/%s",
			clusterServiceVersion, condition.Namespace, condition.Name)
	}
	owner := *controller
	owner.Controller, owner.BlockOwnerDeletion = ptr.To(false), ptr.To(false)
	return owner, nil
}

// lacksOwner reports whether a Secret needs the owner: OLM made the Secret, and it would be deleted with its present
// owners.
func lacksOwner(owners []metav1.OwnerReference, owner metav1.OwnerReference) bool {
	ofOLM := slices.ContainsFunc(owners, func(each metav1.OwnerReference) bool {
		return each.APIVersion == owner.APIVersion && each.Kind == owner.Kind
	})
	return ofOLM && !slices.ContainsFunc(owners, func(each metav1.OwnerReference) bool { return each.UID == owner.UID })
}

// ownerPatch returns a strategic merge patch that adds the owner to the object with that UID, and keeps the other
// owners.
func ownerPatch(uid types.UID, owner metav1.OwnerReference) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": uid, "ownerReferences": []metav1.OwnerReference{owner}},
	})
}
