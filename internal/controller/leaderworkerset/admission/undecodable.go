// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// undecodableValidation admits updates of sets whose stored form can't be decoded. Such an update repairs the set or
// removes its finalizers, and there is no earlier set to compare it with.
//
// It rejects other sets that can't be decoded. The schema has admitted such a set, so it is older or newer than the
// operator. The operator lists all sets at once. One set that it can't decode would stop it for all sets.
type undecodableValidation struct {
	decoder ctrladmission.Decoder
	ctrladmission.Handler
}

// Handle answers a request. It decodes the stored set only if the update is rejected: that takes long for a large one,
// and the handler does it as well.
func (h undecodableValidation) Handle(ctx context.Context, request ctrladmission.Request) ctrladmission.Response {
	response := h.Handler.Handle(ctx, request)
	if response.Allowed || request.Operation != admissionv1.Update {
		return response
	}
	if err := h.decoder.DecodeRaw(request.OldObject, &leaderworkersetv1.LeaderWorkerSet{}); err != nil {
		return ctrladmission.Allowed("")
	}
	return response
}
