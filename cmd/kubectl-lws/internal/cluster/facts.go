// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/preflight"
	"github.com/leaderworkerset/lws-operator/internal/takeover"
)

// operatorLabels are on the operator's deployment and its pods.
var operatorLabels = client.MatchingLabels{
	"app.kubernetes.io/name": "lws-operator", "control-plane": "controller-manager",
}

// The plurals of kinds, in roles and CRDs.
const (
	resources = "leaderworkersets"
	pods      = "pods"
)

// Facts reads what the preflight checks look at. A check whose facts the user may not read is hidden.
func (c *Cluster) Facts(ctx context.Context, namespace string, now time.Time) (*preflight.Facts, error) {
	facts := &preflight.Facts{Namespace: namespace, Hidden: map[string]string{}, Now: now}
	reads := []struct {
		check string
		read  func(context.Context, *preflight.Facts) error
	}{
		{preflight.CheckVersion, c.readVersion},
		{preflight.CheckCRD, c.readCRD},
		{preflight.CheckOperator, c.readOperators},
		{preflight.CheckOther, c.readLeases},
		{preflight.CheckWebhooks, c.readWebhooks},
		{preflight.CheckTakeover, c.readSets},
		{preflight.CheckRights, c.readRights},
		{preflight.CheckAdmission, c.tryCreate},
	}
	for _, read := range reads {
		err := read.read(ctx, facts)
		switch {
		case apierrors.IsForbidden(err):
			facts.Hidden[read.check] = "you may not read what it looks at: " + resourceOf(err)
		case err != nil:
			return nil, err
		}
	}
	return facts, nil
}

// resourceOf returns the resource that an error is about.
func resourceOf(err error) string {
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Details == nil {
		return err.Error()
	}
	return status.Status().Details.Kind
}

func (c *Cluster) readVersion(_ context.Context, facts *preflight.Facts) error {
	client, err := discovery.NewDiscoveryClientForConfig(c.Config)
	if err != nil {
		return err
	}
	info, err := client.ServerVersion()
	if err == nil {
		facts.ServerVersion = info.GitVersion
	}
	return err
}

func (c *Cluster) readCRD(ctx context.Context, facts *preflight.Facts) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	name := types.NamespacedName{Name: resources + "." + leaderworkersetv1.GroupVersion.Group}
	switch err := c.Get(ctx, name, crd); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	facts.CRD = crd
	return nil
}

func (c *Cluster) readOperators(ctx context.Context, facts *preflight.Facts) error {
	var found appsv1.DeploymentList
	err := c.List(ctx, &found, operatorLabels)
	facts.Operators = found.Items
	return err
}

func (c *Cluster) readLeases(ctx context.Context, facts *preflight.Facts) error {
	for _, namespace := range takeover.DefaultNamespaces() {
		var lease coordinationv1.Lease
		err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: takeover.LeaseName}, &lease)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		default:
			facts.Leases = append(facts.Leases, lease)
		}
	}
	return nil
}

// readWebhooks reads the webhooks whose names end in that of the API group.
func (c *Cluster) readWebhooks(ctx context.Context, facts *preflight.Facts) error {
	var mutating admissionregistrationv1.MutatingWebhookConfigurationList
	if err := c.List(ctx, &mutating); err != nil {
		return err
	}
	var validating admissionregistrationv1.ValidatingWebhookConfigurationList
	if err := c.List(ctx, &validating); err != nil {
		return err
	}
	for i := range mutating.Items {
		for j := range mutating.Items[i].Webhooks {
			webhook := &mutating.Items[i].Webhooks[j]
			c.addWebhook(ctx, facts, webhook.Name, webhook.ClientConfig)
		}
	}
	for i := range validating.Items {
		for j := range validating.Items[i].Webhooks {
			webhook := &validating.Items[i].Webhooks[j]
			c.addWebhook(ctx, facts, webhook.Name, webhook.ClientConfig)
		}
	}
	return nil
}

// webhookSuffix ends the names of the webhooks of every LeaderWorkerSet controller.
const webhookSuffix = "leaderworkerset.leaderworkerset.x-k8s.io"

