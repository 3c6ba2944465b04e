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
	// retry is how long after an attempt that failed the next one is made.
	retry = time.Second

	// longestWait bounds for how long the operator isn't ready because of attempts that fail. A new version has 5 minutes to be available, all
	// replicas one after the other: then OLM gives it up.
	longestWait = 30 * time.Second
)

// clusterServiceVersion is the kind of the owner.
const clusterServiceVersion = "ClusterServiceVersion"

// certificate makes the operator's ClusterServiceVersion an owner of the Secret with the webhooks' certificate.
type certificate struct {
	direct    client.Client
	condition types.NamespacedName
	log       logr.Logger
	ended     atomic.Bool
}

// NeedLeaderElection says that all replicas do so: in an upgrade, the leader may be one of the version before.
func (*certificate) NeedLeaderElection() bool { return false }

// checkOwned fails until the Secret has its owner, or there was no way to get that done: by then the replica is ready, and OLM may
// delete the ClusterServiceVersion before.
func (c *certificate) checkOwned(*http.Request) error {
	if !c.ended.Load() {
		return errors.New("the certificate's Secret may be deleted with the ClusterServiceVersion before")
	}
	return nil
}

// Start tries until it succeeds, for a limited time. It doesn't fail: the operator is of use without.
func (c *certificate) Start(ctx context.Context) error {
	defer c.ended.Store(true)
	var failure error
	err := wait.PollUntilContextTimeout(ctx, retry, longestWait, true, func(ctx context.Context) (bool, error) {
		failure = c.own(ctx)
		return failure == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		c.log.Error(failure, "OLM may replace the webhooks' certificate at the end of an upgrade: for some seconds, pods will be refused")
	}
	return nil
}

// own makes one attempt. The ClusterServiceVersion isn't read, which would take a permission more: the OperatorCondition tells who it is.
func (c *certificate) own(ctx context.Context) error {
	condition := &operatorsv2.OperatorCondition{}
	if err := c.direct.Get(ctx, c.condition, condition); err != nil {
		return err
	}
	owner, err := ownerOf(condition)
	if err != nil {
		return err
	}
	for _, deployment := range condition.Spec.Deployments {
		if err := c.addOwner(ctx, types.NamespacedName{Namespace: condition.Namespace, Name: secretOf(deployment)}, owner); err != nil {
			return err
		}
	}
	return nil
}

// addOwner adds the owner to a Secret that lacks it. Nothing but metadata is read.
func (c *certificate) addOwner(ctx context.Context, key types.NamespacedName, owner metav1.OwnerReference) error {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := c.direct.Get(ctx, key, secret); apierrors.IsNotFound(err) {
		c.log.Info("OLM has yet to make a certificate for the webhooks, and will own it by this version", "secret", key)
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
	c.log.Info("The webhooks' certificate stays when OLM deletes the version before", "secret", key, "owner", owner.Name)
	return nil
}

// secretOf is how OLM names the Secret with the certificate of a Deployment's webhooks: after the Service that it makes for them.
func secretOf(deployment string) string { return deployment + "-service-cert" }

// ownerOf is the ClusterServiceVersion of an OperatorCondition, as an owner that neither controls nor keeps its own deletion waiting.
func ownerOf(condition *operatorsv2.OperatorCondition) (metav1.OwnerReference, error) {
	controller := metav1.GetControllerOf(condition)
	if controller == nil || controller.Kind != clusterServiceVersion {
		return metav1.OwnerReference{}, fmt.Errorf("no %s controls the OperatorCondition %s/%s", clusterServiceVersion, condition.Namespace, condition.Name)
	}
	owner := *controller
	owner.Controller, owner.BlockOwnerDeletion = ptr.To(false), ptr.To(false)
	return owner, nil
}

// lacksOwner says whether an owner has to be added to those of a Secret: if it is OLM's, and would be deleted with what owns it now.
func lacksOwner(owners []metav1.OwnerReference, owner metav1.OwnerReference) bool {
	ofOLM := slices.ContainsFunc(owners, func(each metav1.OwnerReference) bool {
		return each.APIVersion == owner.APIVersion && each.Kind == owner.Kind
	})
	return ofOLM && !slices.ContainsFunc(owners, func(each metav1.OwnerReference) bool { return each.UID == owner.UID })
}

// ownerPatch is a strategic merge patch that adds the owner to an object of that UID, and leaves the other owners alone.
func ownerPatch(uid types.UID, owner metav1.OwnerReference) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid, "ownerReferences": []metav1.OwnerReference{owner}}})
}
