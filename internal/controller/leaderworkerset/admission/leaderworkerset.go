// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/placement"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// +kubebuilder:webhook:path=/mutate-leaderworkerset-x-k8s-io-v1-leaderworkerset,mutating=true,failurePolicy=fail,sideEffects=None,groups=leaderworkerset.x-k8s.io,resources=leaderworkersets,verbs=create;update,versions=v1,name=mleaderworkerset.leaderworkerset.x-k8s.io,admissionReviewVersions=v1,patch=`{"matchConditions":[{"name":"not-being-deleted","expression":"!has(object.metadata.deletionTimestamp)"}]}`
// +kubebuilder:webhook:path=/validate-leaderworkerset-x-k8s-io-v1-leaderworkerset,mutating=false,failurePolicy=fail,sideEffects=None,groups=leaderworkerset.x-k8s.io,resources=leaderworkersets,verbs=create;update,versions=v1,name=vleaderworkerset.leaderworkerset.x-k8s.io,admissionReviewVersions=v1,patch=`{"matchConditions":[{"name":"not-being-deleted","expression":"!has(object.metadata.deletionTimestamp)"}]}`

// leaderWorkerSetWebhook defaults and validates LeaderWorkerSets, as far as the CRD's schema and CEL rules can't.
//
// A set that is being deleted needs neither. The match conditions leave it out, so that its finalizers can be removed
// while no operator runs: the garbage collector does so at the end of a foreground deletion. A ClusterServiceVersion
// has no match conditions: under OLM, such a deletion ends once the operator is back.
type leaderWorkerSetWebhook struct {
	reader client.Reader

	// dryRun sends writes that the API server validates and doesn't store.
	dryRun client.Writer

	// features returns what schedules pods together now.
	features func() scheduling.Features

	options Options
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

// ValidateCreate rejects a set that could never run: one whose children would have the names of another set's children,
// or whose templates are invalid in StatefulSets.
func (w *leaderWorkerSetWebhook) ValidateCreate(
	ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet,
) (ctrladmission.Warnings, error) {
	lws = defaulted(lws)
	if err := w.checkSiblings(ctx, nil, lws); err != nil {
		return nil, err
	}
	return nil, w.checkAlone(ctx, lws)
}

// checkAlone rejects a set that could never run, whatever other sets there are.
func (w *leaderWorkerSetWebhook) checkAlone(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	if mistakes := placement.Validate(nil, lws); len(mistakes) > 0 {
		return apierrors.NewInvalid(groupKind, lws.Name, mistakes)
	}
	if mistakes := scheduling.Validate(lws); len(mistakes) > 0 {
		return apierrors.NewInvalid(groupKind, lws.Name, mistakes)
	}
	if err := checkPods(nil, lws); err != nil {
		return err
	}
	if err := w.checkChildren(ctx, lws); err != nil {
		return err
	}
	return w.checkPodGroups(ctx, lws)
}

// ValidateUpdate rejects the same as ValidateCreate, as far as the update changes it, and other volume claim templates.
// An update of a set that is being deleted always passes, since it may remove finalizers.
func (w *leaderWorkerSetWebhook) ValidateUpdate(
	ctx context.Context, before, lws *leaderworkersetv1.LeaderWorkerSet,
) (ctrladmission.Warnings, error) {
	before, lws = defaulted(before), defaulted(lws)
	if lws.DeletionTimestamp != nil {
		return nil, nil
	}
	if mistakes := placement.Validate(before, lws); len(mistakes) > 0 {
		return nil, apierrors.NewInvalid(groupKind, lws.Name, mistakes)
	}
	if mistakes := scheduling.ValidateUpdate(before, lws); len(mistakes) > 0 {
		return nil, apierrors.NewInvalid(groupKind, lws.Name, mistakes)
	}
	if equality.Semantic.DeepEqual(before.Spec, lws.Spec) {
		return nil, nil
	}
	if err := checkClaims(before, lws); err != nil {
		return nil, err
	}
	if err := w.checkSiblings(ctx, before, lws); err != nil {
		return nil, err
	}
	if revision.TemplateOf(before).Equal(revision.TemplateOf(lws)) {
		return nil, nil
	}
	if err := checkPods(before, lws); err != nil {
		return nil, err
	}
	return nil, w.checkChildren(ctx, lws)
}

// checkPods rejects a set whose pods would be rejected, though its StatefulSets would not.
func checkPods(before, lws *leaderworkersetv1.LeaderWorkerSet) error {
	if err := checkTPUs(lws); err != nil {
		return err
	}
	return checkTemplates(before, lws)
}

// ValidateDelete admits every deletion.
func (w *leaderWorkerSetWebhook) ValidateDelete(
	context.Context, *leaderworkersetv1.LeaderWorkerSet,
) (ctrladmission.Warnings, error) {
	return nil, nil
}

func defaulted(lws *leaderworkersetv1.LeaderWorkerSet) *leaderworkersetv1.LeaderWorkerSet {
	lws = lws.DeepCopy()
	lws.Default()
	return lws
}

// withoutTemplates returns a copy with defaults and without templates, which are large.
func withoutTemplates(lws *leaderworkersetv1.LeaderWorkerSet) *leaderworkersetv1.LeaderWorkerSet {
	small := *lws
	small.Spec.LeaderWorkerTemplate = leaderworkersetv1.LeaderWorkerTemplate{Size: lws.Spec.LeaderWorkerTemplate.Size}
	return defaulted(&small)
}

// checkClaims rejects volume claim templates that mean something else than before. The CRD's rules reject most changes.
// They can't afford to parse quantities.
func checkClaims(before, lws *leaderworkersetv1.LeaderWorkerSet) error {
	previous, changed := revision.Template{}, revision.Template{} // Pods are large, and don't matter here.
	previous.LeaderWorkerTemplate.VolumeClaimTemplates = before.Spec.LeaderWorkerTemplate.VolumeClaimTemplates
	changed.LeaderWorkerTemplate.VolumeClaimTemplates = lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates
	if previous.Equal(changed) {
		return nil
	}
	path := field.NewPath("spec", "leaderWorkerTemplate", "volumeClaimTemplates")
	return invalid(lws, field.Invalid(path, field.OmitValueType{}, "field is immutable"))
}

// checkTPUs rejects a size for which the pod webhook would reject the pods: the variables of TPUs name all hosts.
func checkTPUs(lws *leaderworkersetv1.LeaderWorkerSet) error {
	template := revision.TemplateOf(lws)
	leaders := desired.LeaderStatefulSet(lws, &template, "", rollout.Step{Replicas: *lws.Spec.Replicas}).Spec.Template
	leader := &corev1.Pod{ObjectMeta: leaders.ObjectMeta, Spec: leaders.Spec}
	leader.Name, leader.Namespace = identity.Leader(lws.Name, 0), lws.Namespace
	workers := desired.WorkerStatefulSet(lws, &template, "", desired.Group{Leader: leader}).Spec.Template
	worker := &corev1.Pod{ObjectMeta: workers.ObjectMeta, Spec: workers.Spec}
	worker.Name, worker.Namespace = identity.Worker(leader.Name, 1), lws.Namespace
	for _, pod := range []*corev1.Pod{leader, worker} {
		if err := desired.CheckTPUs(pod); err != nil {
			path := field.NewPath("spec", "leaderWorkerTemplate", "size")
			return invalid(lws, field.Invalid(path, *lws.Spec.LeaderWorkerTemplate.Size, err.Error()))
		}
	}
	return nil
}

// checkSiblings rejects a set whose children would have the names of another set's children. A collision that exists
// before the update passes: the other set or the scale subresource may have caused it.
func (w *leaderWorkerSetWebhook) checkSiblings(
	ctx context.Context, before, lws *leaderworkersetv1.LeaderWorkerSet,
) error {
	var siblings leaderworkersetv1.LeaderWorkerSetList
	// The request may be one of this process, which creates the LeaderWorkerSets of other kinds. Waiting for its own
	// writes would wait for the end of that request.
	err := w.reader.List(ctx, &siblings, client.InNamespace(lws.Namespace), client.DisableReadYourWritesConsistency)
	if err != nil {
		return err
	}
	for i := range siblings.Items {
		sibling := withoutTemplates(&siblings.Items[i])
		if sibling.Name == lws.Name || sibling.DeletionTimestamp != nil {
			continue
		}
		if before != nil && collision(before, sibling) != nil {
			continue
		}
		if err := collision(lws, sibling); err != nil {
			return invalid(lws, err)
		}
	}
	return nil
}

// collision returns an error if children of the two sets have the same name. With "a" and "a-0", the workers of the
// first group of "a" and the leaders of "a-0" would both be the StatefulSet "a-0".
func collision(lws, sibling *leaderworkersetv1.LeaderWorkerSet) *field.Error {
	switch {
	case hasGroupNamed(sibling, lws.Name):
		return field.Invalid(field.NewPath("metadata", "name"), lws.Name,
			fmt.Sprintf("is the name of a group of LeaderWorkerSet %q", sibling.Name))
	case hasGroupNamed(lws, sibling.Name):
		return field.Invalid(field.NewPath("spec", "replicas"), *lws.Spec.Replicas,
			fmt.Sprintf("LeaderWorkerSet %q has the name of one of these groups", sibling.Name))
	default:
		return nil
	}
}

// hasGroupNamed reports whether children of one of the set's groups, surge groups included, have the name.
func hasGroupNamed(lws *leaderworkersetv1.LeaderWorkerSet, name string) bool {
	parent, index, ok := identity.Parse(name)
	surge, _ := snapshot.Budget(lws)
	named := *lws.Spec.LeaderWorkerTemplate.Size > 1 ||
		*lws.Spec.NetworkConfig.SubdomainPolicy == leaderworkersetv1.SubdomainUniquePerReplica
	return ok && parent == lws.Name && named && index < *lws.Spec.Replicas+surge
}

// checkChildren rejects a set whose StatefulSets the API server would reject as invalid. It creates them in a dry run,
// and reports the errors with the fields of the set. Other errors pass: they may be gone when the operator creates the
// StatefulSets.
func (w *leaderWorkerSetWebhook) checkChildren(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	ctx, cancel := context.WithTimeout(ctx, w.options.DryRunTimeout)
	defer cancel()
	template := revision.TemplateOf(lws)
	leaderField := "leaderTemplate"
	if template.LeaderWorkerTemplate.LeaderTemplate == nil {
		leaderField = "workerTemplate"
	}
	leaders := desired.LeaderStatefulSet(lws, &template, "", rollout.Step{Replicas: *lws.Spec.Replicas})
	causes := w.dryRunCreate(ctx, leaders, templatePaths(leaderField))
	if template.LeaderWorkerTemplate.LeaderTemplate != nil {
		leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: identity.Leader(lws.Name, 0), Namespace: lws.Namespace,
		}}
		workers := desired.WorkerStatefulSet(lws, &template, "", desired.Group{Leader: leader})
		causes = append(causes, w.dryRunCreate(ctx, workers, templatePaths("workerTemplate"))...)
	}
	if len(causes) == 0 {
		return nil
	}
	return invalidBecause(lws, causes)
}

