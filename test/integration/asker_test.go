// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// outcome is what the applier returns.
type outcome struct {
	failed   bool       // any error
	conflict bool       // Another pass on a newer view helps.
	refused  apply.Verb // users have to know; empty if they don't
	taken    bool       // The name belongs to somebody else's object.
}

var (
	done     = outcome{}
	failed   = outcome{failed: true}
	conflict = outcome{failed: true, conflict: true}
)

func refusedTo(verb apply.Verb) outcome { return outcome{failed: true, refused: verb} }

// asker sends writes with the operator's applier to the API server, and records the answers.
type asker struct {
	applier *apply.Applier
	answers []string // for example "422 Invalid FieldValueInvalid": code, reason, and types of causes
	errs    []error  // the errors among the answers
	err     error    // what the applier returned
}

func newAsker(t *testing.T, changes ...func(*rest.Config)) *asker {
	t.Helper()
	config := rest.CopyConfig(suite.config)
	for _, change := range changes {
		if change != nil {
			change(config)
		}
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: suite.client.Scheme(), Mapper: suite.client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	a := &asker{}
	a.applier = &apply.Applier{Live: suite.client, Client: interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return a.record(c.Create(ctx, o, opts...))
		},
		Patch: func(
			ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
		) error {
			return a.record(c.Patch(ctx, o, p, opts...))
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return a.record(c.Delete(ctx, o, opts...))
		},
		SubResourcePatch: func(
			ctx context.Context, c client.Client, name string, o client.Object, p client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			return a.record(c.SubResource(name).Patch(ctx, o, p, opts...))
		},
	})}
	return a
}

func (a *asker) record(err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		a.answers = append(a.answers, accepted)
		return nil
	case !errors.As(err, &status):
		a.answers = append(a.answers, "no answer")
	default:
		answer := fmt.Sprintf("%d %s", status.Status().Code, status.Status().Reason)
		for _, cause := range causes(err) {
			answer = strings.TrimSuffix(answer, fmt.Sprintf(" %s", cause.Type)) + fmt.Sprintf(" %s", cause.Type)
		}
		a.answers = append(a.answers, strings.TrimSpace(answer))
	}
	a.errs = append(a.errs, err)
	return err
}

func (a *asker) write(t *testing.T, planned write.Write) *asker {
	t.Helper()
	a.err = a.applier.Writes(t.Context(), []write.Write{planned})
	return a
}

func (a *asker) status(t *testing.T, observed, updated client.Object) *asker {
	t.Helper()
	a.err = a.applier.Status(t.Context(), observed, updated)
	return a
}

// check checks the answers of the API server, and what the applier returned. A refusal has the API server's words.
func (a *asker) check(t *testing.T, want expected, message string) {
	t.Helper()
	if answers := strings.Join(a.answers, ", "); answers != want.answers {
		t.Errorf("the API server answers %q, want %q: %v", answers, want.answers, a.errs)
	}
	got := outcome{failed: a.err != nil, conflict: apierrors.IsConflict(a.err)}
	_, got.taken = errors.AsType[*apply.TakenError](a.err)
	if refused, ok := errors.AsType[*apply.RefusedError](a.err); ok {
		got.refused = refused.Verb
		if !got.taken && refused.Error() != errors.Join(a.errs...).Error() {
			t.Errorf("the refusal is %q, want the API server's words: %v", refused, a.errs)
		}
	}
	if got != want.outcome {
		t.Errorf("the applier returns %+v, want %+v: %v", got, want.outcome, a.err)
	}
	if a.err != nil && !strings.Contains(a.err.Error(), message) {
		t.Errorf("the applier returns %q, want a message with %q", a.err, message)
	}
}

// untilRefused waits until the API server refuses a request.
func untilRefused(t *testing.T, otherwise string, request func(context.Context) error) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		return request(ctx) != nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", otherwise, err)
	}
}

// denied returns a change that adds a label to the pod template. The policies and webhooks of installAdmission deny the
// operation with the reason that the label has.
func denied(operation, reason string) func(*appsv1.StatefulSet) {
	return func(s *appsv1.StatefulSet) {
		s.Spec.Template = *s.Spec.Template.DeepCopy()
		s.Spec.Template.Labels[operation] = reason
	}
}

// unreachableWebhook are the labels of objects for which the API server calls an unreachable webhook.
var unreachableWebhook = map[string]string{"webhook": "unreachable"}

