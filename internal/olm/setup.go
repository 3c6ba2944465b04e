// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package olm is the operator's part in upgrades by the Operator Lifecycle Manager, OLM v0. The operator is there as a
// ClusterServiceVersion, with an OperatorCondition of the same name:
//
//   - By the condition Upgradeable, upgrades wait while LeaderWorkerSets are in a rolling update. The leader writes it.
//   - The ClusterServiceVersion is made an owner of the Secret with the webhooks' certificate. OLM keeps the Secret in an upgrade,
//     but leaves it owned by the ClusterServiceVersion before, with which it is deleted: until OLM has made another certificate, and pods
//     have it, the API server trusts none, and refuses pods. Every replica sees to that before it is ready.
package olm

import (
	"errors"
	"fmt"
	"os"
	"strings"

	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// ConditionNameVariable is the environment variable by which OLM v0 names the operator's OperatorCondition. Nothing else sets it.
const ConditionNameVariable = "OPERATOR_CONDITION_NAME"

// namespaceFile tells the pods of a cluster their namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Setup adds to a manager, whose cache has LeaderWorkerSets, what is done where OLM v0 installed the operator, and nothing elsewhere. The
// namespace is the operator's, the pod's own if empty. It fails if that can't be found out, or the API server can't be asked.
func Setup(mgr ctrl.Manager, namespace string) error {
	name := os.Getenv(ConditionNameVariable)
	if name == "" {
		return nil
	}
	kind := operatorsv2.GroupVersion.WithKind("OperatorCondition")
	if _, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
		mgr.GetLogger().Info("OLM isn't told when to wait with an upgrade: the cluster doesn't have its API", "kind", kind.String())
		return nil
	} else if err != nil {
		return err
	}
	if namespace == "" {
		content, err := os.ReadFile(namespaceFile)
		if err != nil {
			return fmt.Errorf("find out the operator's namespace: %w", err)
		}
		namespace = strings.TrimSpace(string(content))
	}
	direct, err := newClient(mgr)
	if err != nil {
		return err
	}
	condition := types.NamespacedName{Namespace: namespace, Name: name}
	return errors.Join(addUpgradeable(mgr, direct, condition), addCertificate(mgr, direct, condition))
}

// newClient makes a client that asks the API server each time. What OLM makes is read too seldom for a cache, which would need more permissions.
func newClient(mgr ctrl.Manager) (client.Client, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	return client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper(), Scheme: scheme})
}

// newScheme knows the types of OLM that the operator reads.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, operatorsv2.AddToScheme(scheme)
}

func addUpgradeable(mgr ctrl.Manager, direct client.Client, condition types.NamespacedName) error {
	reconciler := &upgradeableReconciler{sets: mgr.GetCache(), direct: direct, clock: clock.RealClock{}}
	c, err := ctrlcontroller.New("operatorcondition", mgr, ctrlcontroller.Options{Reconciler: reconciler})
	if err != nil {
		return err
	}
	sets := source.Kind(mgr.GetCache(), &leaderworkersetv1.LeaderWorkerSet{}, enqueueSoon(condition), rolloutBeginsOrEnds())
	return errors.Join(c.Watch(sets), c.Watch(once(condition)))
}

func addCertificate(mgr ctrl.Manager, direct client.Client, condition types.NamespacedName) error {
	certificate := &certificate{direct: direct, condition: condition, log: mgr.GetLogger().WithName("olm")}
	return errors.Join(mgr.Add(certificate), mgr.AddReadyzCheck("certificate-owner", certificate.checkOwned))
}