// checkPodGroups rejects a set whose PodGroups the API server would reject, or would store without a field that the set
// asks for. It creates those of the first group in a dry run. Other errors pass.
func (w *leaderWorkerSetWebhook) checkPodGroups(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	version := w.features().PodGroups
	if lws.Spec.Scheduling == nil || version == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.options.DryRunTimeout)
	defer cancel()
	leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: identity.Leader(lws.Name, 0), UID: lws.UID}}
	leader.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: ptr.To(scheduling.Name(leader.Name, lws.UID))}
	template := revision.TemplateOf(lws)
	group := scheduling.Group{
		Set: lws, Index: identity.FormatIndex(0), Leader: leader, Size: *lws.Spec.LeaderWorkerTemplate.Size,
		PriorityClassName: template.Leader().Spec.PriorityClassName,
	}
	var mistakes field.ErrorList
	var causes []metav1.StatusCause
	for _, podGroup := range group.PodGroups() {
		podGroup.OwnerReferences = nil
		sent := podGroup.Object(version)
		stored := sent.DeepCopy()
		path := podGroup.Unit.Path()
		causes = append(causes, w.dryRunCreate(ctx, stored, strings.NewReplacer("spec.", path.String()+"."))...)
		for name, gate := range scheduling.Dropped(sent, stored) {
			mistakes = append(mistakes, field.Forbidden(path.Child(name),
				"the API server drops the field: it needs the feature gate "+gate))
		}
	}
	switch {
	case len(causes) > 0:
		return invalidBecause(lws, causes)
	case len(mistakes) > 0:
		return apierrors.NewInvalid(groupKind, lws.Name, mistakes)
	default:
		return nil
	}
}

