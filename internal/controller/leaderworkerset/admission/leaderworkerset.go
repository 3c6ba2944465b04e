// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// +kubebuilder:webhook:path=/mutate-leaderworkerset-x-k8s-io-v1-leaderworkerset,mutating=true,failurePolicy=fail,sideEffects=None,groups=leaderworkerset.x-k8s.io,resources=leaderworkersets,verbs=create;update,versions=v1,name=mleaderworkerset.leaderworkerset.x-k8s.io,admissionReviewVersions=v1
// +kubebuilder:webhook:path=/validate-leaderworkerset-x-k8s-io-v1-leaderworkerset,mutating=false,failurePolicy=fail,sideEffects=None,groups=leaderworkerset.x-k8s.io,resources=leaderworkersets,verbs=create;update,versions=v1,name=vleaderworkerset.leaderworkerset.x-k8s.io,admissionReviewVersions=v1

// dryRunTimeout leaves room within the 10 seconds that the API server waits for a webhook.
const dryRunTimeout = 4 * time.Second

// leaderWorkerSetWebhook defaults and validates LeaderWorkerSets, as far as the CRD's schema and CEL rules can't.
type leaderWorkerSetWebhook struct {
	reader client.Reader

	// dryRun has the API server check writes without keeping them.
	dryRun client.Writer
}

var (
	_ ctrladmission.Defaulter[*leaderworkersetv1.LeaderWorkerSet] = &leaderWorkerSetWebhook{}
	_ ctrladmission.Validator[*leaderworkersetv1.LeaderWorkerSet] = &leaderWorkerSetWebhook{}
)

// Default fills in defaults.
func (w *leaderWorkerSetWebhook) Default(_ context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	lws.Default()
	return nil
}

// ValidateCreate refuses what could never run: a name that a sibling's children have, templates that StatefulSets can't have.
func (w *leaderWorkerSetWebhook) ValidateCreate(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) (ctrladmission.Warnings, error) {
	lws = defaulted(lws)
	if err := checkTopologies(nil, lws); err != nil {
		return nil, err
	}
	if err := w.checkSiblings(ctx, nil, lws); err != nil {
		return nil, err
	}
	return nil, w.checkChildren(ctx, lws)
}

// ValidateUpdate refuses the same, where the update may have changed it. One that only takes finalizers off passes always.
func (w *leaderWorkerSetWebhook) ValidateUpdate(ctx context.Context, before, lws *leaderworkersetv1.LeaderWorkerSet) (ctrladmission.Warnings, error) {
	before, lws = defaulted(before), defaulted(lws)
	if lws.DeletionTimestamp != nil {
		return nil, nil
	}
	if err := checkTopologies(before, lws); err != nil {
		return nil, err
	}
	if equality.Semantic.DeepEqual(before.Spec, lws.Spec) {
		return nil, nil
	}
	if err := w.checkSiblings(ctx, before, lws); err != nil {
		return nil, err
	}
	if revision.Of(before).Equal(revision.Of(lws)) {
		return nil, nil
	}
	return nil, w.checkChildren(ctx, lws)
}

// ValidateDelete lets go of everything.
func (w *leaderWorkerSetWebhook) ValidateDelete(context.Context, *leaderworkersetv1.LeaderWorkerSet) (ctrladmission.Warnings, error) {
	return nil, nil
}

func defaulted(lws *leaderworkersetv1.LeaderWorkerSet) *leaderworkersetv1.LeaderWorkerSet {
	lws = lws.DeepCopy()
	lws.Default()
	return lws
}

// checkTopologies refuses annotations for exclusive placement that are no keys of node labels: pods that have them could never be made.
func checkTopologies(before, lws *leaderworkersetv1.LeaderWorkerSet) error {
	for _, annotation := range []string{leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey} {
		key := lws.Annotations[annotation]
		if key == "" || (before != nil && before.Annotations[annotation] == key) {
			continue
		}
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			path := field.NewPath("metadata", "annotations").Key(annotation)
			return invalid(lws, field.Invalid(path, key, strings.Join(problems, "; ")))
		}
	}
	return nil
}

// checkSiblings refuses a set whose children would have the names of another set's, unless they had them before this update: it may be
// the other one, or the scale subresource, that brought the collision about.
func (w *leaderWorkerSetWebhook) checkSiblings(ctx context.Context, before, lws *leaderworkersetv1.LeaderWorkerSet) error {
	var siblings leaderworkersetv1.LeaderWorkerSetList
	if err := w.reader.List(ctx, &siblings, client.InNamespace(lws.Namespace)); err != nil {
		return err
	}
	for i := range siblings.Items {
		sibling := defaulted(&siblings.Items[i])
		if sibling.Name == lws.Name || sibling.DeletionTimestamp != nil || (before != nil && collision(before, sibling) != nil) {
			continue
		}
		if err := collision(lws, sibling); err != nil {
			return invalid(lws, err)
		}
	}
	return nil
}

