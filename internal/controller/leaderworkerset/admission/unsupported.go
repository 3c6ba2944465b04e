// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// explainsUnsupported rejects sets that ask for what only other controllers do, and says why. The schema rejects most
// of them as well, but gives no reason. The API server calls this handler, as any that fills in defaults, before it
// checks the schema.
//
// It admits sets that can't be decoded, such as one with a mistake in a quantity, and leaves them unchanged. The schema
// rejects such a set and names the field. A decoder doesn't know the field.
type explainsUnsupported struct {
	decoder  ctrladmission.Decoder
	features func() scheduling.Features
	ctrladmission.Handler
}

// Handle answers a request.
func (h explainsUnsupported) Handle(ctx context.Context, request ctrladmission.Request) ctrladmission.Response {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := h.decoder.Decode(request, lws); err != nil {
		return ctrladmission.Allowed("")
	}
	var before *leaderworkersetv1.LeaderWorkerSet
	if request.Operation == admissionv1.Update {
		before = &leaderworkersetv1.LeaderWorkerSet{}
		if err := h.decoder.DecodeRaw(request.OldObject, before); err != nil {
			return h.Handler.Handle(ctx, request)
		}
	}
	var rejection apierrors.APIStatus
	if errors.As(checkSupported(before, lws, h.features()), &rejection) {
		return ctrladmission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: ptr.To(rejection.Status())}}
	}
	if isComplete(lws) {
		return ctrladmission.Allowed("")
	}
	return h.Handler.Handle(ctx, request)
}

// isComplete reports whether a set has all defaults. The API server has mostly filled them in from the schema. Then
// nobody has to compare the whole set before and after.
func isComplete(lws *leaderworkersetv1.LeaderWorkerSet) bool {
	small := *lws
	template := &small.Spec.LeaderWorkerTemplate // Pods and claims have no defaults here, and are large.
	template.WorkerTemplate, template.LeaderTemplate = corev1.PodTemplateSpec{}, nil
	template.VolumeClaimTemplates = nil
	return equality.Semantic.DeepEqual(&small, defaulted(&small))
}

// checkSupported rejects what a set newly asks for and the operator doesn't do. A value that the set has already
// passes. The schema admits it as well: otherwise nobody could edit or delete a set that another controller's CRD
// admitted.
func checkSupported(before, lws *leaderworkersetv1.LeaderWorkerSet, features scheduling.Features) error {
	if lws.DeletionTimestamp != nil {
		return nil
	}
	unsupported := lws.Spec.Unsupported()
	if problem := features.Problem(lws); problem != nil && (before == nil || before.Spec.Scheduling == nil) {
		unsupported = append(unsupported, field.Forbidden(field.NewPath("spec", "scheduling"), problem.Message))
	}
	if before != nil {
		had := before.Spec.Unsupported()
		unsupported = slices.DeleteFunc(unsupported, func(err *field.Error) bool {
			return slices.ContainsFunc(had, func(old *field.Error) bool { return *old == *err })
		})
	}
	if len(unsupported) == 0 {
		return nil
	}
	return apierrors.NewInvalid(groupKind, lws.Name, unsupported)
}