// templatePaths returns the fields of the set that the fields of a StatefulSet come from.
func templatePaths(templateField string) *strings.Replacer {
	return strings.NewReplacer(
		"spec.template.", "spec.leaderWorkerTemplate."+templateField+".",
		"spec.volumeClaimTemplates", "spec.leaderWorkerTemplate.volumeClaimTemplates",
		"spec.persistentVolumeClaimRetentionPolicy",
		"spec.leaderWorkerTemplate.persistentVolumeClaimRetentionPolicy",
	)
}

// dryRunCreate returns why the API server rejects a child as invalid, with the paths of the fields of the set that the
// child's fields come from. A cause without a field is the verdict of an admission policy, and doesn't count: the real
// child has owners and another name, so the verdict on it may differ.
func (w *leaderWorkerSetWebhook) dryRunCreate(
	ctx context.Context, child client.Object, paths *strings.Replacer,
) []metav1.StatusCause {
	child.SetGenerateName(child.GetName() + "-")
	child.SetName("")
	child.SetOwnerReferences(nil)
	err := w.dryRun.Create(ctx, child, client.DisableReadYourWritesConsistency) //nolint:forbidigo // Nothing is written.
	var status *apierrors.StatusError
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.ErrStatus.Details == nil {
		return nil
	}
	var causes []metav1.StatusCause
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Field == "" {
			continue
		}
		cause.Field = paths.Replace(cause.Field)
		causes = append(causes, cause)
	}
	return causes
}

var groupKind = leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet").GroupKind()

func invalid(lws *leaderworkersetv1.LeaderWorkerSet, err *field.Error) error {
	return invalidFields(lws, field.ErrorList{err})
}

func invalidFields(lws *leaderworkersetv1.LeaderWorkerSet, errs field.ErrorList) error {
	return apierrors.NewInvalid(groupKind, lws.Name, errs)
}

// invalidBecause returns the API server's error for invalid objects, with causes that have their messages already.
func invalidBecause(lws *leaderworkersetv1.LeaderWorkerSet, causes []metav1.StatusCause) error {
	var messages []string
	for _, cause := range causes {
		messages = append(messages, cause.Field+": "+cause.Message)
	}
	err := apierrors.NewInvalid(groupKind, lws.Name, nil)
	err.ErrStatus.Details.Causes = causes
	err.ErrStatus.Message = fmt.Sprintf("LeaderWorkerSet %q is invalid: %s", lws.Name, strings.Join(messages, ", "))
	return err
}
