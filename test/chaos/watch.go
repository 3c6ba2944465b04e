// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/chaos/judge"
)

// follow reports all changes of the objects of a list's kind until the context is done. A change between two lists has
// a gap: what happened between them is unknown. That is so after a restart of the API server, which ends watches of
// earlier versions.
func follow(ctx context.Context, api client.WithWatch, list client.ObjectList, report func(judge.Event)) {
	known := map[types.UID]client.Object{}
	version := ""
	change := func(before, after client.Object, gap bool) {
		if after == nil {
			delete(known, before.GetUID())
		} else {
			known[after.GetUID()] = after
		}
		report(judge.Event{At: time.Now(), Before: before, After: after, Gap: gap})
	}
	for ctx.Err() == nil {
		if version == "" {
			version = relist(ctx, api, list, known, change)
			continue
		}
		stream, err := api.Watch(ctx, list, &client.ListOptions{Raw: &metav1.ListOptions{
			ResourceVersion: version, AllowWatchBookmarks: true,
		}})
		if err != nil {
			if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
				version = ""
			}
			pause(ctx, retryDelay)
			continue
		}
		version = drain(stream, version, known, change)
		stream.Stop()
	}
}

const retryDelay = 200 * time.Millisecond

// relist compares the objects of a new list with those that are known. It returns the version of the list; empty if the
// API server doesn't answer.
func relist(
	ctx context.Context, api client.WithWatch, list client.ObjectList, known map[types.UID]client.Object,
	change func(before, after client.Object, gap bool),
) string {
	if err := api.List(ctx, list); err != nil {
		pause(ctx, retryDelay)
		return ""
	}
	found := map[types.UID]client.Object{}
	_ = meta.EachListItem(list, func(item runtime.Object) error {
		if object, ok := item.DeepCopyObject().(client.Object); ok {
			found[object.GetUID()] = object
		}
		return nil
	})
	for uid, before := range known {
		if found[uid] == nil {
			change(before, nil, true)
		}
	}
	for uid, after := range found {
		if before := known[uid]; before == nil || before.GetResourceVersion() != after.GetResourceVersion() {
			change(before, after, true)
		}
	}
	return list.GetResourceVersion()
}

// drain reports the changes of a watch until it ends. It returns the version to go on from; empty if that has expired.
func drain(
	stream watch.Interface, version string, known map[types.UID]client.Object,
	change func(before, after client.Object, gap bool),
) string {
	for event := range stream.ResultChan() {
		object, ok := event.Object.(client.Object)
		if !ok {
			return ""
		}
		version = object.GetResourceVersion()
		switch event.Type {
		case watch.Added, watch.Modified:
			change(known[object.GetUID()], object, false)
		case watch.Deleted:
			change(object, nil, false)
		default:
		}
	}
	return version
}

// pause waits, unless the context is done.
func pause(ctx context.Context, delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
