// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package features

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// server is an API server that serves resources, by group and version. A nil list is an error.
type server struct {
	// A method that isn't overridden would panic. None is called.
	discovery.ServerResourcesInterface

	served map[string][]string
}

// ServerResourcesForGroupVersion implements [discovery.ServerResourcesInterface].
func (s *server) ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error) {
	resources, ok := s.served[groupVersion]
	switch {
	case !ok:
		return nil, apierrors.NewNotFound(schema.GroupResource{}, groupVersion)
	case resources == nil:
		return nil, errors.New("the server is away")
	}
	list := &metav1.APIResourceList{}
	for _, name := range resources {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
	}
	return list, nil
}

// allowed says that the operator has all rights.
func allowed(context.Context, string) (string, error) { return "", nil }

// TestFind looks for PodGroups while the API server changes what it serves.
func TestFind(t *testing.T) {
	t.Parallel()
	const alpha, beta = "scheduling.k8s.io/v1alpha2", "scheduling.k8s.io/v1beta1"
	podGroups, others := []string{"workloads", "podgroups"}, []string{"priorityclasses"}
	api := &server{}
	var begun []string
	denied := "create"
	deniedNow := func(context.Context, string) (string, error) { return denied, nil }
	f := New(scheduling.Kubernetes, api, deniedNow, testingclock.NewFakeClock(time.Time{}), func(version string) error {
		begun = append(begun, version)
		return nil
	})
	for _, step := range []struct {
		title  string
		served map[string][]string
		denied string
		want   string
		err    bool
	}{
		{title: "nothing"},
		{title: "the feature gate is off", served: map[string][]string{beta: others}},
		{title: "the server is away", served: map[string][]string{beta: nil}, err: true},
		{title: "1.37 without rights", served: map[string][]string{beta: podGroups}, denied: "create", want: "v1beta1"},
		{title: "1.36 without rights", served: map[string][]string{alpha: podGroups}, denied: "list", want: "v1alpha2"},
		{title: "1.36", served: map[string][]string{alpha: podGroups}, want: "v1alpha2"},
		{title: "the server is away again", served: map[string][]string{beta: nil}, want: "v1alpha2", err: true},
		{title: "the feature gate is off again"},
		{title: "1.36 again", served: map[string][]string{alpha: podGroups}, want: "v1alpha2"},
		{title: "1.37", served: map[string][]string{beta: podGroups}, want: "v1alpha2", err: true},
	} {
		api.served, denied = step.served, step.denied
		err := f.Find(t.Context())
		got := f.Scheduling()
		if got.PodGroups != step.want || got.Denied != step.denied || (err != nil) != step.err {
			t.Errorf("%s: %+v, %v; want %q", step.title, got, err, step.want)
		}
	}
	if !slices.Equal(begun, []string{"v1alpha2"}) {
		t.Errorf("begun: %v", begun)
	}
}

// TestStart lets the API appear, and then another version of it, which ends the process.
func TestStart(t *testing.T) {
	t.Parallel()
	clock, api := testingclock.NewFakeClock(time.Time{}), &server{}
	found := make(chan string, 1)
	f := New(scheduling.Kubernetes, api, allowed, clock, func(version string) error {
		found <- version
		return nil
	})
	api.served = map[string][]string{"scheduling.k8s.io/v1alpha2": {"podgroups"}}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- f.Start(ctx) }()
	for !clock.HasWaiters() {
		runtime.Gosched()
	}
	clock.Step(interval)
	if version := <-found; version != "v1alpha2" {
		t.Errorf("found %s", version)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	clock = testingclock.NewFakeClock(time.Time{})
	f.clock, f.discovery = clock, &server{served: map[string][]string{"scheduling.k8s.io/v1beta1": {"podgroups"}}}
	go func() { ended <- f.Start(t.Context()) }()
	for !clock.HasWaiters() {
		runtime.Gosched()
	}
	clock.Step(interval)
	if err := <-ended; !errors.Is(err, errChanged) {
		t.Errorf("ended with %v", err)
	}
}
