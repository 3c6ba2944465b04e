// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package preflight

import (
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

var now = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)

// TestRun looks at one fact at a time.
func TestRun(t *testing.T) {
	t.Parallel()
	operator := func(ready int32) appsv1.Deployment {
		deployment := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "lws-operator-system", Name: "manager"}}
		deployment.Spec.Replicas, deployment.Status.ReadyReplicas = ptr.To[int32](2), ready
		return deployment
	}
	lease := func(holder string, renewed time.Duration) []coordinationv1.Lease {
		found := coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "lws-system", Name: "b8b2488c.x-k8s.io"}}
		found.Spec.HolderIdentity = &holder
		found.Spec.RenewTime = ptr.To(metav1.NewMicroTime(now.Add(-renewed)))
		found.Spec.LeaseDurationSeconds = ptr.To[int32](15)
		return []coordinationv1.Lease{found}
	}
	other := leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "llama"}}
	other.Spec.GroupReplacementPolicy = "PreTermination"
	for name, test := range map[string]struct {
		facts Facts
		check string
		want  Level
	}{
		"oldest version":       {Facts{ServerVersion: "v1.34.0"}, CheckVersion, OK},
		"vendor's version":     {Facts{ServerVersion: "v1.37.1-gke.100"}, CheckVersion, OK},
		"older version":        {Facts{ServerVersion: "v1.33.9"}, CheckVersion, Failed},
		"no version":           {Facts{ServerVersion: "?"}, CheckVersion, Unknown},
		"no CRD":               {Facts{}, CheckCRD, Failed},
		"no right to read it":  {Facts{Hidden: map[string]string{CheckCRD: "no"}}, CheckCRD, Unknown},
		"no operator":          {Facts{}, CheckOperator, Failed},
		"operator down":        {Facts{Operators: []appsv1.Deployment{operator(0)}}, CheckOperator, Failed},
		"operator half down":   {Facts{Operators: []appsv1.Deployment{operator(1)}}, CheckOperator, Warning},
		"operator":             {Facts{Operators: []appsv1.Deployment{operator(2)}}, CheckOperator, OK},
		"two operators":        {Facts{Operators: []appsv1.Deployment{operator(2), operator(2)}}, CheckOperator, Failed},
		"other controller":     {Facts{Leases: lease("lws-controller-manager-1", time.Second)}, CheckOther, Failed},
		"other one ended":      {Facts{Leases: lease("lws-controller-manager-1", time.Hour)}, CheckOther, OK},
		"held by the operator": {Facts{Leases: lease("lws-operator_lws-operator-system", 0)}, CheckOther, OK},
		"no webhooks":          {Facts{}, CheckWebhooks, Failed},
		"no CA":                {Facts{Webhooks: []Webhook{{Name: "w"}}}, CheckWebhooks, Failed},
		"unreadable CA":        {Facts{Webhooks: []Webhook{{Name: "w", CABundle: []byte("x")}}}, CheckWebhooks, Failed},
		"admission not tried":  {Facts{}, CheckAdmission, Unknown},
		"admission":            {Facts{DidDryRun: true}, CheckAdmission, OK},
		"admission fails":      {Facts{DidDryRun: true, DryRun: errors.New("refused")}, CheckAdmission, Failed},
		"all rights":           {Facts{Rights: []Right{{Allowed: true}}}, CheckRights, OK},
		"a right is missing":   {Facts{Rights: []Right{{Verbs: "delete pods", For: "restart"}}}, CheckRights, Warning},
		"unsupported field":    {Facts{Sets: []leaderworkersetv1.LeaderWorkerSet{other}}, CheckTakeover, Failed},
		"all supported":        {Facts{}, CheckTakeover, OK},
	} {
		test.facts.Now = now
		found := false
		for _, result := range Run(&test.facts, true) {
			if result.Check == test.check {
				found = true
				if result.Level != test.want {
					t.Errorf("%s: %+v, want %s", name, result, test.want)
				}
			}
		}
		if !found {
			t.Errorf("%s: no result of %s", name, test.check)
		}
	}
}
