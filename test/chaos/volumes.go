// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// storageClass is the class of all claims. Only provision makes volumes of it.
const storageClass = "simulated"

// provision gives each claim a volume, and deletes the volumes of claims that are gone, until the context is done.
// Errors are part of the chaos.
func provision(ctx context.Context, api client.Client) {
	for ; ctx.Err() == nil; pause(ctx, 300*time.Millisecond) {
		var claims corev1.PersistentVolumeClaimList
		var volumes corev1.PersistentVolumeList
		if api.List(ctx, &volumes) != nil || api.List(ctx, &claims) != nil {
			continue
		}
		wanted := map[types.UID]*corev1.PersistentVolumeClaim{}
		for i := range claims.Items {
			wanted[claims.Items[i].UID] = &claims.Items[i]
		}
		for i := range volumes.Items {
			if claim := volumes.Items[i].Spec.ClaimRef; wanted[claim.UID] == nil {
				_ = api.Delete(ctx, &volumes.Items[i])
			} else {
				delete(wanted, claim.UID)
			}
		}
		for _, claim := range wanted {
			_ = api.Create(ctx, volumeFor(claim))
		}
	}
}

// volumeFor returns a volume that is bound to a claim.
func volumeFor(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "volume-" + string(claim.UID)},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:         claim.Spec.Resources.Requests,
			AccessModes:      claim.Spec.AccessModes,
			StorageClassName: storageClass,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}},
		},
	}
}
