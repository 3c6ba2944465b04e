// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package olm helps the Operator Lifecycle Manager, OLM v0, to upgrade the operator. OLM v0 represents the operator as
// a ClusterServiceVersion, with an OperatorCondition of the same name:
//
//   - The condition Upgradeable lets upgrades wait while LeaderWorkerSets are in a rolling update. The leader writes
//     the condition.
//   - The ClusterServiceVersion becomes an owner of the Secret with the webhooks' certificate. OLM keeps the Secret in
//     an upgrade, but leaves it owned by the previous ClusterServiceVersion, and so the Secret is deleted with that
//     one. Then the API server trusts no certificate, and refuses pods, until OLM has made another certificate and the
//     operator's pods have it. Every replica adds the owner before it is ready.
package olm

import (
	"errors"
	"os"

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
	"github.com/leaderworkerset/lws-operator/internal/namespace"
)

// ConditionNameVariable is the environment variable with the name of the operator's OperatorCondition. Only OLM v0 sets
// it.
const ConditionNameVariable = "OPERATOR_CONDITION_NAME"

// Installed reports whether OLM v0 installed the operator.
func Installed() bool { return os.Getenv(ConditionNameVariable) != "" }

// Setup adds the work of this package to a manager whose cache has LeaderWorkerSets. Setup adds nothing if OLM v0
// didn't install the operator. The configured namespace is the operator's; if empty, Setup uses that of the pod. Setup
// fails if it finds no namespace, or if the API server doesn't answer. held takes whether upgrades are held back, and
// the reason for which they can be.
func Setup(mgr ctrl.Manager, configured string, held func(reason string, held bool)) error {
	name := os.Getenv(ConditionNameVariable)
	if name == "" {
		return nil
	}
	kind := operatorsv2.GroupVersion.WithKind("OperatorCondition")
	if _, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
		mgr.GetLogger().Info("OLM can't learn when to delay an upgrade: the cluster doesn't have its API",
			"kind", kind.String())
		return nil
	} else if err != nil {
		return err
	}
	operator, err := namespace.Operator(configured)
	if err != nil {
		return err
	}
	direct, err := newClient(mgr)
	if err != nil {
		return err
	}
	condition := types.NamespacedName{Namespace: operator, Name: name}
	return errors.Join(addUpgradeable(mgr, direct, condition, held), addCertificateOwner(mgr, direct, condition))
}

// newClient makes a client without a cache. The operator reads the objects of OLM too seldom for a cache, which would
// need more permissions.
func newClient(mgr ctrl.Manager) (client.Client, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	return client.New(mgr.GetConfig(),
		client.Options{HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper(), Scheme: scheme})
}

// newScheme returns a scheme with the types of OLM that the operator reads.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, operatorsv2.AddToScheme(scheme)
}

func addUpgradeable(
	mgr ctrl.Manager, direct client.Client, condition types.NamespacedName, held func(reason string, held bool),
) error {
	reconciler := &upgradeableReconciler{sets: mgr.GetCache(), direct: direct, held: held, clock: clock.RealClock{}}
	c, err := ctrlcontroller.New("operatorcondition", mgr, ctrlcontroller.Options{Reconciler: reconciler})
	if err != nil {
		return err
	}
	sets := source.Kind(mgr.GetCache(), &leaderworkersetv1.LeaderWorkerSet{},
		enqueueBatched(condition), rolloutBeginsOrEnds())
	return errors.Join(c.Watch(sets), c.Watch(enqueueOnce(condition)))
}

func addCertificateOwner(mgr ctrl.Manager, direct client.Client, condition types.NamespacedName) error {
	owner := &certificateOwner{direct: direct, condition: condition, log: mgr.GetLogger().WithName("olm")}
	return errors.Join(mgr.Add(owner), mgr.AddReadyzCheck("certificate-owner", owner.ready))
}
