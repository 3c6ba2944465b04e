// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// SharedService returns the headless Service through which the pods of all groups find each other.
func SharedService(lws *leaderworkersetv1.LeaderWorkerSet) *corev1.Service {
	return headlessService(lws, lws.Name, controlledBySet(lws), map[string]string{
		leaderworkersetv1.SetNameLabelKey: lws.Name,
	})
}

// GroupService returns the headless Service through which the pods of one group find each other.
func GroupService(lws *leaderworkersetv1.LeaderWorkerSet, group Group) *corev1.Service {
	name := identity.Service(lws.Name, group.Index, leaderworkersetv1.SubdomainUniquePerReplica)
	return headlessService(lws, name, controlledByLeader(group.Leader), map[string]string{
		leaderworkersetv1.SetNameLabelKey:    lws.Name,
		leaderworkersetv1.GroupIndexLabelKey: identity.FormatIndex(group.Index),
	})
}

// ServesSet reports whether the pods of all groups find each other through a Service, whoever made it.
func ServesSet(service *corev1.Service, lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template) bool {
	return serves(service, commonLabels(lws, template))
}

// ServesGroup reports whether the pods of one group find each other through a Service, whoever made it.
func ServesGroup(
	service *corev1.Service, lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template, group Group,
) bool {
	common := commonLabels(lws, template)
	common[leaderworkersetv1.GroupIndexLabelKey] = identity.FormatIndex(group.Index)
	common[leaderworkersetv1.GroupUniqueHashLabelKey] = identity.GroupKey(lws.Namespace, group.Leader.Name)
	return serves(service, common)
}

// serves reports whether a Service is headless and selects pods with these labels. Then DNS resolves their host names
// below its name. It may select more pods, and have ports.
func serves(service *corev1.Service, common labels.Set) bool {
	selector := service.Spec.Selector
	return service.Spec.ClusterIP == corev1.ClusterIPNone && len(selector) > 0 &&
		labels.SelectorFromSet(selector).Matches(common)
}

// commonLabels returns labels that all pods of a set have: that of its name, and those of the user's that are in both
// templates.
func commonLabels(lws *leaderworkersetv1.LeaderWorkerSet, template *revision.Template) labels.Set {
	common, workers := labels.Set{}, template.LeaderWorkerTemplate.WorkerTemplate.Labels
	for key, value := range template.Leader().Labels {
		ofWorkers, ok := workers[key]
		if ok && ofWorkers == value && !strings.HasPrefix(key, leaderworkersetv1.MetadataPrefix) {
			common[key] = value
		}
	}
	common[leaderworkersetv1.SetNameLabelKey] = lws.Name
	return common
}

func headlessService(
	lws *leaderworkersetv1.LeaderWorkerSet, name string, owners []metav1.OwnerReference, selector map[string]string,
) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			Namespace:       lws.Namespace,
			Labels:          maps.Clone(selector),
			OwnerReferences: owners,
		},
		Spec: corev1.ServiceSpec{
			ClusterIP:                corev1.ClusterIPNone,
			Selector:                 selector,
			PublishNotReadyAddresses: true, // Pods find each other while they start, before any is ready.
		},
	}
}
