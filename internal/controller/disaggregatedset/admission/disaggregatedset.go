// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/revision"
)

// +kubebuilder:webhook:path=/mutate-disaggregatedset-x-k8s-io-v1-disaggregatedset,mutating=true,failurePolicy=fail,sideEffects=None,groups=disaggregatedset.x-k8s.io,resources=disaggregatedsets,verbs=create;update,versions=v1,name=mdisaggregatedset.disaggregatedset.x-k8s.io,admissionReviewVersions=v1,patch=`{"matchConditions":[{"name":"not-being-deleted","expression":"!has(object.metadata.deletionTimestamp)"}]}`
// +kubebuilder:webhook:path=/validate-disaggregatedset-x-k8s-io-v1-disaggregatedset,mutating=false,failurePolicy=fail,sideEffects=None,groups=disaggregatedset.x-k8s.io,resources=disaggregatedsets,verbs=create;update,versions=v1,name=vdisaggregatedset.disaggregatedset.x-k8s.io,admissionReviewVersions=v1,patch=`{"matchConditions":[{"name":"not-being-deleted","expression":"!has(object.metadata.deletionTimestamp)"}]}`

// webhook defaults and validates DisaggregatedSets, as far as the CRD's schema and CEL rules can't.
type webhook struct {
	// check returns why a LeaderWorkerSet could never run.
	check func(context.Context, *leaderworkersetv1.LeaderWorkerSet) error

	// timeout bounds the checks of all roles. What takes longer doesn't reject the set.
	timeout time.Duration
}

var (
	_ ctrladmission.Defaulter[*disaggregatedsetv1.DisaggregatedSet] = &webhook{}
	_ ctrladmission.Validator[*disaggregatedsetv1.DisaggregatedSet] = &webhook{}
)

// Default fills in defaults.
func (w *webhook) Default(_ context.Context, set *disaggregatedsetv1.DisaggregatedSet) error {
	set.Default()
	return nil
}

// ValidateCreate rejects a set that could never run.
func (w *webhook) ValidateCreate(
	ctx context.Context, set *disaggregatedsetv1.DisaggregatedSet,
) (ctrladmission.Warnings, error) {
	return w.validate(ctx, nil, set)
}

// ValidateUpdate rejects the same as ValidateCreate, as far as the update changes it. A problem that the set has before
// the update passes. So does any update of a set that is being deleted.
func (w *webhook) ValidateUpdate(
	ctx context.Context, before, set *disaggregatedsetv1.DisaggregatedSet,
) (ctrladmission.Warnings, error) {
	if set.DeletionTimestamp != nil {
		return nil, nil
	}
	before = before.DeepCopy()
	before.Default()
	return w.validate(ctx, before, set)
}

// ValidateDelete admits every deletion.
func (w *webhook) ValidateDelete(
	context.Context, *disaggregatedsetv1.DisaggregatedSet,
) (ctrladmission.Warnings, error) {
	return nil, nil
}

func (w *webhook) validate(
	ctx context.Context, before, set *disaggregatedsetv1.DisaggregatedSet,
) (ctrladmission.Warnings, error) {
	set = set.DeepCopy()
	set.Default()
	if found := newProblems(before, set); len(found) > 0 {
		return warnings(set), apierrors.NewInvalid(groupKind, set.Name, found)
	}
	return warnings(set), w.checkRoles(ctx, before, set)
}

// warnings name values that mean nothing.
func warnings(set *disaggregatedsetv1.DisaggregatedSet) ctrladmission.Warnings {
	var all ctrladmission.Warnings
	for i := range set.Spec.Roles {
		role := &set.Spec.Roles[i]
		if role.IsExternal() && *role.Spec.Replicas > 1 {
			all = append(all, fmt.Sprintf("%s: is ignored with scaling.mode External: the role's scaler has the number",
				rolePath(i).Child("spec", "replicas")))
		}
	}
	return all
}

// checkRoles rejects roles whose LeaderWorkerSets the API server or the webhooks would reject. It checks those that the
// update changes.
func (w *webhook) checkRoles(ctx context.Context, before, set *disaggregatedsetv1.DisaggregatedSet) error {
	key, err := revision.Hash(set.Spec.Roles, 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	var causes []metav1.StatusCause
	for i := range set.Spec.Roles {
		role := &set.Spec.Roles[i]
		if previous := roleOf(before, role.Name); previous != nil && equality.Semantic.DeepEqual(previous, role) {
			continue
		}
		at := desired.Position{Revision: key, Role: role}
		var rejected *apierrors.StatusError
		if err := w.check(ctx, desired.Child(set, at, *role.Spec.Replicas, 0)); errors.As(err, &rejected) &&
			rejected.ErrStatus.Details != nil {
			causes = append(causes, inRole(rolePath(i), rejected.ErrStatus.Details.Causes)...)
		} else if err != nil {
			return err
		}
	}
	if len(causes) == 0 {
		return nil
	}
	return invalidBecause(set, causes)
}

// inRole returns causes with the paths of a role's fields.
func inRole(role *field.Path, causes []metav1.StatusCause) []metav1.StatusCause {
	moved := make([]metav1.StatusCause, len(causes))
	for i, cause := range causes {
		if strings.HasPrefix(cause.Field, "spec.") || strings.HasPrefix(cause.Field, "metadata.") {
			cause.Field = role.String() + "." + cause.Field
		}
		moved[i] = cause
	}
	return moved
}

func roleOf(set *disaggregatedsetv1.DisaggregatedSet, name string) *disaggregatedsetv1.DisaggregatedRoleSpec {
	if set == nil {
		return nil
	}
	for i := range set.Spec.Roles {
		if set.Spec.Roles[i].Name == name {
			return &set.Spec.Roles[i]
		}
	}
	return nil
}

func rolePath(index int) *field.Path { return field.NewPath("spec", "roles").Index(index) }

var groupKind = disaggregatedsetv1.GroupVersion.WithKind(desired.Kind).GroupKind()

// invalidBecause returns the API server's error for invalid objects, with causes that have their messages already.
func invalidBecause(set *disaggregatedsetv1.DisaggregatedSet, causes []metav1.StatusCause) error {
	var messages []string
	for _, cause := range causes {
		messages = append(messages, cause.Field+": "+cause.Message)
	}
	err := apierrors.NewInvalid(groupKind, set.Name, nil)
	err.ErrStatus.Details.Causes = causes
	err.ErrStatus.Message = fmt.Sprintf("%s %q is invalid: %s", desired.Kind, set.Name, strings.Join(messages, ", "))
	return err
}