func isWebhook(name string) bool {
	return strings.HasSuffix(name, webhookSuffix) || strings.HasSuffix(name, ".leaderworkerset.io") ||
		name == "mpod.leaderworkerset.x-k8s.io"
}

func (c *Cluster) addWebhook(
	ctx context.Context, facts *preflight.Facts, name string, config admissionregistrationv1.WebhookClientConfig,
) {
	if !isWebhook(name) {
		return
	}
	webhook := preflight.Webhook{Name: name, CABundle: config.CABundle, Endpoints: -1}
	if service := config.Service; service != nil {
		webhook.Service = service.Namespace + "/" + service.Name
		var slices discoveryv1.EndpointSliceList
		err := c.List(ctx, &slices, client.InNamespace(service.Namespace),
			client.MatchingLabels{discoveryv1.LabelServiceName: service.Name})
		if err == nil {
			webhook.Endpoints = readyEndpoints(slices.Items)
		}
	}
	facts.Webhooks = append(facts.Webhooks, webhook)
}

func readyEndpoints(slices []discoveryv1.EndpointSlice) int {
	ready := 0
	for i := range slices {
		for j := range slices[i].Endpoints {
			if ptr.Deref(slices[i].Endpoints[j].Conditions.Ready, true) {
				ready++
			}
		}
	}
	return ready
}

func (c *Cluster) readSets(ctx context.Context, facts *preflight.Facts) error {
	if facts.CRD == nil && facts.Hidden[preflight.CheckCRD] == "" {
		return nil
	}
	sets, err := c.Sets(ctx, "", "")
	if err == nil {
		facts.Sets = sets.Items
	}
	return err
}

// rights are what the verbs need besides the right to read.
var rights = []struct {
	attributes authorizationv1.ResourceAttributes
	verbs, use string
}{
	{authorizationv1.ResourceAttributes{Group: leaderworkersetv1.GroupVersion.Group, Resource: resources, Verb: "patch"},
		"patch leaderworkersets", "rollout"},
	{authorizationv1.ResourceAttributes{Resource: pods, Verb: "delete"}, "delete pods", "restart"},
	{authorizationv1.ResourceAttributes{Resource: pods, Subresource: "log", Verb: "get"}, "get pods/log", "logs"},
	{authorizationv1.ResourceAttributes{Resource: pods, Subresource: "exec", Verb: "create"}, "create pods/exec", "exec"},
}

func (c *Cluster) readRights(ctx context.Context, facts *preflight.Facts) error {
	for _, right := range rights {
		allowed, err := c.may(ctx, facts.Namespace, right.attributes)
		if err != nil {
			return err
		}
		facts.Rights = append(facts.Rights, preflight.Right{Verbs: right.verbs, For: right.use, Allowed: allowed})
	}
	return nil
}

// may asks the API server whether the user has a right. That stores nothing.
func (c *Cluster) may(
	ctx context.Context, namespace string, attributes authorizationv1.ResourceAttributes,
) (bool, error) {
	attributes.Namespace = namespace
	review := &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes},
	}
	err := c.Create(ctx, review)
	return review.Status.Allowed, err
}

// tryCreate asks the API server to admit a set without storing it. The API server calls the webhooks for that.
func (c *Cluster) tryCreate(ctx context.Context, facts *preflight.Facts) error {
	create := authorizationv1.ResourceAttributes{
		Group: leaderworkersetv1.GroupVersion.Group, Resource: resources, Verb: "create",
	}
	allowed, err := c.may(ctx, facts.Namespace, create)
	if err != nil || !allowed || (facts.CRD == nil && facts.Hidden[preflight.CheckCRD] == "") {
		return err
	}
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: facts.Namespace, Name: "kubectl-lws-check"},
	}
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "main", Image: "none"}}
	facts.DidDryRun = true
	if err := c.Create(ctx, lws, client.DryRunAll); err != nil {
		facts.DryRun = fmt.Errorf("the API server doesn't admit a set (dry run): %w", err)
	}
	return nil
}
