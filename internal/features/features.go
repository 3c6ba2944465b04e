// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package features finds the optional APIs that a scheduling provider needs, when the operator starts and while it
// runs.
package features

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// interval is the time between two looks at the API server. An API appears when a control plane is upgraded or gets a
// feature gate, which takes minutes.
const interval = time.Minute

// errChanged ends the process: its caches and watches are of a version that the API server no longer serves.
var errChanged = errors.New("the API server serves PodGroups at another version: the operator has to start again")

// Features are the optional APIs. Any number of goroutines may read them.
type Features struct {
	provider  scheduling.Provider
	discovery discovery.ServerResourcesInterface
	denied    Denied
	clock     clock.WithTicker

	// found is what was found last; nil at first.
	found atomic.Pointer[scheduling.Features]

	// watched is the first version that was found; empty for none.
	watched string

	// onPodGroups is called once, with the first version that is found.
	onPodGroups func(version string) error
}

// New returns the features of an operator with a provider. onPodGroups is called once the API server is found to serve
// PodGroups, and the operator has the rights for them. It is called before the features say so.
func New(
	provider scheduling.Provider, from discovery.ServerResourcesInterface, denied Denied, clock clock.WithTicker,
	onPodGroups func(version string) error,
) *Features {
	return &Features{provider: provider, discovery: from, denied: denied, clock: clock, onPodGroups: onPodGroups}
}

// Scheduling returns the features for gang scheduling.
func (f *Features) Scheduling() scheduling.Features {
	if found := f.found.Load(); found != nil {
		return *found
	}
	return scheduling.Features{Provider: f.provider}
}

// Find looks for the APIs once, and for the rights until the operator has them.
func (f *Features) Find(ctx context.Context) error {
	version, err := f.version()
	if err != nil {
		return err
	}
	found := scheduling.Features{Provider: f.provider, PodGroups: version}
	switch {
	case version == "":
	case f.watched != "" && version != f.watched:
		return errChanged
	case f.watched == "":
		if found.Denied, err = f.denied(ctx, version); err != nil {
			return err
		}
		if found.Denied != "" {
			break
		}
		if err := f.onPodGroups(version); err != nil {
			return err
		}
		f.watched = version
	}
	f.found.Store(&found)
	return nil
}

// version returns the preferred version of PodGroups that the API server serves; empty if it serves none. It serves the
// version and not the resource while the feature gate is off.
func (f *Features) version() (string, error) {
	for _, version := range scheduling.Versions() {
		resources, err := f.discovery.ServerResourcesForGroupVersion(scheduling.APIGroup + "/" + version)
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return "", fmt.Errorf("find PodGroups: %w", err)
		}
		isPodGroups := func(resource metav1.APIResource) bool { return resource.Name == scheduling.Resource }
		if slices.ContainsFunc(resources.APIResources, isPodGroups) {
			return version, nil
		}
	}
	return "", nil
}

// Start looks for the APIs again and again, until the context ends. It returns an error if the process has to start
// again. An API server that doesn't answer changes nothing.
func (f *Features) Start(ctx context.Context) error {
	ticker, logger := f.clock.NewTicker(interval), log.FromContext(ctx)
	defer ticker.Stop()
	if problem := f.Scheduling().Unavailable(); problem != nil {
		logger.Info("Sets with spec.scheduling are refused", "reason", problem.Message)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		before := f.Scheduling()
		err := f.Find(ctx)
		switch after := f.Scheduling(); {
		case errors.Is(err, errChanged):
			return err
		case err != nil:
			logger.Error(err, "The API server doesn't say which APIs it serves")
		case before != after:
			logger.Info("PodGroups have changed", "before", before, "now", after)
		}
	}
}

// NeedLeaderElection says that every replica looks: all of them serve webhooks.
func (*Features) NeedLeaderElection() bool { return false }
