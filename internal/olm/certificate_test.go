// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// ownedBy is an owner as OLM makes it.
func ownedBy(kind, name string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: "operators.coreos.com/v1alpha1", Kind: kind, Name: name, UID: uid,
		Controller: ptr.To(false), BlockOwnerDeletion: ptr.To(false),
	}
}

func TestLacksOwner(t *testing.T) {
	const kind = clusterServiceVersion
	self := ownedBy(kind, "lws-operator.v0.2.0", "2")
	foreign := metav1.OwnerReference{APIVersion: "cert-manager.io/v1", Kind: "Certificate", Name: "serving-cert", UID: "9"}
	for name, test := range map[string]struct {
		owners []metav1.OwnerReference
		want   bool
	}{
		"the version before":               {[]metav1.OwnerReference{ownedBy(kind, "lws-operator.v0.1.0", "1")}, true},
		"one of the same name before":      {[]metav1.OwnerReference{ownedBy(kind, self.Name, "1")}, true},
		"the version before, and another":  {[]metav1.OwnerReference{foreign, ownedBy(kind, "lws-operator.v0.1.0", "1")}, true},
		"this version":                     {[]metav1.OwnerReference{self}, false},
		"the version before, and this one": {[]metav1.OwnerReference{ownedBy(kind, "lws-operator.v0.1.0", "1"), self}, false},
		"nobody: it is not from OLM":       {nil, false},
		"another: it is not from OLM":      {[]metav1.OwnerReference{foreign}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lacksOwner(test.owners, self); got != test.want {
				t.Errorf("got %t; want %t", got, test.want)
			}
		})
	}
}

func TestOwnerOf(t *testing.T) {
	controller := ownedBy(clusterServiceVersion, "lws-operator.v0.2.0", "2")
	controller.Controller = ptr.To(true)
	other := controller
	other.Kind = "Operator"
	for name, test := range map[string]struct {
		owners  []metav1.OwnerReference
		want    metav1.OwnerReference
		wantErr string
	}{
		"by OLM":                {owners: []metav1.OwnerReference{controller}, want: ownedBy(clusterServiceVersion, "lws-operator.v0.2.0", "2")},
		"by nobody":             {wantErr: "no ClusterServiceVersion controls the OperatorCondition lws-system/lws-operator.v0.2.0"},
		"by another controller": {owners: []metav1.OwnerReference{other}, wantErr: "no ClusterServiceVersion controls the OperatorCondition lws-system/lws-operator.v0.2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			condition := &operatorsv2.OperatorCondition{ObjectMeta: metav1.ObjectMeta{
				Namespace: "lws-system", Name: "lws-operator.v0.2.0", OwnerReferences: test.owners,
			}}
			got, err := ownerOf(condition)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("owner (-want +got):\n%s", diff)
			}
			if (err == nil && test.wantErr != "") || (err != nil && err.Error() != test.wantErr) {
				t.Errorf("got error %v; want %q", err, test.wantErr)
			}
		})
	}
}