// installAdmission makes the API server deny writes of StatefulSets in a namespace, as their labels say: see denied.
func installAdmission(t *testing.T, namespace string) {
	t.Helper()
	reasons := []metav1.StatusReason{
		metav1.StatusReasonInvalid, metav1.StatusReasonForbidden, metav1.StatusReasonRequestEntityTooLarge,
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
	policy, binding := policyOf(namespace, selector, reasons)
	for _, object := range []client.Object{policy, binding, webhooksOf(namespace, selector, serveDenials(t))} {
		if err := suite.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := suite.client.Delete(context.WithoutCancel(t.Context()), object); err != nil {
				t.Error(err)
			}
		})
	}
	probes := []string{"403"}
	for _, reason := range reasons {
		probes = append(probes, string(reason))
	}
	for _, probe := range probes {
		sts := statefulSet(namespace)
		denied("CREATE", probe)(sts)
		untilRefused(t, "a creation isn't denied with "+probe, func(ctx context.Context) error {
			return suite.client.Create(ctx, sts.DeepCopy(), dryRun)
		})
	}
}

var statefulSetWrites = admissionregistrationv1.RuleWithOperations{
	Operations: []admissionregistrationv1.OperationType{
		admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete,
	},
	Rule: admissionregistrationv1.Rule{
		APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"statefulsets"},
	},
}

// policyOf returns a policy that denies operations with a reason, and its binding.
func policyOf(name string, namespaces *metav1.LabelSelector, reasons []metav1.StatusReason) (
	*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding,
) {
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.MatchConstraints = &admissionregistrationv1.MatchResources{
		NamespaceSelector: namespaces,
		ResourceRules:     []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: statefulSetWrites}},
	}
	policy.Spec.Variables = []admissionregistrationv1.Variable{{
		Name: "reason",
		Expression: `(request.operation == "DELETE" ? oldObject : object).spec.template.metadata` +
			`.?labels[?request.operation].orValue("")`,
	}}
	for _, reason := range reasons {
		policy.Spec.Validations = append(policy.Spec.Validations, admissionregistrationv1.Validation{
			Expression: fmt.Sprintf("variables.reason != %q", reason),
			Message:    fmt.Sprint("the policy says ", reason),
			Reason:     &reason,
		})
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	binding.Spec.PolicyName = name
	binding.Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
	return policy, binding
}

// webhooksOf returns the configuration of a webhook that serves at an address, and of one that can't be reached.
func webhooksOf(
	name string, namespaces *metav1.LabelSelector, serving admissionregistrationv1.WebhookClientConfig,
) *admissionregistrationv1.ValidatingWebhookConfiguration {
	denying := admissionregistrationv1.ValidatingWebhook{
		Name: "denying.example.com", ClientConfig: serving, NamespaceSelector: namespaces,
		Rules:                   []admissionregistrationv1.RuleWithOperations{statefulSetWrites},
		SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
	}
	away := *denying.DeepCopy()
	away.Name, away.ClientConfig.URL = "away.example.com", ptr.To(unreachable)
	away.ObjectSelector = &metav1.LabelSelector{MatchLabels: unreachableWebhook}
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks:   []admissionregistrationv1.ValidatingWebhook{denying, away},
	}
}

// serveDenials serves a webhook, and returns how to reach it.
func serveDenials(t *testing.T) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := deny(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	return admissionregistrationv1.WebhookClientConfig{
		URL:      ptr.To(server.URL),
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
}

// deny answers a review with the code, and the reason if there is one, that the label for the operation has, such as
// 409.Conflict. It allows other operations.
func deny(w http.ResponseWriter, r *http.Request) error {
	review := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		return err
	}
	data := review.Request.Object.Raw
	if review.Request.Operation == admissionv1.Delete {
		data = review.Request.OldObject.Raw
	}
	sts := &appsv1.StatefulSet{}
	if err := json.Unmarshal(data, sts); err != nil {
		return err
	}
	label := sts.Spec.Template.Labels[string(review.Request.Operation)]
	number, reason, _ := strings.Cut(label, ".")
	code, err := strconv.ParseInt(number, 10, 32)
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: err != nil}
	if err == nil {
		review.Response.Result = &metav1.Status{
			Code: int32(code), Reason: metav1.StatusReason(reason), Message: "the webhook says " + label,
		}
	}
	return json.NewEncoder(w).Encode(review)
}
