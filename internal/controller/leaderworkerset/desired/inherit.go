// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// deploymentKeys are labels and annotations by which a tool marks the objects that it deploys. A set that carries one
// was deployed by that tool, and its StatefulSets were not. A tool that finds its mark on an object that it didn't
// deploy takes that for one which was removed from its source. Several tools delete such an object, and look only at
// the mark: the deletion of the leader StatefulSet deletes all groups.
//
// The label app.kubernetes.io/instance isn't among them, though Argo CD can track by it. Argo CD never prunes an object
// that has an owner, and charts give the label to everything for people to select by.
var deploymentKeys = []struct {
	// key is a whole key, or the beginning of keys if it ends in "/" or ".".
	key string

	// value is the only value that is a mark; empty if any value is one.
	value string
}{
	// kubectl apply --prune --applyset deletes what has the label part-of and isn't applied. Config Sync and kro have
	// adopted it.
	{key: "applyset.kubernetes.io/"},

	// Controllers built on Rancher's Wrangler, such as the manifests directory of k3s, delete what has the label hash and
	// isn't in their set of objects.
	{key: "objectset.rio.cattle.io/"},

	// Flux pruned by these labels, and by a checksum, until it kept an inventory.
	{key: "kustomize.toolkit.fluxcd.io/"},

	// Flux marks what a HelmRelease consists of.
	{key: "helm.toolkit.fluxcd.io/"},

	// kapp lists the objects of an app by these labels. It tells its own from others by the annotation identity alone.
	{key: "kapp.k14s.io/"},

	// Argo CD prunes what has its mark and no owner. A StatefulSet that a deleted set has left behind has none.
	{key: "argocd.argoproj.io/instance"},
	{key: "argocd.argoproj.io/tracking-id"},
	{key: "argocd.argoproj.io/installation-id"},

	// Helm takes an object with these three marks over into a release, where it would refuse the name otherwise. Other
	// programs find by them what a release has left behind.
	{key: "meta.helm.sh/"},
	{key: "app.kubernetes.io/managed-by", value: "Helm"},

	// Config Sync deletes what is marked as managed and isn't in its source; the annotation resource-id protects others.
	{key: "configmanagement.gke.io/"},
	{key: "configsync.gke.io/"},

	// kpt and the agent of GitLab refuse to deploy what has another inventory, and prune what has their own.
	{key: "config.k8s.io/owning-inventory"},

	// The Operator Lifecycle Manager finds by these labels what an installed version of an operator consists of, and
	// deletes it with that version.
	{key: "olm.owner"},
	{key: "olm.owner."},
	{key: "olm.managed"},
}

// isDeploymentKey reports whether a label or annotation says which tool deployed an object.
func isDeploymentKey(key, value string) bool {
	for _, mark := range deploymentKeys {
		isPrefix := strings.HasSuffix(mark.key, "/") || strings.HasSuffix(mark.key, ".")
		matches := key == mark.key || (isPrefix && strings.HasPrefix(key, mark.key))
		if matches && (mark.value == "" || mark.value == value) {
			return true
		}
	}
	return false
}

// withoutOwnLabels returns the labels without the operator's own, which say where an object belongs. A user's label
// worker-index: "0" would turn all workers into leaders.
func withoutOwnLabels(labels map[string]string) map[string]string {
	others := maps.Clone(labels)
	maps.DeleteFunc(others, func(key, _ string) bool { return strings.HasPrefix(key, leaderworkersetv1.MetadataPrefix) })
	return others
}

// inheritedLabels returns the set's labels that its StatefulSets carry as well: all but the operator's own, and those
// of the tool that deployed the set.
func inheritedLabels(labels map[string]string) map[string]string {
	inherited := withoutOwnLabels(labels)
	maps.DeleteFunc(inherited, isDeploymentKey)
	return inherited
}

// inheritedAnnotations returns the set's annotations that its StatefulSets carry as well: all but kubectl's copy of the
// manifest, those in which the operator keeps its own records on StatefulSets, and those of the tool that deployed the
// set.
func inheritedAnnotations(annotations map[string]string) map[string]string {
	inherited := maps.Clone(annotations)
	for _, key := range []string{
		corev1.LastAppliedConfigAnnotation, leaderworkersetv1.AheadAnnotationKey, leaderworkersetv1.GroupRecordAnnotationKey,
		leaderworkersetv1.RetriedAtAnnotationKey, leaderworkersetv1.ScaledFromAnnotationKey,
	} {
		delete(inherited, key)
	}
	maps.DeleteFunc(inherited, isDeploymentKey)
	return inherited
}
