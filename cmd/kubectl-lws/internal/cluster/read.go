// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster reads from and writes to the API server what the commands need. It decides nothing.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

// Cluster is the API server as the user reaches it.
type Cluster struct {
	client.WithWatch

	// Config is how the user reaches it.
	Config *rest.Config
}

// The rate limits of a client that reads a dozen lists at once. The API server has its own.
const (
	queriesPerSecond = 50
	burst            = 300
)

// Scheme returns the kinds that the plugin reads.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme),
		apiextensionsv1.AddToScheme(scheme))
}

// New returns the API server of a configuration.
func New(config *rest.Config) (*Cluster, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	silence()
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = queriesPerSecond, burst
	// Protocol buffers are several times as fast to read, and the kinds that don't have them fall back to JSON.
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	reads, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return &Cluster{WithWatch: reads, Config: config}, nil
}

// silence discards the log of controller-runtime. Otherwise it complains after 30 s that nobody has set a logger.
var silence = sync.OnceFunc(func() { ctrllog.SetLogger(logr.Discard()) })

// Sets reads the sets of a namespace, or of all if it is empty.
func (c *Cluster) Sets(
	ctx context.Context, namespace, selector string,
) (*leaderworkersetv1.LeaderWorkerSetList, error) {
	list := &leaderworkersetv1.LeaderWorkerSetList{}
	options := []client.ListOption{client.InNamespace(namespace)}
	if selector != "" {
		parsed, err := labelSelector(selector)
		if err != nil {
			return nil, err
		}
		options = append(options, parsed)
	}
	if err := c.List(ctx, list, options...); err != nil {
		return nil, noCRD(err)
	}
	list.SetGroupVersionKind(leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSetList"))
	for i := range list.Items {
		list.Items[i].SetGroupVersionKind(kind)
	}
	return list, nil
}

var kind = leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet")

// noCRD says what a missing kind means.
func noCRD(err error) error {
	if meta.IsNoMatchError(err) {
		return errors.New("the server doesn't have a resource type \"leaderworkersets\": install the operator first")
	}
	return err
}

// Set reads one set.
func (c *Cluster) Set(ctx context.Context, namespace, name string) (*leaderworkersetv1.LeaderWorkerSet, error) {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, lws); err != nil {
		return nil, noCRD(err)
	}
	lws.SetGroupVersionKind(kind)
	return lws, nil
}

// Objects reads a set and its objects. Resources that the user may not read are named in Hidden.
func (c *Cluster) Objects(ctx context.Context, namespace, name string) (*view.Objects, error) {
	lws, err := c.Set(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	objects := &view.Objects{LWS: lws}
	ofSet := client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: name}
	var found corev1.PodList
	var sets appsv1.StatefulSetList
	var services corev1.ServiceList
	var revisions appsv1.ControllerRevisionList
	var budgets policyv1.PodDisruptionBudgetList
	var events corev1.EventList
	reads := []struct {
		resource string
		into     client.ObjectList
		options  []client.ListOption
	}{
		{pods, &found, []client.ListOption{ofSet}},
		{"statefulsets.apps", &sets, []client.ListOption{ofSet}},
		{"services", &services, []client.ListOption{ofSet}},
		{"controllerrevisions.apps", &revisions, []client.ListOption{ofSet}},
		{"poddisruptionbudgets.policy", &budgets, nil},
		{"events", &events, nil},
	}
	for _, read := range reads {
		err := c.List(ctx, read.into, append(read.options, client.InNamespace(namespace))...)
		switch {
		case apierrors.IsForbidden(err):
			objects.Hidden = append(objects.Hidden, read.resource)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", read.resource, err)
		}
	}
	objects.Pods, objects.StatefulSets = pointers(found.Items), pointers(sets.Items)
	objects.Services = pointers(services.Items)
	objects.Revisions, objects.Budgets = pointers(revisions.Items), pointers(budgets.Items)
	objects.Events = relevant(pointers(events.Items), objects)
	return objects, nil
}

// relevant returns the events about the objects of a set.
func relevant(events []*corev1.Event, objects *view.Objects) []*corev1.Event {
	uids := map[types.UID]bool{objects.LWS.UID: true}
	for _, pod := range objects.Pods {
		uids[pod.UID] = true
	}
	for _, sts := range objects.StatefulSets {
		uids[sts.UID] = true
	}
	var about []*corev1.Event
	for _, event := range events {
		if uids[event.InvolvedObject.UID] {
			about = append(about, event)
		}
	}
	return about
}

func pointers[T any](items []T) []*T {
	result := make([]*T, len(items))
	for i := range items {
		result[i] = &items[i]
	}
	return result
}