// collision tells of children of the two sets that have the same name: with "a" and "a-0", the workers of the first group of "a" and the
// leaders of "a-0" would both be the StatefulSet "a-0". nil if there are none.
func collision(lws, sibling *leaderworkersetv1.LeaderWorkerSet) *field.Error {
	switch {
	case hasGroupNamed(sibling, lws.Name):
		return field.Invalid(field.NewPath("metadata", "name"), lws.Name, fmt.Sprintf("is the name of a group of LeaderWorkerSet %q", sibling.Name))
	case hasGroupNamed(lws, sibling.Name):
		return field.Invalid(field.NewPath("spec", "replicas"), *lws.Spec.Replicas, fmt.Sprintf("LeaderWorkerSet %q has the name of one of these groups", sibling.Name))
	default:
		return nil
	}
}

// hasGroupNamed says whether children of one of the set's groups, surge groups included, have the name.
func hasGroupNamed(lws *leaderworkersetv1.LeaderWorkerSet, name string) bool {
	parent, index, ok := identity.Parse(name)
	surge, _ := snapshot.Budget(lws)
	named := *lws.Spec.LeaderWorkerTemplate.Size > 1 ||
		*lws.Spec.NetworkConfig.SubdomainPolicy == leaderworkersetv1.SubdomainUniquePerReplica
	return ok && parent == lws.Name && named && index < *lws.Spec.Replicas+surge
}

// checkChildren asks the API server itself whether it would take the StatefulSets, by creating them without keeping them, and tells of
// its errors by the fields of the set. Errors of another kind don't count: they may be gone when it comes to it.
func (w *leaderWorkerSetWebhook) checkChildren(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	ctx, cancel := context.WithTimeout(ctx, dryRunTimeout)
	defer cancel()
	template := revision.Of(lws)
	leaderField := "leaderTemplate"
	if template.LeaderWorkerTemplate.LeaderTemplate == nil {
		leaderField = "workerTemplate"
	}
	leaders := desired.LeaderStatefulSet(lws, &template, "", rollout.Step{Replicas: *lws.Spec.Replicas})
	causes := w.whatIsInvalid(ctx, leaders, leaderField)
	if template.LeaderWorkerTemplate.LeaderTemplate != nil {
		leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: identity.Leader(lws.Name, 0), Namespace: lws.Namespace}}
		workers := desired.WorkerStatefulSet(lws, &template, "", desired.Group{Leader: leader})
		causes = append(causes, w.whatIsInvalid(ctx, workers, "workerTemplate")...)
	}
	if len(causes) == 0 {
		return nil
	}
	return refusal(lws, causes)
}

// whatIsInvalid is what the API server finds wrong of a StatefulSet, with the paths of the fields that they come from.
func (w *leaderWorkerSetWebhook) whatIsInvalid(ctx context.Context, sts *appsv1.StatefulSet, templateField string) []metav1.StatusCause {
	sts.GenerateName, sts.Name = sts.Name+"-", ""
	sts.OwnerReferences = nil
	err := w.dryRun.Create(ctx, sts, client.DisableReadYourWritesConsistency) //nolint:forbidigo // Nothing is written.
	var status *apierrors.StatusError
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.ErrStatus.Details == nil {
		return nil
	}
	paths := strings.NewReplacer(
		"spec.template.", "spec.leaderWorkerTemplate."+templateField+".",
		"spec.volumeClaimTemplates", "spec.leaderWorkerTemplate.volumeClaimTemplates",
		"spec.persistentVolumeClaimRetentionPolicy", "spec.leaderWorkerTemplate.persistentVolumeClaimRetentionPolicy",
	)
	causes := status.ErrStatus.Details.Causes
	for i := range causes {
		causes[i].Field = paths.Replace(causes[i].Field)
	}
	return causes
}

func invalid(lws *leaderworkersetv1.LeaderWorkerSet, err *field.Error) error {
	return apierrors.NewInvalid(leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet").GroupKind(), lws.Name, field.ErrorList{err})
}

// refusal is the API server's own kind of error, from causes whose messages are written already.
func refusal(lws *leaderworkersetv1.LeaderWorkerSet, causes []metav1.StatusCause) error {
	var messages []string
	for _, cause := range causes {
		messages = append(messages, cause.Field+": "+cause.Message)
	}
	err := apierrors.NewInvalid(leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet").GroupKind(), lws.Name, nil)
	err.ErrStatus.Details.Causes = causes
	err.ErrStatus.Message = fmt.Sprintf("LeaderWorkerSet %q is invalid: %s", lws.Name, strings.Join(messages, ", "))
	return err
}
